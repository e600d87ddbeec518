package netup

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"firstlight/internal/netreport"
	"firstlight/internal/timespan"
)

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
		r = r.With("late", l.late).With("mac", hardware(l.Address))
	case len(l.probing) > 0:
		r = netreport.Report{State: netreport.StateProbe}.With("addr", l.probing[0].Addr().String())
	case l.client != nil && l.lease == nil || l.six != nil || l.local != nil:
		r = l.waitReport()
	default:
		r = r.With("carrier", "yes").With("mac", hardware(l.Address))
	}
	l.report(r)
}

// readyReport is all that the boot may want to know of a link that can be used.
func (l *link) readyReport() netreport.Report {
	r := netreport.Report{State: netreport.StateReady}.With("mac", hardware(l.Address)).With("index", strconv.Itoa(l.Index))
	first := true
	taken := append([]netip.Prefix(nil), l.taken...)
	slices.SortStableFunc(taken, func(a, b netip.Prefix) int { return a.Addr().BitLen() - b.Addr().BitLen() })
	for _, a := range taken {
		r = r.With("addr", a.String())
		if a.Addr().Is4() && first {
			first = false
			r = r.With("netmask", mask(a.Bits()).String()).With("broadcast", last(a).String())
		}
	}
	gateways := l.setup.Routes
	proto := "static"
	lease := l.lease
	if lease != nil && !contains(l.taken, lease.Addr) {
		lease = nil // whose address is yet being asked for
	}
	if lease != nil {
		proto = "dhcp"
		for _, x := range lease.Routes {
			gateways = append(gateways[:len(gateways):len(gateways)], Route{To: x.Dst, Gateway: x.Via})
		}
	} else if p := l.dynamic(); p != "" {
		proto = p
	}
	r = r.With("proto", proto)
	for _, g := range gateways {
		if g.To.Bits() == 0 && g.Gateway.IsValid() {
			r = r.With("gateway", g.Gateway.String())
			break
		}
	}
	if l.six != nil && l.six.gateway().IsValid() {
		r = r.With("gateway", l.six.gateway().String())
	}
	for _, a := range l.setup.DNS {
		r = r.With("dns", a.String())
	}
	if x := lease; x != nil {
		r = r.With("server", x.Server.String()).With("hostname", x.HostName).With("domain", x.Domain).WithPublic("rootpath", x.RootPath).
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
	if l.six != nil {
		for _, a := range l.six.servers() {
			r = r.With("dns", a.String())
		}
	}
	return r
}

// waitReport says what the link waits for.
func (l *link) waitReport() netreport.Report {
	r := netreport.Report{State: netreport.StateDHCP}
	if l.client != nil && l.lease == nil {
		r = r.With("text", l.client.Explain()).With("sent", strconv.Itoa(l.requests))
	}
	r = r.With("since", tenths(l.carrier))
	if l.six != nil {
		r = r.With("six", l.six.explain())
	}
	if l.local != nil {
		r = r.With("local", l.local.Explain())
	}
	return r.With("late", l.late)
}

// dynamic is where the link's addresses come from, "" where they were written.
func (l *link) dynamic() string {
	switch s := l.setup; {
	case l.lease != nil && contains(l.taken, l.lease.Addr):
		return "dhcp"
	case s.Auto6 && (l.six == nil || l.six.ready()):
		return "auto6"
	case s.DHCP6 && (l.six == nil || l.six.ready()):
		return "dhcp6"
	case s.Link4 || s.Link6:
		return "link-local"
	}
	return ""
}

// within sets the time limit of a step, by the name of its parameter; 0 is none.
// Of several the first counts.
func (l *link) within(name string, d time.Duration) {
	if d > 0 && l.c.now+d < l.overdue {
		l.overdue, l.limit = l.c.now+d, name
	}
}

// limits sets the time limits of a link that has a carrier.
func (l *link) limits() {
	t, s := l.c.plan.Times, l.setup
	if s.DHCP && l.lease == nil {
		l.within("dhcp", t.DHCP*time.Duration(max(l.c.plan.Retry, 1)))
	}
	if s.DHCP6 && !l.complete() {
		l.within("dhcp", t.DHCP*time.Duration(max(l.c.plan.Retry, 1)))
	}
	if s.Auto6 && !l.complete() {
		l.within("ipv6auto", t.IPv6Auto)
	}
	if s.wants6() && !l.complete() {
		l.within("ipv6dad", t.IPv6DAD)
	}
}
