package netup

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"firstlight/internal/dhcp4"
	"firstlight/internal/netreport"
	"firstlight/internal/rtnl"
	"firstlight/internal/timespan"
)

// probe asks whether anybody has the addresses that the link is to get. Where
// that cannot be asked they are taken at once: IPv6 asks by itself.
func (l *link) probe(list []netip.Prefix) {
	l.probing = nil
	var free []netip.Prefix
	for _, a := range list {
		if a.Addr().Is4() && l.Type == ethernet && !l.setup.Peer.IsValid() {
			l.probing = append(l.probing, a)
		} else {
			free = append(free, a)
		}
	}
	if len(free) > 0 {
		l.configure(free)
	}
	if len(l.probing) == 0 || !l.openFor(ARP) {
		l.configure(l.probing)
		l.probing = nil
		return
	}
	l.sent = 0
	l.probeStep()
}

// probeStep sends the next probe, or takes the addresses that nobody has.
func (l *link) probeStep() {
	if l.probing == nil { // the pause after a conflict is over
		l.probeAt = Never
		if l.Carrier && len(l.taken) == 0 { // until the answer it is a conflict still
			l.probe(l.setup.Addresses)
		}
		return
	}
	if l.sent == probes {
		list := l.probing
		l.probing, l.probeAt = nil, Never
		l.configure(list)
		return
	}
	l.sent++
	l.probeAt = l.c.now + probeInterval
	for _, a := range l.probing {
		l.sendARP(arp{Op: arpRequest, SenderAddr: zero, TargetAddr: a.Addr()})
	}
}

func (l *link) stopProbing() {
	l.probing, l.probeAt, l.again = nil, Never, Never
	l.closeFor(ARP)
}

func (l *link) sendARP(a arp) {
	copy(a.Sender[:], l.Address)
	if err := l.c.k.Send(l.Index, Frame{Kind: ARP, Peer: everybody(), Data: a.bytes()}); err != nil {
		l.c.note(l.Name + ": " + err.Error())
	}
}

// arp takes in an ARP packet: somebody has an address that was asked for, or
// asks for it as well (RFC 5227, 2.1.1).
func (l *link) arp(a arp) {
	if string(a.Sender[:]) == string(l.Address) {
		return
	}
	for _, p := range l.probing {
		has := a.SenderAddr == p.Addr()
		asks := a.Op == arpRequest && a.SenderAddr == zero && a.TargetAddr == p.Addr()
		if !has && !asks {
			continue
		}
		l.stopProbing()
		l.conflict(p, a.Sender[:])
		return
	}
}

// conflict is what becomes of a link whose address another machine has: a lease
// is refused, and a static address asked for again later.
func (l *link) conflict(p netip.Prefix, by []byte) {
	r := netreport.Report{State: netreport.StateConflict}.With("addr", p.Addr().String()).With("by", hardware(by))
	if l.client != nil && l.lease != nil && l.lease.Addr == p {
		l.lease = nil
		l.state = netreport.StateConflict
		l.report(r)
		l.obey(l.client.Conflict(l.c.now))
		return
	}
	l.state = netreport.StateConflict
	l.probeAt = l.c.now + conflictPause
	l.report(r)
}

// configure gives the link addresses that nobody else has, and what goes with
// them. The kernel is told of no end of a lease: the helper takes the address away
// in time while it runs, and afterwards a root on a server must not be lost where
// nobody in the real system renews the lease.
func (l *link) configure(list []netip.Prefix) {
	c, s := l.c, l.setup
	for _, a := range list {
		var broadcast netip.Addr
		if l.lease != nil && l.lease.Addr == a {
			broadcast = l.lease.Broadcast
		}
		if a.Addr().Is4() && !broadcast.IsValid() && a.Bits() < 31 {
			broadcast = last(a)
		}
		if err := c.k.AddAddress(l.Index, a, s.Peer, broadcast, 0); err != nil {
			l.fail("the address " + a.String() + ": " + err.Error())
			return
		}
		l.take(a)
	}
	if !l.complete() {
		return
	}
	if lease := l.lease; lease != nil {
		if lease.MTU > 0 && s.MTU == 0 && uint32(lease.MTU) != l.MTU {
			if err := c.k.SetMTU(l.Index, uint32(lease.MTU)); err != nil {
				c.note(l.Name + ": MTU " + strconv.Itoa(lease.MTU) + ": " + err.Error())
			}
		}
		for _, text := range lease.Notes {
			c.note(l.Name + ": of the lease is not used: " + text)
		}
	}
	l.routes()
	first := l.state != netreport.StateReady
	l.state = netreport.StateReady
	if first {
		c.usable = append(c.usable, l)
	}
	c.resolver()
	name := s.HostName
	if l.lease != nil && name == "" {
		name = l.lease.HostName
	}
	c.hostname(name)
	l.tell()
	c.root()
	if first {
		l.announce()
		l.again = c.now + announceAgain
	}
}

// take notes an address of the link.
func (l *link) take(a netip.Prefix) {
	for _, t := range l.taken {
		if t == a {
			return
		}
	}
	l.taken = append(l.taken, a)
}

// complete says whether the link has all that is asked for.
func (l *link) complete() bool {
	s := l.setup
	if s.DHCP && l.lease == nil || s.Auto6 && !l.has6 || len(l.probing) > 0 {
		return false
	}
	return len(l.taken) >= len(s.Addresses)
}

// routes sets the routes of the lease and of the command line. A link that came
// up earlier has precedence, hence the metric.
func (l *link) routes() {
	var list []Route
	if l.lease != nil {
		for _, r := range l.lease.Routes {
			list = append(list, Route{To: r.Dst, Gateway: r.Via, OnLink: r.OnLink})
		}
	}
	list = append(list, l.setup.Routes...)
	if conf := l.c.plan.Config; conf != nil {
		for _, r := range conf.Routes {
			if r.Interface == l.Name || r.Interface == "" && r.Via.IsValid() && inside(l.taken, r.Via) {
				list = append(list, Route{To: r.Dst, Gateway: r.Via})
			}
		}
	}
	metric := uint32(0)
	for i, x := range l.c.order {
		if x == l && i > 0 {
			metric = uint32(i)
		}
	}
	for _, r := range list {
		err := l.c.k.AddRoute(rtnl.Route{Link: l.Index, To: r.To, Gateway: r.Gateway, OnLink: r.OnLink, Metric: metric})
		if err != nil {
			to := r.To.String()
			if r.Gateway.IsValid() {
				to += " by " + r.Gateway.String()
			}
			l.c.note(l.Name + ": the route to " + to + ": " + err.Error())
		}
	}
}

// announce tells everybody on the link whose its addresses are.
func (l *link) announce() {
	if l.Type != ethernet || !l.openFor(ARP) {
		return
	}
	for _, a := range l.taken {
		if a.Addr().Is4() {
			l.sendARP(arp{Op: arpRequest, SenderAddr: a.Addr(), TargetAddr: a.Addr()})
		}
	}
}

// release takes the link's addresses away.
func (l *link) release() {
	var kept []netip.Prefix
	for _, a := range l.taken {
		if contains(l.setup.Addresses, a) {
			kept = append(kept, a)
			continue
		}
		if err := l.c.k.DelAddress(l.Index, a); err != nil {
			l.c.note(l.Name + ": " + err.Error())
		}
	}
	l.taken = kept
	if l.state == netreport.StateReady {
		l.state = netreport.StateDHCP
		l.c.unusable(l)
	}
}

func contains(list []netip.Prefix, a netip.Prefix) bool {
	for _, x := range list {
		if x == a {
			return true
		}
	}
	return false
}

// last is the last address of a network, to which everybody in it listens.
func last(p netip.Prefix) netip.Addr {
	a := p.Addr().As4()
	for i := range a {
		if free := 8*(i+1) - p.Bits(); free > 0 {
			a[i] |= byte(1<<min(free, 8) - 1)
		}
	}
	return netip.AddrFrom4(a)
}

// mask is a netmask of so many bits.
func mask(bits int) netip.Addr {
	var a [4]byte
	for i := range bits {
		a[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(a)
}

// fail reports that a link cannot be used.
func (l *link) fail(text string) {
	l.state = netreport.StateFailed
	l.report(netreport.Report{State: netreport.StateFailed}.With("text", text))
}

// tell reports the state of the link where it is another than before.
func (l *link) tell() {
	if l.setup == nil || l.state == netreport.StateFailed || l.paused() {
		return
	}
	r := netreport.Report{State: netreport.StateLink}
	switch {
	case l.state == netreport.StateReady && l.complete():
		r = l.readyReport()
	case !l.Carrier:
		r = r.With("carrier", "no").With("by", l.by)
		if l.late {
			r = r.With("late", "yes")
		}
	case len(l.probing) > 0:
		r = netreport.Report{State: netreport.StateProbe}.With("addr", l.probing[0].Addr().String())
	case l.client != nil && l.lease == nil:
		r = netreport.Report{State: netreport.StateDHCP}.With("text", l.client.Explain()).With("since", tenths(l.carrier)).With("sent", strconv.Itoa(l.requests))
		if l.late {
			r = r.With("late", "yes")
		}
	case l.setup.Auto6 && !l.has6:
		r = r.With("carrier", "yes").With("text", "no IPv6 address yet")
	default:
		r = r.With("carrier", "yes")
	}
	l.report(r)
}

// readyReport is all that the boot may want to know of a link that can be used.
func (l *link) readyReport() netreport.Report {
	r := netreport.Report{State: netreport.StateReady}.With("mac", hardware(l.Address)).With("index", strconv.Itoa(l.Index))
	first := true
	for _, a := range l.taken {
		r = r.With("addr", a.String())
		if a.Addr().Is4() && first {
			first = false
			r = r.With("netmask", mask(a.Bits()).String()).With("broadcast", last(a).String())
		}
	}
	gateways := l.setup.Routes
	proto := "static"
	if l.lease != nil {
		proto = "dhcp"
		for _, x := range l.lease.Routes {
			gateways = append(gateways[:len(gateways):len(gateways)], Route{To: x.Dst, Gateway: x.Via})
		}
	} else if l.setup.Auto6 {
		proto = "auto6"
	}
	r = r.With("proto", proto)
	for _, g := range gateways {
		if g.To.Bits() == 0 && g.Gateway.IsValid() {
			r = r.With("gateway", g.Gateway.String())
			break
		}
	}
	for _, a := range l.setup.DNS {
		r = r.With("dns", a.String())
	}
	if x := l.lease; x != nil {
		r = r.With("server", x.Server.String()).With("hostname", x.HostName).With("domain", x.Domain).With("rootpath", x.RootPath).
			With("bootfile", x.BootFile).With("tftp", x.TFTPServer)
		for _, a := range x.DNS {
			r = r.With("dns", a.String())
		}
		if x.NextServer.IsValid() {
			r = r.With("nextserver", x.NextServer.String())
		}
		if len(x.Search) > 0 {
			r = r.With("search", strings.Join(x.Search, " "))
		}
		if x.Lifetime < timespan.Forever {
			r = r.With("lifetime", strconv.Itoa(int(x.Lifetime/time.Second)))
		}
	}
	return r
}

// report says it, unless that was the last thing said of the link.
func (l *link) report(r netreport.Report) {
	r.Link = l.Name
	line := r.String()
	if line == l.said {
		return
	}
	l.said = line
	l.c.k.Say(r)
}

// hardware is a hardware address the way people write it.
func hardware(b []byte) string {
	var out strings.Builder
	for i, c := range b {
		if i > 0 {
			out.WriteByte(':')
		}
		out.WriteByte(hexDigits[c>>4])
		out.WriteByte(hexDigits[c&15])
	}
	return out.String()
}

// tenths is a time of the boot in seconds, with one digit behind the point.
func tenths(d time.Duration) string {
	n := int(d / (100 * time.Millisecond))
	return strconv.Itoa(n/10) + "." + strconv.Itoa(n%10)
}

// paused says whether nothing goes on because another machine has the address.
func (l *link) paused() bool {
	return l.state == netreport.StateConflict && l.Carrier && l.lease == nil && (l.client == nil || l.client.State() == dhcp4.Waiting)
}

const hexDigits = "0123456789abcdef"
