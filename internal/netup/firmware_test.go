package netup_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"firstlight/internal/ibft/ibfttest"
	"firstlight/internal/netup"
	"firstlight/internal/netup/netuptest"
)

// written is a table of a firmware that was told an address.
func written() ibfttest.Shown {
	s := ibfttest.Usual()
	for _, name := range []string{"subnet-mask", "dhcp", "vlan"} {
		delete(s, "ethernet0/"+name)
	}
	s["ethernet0/flags"], s["ethernet0/mac"], s["ethernet0/origin"] = "3", "02:00:00:00:01:01", "1"
	s["ethernet0/ip-addr"], s["ethernet0/prefix-len"], s["ethernet0/gateway"], s["ethernet0/primary-dns"] = "10.0.0.9", "24", "10.0.0.1", "10.0.0.2"
	s["target0/ip-addr"], s["target0/chap-secret"] = "10.0.0.1", "hidden"
	return s
}

// What the firmware booted by is configured as it was, and nothing else.
func TestLinkOfTheFirmwaresTable(t *testing.T) {
	n, c, lines := network(&netuptest.Card{}, &netuptest.Card{})
	n.Firmware.IBFT = written()
	n.Start("ip=ibft\nrd.iscsi.firmware=1\n")
	c.run(2 * time.Second)
	if !slices.Equal(n.Addresses["eth1"], []netip.Prefix{netip.MustParsePrefix("10.0.0.9/24")}) || len(n.Addresses["eth0"]) > 0 || n.Host != "node7" ||
		n.Resolv != "nameserver 10.0.0.2\n" || len(n.Routes) != 1 || n.Routes[0].Gateway != serverAddr || n.Sent > 0 {
		t.Errorf("%v %v %q %q", n.Addresses, n.Routes, n.Resolv, n.Host)
	}
	if !has(*lines, "ready eth1") || !has(*lines, "root eth1 kind=iscsi server=10.0.0.1") || has(*lines, "hidden") {
		t.Error(strings.Join(*lines, "\n"))
	}
	// An address that came from a server is asked for again.
	n, c, lines = network(&netuptest.Card{}, &netuptest.Card{})
	leased := written()
	leased["ethernet0/origin"] = "3"
	n.Firmware.IBFT = leased
	n.Start("ip=ibft\nrd.neednet=1\n")
	c.run(2 * time.Second)
	if !slices.Equal(n.Addresses["eth1"], pool[:1]) || len(n.Addresses["eth0"]) > 0 {
		t.Errorf("%v\n%s", n.Addresses, strings.Join(*lines, "\n"))
	}
}

// A VLAN of the table is made on the card that has the address.
func TestVLANOfTheFirmwaresTable(t *testing.T) {
	n, c, lines := network(&netuptest.Card{}, &netuptest.Card{})
	table := written()
	table["ethernet0/vlan"] = "5"
	n.Firmware.IBFT = table
	n.Start("ip=ibft\nrd.neednet=1\n")
	c.run(2 * time.Second)
	if len(n.Made) != 1 || n.Made[0].Name != "eth1.5" || n.Made[0].Kind != "vlan" ||
		!slices.Equal(n.Addresses["eth1.5"], []netip.Prefix{netip.MustParsePrefix("10.0.0.9/24")}) || len(n.Addresses["eth1"]) > 0 {
		t.Errorf("%v %v\n%s", n.Made, n.Addresses, strings.Join(*lines, "\n"))
	}
}

func TestTablesThatCannotBeUsedAreSaid(t *testing.T) {
	for _, x := range []struct {
		f    netup.Firmware
		want string
	}{
		{netup.Firmware{}, "the\\x20firmware\\x20has\\x20no\\x20iSCSI\\x20table"},
		{netup.Firmware{Tables: map[string][]byte{"iBFT": []byte("iBFT and no more of it")}}, "iSCSI\\x20table\\x20cannot\\x20be\\x20used:\\x20iBFT\\x20is\\x20too\\x20short"},
		{netup.Firmware{IBFT: written(), Tables: map[string][]byte{"NBFT": []byte("NBFT")}}, "NVMe\\x20table\\x20NBFT\\x20cannot\\x20be\\x20used"},
	} {
		n, c, lines := network(&netuptest.Card{}, &netuptest.Card{})
		n.Firmware = x.f
		n.Start("ip=ibft\nrd.neednet=1\n")
		c.run(2 * time.Second)
		if !has(*lines, "note -", x.want) || x.f.IBFT == nil && has(*lines, "ready ") {
			t.Errorf("%s: %s", x.want, strings.Join(*lines, "\n"))
		}
	}
}
