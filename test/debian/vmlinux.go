package debian

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"firstlight/internal/image/compress"
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
		payload, err := payload(b)
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

// payload finds the compressed kernel in a bzImage, by the header's fields
// setup_sects, payload_offset and payload_length
// (Documentation/arch/x86/boot.rst, protocol 2.08 and later; little-endian).
func payload(b []byte) ([]byte, error) {
	const setupSects, magic, version, offset, length, end = 0x1f1, 0x202, 0x206, 0x248, 0x24c, 0x250
	if len(b) < end || string(b[magic:magic+4]) != "HdrS" || binary.LittleEndian.Uint16(b[version:]) < 0x0208 {
		return nil, fmt.Errorf("no bzImage with a boot protocol of 2.08 or later")
	}
	sects := int64(b[setupSects])
	if sects == 0 {
		sects = 4
	}
	from := (sects+1)*512 + int64(binary.LittleEndian.Uint32(b[offset:]))
	to := from + int64(binary.LittleEndian.Uint32(b[length:]))
	if from > to || to > int64(len(b)) {
		return nil, fmt.Errorf("the compressed kernel is said to be at bytes %d to %d of %d", from, to, len(b))
	}
	return b[from:to], nil
}
