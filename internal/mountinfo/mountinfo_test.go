package mountinfo

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func TestLinesOfTheManualPage(t *testing.T) {
	got := Parse("36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n" +
		"22 28 0:21 / /sys rw shared:7 propagate_from:2 - sysfs sysfs rw\n" +
		"40 28 0:40 / /a\\134b rw - tmpfs a\\011b\n" +
		"not a line\n")
	want := []Mount{
		{"98:0", "/mnt1", "/mnt 2", "rw,noatime", "ext3", "/dev/root", "rw,errors=continue"},
		{"0:21", "/", "/sys", "rw", "sysfs", "sysfs", "rw"},
		{"0:40", "/", `/a\b`, "rw", "tmpfs", "a\tb", ""},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestOwnTableHasTheRoot(t *testing.T) {
	w, err := Open("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for range 2 { // reading does not use it up
		mounts, err := w.Read()
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(mounts, func(m Mount) bool { return m.Target == "/" }) {
			t.Errorf("no root in %v", mounts)
		}
	}
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(Parse(string(text))); n != strings.Count(string(text), "\n") {
		t.Errorf("%d of %d lines read", n, strings.Count(string(text), "\n"))
	}
}

func FuzzParse(f *testing.F) {
	f.Add("36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n")
	f.Add("1 1 0:1 / / rw - a b\\04")
	f.Fuzz(func(t *testing.T, text string) {
		mounts := Parse(text)
		if len(mounts) > strings.Count(text, "\n")+1 {
			t.Errorf("%d mounts", len(mounts))
		}
		for _, m := range mounts {
			if len(m.Target) > len(text) || m.FSType == "" || m.Devnum == "" {
				t.Errorf("%+v", m)
			}
		}
	})
}
