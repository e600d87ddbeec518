package netup

import (
	"net/netip"
	"slices"

	"firstlight/internal/dhcp4"
	"firstlight/internal/netconf"
	"firstlight/internal/rtnl"
)

// written are the networks and routes that the command line puts on other links than
// this one, those to everything among them. What servers and routers say must lead
// nothing of it elsewhere: who answers on one cable is not to become the server that
// is reached by another.
func (l *link) written() (list []netip.Prefix) {
	conf, s := l.c.plan.Config, l.setup
	if conf == nil || s == nil {
		return nil
	}
	for i := range conf.Interfaces {
		in := &conf.Interfaces[i]
		if in.Match.IsAny() || l.owns(in) {
			continue
		}
		for _, a := range in.Addrs {
			if a.Bits() >= 0 {
				list = append(list, a.Masked())
			}
		}
		for _, g := range in.Gateways {
			if g.Is6() {
				list = append(list, netip.PrefixFrom(netip.IPv6Unspecified(), 0))
			} else {
				list = append(list, netip.PrefixFrom(netip.IPv4Unspecified(), 0))
			}
		}
	}
	for _, r := range conf.Routes {
		if r.Interface != l.Name && (r.Interface != "" || !inside(s.Addresses, r.Via)) {
			list = append(list, r.Dst.Masked())
		}
	}
	return list
}

// owns says whether what the command line says of an interface is said of this link.
func (l *link) owns(in *netconf.Interface) bool {
	if in.Match.Name == l.Name || in.Match.MAC != "" && (in.Match.MAC == mac(l.Address) || in.Match.MAC == mac(l.original)) {
		return true
	}
	for _, a := range in.Addrs { // it may be one that is made of the card with that address
		if contains(l.setup.Addresses, a) {
			return true
		}
	}
	return false
}

// leadsAway says whether a route goes before one of those that are written. More than
// one link may have a way to everything; see behind.
func leadsAway(written []netip.Prefix, to netip.Prefix) bool {
	return slices.ContainsFunc(written, func(w netip.Prefix) bool { return w.Bits() > 0 && to.Bits() >= w.Bits() && to.Overlaps(w) })
}

// behindWritten is added to the metric of a way to everything that a server or a
// router gives, where the command line has one on another link: it counts only where
// that link is down.
const behindWritten = 4096

// behind is what is added to the metric of a route that was not written.
func behind(written []netip.Prefix, to netip.Prefix) uint32 {
	if to.Bits() == 0 && slices.Contains(written, to) {
		return behindWritten
	}
	return 0
}

// guarded is a lease without what would lead elsewhere what other links reach by the
// command line.
func (l *link) guarded(lease *dhcp4.Lease) *dhcp4.Lease {
	list := l.written()
	if len(list) == 0 || lease == nil {
		return lease
	}
	safe := *lease
	safe.Routes, safe.Notes = nil, slices.Clone(lease.Notes)
	if leadsAway(list, lease.Addr.Masked()) {
		safe.Addr = netip.PrefixFrom(lease.Addr.Addr(), 32)
		safe.Broadcast = netip.Addr{}
		safe.Notes = append(safe.Notes, "its network "+lease.Addr.Masked().String()+", which the command line has on another link")
	}
	for _, r := range lease.Routes {
		if leadsAway(list, r.Dst) {
			safe.Notes = append(safe.Notes, "a route to "+r.Dst.String()+", which the command line has on another link")
			continue
		}
		r.OnLink = r.Via.IsValid() && !safe.Addr.Contains(r.Via)
		safe.Routes = append(safe.Routes, r)
	}
	return &safe
}

// guardedRoutes are the routes of routers without those.
func (x *ipv6) guardedRoutes(list []rtnl.Route) []rtnl.Route {
	written := x.l.written()
	for i := range list {
		list[i].Metric += behind(written, list[i].To)
	}
	return slices.DeleteFunc(list, func(r rtnl.Route) bool {
		if !leadsAway(written, r.To) {
			return false
		}
		x.noteOnce("the route of a router to " + r.To.String() + " is not used: the command line has that on another link")
		return true
	})
}

// guardedAddress is an address of a router without its network, where another link
// has that.
func (x *ipv6) guardedAddress(a netip.Prefix) netip.Prefix {
	if !leadsAway(x.l.written(), a.Masked()) {
		return a
	}
	x.noteOnce("the network " + a.Masked().String() + " of a router is not used: the command line has that on another link")
	return netip.PrefixFrom(a.Addr(), a.Addr().BitLen())
}

// noteOnce says something of what routers say, which they repeat.
func (x *ipv6) noteOnce(text string) {
	if slices.Contains(x.noted, text) || len(x.noted) == maxNoted {
		return
	}
	x.noted = append(x.noted, text)
	x.l.c.note(x.l.Name + ": " + text)
}

// maxNoted bounds what is said of the routers of a link.
const maxNoted = 16
