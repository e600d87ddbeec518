package compress

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"

	"firstlight/internal/testtool"
)

// text is content that compresses somewhat and spans several blocks.
func text(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	for b.Len() < n {
		fmt.Fprintf(&b, "line %d %x\n", b.Len(), r.Uint64())
	}
	return b.Bytes()[:n]
}

func unpack(b []byte, limit int64) (out []byte, size int64, err error) {
	r, err := Open(b, limit)
	if err != nil {
		return nil, 0, err
	}
	defer r.Close()
	out, err = io.ReadAll(r)
	return out, r.Consumed(), err
}

// What is written is read back, and the frame's end is found with other
// things behind it.
func TestRoundTrip(t *testing.T) {
	testtool.Need(t, "zstd", "xz", "bzip2", "lzop")
	for _, s := range []string{"zstd:1", "zstd", "zstd:20", "gzip", "gzip:1", "xz:0", "xz", "lz4", "lz4:1",
		"bzip2", "bzip2:1", "lzma", "lzma:0", "lzo", "lzo:1"} {
		spec, err := ParseSpec(s)
		if err != nil {
			t.Fatal(err)
		}
		c, err := New(context.Background(), spec)
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range []int{0, 1, 300_000} {
			if size == 0 && spec.Method == LZ4 {
				continue // no content makes no frame; an archive is never empty
			}
			want := text(size)
			packed, err := c.Compress(context.Background(), want)
			if err != nil {
				t.Fatal(err)
			}
			again, _ := c.Compress(context.Background(), want)
			if !bytes.Equal(packed, again) {
				t.Errorf("%s: two runs differ", s)
			}
			for _, after := range []string{"", "\x00\x00\x00\x00", "\x00\x00\x00\x00070701", "\x1f\x8bgarbage"} {
				got, n, err := unpack(append(bytes.Clone(packed), after...), 1<<20)
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s, %d bytes, %q after it: %d bytes, %v", s, size, after, len(got), err)
				}
				if n != int64(len(packed)) {
					t.Errorf("%s, %d bytes, %q after it: frame of %d bytes is said to have %d", s, size, after, len(packed), n)
				}
			}
		}
	}
}

// Frames of the field's own programs.
func TestReadsPrograms(t *testing.T) {
	want := text(150_000)
	for _, args := range [][]string{
		{"zstd", "-c", "-q", "-3"}, {"zstd", "-c", "-q", "--no-check", "-T2", "-B65536"}, {"gzip", "-c"},
		{"bzip2", "-c"}, {"xz", "-c", "--check=crc32"}, {"xz", "-c", "--check=sha256", "--block-size=65536", "--x86", "--lzma2"},
		{"xz", "-c", "--check=none", "-T2", "--block-size=100000"}, {"lz4", "-c", "-q", "-l"},
		{"xz", "-c", "--format=lzma", "-9"}, {"xz", "-c", "--format=lzma", "--lzma1=dict=65536"},
		{"lzop", "-c", "-1"}, {"lzop", "-c", "-9", "--checksum", "-q"}, {"lzop", "-c", "--crc32"}, {"lzop", "-c", "-F"},
	} {
		testtool.Need(t, args[0])
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Stdin = bytes.NewReader(want)
		packed, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		got, n, err := unpack(append(packed, "\x00\x00\x00\x00no more"...), 1<<20)
		if err != nil || !bytes.Equal(got, want) || n != int64(len(packed)) {
			t.Errorf("%v: %d bytes, frame %d of %d, %v", args, len(got), n, len(packed), err)
		}
		for _, cut := range []int{len(packed) - 1, len(packed) / 2, 20, 5} {
			got, _, err := unpack(packed[:cut], 1<<20)
			if err == nil && bytes.Equal(got, want) {
				t.Errorf("%v: whole after losing bytes from %d on", args, cut)
			}
			if err == nil && args[0] != "lz4" { // the legacy frame has no end mark
				t.Errorf("%v cut at %d: no error", args, cut)
			}
		}
	}
}

// The kernel's magic number covers the usual properties only; the decoder does
// not care.
func TestLZMAProperties(t *testing.T) {
	testtool.Need(t, "xz")
	want := text(150_000)
	for _, o := range []string{"lc=0,lp=2,pb=0,dict=4096", "lc=4,lp=0,pb=4,dict=1MiB,nice=273", "lc=1,lp=3,mode=fast,mf=hc3,dict=4096"} {
		cmd := exec.Command("xz", "-c", "--format=lzma", "--lzma1="+o)
		cmd.Stdin = bytes.NewReader(want)
		packed, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range []bool{false, true} {
			if size { // as the LZMA SDK writes it, here with an end mark besides
				binary.LittleEndian.PutUint64(packed[5:], uint64(len(want)))
			}
			d, err := newLZMA(packed)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(d)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: %d bytes, %v", o, len(got), err)
			}
		}
	}
}

// A large stream is unpacked by xz itself, and damage in it is found as well.
func TestLargeXZ(t *testing.T) {
	testtool.Need(t, "xz")
	c, err := New(context.Background(), Spec{Method: XZ, Level: 1})
	if err != nil {
		t.Fatal(err)
	}
	want := text(4 << 20)
	packed, err := c.Compress(context.Background(), want)
	if err != nil {
		t.Fatal(err)
	}
	if len(packed) < worthProgram {
		t.Fatalf("only %d bytes", len(packed))
	}
	got, n, err := unpack(append(bytes.Clone(packed), "\x00\x00\x00\x00070701"...), 8<<20)
	if err != nil || !bytes.Equal(got, want) || n != int64(len(packed)) {
		t.Errorf("%d bytes, frame %d of %d, %v", len(got), n, len(packed), err)
	}
	if _, _, err := unpack(packed, 1<<20); !errors.Is(err, ErrTooLarge) {
		t.Errorf("the limit: %v", err)
	}
	packed[len(packed)/2] ^= 1
	if _, _, err := unpack(packed, 8<<20); err == nil {
		t.Error("damage was not seen")
	}
}

// What is passed over is what would have been read, whoever unpacks it, and counts
// to the limit.
func TestDiscard(t *testing.T) {
	testtool.Need(t, "xz")
	want := text(4 << 20)
	for _, s := range []Spec{{Method: XZ, Level: 1}, {Method: Gzip}} {
		c, err := New(context.Background(), s)
		if err != nil {
			t.Fatal(err)
		}
		packed, err := c.Compress(context.Background(), want)
		if err != nil {
			t.Fatal(err)
		}
		r, err := Open(packed, int64(len(want)))
		if err != nil {
			t.Fatal(err)
		}
		first := make([]byte, 1000)
		if _, err := io.ReadFull(r, first); err != nil {
			t.Fatal(err)
		}
		if n, err := r.Discard(2 << 20); n != 2<<20 || err != nil {
			t.Errorf("%s: passed over %d: %v", s, n, err)
		}
		rest, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(rest, want[1000+(2<<20):]) {
			t.Errorf("%s: %d bytes are left, %v", s, len(rest), err)
		}
		r.Close()
		for limit, wrong := range map[int64]error{int64(len(want)): io.EOF, 1 << 20: ErrTooLarge} {
			if r, err = Open(packed, limit); err != nil {
				t.Fatal(err)
			}
			if _, err := r.Discard(5 << 20); !errors.Is(err, wrong) {
				t.Errorf("%s: past the end with a limit of %d: %v", s, limit, err)
			}
			r.Close()
		}
	}
}

func TestLimit(t *testing.T) {
	c, err := New(context.Background(), Spec{Method: Gzip})
	if err != nil {
		t.Fatal(err)
	}
	packed, err := c.Compress(context.Background(), make([]byte, 10<<20))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := unpack(packed, 1<<20); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a bomb: %v", err)
	}
}

func TestWithoutTools(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	c, err := New(context.Background(), Spec{Method: Zstd})
	if err != nil {
		t.Fatal(err)
	}
	want := text(200_000)
	packed, err := c.Compress(context.Background(), want)
	if err != nil {
		t.Fatal(err)
	}
	if got, _, err := unpack(packed, 1<<20); err != nil || !bytes.Equal(got, want) {
		t.Errorf("built-in zstd: %v", err)
	}
	if _, err := New(context.Background(), Spec{Method: XZ}); err == nil {
		t.Error("xz without xz")
	}
}

func TestParseSpec(t *testing.T) {
	for _, s := range []string{"zstd", "zstd:19", "gzip:9", "none", "lz4:3"} {
		if spec, err := ParseSpec(s); err != nil || spec.String() != s {
			t.Errorf("%s: %v %v", s, spec, err)
		}
	}
	for _, s := range []string{"", "brotli", "zstd:", "zstd:23", "zstd:0", "gzip:10", "none:1", "lzo:0", "lzma:10", "bzip2:0", "zstd:x"} {
		if _, err := ParseSpec(s); !errors.Is(err, ErrSpec) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	want := text(3000)
	for _, m := range []Method{Gzip, LZ4, Zstd} {
		c := &Compressor{spec: Spec{Method: m, Level: 1}}
		b, err := c.Compress(context.Background(), want)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte("\xfd7zXZ\x00\x00\x01\x69\x22\xde\x36\x02\x00\x21\x01"))
	f.Add([]byte("BZh91AY&SY"))
	f.Add([]byte("\x5d\x00\x00\x80\x00\xff\xff\xff\xff\xff\xff\xff\xff\x00\x30\x98\xa0\x06\x10\x7f\xff\xff\xef\x80\x00\x00")) // abababab
	f.Add([]byte(lzoMagic + "\x10\x40\x20\xa0\x09\x40\x01\x05\x03\x00\x00\x0d" + strings.Repeat("\x00", 13) + "\x6b\x0c\x26\x9b" +
		"\x00\x00\x00\xc8\x00\x00\x00\x1d\xc2\x7f\x4b\xc9\x02aaa\x20\x93\x10\x00\x0caaaaaaaaaaaaa\x11\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		out, n, err := unpack(b, 1<<16)
		if len(out) > 1<<16 {
			t.Fatalf("%d bytes", len(out))
		}
		if err == nil && (n <= 0 || n > int64(len(b))) {
			t.Fatalf("frame of %d bytes in %d", n, len(b))
		}
	})
}
