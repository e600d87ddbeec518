package load

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestLoadedReadsInitstate(t *testing.T) {
	sys := t.TempDir()
	for name, state := range map[string]string{"ext4": "live\n", "xfs": "coming\n", "builtin": ""} {
		dir := filepath.Join(sys, "module", name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if state != "" {
			if err := os.WriteFile(filepath.Join(dir, "initstate"), []byte(state), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	k := Linux{Sys: sys}
	for name, want := range map[string]bool{"ext4": true, "xfs": false, "builtin": false, "none": false} {
		if got := k.Loaded(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestErrorsSayWhatTheyMean(t *testing.T) {
	err := Linux{}.Load(filepath.Join(t.TempDir(), "none.ko"), "")
	if !errors.Is(err, unix.ENOENT) || !strings.HasPrefix(err.Error(), "open ") {
		t.Errorf("missing file: %v", err)
	}
	for _, c := range []struct {
		path  string
		flags int
		errno error
		want  string
	}{
		{"/m/a.ko", 0, unix.ENOENT, "load /m/a.ko: it needs a symbol that the kernel does not have: no such file or directory"},
		{"/m/a.ko", 0, unix.ENOEXEC, "load /m/a.ko: it is not a module for this kernel: exec format error"},
		{"/m/a.ko", 0, unix.EKEYREJECTED, "load /m/a.ko: its signature is not accepted: key was rejected by service"},
		{"/m/a.ko", 0, unix.EINVAL, "load /m/a.ko: invalid argument"},
	} {
		if err := describe(c.path, c.flags, c.errno); err.Error() != c.want || !errors.Is(err, c.errno) {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
	}
	for _, errno := range []error{unix.EOPNOTSUPP, unix.EINVAL} {
		if err := describe("/m/a.ko.zst", initCompressed, errno); !errors.Is(err, ErrCompressed) || !errors.Is(err, errno) {
			t.Errorf("compressed, %v: %v", errno, err)
		}
	}
	if err := describe("/m/a.ko.xz", initCompressed, unix.EEXIST); errors.Is(err, ErrCompressed) || !errors.Is(err, unix.EEXIST) {
		t.Error(err)
	}
	for path, want := range map[string]bool{"a.ko": false, "a.ko.xz": true, "a.ko.zst": true, "a.ko.gz": true} {
		if compressed(path) != want {
			t.Errorf("%s: compressed is %v", path, !want)
		}
	}
}
