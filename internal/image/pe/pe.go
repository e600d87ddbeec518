// Package pe reads the sections of a PE file: the form of EFI programs, and so
// of unified kernel images and of kernels with an EFI stub. The layout is that
// of Microsoft's PE/COFF specification; all numbers are little-endian.
//
// A pure parser in bounded memory. It does not say whether firmware would run
// the file.
package pe

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrFormat is wrapped by every error that says a file is no PE file.
var ErrFormat = errors.New("not a valid PE file")

// Section is one section of a file.
type Section struct {
	Name   string // without the NULs behind it: ".linux"
	Offset int64  // of its content in the file, in bytes
	Size   int64  // of the content: the smaller of what is in the file and what is loaded
}

const (
	peOffset   = 0x3c // in the MS-DOS header: where the PE header is
	fileHeader = 24   // "PE\0\0" and the COFF file header
	sectHeader = 40
)

// Is says whether b begins as a PE file does.
func Is(b []byte) bool { return len(b) > peOffset+4 && bytes.HasPrefix(b, []byte("MZ")) }

// Sections returns the sections of a file in the order of its headers.
func Sections(b []byte) ([]Section, error) {
	if !Is(b) {
		return nil, fmt.Errorf("no MS-DOS header: %w", ErrFormat)
	}
	at := int64(binary.LittleEndian.Uint32(b[peOffset:]))
	if at > int64(len(b))-fileHeader || !bytes.HasPrefix(b[at:], []byte("PE\x00\x00")) {
		return nil, fmt.Errorf("no PE header at byte %d: %w", at, ErrFormat)
	}
	count := int64(binary.LittleEndian.Uint16(b[at+6:]))
	at += fileHeader + int64(binary.LittleEndian.Uint16(b[at+20:]))
	if at+count*sectHeader > int64(len(b)) {
		return nil, fmt.Errorf("%d section headers at byte %d of %d: %w", count, at, len(b), ErrFormat)
	}
	out := make([]Section, 0, count)
	for range count {
		h := b[at : at+sectHeader]
		at += sectHeader
		name, _, _ := bytes.Cut(h[:8], []byte{0})
		virtual, raw := binary.LittleEndian.Uint32(h[8:]), binary.LittleEndian.Uint32(h[16:])
		s := Section{Name: string(name), Offset: int64(binary.LittleEndian.Uint32(h[20:])), Size: int64(raw)}
		// Raw sizes are rounded up; what is loaded may be larger, filled with zeros.
		if virtual != 0 && int64(virtual) < s.Size {
			s.Size = int64(virtual)
		}
		if s.Size > 0 && s.Offset+s.Size > int64(len(b)) {
			return nil, fmt.Errorf("section %q at bytes %d to %d of %d: %w", s.Name, s.Offset, s.Offset+s.Size, len(b), ErrFormat)
		}
		out = append(out, s)
	}
	return out, nil
}
