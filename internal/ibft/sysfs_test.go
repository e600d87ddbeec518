package ibft

import (
	"net/netip"
	"os"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// shown is what the kernel shows, by path.
type shown map[string]string

func (s shown) Read(p string) (string, error) {
	if v, ok := s[p]; ok {
		return v, nil
	}
	return "", os.ErrNotExist
}

func (s shown) List(string) (list []string, err error) {
	for p := range s {
		if d := path.Dir(p); !slices.Contains(list, d) {
			list = append(list, d)
		}
	}
	slices.Sort(list)
	return list, nil
}

// usual is the table of the other tests as drivers/firmware/iscsi_ibft.c and
// drivers/scsi/iscsi_boot_sysfs.c show it.
func usual() shown {
	return shown{
		"initiator/initiator-name": "iqn.2010-04.org.ipxe:me", "initiator/flags": "3",
		"ethernet0/index": "0", "ethernet0/flags": "7", "ethernet0/ip-addr": "192.168.50.101", "ethernet0/subnet-mask": "255.255.255.0", "ethernet0/origin": "3",
		"ethernet0/gateway": "192.168.50.1", "ethernet0/primary-dns": "192.168.50.2", "ethernet0/dhcp": "192.168.50.3", "ethernet0/vlan": "5",
		"ethernet0/mac": "52:54:00:12:34:56", "ethernet0/hostname": "node7",
		"target0/index": "0", "target0/flags": "3", "target0/ip-addr": "192.168.50.10", "target0/port": "3260", "target0/lun": "01000000", "target0/nic-assoc": "0",
		"target0/target-name": "iqn.2009-06.org.example:disk", "target0/chap-name": "user", "target0/chap-secret": "secret",
		"target0/rev-chap-name": "inuser", "target0/rev-chap-name-secret": "insecret", "acpi_header/signature": "iBFT",
	}
}

// The kernel's view of a table is what the table says.
func TestATableThatTheKernelShows(t *testing.T) {
	want, err := Parse(table())
	if err != nil {
		t.Fatal(err)
	}
	want.NICs[0].PCI = 0 // which the kernel shows as a link
	if got := FromDir(usual()); !reflect.DeepEqual(got, want) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
	six := usual()
	six["ethernet0/ip-addr"], six["ethernet0/prefix-len"], six["target0/lun"] = "fd00::5", "64", "0001000000000000"
	if got := FromDir(six); got.NICs[0].Addr != netip.MustParsePrefix("fd00::5/64") || got.Targets[0].LUN != 1<<48 {
		t.Errorf("%+v", got)
	}
	if got := FromDir(shown{}); got != nil {
		t.Errorf("%+v of nothing", got)
	}
}

func TestWhatTheKernelShowsAndCannotBeUsed(t *testing.T) {
	for name, value := range map[string]string{
		"ethernet0/mac": "00:00:00:00:00:00", "ethernet0/subnet-mask": "255.0.255.0", "ethernet0/vlan": "many", "ethernet0/hostname": "a\x01b",
		"target0/lun": "0110000", "target0/port": "0", "target0/target-name": "", "target0/ip-addr": "::",
	} {
		s := usual()
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
		s := usual()
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
