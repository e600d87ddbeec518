package pid1

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"firstlight/internal/sysfile"
)

// Large and small, aligned or not, within the device or beyond its end: what is
// read past the cache is what is there.
func TestReadsOfADeviceAreTheSameEitherWay(t *testing.T) {
	name := filepath.Join(t.TempDir(), "disk")
	content := make([]byte, 1<<20+512)
	for i := range content {
		content[i] = byte(i>>9) ^ byte(i)
	}
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	b := &blockDevice{sysfile.New(fd, name), &buffers{}, int64(len(content)), 512}
	defer b.Close()
	for _, n := range []int{1, 512, 4096, directSize - 1, directSize, directSize + 1, directSize + 512, 512 << 10, 2 << 20} {
		for _, off := range []int64{0, 1, 512, 4096, 64 << 10, 1 << 20, 1<<20 + 512, 2 << 20} {
			buf := b.Borrow(n)
			got, err := b.ReadAt(buf, off)
			want := content[min(off, int64(len(content))):min(off+int64(n), int64(len(content)))]
			if !bytes.Equal(buf[:got], want) {
				t.Errorf("%d bytes at %d: %d bytes, %v; they are others, or not %d", n, off, got, err, len(want))
			}
			if got < n && !errors.Is(err, io.EOF) || got == n && err != nil {
				t.Errorf("%d bytes at %d: %d bytes, and the error is %v", n, off, got, err)
			}
			b.Return(buf)
		}
	}
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err != nil || flags&unix.O_DIRECT != 0 {
		t.Errorf("small reads go past the cache too: flags %#x, %v", flags, err)
	}
}
