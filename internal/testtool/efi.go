package testtool

import (
	"encoding/binary"
	"strings"
)

// EFIStub is an EFI program for x86-64 with a section of code that names what it looks for.
func EFIStub(names ...string) []byte {
	const table = 0x40 + 24 + 160
	b := make([]byte, 0x400)
	copy(b, "MZ")
	le := binary.LittleEndian
	b[0x3c] = 0x40
	copy(b[0x40:], "PE\x00\x00")
	le.PutUint16(b[0x44:], 0x8664)
	le.PutUint16(b[0x46:], 1)
	le.PutUint16(b[0x54:], 160)
	o := b[0x58:]
	le.PutUint16(o, 0x20b)
	le.PutUint32(o[32:], 0x1000)
	le.PutUint32(o[36:], 0x200)
	le.PutUint32(o[56:], 0x2000)
	le.PutUint32(o[60:], 0x200)
	le.PutUint16(o[70:], 0x100) // NX_COMPAT
	le.PutUint32(o[108:], 6)
	h := b[table:]
	copy(h, ".text")
	for i, v := range []uint32{0x180, 0x1000, 0x200, 0x200} { // size and place in memory and in the file
		le.PutUint32(h[8+4*i:], v)
	}
	le.PutUint32(h[36:], 0x60000020)
	copy(b[0x200:], strings.Join(names, "\x00")+"\x00")
	return b
}
