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
	if p.size < 0x10000 || p.opt.Kind == Partition {
		return false
	}
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
