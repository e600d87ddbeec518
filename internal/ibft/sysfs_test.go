package ibft

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"firstlight/internal/ibft/ibfttest"
)

// The kernel's view of a table is what the table says.
func TestATableThatTheKernelShows(t *testing.T) {
	want, err := Parse(table())
	if err != nil {
		t.Fatal(err)
	}
	want.NICs[0].PCI = 0 // which the kernel shows as a link
	if got := FromDir(ibfttest.Usual()); !reflect.DeepEqual(got, want) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
	six := ibfttest.Usual()
	six["ethernet0/ip-addr"], six["ethernet0/prefix-len"], six["target0/lun"] = "fd00::5", "64", "0001000000000000"
	if got := FromDir(six); got.NICs[0].Addr != netip.MustParsePrefix("fd00::5/64") || got.Targets[0].LUN != 1<<48 {
		t.Errorf("%+v", got)
	}
	if got := FromDir(ibfttest.Shown{}); got != nil {
		t.Errorf("%+v of nothing", got)
	}
}

func TestWhatTheKernelShowsAndCannotBeUsed(t *testing.T) {
	for name, value := range map[string]string{
		"ethernet0/mac": "00:00:00:00:00:00", "ethernet0/subnet-mask": "255.0.255.0", "ethernet0/vlan": "many", "ethernet0/hostname": "a\x01b",
		"target0/lun": "0110000", "target0/port": "0", "target0/target-name": "", "target0/ip-addr": "::",
	} {
		s := ibfttest.Usual()
		s[name] = value
		got := FromDir(s)
		used := len(got.NICs)
		if strings.HasPrefix(name, "target") {
			used = len(got.Targets)
		}
		if used != 0 || len(got.Notes) != 1 || strings.Contains(strings.Join(got.Notes, ""), "secret") {
			t.Errorf("%s=%q: %+v", name, value, got)
		}
	}
}

func FuzzFromDir(f *testing.F) {
	f.Add("ethernet0/ip-addr", "fd00::5")
	f.Add("target0/lun", "0110000")
	f.Fuzz(func(t *testing.T, name, value string) {
		s := ibfttest.Usual()
		s[name] = value
		got := FromDir(s)
		for _, n := range got.NICs {
			if n.MAC == [6]byte{} || n.Addr.IsValid() && n.Addr.Bits() == 0 {
				t.Fatalf("%+v", n)
			}
		}
		for _, x := range got.Targets {
			if x.Name == "" || x.Addr.Port() == 0 {
				t.Fatalf("%+v", x)
			}
		}
	})
}
