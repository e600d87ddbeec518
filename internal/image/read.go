package image

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"firstlight/internal/image/compress"
	"firstlight/internal/image/cpio"
)

// Limits bound what reading an image may cost. The zero value means the
// defaults.
type Limits struct {
	Bytes   int64 // unpacked, in total; default 8 GiB
	Entries int   // default 1<<20
}

func (l Limits) withDefaults() Limits {
	if l.Bytes == 0 {
		l.Bytes = 8 << 30
	}
	if l.Entries == 0 {
		l.Entries = 1 << 20
	}
	return l
}

// Part is one archive found in an image.
type Part struct {
	Index       int             // from 0
	Section     string          // of a unified kernel image that it is in: ".initrd"
	Offset      int64           // of its frame in the file, in bytes
	Frame       int             // which frame of the image that is, from 0
	Compression compress.Method // of its frame
}

// Frame is a piece of an image that is compressed as one, once it was read.
type Frame struct {
	Part           // the last archive in it
	Size     int64 // in the file, in bytes
	Unpacked int64 // bytes of its archives
	Archives int
	Entries  int
}

// Visitor is called for what an image holds, in order.
type Visitor struct {
	// Entry is called for every entry; body is its content, and valid during
	// the call.
	Entry func(p Part, h *cpio.Header, body io.Reader) error
	// Frame is called at the end of each frame; may be nil.
	Frame func(f Frame) error
}

// ErrImage is wrapped by errors that say a file is not an initramfs, or a
// damaged one.
var ErrImage = errors.New("not a valid initramfs image")

// Walk calls fn for every entry of every archive of an image, in order, as
// the kernel would unpack them: archives follow one another, each plain or in
// a compressed frame, with zeros between them. body is the entry's content and is
// valid during the call; a module that lies there by columns is given as it was. Of a unified kernel image the parts for the kernel are
// read; see Open.
func Walk(b []byte, limits Limits, fn func(p Part, h *cpio.Header, body io.Reader) error) error {
	return Visit(b, limits, Visitor{Entry: fn})
}

// Visit does the same, and says where frames end.
func Visit(b []byte, limits Limits, v Visitor) error {
	c, err := Open(b)
	if err != nil {
		return err
	}
	w := &walker{Visitor: v, limits: limits.withDefaults()}
	for _, r := range c.regions {
		w.part.Section = r.section
		if err := w.region(b[:r.to], r.from); err != nil {
			return err
		}
	}
	return nil
}

type walker struct {
	Visitor
	limits  Limits
	part    Part
	entries int
}

func (w *walker) region(b []byte, from int64) error {
	for at := from; at < int64(len(b)); {
		if b[at] == 0 {
			at++
			continue
		}
		m, ok := compress.Detect(b[at:])
		if !ok {
			if at == from {
				return fmt.Errorf("it starts with neither a cpio archive nor a known compression: %w", ErrImage)
			}
			return fmt.Errorf("neither an archive nor a known compression at byte %d: %w", at, ErrImage)
		}
		if m == compress.None && (at-from)%4 != 0 {
			return fmt.Errorf("the archive at byte %d is not at a multiple of four, the kernel would not see it: %w", at, ErrImage)
		}
		w.part.Offset, w.part.Compression = at, m
		f := Frame{Archives: -w.part.Index, Entries: -w.entries}
		var err error
		if f.Size, f.Unpacked, err = w.frame(b[at:], m); err != nil {
			return err
		}
		f.Part = w.part
		f.Index--
		f.Archives += w.part.Index
		f.Entries += w.entries
		if w.Frame != nil {
			if err := w.Frame(f); err != nil {
				return err
			}
		}
		w.part.Frame++
		at += f.Size
	}
	return nil
}

// stopError carries an error of the caller's function through.
type stopError struct{ err error }

func (e stopError) Error() string { return e.err.Error() }

func (w *walker) frame(b []byte, m compress.Method) (size, unpacked int64, err error) {
	fail := func(err error) (int64, int64, error) {
		var stop stopError
		if errors.As(err, &stop) {
			return 0, 0, stop.err
		}
		return 0, 0, fmt.Errorf("archive %d at byte %d (%s): %w: %w", w.part.Index, w.part.Offset, m, ErrImage, err)
	}
	if m == compress.None {
		n, err := w.archive(&plain{*bytes.NewReader(b)})
		if err != nil {
			return fail(err)
		}
		return n, n, nil
	}
	r, err := compress.Open(b, w.limits.Bytes)
	if err != nil {
		return fail(err)
	}
	defer r.Close()
	in := &zeroSkipper{r: r}
	for {
		more, err := in.skip()
		if err != nil {
			return fail(err)
		}
		if !more {
			w.limits.Bytes -= in.read
			return r.Consumed(), in.read, nil
		}
		if _, err := w.archive(in); err != nil {
			return fail(err)
		}
	}
}

// plain is an archive that is not compressed.
type plain struct{ bytes.Reader }

// Discard passes over n bytes, or as many as there are.
func (p *plain) Discard(n int64) (int64, error) {
	if left := int64(p.Len()); n > left {
		_, err := p.Seek(left, io.SeekCurrent)
		return left, errors.Join(err, io.EOF)
	}
	_, err := p.Seek(n, io.SeekCurrent)
	return n, err
}

func (w *walker) archive(r io.Reader) (int64, error) {
	c := cpio.NewReader(r)
	for {
		h, err := c.Next()
		if err == io.EOF {
			w.part.Index++
			return c.Offset(), nil
		}
		if err != nil {
			return c.Offset(), err
		}
		if w.entries++; w.entries > w.limits.Entries {
			return c.Offset(), fmt.Errorf("more than %d entries", w.limits.Entries)
		}
		if err := w.Entry(w.part, h, original(h, c)); err != nil {
			return c.Offset(), stopError{err}
		}
	}
}

// skipBuffer is how much is unpacked at a time, in bytes.
const skipBuffer = 64 << 10

// zeroSkipper lets the zeros between archives inside one frame be skipped, and
// the content of entries that nobody looks at.
type zeroSkipper struct {
	r    io.Reader
	read int64 // bytes from r
	held []byte
	buf  [skipBuffer]byte
}

// Read implements io.Reader.
func (z *zeroSkipper) Read(p []byte) (int, error) {
	if len(z.held) > 0 {
		n := copy(p, z.held)
		z.held = z.held[n:]
		return n, nil
	}
	if len(p) >= len(z.buf) {
		n, err := z.r.Read(p)
		z.read += int64(n)
		return n, err
	}
	if err := z.fill(); len(z.held) == 0 {
		return 0, err
	}
	n := copy(p, z.held)
	z.held = z.held[n:]
	return n, nil
}

// Discard passes over n bytes, or as many as there are.
func (z *zeroSkipper) Discard(n int64) (int64, error) {
	for done := int64(0); ; {
		k := min(n-done, int64(len(z.held)))
		z.held = z.held[k:]
		if done += k; done == n {
			return done, nil
		}
		if d, ok := z.r.(cpio.Discarder); ok && n-done >= int64(len(z.buf)) {
			k, err := d.Discard(n - done)
			z.read += k
			return done + k, err
		}
		if err := z.fill(); len(z.held) == 0 {
			return done, err
		}
	}
}

// fill unpacks more, once nothing is held.
func (z *zeroSkipper) fill() error {
	for {
		n, err := z.r.Read(z.buf[:])
		z.held = z.buf[:n]
		z.read += int64(n)
		if n > 0 || err != nil {
			return err
		}
	}
}

func (z *zeroSkipper) skip() (more bool, err error) {
	for {
		for i, c := range z.held {
			if c != 0 {
				z.held = z.held[i:]
				return true, nil
			}
		}
		z.held = nil
		if err := z.fill(); len(z.held) == 0 {
			if err == io.EOF {
				return false, nil
			}
			return false, err
		}
	}
}
