package blkid

import "firstlight/internal/blktext"

// The LUKS header, at the start of the device, big-endian (the "LUKS1
// On-Disk Format Specification" and the "LUKS2 On-Disk Format
// Specification"; both versions have what matters at the same places):
//
//	0 magic    6 u16 version    24 label, 48 bytes (LUKS2)
//	168 UUID, 40 bytes of text  208 subsystem, 48 bytes (LUKS2)
//
// LUKS2 has a second header behind the first, at one of a few places, that
// counts when the first one's magic is gone.
const (
	luksMagic  = "LUKS\xba\xbe"
	luksMagic2 = "SKUL\xba\xbe"
)

func probeLUKS(p *probe, _ *magic) bool {
	b := p.bytes(0, 512)
	if b == nil {
		return false
	}
	if string(b[:6]) == luksMagic {
		p.setLUKS(b)
		return true
	}
	for off := uint64(16 << 10); off <= 4<<20; off *= 2 {
		if off >= nearEnd && !p.far {
			break
		}
		if b = p.bytes(off, 512); b == nil {
			return false
		}
		if string(b[:6]) == luksMagic2 {
			p.setLUKS(b)
			return true
		}
	}
	return false
}

// probeOPAL comes before all others: the disk itself encrypts what is behind
// such a header, and until it is unlocked reading that fails.
func probeOPAL(p *probe, _ *magic) bool {
	b := p.bytes(0, 512)
	if b == nil || string(b[:6]) != luksMagic || be.Uint16(b[6:]) != 2 || blktext.CString(b[208:256]) != "HW-OPAL" {
		return false
	}
	p.setLUKS(b)
	return true
}

func (p *probe) setLUKS(b []byte) {
	v := be.Uint16(b[6:])
	p.version(utoa(uint64(v)))
	if v == 1 || v == 2 {
		p.uuidString(b[168:208])
	}
	if v == 2 {
		p.label(b[24:72])
		p.id("SUBSYSTEM", b[208:256])
	}
}
