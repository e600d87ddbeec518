package content

import (
	"hash/crc64"
	"math/bits"
)

// Bcache is a disk that bcache caches, or its cache, as the superblock has it
// (the kernel's drivers/md/bcache/bcache_ondisk.h).
type Bcache struct {
	UUID  string
	Set   string // of the set of caches
	Cache bool   // it is the cache
	State int    // of one that is cached: 0 detached, 1 clean, 2 dirty, 3 stale
}

// BcacheData is where the data of a disk starts that is cached, and what is
// cached on a cache, in bytes.
const BcacheData = 8 << 10

// Pieces are the superblock.
func (c Bcache) Pieces() []Piece {
	b := make([]byte, 4096)
	uuid, set := UUID(c.UUID), UUID(c.Set)
	le.PutUint64(b[8:], 4096/SectorSize)
	le.PutUint64(b[16:], 1)
	copy(b[24:], "\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81")
	copy(b[40:], uuid[:])
	copy(b[56:], set[:])
	le.PutUint64(b[104:], uint64(c.State)<<61)
	le.PutUint16(b[192:], 1)
	end := 208
	if c.Cache {
		le.PutUint64(b[16:], 3)
		le.PutUint64(b[184:], 1024)
		le.PutUint16(b[194:], 128)
		le.PutUint16(b[196:], 1)
		const journal = 8
		le.PutUint16(b[206:], journal)
		for i := range journal {
			le.PutUint64(b[208+8*i:], uint64(16+i))
		}
		end += 8 * journal
	}
	le.PutUint64(b, mirrored(b[8:end]))
	return []Piece{{4096, b}}
}

// mirrored is the CRC-64 with the highest bit first, by way of the one that has
// the lowest first.
func mirrored(b []byte) uint64 {
	r := make([]byte, len(b))
	for i, x := range b {
		r[i] = bits.Reverse8(x)
	}
	return bits.Reverse64(crc64.Checksum(r, crc64.MakeTable(crc64.ECMA)))
}
