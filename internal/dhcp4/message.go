// Package dhcp4 speaks DHCP for IPv4: messages (RFC 2131, 2132 and those that
// extend them) and the client's side of the conversation.
//
// It is pure. Packets, the state of the link and the time come in; packets, the
// next deadline and what became of the lease go out. It opens no socket, reads
// no clock, and of random numbers has those that the caller gives. What a
// server says is checked before it is believed: a hostile one can refuse its
// service and no more.
package dhcp4

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

// Type is the kind of a message, option 53.
type Type byte

// The types of RFC 2132, section 9.6.
const (
	Discover Type = 1 + iota
	Offer
	Request
	Decline
	Ack
	Nak
	Release
	Inform
)

// String is the name in the RFC, "DHCPOFFER" without its "DHCP".
func (t Type) String() string {
	if t >= Discover && t <= Inform {
		return [...]string{"DISCOVER", "OFFER", "REQUEST", "DECLINE", "ACK", "NAK", "RELEASE", "INFORM"}[t-1]
	}
	return "unknown"
}

// The ports of both sides.
const (
	ServerPort = 67
	ClientPort = 68
)

// The values of Message.Op.
const (
	OpRequest = 1 // from a client
	OpReply   = 2 // from a server
)

const (
	headerLen = 236        // up to and with the file name
	cookie    = 0x63825363 // what says that options follow
	minLen    = 300        // BOOTP's; some relays drop what is shorter

	// maxLen bounds a message, in bytes. UDP over IPv4 has no more.
	maxLen = 65507

	offSName, lenSName = 44, 64
	offFile, lenFile   = 108, 128
	flagBroadcast      = 0x8000
)

// Message is one message. Addresses that are 0.0.0.0 are not valid ones here.
type Message struct {
	Op     byte
	HType  byte   // ARP's hardware type: 1 Ethernet, 32 InfiniBand
	Hops   byte   // relays passed
	HWAddr []byte // at most 16 bytes; empty for InfiniBand (RFC 4390)
	XID    uint32
	Secs   uint16 // since the client began
	// Broadcast asks for an answer by broadcast.
	Broadcast bool
	CIAddr    netip.Addr // the client's, if it has one
	YIAddr    netip.Addr // what the server gives
	SIAddr    netip.Addr // the server to boot from
	GIAddr    netip.Addr // the relay
	SName     []byte     // name of the server to boot from, without what pads it
	File      []byte     // what to boot, without what pads it
	Options   Options
}

// The errors of Parse.
var (
	errShort   = errors.New("DHCP message is too short")
	errLong    = errors.New("DHCP message is too long")
	errOp      = errors.New("neither a BOOTP request nor a reply")
	errHWAddr  = errors.New("hardware address is too long")
	errCookie  = errors.New("BOOTP message without DHCP options")
	errOptions = errors.New("DHCP option goes beyond the message")
)

// Parse reads a message, the payload of a UDP packet. It copies nothing: the
// message refers to b. An option that is there in several pieces is put
// together (RFC 3396), also from the fields for names (option 52).
func Parse(b []byte) (*Message, error) {
	switch {
	case len(b) < headerLen+4:
		return nil, errShort
	case len(b) > maxLen:
		return nil, errLong
	case b[0] != OpRequest && b[0] != OpReply:
		return nil, errOp
	case b[2] > 16:
		return nil, errHWAddr
	case binary.BigEndian.Uint32(b[headerLen:]) != cookie:
		return nil, errCookie
	}
	m := &Message{
		Op: b[0], HType: b[1], Hops: b[3],
		HWAddr:    b[28 : 28+int(b[2])],
		XID:       binary.BigEndian.Uint32(b[4:]),
		Secs:      binary.BigEndian.Uint16(b[8:]),
		Broadcast: binary.BigEndian.Uint16(b[10:])&flagBroadcast != 0,
		CIAddr:    addrAt(b, 12), YIAddr: addrAt(b, 16), SIAddr: addrAt(b, 20), GIAddr: addrAt(b, 24),
	}
	if err := m.Options.parse(b[headerLen+4:]); err != nil {
		return nil, err
	}
	sname, file := b[offSName:offSName+lenSName], b[offFile:offFile+lenFile]
	var overload byte
	if v := m.Options.Get(OptOverload); len(v) == 1 {
		overload = v[0]
	}
	// The order is RFC 3396's: options, file, sname.
	if overload&1 != 0 {
		if err := m.Options.parse(file); err != nil {
			return nil, err
		}
	} else {
		m.File = untilNUL(file)
	}
	if overload&2 != 0 {
		if err := m.Options.parse(sname); err != nil {
			return nil, err
		}
	} else {
		m.SName = untilNUL(sname)
	}
	return m, nil
}

// Append adds the message in its form on the wire to b. Names that are longer
// than their fields are cut.
func (m *Message) Append(b []byte) []byte {
	start := len(b)
	b = append(b, make([]byte, headerLen)...)
	h := b[start:]
	h[0], h[1], h[3] = m.Op, m.HType, m.Hops
	h[2] = byte(copy(h[28:28+16], m.HWAddr))
	binary.BigEndian.PutUint32(h[4:], m.XID)
	binary.BigEndian.PutUint16(h[8:], m.Secs)
	if m.Broadcast {
		binary.BigEndian.PutUint16(h[10:], flagBroadcast)
	}
	putAddr(h[12:], m.CIAddr)
	putAddr(h[16:], m.YIAddr)
	putAddr(h[20:], m.SIAddr)
	putAddr(h[24:], m.GIAddr)
	copy(h[offSName:offSName+lenSName], m.SName)
	copy(h[offFile:offFile+lenFile], m.File)
	b = binary.BigEndian.AppendUint32(b, cookie)
	b = m.Options.append(b)
	b = append(b, optEnd)
	for len(b)-start < minLen {
		b = append(b, optPad)
	}
	return b
}

// addrAt is the address at an offset; the zero Addr for 0.0.0.0.
func addrAt(b []byte, off int) netip.Addr {
	a := netip.AddrFrom4([4]byte(b[off : off+4]))
	if a.IsUnspecified() {
		return netip.Addr{}
	}
	return a
}

func putAddr(b []byte, a netip.Addr) {
	if a.Is4() {
		v := a.As4()
		copy(b, v[:])
	}
}

func untilNUL(b []byte) []byte {
	for i, c := range b {
		if c == 0 {
			return b[:i]
		}
	}
	return b
}
