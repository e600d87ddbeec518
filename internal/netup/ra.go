package netup

import (
	"net/netip"
	"slices"
	"strconv"
	"time"

	"firstlight/internal/ra"
	"firstlight/internal/rtnl"
)

// fallbackAfter is when DHCPv6 is asked for an address where nothing came of
// asking routers: after the second time.
const fallbackAfter = 3 * time.Second

// metric6 is that of the first route of a router; a static route of IPv6 has
// 1024 (IP6_RT_PRIO_USER) and goes before. Each link has so many of its own.
const (
	metric6 = 1025
	perLink = 64
)

// heard does what comes of what routers said.
func (x *ipv6) heard(out ra.Output) {
	l := x.l
	if out.Send != nil {
		if err := l.c.k.Send(l.Index, Frame{Kind: Advertisement, Data: out.Send}); err != nil {
			l.c.note(l.Name + ": " + err.Error()) // it is sent again
		}
	}
	if !out.Changed {
		return
	}
	s, set := l.setup, x.router.Settings()
	switch {
	case s.DHCP6:
	case set.Managed, s.Fallback6 && x.router.Heard() && len(set.Addrs) == 0:
		x.ask(false)
	case set.Other:
		x.ask(true)
	}
	x.update()
	x.setRoutes(set.Routes)
	x.setNumbers(set)
	x.settle()
}

// setRoutes makes the routes those that routers give, the preferred one first.
func (x *ipv6) setRoutes(list []ra.RouteVia) {
	l := x.l
	var want []rtnl.Route
	metric := uint32(metric6)
	for i, o := range l.c.order {
		if o == l {
			metric += uint32(i * perLink)
		}
	}
	for _, r := range list {
		if !r.Via.IsValid() && x.covered(r.Dst) {
			continue
		}
		want = append(want, rtnl.Route{Link: l.Index, To: r.Dst, Gateway: r.Via, Metric: metric + uint32(min(len(want), perLink-1))})
	}
	want = x.guardedRoutes(want)
	for _, r := range x.routes {
		if !hasRoute(want, r) {
			l.c.k.DelRoute(r) // it may be gone with its address
		}
	}
	old := x.routes
	x.routes = nil
	for _, r := range want {
		if !hasRoute(old, r) {
			if err := l.c.k.AddRoute(r); err != nil {
				to := r.To.String()
				if r.Gateway.IsValid() {
					to += " by " + r.Gateway.String()
				}
				l.c.note(l.Name + ": the route to " + to + ": " + err.Error())
				continue
			}
		}
		x.routes = append(x.routes, r)
	}
}

func hasRoute(list []rtnl.Route, r rtnl.Route) bool {
	for _, o := range list {
		if o == r {
			return true
		}
	}
	return false
}

// covered says whether an address of the link brings the route to its network.
func (x *ipv6) covered(p netip.Prefix) bool {
	for _, h := range x.have {
		if h.Bits() < 128 && h.Masked() == p {
			return true
		}
	}
	return false
}

// setNumbers sets what the kernel would read out of an advertisement.
func (x *ipv6) setNumbers(set ra.Settings) {
	l := x.l
	if set.MTU > 0 && set.MTU != x.mtu && l.setup.MTU == 0 {
		x.mtu = set.MTU
		if uint32(set.MTU) > l.MTU {
			l.c.note(l.Name + ": the router's MTU of " + strconv.Itoa(set.MTU) + " is larger than the link's of " + strconv.Itoa(int(l.MTU)) + " and not used")
		} else if err := l.sysctl6("conf", "mtu", strconv.Itoa(set.MTU)); err != nil {
			l.c.note(l.Name + ": MTU " + strconv.Itoa(set.MTU) + ": " + err.Error())
		}
	}
	if h := int(set.HopLimit); h > 0 && h != x.hop {
		x.hop = h
		l.sysctl6("conf", "hop_limit", strconv.Itoa(h))
	}
}

// servers are the name servers that routers and DHCPv6 give. One of the link
// itself is said with the link.
func (x *ipv6) servers() []netip.Addr {
	var list []netip.Addr
	if x.lease != nil {
		list = append(list, x.lease.DNS...)
	}
	if x.router != nil {
		list = append(list, x.router.Settings().DNS...)
	}
	var out []netip.Addr
	for _, a := range list {
		if a.IsLinkLocalUnicast() {
			a = a.WithZone(x.l.Name)
		}
		if !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out
}

// search are the domains to search.
func (x *ipv6) search() []string {
	if x.lease != nil && len(x.lease.Search) > 0 {
		return x.lease.Search
	}
	if x.router != nil {
		return x.router.Settings().Search
	}
	return nil
}

// gateway is the router of everything, not valid if there is none.
func (x *ipv6) gateway() netip.Addr {
	for _, r := range x.routes {
		if r.To.Bits() == 0 {
			return r.Gateway
		}
	}
	return netip.Addr{}
}
