package blkid

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"
	"math/bits"

	"firstlight/internal/crc64be"

	"golang.org/x/crypto/blake2b"
)

// The checksums of filesystems' superblocks. One that is wrong is what the
// kernel refuses to mount; libblkid verifies them since 2.39 to 2.41.
//
// The layers below filesystems (RAID, LUKS, bcache …) are named whatever their
// checksums say: the content of a damaged member of a mirror must not be taken
// for a filesystem to mount. Whoever activates them verifies.

// rawCRC is a CRC without the inversions before and after.
func rawCRC(table *crc32.Table, seed uint32, b []byte) uint32 {
	return ^crc32.Update(^seed, table, b)
}

// rawCRC32 is rawCRC with the ordinary polynomial.
func rawCRC32(seed uint32, b []byte) uint32 { return rawCRC(crc32.IEEETable, seed, b) }

// crc32c is the table of Castagnoli's polynomial. crc32.MakeTable would also
// make what long inputs are quick with, and that is more work than the sums of
// a hundred superblocks.
func crc32c() *crc32.Table {
	table := new(crc32.Table)
	for i := range table {
		c := uint32(i)
		for range 8 {
			c = c>>1 ^ crc32.Castagnoli&-(c&1)
		}
		table[i] = c
	}
	return table
}

// rawWithout is rawCRC from all ones, with the four bytes of the checksum
// itself counted as zero.
func rawWithout(table *crc32.Table, b []byte, at int) uint32 {
	crc := rawCRC(table, ^uint32(0), b[:at])
	crc = rawCRC(table, crc, []byte{0, 0, 0, 0})
	return rawCRC(table, crc, b[at+4:])
}

// extSum: 0x3fc CRC-32C of all before it, if 0x64 has metadata_csum.
func extSum(p *probe, _ *magic) bool {
	const metadataSum = 0x400
	ok := func(b []byte) bool {
		return b != nil && (le.Uint32(b[0x64:])&metadataSum == 0 || rawCRC(crc32c(), ^uint32(0), b[:0x3fc]) == le.Uint32(b[0x3fc:]))
	}
	// A mounted filesystem changes its superblock in the very memory that is
	// read here, the checksum last.
	return ok(p.bytes(extSuper, 1024)) || ok(p.d.Again(extSuper, 1024))
}

// xfsSum: version 5 (100 u16, its low 4 bits) has 224 CRC-32C of the sector,
// little-endian other than all else.
func xfsSum(p *probe, _ *magic) bool {
	const (
		moreBits = 0x8000 // of the version: 200 u32 says more
		withCRC  = 0x100  // of those
		at       = 224
	)
	b := p.bytes(0, 512)
	if b == nil || b[101]&15 != 5 {
		return b != nil
	}
	if be.Uint16(b[100:])&moreBits == 0 || be.Uint32(b[200:])&withCRC == 0 {
		return false
	}
	b = p.bytes(0, uint64(be.Uint16(b[102:])))
	return b != nil && ^rawWithout(crc32c(), b, at) == le.Uint32(b[at:])
}

// btrfsSum: of the 4 KiB but for the first 32 bytes, which hold it; 0xc4 u16
// its kind. An unknown kind is taken on trust.
func btrfsSum(p *probe, _ *magic) bool {
	b := p.bytes(btrfsSuper, 4096)
	if b == nil || le.Uint32(b[0x90:]) == 0 {
		return false
	}
	sum, body := b[:32], b[32:]
	switch le.Uint16(b[0xc4:]) {
	case 0:
		return crc32.Checksum(body, crc32c()) == le.Uint32(sum)
	case 1:
		return xxh64(body) == le.Uint64(sum)
	case 2:
		s := sha256.Sum256(body)
		return bytes.Equal(s[:], sum)
	case 3:
		s := blake2b.Sum256(body)
		return bytes.Equal(s[:], sum)
	}
	return true
}

// f2fsSum: 0x20 u32 where a CRC-32 of all before it stands, or 0; its seed is
// the filesystem's magic.
func f2fsSum(p *probe, m *magic) bool {
	const (
		seed = 0xf2f52010
		size = 4096 - 1024
	)
	b := p.bytes(m.base, size)
	if b == nil || le.Uint16(b[4:]) == 1 && le.Uint16(b[6:]) == 0 {
		return b != nil // not known where it would be
	}
	at := le.Uint32(b[0x20:])
	return at == 0 || at%4 == 0 && at <= size-4 && rawCRC32(seed, b[:at]) == le.Uint32(b[at:])
}

// erofsSum: 4 CRC-32C of the rest of the first block, if 8 u32 has bit 0.
func erofsSum(p *probe, m *magic) bool {
	b := p.bytes(m.base, 128)
	if b == nil || b[8]&1 == 0 {
		return b != nil
	}
	if b[0x0c] < 11 || b[0x0c] > 16 {
		return false
	}
	b = p.bytes(m.base, 1<<b[0x0c]-m.base)
	return b != nil && rawWithout(crc32c(), b, 4) == le.Uint32(b[4:])
}

// exfatSum: the twelfth sector is full of a sum of the bytes of the eleven
// before it, but for those that change when it is mounted.
func exfatSum(p *probe, _ *magic) bool {
	head := p.bytes(0, 120)
	if head == nil || head[108] < 9 || head[108] > 12 {
		return false
	}
	size := 1 << head[108]
	b := p.bytes(0, uint64(12*size))
	if b == nil {
		return false
	}
	sum := uint32(0)
	for i, c := range b[:11*size] {
		if i != 106 && i != 107 && i != 112 {
			sum = bits.RotateLeft32(sum, -1) + uint32(c)
		}
	}
	for b = b[11*size:]; len(b) > 0; b = b[4:] {
		if le.Uint32(b) != sum {
			return false
		}
	}
	return true
}

// romfsSum: the big-endian words of the first 512 bytes, or of the image (8 u32
// its size) if that is smaller, give zero.
func romfsSum(p *probe, _ *magic) bool {
	b := p.bytes(0, 32)
	if b == nil {
		return false
	}
	size := min(be.Uint32(b[8:]), 512)
	if b = p.bytes(0, uint64(size)); b == nil || size%4 != 0 {
		return false
	}
	sum := uint32(0)
	for ; len(b) > 0; b = b[4:] {
		sum += be.Uint32(b)
	}
	return sum == 0
}

// cramfsSum: 32 CRC-32 of the image (4 u32 its size), if 8 u32 has bit 0. That
// of a large image is taken on trust: it would be all of the device.
func cramfsSum(p *probe, m *magic) bool {
	const (
		at   = 32
		most = 64 << 10
	)
	var order binary.ByteOrder = binary.LittleEndian
	if m.bytes[0] == 0x28 {
		order = binary.BigEndian
	}
	b := p.bytes(0, 76)
	if b == nil {
		return false
	}
	size := order.Uint32(b[4:])
	if order.Uint32(b[8:])&1 == 0 || size > most {
		return true
	}
	if size < 76 {
		return false
	}
	b = p.bytes(0, uint64(size))
	return b != nil && ^rawWithout(crc32.IEEETable, b, at) == order.Uint32(b[at:])
}

// bcachefsSum: of all from 16 on; 144 has its kind in bits 2 to 7. An unknown
// kind is taken on trust.
func bcachefsSum(p *probe, m *magic) bool {
	b := p.bytes(m.base, bcachefsFixed)
	if b == nil {
		return false
	}
	if b = p.bytes(m.base, bcachefsFixed+uint64(le.Uint32(b[124:]))*8); b == nil {
		return false
	}
	body := b[16:]
	switch b[144] >> 2 {
	case 1:
		return crc32.Checksum(body, crc32c()) == le.Uint32(b)
	case 2:
		return crc64be.Sum(body) == le.Uint64(b)
	case 7:
		return xxh64(body) == le.Uint64(b)
	}
	return true
}

// xxh64 is xxHash's 64-bit hash with seed 0 (its specification, "xxHash fast
// digest algorithm").
func xxh64(b []byte) uint64 {
	const (
		p1 = 0x9e3779b185ebca87
		p2 = 0xc2b2ae3d27d4eb4f
		p3 = 0x165667b19e3779f9
		p4 = 0x85ebca77c2b2ae63
		p5 = 0x27d4eb2f165667c5
	)
	round := func(acc, v uint64) uint64 { return bits.RotateLeft64(acc+v*p2, 31) * p1 }
	h := uint64(p5)
	n := uint64(len(b))
	if len(b) >= 32 {
		one := uint64(p1) // a variable: the sums wrap
		acc := [4]uint64{one + p2, p2, 0, -one}
		for ; len(b) >= 32; b = b[32:] {
			for i := range acc {
				acc[i] = round(acc[i], le.Uint64(b[8*i:]))
			}
		}
		h = bits.RotateLeft64(acc[0], 1) + bits.RotateLeft64(acc[1], 7) + bits.RotateLeft64(acc[2], 12) + bits.RotateLeft64(acc[3], 18)
		for _, a := range acc {
			h = (h^round(0, a))*p1 + p4
		}
	}
	h += n
	for ; len(b) >= 8; b = b[8:] {
		h = bits.RotateLeft64(h^round(0, le.Uint64(b)), 27)*p1 + p4
	}
	if len(b) >= 4 {
		h = bits.RotateLeft64(h^uint64(le.Uint32(b))*p1, 23)*p2 + p3
		b = b[4:]
	}
	for _, c := range b {
		h = bits.RotateLeft64(h^uint64(c)*p5, 11) * p1
	}
	h = (h ^ h>>33) * p2
	h = (h ^ h>>29) * p3
	return h ^ h>>32
}
