package debian

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"firstlight/internal/image/compress"
	"firstlight/internal/kernelimage"
	"firstlight/test/host"
)

// Unpacked is the path of the kernel as an ELF file, taken out of the bzImage
// and kept in the cache. QEMU starts it at its PVH entry point. Without the
// decompressor a boot takes three seconds of an emulated processor less, which
// are two thirds of what the kernel needs until /init; what is left out with
// it is the choice of a random address for the kernel.
func (k Kernel) Unpacked() (string, error) {
	cache, err := host.Cache()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "vmlinux", k.Release)
	file := filepath.Join(dir, "vmlinux")
	err = host.Once(dir, func(tmp string) error {
		b, err := os.ReadFile(k.Image())
		if err != nil {
			return fmt.Errorf("unpack the kernel: %w", err)
		}
		payload, err := kernelimage.BzImagePayload(b)
		if err != nil {
			return fmt.Errorf("unpack %s: %w", k.Image(), err)
		}
		r, err := compress.Open(payload, 256<<20)
		if err != nil {
			return fmt.Errorf("unpack %s: %w", k.Image(), err)
		}
		defer r.Close()
		out, err := os.Create(filepath.Join(tmp, filepath.Base(file)))
		if err != nil {
			return fmt.Errorf("unpack the kernel: %w", err)
		}
		defer out.Close()
		if _, err := io.Copy(out, r); err != nil {
			return fmt.Errorf("unpack %s: %w", k.Image(), err)
		}
		return out.Close()
	})
	return file, err
}
