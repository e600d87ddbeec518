package cpio

import (
	"fmt"
	"io"
	"path"
	"strings"
)

// Options say how a Writer lays out an archive. The zero value packs as
// tightly as the format allows.
type Options struct {
	// Align makes the content of files of at least Align bytes start at a
	// multiple of Align bytes from the archive's start, by padding the name
	// with NULs, as the kernel accepts. A power of two from 4 to 2048; 0
	// means 4, which the format demands anyway.
	Align int
}

// Writer writes one archive. An error sticks: after the first, every call
// returns it.
type Writer struct {
	w       io.Writer
	off     int64
	align   int64
	nextIno uint32
	uid     uint32
	gid     uint32
	err     error
	buf     []byte
}

// NewWriter returns a Writer on w.
func NewWriter(w io.Writer, o Options) (*Writer, error) {
	if o.Align == 0 {
		o.Align = 4
	}
	if o.Align < 4 || o.Align > MaxName/2 || o.Align&(o.Align-1) != 0 {
		return nil, fmt.Errorf("cpio: alignment %d is not a power of two from 4 to %d", o.Align, MaxName/2)
	}
	return &Writer{w: w, align: int64(o.Align), nextIno: 1}, nil
}

// Owner sets who owns the entries that follow; before the first call it is root.
func (w *Writer) Owner(uid, gid uint32) { w.uid, w.gid = uid, gid }

// To is where what follows is written: to a part of the same archive. The content of
// a file is written by one call, and not copied.
func (w *Writer) To(to io.Writer) { w.w = to }

// Dir writes a directory.
func (w *Writer) Dir(name string, perm uint32) error {
	return w.entry(&Header{Name: name, Mode: TypeDir | perm, Nlink: 2}, nil)
}

// File writes a regular file.
func (w *Writer) File(name string, perm uint32, data []byte) error {
	return w.entry(&Header{Name: name, Mode: TypeRegular | perm, Nlink: 1}, data)
}

// Links writes one regular file under several names. The content follows the
// last of them, which is where cpio(1) looks for it.
func (w *Writer) Links(names []string, perm uint32, data []byte) error {
	if len(names) == 0 {
		return w.fail(fmt.Errorf("cpio: a file without a name"))
	}
	ino := w.nextIno
	for i, name := range names {
		w.nextIno = ino
		body := data
		if i < len(names)-1 {
			body = nil
		}
		if err := w.entry(&Header{Name: name, Mode: TypeRegular | perm, Nlink: uint32(len(names))}, body); err != nil {
			return err
		}
	}
	return nil
}

// Symlink writes a symbolic link.
func (w *Writer) Symlink(name, target string) error {
	if target == "" || len(target) >= MaxName || strings.IndexByte(target, 0) >= 0 {
		return w.fail(fmt.Errorf("cpio: %s: a symlink cannot have the target %q", name, target))
	}
	return w.entry(&Header{Name: name, Mode: TypeSymlink | 0o777, Nlink: 1}, []byte(target))
}

// Node writes a device node, a FIFO or a socket: mode holds the type and the
// permissions.
func (w *Writer) Node(name string, mode, major, minor uint32) error {
	switch mode & TypeMask {
	case TypeBlock, TypeChar:
	case TypeFIFO, TypeSocket:
		major, minor = 0, 0
	default:
		return w.fail(fmt.Errorf("cpio: %s: mode %o is not that of a node", name, mode))
	}
	return w.entry(&Header{Name: name, Mode: mode, Nlink: 1, RdevMajor: major, RdevMinor: minor}, nil)
}

// Close writes the end mark. It does not close the underlying writer.
func (w *Writer) Close() error {
	if w.err != nil {
		return w.err
	}
	w.nextIno, w.uid, w.gid = 0, 0, 0
	if err := w.raw(&Header{Name: trailer, Nlink: 1}, nil); err != nil {
		return err
	}
	w.err = fmt.Errorf("cpio: write after the end of the archive")
	return nil
}

// Offset is the number of bytes written so far.
func (w *Writer) Offset() int64 { return w.off }

func (w *Writer) fail(err error) error {
	if w.err == nil {
		w.err = err
	}
	return w.err
}

// CheckName says why a name cannot be in an archive, or returns nil: it must
// be relative, clean, and not the format's end mark.
func CheckName(name string) error {
	switch {
	case name == "" || name == trailer || len(name) >= MaxName || strings.IndexByte(name, 0) >= 0:
		return fmt.Errorf("cpio: %q cannot be the name of an entry", name)
	case name != path.Clean(name) || strings.HasPrefix(name, "/") || name == ".." || strings.HasPrefix(name, "../"):
		return fmt.Errorf("cpio: name %q is not relative and clean", name)
	}
	return nil
}

func (w *Writer) entry(h *Header, data []byte) error {
	if w.err != nil {
		return w.err
	}
	if err := CheckName(h.Name); err != nil {
		return w.fail(err)
	}
	if int64(len(data)) > MaxSize {
		return w.fail(fmt.Errorf("cpio: %s: %d bytes are more than the format can hold", h.Name, len(data)))
	}
	return w.raw(h, data)
}

func (w *Writer) raw(h *Header, data []byte) error {
	if w.err != nil {
		return w.err
	}
	nameSize := int64(len(h.Name) + 1)
	if int64(len(data)) >= w.align && h.Type() == TypeRegular {
		start := w.off + headerSize + nameSize
		padded := nameSize + roundUp(start, w.align) - start
		if padded <= MaxName {
			nameSize = padded
		}
	}
	b := append(w.buf[:0], magicNewc...)
	for _, v := range [...]uint32{w.nextIno, h.Mode, w.uid, w.gid, h.Nlink, 0, uint32(len(data)),
		0, 0, h.RdevMajor, h.RdevMinor, uint32(nameSize), 0} {
		b = appendHex(b, v)
	}
	w.nextIno++
	b = append(b, h.Name...)
	for int64(len(b)) < headerSize+nameSize || (w.off+int64(len(b)))%4 != 0 {
		b = append(b, 0)
	}
	w.buf = b
	if err := w.write(h.Name, b); err != nil {
		return err
	}
	if err := w.write(h.Name, data); err != nil {
		return err
	}
	return w.write(h.Name, []byte{0, 0, 0}[:roundUp(w.off, 4)-w.off])
}

func (w *Writer) write(name string, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	n, err := w.w.Write(b)
	w.off += int64(n)
	if err != nil {
		return w.fail(fmt.Errorf("cpio: writing %s: %w", name, err))
	}
	return nil
}

func roundUp(v, align int64) int64 { return (v + align - 1) &^ (align - 1) }

func appendHex(b []byte, v uint32) []byte {
	const digits = "0123456789ABCDEF"
	for shift := 28; shift >= 0; shift -= 4 {
		b = append(b, digits[v>>shift&15])
	}
	return b
}
