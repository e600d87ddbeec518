package blkid

import "strconv"

// The ext superblock, 1024 bytes into the device, little-endian (the
// kernel's fs/ext4/ext4.h and Documentation/filesystems/ext4/super.rst):
//
//	0x18 u32 block size, 1024 << n   0x38 u16 magic 0xef53
//	0x3e u16 minor revision          0x4c u32 revision
//	0x5c u32 compatible features     0x60 u32 incompatible features
//	0x64 u32 read-only compatible    0x68 UUID
//	0x78 label, 16 bytes             0xd0 UUID of the external journal
//	0x160 u32 flags
const extSuper = 1024

var extMagics = []magic{{base: extSuper, off: 0x38, bytes: "\x53\xef"}}

const (
	extCompatJournal = 0x4

	extIncompatFiletype   = 0x2
	extIncompatRecover    = 0x4
	extIncompatJournalDev = 0x8
	extIncompatMetaBG     = 0x10

	extROSparseSuper = 0x1
	extROLargeFile   = 0x2
	extROBtreeDir    = 0x4

	extFlagTest = 0x4

	ext2Incompat = extIncompatFiletype | extIncompatMetaBG
	ext3Incompat = ext2Incompat | extIncompatRecover
	ext3RO       = extROSparseSuper | extROLargeFile | extROBtreeDir
)

type ext struct {
	b                    []byte
	compat, incompat, ro uint32
}

func (p *probe) ext() *ext {
	b := p.bytes(extSuper, 0x200)
	if b == nil {
		return nil
	}
	return &ext{b, le.Uint32(b[0x5c:]), le.Uint32(b[0x60:]), le.Uint32(b[0x64:])}
}

func (p *probe) setExt(e *ext, secondary bool) {
	p.label(e.b[0x78:0x88])
	p.uuid(e.b[0x68:])
	if e.compat&extCompatJournal != 0 {
		p.uuidAs("EXT_JOURNAL", e.b[0xd0:])
	}
	if secondary && e.incompat&^ext2Incompat == 0 {
		p.set("SEC_TYPE", "ext2")
	}
	p.version(utoa(uint64(le.Uint32(e.b[0x4c:]))) + "." + strconv.Itoa(int(le.Uint16(e.b[0x3e:]))))
	if shift := le.Uint32(e.b[0x18:]); shift < 32 {
		p.blockSize(1024 << shift)
	}
}

func probeJBD(p *probe, _ *magic) bool {
	e := p.ext()
	if e == nil || e.incompat&extIncompatJournalDev == 0 {
		return false
	}
	p.setExt(e, false)
	p.uuidAs("LOGUUID", e.b[0x68:])
	return true
}

func probeExt2(p *probe, _ *magic) bool {
	e := p.ext()
	if e == nil || e.compat&extCompatJournal != 0 || e.ro&^ext3RO != 0 || e.incompat&^ext2Incompat != 0 {
		return false
	}
	p.setExt(e, false)
	return true
}

func probeExt3(p *probe, _ *magic) bool {
	e := p.ext()
	if e == nil || e.compat&extCompatJournal == 0 || e.ro&^ext3RO != 0 || e.incompat&^ext3Incompat != 0 {
		return false
	}
	p.setExt(e, true)
	return true
}

// probeExt4 takes what has at least one feature that ext3 does not know.
func probeExt4(p *probe, _ *magic) bool {
	e := p.ext()
	if e == nil || e.incompat&extIncompatJournalDev != 0 ||
		e.ro&^ext3RO == 0 && e.incompat&^ext3Incompat == 0 || e.testing() {
		return false
	}
	p.setExt(e, true)
	return true
}

// probeExt4dev takes filesystems marked as for testing only.
func probeExt4dev(p *probe, _ *magic) bool {
	e := p.ext()
	if e == nil || e.incompat&extIncompatJournalDev != 0 || !e.testing() {
		return false
	}
	p.setExt(e, true)
	return true
}

func (e *ext) testing() bool { return le.Uint32(e.b[0x160:])&extFlagTest != 0 }
