package isomd5

import (
	"bytes"
	"crypto/md5"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"firstlight/internal/testtool"
)

func TestMD5IsThatOfTheLibrary(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for n := range 300 {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		d := newMD5()
		cut := rng.IntN(n + 1)
		d.write(b[:cut])
		d.write(b[cut:])
		if want := md5.Sum(b); !bytes.Equal(d.sum(), want[:]) {
			t.Fatalf("%d bytes, cut at %d", n, cut)
		}
	}
}

// disc makes an image of a disc, with a sum in it or not.
func disc(t *testing.T, signed bool) []byte {
	t.Helper()
	testtool.Need(t, "genisoimage", "implantisomd5", "checkisomd5")
	dir := t.TempDir()
	content := make([]byte, 3<<20)
	for i := range content {
		content[i] = byte(i * i >> 7)
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), content, 0o644); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "disc.iso")
	if out, err := exec.Command("genisoimage", "-quiet", "-o", file, dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if signed {
		if out, err := exec.Command("implantisomd5", file).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The oracle is checkisomd5.
func TestVerifyAsCheckisomd5Does(t *testing.T) {
	b := disc(t, true)
	for _, change := range []int{-1, 0, 17, 1 << 20, 2<<20 + 5, len(b) - 1} {
		damaged := bytes.Clone(b)
		if change >= 0 {
			damaged[change] ^= 1
		}
		file := filepath.Join(t.TempDir(), "disc.iso")
		if err := os.WriteFile(file, damaged, 0o644); err != nil {
			t.Fatal(err)
		}
		want := exec.Command("checkisomd5", file).Run() == nil
		s, err := Read(bytes.NewReader(damaged), int64(len(damaged)))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := s.Verify(bytes.NewReader(damaged)); err != nil || got != want {
			t.Errorf("byte %d changed: %v, %v; checkisomd5 says %v", change, got, err, want)
		}
	}
}

func TestDiscWithoutASum(t *testing.T) {
	b := disc(t, false)
	if _, err := Read(bytes.NewReader(b), int64(len(b))); !errors.Is(err, ErrNone) {
		t.Errorf("%v", err)
	}
	if _, err := Read(bytes.NewReader(make([]byte, 1<<20)), 1<<20); err == nil || errors.Is(err, ErrNone) {
		t.Errorf("no disc: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	d := make([]byte, first+2*sector)
	copy(d[first:], "\x01CD001\x01")
	copy(d[first+applicAt:], "ISO MD5SUM = 00112233445566778899aabbccddeeff;SKIPSECTORS = 15;RHLISOSTATUS=1;")
	d[first+sizeAt+3] = 40
	f.Add(d)
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Read(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		if s.Size > int64(len(b)) || s.Size <= 0 {
			t.Fatalf("%+v of %d bytes", s, len(b))
		}
		if _, err := s.Verify(bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		}
	})
}
