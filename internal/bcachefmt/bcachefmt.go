// Package bcachefmt reads the superblock of bcache: that of a device that is
// cached, and that of one that caches others. It reads through an io.ReaderAt,
// never writes, and decides nothing.
//
// Source: struct cache_sb_disk and its flags in the kernel's
// drivers/md/bcache/bcache_ondisk.h. Little endian.
package bcachefmt

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"io"

	"firstlight/internal/crc64be"
	"firstlight/internal/fmt"
)

// Error is one that callers tell apart. It is a constant, so that a program that
// links the package and reads nothing has nothing of it.
type Error string

func (e Error) Error() string { return string(e) }

// The errors.
const (
	// ErrNone is returned where there is no superblock.
	ErrNone Error = "no bcache superblock"
	// ErrCorrupt is wrapped by the error for one that contradicts itself.
	ErrCorrupt Error = "corrupt bcache superblock"
	// ErrUnsupported is wrapped by the error for a version that is not known.
	ErrUnsupported Error = "unknown version of bcache"
)

// Layout of the superblock.
const (
	start  = 4096 // where it is, in bytes
	size   = 4096
	magic  = "\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81"
	sector = 512

	offSum     = 0  // u64, of all from offOwn to the end of the journal's buckets
	offOwn     = 8  // u64, sector of the superblock
	offVersion = 16 // u64
	offMagic   = 24
	offUUID    = 40
	offSet     = 56
	offLabel   = 72  // 32 bytes
	offFlags   = 104 // u64
	offSeq     = 112 // u64, counts its writes
	offData    = 184 // u64, sector of the data on a cached device
	offBlock   = 192 // u16, sectors of a block
	offInSet   = 196 // u16, number of caches in the set
	offKeys    = 206 // u16, buckets of the journal, each an u64
	fixed      = 208
	maxKeys    = 256

	// oldData is the sector of the data of devices that have no field for it.
	oldData = 16
	labelOf = 32
)

// Versions of the superblock.
const (
	cache         = 0
	backing       = 1
	cacheUUID     = 3
	backingOffset = 4
	cacheFeatures = 5
	backingNewest = 6
)

// State is what a cached device says of its cache.
type State uint8

// States, as the superblock numbers them.
const (
	Detached State = iota // it has none
	Clean                 // the device has all that the cache has
	Dirty                 // the cache has writes that the device lacks
	Stale                 // it was used without its cache, of which nothing counts any more
)

func (s State) String() string {
	return [...]string{"detached", "clean", "dirty", "stale"}[s&3]
}

// Super is what a device says of itself.
type Super struct {
	Backing bool // it is cached; otherwise it is a cache
	UUID    string
	Set     string // UUID of the set of caches
	Label   string
	Seq     uint64 // how often it was written
	State   State  // of one that is cached
	Data    uint64 // sector at which its data starts
	InSet   int    // of a cache: how many there are in the set
}

// Read reads the superblock of a device of so many bytes.
func Read(r io.ReaderAt, bytesOf uint64) (*Super, error) {
	var b [size]byte
	if n, err := r.ReadAt(b[:], start); n < size {
		if err == nil || err == io.EOF {
			return nil, fmt.Errorf("%w: the device ends before it", ErrNone)
		}
		return nil, fmt.Errorf("read the bcache superblock: %w", err)
	}
	le := binary.LittleEndian
	if string(b[offMagic:][:len(magic)]) != magic {
		return nil, ErrNone
	}
	keys := int(le.Uint16(b[offKeys:]))
	version := le.Uint64(b[offVersion:])
	own := le.Uint64(b[offOwn:])
	switch {
	case own != start/sector:
		return nil, fmt.Errorf("%w: it says that it is in sector %d", ErrCorrupt, own)
	case version > backingNewest || version == 2:
		return nil, fmt.Errorf("%w: %d", ErrUnsupported, version)
	case keys > maxKeys:
		return nil, fmt.Errorf("%w: %d buckets of a journal", ErrCorrupt, keys)
	case crc64be.Sum(b[offOwn:fixed+8*keys]) != le.Uint64(b[offSum:]):
		return nil, fmt.Errorf("%w: its checksum is wrong", ErrCorrupt)
	}
	label, _, _ := bytes.Cut(b[offLabel:][:labelOf], []byte{0})
	s := &Super{UUID: uuid(b[offUUID:]), Set: uuid(b[offSet:]), Label: string(label), Seq: le.Uint64(b[offSeq:]), Data: oldData}
	if version != backing && version != backingOffset && version != backingNewest {
		s.Data, s.InSet = 0, int(le.Uint16(b[offInSet:]))
		return s, nil
	}
	s.Backing, s.State = true, State(le.Uint64(b[offFlags:])>>61&3)
	if version != backing {
		s.Data = le.Uint64(b[offData:])
	}
	if s.Data < oldData || s.Data >= bytesOf/sector {
		return nil, fmt.Errorf("%w: its data starts in sector %d", ErrCorrupt, s.Data)
	}
	return s, nil
}

func uuid(b []byte) string {
	h := hex.EncodeToString(b[:16])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
