package rtnl

import (
	"encoding/binary"
	"net/netip"
)

// Commands and attributes of generic netlink's controller (linux/genetlink.h)
// and of WireGuard (linux/wireguard.h).
const (
	familyController = 0x10
	ctrlGetFamily    = 3
	ctrlFamilyID     = 1
	ctrlFamilyName   = 2

	wgSetDevice      = 1
	wgVersion        = 1
	wgIndex          = 1
	wgPrivateKey     = 3
	wgFlags          = 5
	wgListenPort     = 6
	wgMark           = 7
	wgPeers          = 8
	wgReplacePeers   = 1
	peerKey          = 1
	peerPreshared    = 2
	peerFlags        = 3
	peerEndpoint     = 4
	peerKeepalive    = 5
	peerAllowed      = 9
	peerReplaceAllow = 2
	allowedFamily    = 1
	allowedAddr      = 2
	allowedBits      = 3
)

// WireGuard is what a WireGuard link is told.
type WireGuard struct {
	PrivateKey [32]byte
	ListenPort uint16 // 0 is any
	Mark       uint32 // of the packets that it sends, 0 for none
	Peers      []WireGuardPeer
}

// WireGuardPeer is the other end of a tunnel.
type WireGuardPeer struct {
	PublicKey [32]byte
	Preshared [32]byte       // zero for none
	Endpoint  netip.AddrPort // invalid where it is not known
	Keepalive uint16         // seconds, 0 for none
	Allowed   []netip.Prefix // addresses that are behind it
}

// wireGuard makes the request that configures a link, for the family's number.
func wireGuard(family uint16, index int, w *WireGuard) *request {
	r := newRequest(family, flagAck)
	r.fixed(wgSetDevice, wgVersion, 0, 0) // struct genlmsghdr
	r.u32(wgIndex, uint32(index))
	r.attr(wgPrivateKey, w.PrivateKey[:])
	r.u32(wgFlags, wgReplacePeers)
	r.attr(wgListenPort, native.AppendUint16(nil, w.ListenPort))
	r.u32(wgMark, w.Mark)
	r.nest(wgPeers, func() {
		for _, p := range w.Peers {
			r.nest(0, func() { r.wireGuardPeer(&p) })
		}
	})
	return r
}

func (r *request) wireGuardPeer(p *WireGuardPeer) {
	r.attr(peerKey, p.PublicKey[:])
	r.u32(peerFlags, peerReplaceAllow)
	if p.Preshared != [32]byte{} {
		r.attr(peerPreshared, p.Preshared[:])
	}
	if p.Endpoint.IsValid() {
		r.attr(peerEndpoint, sockaddr(p.Endpoint))
	}
	r.attr(peerKeepalive, native.AppendUint16(nil, p.Keepalive))
	r.nest(peerAllowed, func() {
		for _, a := range p.Allowed {
			r.nest(0, func() {
				r.attr(allowedFamily, native.AppendUint16(nil, uint16(family(a.Addr()))))
				r.attr(allowedAddr, a.Masked().Addr().AsSlice())
				r.attr(allowedBits, []byte{byte(a.Bits())})
			})
		}
	})
}

// sockaddr is a struct sockaddr_in or sockaddr_in6.
func sockaddr(a netip.AddrPort) []byte {
	b := native.AppendUint16(nil, uint16(family(a.Addr())))
	b = binary.BigEndian.AppendUint16(b, a.Port())
	if a.Addr().Is4() {
		return append(append(b, a.Addr().AsSlice()...), make([]byte, 8)...)
	}
	b = append(append(b, 0, 0, 0, 0), a.Addr().AsSlice()...) // flow information before it
	return append(b, 0, 0, 0, 0)                             // scope
}

// getFamily asks for the number of a family of generic netlink.
func getFamily(name string) *request {
	r := newRequest(familyController, flagAck)
	r.fixed(ctrlGetFamily, 1, 0, 0)
	r.attr(ctrlFamilyName, append([]byte(name), 0))
	return r
}

// familyID reads the answer.
func familyID(b []byte) (id uint16) {
	for m := range messages(b) {
		if m.typ != familyController {
			continue
		}
		for typ, v := range attributes(m.body, 4) {
			if typ == ctrlFamilyID && len(v) >= 2 {
				id = native.Uint16(v)
			}
		}
	}
	return id
}
