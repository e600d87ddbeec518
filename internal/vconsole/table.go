// Package vconsole has the settings of the kernel's text console in an image: a
// list of ioctls that the builder has worked out and /init carries out before
// its first question, so that a passphrase is typed with the keyboard's layout.
//
// The list is small, and /init knows neither layouts nor fonts. Numbers are
// little-endian, as all machines are that Firstlight makes images for.
package vconsole

import "encoding/binary"

// Path is the list in the image.
const Path = "/etc/firstlight/vconsole.tab"

// Call is an ioctl, or several of the same request.
type Call struct {
	Request uint32
	// Value is the argument, where Args is empty.
	Value uint32
	// Args are the arguments one after the other, each of Size bytes.
	Args []byte
	Size uint32
	// At is where in the argument the address of Data belongs, where there is any.
	At   uint32
	Data []byte
}

// header is the length of what stands before the bytes of a call: its numbers,
// and how many bytes Args and Data have.
const header = 24

// Append appends a call as it stands in the list.
func Append(b []byte, c Call) []byte {
	for _, v := range [...]uint32{c.Request, c.Value, c.Size, c.At, uint32(len(c.Args)), uint32(len(c.Data))} {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return append(append(b, c.Args...), c.Data...)
}

// Next takes the first call off a list; ok is false at its end and where it is
// damaged. What it returns is part of the list.
func Next(b []byte) (c Call, rest []byte, ok bool) {
	if len(b) < header {
		return c, nil, false
	}
	n := func(i int) uint32 { return binary.LittleEndian.Uint32(b[4*i:]) }
	c = Call{Request: n(0), Value: n(1), Size: n(2), At: n(3)}
	args, data := uint64(n(4)), uint64(n(5))
	if b = b[header:]; args+data > uint64(len(b)) || args > 0 && (c.Size == 0 || args%uint64(c.Size) != 0) || data > 0 && uint64(c.At)+8 > uint64(c.Size) {
		return c, nil, false
	}
	c.Args, c.Data = b[:args:args], b[args:args+data]
	return c, b[args+data:], true
}
