package uevent

import (
	"errors"
	"strings"
	"testing"
)

func message(parts ...string) []byte { return []byte(strings.Join(parts, "\x00") + "\x00") }

func TestKernelMessageIsRead(t *testing.T) {
	m, err := Parse(message("add@/devices/virtual/block/dm-0", "ACTION=add", "DEVPATH=/devices/virtual/block/dm-0",
		"SUBSYSTEM=block", "DEVNAME=dm-0", "X=a=b", "SEQNUM=1234"))
	if err != nil {
		t.Fatal(err)
	}
	if m.Action != "add" || m.Seqnum != 1234 || m.Props["DEVNAME"] != "/dev/dm-0" || m.Props["X"] != "a=b" {
		t.Errorf("%+v", m)
	}
}

func TestForgedOrTornMessagesAreRefused(t *testing.T) {
	good := []string{"add@/devices/x", "ACTION=add", "DEVPATH=/devices/x", "SEQNUM=1"}
	with := func(i int, s string) []byte {
		parts := append([]string(nil), good...)
		parts[i] = s
		return message(parts...)
	}
	for name, b := range map[string][]byte{
		"nothing":                 nil,
		"udevd's own":             message("libudev", "\xfe\xed\xca\xfe"),
		"torn":                    []byte("add@/devices/x\x00ACTION=ad"),
		"no action":               with(0, "@/devices/x"),
		"relative devpath":        with(0, "add@devices/x"),
		"devpath that climbs out": message("add@/devices/../../etc", "ACTION=add", "DEVPATH=/devices/../../etc", "SEQNUM=1"),
		"devpath that ends in ..": message("add@/devices/..", "ACTION=add", "DEVPATH=/devices/..", "SEQNUM=1"),
		"another action inside":   with(1, "ACTION=remove"),
		"another devpath inside":  with(2, "DEVPATH=/devices/y"),
		"no number":               with(3, "SEQNUM=x"),
		"property without =":      with(3, "SEQNUM"),
	} {
		if m, err := Parse(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
	if _, err := Parse(message(good...)); err != nil {
		t.Fatal(err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(message("add@/devices/x", "ACTION=add", "DEVPATH=/devices/x", "SEQNUM=1", "DEVNAME=sda"))
	f.Add([]byte("libudev\x00\xfe\xed"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b)
		if err != nil {
			if m != nil || !errors.Is(err, ErrMalformed) {
				t.Errorf("%v, %v", m, err)
			}
			return
		}
		if m.Props["ACTION"] != m.Action || m.Props["DEVPATH"] != m.Devpath || strings.Contains(m.Devpath+"/", "/../") {
			t.Errorf("%+v", m)
		}
		if n := m.Props["DEVNAME"]; n != "" && n[0] != '/' {
			t.Errorf("DEVNAME %q", n)
		}
	})
}
