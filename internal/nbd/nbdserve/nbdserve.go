// Package nbdserve is the server's side of the protocol of network block devices
// (package nbd) once a connection stands, for helpers that are the server of the
// kernel's driver themselves: requests and the simple replies to them.
//
// It is pure. Numbers are in network byte order.
package nbdserve

import "encoding/binary"

// Magic numbers of the transmission.
const (
	magicRequest = 0x25609513
	magicSimple  = 0x67446698
)

// RequestSize is that of a request without its data, ReplySize of a reply, in
// bytes.
const (
	RequestSize = 28
	ReplySize   = 16
)

// Commands of requests.
const (
	CmdRead       = 0
	CmdWrite      = 1
	CmdDisconnect = 2
	CmdFlush      = 3
)

// Flags of an export, for the kernel.
const (
	FlagHas      = 1 << 0
	FlagReadOnly = 1 << 1
	FlagFlush    = 1 << 2
)

// Errors of replies, which are numbers of the protocol.
const (
	OK              = 0
	ErrNotPermitted = 1
	ErrIO           = 5
	ErrInvalid      = 22
)

// Request is what the kernel wants.
type Request struct {
	Command uint16
	Cookie  uint64 // comes back in the reply
	Offset  uint64 // bytes
	Length  uint32 // bytes
}

// ParseRequest reads the first RequestSize bytes of b; ok is false where they are no
// request.
func ParseRequest(b []byte) (r Request, ok bool) {
	if len(b) < RequestSize || binary.BigEndian.Uint32(b) != magicRequest {
		return r, false
	}
	return Request{Command: binary.BigEndian.Uint16(b[6:]), Cookie: binary.BigEndian.Uint64(b[8:]),
		Offset: binary.BigEndian.Uint64(b[16:]), Length: binary.BigEndian.Uint32(b[24:])}, true
}

// AppendReply appends a reply; the data of a read follows it where code is OK.
func AppendReply(b []byte, cookie uint64, code uint32) []byte {
	b = binary.BigEndian.AppendUint32(b, magicSimple)
	b = binary.BigEndian.AppendUint32(b, code)
	return binary.BigEndian.AppendUint64(b, cookie)
}
