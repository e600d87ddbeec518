// Package bcachefsfmt reads of the superblock of bcachefs what is needed to know
// which devices a filesystem has. It reads through an io.ReaderAt, never writes,
// and decides nothing; that the checksum is right was seen by whoever has
// recognised the filesystem.
//
// Source: the kernel's fs/bcachefs/bcachefs_format.h. Little endian.
package bcachefsfmt

import (
	"encoding/binary"
	"io"

	"firstlight/internal/fmt"
)

// ErrNone is wrapped by the error where there is no such superblock.
const ErrNone = constant("no bcachefs superblock")

// constant is an error that needs no initialisation.
type constant string

func (c constant) Error() string { return string(c) }

// Layout of the superblock, 4 KiB into the device.
const (
	at        = 4096
	fixed     = 752
	offMagic  = 24
	offUUID   = 56  // of the filesystem
	offSeq    = 112 // u64, counts the writings of the superblock
	offIndex  = 122 // u8
	offCount  = 123 // u8
	offWords  = 124 // u32, of 8 bytes behind the fixed part
	maxFields = 1 << 20
	magic     = "\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef"

	membersV1, crypt, membersV2 = 1, 2, 11 // kinds of fields
	memberV1                    = 56       // bytes
	plainKey                    = "bch**key"
)

// Super is what a superblock says of its filesystem.
type Super struct {
	UUID    [16]byte
	Seq     uint64
	Index   int    // of this device
	Members []bool // by index: it belongs to the filesystem
	// Locked says that the data is encrypted with a key that a passphrase opens.
	Locked bool
}

// Read reads the superblock.
func Read(r io.ReaderAt) (*Super, error) {
	head := make([]byte, fixed)
	if _, err := r.ReadAt(head, at); err != nil {
		return nil, fmt.Errorf("read the bcachefs superblock: %w", err)
	}
	le := binary.LittleEndian
	size := 8 * uint64(le.Uint32(head[offWords:]))
	s := &Super{UUID: [16]byte(head[offUUID:]), Seq: le.Uint64(head[offSeq:]), Index: int(head[offIndex]), Members: make([]bool, head[offCount])}
	if string(head[offMagic:offMagic+16]) != magic || s.Index >= len(s.Members) || size > maxFields {
		return nil, ErrNone
	}
	fields := make([]byte, size)
	if _, err := r.ReadAt(fields, at+fixed); err != nil {
		return nil, fmt.Errorf("read the bcachefs superblock: %w", err)
	}
	known := false
	for f := fields; len(f) >= 8; {
		n, kind := 8*uint64(le.Uint32(f)), le.Uint32(f[4:])
		if n < 8 || n > uint64(len(f)) {
			break
		}
		switch body := f[8:n]; kind {
		case membersV1:
			known = known || s.members(body, memberV1)
		case membersV2:
			if len(body) >= 8 {
				known = s.members(body[8:], int(le.Uint16(body))) || known
			}
		case crypt: // u64 flags, u64 of the derivation, then the key behind its magic
			s.Locked = len(body) >= 24 && string(body[16:24]) != plainKey
		}
		f = f[n:]
	}
	if !known || !s.Members[s.Index] {
		return nil, fmt.Errorf("%w: it has no members", ErrNone)
	}
	return s, nil
}

// members reads the table of members, each of so many bytes, with a UUID first
// that is zero where the member was taken out.
func (s *Super) members(b []byte, size int) bool {
	if size < 16 || len(b) < size*len(s.Members) {
		return false
	}
	for i := range s.Members {
		s.Members[i] = [16]byte(b[i*size:]) != [16]byte{}
	}
	return true
}

// Count is how many members the filesystem has.
func (s *Super) Count() (n int) {
	for _, there := range s.Members {
		if there {
			n++
		}
	}
	return n
}
