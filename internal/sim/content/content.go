// Package content writes what disks hold: partition tables and the
// superblocks of filesystems, arrays, volume groups and encrypted devices, as
// the field's own tools would have made them, for machines that exist only in
// memory.
//
// Only what identifies a thing and tells how it is put together is written;
// the rest of a disk reads as zeros. Nothing here takes a random number or
// reads a clock: the same arguments give the same bytes. It needs no tool of
// the machine and imports none of the parsers that it is to test.
package content

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
)

// Piece is bytes at a place on a device.
type Piece struct {
	At   int64 // bytes from the device's start
	Data []byte
}

// SectorSize is the unit of partition tables and device tables, in bytes.
const SectorSize = 512

var (
	le = binary.LittleEndian
	be = binary.BigEndian
)

// UUID turns the text of a UUID into its bytes, in the order of the text. It
// panics at a text that is none: these are written in the program.
func UUID(text string) [16]byte {
	var out [16]byte
	digits := strings.ReplaceAll(text, "-", "")
	if len(digits) != 32 {
		panic("content: UUID " + text)
	}
	for i := range out {
		n, err := strconv.ParseUint(digits[2*i:2*i+2], 16, 8)
		if err != nil {
			panic("content: UUID " + text)
		}
		out[i] = byte(n)
	}
	return out
}

// UUIDText is the text of a UUID made of two numbers, of version 4 by its
// marks: a cheap way to as many as are needed.
func UUIDText(hi, lo uint64) string {
	hi = hi&^0xf000 | 0x4000
	lo = lo&^(3<<62) | 2<<62
	return fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", hi>>32, hi>>16&0xffff, hi&0xffff, lo>>48, lo&(1<<48-1))
}

// guid is a UUID as GPT stores it: three little-endian fields, then bytes.
func guid(text string) [16]byte {
	b := UUID(text)
	return [16]byte{b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]}
}

// crc is the CRC-32 with another start and without the last inversion, as LVM
// and others take it.
func crc(start uint32, b []byte) uint32 { return ^crc32.Update(^start, crc32.IEEETable, b) }
