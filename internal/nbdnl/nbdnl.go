// Package nbdnl is the kernel's interface for network block devices: the generic
// netlink family "nbd" (linux/nbd-netlink.h), by which connections are handed to
// the driver and the driver tells of those that broke.
//
// Messages are in the byte order of the machine. What is made and read here is
// pure; socket_linux.go sends it.
package nbdnl

import (
	"encoding/binary"
	"iter"
)

var native = binary.NativeEndian

// Types of netlink messages, and the controller of generic ones
// (linux/netlink.h, linux/genetlink.h).
const (
	typeError   = 2
	typeControl = 16

	flagRequest = 0x1
	flagAck     = 0x4

	headerSize = 16 + 4 // with generic netlink's own

	getFamily   = 3
	familyID    = 1
	familyName  = 2
	familyGroup = 7
	groupName   = 1
	groupID     = 2

	nested = 0x8000
)

// Name and version of the family, and the group that hears of broken
// connections.
const (
	family  = "nbd"
	group   = "nbd_mc_group"
	version = 1
)

// Commands.
const (
	cmdConnect     = 1
	cmdDisconnect  = 2
	cmdReconfigure = 3
	cmdLinkDead    = 4
)

// Attributes.
const (
	attrIndex       = 1
	attrSize        = 2
	attrBlockSize   = 3
	attrTimeout     = 4
	attrServerFlags = 5
	attrClientFlags = 6
	attrSockets     = 7
	attrDeadConn    = 8
	attrBackend     = 10
	sockItem        = 1
	sockFD          = 1
)

// Device is what the kernel is to make of connections.
type Device struct {
	Index     int // of /dev/nbdN; below 0 for any that is free
	Size      uint64
	BlockSize uint32
	Flags     uint16 // the server's, of package nbd
	// Timeout is when a request that is not answered breaks its connection, in
	// seconds, 0 for never; DeadConn how long requests wait for a new connection
	// when there is none.
	Timeout, DeadConn uint64
	// Backend names what the device is connected to: another is not taken for it
	// later. "" for kernels that do not know it (before 5.14).
	Backend string
	Sockets []int // file descriptors
}

// message is a request that is being made.
type message struct{ b []byte }

func newMessage(typ, flags uint16, cmd byte) *message {
	m := &message{make([]byte, headerSize, 256)}
	native.PutUint16(m.b[4:], typ)
	native.PutUint16(m.b[6:], flags|flagRequest)
	m.b[16], m.b[17] = cmd, version
	return m
}

func (m *message) attr(typ uint16, v []byte) {
	m.b = native.AppendUint16(m.b, uint16(4+len(v)))
	m.b = native.AppendUint16(m.b, typ)
	m.b = append(m.b, v...)
	for len(m.b)%4 != 0 {
		m.b = append(m.b, 0)
	}
}

func (m *message) u32(typ uint16, v uint32) { m.attr(typ, native.AppendUint32(nil, v)) }
func (m *message) u64(typ uint16, v uint64) { m.attr(typ, native.AppendUint64(nil, v)) }

// sockets nests file descriptors.
func (m *message) sockets(fds []int) {
	list := &message{}
	for _, fd := range fds {
		item := &message{}
		item.u32(sockFD, uint32(fd))
		list.attr(sockItem|nested, item.b)
	}
	m.attr(attrSockets|nested, list.b)
}

// bytes ends the message.
func (m *message) bytes(seq uint32) []byte {
	native.PutUint32(m.b, uint32(len(m.b)))
	native.PutUint32(m.b[8:], seq)
	return m.b
}

func askFamily() *message {
	m := newMessage(typeControl, flagAck, getFamily)
	m.attr(familyName, append([]byte(family), 0))
	return m
}

func connect(id uint16, d Device) *message {
	m := newMessage(id, flagAck, cmdConnect)
	if d.Index >= 0 {
		m.u32(attrIndex, uint32(d.Index))
	}
	m.u64(attrSize, d.Size)
	m.u64(attrBlockSize, uint64(d.BlockSize))
	m.u64(attrServerFlags, uint64(d.Flags))
	m.rest(d)
	return m
}

// rest are attributes of a new device and of a changed one.
func (m *message) rest(d Device) {
	if d.Timeout > 0 {
		m.u64(attrTimeout, d.Timeout)
	}
	if d.DeadConn > 0 {
		m.u64(attrDeadConn, d.DeadConn)
	}
	if d.Backend != "" {
		m.attr(attrBackend, append([]byte(d.Backend), 0))
	}
	m.sockets(d.Sockets)
}

func reconfigure(id uint16, d Device) *message {
	m := newMessage(id, flagAck, cmdReconfigure)
	m.u32(attrIndex, uint32(d.Index))
	m.rest(d)
	return m
}

func disconnect(id uint16, index int) *message {
	m := newMessage(id, flagAck, cmdDisconnect)
	m.u32(attrIndex, uint32(index))
	return m
}

// received is a message of the kernel.
type received struct {
	typ  uint16
	seq  uint32
	body []byte
}

// received splits what the kernel has sent.
func messages(b []byte) iter.Seq[received] {
	return func(yield func(received) bool) {
		for len(b) >= 16 {
			n := native.Uint32(b)
			if n < 16 || uint64(n) > uint64(len(b)) {
				return
			}
			if !yield(received{native.Uint16(b[4:]), native.Uint32(b[8:]), b[16:n]}) {
				return
			}
			b = b[min(align(int(n)), len(b)):]
		}
	}
}

func align(n int) int { return (n + 3) &^ 3 }

func attributes(b []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= 4 {
			n := int(native.Uint16(b))
			if n < 4 || n > len(b) {
				return
			}
			if !yield(native.Uint16(b[2:])&0x3fff, b[4:n]) {
				return
			}
			b = b[min(align(n), len(b)):]
		}
	}
}

func u32(v []byte) (n uint32, ok bool) {
	if len(v) < 4 {
		return 0, false
	}
	return native.Uint32(v), true
}

// parseFamily reads the controller's answer.
func parseFamily(body []byte) (id uint16, mcast uint32) {
	if len(body) < 4 {
		return 0, 0
	}
	for typ, v := range attributes(body[4:]) {
		switch {
		case typ == familyID && len(v) >= 2:
			id = native.Uint16(v)
		case typ == familyGroup:
			for _, g := range attributes(v) {
				name, n := "", uint32(0)
				for typ, v := range attributes(g) {
					switch typ {
					case groupName:
						name = text(v)
					case groupID:
						n, _ = u32(v)
					}
				}
				if name == group {
					mcast = n
				}
			}
		}
	}
	return id, mcast
}

func text(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}

// index is the device that a message is about.
func index(body []byte) (n int, ok bool) {
	if len(body) < 4 {
		return 0, false
	}
	for typ, v := range attributes(body[4:]) {
		if typ == attrIndex {
			v, ok := u32(v)
			return int(v), ok && v < 1<<20
		}
	}
	return 0, false
}

// dead returns the devices of which a connection broke, once for each.
func dead(b []byte, id uint16) []int {
	var list []int
	for m := range messages(b) {
		if m.typ != id || len(m.body) < 4 || m.body[0] != cmdLinkDead {
			continue
		}
		if n, ok := index(m.body); ok {
			list = append(list, n)
		}
	}
	return list
}
