package rtnl

import "net/netip"

// Attributes of an address (linux/if_addr.h).
const (
	attrIfaAddress   = 1
	attrIfaLocal     = 2
	attrIfaBroadcast = 4
	attrIfaCache     = 6
	attrIfaFlags     = 8
)

// Flags of an address.
const (
	flagDADFailed = 0x08
	flagTentative = 0x40
	flagPermanent = 0x80
)

// addressSize is the size of struct ifaddrmsg in bytes.
const addressSize = 8

// Address is an address of a link.
type Address struct {
	Link      int
	Prefix    netip.Prefix // the address with the length of its network
	Peer      netip.Addr   // the other end of a point-to-point link
	Scope     uint8        // 0 global, 253 of the link, 254 of the host
	Tentative bool         // nobody has yet been found not to have it
	Failed    bool         // somebody has it: duplicate address detection failed
	Permanent bool
}

// parseAddress reads a struct ifaddrmsg and its attributes.
func parseAddress(b []byte) (a Address, ok bool) {
	if len(b) < addressSize {
		return a, false
	}
	flags := uint32(b[2])
	a = Address{Link: int(native.Uint32(b[4:])), Scope: b[3]}
	var local, address netip.Addr
	for typ, v := range attributes(b, addressSize) {
		switch typ {
		case attrIfaAddress:
			address = addrOf(v)
		case attrIfaLocal:
			local = addrOf(v)
		case attrIfaFlags:
			flags = u32(v)
		}
	}
	switch {
	case !local.IsValid():
		local = address
	case address.IsValid() && address != local:
		a.Peer = address
	}
	a.Prefix = netip.PrefixFrom(local, int(b[1]))
	a.Tentative, a.Failed, a.Permanent = flags&flagTentative != 0, flags&flagDADFailed != 0, flags&flagPermanent != 0
	return a, a.Link > 0 && a.Prefix.IsValid()
}

// family is that of an address, AF_INET or AF_INET6.
func family(a netip.Addr) byte {
	if a.Is4() {
		return 2
	}
	return 10
}

// address makes a request about an address of a link. valid is how long it may
// be used, in seconds, and 0 for ever.
func address(typ, flags uint16, index int, a netip.Prefix, peer, broadcast netip.Addr, valid uint32) *request {
	r := newRequest(typ, flags|flagAck)
	r.fixed(family(a.Addr()), byte(a.Bits()), 0, 0)
	r.u32fixed(uint32(index))
	r.attr(attrIfaLocal, a.Addr().AsSlice())
	if !peer.IsValid() {
		peer = a.Addr()
	}
	r.attr(attrIfaAddress, peer.AsSlice())
	if broadcast.IsValid() {
		r.attr(attrIfaBroadcast, broadcast.AsSlice())
	}
	if valid > 0 {
		// struct ifa_cacheinfo: preferred, valid, and two stamps.
		cache := native.AppendUint32(nil, valid)
		cache = native.AppendUint32(cache, valid)
		r.attr(attrIfaCache, append(cache, 0, 0, 0, 0, 0, 0, 0, 0))
	}
	return r
}
