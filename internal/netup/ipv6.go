package netup

import (
	"net/netip"
	"time"

	"firstlight/internal/dhcp6"
	"firstlight/internal/netreport"
	"firstlight/internal/ra"
	"firstlight/internal/rtnl"
)

// The kernel makes the link-local address and looks for duplicates of every
// address (RFC 4862). All else of IPv6 is done here: the kernel is told to leave
// advertisements alone, so that each address has one master.
//
// The kernel asks once for an address and waits a second, after up to a second
// of chance. As with IPv4 a boot asks twice, a tenth of a second apart.
var duringBoot = [...]struct{ dir, name, value, after string }{
	{"conf", "accept_ra", "0", ""},
	{"conf", "dad_transmits", "2", "1"},
	{"conf", "router_solicitation_delay", "0", "1"},
	{"neigh", "retrans_time_ms", "100", "1000"},
}

// linkScope is the scope of an address that holds on one link (RT_SCOPE_LINK).
const linkScope = 253

// ipv6 is what of a link is IPv6.
type ipv6 struct {
	l     *link
	none  string     // why the link has no IPv6, "" if it has
	local netip.Addr // the link-local address, once it is known to be ours alone

	router   *ra.Client    // nil before routers are asked
	client   *dhcp6.Client // nil as long as DHCPv6 is not used
	lease    *dhcp6.Lease
	have     []address6
	routes   []rtnl.Route  // as they were set
	mtu, hop int           // that were set
	fallback time.Duration // when DHCPv6 is asked although no router says so
	again    time.Duration // when a static address is tried again
	noted    []string      // what was said once of what routers say
}

// address6 is an address that the link was given.
type address6 struct {
	netip.Prefix
	static bool
	sure   bool // nobody else has it
}

// wants6 says whether anything of IPv6 is asked for.
func (s *Setup) wants6() bool {
	for _, a := range s.Addresses {
		if a.Addr().Is6() {
			return true
		}
	}
	return s.Auto6 || s.DHCP6 || s.Link6
}

// prepare6 tells the kernel how a link is to be treated, before it is set up.
func (l *link) prepare6() {
	s := l.setup
	if !s.wants6() || l.six != nil {
		return
	}
	x := &ipv6{l: l, fallback: Never, again: Never}
	l.six = x
	for _, v := range duringBoot {
		if err := l.sysctl6(v.dir, v.name, v.value); err != nil && x.none == "" && v.name == "accept_ra" {
			x.none = "the kernel has no IPv6: " + err.Error()
		}
	}
	if x.none == "" && !s.Either && !l.Up { // who turned it off for every link still has it off for those that nobody named
		l.sysctl6("conf", "disable_ipv6", "0")
	}
}

func (l *link) sysctl6(dir, name, value string) error {
	return l.c.k.Sysctl("net/ipv6/"+dir+"/"+l.Name+"/"+name, value)
}

// restore6 gives the kernel its usual times back. It goes on to leave
// advertisements alone: the addresses hold without end, and whoever manages the
// link in the real system decides for himself.
func (l *link) restore6() {
	if l.six == nil || l.six.none != "" {
		return
	}
	for _, v := range duringBoot {
		if v.after != "" {
			l.sysctl6(v.dir, v.name, v.after)
		}
	}
}

// carrier6 takes in whether packets can go: there is a carrier, and an address
// of the link.
func (l *link) carrier6() {
	x := l.six
	if x == nil || x.none != "" {
		return
	}
	up, s := l.Carrier && x.local.IsValid(), l.setup
	if x.router == nil && up && (s.Auto6 || s.DHCP6) && l.openFor(Advertisement) {
		id := ra.EUI64(l.Address)
		if !s.Auto6 { // routers say the routes alone
			id = func(netip.Prefix, int) (id [8]byte, ok bool) { return id, false }
		}
		x.router = ra.New(ra.Config{MAC: l.Address, ID: id, Rand: l.c.rand})
		if s.Fallback6 {
			x.fallback = l.c.now + fallbackAfter
		}
	}
	if x.router != nil {
		x.heard(x.router.Link(l.c.now, up))
	}
	if x.client != nil {
		x.obey(x.client.Link(l.c.now, up))
	} else if up && s.DHCP6 {
		x.ask(false)
	}
}

// address takes in what the kernel says of an address.
func (x *ipv6) address(a *rtnl.Address, gone bool) {
	l, ip := x.l, a.Prefix.Addr()
	if a.Scope == linkScope && !x.has(ip) {
		switch {
		case a.Failed:
			l.c.note(l.Name + ": another machine has the address " + ip.String() + ", without which there is no IPv6")
			x.none = "another machine has its link-local address " + ip.String()
		case gone && ip == x.local:
			x.local = netip.Addr{}
			x.drop(ip)
			l.carrier6()
		case !gone && !a.Tentative && !x.local.IsValid() && x.none == "":
			x.local = ip
			if l.setup.Link6 {
				l.take(a.Prefix)
			}
			l.carrier6()
		}
		x.settle()
		return
	}
	for i := range x.have {
		h := &x.have[i]
		switch {
		case h.Addr() != ip:
			continue
		case gone: // by somebody else
			x.drop(ip)
		case a.Failed:
			x.conflict(*h)
		case !a.Tentative:
			h.sure = true
			l.take(h.Prefix)
		}
		break
	}
	x.settle()
}

func (x *ipv6) has(a netip.Addr) bool {
	for _, h := range x.have {
		if h.Addr() == a {
			return true
		}
	}
	return false
}

// drop forgets an address.
func (x *ipv6) drop(a netip.Addr) {
	for i, h := range x.have {
		if h.Addr() == a {
			x.have = append(x.have[:i:i], x.have[i+1:]...)
			break
		}
	}
	x.l.untake(a)
}

// conflict is what becomes of an address that another machine has.
func (x *ipv6) conflict(h address6) {
	l := x.l
	if err := l.c.k.DelAddress(l.Index, h.Prefix); err != nil {
		l.c.note(l.Name + ": " + err.Error())
	}
	x.drop(h.Addr())
	r := netreport.Report{State: netreport.StateConflict}.With("addr", h.Addr().String())
	switch {
	case h.static:
		l.c.unusable(l)
		l.state, x.again = netreport.StateConflict, l.c.now+conflictPause
		l.report(r)
	case x.lease != nil && x.client != nil && x.leased(h.Addr()):
		l.report(r)
		x.obey(x.client.Conflict(l.c.now, h.Addr()))
	case x.router != nil:
		l.report(r)
		x.heard(x.router.Conflict(h.Addr()))
	}
}

// add gives the link an address; the kernel says when it is sure.
func (x *ipv6) add(a netip.Prefix, static bool) {
	l := x.l
	if x.has(a.Addr()) || x.none != "" {
		return
	}
	if err := l.c.k.AddAddress(l.Index, a, netip.Addr{}, netip.Addr{}, 0); err != nil {
		l.c.note(l.Name + ": the address " + a.String() + ": " + err.Error())
		return
	}
	x.have = append(x.have, address6{Prefix: a, static: static})
}

// statics gives the link the addresses of the command line.
func (x *ipv6) statics() {
	for _, a := range x.l.setup.Addresses {
		if a.Addr().Is6() {
			x.add(a, true)
		}
	}
}

// update makes the addresses those that routers and DHCPv6 give.
func (x *ipv6) update() {
	var want []netip.Prefix
	if x.router != nil {
		for _, a := range x.router.Settings().Addrs {
			want = append(want, x.guardedAddress(a.Addr))
		}
	}
	if x.lease != nil {
		for _, a := range x.lease.Addrs {
			want = append(want, netip.PrefixFrom(a.Addr, 128))
		}
	}
	for _, h := range append([]address6(nil), x.have...) {
		if h.static || holds(want, h.Addr()) {
			continue
		}
		if err := x.l.c.k.DelAddress(x.l.Index, h.Prefix); err != nil {
			x.l.c.note(x.l.Name + ": " + err.Error())
		}
		x.drop(h.Addr())
	}
	for _, a := range want {
		x.add(a, false)
	}
}

func holds(list []netip.Prefix, a netip.Addr) bool {
	for _, p := range list {
		if p.Addr() == a {
			return true
		}
	}
	return false
}

// ready says whether an address that was not written can be used.
func (x *ipv6) ready() bool {
	for _, h := range x.have {
		if h.sure && !h.static {
			return true
		}
	}
	return false
}

// settle acts on a change: the link can be used, or not any more.
func (x *ipv6) settle() {
	l := x.l
	switch {
	case l.complete():
		l.configure(nil)
	case l.state == netreport.StateReady:
		l.state = netreport.StateLink
		l.c.unusable(l)
	}
	l.tell()
}

func (x *ipv6) next() time.Duration {
	at := min(x.fallback, x.again)
	if x.router != nil {
		at = min(at, x.router.Next())
	}
	if x.client != nil {
		at = min(at, x.client.Next())
	}
	return at
}

func (x *ipv6) deadline() {
	now := x.l.c.now
	if x.router != nil && x.router.Next() <= now {
		x.heard(x.router.Deadline(now))
	}
	if x.client != nil && x.client.Next() <= now {
		x.obey(x.client.Deadline(now))
	}
	if x.fallback <= now {
		x.fallback = Never
		if !x.ready() {
			x.ask(false)
		}
	}
	if x.again <= now {
		x.again = Never
		x.statics()
	}
}

// frame takes in a packet of IPv6.
func (x *ipv6) frame(f Frame) {
	switch {
	case f.Kind == Advertisement && x.router != nil:
		x.heard(x.router.Packet(x.l.c.now, f.Data, f.From, f.Hops))
	case f.Kind == DHCP6 && x.client != nil:
		x.obey(x.client.Packet(x.l.c.now, f.Data, f.From))
	}
	x.l.tell()
}

// explain says what is waited for.
func (x *ipv6) explain() string {
	switch {
	case x.none != "":
		return x.none
	case !x.local.IsValid():
		return "the link-local address is being checked"
	}
	for _, h := range x.have {
		if !h.sure {
			return "asks whether another machine has " + h.Addr().String()
		}
	}
	text := ""
	if x.router != nil {
		text = x.router.Explain()
	}
	if x.client != nil {
		if text != "" {
			text += "; "
		}
		text += "DHCPv6: " + x.client.Explain()
	}
	return text
}
