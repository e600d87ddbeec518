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
	Offset      int64           // of its frame in the image, in bytes
	Compression compress.Method // of its frame
}

// ErrImage is wrapped by errors that say a file is not an initramfs, or a
// damaged one.
var ErrImage = errors.New("not a valid initramfs image")

// Walk calls fn for every entry of every archive of an image, in order, as
// the kernel would unpack them: archives follow one another, each plain or in
// a compressed frame, with zeros between them. body is the entry's content and is
// valid during the call.
func Walk(b []byte, limits Limits, fn func(p Part, h *cpio.Header, body io.Reader) error) error {
	w := &walker{fn: fn, limits: limits.withDefaults()}
	if len(b) == 0 {
		return fmt.Errorf("the file is empty: %w", ErrImage)
	}
	for at := int64(0); at < int64(len(b)); {
		if b[at] == 0 {
			at++
			continue
		}
		m, ok := compress.Detect(b[at:])
		if !ok {
			if w.part.Index == 0 && at == 0 {
				return fmt.Errorf("it starts with neither a cpio archive nor a known compression: %w", ErrImage)
			}
			return fmt.Errorf("neither an archive nor a known compression at byte %d: %w", at, ErrImage)
		}
		w.part.Offset, w.part.Compression = at, m
		n, err := w.frame(b[at:], m)
		if err != nil {
			return err
		}
		at += n
	}
	return nil
}

type walker struct {
	fn      func(Part, *cpio.Header, io.Reader) error
	limits  Limits
	part    Part
	entries int
}

// stopError carries an error of the caller's function through.
type stopError struct{ err error }

func (e stopError) Error() string { return e.err.Error() }

func (w *walker) frame(b []byte, m compress.Method) (int64, error) {
	fail := func(err error) error {
		var stop stopError
		if errors.As(err, &stop) {
			return stop.err
		}
		return fmt.Errorf("archive %d at byte %d (%s): %w: %w", w.part.Index, w.part.Offset, m, ErrImage, err)
	}
	if m == compress.None {
		n, err := w.archive(bytes.NewReader(b))
		if err != nil {
			return 0, fail(err)
		}
		return n, nil
	}
	r, err := compress.Open(b, w.limits.Bytes)
	if err != nil {
		return 0, fail(err)
	}
	defer r.Close()
	in := &zeroSkipper{r: r}
	for {
		more, err := in.skip()
		if err != nil {
			return 0, fail(err)
		}
		if !more {
			return r.Consumed(), nil
		}
		n, err := w.archive(in)
		w.limits.Bytes -= n
		if err != nil {
			return 0, fail(err)
		}
	}
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
		if err := w.fn(w.part, h, c); err != nil {
			return c.Offset(), stopError{err}
		}
	}
}

// zeroSkipper lets the zeros between archives inside one frame be skipped.
type zeroSkipper struct {
	r    io.Reader
	held []byte
	buf  [4096]byte
}

func (z *zeroSkipper) Read(p []byte) (int, error) {
	if len(z.held) > 0 {
		n := copy(p, z.held)
		z.held = z.held[n:]
		return n, nil
	}
	return z.r.Read(p)
}

func (z *zeroSkipper) skip() (more bool, err error) {
	for {
		for i, c := range z.held {
			if c != 0 {
				z.held = z.held[i:]
				return true, nil
			}
		}
		n, err := z.r.Read(z.buf[:])
		z.held = z.buf[:n]
		if n > 0 {
			continue
		}
		if err == io.EOF {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
}
