package logfmt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"firstlight/internal/testtool"
)

// made is a filesystem that the real tool has made.
func made(t *testing.T, size int64, argv ...string) []byte {
	t.Helper()
	testtool.Need(t, argv[0])
	file := filepath.Join(t.TempDir(), "fs")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, size); err != nil {
		t.Fatal(err)
	}
	for i, a := range argv {
		if a == "FILE" {
			argv[i] = file
		}
	}
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", argv, err, out)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 4096)
	if _, err := io.ReadFull(f, b); err != nil {
		t.Fatal(err)
	}
	return b
}

const id = "11111111-2222-4333-8444-555555555555"

// A filesystem that the tools make has its journal inside; what the tools do to
// one that has not is what the fields say then.
func TestWhereTheJournalIs(t *testing.T) {
	ext := made(t, 8<<20, "mke2fs", "-q", "-F", "-t", "ext4", "FILE")
	none := made(t, 8<<20, "mke2fs", "-q", "-F", "-t", "ext4", "-O", "^has_journal", "FILE")
	device := made(t, 8<<20, "mke2fs", "-q", "-F", "-O", "journal_dev", "FILE")
	raw := []byte{0x11, 0x11, 0x11, 0x11, 0x22, 0x22, 0x43, 0x33, 0x84, 0x44, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55}
	apart := bytes.Clone(ext)
	binary.LittleEndian.PutUint32(apart[1024+0xe0:], 0)
	copy(apart[1024+0xd0:], raw)
	xfs := make([]byte, 4096)
	copy(xfs, "XFSB")
	copy(xfs[32:], raw)
	xfsIn := bytes.Clone(xfs)
	xfsIn[55] = 9
	for name, tt := range map[string]struct {
		b    []byte
		typ  string
		want Log
		err  error
	}{
		"inside":            {ext, "ext4", Log{}, nil},
		"none":              {none, "ext4", Log{}, nil},
		"on a device":       {apart, "ext4", Log{true, id}, nil},
		"it is one":         {device, "ext4", Log{}, ErrNot},
		"xfs inside":        {xfsIn, "xfs", Log{}, nil},
		"xfs on a device":   {xfs, "xfs", Log{true, id}, nil},
		"not an xfs":        {ext, "xfs", Log{}, ErrNot},
		"not an ext4":       {xfs, "ext3", Log{}, ErrNot},
		"shorter than that": {ext[:1100], "ext4", Log{}, ErrNot},
	} {
		got, err := Read(bytes.NewReader(tt.b), tt.typ)
		if got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestTheLogOfAnXFSThatTheToolMakes(t *testing.T) {
	inside := made(t, 300<<20, "mkfs.xfs", "-q", "FILE")
	if got, err := Read(bytes.NewReader(inside), "xfs"); err != nil || got.External {
		t.Errorf("%+v, %v", got, err)
	}
	// The other file is the log's.
	log := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(log, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(log, 64<<20); err != nil {
		t.Fatal(err)
	}
	apart := made(t, 300<<20, "mkfs.xfs", "-q", "-m", "uuid="+id, "-l", "logdev="+log, "FILE")
	if got, err := Read(bytes.NewReader(apart), "xfs"); err != nil || got != (Log{true, id}) {
		t.Errorf("%+v, %v", got, err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(make([]byte, 2048), true)
	f.Add(append([]byte("XFSB"), make([]byte, 600)...), false)
	f.Fuzz(func(t *testing.T, b []byte, ext bool) {
		typ := "xfs"
		if ext {
			typ = "ext4"
		}
		l, err := Read(bytes.NewReader(b), typ)
		if err != nil && l != (Log{}) || l.External && len(l.UUID) != 36 || !l.External && l.UUID != "" {
			t.Errorf("%+v, %v", l, err)
		}
	})
}
