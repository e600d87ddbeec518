// Package kernelimage finds out what a Linux kernel can unpack as an
// initramfs: from the text of its configuration, or from the kernel itself.
//
// Pure: bytes in, an answer out.
package kernelimage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"firstlight/internal/image/compress"
)

// Initramfs is what a kernel can do with an initramfs.
type Initramfs struct {
	Supported bool              // it takes one at all (CONFIG_BLK_DEV_INITRD)
	Methods   []compress.Method // that it can unpack, None among them
	// Bootconfig: it reads one behind the image (CONFIG_BOOT_CONFIG), which only
	// a configuration tells (Configured).
	Bootconfig, Configured bool
}

// Can says whether the kernel unpacks a method.
func (i Initramfs) Can(m compress.Method) bool { return slices.Contains(i.Methods, m) }

// methods are the ways to compress, with the option that each needs
// (usr/Kconfig), and a message of its decompressor (lib/decompress_*.c,
// lib/inflate.c) by which it is found in a kernel without a configuration.
var methods = [...]struct {
	method  compress.Method
	option  string
	message string
}{
	{compress.Gzip, "CONFIG_RD_GZIP", "Not a gzip file"},
	{compress.Bzip2, "CONFIG_RD_BZIP2", "Data integrity error when decompressing"},
	{compress.LZMA, "CONFIG_RD_LZMA", "LZMA data is corrupt"},
	{compress.XZ, "CONFIG_RD_XZ", "XZ-compressed data is corrupt"},
	{compress.LZO, "CONFIG_RD_LZO", "Compressed data violation"},
	{compress.LZ4, "CONFIG_RD_LZ4", "Decoding failed"},
	{compress.Zstd, "CONFIG_RD_ZSTD", "ZSTD-compressed data is corrupt"},
}

// Option is the name of the option that a method needs, "" if none.
func Option(m compress.Method) string {
	for _, k := range methods {
		if k.method == m {
			return k.option
		}
	}
	return ""
}

// ErrUnknown says that a kernel does not tell what it can unpack.
var ErrUnknown = errors.New("it does not tell what it can unpack")

// OfConfig reads the text of a configuration.
func OfConfig(text string) (Initramfs, error) {
	i := Initramfs{Methods: []compress.Method{compress.None}, Configured: true}
	some := false
	for line := range strings.Lines(text) {
		option, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || !strings.HasPrefix(option, "CONFIG_") {
			continue
		}
		some = true
		if value != "y" {
			continue
		}
		i.Bootconfig = i.Bootconfig || option == "CONFIG_BOOT_CONFIG"
		i.Supported = i.Supported || option == "CONFIG_BLK_DEV_INITRD"
		for _, k := range methods {
			if k.option == option {
				i.Methods = append(i.Methods, k.method)
			}
		}
	}
	if !some {
		return Initramfs{}, fmt.Errorf("no line of it sets an option: %w", ErrUnknown)
	}
	return i, nil
}

// The marks around a configuration that a kernel has in it
// (CONFIG_IKCONFIG, kernel/configs.c); between them it is compressed with gzip.
const (
	configStart = "IKCFG_ST"
	configEnd   = "IKCFG_ED"
)

// maxKernel bounds an unpacked kernel, in bytes.
const maxKernel = 512 << 20

// OfKernel looks into a kernel as it stands in /boot: for the configuration in
// it, or else for the messages of its decompressors.
func OfKernel(b []byte) (Initramfs, error) {
	vmlinux, err := Unpack(b)
	if err != nil {
		return Initramfs{}, err
	}
	if at := bytes.Index(vmlinux, []byte(configStart+"\x1f\x8b")); at >= 0 {
		text, err := unpack(vmlinux[at+len(configStart):], 16<<20)
		if err != nil {
			return Initramfs{}, fmt.Errorf("the configuration in it: %w", err)
		}
		return OfConfig(string(text))
	}
	i := Initramfs{Methods: []compress.Method{compress.None}}
	for _, k := range methods {
		if bytes.Contains(vmlinux, []byte(k.message)) {
			i.Methods = append(i.Methods, k.method)
		}
	}
	// What unpacks an initramfs says this of one that it cannot (init/initramfs.c).
	i.Supported = bytes.Contains(vmlinux, []byte("no cpio magic"))
	if !i.Supported && len(i.Methods) == 1 {
		return Initramfs{}, fmt.Errorf("no sign of an initramfs's code in it: %w", ErrUnknown)
	}
	return i, nil
}

// Unpack returns the kernel as it is in memory: out of a bzImage, out of an EFI
// program that unpacks itself (zboot), out of a compressed file, or as it is.
func Unpack(b []byte) ([]byte, error) {
	payload := b
	switch {
	case len(b) > 0x206 && string(b[0x202:0x206]) == "HdrS":
		var err error
		if payload, err = BzImagePayload(b); err != nil {
			return nil, err
		}
	case len(b) > 16 && string(b[:2]) == "MZ" && string(b[4:8]) == "zimg":
		from, size := int64(binary.LittleEndian.Uint32(b[8:])), int64(binary.LittleEndian.Uint32(b[12:]))
		if from+size > int64(len(b)) {
			return nil, fmt.Errorf("the compressed kernel is said to be at bytes %d to %d of %d", from, from+size, len(b))
		}
		payload = b[from : from+size]
	}
	if m, ok := compress.Detect(payload); !ok || m == compress.None {
		return payload, nil
	}
	return unpack(payload, maxKernel)
}

func unpack(b []byte, limit int64) ([]byte, error) {
	r, err := compress.Open(b, limit)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// BzImagePayload finds the compressed kernel in a bzImage, by the header's
// fields setup_sects, payload_offset and payload_length
// (Documentation/arch/x86/boot.rst, protocol 2.08 and later; little-endian).
func BzImagePayload(b []byte) ([]byte, error) {
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
