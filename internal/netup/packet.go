package netup

import (
	"encoding/binary"
	"net/netip"
)

// arpSize is the size of an ARP packet for IPv4 over Ethernet in bytes.
const arpSize = 28

// Operations of ARP.
const (
	arpRequest = 1
	arpReply   = 2
)

// arp is an ARP packet for IPv4 over Ethernet (RFC 826).
type arp struct {
	Op         uint16
	Sender     [6]byte
	SenderAddr netip.Addr
	Target     [6]byte
	TargetAddr netip.Addr
}

func (a arp) bytes() []byte {
	b := make([]byte, arpSize)
	copy(b, []byte{0, 1, 8, 0, 6, 4})
	binary.BigEndian.PutUint16(b[6:], a.Op)
	s, t := a.SenderAddr.As4(), a.TargetAddr.As4()
	copy(b[8:], a.Sender[:])
	copy(b[14:], s[:])
	copy(b[18:], a.Target[:])
	copy(b[24:], t[:])
	return b
}

func parseARP(b []byte) (a arp, ok bool) {
	if len(b) < arpSize || string(b[:6]) != "\x00\x01\x08\x00\x06\x04" {
		return a, false
	}
	a.Op = binary.BigEndian.Uint16(b[6:])
	copy(a.Sender[:], b[8:])
	copy(a.Target[:], b[18:])
	a.SenderAddr, _ = netip.AddrFromSlice(b[14:18])
	a.TargetAddr, _ = netip.AddrFromSlice(b[24:28])
	return a, a.Op == arpRequest || a.Op == arpReply
}
