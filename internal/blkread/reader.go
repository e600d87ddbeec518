// Package blkread reads small pieces of a block device for parsers of what
// is on it.
//
// A Reader turns the many small looks of a probe into few reads: the head
// and the tail of the device are each read in two pieces, when first touched:
// the one where most formats are, and the rest. Anything between comes in
// pages. What was read stays in memory
// for the life of the Reader, every byte read is counted, and a budget keeps
// hostile metadata from making it read without end. It decides nothing about
// the bytes and imports no operating system.
package blkread

import (
	"errors"
	"io"

	"firstlight/internal/fmt"
)

const (
	// headLen is the size in bytes of the head. It holds the superblocks of
	// all common formats, both labels of ZFS at the start of a device and the
	// whole of an XFS log's search area. The first firstLen bytes are all that
	// is looked at where a layer of storage is found.
	headLen  = 512 << 10
	firstLen = 64 << 10
	// tailAlign and tailLen describe the tail: from tailLen bytes before the
	// last multiple of tailAlign to the end, so that it holds the two ZFS
	// labels there, every md superblock and a backup GPT. All but ZFS is in
	// the last lastLen bytes.
	tailAlign = 256 << 10
	tailLen   = 512 << 10
	lastLen   = 144 << 10
	page      = 4 << 10

	// MinWindow and MaxWindow bound the size in bytes of what is read at once
	// of the head or tail of a device that has both.
	MinWindow = firstLen
	MaxWindow = tailLen + tailAlign - lastLen

	// MaxPiece bounds one piece, in bytes.
	MaxPiece = 4 << 20
	// Budget bounds everything that one Reader reads, in bytes.
	Budget = 32 << 20
)

// ErrBudget is the cause of the error of a Reader that was asked for more
// than Budget bytes: metadata that no real tool writes.
var ErrBudget = errors.New("metadata asks for too many reads")

type window struct {
	off, n uint64 // what it shall hold
	data   []byte // what it holds, from off; shorter when the device is
	loaded bool
	failed bool // the one big read failed: go on in pages
}

// Memory is a device whose content is in memory already. A Reader asks it for
// the very pieces that are looked at, and keeps nothing. Piece returns the n
// bytes at off, all of which lie within the device; they are not changed.
type Memory interface {
	Piece(off, n uint64) ([]byte, error)
}

// Lender is a device that lends memory to read it into, so that the next device
// is read into memory that the last one was read into: fresh memory has to be
// cleared by the kernel, page by page.
type Lender interface {
	// Borrow returns n bytes of any content.
	Borrow(n int) []byte
	// Return takes them back.
	Return(b []byte)
}

// Reader reads pieces of one device. It is not safe for concurrent use.
type Reader struct {
	r       io.ReaderAt
	memory  Memory // what r is too, or nil
	lender  Lender // likewise
	size    uint64
	windows [4]window // of the head and the tail, in their order
	pages   []window
	bytes   uint64
	reads   int
	err     error
}

// New returns a Reader of a device or file of the given size in bytes. A
// negative size counts as zero. When r is itself a Reader of that size, it is
// returned: what it has in memory is used again.
func New(r io.ReaderAt, size int64) *Reader {
	size = max(size, 0)
	if d, ok := r.(*Reader); ok && d.size == uint64(size) {
		return d
	}
	d := &Reader{r: r, size: uint64(size)}
	d.memory, _ = r.(Memory)
	d.lender, _ = r.(Lender)
	first, head := min(d.size, firstLen), min(d.size, headLen)
	tail, last := d.size, d.size
	if d.size > headLen {
		tail = max(d.size/tailAlign*tailAlign-tailLen, headLen)
		last = max((d.size-lastLen)/page*page, tail)
	}
	d.windows = [...]window{{n: first}, {off: first, n: head - first}, {off: tail, n: last - tail}, {off: last, n: d.size - last}}
	return d
}

// Release gives back what a Lender has lent. No piece that the Reader returned
// may be used afterwards, nor the Reader.
func (d *Reader) Release() {
	if d.lender == nil {
		return
	}
	for _, w := range append(d.pages, d.windows[:]...) {
		if w.data != nil {
			d.lender.Return(w.data)
		}
	}
	d.pages, d.windows, d.size = nil, [4]window{}, 0
}

// Sparse is New for a parser that looks at few places: only those are read.
func Sparse(r io.ReaderAt, size int64) *Reader {
	d := New(r, size)
	if r != io.ReaderAt(d) {
		d.windows = [4]window{}
	}
	return d
}

// Size is the size of the device in bytes.
func (d *Reader) Size() uint64 { return d.size }

// Err is the first error that a read met, naming the place, or nil. A piece
// beyond the end of the device is not an error.
func (d *Reader) Err() error { return d.err }

// ClearErr forgets the error, for devices on which unreadable places are
// ordinary (optical discs).
func (d *Reader) ClearErr() {
	if !errors.Is(d.err, ErrBudget) {
		d.err = nil
	}
}

// Stats says how many bytes were read from the device, in how many reads.
func (d *Reader) Stats() (bytes uint64, reads int) { return d.bytes, d.reads }

// Has says whether all of the n bytes at off lie within the device.
func (d *Reader) Has(off, n uint64) bool { return off <= d.size && n <= d.size-off }

// Bytes returns the n bytes at off, or nil when they do not all lie within
// the device, when n is 0 or above MaxPiece, or when reading failed (see
// Err). The caller must not change them.
func (d *Reader) Bytes(off, n uint64) []byte {
	if n == 0 || n > MaxPiece || !d.Has(off, n) || d.err != nil {
		return nil
	}
	if d.memory != nil {
		b, err := d.memory.Piece(off, n)
		d.err = err
		return b
	}
	for i := range d.windows {
		w := &d.windows[i]
		if !w.covers(off, n) {
			continue
		}
		if !w.loaded {
			w.loaded = true
			data, err := d.read(w.off, w.n)
			w.data, w.failed = data, err != nil
		}
		if !w.failed {
			return w.slice(off, n)
		}
	}
	for i := len(d.pages) - 1; i >= 0; i-- { // neighbours are read in turn
		if d.pages[i].covers(off, n) {
			return d.pages[i].slice(off, n)
		}
	}
	from := off / page * page
	to := min((off+n+page-1)/page*page, d.size)
	data, err := d.read(from, to-from)
	if err != nil {
		d.err = err
		return nil
	}
	d.pages = append(d.pages, window{off: from, n: to - from, data: data})
	return d.pages[len(d.pages)-1].slice(off, n)
}

// Again reads n bytes at off from the device itself, whatever is in memory of
// it, or returns nil like Bytes.
func (d *Reader) Again(off, n uint64) []byte {
	if n == 0 || n > MaxPiece || !d.Has(off, n) || d.err != nil {
		return nil
	}
	if d.memory != nil {
		return d.Bytes(off, n)
	}
	b, err := d.read(off, n)
	if d.err = err; err != nil || uint64(len(b)) < n {
		return nil
	}
	d.pages = append(d.pages, window{off: off, n: n, data: b})
	return b
}

// ReadAt implements io.ReaderAt through the same memory and the same budget.
func (d *Reader) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("blkread: negative offset %d", off)
	}
	done := 0
	for done < len(p) {
		at := uint64(off) + uint64(done)
		if at >= d.size {
			return done, io.EOF
		}
		n := min(uint64(len(p)-done), MaxPiece, d.size-at)
		b := d.Bytes(at, n)
		if b == nil {
			if d.err != nil {
				return done, d.err
			}
			return done, io.ErrUnexpectedEOF
		}
		done += copy(p[done:], b)
	}
	return done, nil
}

func (w *window) covers(off, n uint64) bool {
	return off >= w.off && off+n <= w.off+w.n
}

func (w *window) slice(off, n uint64) []byte {
	if off-w.off+n > uint64(len(w.data)) {
		return nil
	}
	return w.data[off-w.off:][:n:n]
}

// read reads one run of bytes. A device that ends early (a size that was
// wrong) gives fewer bytes and no error.
func (d *Reader) read(off, n uint64) ([]byte, error) {
	if d.bytes+n > Budget {
		return nil, fmt.Errorf("read %d bytes at %d: %w", n, off, ErrBudget)
	}
	var buf []byte
	if d.lender != nil {
		buf = d.lender.Borrow(int(n))
	} else {
		buf = make([]byte, n)
	}
	got, err := d.r.ReadAt(buf, int64(off))
	d.bytes += uint64(max(got, 0))
	d.reads++
	if uint64(got) == n || errors.Is(err, io.EOF) {
		return buf[:got], nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return nil, fmt.Errorf("read %d bytes at %d: %w", n, off, err)
}
