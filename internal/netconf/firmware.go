package netconf

import (
	"net/netip"
	"slices"
	"strconv"

	"firstlight/internal/ibft"
	"firstlight/internal/nbft"
)

// AddIBFT adds what the firmware's iSCSI table says, if the command line asks
// for it: the interface that was booted from, or all of them, and the targets
// as roots. An interface that the command line speaks of by its address stays as
// it says. The number of the table's interfaces is in By, "iBFT interface 0".
func (c *Config) AddIBFT(t *ibft.Table) {
	if !c.IBFT || c.Off {
		return
	}
	some := slices.ContainsFunc(t.NICs, func(n ibft.NIC) bool { return n.Boot })
	for _, n := range t.NICs {
		if some && !n.Boot && !c.AllIBFT {
			continue
		}
		c.addFirmware(Interface{
			Match: Match{MAC: macOf(n.MAC)}, VLAN: n.VLAN, HostName: hostOf(n.HostName),
			By: []string{"iBFT interface " + strconv.Itoa(int(n.Index))},
		}, firmwareAddr{n.Addr, n.Gateway, n.DNS, n.DHCP, false})
	}
	for _, x := range t.Targets {
		if !x.Boot && !c.AllIBFT && slices.ContainsFunc(t.Targets, func(o ibft.Target) bool { return o.Boot }) {
			continue
		}
		c.Roots = append(c.Roots, Root{
			Kind: RootISCSI, By: "iBFT target " + strconv.Itoa(int(x.Index)), Server: x.Addr.Addr().String(),
			Target: &ISCSITarget{
				User: x.User, Password: x.Secret, InUser: x.InUser, InPassword: x.InSecret,
				Protocol: 6, Port: x.Addr.Port(), LUN: x.LUN, Name: x.Name,
			},
		})
	}
	c.replaceIBFT()
	c.Need = c.Need || len(c.Roots) > 0
}

// replaceIBFT takes out what only said that the table is to be looked at.
func (c *Config) replaceIBFT() {
	c.Interfaces = slices.DeleteFunc(c.Interfaces, func(in Interface) bool { return in.Method == IBFT && in.VLAN == 0 && len(in.Addrs) == 0 })
	for _, r := range c.Roots {
		if r.Target != nil {
			// A root that names no target stood for these.
			c.Roots = slices.DeleteFunc(c.Roots, func(r Root) bool { return r.Kind == RootISCSI && r.Target == nil })
			return
		}
	}
}

// AddNBFT adds the interfaces of the firmware's NVMe table by which a namespace
// is reached. What to connect to is the table's own business.
func (c *Config) AddNBFT(t *nbft.Table) {
	if !c.NBFT || c.Off {
		return
	}
	for _, h := range t.HFIs {
		if !slices.ContainsFunc(t.Namespaces, func(n nbft.Namespace) bool { return slices.Contains(n.HFIs, h.Index) }) &&
			!slices.ContainsFunc(t.Discoveries, func(d nbft.Discovery) bool { return d.HFI == h.Index }) {
			continue
		}
		c.addFirmware(Interface{
			Match: Match{MAC: macOf(h.MAC)}, VLAN: h.VLAN, HostName: hostOf(h.HostName),
			By: []string{"NBFT interface " + strconv.Itoa(int(h.Index))},
		}, firmwareAddr{h.Addr, h.Gateway, h.DNS, h.DHCP, h.Router})
	}
	c.Need = c.Need || len(t.Namespaces) > 0
}

// firmwareAddr is what both tables say of an address.
type firmwareAddr struct {
	addr         netip.Prefix
	gateway      netip.Addr
	dns          []netip.Addr
	dhcp, router bool
}

// addFirmware adds an interface. An address that came from a server is asked for
// again, one that did not is used as it is.
func (c *Config) addFirmware(in Interface, a firmwareAddr) {
	is6 := a.addr.IsValid() && a.addr.Addr().Is6()
	switch {
	case a.dhcp && is6:
		in.Method = DHCP6 | SLAAC // the gateway is what routers say
	case a.dhcp:
		in.Method = DHCP4
	case a.router:
		in.Method = SLAAC
	case a.addr.IsValid():
		in.Method, in.Addrs, in.DNS = Static, []netip.Prefix{a.addr}, a.dns
		if a.gateway.IsValid() {
			in.Gateways = []netip.Addr{a.gateway}
		}
	default:
		return // it was not used
	}
	for i := range c.Interfaces {
		old := &c.Interfaces[i]
		if old.Match != in.Match || old.VLAN != in.VLAN {
			continue
		}
		if old.Method&^IBFT != 0 && !old.firmware() {
			return // the command line says something else
		}
		if old.Method&IBFT != 0 {
			in.By = append(old.By, in.By...)
			*old = in
			return
		}
		// Two addresses of one interface, as of both families.
		old.Method |= in.Method
		for _, p := range in.Addrs {
			if !slices.Contains(old.Addrs, p) {
				old.Addrs = append(old.Addrs, p)
			}
		}
		for _, g := range in.Gateways {
			if !old.hasGateway(g) {
				old.Gateways = append(old.Gateways, g)
			}
		}
		for _, d := range in.DNS {
			addTo(&old.DNS, d)
		}
		old.By = append(old.By, in.By...)
		return
	}
	c.Interfaces = append(c.Interfaces, in)
}

// firmware says whether the interface comes from a table.
func (in *Interface) firmware() bool {
	return len(in.By) > 0 && (len(in.By[0]) > 5 && (in.By[0][:5] == "iBFT " || in.By[0][:5] == "NBFT "))
}

// hostOf is the firmware's name of the machine, if it may be one.
func hostOf(s string) string {
	if !validHost(s) || len(s) > 64 {
		return ""
	}
	return s
}

func macOf(b [6]byte) MAC {
	out := make([]byte, 0, 17)
	for i, c := range b {
		if i > 0 {
			out = append(out, ':')
		}
		out = append(out, "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
	}
	return MAC(out)
}
