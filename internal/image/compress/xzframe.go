package compress

import (
	"bytes"
	"encoding/binary"
	"errors"
)

var errXZ = errors.New("malformed")

// xzFrame finds the end of a stream by its blocks, LZMA2 chunks and index
// (the .xz file format, version 1.2.1, sections 2 to 4), without unpacking. unpacked is
// how much the chunks say they hold.
func xzFrame(b []byte) (size, unpacked int64, err error) {
	if len(b) < 12 {
		return 0, 0, ErrTruncated
	}
	checkSize := [...]int{0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64}[b[7]&15]
	at := 12
	for {
		if at >= len(b) {
			return 0, 0, ErrTruncated
		}
		if b[at] == 0 {
			size, err = xzIndex(b, at)
			return size, unpacked, err
		}
		at += (int(b[at]) + 1) * 4
		var n int64
		if at, n, err = lzma2End(b, at); err != nil {
			return 0, 0, err
		}
		unpacked += n
		at = (at+3)&^3 + checkSize
	}
}

// lzma2End walks the chunks of one block.
func lzma2End(b []byte, at int) (end int, unpacked int64, err error) {
	for {
		if at < 0 || at >= len(b) {
			return 0, 0, ErrTruncated
		}
		control := b[at]
		switch {
		case control == 0:
			return at + 1, unpacked, nil
		case control <= 2: // stored
			if len(b)-at < 3 {
				return 0, 0, ErrTruncated
			}
			n := int(binary.BigEndian.Uint16(b[at+1:])) + 1
			at, unpacked = at+3+n, unpacked+int64(n)
		case control < 0x80:
			return 0, 0, errXZ
		default:
			if len(b)-at < 5 {
				return 0, 0, ErrTruncated
			}
			unpacked += int64(control&0x1f)<<16 + int64(binary.BigEndian.Uint16(b[at+1:])) + 1
			n := 5 + int(binary.BigEndian.Uint16(b[at+3:])) + 1
			if control >= 0xc0 { // new properties
				n++
			}
			at += n
		}
	}
}

// xzIndex steps over the index at b[at] and the stream's footer.
func xzIndex(b []byte, at int) (int64, error) {
	start := at
	at++
	next := func() (uint64, bool) {
		if at > len(b) {
			return 0, false
		}
		v, n := binary.Uvarint(b[at:])
		at += n
		return v, n > 0
	}
	records, ok := next()
	if !ok {
		return 0, ErrTruncated
	}
	// Each record takes at least two bytes, which bounds the loop.
	if records > uint64(len(b)) {
		return 0, errXZ
	}
	for range 2 * records {
		if _, ok := next(); !ok {
			return 0, ErrTruncated
		}
	}
	at = start + (at-start+3)&^3 + 4 + 12
	if at > len(b) {
		return 0, ErrTruncated
	}
	if !bytes.HasSuffix(b[:at], []byte("YZ")) {
		return 0, errXZ
	}
	return int64(at), nil
}
