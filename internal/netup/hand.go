package netup

import (
	"net/netip"
	"strings"

	"firstlight/internal/netreport"
)

// only leaves all other links alone where the first one that can be used is to
// be the only one (ip=single-dhcp).
func (c *Core) only(l *link) {
	if !l.setup.First {
		return
	}
	for _, o := range c.order {
		if o != l && o.setup != nil && o.setup.First {
			o.leave()
			o.report(netreport.Report{State: netreport.StateUnused}.With("mac", hardware(o.Address)))
		}
	}
}

// leave takes from a link what it was given and leaves it as it was found.
func (l *link) leave() {
	c := l.c
	c.unusable(l)
	l.client, l.lease, l.local = nil, nil, nil
	l.stopProbing()
	l.overdue, l.state, l.setup = Never, "", nil
	for kind := range kinds {
		l.closeFor(kind)
	}
	for _, a := range l.taken {
		if a.Addr().Is4() {
			c.k.DelAddress(l.Index, a) // what it had goes anyway when it is set down
		}
	}
	if l.six != nil {
		for _, h := range l.six.have {
			c.k.DelAddress(l.Index, h.Prefix)
		}
		for _, r := range l.six.routes {
			c.k.DelRoute(r)
		}
		l.restore6()
		if l.six.none == "" {
			l.sysctl6("conf", "accept_ra", "1")
		}
	}
	l.taken, l.set, l.six = nil, nil, nil
	if l.up && !l.found {
		if err := c.k.SetUp(l.Index, false); err != nil {
			c.note(l.Name + ": " + err.Error())
		}
		l.Up = false
	}
	l.up = false
}

// End is the end of the boot: the real system takes over. Links that were tried
// because nobody named one, and that the root is not on, are left as they were
// found.
func (c *Core) End() {
	for _, l := range append([]*link(nil), c.order...) {
		switch {
		case l.setup == nil:
		case !l.kept():
			l.leave()
		default:
			l.restore6()
		}
	}
}

// kept says whether a link is the real system's as it is: the command line names
// it, the root is on it, or the network is wanted for itself.
func (l *link) kept() bool {
	if !l.setup.Any || l.carries {
		return true
	}
	conf := l.c.plan.Config
	return l.state == netreport.StateReady && (conf == nil || len(conf.Roots) == 0 || l.c.several)
}

// carry notes that the root's server is reached over a link.
func (c *Core) carry(server netip.Addr) {
	var best *link
	bits := -1
	via := func(l *link, p netip.Prefix) {
		if p.Contains(server.WithZone("")) && p.Bits() > bits {
			best, bits = l, p.Bits()
		}
	}
	for _, l := range c.usable {
		if zone := server.Zone(); zone != "" && zone != l.Name {
			continue
		}
		for _, a := range l.taken {
			via(l, a.Masked())
		}
		for _, r := range l.set {
			via(l, r.To.Masked())
		}
		if l.six != nil {
			for _, r := range l.six.routes {
				via(l, r.To.Masked())
			}
		}
	}
	if best == nil {
		best = c.bootLink() // and then the kernel finds no way
	}
	if best != nil {
		best.carries = true
	}
}

// hand leaves what the real system needs to go on with a link: the lease in the
// form of initramfs-tools and klibc's ipconfig, and what systemd-networkd,
// NetworkManager and ifupdown read.
func (l *link) hand() {
	if !l.kept() || l.state != netreport.StateReady {
		return
	}
	r := l.readyReport()
	r.Link = l.Name
	for _, f := range handed(&r, l.setup.dynamic()) {
		if f.text == l.handed[f.name] {
			continue
		}
		if l.handed == nil {
			l.handed = map[string]string{}
		}
		l.handed[f.name] = f.text
		if err := l.c.k.WriteFile(f.name, f.text, f.mode); err != nil {
			l.c.note("the real system is not told of " + l.Name + ": " + err.Error())
		}
	}
}

// dynamic says by which protocols the real system gets the link's addresses.
func (s *Setup) dynamic() dynamic {
	return dynamic{v4: s.DHCP, ra: s.Auto6 || s.DHCP6, local4: s.Link4, local6: s.Link6}
}

type dynamic struct{ v4, ra, local4, local6 bool }

// file is one that the real system reads.
type file struct {
	name, text string
	mode       uint32
}

// handed are the files of a link.
func handed(r *netreport.Report, d dynamic) []file {
	list := []file{
		{"/run/net-" + r.Link + ".conf", ipconfig(r), 0o644},
		{"/run/systemd/network/zzzz-firstlight-" + r.Link + ".network", networkd(r, d), 0o644},
	}
	if strings.ContainsAny(r.Link, "/") {
		return nil
	}
	return list
}

// addresses are those of a report: of IPv4 and of IPv6.
func addresses(r *netreport.Report, name string) (v4, v6 []string) {
	for _, f := range r.Fields {
		switch {
		case f.Name != name:
		case strings.Contains(f.Value, ":"):
			v6 = append(v6, f.Value)
		default:
			v4 = append(v4, f.Value)
		}
	}
	return v4, v6
}

// first is the first of a list, or else another value.
func first(list []string, other string) string {
	if len(list) > 0 && list[0] != "" {
		return list[0]
	}
	return other
}

// ipconfig is the file that scripts of the real system and of initramfs-tools
// read as shell assignments. What a server has sent and could be anything else
// in a shell is left out.
func ipconfig(r *netreport.Report) string {
	var b strings.Builder
	set := func(name, value string) {
		for _, c := range []byte(value) {
			if c <= ' ' || c >= 0x7f || strings.IndexByte("'\"\\`$;&|<>(){}*?!#~", c) >= 0 {
				value = ""
				break
			}
		}
		b.WriteString(name + "='" + value + "'\n")
	}
	addr4, addr6 := addresses(r, "addr")
	gateway4, gateway6 := addresses(r, "gateway")
	dns4, dns6 := addresses(r, "dns")
	dns4 = append(dns4, "0.0.0.0", "0.0.0.0")
	addr, _, _ := strings.Cut(first(addr4, ""), "/")
	or := func(v, other string) string { return first([]string{v}, other) }
	set("DEVICE", r.Link)
	set("PROTO", or(r.Get("proto"), "none"))
	set("IPV4ADDR", addr)
	set("IPV4BROADCAST", r.Get("broadcast"))
	set("IPV4NETMASK", r.Get("netmask"))
	set("IPV4GATEWAY", first(gateway4, "0.0.0.0"))
	set("IPV4DNS0", dns4[0])
	set("IPV4DNS1", dns4[1])
	if len(addr6) > 0 { // initramfs-tools' dhclient writes these (configure_networking)
		set("IPV6ADDR", strings.Split(addr6[0], "/")[0])
		set("IPV6NETMASK", strings.Split(addr6[0], "/")[1])
		set("IPV6GATEWAY", first(gateway6, ""))
		set("IPV6DNS0", first(dns6, ""))
	}
	set("HOSTNAME", r.Get("hostname"))
	set("DNSDOMAIN", r.Get("domain"))
	set("NISDOMAIN", "")
	set("ROOTSERVER", or(r.Get("nextserver"), or(r.Get("server"), "0.0.0.0")))
	set("ROOTPATH", r.Get("rootpath"))
	set("filename", r.Get("bootfile"))
	set("DHCPLEASETIME", or(r.Get("lifetime"), "0"))
	set("DOMAINSEARCH", "")
	return b.String()
}

// networkd is a file of systemd.network(5). Its name lets any other file for the
// link come first. networkd 255 and later keep what is configured by default.
func networkd(r *netreport.Report, d dynamic) string {
	text := "# Made by Firstlight: the root was mounted over this link.\n[Match]\nMACAddress=" + r.Get("mac") + "\nName=" + r.Link +
		"\n\n[Network]\nKeepConfiguration=yes\n"
	if d.v4 {
		text += "DHCP=ipv4\n"
	}
	if d.ra {
		text += "IPv6AcceptRA=yes\n"
		_, dns := addresses(r, "dns")
		for _, a := range dns {
			text += "DNS=" + a + "\n"
		}
	}
	if d.local4 {
		text += "LinkLocalAddressing=yes\n"
	}
	if d == (dynamic{}) {
		for _, f := range r.Fields {
			switch f.Name {
			case "addr":
				text += "Address=" + f.Value + "\n"
			case "gateway":
				text += "Gateway=" + f.Value + "\n"
			case "dns":
				text += "DNS=" + f.Value + "\n"
			}
		}
		return text
	}
	if d.v4 {
		text += "\n[DHCPv4]\nClientIdentifier=mac\n"
	}
	if d.ra {
		// networkd takes an address of DHCPv6 away when it is stopped, whatever is to
		// be kept: at the end of the real system the root would go before those who
		// write to it. The address stays without.
		text += "\n[IPv6AcceptRA]\nDHCPv6Client=no\n"
	}
	return text
}
