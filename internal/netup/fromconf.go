package netup

import (
	"net/netip"
	"strings"

	"firstlight/internal/netconf"
)

// FromConfig is the plan of a command line. What no interface is said to do
// where the network is needed gets its address by DHCP.
func FromConfig(c *netconf.Config) *Plan {
	p := &Plan{Config: c, Search: c.Domains, Nameservers: c.DNS, PeerDNS: c.PeerDNS, Times: c.Timeouts, Retry: c.DHCP.Retry}
	p.Made = madeOf(c)
	p.For = func(name string, hardware []byte) *Setup {
		if c.Off {
			return nil
		}
		in := c.For(name, mac(hardware))
		if in == nil {
			return nil
		}
		s := setupOf(c, in, name)
		s.Hardware = cloned(c, in, name, hardware)
		return s
	}
	p.Rename = func(hardware []byte) string {
		m := mac(hardware)
		if name, ok := c.NameFor(m); ok {
			return name
		}
		for _, in := range c.Interfaces { // make-initrd's way to name one
			if in.MAC != "" && in.MAC == m {
				return in.Match.Name
			}
		}
		return ""
	}
	return p
}

// cloned is the hardware address that an interface is to get, nil for none: that
// which stands behind its name, if it is one that no card has from its maker
// (the second bit of the first byte), or the interface has none of its own.
// Another one is that of the card that is to have the name.
func cloned(c *netconf.Config, in *netconf.Interface, name string, is []byte) []byte {
	hw := in.MAC.Bytes()
	if in.Match.Name != name || len(hw) != len(is) || string(hw) == string(is) {
		return nil
	}
	for i := range c.Links {
		if c.Links[i].Name == name {
			return hw
		}
	}
	if hw[0]&2 != 0 && hw[0]&1 == 0 {
		return hw
	}
	return nil
}

// mac is a hardware address in netconf's spelling.
func mac(hw []byte) netconf.MAC { return netconf.MAC(hardware(hw)) }

// setupOf is what an interface is to get.
func setupOf(c *netconf.Config, in *netconf.Interface, name string) *Setup {
	m := in.Method
	s := &Setup{HostName: in.HostName, MTU: uint32(max(in.MTU, 0)), DNS: in.DNS, Server: in.Server, VendorClass: c.DHCP.VendorClass, Any: in.Match.IsAny(), ByHardware: in.Match.MAC != "",
		DHCP: m&netconf.DHCP4 != 0, Auto6: m&netconf.SLAAC != 0, DHCP6: m&netconf.DHCP6 != 0, Fallback6: m&netconf.Fallback6 != 0,
		Link4: m&netconf.Link4 != 0, Link6: m&netconf.Link6 != 0, First: in.First,
		Either: m&netconf.Either != 0 || m&netconf.Link4 != 0 && m&(netconf.Link6|netconf.DHCP4) != 0}
	if s.HostName == "" {
		s.HostName = c.HostName
	}
	s.Bare = m == 0 && len(in.Addrs) == 0 && (in.Bare || c.Bare())
	if c.DHCP.ClientID != "" {
		s.ClientID = append([]byte{0}, c.DHCP.ClientID...) // type 0: no hardware address (RFC 2132, 9.14)
	}
	for _, a := range in.Addrs {
		if a.Bits() < 0 {
			a = netip.PrefixFrom(a.Addr(), a.Addr().BitLen())
		}
		s.Addresses = append(s.Addresses, a)
	}
	if in.Peer.IsValid() {
		s.Peer = in.Peer.Addr()
	}
	for _, g := range in.Gateways {
		all := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
		if g.Is6() {
			all = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		}
		s.Routes = append(s.Routes, Route{To: all, Gateway: g, OnLink: !inside(s.Addresses, g) && !s.Peer.IsValid()})
	}
	if m&netconf.IBFT != 0 && m&^netconf.IBFT == 0 {
		s.Cannot = "the address of the firmware's iSCSI table"
		s.Why = "no table of the firmware speaks of this interface"
	}
	return s
}

// inside says whether an address is in the network of one of the others.
func inside(list []netip.Prefix, a netip.Addr) bool {
	for _, p := range list {
		if p.Masked().Contains(a) {
			return true
		}
	}
	return false
}

// Params reads what the boot hands to the helper: one parameter of the command
// line a line, as NAME or NAME=VALUE.
func Params(text string) []netconf.Param {
	var out []netconf.Param
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			continue
		}
		name, value, has := strings.Cut(line, "=")
		out = append(out, netconf.Param{Name: name, Value: value, HasValue: has})
	}
	return out
}

// Predictable says whether links get predictable names: unless net.ifnames=0
// says that they do not.
func Predictable(params []netconf.Param) bool {
	yes := true
	for _, p := range params {
		if p.Name == "net.ifnames" {
			yes = p.Value != "0"
		}
	}
	return yes
}
