package blkid

// The bcache superblock, 4 KiB into the device, little-endian (the kernel's
// drivers/md/bcache/bcache_ondisk.h):
//
//	8 u64 sector of this superblock   24 magic, 16 bytes   40 UUID
const bcacheSuper = 4 << 10

const (
	bcacheMagic   = "\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81"
	bcachefsMagic = "\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef"
)

var bcacheMagics = []magic{{base: bcacheSuper, off: 24, bytes: bcacheMagic}}

func probeBcache(p *probe, m *magic) bool {
	b := p.bytes(m.base, 64)
	if b == nil || le.Uint64(b[8:]) != bcacheSuper/512 {
		return false
	}
	p.uuid(b[40:])
	return true
}

// The bcachefs superblock, 4 KiB into the device, a copy at 2 MiB,
// little-endian (bcachefs-tools' libbcachefs/bcachefs_format.h). Filesystems
// made before it had a magic of its own carry bcache's.
//
//	  0 checksum, 16 bytes           16 u16 version: major << 10 | minor
//	 24 magic                        40 UUID, internal
//	 56 UUID                         72 label, 32 bytes
//	104 u64 sector of this copy     120 u16 block size in sectors
//	122 u8 index of this device     123 u8 number of devices
//	124 u32 words of 8 bytes behind 752
//	144 flags; bits 2 to 7: kind of the checksum
//	257 u8 log2 of the largest size in sectors
//	752 fields: u32 words of 8 bytes, u32 type, content
const (
	bcachefsFixed     = 752
	bcachefsMaxShift  = 16
	bcachefsMembersV1 = 1
	bcachefsMembersV2 = 11
)

var bcachefsMagics = []magic{
	{base: bcacheSuper, off: 24, bytes: bcacheMagic},
	{base: bcacheSuper, off: 24, bytes: bcachefsMagic},
	{base: 2 << 20, off: 24, bytes: bcachefsMagic},
}

func probeBcachefs(p *probe, m *magic) bool {
	b := p.bytes(m.base, bcachefsFixed)
	if b == nil || le.Uint64(b[104:]) != m.base/512 || b[123] == 0 || b[122] >= b[123] {
		return false
	}
	size := bcachefsFixed + uint64(le.Uint32(b[124:]))*8
	if b[257] > bcachefsMaxShift || size > 512<<b[257] {
		return false
	}
	if b = p.bytes(m.base, size); b == nil {
		return false
	}
	p.uuid(b[56:])
	p.label(b[72:104])
	v := le.Uint16(b[16:])
	p.version(utoa(uint64(v>>10)) + "." + utoa(uint64(v&0x3ff)))
	p.blockSize(uint32(le.Uint16(b[120:])) * 512)
	p.wiped = bcacheSuper
	for f := b[bcachefsFixed:]; len(f) >= 8; {
		n, kind := uint64(le.Uint32(f))*8, le.Uint32(f[4:])
		if kind == 0 || n < 8 || n > uint64(len(f)) {
			break
		}
		switch kind {
		case bcachefsMembersV1:
			p.bcachefsMember(b, f[8:n], 56)
		case bcachefsMembersV2:
			if n >= 16 {
				p.bcachefsMember(b, f[16:n], uint64(le.Uint16(f[8:])))
			}
		}
		f = f[n:]
	}
	return true
}

// bcachefsMember takes this device's UUID from the table of members, each of
// the given size in bytes, with the UUID first.
func (p *probe) bcachefsMember(b, members []byte, size uint64) {
	if size < 16 || uint64(len(members)) != uint64(b[123])*size {
		return
	}
	if _, ok := lookup(p.pairs, "UUID_SUB"); !ok {
		p.uuidAs("UUID_SUB", members[uint64(b[122])*size:])
	}
}
