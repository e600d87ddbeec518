package compress

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"
	"hash/crc32"
	"os/exec"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/klauspost/pgzip"
	"github.com/pierrec/lz4/v4"
)

// Spec is how to compress: a method and its level. Level 0 means the
// method's default.
type Spec struct {
	Method Method
	Level  int
	// Wide looks further back and for shorter repetitions than the level does by
	// itself, which suits many files of one kind; zstd from level 5 to 12 alone.
	Wide bool
}

// ErrSpec is wrapped by ParseSpec's errors.
var ErrSpec = errors.New("invalid compression")

// ParseSpec reads "METHOD" or "METHOD:LEVEL", as --compression takes it.
func ParseSpec(s string) (Spec, error) {
	name, level, has := strings.Cut(s, ":")
	spec := Spec{Method: Method(name)}
	lo, hi, ok := levels(spec.Method)
	if !ok {
		return Spec{}, fmt.Errorf("%w %q: choose zstd, gzip, xz, lz4, bzip2, lzma, lzo or none, with a level as in zstd:19", ErrSpec, s)
	}
	if !has {
		return spec, nil
	}
	n, err := strconv.Atoi(level)
	if err != nil || n < lo || n > hi {
		return Spec{}, fmt.Errorf("%w %q: the level must be a number from %d to %d", ErrSpec, s, lo, hi)
	}
	spec.Level = n
	return spec, nil
}

func levels(m Method) (lo, hi int, ok bool) {
	switch m {
	case Zstd:
		return 1, 22, true
	case Gzip, LZ4, Bzip2, LZO:
		return 1, 9, true
	case XZ, LZMA:
		return 0, 9, true
	case None:
		return 0, 0, true
	}
	return 0, 0, false
}

// String is the form that ParseSpec reads, for what it can read.
func (s Spec) String() string {
	out := string(s.Method)
	if s.Level != 0 {
		out += ":" + strconv.Itoa(s.Level)
	}
	if s.Wide {
		out += " wide"
	}
	return out
}

// wide are zstd's parameters for Spec.Wide: logarithms of the sizes of the window
// and of the tables that it searches, the shortest repetition, how often it looks.
const wide = "--zstd=wlog=24,hlog=22,clog=22,slog=5,mml=4,tlen=32"

// windows of zstd that the built-in encoder has, in bytes.
const (
	window     = 8 << 20
	wideWindow = 16 << 20
)

// Compressor compresses whole archives. It is safe for concurrent use.
type Compressor struct {
	spec  Spec
	tool  string // path of the program, "" for the built-in one
	ident string
}

// New returns a Compressor. The zstd program is used where it is installed,
// because nothing in Go reaches its higher levels; without it levels above 9
// give the best that the built-in encoder has. xz, lzma, bzip2 and lzo need
// their programs.
func New(ctx context.Context, s Spec) (*Compressor, error) {
	c := &Compressor{spec: s}
	switch s.Method {
	case None:
		c.ident = "none"
	case Gzip:
		if c.spec.Level == 0 {
			c.spec.Level = 9
		}
		c.ident = "pgzip 1.3"
	case LZ4:
		if c.spec.Level == 0 {
			c.spec.Level = 9
		}
		c.ident = "lz4 4.1"
	case Zstd:
		if c.spec.Level == 0 {
			c.spec.Level = 19
		}
		c.ident = "klauspost 1.20"
	case XZ, LZMA:
		if c.spec.Level == 0 {
			c.spec.Level = 6
		}
	case Bzip2, LZO:
		if c.spec.Level == 0 {
			c.spec.Level = 9
		}
	default:
		return nil, fmt.Errorf("%w: nothing here writes %s", ErrSpec, s.Method)
	}
	return c, c.findTool(ctx)
}

// programs are what compresses, with the package that has each.
var programs = map[Method][2]string{Zstd: {"zstd", "zstd"}, XZ: {"xz", "xz-utils"}, LZMA: {"xz", "xz-utils"},
	Bzip2: {"bzip2", "bzip2"}, LZO: {"lzop", "lzop"}}

// findTool finds the method's program and its version, by which the result may
// differ.
func (c *Compressor) findTool(ctx context.Context) error {
	p, ok := programs[c.spec.Method]
	if !ok {
		return nil
	}
	tool, err := exec.LookPath(p[0])
	if err != nil && c.spec.Method == Zstd {
		return nil
	}
	if err != nil {
		return fmt.Errorf("compression with %s needs the program %s (package %s): %w", c.spec.Method, p[0], p[1], err)
	}
	// bzip2 says its version on the error output, and then compresses nothing.
	out, err := exec.CommandContext(ctx, tool, "--version").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s --version: %w", tool, err)
	}
	c.tool, c.ident = tool, strings.TrimSpace(strings.ToValidUTF8(string(out), ""))
	return nil
}

// Ident names what decides the result besides the input: the method, the
// level and the encoder with its version.
func (c *Compressor) Ident() string { return c.spec.String() + " " + c.ident }

// Spec is what the Compressor does, with the default level filled in.
func (c *Compressor) Spec() Spec { return c.spec }

// Compress returns data as one frame that the kernel unpacks. The same input
// gives the same output.
func (c *Compressor) Compress(ctx context.Context, data []byte) ([]byte, error) {
	switch {
	case c.spec.Method == None:
		return data, nil
	case c.tool != "" && c.spec.Method == Zstd:
		// One thread: with more the result depends on their number. The
		// known size makes the window, and so the kernel's memory, no
		// larger than the content.
		args := []string{"-q", "-c", "--single-thread", "-" + strconv.Itoa(c.spec.Level), "--stream-size=" + strconv.Itoa(len(data))}
		if c.spec.Level > 19 {
			args = append(args, "--ultra")
		}
		if c.spec.Wide {
			args = append(args, wide)
		}
		return c.run(ctx, data, args...)
	case c.spec.Method == Zstd:
		return c.klauspost(data)
	case c.spec.Method == XZ:
		// The kernel knows no CRC64.
		return c.run(ctx, data, "-q", "-c", "--check=crc32", "--threads=1", "-"+strconv.Itoa(c.spec.Level))
	case c.spec.Method == LZMA:
		return c.run(ctx, data, "-q", "-c", "--format=lzma", "-"+strconv.Itoa(c.spec.Level))
	case c.spec.Method == Bzip2:
		return c.run(ctx, data, "-q", "-c", "-"+strconv.Itoa(c.spec.Level))
	case c.spec.Method == LZO:
		b, err := c.run(ctx, data, "-q", "-c", "-"+strconv.Itoa(c.spec.Level))
		if err != nil {
			return nil, err
		}
		return withoutTime(b)
	case c.spec.Method == Gzip:
		var out bytes.Buffer
		z, err := pgzip.NewWriterLevel(&out, c.spec.Level)
		if err != nil {
			return nil, fmt.Errorf("gzip: %w", err)
		}
		return finish(&out, z, data)
	default:
		var out bytes.Buffer
		z := lz4.NewWriter(&out)
		level := []lz4.CompressionLevel{lz4.Fast, lz4.Level1, lz4.Level2, lz4.Level3, lz4.Level4,
			lz4.Level5, lz4.Level6, lz4.Level7, lz4.Level8, lz4.Level9}[c.spec.Level]
		if err := z.Apply(lz4.LegacyOption(true), lz4.CompressionLevelOption(level), lz4.ConcurrencyOption(1)); err != nil {
			return nil, fmt.Errorf("lz4: %w", err)
		}
		return finish(&out, z, data)
	}
}

// withoutTime takes the time of compression out of the header of an lzop file.
func withoutTime(b []byte) ([]byte, error) {
	h, err := parseLZO(b)
	if err != nil {
		return nil, fmt.Errorf("lzop: its output: %w", err)
	}
	binary.BigEndian.PutUint32(b[h.mtime:], 0)
	sum := adler32.Checksum(b[len(lzoMagic):h.sum])
	if h.flags&lzoCRCHeader != 0 {
		sum = crc32.ChecksumIEEE(b[len(lzoMagic):h.sum])
	}
	binary.BigEndian.PutUint32(b[h.sum:], sum)
	return b, nil
}

type writeCloser interface {
	Write([]byte) (int, error)
	Close() error
}

func finish(out *bytes.Buffer, z writeCloser, data []byte) ([]byte, error) {
	if _, err := z.Write(data); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func (c *Compressor) klauspost(data []byte) ([]byte, error) {
	level := zstd.SpeedBestCompression
	switch {
	case c.spec.Level < 3:
		level = zstd.SpeedFastest
	case c.spec.Level < 6:
		level = zstd.SpeedDefault
	case c.spec.Level < 9:
		level = zstd.SpeedBetterCompression
	}
	size := window
	if c.spec.Wide {
		size = wideWindow
	}
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(size))
	if err != nil {
		return nil, fmt.Errorf("zstd: %w", err)
	}
	return e.EncodeAll(data, nil), nil
}

func (c *Compressor) run(ctx context.Context, data []byte, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, c.tool, args...)
	// Options from the caller's environment would change the result.
	cmd.Env = []string{"LC_ALL=C", "PATH=/usr/bin:/bin"}
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(data), &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", c.tool, err, strings.TrimSpace(errs.String()))
	}
	return out.Bytes(), nil
}
