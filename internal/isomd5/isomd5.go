// Package isomd5 verifies the check sum that implantisomd5 puts into an image
// of an optical disc, in the part of its primary volume descriptor that is left
// to applications (ECMA-119, 8.4.1): an MD5 of everything but the last sectors,
// with blanks in the place of that part. It says that a medium was copied
// without a fault; it protects from nobody.
//
// It is pure: it reads through an io.ReaderAt, with a buffer of fixed size.
package isomd5

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strconv"
	"strings"

	"firstlight/internal/fmt"
)

// Places on the disc, in bytes.
const (
	sector      = 2048
	first       = 16 * sector // of the volume descriptors
	sizeAt      = 84          // big-endian number of sectors
	applicAt    = 883
	applicSize  = 512
	descriptors = 32 // how many are looked at
)

// ErrNone says that the disc has no such sum.
var ErrNone = errors.New("the medium has no check sum (implantisomd5)")

// Sum is what a disc says of itself.
type Sum struct {
	Want [sumSize]byte
	Size int64 // bytes that the sum is of
	at   int64 // where the application's part is
}

// Read finds the sum in the volume descriptors of a disc of size bytes.
func Read(r io.ReaderAt, size int64) (Sum, error) {
	var s Sum
	buf := make([]byte, sector)
	for i := range int64(descriptors) {
		if _, err := r.ReadAt(buf, first+i*sector); err != nil {
			return s, fmt.Errorf("volume descriptor %d: %w", i, err)
		}
		if string(buf[1:6]) != "CD001" || buf[0] == 255 {
			break
		}
		if buf[0] == 1 {
			return parse(buf, first+i*sector, size)
		}
	}
	return s, errors.New("no ISO 9660 volume")
}

func parse(descriptor []byte, at, size int64) (Sum, error) {
	s := Sum{at: at + applicAt}
	s.Size = int64(binary.BigEndian.Uint32(descriptor[sizeAt:])) * sector
	text := string(descriptor[applicAt : applicAt+applicSize])
	found := false
	for part := range strings.SplitSeq(text, ";") {
		name, value, ok := strings.Cut(part, "=")
		if !ok {
			continue
		}
		value = strings.TrimSpace(value)
		switch strings.TrimSpace(name) {
		case "ISO MD5SUM":
			if len(value) != 2*len(s.Want) {
				return s, fmt.Errorf("the medium's check sum %q is none", value)
			}
			for i := range s.Want {
				n, err := strconv.ParseUint(value[2*i:2*i+2], 16, 8)
				if err != nil {
					return s, fmt.Errorf("the medium's check sum %q is none", value)
				}
				s.Want[i] = byte(n)
			}
			found = true
		case "SKIPSECTORS":
			n, err := strconv.ParseUint(value, 10, 32)
			if err != nil {
				return s, fmt.Errorf("the medium's check sum leaves out %q sectors", value)
			}
			s.Size -= int64(n) * sector
		}
	}
	switch {
	case !found:
		return s, ErrNone
	case s.Size < s.at+applicSize || s.Size > size:
		return s, fmt.Errorf("the medium's check sum is of %d bytes, of which %d are there", s.Size, size)
	}
	return s, nil
}

// block is how much is read at a time, in bytes.
const block = 1 << 20

// Verify reads all that the sum is of and says whether it is right.
func (s Sum) Verify(r io.ReaderAt) (bool, error) {
	h, buf, blanks := newMD5(), make([]byte, block), bytes.Repeat([]byte{' '}, applicSize)
	for at := int64(0); at < s.Size; {
		b := buf[:min(block, s.Size-at)]
		if _, err := r.ReadAt(b, at); err != nil {
			return false, fmt.Errorf("at byte %d: %w", at, err)
		}
		// The part may lie across two blocks.
		if from, to := max(s.at, at), min(s.at+applicSize, at+int64(len(b))); from < to {
			copy(b[from-at:to-at], blanks)
		}
		h.write(b)
		at += int64(len(b))
	}
	return bytes.Equal(h.sum(), s.Want[:]), nil
}
