// Package logfmt reads of a filesystem whether its journal is on another device,
// and which one that is: of ext3, ext4 and xfs. It is pure: bytes come in, and it
// looks at nothing but the superblock.
package logfmt

import (
	"encoding/binary"
	"errors"
	"io"

	"firstlight/internal/fmt"
)

// Log is where the journal of a filesystem is.
type Log struct {
	// External says that it is not in the filesystem itself.
	External bool
	// UUID is that of the journal's device for an ext3 or ext4, and of the
	// filesystem, which the records of the log have too, for an xfs.
	UUID string
}

// ErrNot says that the bytes are no superblock of that filesystem.
var ErrNot = errors.New("no superblock")

// Fields of the superblock of ext2, ext3 and ext4, little-endian, from byte 1024
// on (Documentation/filesystems/ext4/super.rst).
const (
	extAt         = 1024
	extMagicAt    = 0x38 // u16
	extCompat     = 0x5c // u32
	extIncompat   = 0x60 // u32
	extLogUUID    = 0xd0 // 16 bytes
	extLogInode   = 0xe0 // u32; 0 where there is none
	extMagic      = 0xef53
	extHasJournal = 0x4 // in extCompat
	extIsJournal  = 0x8 // in extIncompat: it is a journal itself
)

// Fields of the superblock of xfs, big-endian (fs/xfs/libxfs/xfs_format.h).
const (
	xfsMagic    = 0x58465342 // "XFSB", at 0
	xfsUUID     = 32         // 16 bytes
	xfsLogStart = 48         // u64: block of the log in the filesystem; 0 where it is elsewhere
)

// Read reads of a filesystem of that type (ext3, ext4, xfs; blkid's names) where
// its journal is.
func Read(r io.ReaderAt, typ string) (Log, error) {
	b := make([]byte, 512)
	at := int64(0)
	if typ != "xfs" {
		at = extAt
	}
	if _, err := r.ReadAt(b, at); err != nil && !errors.Is(err, io.EOF) {
		return Log{}, err
	} else if err != nil {
		return Log{}, fmt.Errorf("%s: %w", typ, ErrNot)
	}
	if typ == "xfs" {
		if binary.BigEndian.Uint32(b) != xfsMagic {
			return Log{}, fmt.Errorf("%s: %w", typ, ErrNot)
		}
		if binary.BigEndian.Uint64(b[xfsLogStart:]) != 0 {
			return Log{}, nil
		}
		return Log{External: true, UUID: uuid(b[xfsUUID:])}, nil
	}
	le := binary.LittleEndian
	if le.Uint16(b[extMagicAt:]) != extMagic || le.Uint32(b[extIncompat:])&extIsJournal != 0 {
		return Log{}, fmt.Errorf("%s: %w", typ, ErrNot)
	}
	if le.Uint32(b[extCompat:])&extHasJournal == 0 || le.Uint32(b[extLogInode:]) != 0 ||
		[16]byte(b[extLogUUID:]) == [16]byte{} {
		return Log{}, nil
	}
	return Log{External: true, UUID: uuid(b[extLogUUID:])}, nil
}

func uuid(b []byte) string {
	const hex = "0123456789abcdef"
	out := make([]byte, 0, 36)
	for i, c := range b[:16] {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			out = append(out, '-')
		}
		out = append(out, hex[c>>4], hex[c&15])
	}
	return string(out)
}
