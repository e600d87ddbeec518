package sysfile

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// What os says of the same file is the oracle of Stat and Lstat.
func TestInfoIsThatOfOS(t *testing.T) {
	dir := t.TempDir()
	p := func(name string) string { return filepath.Join(dir, name) }
	for name, mode := range map[string]fs.FileMode{"plain": 0o640, "suid": 0o755 | fs.ModeSetuid, "sgid": 0o711 | fs.ModeSetgid, "sticky": 0o600 | fs.ModeSticky} {
		if err := WriteFile(p(name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := Chmod(p(name), mode); err != nil {
			t.Fatal(err)
		}
		if got, err := Stat(p(name)); err != nil || got.Mode != mode {
			t.Errorf("%s: mode %v (%v), was set to %v", name, got.Mode, err, mode)
		}
	}
	if err := unix.Mkfifo(p("fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: p("s")}); err != nil {
		t.Fatal(err)
	}
	if err := Symlink("plain", p("link")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{p("plain"), p("suid"), p("sgid"), p("sticky"), p("fifo"), p("s"), p("link"), dir, "/dev/null", "/proc/self/exe"} {
		for _, f := range []struct {
			ours  func(string) (Info, error)
			field func(string) (os.FileInfo, error)
		}{{Stat, os.Stat}, {Lstat, os.Lstat}} {
			got, err := f.ours(name)
			want, err2 := f.field(name)
			if err != nil || err2 != nil || got.Mode != want.Mode() || got.Size != want.Size() {
				t.Errorf("%s: %v (%v), os says %v (%v)", name, got, err, want, err2)
			}
		}
	}
}

// Errors read as those of os and can be asked the same questions.
func TestErrorsReadAsThoseOfOS(t *testing.T) {
	dir := t.TempDir()
	missing := dir + "/no/such"
	file := dir + "/file"
	if err := WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	read := func(_ []byte, err error) error { return err }
	for _, c := range []struct {
		ours, field error
		is          error
	}{
		{read(ReadFile(missing)), read(os.ReadFile(missing)), fs.ErrNotExist},
		{read(ReadFile(dir)), read(os.ReadFile(dir)), unix.EISDIR},
		{WriteFile(missing, nil, 0o600), os.WriteFile(missing, nil, 0o600), fs.ErrNotExist},
		{Symlink("x", file), os.Symlink("x", file), fs.ErrExist},
		{Rename(missing, file), os.Rename(missing, file), fs.ErrNotExist},
		{Remove(missing), os.Remove(missing), fs.ErrNotExist},
		{Remove(file + "/x"), os.Remove(file + "/x"), unix.ENOTDIR},
		{Remove("/proc/self"), os.Remove("/proc/self"), fs.ErrPermission},
		{Chmod(missing, 0o600), os.Chmod(missing, 0o600), fs.ErrNotExist},
		{Lchown(missing, 0, 0), os.Lchown(missing, 0, 0), fs.ErrNotExist},
		{MkdirAll(file+"/x/y", 0o700), os.MkdirAll(file+"/x/y", 0o700), unix.ENOTDIR},
		{MkdirAll(file, 0o700), os.MkdirAll(file, 0o700), unix.ENOTDIR},
	} {
		if c.ours == nil || c.field == nil || c.ours.Error() != c.field.Error() || !errors.Is(c.ours, c.is) {
			t.Errorf("%v, os says %v", c.ours, c.field)
		}
	}
	if _, err := Readlink(file); !errors.Is(err, unix.EINVAL) {
		t.Errorf("readlink of a file: %v", err)
	}
	if _, err := Stat(missing); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("stat: %v", err)
	}
}

func TestFilesAreWrittenNamedAndRemoved(t *testing.T) {
	dir := t.TempDir()
	deep := dir + "/a/b/c"
	for range 2 {
		if err := MkdirAll(deep, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	data := bytes.Repeat([]byte("0123456789abcdef"), 40000)
	for _, want := range [][]byte{data, []byte("short"), nil} {
		if err := WriteFile(deep+"/f", want, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := ReadFile(deep + "/f")
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes of %d: %v", len(got), len(want), err)
		}
	}
	if err := Rename(deep+"/f", deep+"/g"); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x/", 600) + "end"
	for _, target := range []string{"g", long, long[:256], long[:255]} {
		Remove(deep + "/l")
		if err := Symlink(target, deep+"/l"); err != nil {
			t.Fatal(err)
		}
		if got, err := Readlink(deep + "/l"); err != nil || got != target {
			t.Errorf("link of %d bytes: %d (%v)", len(target), len(got), err)
		}
	}
	if err := Remove(deep); !errors.Is(err, unix.ENOTEMPTY) {
		t.Errorf("a directory that is not empty: %v", err)
	}
	for _, name := range []string{deep + "/l", deep + "/g", deep} {
		if err := Remove(name); err != nil {
			t.Error(err)
		}
	}
	if err := Symlink("nowhere", deep); err != nil {
		t.Fatal(err)
	}
	if err := MkdirAll(deep, 0o755); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a directory in the place of a link to nowhere: %v", err)
	}
}

func TestReadAt(t *testing.T) {
	name := t.TempDir() + "/f"
	if err := WriteFile(name, []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := f.Seek(0, io.SeekEnd); n != 10 || err != nil {
		t.Errorf("size %d: %v", n, err)
	}
	for _, c := range []struct {
		off  int64
		size int
		want string
		err  error
	}{{0, 10, "0123456789", nil}, {3, 4, "3456", nil}, {8, 4, "89", io.EOF}, {10, 1, "", io.EOF}, {10, 0, "", nil},
		{1 << 40, 1, "", io.EOF}, {-1, 1, "", unix.EINVAL}} {
		b := make([]byte, c.size)
		n, err := f.ReadAt(b, c.off)
		if string(b[:n]) != c.want || !errors.Is(err, c.err) {
			t.Errorf("%d bytes at %d: %q, %v", c.size, c.off, b[:n], err)
		}
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if _, err := f.ReadAt(make([]byte, 1), 0); !errors.Is(err, unix.EBADF) {
		t.Errorf("read after close: %v", err)
	}
	if err := f.Close(); !errors.Is(err, unix.EBADF) || f.FD() != -1 {
		t.Errorf("second close: %v", err)
	}
}

// More than a pipe holds goes through it, and its end is seen.
func TestPipe(t *testing.T) {
	r, w, err := Pipe()
	if err != nil {
		t.Fatal(err)
	}
	data := bytes.Repeat([]byte("pipe"), 100000)
	wrote := make(chan error, 1)
	go func() {
		_, err := w.Write(data)
		w.Close()
		wrote <- err
	}()
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d of %d bytes: %v", len(got), len(data), err)
	}
	if err := <-wrote; err != nil {
		t.Error(err)
	}
	r.Close()
	r, w, err = Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	if _, err := w.Write([]byte("x")); !errors.Is(err, unix.EPIPE) {
		t.Errorf("nobody reads: %v", err)
	}
	w.Close()
}
