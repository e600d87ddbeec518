package blkid

import (
	"bytes"

	"firstlight/internal/blktext"
)

// DDF (SNIA "Common RAID Disk Data Format", version 2.0): the anchor header
// is the last sector of the disk, or stands 257 sectors before its end, in
// either byte order:
//
//	0 u32 0xde11de11   8 GUID, 24 bytes, partly text   32 revision, 8 bytes
//	96 u64 sector of the primary header, which starts with the same number
func probeDDF(p *probe, _ *magic) bool {
	if p.size < 0x30000 {
		return false
	}
	for _, fromEnd := range [...]uint64{1, 257} {
		b := p.bytes((p.size/512-fromEnd)*512, 512)
		if b == nil {
			return false
		}
		order := ddfOrder(b)
		if order == nil {
			continue
		}
		if lba := order(b[96:]); lba > 0 {
			primary := p.bytes(lba<<9, 4)
			if primary == nil || !bytes.Equal(primary, b[:4]) {
				return false
			}
		}
		p.uuidString(b[8:32])
		p.version(blktext.CString(b[32:40]))
		return true
	}
	return false
}

// ddfOrder returns how the header stores 64-bit numbers, or nil when it is
// none.
func ddfOrder(b []byte) func([]byte) uint64 {
	const magic = 0xde11de11
	switch {
	case be.Uint32(b) == magic:
		return be.Uint64
	case le.Uint32(b) == magic:
		return le.Uint64
	}
	return nil
}

// Intel Matrix Storage (mdadm's super-intel.c): the metadata's anchor is the
// last sector but one of a disk. 0 signature, 24 version, 8 bytes of text.
func probeIMSM(p *probe, _ *magic) bool {
	const signature = "Intel Raid ISM Cfg Sig. "
	sector := uint64(p.opt.SectorSize)
	b := p.bytes((p.size/sector-2)*sector, 48)
	if !bytes.HasPrefix(b, []byte(signature)) {
		return false
	}
	v := blktext.CString(b[len(signature):])
	for len(v) < 6 {
		v = " " + v
	}
	p.version(v)
	return true
}

// The metadata of the other controllers stands in one sector each, counted from
// the end of the disk (the kernel has no driver for them any more; the layouts
// are those of dmraid's lib/format/ataraid). What they hold is for dmraid and
// the controller's own BIOS: here they are known by name, so that nobody takes
// the filesystem on one half of a mirror for a filesystem.

// VIA: 2 u8 version, 50 u8 sum of the bytes before it.
func probeVIA(p *probe, m *magic) bool {
	b := p.fromEnd(m.end)
	sum := byte(0)
	for _, c := range b[:50] {
		sum += c
	}
	if b[2] > 2 || sum != b[50] {
		return false
	}
	p.version(utoa(uint64(b[2])))
	return true
}

// Silicon Image Medley, little-endian: 0x108 u16 minor and 0x10a u16 major
// version, 0x116 u8 number of this disk, 0x13e u16 that makes the sum of the
// words up to itself zero.
func probeSilicon(p *probe, m *magic) bool {
	b := p.fromEnd(m.end)
	sum := uint16(0)
	for i := 0; i <= 0x13e; i += 2 {
		sum += le.Uint16(b[i:])
	}
	if b[0x116] >= 8 || sum != 0 {
		return false
	}
	p.majorMinor(le.Uint16(b[0x10a:]), le.Uint16(b[0x108:]))
	return true
}

// NVIDIA: 16 u16 version.
func probeNVIDIA(p *probe, m *magic) bool {
	p.version(utoa(uint64(le.Uint16(p.fromEnd(m.end)[16:]))))
	return true
}

// Adaptec: 63 u8 version, 256 "DPTM".
func probeAdaptec(p *probe, m *magic) bool {
	b := p.fromEnd(m.end)
	if string(b[256:260]) != "DPTM" {
		return false
	}
	p.version(utoa(uint64(b[63])))
	return true
}

// JMicron: 2 u8 minor, 3 u8 major version.
func probeJMicron(p *probe, m *magic) bool {
	b := p.fromEnd(m.end)
	p.majorMinor(uint16(b[3]), uint16(b[2]))
	return true
}

// Promise FastTrak: a text in one of several sectors, by the geometry that the
// controller made up for the disk. The first four are near the end.
var promiseSectors = [...]uint64{63, 255, 256, 16, 399, 591, 675, 735, 911, 974, 991, 951, 3087}

const promiseNear = 4

func probePromise(p *probe, _ *magic) bool { return p.promise(promiseSectors[:promiseNear]) }

// probePromiseFar looks at the others, of which one costs a read.
func probePromiseFar(p *probe, _ *magic) bool { return p.promise(promiseSectors[promiseNear:]) }

func (p *probe) promise(sectors []uint64) bool {
	const text = "Promise Technology, Inc."
	for _, n := range sectors {
		if bytes.HasPrefix(p.fromEnd(n), []byte(text)) {
			return true
		}
	}
	return false
}

// HighPoint: a number that says whether the array is whole, 11 sectors from the
// end (45x) or 9 from the start (37x).
var (
	hpt45xMagics = []magic{{end: 11, bytes: "\xf3\x16\x78\x5a"}, {end: 11, bytes: "\xfd\x16\x78\x5a"}}
	hpt37xMagics = []magic{{base: 4608, off: 32, bytes: "\xf0\x16\x78\x5a"}, {base: 4608, off: 32, bytes: "\xfd\x16\x78\x5a"}}
)
