package netup

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"firstlight/internal/dhcp4"
	"firstlight/internal/netreport"
	"firstlight/internal/rtnl"
)

// probe asks whether anybody has the addresses that the link is to get. Where
// that cannot be asked they are taken at once: IPv6 asks by itself.
func (l *link) probe(list []netip.Prefix) {
	l.probing = nil
	var free []netip.Prefix
	for _, a := range list {
		switch {
		case a.Addr().Is6() && l.six != nil:
			l.six.add(a, true)
		case a.Addr().Is4() && l.Type == ethernet && !l.setup.Peer.IsValid():
			l.probing = append(l.probing, a)
		default:
			free = append(free, a)
		}
	}
	if len(free) > 0 {
		l.configure(free)
	}
	if len(l.probing) == 0 {
		return
	}
	if !l.openFor(ARP) {
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
		if list := l.missing(); l.Carrier && len(list) > 0 { // until the answer it is a conflict still
			l.probe(list)
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
	l.heard4(a)
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
		if l.state == netreport.StateReady && l.complete() { // by IPv6
			l.c.note(l.Name + ": another machine, " + hardware(by) + ", has the address " + p.Addr().String())
			l.obey(l.client.Conflict(l.c.now))
			return
		}
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
	if lease := l.lease; lease != nil && contains(list, lease.Addr) {
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
		c.unusable(l) // once each
		c.usable = append(c.usable, l)
		c.only(l)
	}
	c.resolver()
	name := s.HostName
	if l.lease != nil && name == "" {
		name = l.lease.HostName
	}
	c.hostname(name)
	l.tell()
	c.root()
	l.hand()
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

// missing are the addresses of the command line that the link has not yet.
func (l *link) missing() []netip.Prefix {
	var list []netip.Prefix
	for _, a := range l.setup.Addresses {
		if !contains(l.taken, a) {
			list = append(list, a)
		}
	}
	return list
}

// untake forgets an address of the link.
func (l *link) untake(a netip.Addr) {
	for i, t := range l.taken {
		if t.Addr() == a {
			l.taken = append(l.taken[:i:i], l.taken[i+1:]...)
			return
		}
	}
}

// complete says whether the link has all that is asked for.
func (l *link) complete() bool {
	s := l.setup
	if s == nil {
		return false
	}
	for _, a := range s.Addresses {
		if !contains(l.taken, a) {
			return false
		}
	}
	var some, all = false, true
	need := func(asked, has bool) {
		if asked {
			some, all = some || has, all && has
		}
	}
	need(s.DHCP, l.lease != nil && contains(l.taken, l.lease.Addr))
	need(s.Auto6 || s.DHCP6, l.six != nil && l.six.ready())
	need(s.Link6, l.six != nil && l.six.local.IsValid())
	need(s.Link4, l.local != nil && l.local.Addr().IsValid())
	if s.Either {
		return some
	}
	return all
}

// routes sets the routes of the lease and of the command line. A link that came
// up earlier has precedence, hence the metric.
func (l *link) routes() {
	var list []Route
	leased := 0
	if l.lease != nil {
		for _, r := range l.lease.Routes {
			list = append(list, Route{To: r.Dst, Gateway: r.Via, OnLink: r.OnLink})
		}
		leased = len(list)
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
	written := l.written()
	for i, r := range list {
		metric := metric
		if i < leased {
			metric += behind(written, r.To)
		}
		if metric > 0 && r.To.Addr().Is6() {
			metric += metric6 - 1
		}
		route := rtnl.Route{Link: l.Index, To: r.To, Gateway: r.Gateway, OnLink: r.OnLink, Metric: metric}
		if hasRoute(l.set, route) {
			continue
		}
		err := l.c.k.AddRoute(route)
		if err == nil {
			l.set = append(l.set, route)
		} else {
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

// release takes the link's leased address away.
func (l *link) release() {
	var kept []netip.Prefix
	for _, a := range l.taken {
		if contains(l.setup.Addresses, a) || a.Addr().Is6() {
			kept = append(kept, a)
			continue
		}
		if err := l.c.k.DelAddress(l.Index, a); err != nil {
			l.c.note(l.Name + ": " + err.Error())
		}
	}
	l.taken, l.set = kept, nil // routes go with their addresses
	l.less()
}

// less notes that something went: the link may not be usable any more.
func (l *link) less() {
	if l.state == netreport.StateReady && !l.complete() {
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
