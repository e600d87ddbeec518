package blkid

import "firstlight/internal/blktext"

// The label of an LVM2 physical volume is one of the first four sectors,
// little-endian (LVM2's lib/label/label.h and lib/format_text/layout.h):
//
//	 0 "LABELONE"                  8 u64 number of this sector
//	16 u32 CRC of all from 20     20 u32 offset of the rest
//	24 "LVM2 001"                 32 UUID, 32 characters
const lvm2Type = "LVM2 001"

var lvm2Magics = []magic{
	{off: 0x218, bytes: lvm2Type},
	{off: 0x018, bytes: lvm2Type},
	{base: 1024, off: 0x018, bytes: lvm2Type},
	{base: 1024, off: 0x218, bytes: lvm2Type},
}

// lvmCRCSeed is LVM's starting value; it uses the ordinary CRC-32 without
// the inversions.
const lvmCRCSeed = 0xf597a6cf

// lvmWipes is how much pvcreate clears at the start of a device.
const lvmWipes = 8 << 10

func probeLVM2(p *probe, m *magic) bool {
	b := p.bytes(m.base, 1024)
	if b == nil {
		return false
	}
	sector := m.base / 512
	if string(b[:8]) != "LABELONE" {
		b = b[512:]
		sector++
		if string(b[:8]) != "LABELONE" {
			return false
		}
	}
	if le.Uint64(b[8:]) != sector || rawCRC32(lvmCRCSeed, b[20:512]) != le.Uint32(b[16:]) {
		return false
	}
	p.uuidText(b[32:64], lvmUUID(b[32:64]))
	p.version(lvm2Type)
	p.wiped = lvmWipes
	return true
}

// LVM1: 2 u16 version, 1 or 2, 44 UUID, 128 bytes of which 32 are used.
func probeLVM1(p *probe, _ *magic) bool {
	b := p.bytes(0, 172)
	if b == nil {
		return false
	}
	if v := le.Uint16(b[2:]); v != 1 && v != 2 {
		return false
	}
	p.uuidText(b[44:172], lvmUUID(b[44:76]))
	return true
}

// lvmUUID puts in the dashes that LVM prints.
func lvmUUID(b []byte) string {
	out := make([]byte, 0, 38)
	for i, c := range b {
		if i >= 6 && i <= 26 && i%4 == 2 {
			out = append(out, '-')
		}
		out = append(out, c)
	}
	return blktext.CString(out)
}
