package rtnl

import "net/netip"

// Attributes of a route (linux/rtnetlink.h).
const (
	attrDst      = 1
	attrOif      = 4
	attrGateway  = 5
	attrPriority = 6
	attrPrefSrc  = 7
)

// Parts of struct rtmsg.
const (
	tableMain    = 254
	protocolDHCP = 16
	scopeGlobal  = 0
	scopeLink    = 253
	typeUnicast  = 1
	onLink       = 4 // RTNH_F_ONLINK
)

// Route says where packets for a network go.
type Route struct {
	Link    int
	To      netip.Prefix // of zero bits for all
	Gateway netip.Addr   // invalid where the network is on the link itself
	Source  netip.Addr   // preferred, may be invalid
	Metric  uint32
	// OnLink: the gateway is reached by the link though no network of it says so.
	OnLink bool
}

// route makes a request about a route.
func route(typ, flags uint16, t Route) *request {
	r := newRequest(typ, flags|flagAck)
	scope := byte(scopeGlobal)
	if !t.Gateway.IsValid() && t.To.Addr().Is4() {
		scope = scopeLink
	}
	r.fixed(family(t.To.Addr()), byte(t.To.Bits()), 0, 0, tableMain, protocolDHCP, scope, typeUnicast)
	var f uint32
	if t.OnLink && t.Gateway.IsValid() {
		f = onLink
	}
	r.u32fixed(f)
	if t.To.Bits() > 0 {
		r.attr(attrDst, t.To.Masked().Addr().AsSlice())
	}
	if t.Gateway.IsValid() {
		r.attr(attrGateway, t.Gateway.AsSlice())
	}
	r.u32(attrOif, uint32(t.Link))
	if t.Source.IsValid() {
		r.attr(attrPrefSrc, t.Source.AsSlice())
	}
	if t.Metric > 0 {
		r.u32(attrPriority, t.Metric)
	}
	return r
}
