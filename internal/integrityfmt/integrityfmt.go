// Package integrityfmt reads the superblock of dm-integrity. It reads through
// an io.ReaderAt, never writes, and decides nothing.
//
// Source: struct superblock in the kernel's drivers/md/dm-integrity.c, and its
// Documentation/admin-guide/device-mapper/dm-integrity.rst. Little endian.
package integrityfmt

import (
	"encoding/binary"
	"errors"
	"io"

	"firstlight/internal/fmt"
)

// Errors that callers tell apart.
var (
	// ErrNone is returned where there is no superblock.
	ErrNone = errors.New("no dm-integrity superblock")
	// ErrCorrupt is wrapped by the error for one that contradicts itself.
	ErrCorrupt = errors.New("corrupt dm-integrity superblock")
)

// Layout of the superblock.
const (
	size          = 512
	magic         = "integrt\x00"
	offVersion    = 8
	offInterleave = 9  // signed, the logarithm of sectors; -1 with a device of its own for the tags
	offTag        = 10 // u16, bytes
	offJournal    = 12 // u32, sections
	offProvided   = 16 // u64, 512-byte sectors
	offFlags      = 24 // u32
	offBlock      = 28 // the logarithm of sectors in a block
	newest        = 6  // version
)

// The flags.
const (
	JournalMAC    = 1 << iota // the journal is authenticated
	Recalculating             // tags are still being computed
	DirtyBitmap
	FixedPadding
	FixedHMAC
	Inline // tags are in the drive's own sectors
)

// Superblock is what a device says of itself.
type Superblock struct {
	Version   int
	TagSize   int    // bytes of tag for each block
	Sectors   uint64 // of data that the device offers, in units of 512 bytes
	Flags     uint32
	BlockSize int // in bytes: 512 to 4096
}

// Read reads the superblock at offset, in bytes.
func Read(r io.ReaderAt, offset int64) (*Superblock, error) {
	var b [size]byte
	if n, err := r.ReadAt(b[:], offset); n < size {
		if err == nil || err == io.EOF {
			return nil, fmt.Errorf("%w at %d: the device ends there", ErrNone, offset)
		}
		return nil, fmt.Errorf("read the dm-integrity superblock at %d: %w", offset, err)
	}
	if string(b[:len(magic)]) != magic {
		return nil, fmt.Errorf("%w at %d", ErrNone, offset)
	}
	le := binary.LittleEndian
	s := &Superblock{Version: int(b[offVersion]), TagSize: int(le.Uint16(b[offTag:])), Sectors: le.Uint64(b[offProvided:]),
		Flags: le.Uint32(b[offFlags:])}
	block := b[offBlock]
	switch {
	case s.Version < 1 || s.Version > newest:
		return nil, fmt.Errorf("%w: version %d", ErrCorrupt, s.Version)
	case block > 3:
		return nil, fmt.Errorf("%w: blocks of 2^%d sectors", ErrCorrupt, block)
	case s.Sectors == 0 || s.Sectors > 1<<54:
		return nil, fmt.Errorf("%w: it offers %d sectors", ErrCorrupt, s.Sectors)
	case s.TagSize == 0:
		return nil, fmt.Errorf("%w: tags of 0 bytes", ErrCorrupt)
	}
	s.BlockSize = 512 << block
	return s, nil
}

// Has says whether a flag is set.
func (s *Superblock) Has(flag uint32) bool { return s.Flags&flag != 0 }
