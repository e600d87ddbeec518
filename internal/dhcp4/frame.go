package dhcp4

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

// The headers of a packet that a machine without an address sends and takes by
// a packet socket: IPv4 (RFC 791) and UDP (RFC 768).
const (
	ipHeader  = 20
	udpHeader = 8
	protoUDP  = 17
)

var (
	errNotUDP   = errors.New("not a UDP packet over IPv4")
	errFragment = errors.New("a fragment of an IPv4 packet")
	errChecksum = errors.New("checksum is wrong")
)

// AppendFrame adds the IPv4 and UDP headers and the payload to b. The payload
// has at most 65507 bytes.
func AppendFrame(b []byte, from, to netip.AddrPort, payload []byte) []byte {
	start := len(b)
	b = append(b, make([]byte, ipHeader+udpHeader)...)
	ip := b[start : start+ipHeader]
	ip[0], ip[1] = 0x45, 0x10 // version, length; low delay
	binary.BigEndian.PutUint16(ip[2:], uint16(ipHeader+udpHeader+len(payload)))
	binary.BigEndian.PutUint16(ip[6:], 0x4000) // not to be fragmented
	ip[8], ip[9] = 64, protoUDP
	putAddr(ip[12:], from.Addr())
	putAddr(ip[16:], to.Addr())
	binary.BigEndian.PutUint16(ip[10:], ^sum(0, ip))
	udp := b[start+ipHeader:]
	binary.BigEndian.PutUint16(udp, from.Port())
	binary.BigEndian.PutUint16(udp[2:], to.Port())
	binary.BigEndian.PutUint16(udp[4:], uint16(udpHeader+len(payload)))
	b = append(b, payload...)
	udp = b[start+ipHeader:]
	check := ^sum(pseudo(b[start:], len(udp)), udp)
	if check == 0 {
		check = 0xffff // 0 is "none"
	}
	binary.BigEndian.PutUint16(udp[6:], check)
	return b
}

// ParseFrame takes the headers off a packet that begins with that of IPv4.
// unsummed says that the kernel has not computed the checksum of UDP yet, as
// for what a virtual machine on the same host sends
// (TP_STATUS_CSUMNOTREADY).
func ParseFrame(b []byte, unsummed bool) (from, to netip.AddrPort, payload []byte, err error) {
	fail := func(e error) (netip.AddrPort, netip.AddrPort, []byte, error) {
		return netip.AddrPort{}, netip.AddrPort{}, nil, e
	}
	if len(b) < ipHeader+udpHeader || b[0]>>4 != 4 || b[9] != protoUDP {
		return fail(errNotUDP)
	}
	head, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	if head < ipHeader || total < head+udpHeader || total > len(b) {
		return fail(errNotUDP)
	}
	if binary.BigEndian.Uint16(b[6:])&0x3fff != 0 {
		return fail(errFragment)
	}
	if sum(0, b[:head]) != 0xffff {
		return fail(errChecksum)
	}
	udp := b[head:total]
	n := int(binary.BigEndian.Uint16(udp[4:]))
	if n < udpHeader || n > len(udp) {
		return fail(errNotUDP)
	}
	udp = udp[:n]
	if !unsummed && binary.BigEndian.Uint16(udp[6:]) != 0 && sum(pseudo(b, n), udp) != 0xffff {
		return fail(errChecksum)
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[12:16])), binary.BigEndian.Uint16(udp)),
		netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[16:20])), binary.BigEndian.Uint16(udp[2:])),
		udp[udpHeader:], nil
}

// pseudo is the sum of what UDP's checksum covers of the IPv4 header.
func pseudo(ip []byte, udpLen int) uint16 {
	return sum(sum(protoUDP, ip[12:20]), []byte{byte(udpLen >> 8), byte(udpLen)})
}

// sum is the Internet's checksum, RFC 1071, not inverted.
func sum(start uint16, b []byte) uint16 {
	s := uint64(start)
	for ; len(b) >= 2; b = b[2:] {
		s += uint64(b[0])<<8 | uint64(b[1])
	}
	if len(b) == 1 {
		s += uint64(b[0]) << 8
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}
