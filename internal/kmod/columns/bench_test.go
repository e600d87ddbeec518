package columns

import (
	"os"
	"path/filepath"
	"testing"

	"firstlight/internal/testtool"
)

// The largest module that a common root needs.
func BenchmarkRestore(b *testing.B) {
	root, release := testtool.Kernel(b, "bookworm")
	module, err := os.ReadFile(filepath.Join(root, "lib/modules", release, "kernel/fs/btrfs/btrfs.ko"))
	if err != nil {
		b.Fatal(err)
	}
	out, ok := Arrange(module)
	if !ok {
		b.Fatal("not rearranged")
	}
	work := make([]byte, len(out))
	b.SetBytes(int64(len(out)))
	for b.Loop() {
		copy(work, out)
		if err := Restore(work); err != nil {
			b.Fatal(err)
		}
	}
}
