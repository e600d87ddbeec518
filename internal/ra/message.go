// Package ra reads what routers say of themselves and of the link (RFC 4861),
// and decides what an interface makes of it: addresses (RFC 4862), routes
// (RFC 4191), name servers (RFC 8106) and whether there is more to be had by
// DHCPv6.
//
// It is pure: packets, the state of the link and the time come in; packets, the
// next deadline and the configuration go out. That an address is nobody else's
// is for the kernel to find.
package ra

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"time"

	"firstlight/internal/dns"
	"firstlight/internal/timespan"
)

// The types of ICMPv6.
const (
	typeSolicitation  = 133
	typeAdvertisement = 134
)

// AllRouters is the group of the routers of a link, ff02::2.
func AllRouters() netip.Addr { return netip.AddrFrom16([16]byte{0xff, 2, 15: 2}) }

// The options of neighbour discovery.
const (
	optSourceLink = 1
	optPrefix     = 3
	optMTU        = 5
	optRoute      = 24 // RFC 4191
	optRDNSS      = 25 // RFC 8106
	optDNSSL      = 31
)

// Limits of one advertisement.
const (
	maxEach    = 16 // prefixes, routes, servers, domains
	minMTU     = 1280
	maxMTU     = 65535
	maxPacket  = 65535
	defaultTTL = 255 // that proves a packet to be of the link
)

// Preference is how much a router or a route is preferred, RFC 4191.
type Preference int8

// The preferences.
const (
	Low    Preference = -1
	Medium Preference = 0
	High   Preference = 1
)

// Prefix is a prefix that a router speaks of.
type Prefix struct {
	Prefix    netip.Prefix
	OnLink    bool // its addresses are reached without a router
	Auto      bool // addresses of it may be made
	Valid     time.Duration
	Preferred time.Duration
}

// Route is a route by the router.
type Route struct {
	Dst        netip.Prefix
	Preference Preference
	Lifetime   time.Duration
}

// Advertisement is one of a router. Times that have no end are
// timespan.Forever.
type Advertisement struct {
	HopLimit       byte          // 0: nothing is said
	Managed        bool          // addresses are to be had by DHCPv6
	Other          bool          // what goes with them is
	Preference     Preference    // as a default router
	RouterLifetime time.Duration // 0: it is no default router
	MTU            int           // 0: nothing is said
	Prefixes       []Prefix
	Routes         []Route
	DNS            []netip.Addr
	DNSLifetime    time.Duration
	Search         []string
	SearchLifetime time.Duration
}

var (
	errShort  = errors.New("router advertisement is too short")
	errType   = errors.New("not a router advertisement")
	errOption = errors.New("an option of the router advertisement goes beyond its end")
)

// Parse reads an advertisement, the payload of ICMPv6 from its type on. The
// kernel has looked at the checksum. An option that cannot be what it says is
// left out.
func Parse(b []byte) (*Advertisement, error) {
	switch {
	case len(b) < 16:
		return nil, errShort
	case len(b) > maxPacket || b[0] != typeAdvertisement || b[1] != 0:
		return nil, errType
	}
	a := &Advertisement{
		HopLimit: b[4], Managed: b[5]&0x80 != 0, Other: b[5]&0x40 != 0, Preference: preference(b[5]),
		RouterLifetime: time.Duration(binary.BigEndian.Uint16(b[6:])) * time.Second,
	}
	for b = b[16:]; len(b) > 0; {
		if len(b) < 2 || b[1] == 0 || len(b) < 8*int(b[1]) {
			return nil, errOption
		}
		n := 8 * int(b[1])
		a.option(b[:n])
		b = b[n:]
	}
	return a, nil
}

// preference reads the two bits; the one that is kept for later is the usual
// one.
func preference(b byte) Preference {
	switch b >> 3 & 3 {
	case 1:
		return High
	case 3:
		return Low
	}
	return Medium
}

func (a *Advertisement) option(b []byte) {
	switch b[0] {
	case optMTU:
		if n := binary.BigEndian.Uint32(b[4:]); n >= minMTU && n <= maxMTU {
			a.MTU = int(n)
		}
	case optPrefix:
		if len(b) == 32 && b[2] <= 128 && len(a.Prefixes) < maxEach {
			a.Prefixes = append(a.Prefixes, Prefix{
				Prefix: netip.PrefixFrom(netip.AddrFrom16([16]byte(b[16:])), int(b[2])).Masked(),
				OnLink: b[3]&0x80 != 0, Auto: b[3]&0x40 != 0,
				Valid: seconds(b[4:]), Preferred: seconds(b[8:]),
			})
		}
	case optRoute:
		a.route(b)
	case optRDNSS:
		if len(b) < 24 {
			return
		}
		a.DNSLifetime = seconds(b[4:])
		for v := b[8:]; len(v) >= 16 && len(a.DNS) < maxEach; v = v[16:] {
			if s := netip.AddrFrom16([16]byte(v[:16])); isServer(s) {
				a.DNS = append(a.DNS, s)
			}
		}
	case optDNSSL:
		a.SearchLifetime = seconds(b[4:])
		for v := b[8:]; len(v) > 0 && v[0] != 0; {
			name, rest, ok := dns.Domain(v)
			if !ok {
				return
			}
			if v = rest; name != "" && len(a.Search) < maxEach {
				a.Search = append(a.Search, name)
			}
		}
	}
}

// route reads a route, whose prefix has as many bytes as its length needs.
func (a *Advertisement) route(b []byte) {
	bits, size := int(b[2]), len(b)-8
	if bits > 128 || size > 16 || size < (bits+63)/64*8 || len(a.Routes) == maxEach {
		return
	}
	var v [16]byte
	copy(v[:], b[8:])
	dst := netip.PrefixFrom(netip.AddrFrom16(v), bits).Masked()
	if dst.Addr().IsMulticast() || dst.Addr().IsLinkLocalUnicast() && bits > 0 || b[3]>>3&3 == 2 {
		return
	}
	a.Routes = append(a.Routes, Route{dst, preference(b[3]), seconds(b[4:])})
}

func seconds(b []byte) time.Duration {
	n := binary.BigEndian.Uint32(b)
	if n == 1<<32-1 {
		return timespan.Forever
	}
	return time.Duration(n) * time.Second
}

func isServer(a netip.Addr) bool {
	return !a.IsUnspecified() && !a.IsLoopback() && !a.IsMulticast() && !a.Is4In6()
}

// Solicitation is the message that asks for an advertisement, with the
// checksum left to the kernel. mac is the interface's address, nil to send none.
func Solicitation(mac []byte) []byte {
	b := []byte{typeSolicitation, 0, 0, 0, 0, 0, 0, 0}
	if len(mac) == 0 {
		return b
	}
	n := (2 + len(mac) + 7) / 8
	opt := make([]byte, 8*n)
	opt[0], opt[1] = optSourceLink, byte(n)
	copy(opt[2:], mac)
	return append(b, opt...)
}
