// Package rtnl speaks rtnetlink, the protocol by which Linux tells of network
// links, addresses and routes and is told what to make of them (rtnetlink(7),
// linux/rtnetlink.h).
//
// Reading and writing of messages is pure and bounded: a message that is not
// whole is dropped, an attribute that is not known is passed over. Socket, which
// talks to the kernel, is apart from it. All integers are in the machine's byte
// order; addresses are as they are on the wire.
package rtnl

import (
	"encoding/binary"
	"iter"
	"net/netip"
)

// native is the machine's byte order: netlink never leaves it.
var native = binary.NativeEndian

// Types of messages (linux/netlink.h, linux/rtnetlink.h).
const (
	typeError    = 2
	typeDone     = 3
	typeNewLink  = 16
	typeDelLink  = 17
	typeGetLink  = 18
	typeNewAddr  = 20
	typeDelAddr  = 21
	typeGetAddr  = 22
	typeNewRoute = 24
	typeDelRoute = 25
)

// Flags of a request.
const (
	flagRequest = 0x1
	flagAck     = 0x4
	flagDump    = 0x300
	flagReplace = 0x100
	flagCreate  = 0x400
)

// headerSize is the size of struct nlmsghdr in bytes.
const headerSize = 16

// message is one netlink message: header and what follows it.
type message struct {
	typ, flags uint16
	seq        uint32
	body       []byte
}

// messages yields the messages of what was received in one go. It ends at the
// first that is not whole.
func messages(b []byte) iter.Seq[message] {
	return func(yield func(message) bool) {
		for len(b) >= headerSize {
			n := native.Uint32(b)
			if n < headerSize || uint64(n) > uint64(len(b)) {
				return
			}
			m := message{typ: native.Uint16(b[4:]), flags: native.Uint16(b[6:]), seq: native.Uint32(b[8:]), body: b[headerSize:n]}
			if !yield(m) {
				return
			}
			b = b[min(align(int(n)), len(b)):]
		}
	}
}

// align rounds up to four bytes, as netlink does everywhere.
func align(n int) int { return (n + 3) &^ 3 }

// attributes yields the attributes of a message's body, after its fixed part of
// skip bytes. It ends at the first that is not whole.
func attributes(b []byte, skip int) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		if len(b) < skip {
			return
		}
		b := b[skip:]
		for len(b) >= 4 {
			n := int(native.Uint16(b))
			if n < 4 || n > len(b) {
				return
			}
			// The two upper bits say that it is nested, or in network order.
			if !yield(native.Uint16(b[2:])&0x3fff, b[4:n]) {
				return
			}
			b = b[min(align(n), len(b)):]
		}
	}
}

// request is a message being written.
type request struct{ b []byte }

// newRequest begins a request of a type; flagRequest is set in any case.
func newRequest(typ, flags uint16) *request {
	r := &request{b: make([]byte, headerSize, 128)}
	native.PutUint16(r.b[4:], typ)
	native.PutUint16(r.b[6:], flags|flagRequest)
	return r
}

func (r *request) fixed(b ...byte) { r.b = append(r.b, b...) }

func (r *request) u32fixed(v uint32) { r.b = native.AppendUint32(r.b, v) }

func (r *request) attr(typ uint16, value []byte) {
	r.b = native.AppendUint16(r.b, uint16(4+len(value)))
	r.b = native.AppendUint16(r.b, typ)
	r.b = append(r.b, value...)
	for len(r.b)%4 != 0 {
		r.b = append(r.b, 0)
	}
}

func (r *request) u32(typ uint16, v uint32) { r.attr(typ, native.AppendUint32(nil, v)) }

// bytes returns the request with its length and sequence number.
func (r *request) bytes(seq uint32) []byte {
	native.PutUint32(r.b, uint32(len(r.b)))
	native.PutUint32(r.b[8:], seq)
	return r.b
}

// Flags of an answer, and the attribute with what is wrong in words
// (linux/netlink.h, NLM_F_CAPPED, NLM_F_ACK_TLVS, NLMSGERR_ATTR_MSG).
const (
	flagCapped  = 0x100
	flagAckTLVs = 0x200
	attrMessage = 1
)

// explanation is what the kernel says in words of a request that it refused, ""
// if it says nothing.
func explanation(m message) string {
	if m.flags&flagAckTLVs == 0 || len(m.body) < 4+headerSize {
		return ""
	}
	skip := 4 + headerSize // the error, and the header of what was refused
	if m.flags&flagCapped == 0 {
		if n := native.Uint32(m.body[4:]); n >= headerSize && uint64(n) < uint64(len(m.body)) {
			skip = 4 + align(int(n))
		}
	}
	for typ, v := range attributes(m.body, skip) {
		if typ == attrMessage {
			return text(v[:min(len(v), 200)])
		}
	}
	return ""
}

// Event is something that the kernel has said: exactly one field is set.
type Event struct {
	Link    *Link
	Address *Address
	// Gone: what the other field describes is there no more.
	Gone bool
}

// Parse reads what the kernel sent in one go. Messages that are of no interest
// are left out.
func Parse(b []byte) []Event {
	var out []Event
	for m := range messages(b) {
		switch m.typ {
		case typeNewLink, typeDelLink:
			if l, ok := parseLink(m.body); ok {
				out = append(out, Event{Link: &l, Gone: m.typ == typeDelLink})
			}
		case typeNewAddr, typeDelAddr:
			if a, ok := parseAddress(m.body); ok {
				out = append(out, Event{Address: &a, Gone: m.typ == typeDelAddr})
			}
		}
	}
	return out
}

// addrOf reads an address of a family: of 4 or of 16 bytes.
func addrOf(b []byte) netip.Addr {
	a, _ := netip.AddrFromSlice(b)
	return a
}

// text reads a string that may end in a zero byte.
func text(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}
