package bcachefmt

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"firstlight/internal/sim/content"
	"firstlight/internal/testtool"
)

const (
	disk = "10203040-0001-4002-8003-aabbccddeeff"
	set  = "10203040-0001-4002-8003-aabbccddee00"
)

// device is one with a superblock.
func device(c content.Bcache) []byte {
	b := make([]byte, 64<<10)
	for _, p := range c.Pieces() {
		copy(b[p.At:], p.Data)
	}
	return b
}

func TestRead(t *testing.T) {
	for state, want := range []State{Detached, Clean, Dirty, Stale} {
		b := device(content.Bcache{UUID: disk, Set: set, State: state})
		s, err := Read(bytes.NewReader(b), uint64(len(b)))
		if err != nil || !s.Backing || s.UUID != disk || s.Set != set || s.State != want || s.Data != oldData {
			t.Errorf("%v: %+v, %v", want, s, err)
		}
	}
	b := device(content.Bcache{UUID: disk, Set: set, Cache: true})
	s, err := Read(bytes.NewReader(b), uint64(len(b)))
	if err != nil || s.Backing || s.Set != set || s.InSet != 1 {
		t.Errorf("cache: %+v, %v", s, err)
	}
}

func TestWhatIsRefused(t *testing.T) {
	good := func() []byte { return device(content.Bcache{UUID: disk, Set: set, State: 2}) }
	for name, c := range map[string]struct {
		change func(b []byte) []byte
		want   error
	}{
		"nothing":     {func(b []byte) []byte { return make([]byte, len(b)) }, ErrNone},
		"short":       {func(b []byte) []byte { return b[:6000] }, ErrNone},
		"elsewhere":   {func(b []byte) []byte { b[start+offOwn]++; return b }, ErrCorrupt},
		"a flag":      {func(b []byte) []byte { b[start+offFlags+7] ^= 0x60; return b }, ErrCorrupt},
		"the set":     {func(b []byte) []byte { b[start+offSet]++; return b }, ErrCorrupt},
		"new":         {func(b []byte) []byte { b[start+offVersion] = 9; return b }, ErrUnsupported},
		"large":       {func(b []byte) []byte { b[start+offKeys+1] = 0xff; return b }, ErrCorrupt},
		"no checksum": {func(b []byte) []byte { clear(b[start : start+8]); return b }, ErrCorrupt},
	} {
		b := c.change(good())
		if s, err := Read(bytes.NewReader(b), uint64(len(b))); !errors.Is(err, c.want) {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
	}
	b := good()
	if _, err := Read(bytes.NewReader(b), 8<<10); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a device that ends before its data: %v", err)
	}
}

// What make-bcache writes is read as bcache-super-show reads it.
func TestAsTheToolsMakeIt(t *testing.T) {
	testtool.Need(t, "make-bcache", "bcache-super-show")
	dir := t.TempDir()
	files := map[bool]string{true: filepath.Join(dir, "disk"), false: filepath.Join(dir, "cache")}
	for _, f := range files {
		if err := os.WriteFile(f, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(f, 128<<20); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command(testtool.Path("make-bcache"), "--cset-uuid", set, "--data-offset", "64", "-C", files[false], "-B", files[true]).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for backing, file := range files {
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		s, err := Read(f, 128<<20)
		if err != nil || s.Backing != backing || s.Set != set || backing && s.Data != 64 {
			t.Errorf("%s: %+v, %v", file, s, err)
			continue
		}
		out, err := exec.Command(testtool.Path("bcache-super-show"), file).CombinedOutput()
		if err != nil || !strings.Contains(string(out), s.UUID) {
			t.Errorf("%s is not in %v\n%s", s.UUID, err, out)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(device(content.Bcache{UUID: disk, Set: set, State: 2}))
	f.Add(device(content.Bcache{UUID: disk, Set: set, Cache: true}))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Read(bytes.NewReader(b), uint64(len(b)))
		if err == nil && (s.Data*sector >= uint64(len(b)) || len(s.UUID) != 36 || s.State > Stale) {
			t.Errorf("%+v", s)
		}
	})
}
