// Package compress knows the compressed forms of an initramfs: how the kernel
// tells them apart, where one frame ends and the next begins, how to unpack
// one, and how to make one.
//
// The kernel unpacks an initramfs frame by frame (init/initramfs.c): each
// frame must hold whole cpio archives, and different frames may be compressed
// differently. So the boundaries matter, and they are found from the formats'
// own framing, without unpacking where the format allows it.
//
// Builder only: it runs the zstd and xz programs.
package compress

import (
	"bytes"
	"compress/bzip2"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/xi2/xz"
)

// Method is a way to compress.
type Method string

// The methods that initramfs images use.
const (
	None  Method = "none"
	Gzip  Method = "gzip"
	Bzip2 Method = "bzip2"
	LZMA  Method = "lzma" // LZMA_alone, as xz --format=lzma writes it
	XZ    Method = "xz"
	LZO   Method = "lzo" // a file of lzop
	LZ4   Method = "lz4" // the legacy frame, the only one that the kernel reads
	Zstd  Method = "zstd"
)

var (
	// ErrUnknown says that no method's magic number is there.
	ErrUnknown = errors.New("not compressed in any form that the kernel reads")
	// ErrTooLarge says that the unpacked content passed the caller's limit.
	ErrTooLarge = errors.New("unpacks to more than the limit")
	// ErrTruncated says that a frame ends before its format says so.
	ErrTruncated = errors.New("truncated")
)

// Detect says how the frame at the start of b is compressed, by the magic
// numbers of lib/decompress.c. A plain cpio archive is None; ok is false for
// anything else.
func Detect(b []byte) (m Method, ok bool) {
	for _, f := range [...]struct {
		magic  string
		method Method
	}{
		{"070701", None}, {"070702", None},
		{"\x1f\x8b", Gzip}, {"\x1f\x9e", Gzip},
		{"BZh", Bzip2},
		{"\x5d\x00\x00", LZMA},
		{"\xfd7zXZ\x00", XZ},
		{lzoMagic, LZO},
		{"\x02\x21\x4c\x18", LZ4},
		{"\x28\xb5\x2f\xfd", Zstd},
	} {
		if bytes.HasPrefix(b, []byte(f.magic)) {
			return f.method, true
		}
	}
	return "", false
}

// Reader unpacks the frame at the start of b. size is the frame's length in
// b, as far as the format tells it beforehand; -1 where it does not (gzip,
// bzip2 and lzma): there Consumed tells it once the frame has been read to its
// end.
type Reader struct {
	r      io.Reader
	size   int64
	used   func() int64
	left   int64
	err    error
	closer func()
}

// Open returns a Reader for the compressed frame at the start of b; what
// follows the frame is not looked at. Reading fails with ErrTooLarge after
// limit bytes.
func Open(b []byte, limit int64) (*Reader, error) {
	m, ok := Detect(b)
	if !ok || m == None {
		return nil, ErrUnknown
	}
	r := &Reader{size: -1, left: limit, closer: func() {}}
	var err error
	switch m {
	case Zstd:
		if r.size, err = zstdFrame(b); err != nil {
			return nil, fmt.Errorf("zstd: %w", err)
		}
		// The kernel takes windows up to 128 MiB.
		d, err := zstd.NewReader(bytes.NewReader(b[:r.size]), zstd.WithDecoderConcurrency(1),
			zstd.WithDecoderMaxWindow(128<<20), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, fmt.Errorf("zstd: %w", err)
		}
		r.r, r.closer = d, d.Close
	case XZ:
		var unpacked int64
		if r.size, unpacked, err = xzFrame(b); err != nil {
			return nil, fmt.Errorf("xz: %w", err)
		}
		if unpacked > limit {
			unpacked = 0 // as far as the limit, and no further
		}
		if p := unxz(b[:r.size], unpacked); p != nil {
			r.r, r.closer = p, p.close
			break
		}
		// The default limit of the reader's dictionary, 64 MiB, is the
		// kernel's as well as that of xz -9.
		if r.r, err = xz.NewReader(bytes.NewReader(b[:r.size]), 0); err != nil {
			return nil, fmt.Errorf("xz: %w", err)
		}
	case LZ4:
		if r.size, err = lz4Frame(b); err != nil {
			return nil, fmt.Errorf("lz4: %w", err)
		}
		r.r = lz4.NewReader(bytes.NewReader(b[:r.size]))
	case Gzip:
		in := bytes.NewReader(b)
		r.used = func() int64 { return int64(len(b) - in.Len()) }
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, fmt.Errorf("gzip: %w", truncated(err))
		}
		z.Multistream(false)
		r.r = z
	case Bzip2:
		in := bytes.NewReader(b)
		r.used = func() int64 { return int64(len(b) - in.Len()) }
		r.r = &bzip2Stream{bzip2.NewReader(in), in}
	case LZO:
		if r.size, err = lzoFrame(b); err != nil {
			return nil, fmt.Errorf("lzo: %w", err)
		}
		if r.r, err = newLZO(b[:r.size]); err != nil {
			return nil, fmt.Errorf("lzo: %w", err)
		}
	case LZMA:
		d, err := newLZMA(b)
		if err != nil {
			return nil, fmt.Errorf("lzma: %w", err)
		}
		r.r, r.used = d, func() int64 { return int64(d.pos) }
	}
	return r, nil
}

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.r.Read(p)
	if r.left -= int64(n); r.left < 0 {
		n, err = 0, ErrTooLarge
	}
	if err != nil && err != io.EOF {
		err = truncated(err)
	}
	r.err = err
	return n, err
}

// Discard passes over n bytes, or as many as there are: without looking at them where
// they are in memory.
func (r *Reader) Discard(n int64) (done int64, err error) {
	d, ok := r.r.(interface{ Discard(int64) (int64, error) })
	if !ok || r.err != nil {
		return io.CopyN(io.Discard, r, n)
	}
	done, err = d.Discard(n)
	if r.left -= done; r.left < 0 {
		done, err = 0, ErrTooLarge
	}
	r.err = err
	return done, err
}

// Consumed is the length of the frame in bytes. It is known for certain once
// Read has returned io.EOF.
func (r *Reader) Consumed() int64 {
	if r.size >= 0 {
		return r.size
	}
	return r.used()
}

// Close frees what unpacking needed.
func (r *Reader) Close() { r.closer() }

func truncated(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return ErrTruncated
	}
	return err
}

// bzip2Stream ends where the first stream ends: the standard library goes on
// with whatever follows and calls it bad.
type bzip2Stream struct {
	r  io.Reader
	in *bytes.Reader
}

func (s *bzip2Stream) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	var bad bzip2.StructuralError
	if errors.As(err, &bad) && bad == "bad magic value in continuation file" {
		// It has read two bytes to see what follows.
		for range 2 {
			if _, err := s.in.Seek(-1, io.SeekCurrent); err != nil {
				return n, err
			}
		}
		err = io.EOF
	}
	return n, err
}

// zstdFrame finds the end of a frame by its blocks (RFC 8878, 3.1.1).
func zstdFrame(b []byte) (int64, error) {
	var h zstd.Header
	if err := h.Decode(b); err != nil {
		return 0, truncated(err)
	}
	at := h.HeaderSize
	for {
		if len(b)-at < 3 {
			return 0, ErrTruncated
		}
		v := int(b[at]) | int(b[at+1])<<8 | int(b[at+2])<<16
		at += 3
		size := v >> 3
		switch v >> 1 & 3 {
		case 1: // one byte, repeated
			size = 1
		case 3:
			return 0, fmt.Errorf("block at byte %d has the reserved type", at-3)
		}
		if size > len(b)-at {
			return 0, ErrTruncated
		}
		at += size
		if v&1 != 0 {
			break
		}
	}
	if h.HasCheckSum {
		at += 4
	}
	if at > len(b) {
		return 0, ErrTruncated
	}
	return int64(at), nil
}

// lz4Frame finds the end of a legacy frame: blocks with their length before
// them, until something that cannot be a length. Frames that follow directly
// belong to the same stream, as for the kernel.
func lz4Frame(b []byte) (int64, error) {
	const magic = 0x184C2102
	const largest = 8<<20 + 8<<20/255 + 16 // a block of 8 MiB that does not compress
	at := 4
	for len(b)-at >= 4 {
		n := binary.LittleEndian.Uint32(b[at:])
		switch {
		case n == magic:
			at += 4
			continue
		case n == 0 || n > largest:
			return int64(at), nil
		case int(n) > len(b)-at-4:
			return 0, ErrTruncated
		}
		at += 4 + int(n)
	}
	return int64(at), nil
}
