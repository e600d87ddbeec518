package blkid

import "firstlight/internal/blktext"

// The f2fs superblock, 1024 bytes into the device, little-endian (the
// kernel's include/linux/f2fs_fs.h):
//
//	0x04 u16 major version  0x06 u16 minor version  0x10 u32 log2 of block size
//	0x6c UUID               0x7c label, 512 UTF-16 code units
func probeF2FS(p *probe, m *magic) bool {
	b := p.bytes(m.base, 0x47c)
	if b == nil {
		return false
	}
	major, minor := le.Uint16(b[4:]), le.Uint16(b[6:])
	if major == 1 && minor == 0 {
		return true // a layout of its own, unknown to all
	}
	if b[0x7c] != 0 {
		p.labelEncoded(b[0x7c:], blktext.UTF16LE)
	}
	p.uuid(b[0x6c:])
	p.majorMinor(major, minor)
	if shift := le.Uint32(b[0x10:]); shift < 32 {
		p.blockSize(1 << shift)
	}
	return true
}

// The EROFS superblock, 1024 bytes into the device, little-endian (the
// kernel's fs/erofs/erofs_fs.h):
//
//	0x0c u8 log2 of block size  0x30 UUID  0x40 label, 16 bytes
func probeEROFS(p *probe, m *magic) bool {
	b := p.bytes(m.base, 128)
	if b == nil {
		return false
	}
	p.label(b[0x40:0x50])
	p.uuid(b[0x30:])
	if b[0x0c] < 32 {
		p.blockSize(1 << b[0x0c])
	}
	return true
}

// Squashfs, at the start of the device: 28 u16 major version, 30 u16 minor
// version, in the byte order that its magic says (the kernel's
// fs/squashfs/squashfs_fs.h; version 4 is always little-endian).
const (
	squashLE = "hsqs"
	squashBE = "sqsh"
)

func probeSquashfs(p *probe, m *magic) bool {
	b := p.bytes(m.base, 32)
	if b == nil || le.Uint16(b[28:]) < 4 {
		return false
	}
	p.majorMinor(le.Uint16(b[28:]), le.Uint16(b[30:]))
	return true
}

func probeSquashfs3(p *probe, m *magic) bool {
	b := p.bytes(m.base, 32)
	if b == nil {
		return false
	}
	major, minor := le.Uint16(b[28:]), le.Uint16(b[30:])
	if m.bytes == squashBE {
		major, minor = be.Uint16(b[28:]), be.Uint16(b[30:])
	}
	if major > 3 {
		return false
	}
	p.majorMinor(major, minor)
	p.blockSize(1024)
	return true
}

// Cramfs, at the start of the device, in either byte order: 48 label, 16
// bytes (the kernel's include/uapi/linux/cramfs_fs.h).
var cramfsMagics = []magic{{bytes: "\x45\x3d\xcd\x28"}, {bytes: "\x28\xcd\x3d\x45"}}

func probeCramfs(p *probe, m *magic) bool {
	b := p.bytes(m.base, 64)
	if b == nil {
		return false
	}
	p.label(b[48:])
	return true
}

// Romfs, at the start of the device: 16 label, of which 16 bytes are looked
// at (the kernel's Documentation/filesystems/romfs.rst).
func probeRomfs(p *probe, m *magic) bool {
	b := p.bytes(m.base, 32)
	if b == nil {
		return false
	}
	p.label(b[16:])
	p.blockSize(1024)
	return true
}
