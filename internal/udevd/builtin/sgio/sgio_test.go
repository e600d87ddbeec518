package sgio

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	"firstlight/internal/udevd/builtin/ident"
)

var _ ident.Querier = Disks{}

// TestHeader: the kernel's struct sg_io_hdr has 88 bytes where a pointer has
// eight, and 64 where it has four.
func TestHeader(t *testing.T) {
	want := uintptr(88)
	if unsafe.Sizeof(uintptr(0)) == 4 {
		want = 64
	}
	if got := unsafe.Sizeof(header{}); got != want {
		t.Errorf("%d bytes instead of %d", got, want)
	}
	if unsafe.Sizeof(uintptr(0)) == 8 && (unsafe.Offsetof(header{}.data) != 16 || unsafe.Offsetof(header{}.userPtr) != 56 || unsafe.Offsetof(header{}.resid) != 72) {
		t.Error("a field is in the wrong place")
	}
}

func TestSenseKey(t *testing.T) {
	for _, c := range []struct {
		sense string
		want  byte
	}{{"", 0}, {"\x70\x00\x05", 5}, {"\x72\x01\x00\x1d", 1}, {"\x73\x0b\x00", 11}, {"\xf0\x00\x16", 6}} {
		if got := senseKey([]byte(c.sense)); got != c.want {
			t.Errorf("%x: %d", c.sense, got)
		}
	}
}

// TestErrors: a node that is not there and a file that is no disk are told
// apart, and both errors name it.
func TestErrors(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none")
	if _, err := (Disks{}).Inquiry(missing, true, 0x83); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (Disks{}).Identify(file); err == nil {
		t.Error("a file was identified")
	}
}
