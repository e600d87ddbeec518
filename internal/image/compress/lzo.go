package compress

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"
	"hash/crc32"
	"io"
)

var errLZO = errors.New("malformed")

const lzoMagic = "\x89LZO\x00\x0d\x0a\x1a\x0a"

// The flags of an lzop header that say what a block has before its content,
// and which parts the header has.
const (
	lzoAdlerContent  = 1 << 0
	lzoAdlerPacked   = 1 << 1
	lzoExtraField    = 1 << 6
	lzoCRCContent    = 1 << 8
	lzoCRCPacked     = 1 << 9
	lzoFilter        = 1 << 11
	lzoCRCHeader     = 1 << 12
	lzoVersionLevels = 0x0940
)

// maxLZOBlock is the largest block that the kernel takes, in bytes unpacked.
const maxLZOBlock = 256 << 10

// lzoHeader is the part of a file of lzop(1) before its blocks.
type lzoHeader struct {
	end   int // offset of the first block
	flags uint32
	mtime int // offset of the file's time
	sum   int // offset of the header's check sum
}

func parseLZO(b []byte) (h lzoHeader, err error) {
	at := len(lzoMagic)
	need := func(n int) bool { return len(b)-at >= n }
	if !need(5) {
		return h, ErrTruncated
	}
	version := binary.BigEndian.Uint16(b[at:])
	at += 4
	if version >= lzoVersionLevels {
		at += 2 // the version that is needed to unpack
	}
	at++ // the method: all are unpacked alike
	if version >= lzoVersionLevels {
		at++ // its level
	}
	if !need(4) {
		return h, ErrTruncated
	}
	h.flags = binary.BigEndian.Uint32(b[at:])
	if at += 4; h.flags&lzoFilter != 0 {
		at += 4
	}
	at += 4 // the file's mode
	h.mtime = at
	if at += 4; version >= lzoVersionLevels {
		at += 4
	}
	if !need(1) {
		return h, ErrTruncated
	}
	at += 1 + int(b[at]) // the file's name
	h.sum = at
	at += 4
	if h.flags&lzoExtraField != 0 {
		if !need(4) {
			return h, ErrTruncated
		}
		n := binary.BigEndian.Uint32(b[at:])
		if uint64(n) > uint64(len(b)) {
			return h, ErrTruncated
		}
		at += 4 + int(n) + 4
	}
	if !need(0) {
		return h, ErrTruncated
	}
	h.end = at
	return h, nil
}

// lzoBlock is one block: where its content is, and its check sums.
type lzoBlock struct {
	packed, size int
	data, next   int // offsets
	adler, crc   uint32
}

// block reads the head of the block at an offset. A size of 0 is the end.
func (h *lzoHeader) block(b []byte, at int) (k lzoBlock, err error) {
	word := func() uint32 {
		if len(b)-at < 4 {
			err = ErrTruncated
			return 0
		}
		at += 4
		return binary.BigEndian.Uint32(b[at-4:])
	}
	size := word()
	if size == 0 || err != nil {
		k.next = at
		return k, err
	}
	packed := word()
	if err == nil && (size > maxLZOBlock || packed > size || packed == 0) {
		return k, fmt.Errorf("a block of %d bytes for %d: %w", packed, size, errLZO)
	}
	k.size, k.packed = int(size), int(packed)
	if h.flags&lzoAdlerContent != 0 {
		k.adler = word()
	}
	if h.flags&lzoCRCContent != 0 {
		k.crc = word()
	}
	if packed < size {
		for _, f := range []uint32{lzoAdlerPacked, lzoCRCPacked} {
			if h.flags&f != 0 {
				word()
			}
		}
	}
	k.data, k.next = at, at+k.packed
	if err == nil && k.next > len(b) {
		err = ErrTruncated
	}
	return k, err
}

// lzoFrame finds the end of a file by its blocks.
func lzoFrame(b []byte) (int64, error) {
	h, err := parseLZO(b)
	if err != nil {
		return 0, err
	}
	for at := h.end; ; {
		k, err := h.block(b, at)
		if err != nil {
			return 0, err
		}
		if at = k.next; k.size == 0 {
			return int64(at), nil
		}
	}
}

// lzoReader unpacks a file of lzop(1).
type lzoReader struct {
	b    []byte
	h    lzoHeader
	at   int
	out  []byte
	left []byte // of out
}

func newLZO(b []byte) (*lzoReader, error) {
	h, err := parseLZO(b)
	return &lzoReader{b: b, h: h, at: h.end, out: make([]byte, 0, maxLZOBlock)}, err
}

// Read implements io.Reader.
func (r *lzoReader) Read(p []byte) (int, error) {
	for len(r.left) == 0 {
		k, err := r.h.block(r.b, r.at)
		if err != nil {
			return 0, err
		}
		if k.size == 0 {
			return 0, io.EOF
		}
		r.left = r.b[k.data:k.next]
		if k.packed < k.size {
			if r.left, err = lzo1x(r.out[:0], r.left, k.size); err != nil {
				return 0, err
			}
		}
		if r.h.flags&lzoAdlerContent != 0 && adler32.Checksum(r.left) != k.adler ||
			r.h.flags&lzoCRCContent != 0 && crc32.ChecksumIEEE(r.left) != k.crc {
			return 0, fmt.Errorf("the check sum of the block at byte %d is wrong: %w", r.at, errLZO)
		}
		r.at = k.next
	}
	n := copy(p, r.left)
	r.left = r.left[n:]
	return n, nil
}

// lzo1x unpacks one block (Documentation/staging/lzo.rst): literals and
// matches, told apart by the first byte of each; out has room for size bytes.
func lzo1x(out, in []byte, size int) ([]byte, error) {
	at := 0
	// more reads a length that goes on: 255 for every zero, and a last byte.
	more := func(n int) int {
		for at < len(in) && in[at] == 0 {
			n += 255
			at++
		}
		if at < len(in) {
			n += int(in[at])
		}
		at++
		return n
	}
	literals := func(n int) bool {
		if n > len(in)-at || n > size-len(out) {
			return false
		}
		out = append(out, in[at:at+n]...)
		at += n
		return true
	}
	// state is how many literals came last: 0, 1, 2, 3, or 4 for more.
	state := 0
	if len(in) > 0 && in[0] > 17 {
		n := int(in[0]) - 17
		at++
		if !literals(n) {
			return nil, errLZO
		}
		state = min(n, 4)
	}
	for {
		if at >= len(in) {
			return nil, errLZO
		}
		c := int(in[at])
		at++
		var n, dist, after int
		switch {
		case c < 16 && state == 0:
			if n = c + 3; c == 0 {
				n = more(18)
			}
			if !literals(n) {
				return nil, errLZO
			}
			state = 4
			continue
		case c >= 16 && c < 64: // the distance is in two bytes that follow
			mask, base := 31, 1
			if c < 32 {
				mask, base = 7, 16384+c>>3&1<<14
			}
			if n = c&mask + 2; c&mask == 0 {
				n = more(mask + 2)
			}
			if len(in)-at < 2 {
				return nil, errLZO
			}
			v := int(binary.LittleEndian.Uint16(in[at:]))
			at += 2
			dist, after = base+v>>2, v&3
			if c < 32 && dist == 16384 {
				if at != len(in) || len(out) != size {
					return nil, errLZO
				}
				return out, nil
			}
		default: // in the first byte and one that follows
			if at >= len(in) {
				return nil, errLZO
			}
			high := int(in[at])
			at++
			after = c & 3
			switch {
			case c >= 128:
				n, dist = 5+c>>5&3, high<<3+c>>2&7+1
			case c >= 64:
				n, dist = 3+c>>5&1, high<<3+c>>2&7+1
			case state < 4:
				n, dist = 2, high<<2+c>>2+1
			default:
				n, dist = 3, high<<2+c>>2+2049
			}
		}
		if dist > len(out) || n > size-len(out) {
			return nil, errLZO
		}
		for n > 0 {
			k := min(n, dist)
			out = append(out, out[len(out)-dist:len(out)-dist+k]...)
			n -= k
		}
		if !literals(after) {
			return nil, errLZO
		}
		state = after
	}
}
