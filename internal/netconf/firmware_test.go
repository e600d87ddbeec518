package netconf

import (
	"net/netip"
	"strings"
	"testing"

	"firstlight/internal/ibft"
	"firstlight/internal/nbft"
)

func showAll(c *Config) string {
	var list []string
	for _, in := range c.Interfaces {
		s := in.show()
		if in.VLAN != 0 {
			s += " vlan"
		}
		list = append(list, s)
	}
	for _, r := range c.Roots {
		list = append(list, r.By+" "+r.Server)
	}
	return strings.Join(list, "; ")
}

func TestWhatTheISCSITableSaysIsConfigured(t *testing.T) {
	a := netip.MustParseAddr
	table := &ibft.Table{
		NICs: []ibft.NIC{
			{Index: 0, Boot: true, MAC: [6]byte{0x52, 0x54, 0, 0x12, 0x34, 0x56}, Addr: netip.MustParsePrefix("10.0.0.5/24"), Gateway: a("10.0.0.1"),
				DNS: []netip.Addr{a("10.0.0.2")}, HostName: "node"},
			{Index: 1, MAC: [6]byte{0x52, 0x54, 0, 0x12, 0x34, 0x57}, Addr: netip.MustParsePrefix("10.0.1.5/24"), DHCP: true, VLAN: 7},
			{Index: 2, MAC: [6]byte{0x52, 0x54, 0, 0x12, 0x34, 0x58}},
		},
		Targets: []ibft.Target{
			{Index: 0, Boot: true, Addr: netip.MustParseAddrPort("10.0.0.9:3260"), Name: "iqn.a", User: "u"},
			{Index: 1, Addr: netip.MustParseAddrPort("10.0.1.9:3260"), Name: "iqn.a"},
		},
	}
	const first = "52:54:00:12:34:56 static addr=[10.0.0.5/24] gw=[10.0.0.1] host=node dns=[10.0.0.2]"
	for line, want := range map[string]string{
		"rd.iscsi.ibft": first + "; iBFT target 0 10.0.0.9",
		"ip=ibft":       first + "; iBFT target 0 10.0.0.9",
		"netroot=iscsi rd.iscsi.firmware ip=ibft rd.iscsi.mp": first + "; 52:54:00:12:34:57 dhcp4 vlan; iBFT target 0 10.0.0.9; iBFT target 1 10.0.1.9",
		"ip=:::::eth0:ibft ip=eth1:dhcp4":                     "eth1 dhcp4; " + first + "; iBFT target 0 10.0.0.9",
		"ip=dhcp4 BOOTIF=01-52-54-00-12-34-56 rd.iscsi.ibft":  "52:54:00:12:34:56 dhcp4; iBFT target 0 10.0.0.9",
		"ip=ibft BOOTIF=01-52-54-00-12-34-56":                 first + "; iBFT target 0 10.0.0.9",
		"ip=dhcp4":                                            "any interface dhcp4",
	} {
		c, problems := Parse(params(line))
		c.AddIBFT(table)
		if got := showAll(c); got != want || len(problems) > 0 {
			t.Errorf("%s:\n got %s %v\nwant %s", line, got, problems, want)
		}
	}
	// Nothing is marked as what was booted from: all of it is.
	table.NICs[0].Boot, table.Targets[0].Boot = false, false
	c, _ := Parse(params("ip=ibft"))
	if c.AddIBFT(table); len(c.Interfaces) != 2 || len(c.Roots) != 2 || c.Roots[0].Target.User != "u" {
		t.Errorf("%s", showAll(c))
	}
}

func TestWhatTheNVMeTableSaysIsConfigured(t *testing.T) {
	table := &nbft.Table{
		HFIs: []nbft.HFI{
			{Index: 1, MAC: [6]byte{0x52, 0x54, 0, 0x12, 0x34, 0x56}, Addr: netip.MustParsePrefix("10.0.0.5/24"), Gateway: netip.MustParseAddr("10.0.0.1")},
			{Index: 2, MAC: [6]byte{0x52, 0x54, 0, 0x12, 0x34, 0x56}, Addr: netip.MustParsePrefix("2001:db8::5/64"), Gateway: netip.MustParseAddr("fe80::1"), HostName: "a b"},
			{Index: 3, MAC: [6]byte{0x52, 0x54, 0, 0x12, 0x34, 0x57}, Addr: netip.MustParsePrefix("2001:db8::6/64"), DHCP: true},
			{Index: 4, MAC: [6]byte{0x52, 0x54, 0, 0x12, 0x34, 0x58}, Addr: netip.MustParsePrefix("2001:db8::7/64"), Router: true},
			{Index: 5, MAC: [6]byte{0x52, 0x54, 0, 0x12, 0x34, 0x59}, Addr: netip.MustParsePrefix("10.0.0.6/24")},
		},
		Namespaces:  []nbft.Namespace{{HFIs: []byte{1, 2}}, {HFIs: []byte{3}}},
		Discoveries: []nbft.Discovery{{HFI: 4}},
	}
	for line, want := range map[string]string{
		"":               "52:54:00:12:34:56 static addr=[10.0.0.5/24 2001:db8::5/64] gw=[10.0.0.1 fe80::1]; 52:54:00:12:34:57 dhcp6 slaac; 52:54:00:12:34:58 slaac",
		"rd.nvmf.nonbft": "", "ip=off": "",
	} {
		c, _ := Parse(params(line))
		c.AddNBFT(table)
		if got := showAll(c); got != want || c.Need != (want != "") {
			t.Errorf("%s:\n got %s, need %t\nwant %s", line, got, c.Need, want)
		}
	}
}
