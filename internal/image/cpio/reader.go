package cpio

import (
	"bytes"
	"errors"
	"io"
	"strings"
)

// Reader reads one archive, entry by entry. Its memory does not depend on
// what the archive says.
type Reader struct {
	r     io.Reader
	off   int64 // bytes read
	left  int64 // content of the current entry not read yet
	pad   int64 // padding after it
	crc   bool
	check uint32
	sum   uint32
	name  string
	done  bool
}

// NewReader returns a Reader on r, which must stand at the first header. It
// reads nothing beyond the archive's end mark.
func NewReader(r io.Reader) *Reader { return &Reader{r: r} }

// Offset is the number of bytes of the archive read so far.
func (r *Reader) Offset() int64 { return r.off }

// Next skips the rest of the current entry and returns the next one, or
// io.EOF at the end mark. An archive that just stops gives
// io.ErrUnexpectedEOF, one that is malformed ErrFormat.
func (r *Reader) Next() (*Header, error) {
	if r.done {
		return nil, io.EOF
	}
	if err := r.rest(); err != nil {
		return nil, err
	}
	if err := r.skip(r.pad); err != nil {
		return nil, err
	}
	r.pad = 0
	var raw [headerSize]byte
	at := r.off
	if err := r.full(raw[:]); err != nil {
		return nil, err
	}
	switch string(raw[:6]) {
	case magicNewc:
		r.crc = false
	case magicCRC:
		r.crc = true
	default:
		return nil, formatErr("no header at byte %d", at)
	}
	var f [13]uint32
	for i := range f {
		v, ok := parseHex(raw[6+8*i : 14+8*i])
		if !ok {
			return nil, formatErr("header at byte %d: field %d is not a hexadecimal number", at, i+1)
		}
		f[i] = v
	}
	nameSize := f[11]
	if nameSize == 0 || nameSize > MaxName {
		return nil, formatErr("header at byte %d: a name of %d bytes", at, nameSize)
	}
	name := make([]byte, nameSize)
	if err := r.full(name); err != nil {
		return nil, err
	}
	n := bytes.IndexByte(name, 0)
	if n < 0 {
		return nil, formatErr("header at byte %d: the name has no end", at)
	}
	h := &Header{Name: string(name[:n]), Ino: f[0], Mode: f[1], UID: f[2], GID: f[3], Nlink: f[4],
		Mtime: f[5], Size: f[6], DevMajor: f[7], DevMinor: f[8], RdevMajor: f[9], RdevMinor: f[10], Check: f[12]}
	if err := r.skip(roundUp(r.off, 4) - r.off); err != nil {
		return nil, err
	}
	if h.Name == trailer {
		r.done = true
		return nil, io.EOF
	}
	h.Name = trimName(h.Name)
	r.name, r.left, r.check, r.sum = h.Name, int64(h.Size), h.Check, 0
	r.pad = roundUp(r.off+r.left, 4) - (r.off + r.left)
	// The sum covers the content, which only one of several links has.
	r.crc = r.crc && h.Type() == TypeRegular && h.Size > 0
	return h, nil
}

// Read reads content of the current entry.
func (r *Reader) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > r.left {
		p = p[:r.left]
	}
	n, err := r.r.Read(p)
	r.off += int64(n)
	r.left -= int64(n)
	if r.crc {
		for _, c := range p[:n] {
			r.sum += uint32(c)
		}
		if r.left == 0 && r.sum != r.check {
			return n, formatErr("%s: the content's sum is %08x instead of %08x", r.name, r.sum, r.check)
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
		if r.left > 0 {
			err = io.ErrUnexpectedEOF
		}
	}
	return n, err
}

// Discarder is a source that can pass over bytes quicker than by reading them;
// n is what it passed over, less than asked for only with an error.
type Discarder interface {
	Discard(want int64) (n int64, err error)
}

// rest passes over what was not read of the current entry. A check sum is
// looked at only where all of the content was read.
func (r *Reader) rest() error {
	if r.left == 0 {
		return nil
	}
	if d, ok := r.r.(Discarder); ok && !r.crc {
		n, err := d.Discard(r.left)
		r.off += n
		r.left -= n
		if err == nil && r.left > 0 || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	_, err := io.Copy(io.Discard, r)
	return err
}

func (r *Reader) full(p []byte) error {
	n, err := io.ReadFull(r.r, p)
	r.off += int64(n)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

func (r *Reader) skip(n int64) error {
	var pad [4]byte
	if n == 0 {
		return nil
	}
	return r.full(pad[:n])
}

// trimName removes what generators put before a name without meaning
// anything by it: "./usr" and "/usr" are "usr".
func trimName(name string) string {
	for {
		switch {
		case strings.HasPrefix(name, "/"):
			name = name[1:]
		case strings.HasPrefix(name, "./"):
			name = name[2:]
		case name == "":
			return "."
		default:
			return name
		}
	}
}

func parseHex(b []byte) (uint32, bool) {
	var v uint32
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		v = v<<4 | uint32(c)
	}
	return v, true
}
