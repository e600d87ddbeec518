package uki

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"regexp"

	"firstlight/internal/image/pe"
	"firstlight/internal/kernelimage"
)

var (
	// bootVersion is the text that a bzImage has for boot loaders.
	bootVersion = regexp.MustCompile(`^([a-z0-9._-]+) \([^ )]+\) #`)
	// banner is what a kernel says first.
	banner = regexp.MustCompile(`Linux version ([0-9]\.\S+) \(`)
)

// Release finds the release of a kernel, what uname -r says under it, in the
// kernel; "" if it does not tell.
func Release(kernel []byte) string {
	const magic, version, header = 0x202, 0x20e, 0x200
	if len(kernel) > header+16 && string(kernel[magic:magic+4]) == "HdrS" {
		from := header + int(binary.LittleEndian.Uint16(kernel[version:]))
		if from < len(kernel) {
			text, _, _ := bytes.Cut(kernel[from:min(from+128, len(kernel))], []byte{0})
			if m := bootVersion.FindSubmatch(text); m != nil {
				return string(m[1])
			}
		}
	}
	unpacked, err := kernelimage.Unpack(kernel)
	if err != nil {
		return ""
	}
	if m := banner.FindSubmatch(unpacked); m != nil {
		return string(m[1])
	}
	return ""
}

// Kernel returns a kernel as firmware can start it: one that is compressed as a
// whole, as some architectures have it in /boot, is unpacked.
func Kernel(b []byte) ([]byte, error) {
	if pe.Is(b) {
		return b, nil
	}
	out, err := kernelimage.Unpack(b)
	if err != nil {
		return nil, fmt.Errorf("the kernel is no EFI program, and cannot be unpacked: %w", err)
	}
	if !pe.Is(out) {
		return nil, fmt.Errorf("the kernel is no EFI program (it is built without CONFIG_EFI_STUB, or is the ELF file): %w", ErrInvalid)
	}
	return out, nil
}
