package blkid

// JFS, 32 KiB into the device, little-endian (the kernel's
// fs/jfs/jfs_superblock.h):
//
//	16 u32 block size            20 u16 its log2   22 u16 log2 of blocks in it
//	24 u32 size of those blocks  28 u16 its log2  136 UUID  152 label, 16 bytes
func probeJFS(p *probe, m *magic) bool {
	b := p.bytes(m.base, 184)
	if b == nil {
		return false
	}
	size, log := le.Uint32(b[16:]), le.Uint16(b[20:])
	physical, physicalLog := le.Uint32(b[24:]), le.Uint16(b[28:])
	if size != 1<<(log&31) || physical != 1<<(physicalLog&31) ||
		int(log)-int(physicalLog) != int(le.Uint16(b[22:])) {
		return false
	}
	p.label(b[152:168])
	p.uuid(b[136:])
	p.blockSize(size)
	return true
}

// Reiserfs, 64 KiB into the device (8 KiB before version 3.5.9),
// little-endian (reiserfsprogs' include/reiserfs_fs.h):
//
//	12 u32 first block of the journal  44 u16 block size  52 magic
//	84 UUID                           100 label, 16 bytes
var reiserMagics = []magic{
	{base: 8 << 10, off: 0x34, bytes: "ReIsErFs"},
	{base: 64 << 10, off: 0x34, bytes: "ReIsEr2Fs"},
	{base: 64 << 10, off: 0x34, bytes: "ReIsEr3Fs"},
	{base: 64 << 10, off: 0x34, bytes: "ReIsErFs"},
	{base: 8 << 10, off: 20, bytes: "ReIsErFs"},
}

func probeReiser(p *probe, m *magic) bool {
	b := p.bytes(m.base, 116)
	if b == nil {
		return false
	}
	size := uint32(le.Uint16(b[44:]))
	if size < 512 {
		return false
	}
	// A journal holds copies of the superblock; this may be one.
	if uint32(m.base>>10)/(size>>9) > le.Uint32(b[12:])/2 {
		return false
	}
	version := "3.5"
	switch m.bytes[6] {
	case '2':
		version = "3.6"
	case '3':
		version = "JR"
	}
	if version != "3.5" {
		p.label(b[100:116])
		p.uuid(b[84:])
	}
	p.version(version)
	p.blockSize(size)
	return true
}

// Reiser4, 64 KiB into the device: 19 u8 block size in units of 256 bytes,
// 20 UUID, 36 label, 16 bytes.
func probeReiser4(p *probe, m *magic) bool {
	b := p.bytes(m.base, 60)
	if b == nil {
		return false
	}
	p.label(b[36:52])
	p.uuid(b[20:])
	p.version("4")
	p.blockSize(uint32(b[19]) * 256)
	return true
}

// NILFS2, 1 KiB into the device with a copy in the last 4 KiB,
// little-endian (the kernel's include/uapi/linux/nilfs2_ondisk.h):
//
//	0 u32 revision      6 u16 magic 0x3434   8 u16 bytes that the CRC covers
//	12 u32 seed of it  16 u32 CRC, itself counted as zero
//	20 u32 log2 of block size - 10          32 u64 size of the device
//	56 u64 number of the last checkpoint   152 UUID   168 label, 80 bytes
const nilfsSize = 1024

func probeNILFS2(p *probe, _ *magic) bool {
	first := p.bytes(1024, nilfsSize)
	if first == nil {
		return false
	}
	firstOK := p.nilfsValid(first, false)
	second := p.bytes((p.size/512-8)*512, nilfsSize)
	secondOK := second != nil && p.nilfsValid(second, true)
	b := first
	switch {
	case !firstOK && !secondOK:
		return false
	case secondOK && (!firstOK || le.Uint64(first[56:]) > le.Uint64(second[56:])):
		b = second
	}
	p.label(b[168:248])
	p.uuid(b[152:])
	p.version(utoa(uint64(le.Uint32(b))))
	if shift := le.Uint32(b[20:]); shift < 32 {
		p.blockSize(1024 << shift)
	}
	return true
}

func (p *probe) nilfsValid(b []byte, backup bool) bool {
	n := int(le.Uint16(b[8:]))
	if le.Uint16(b[6:]) != 0x3434 || n < 20 || n > nilfsSize {
		return false
	}
	// At the end of a disk it may be that of the last partition.
	if backup && p.opt.Kind == Disk && le.Uint64(b[32:]) != p.size {
		return false
	}
	crc := rawCRC32(le.Uint32(b[12:]), b[:16])
	crc = rawCRC32(crc, []byte{0, 0, 0, 0})
	return rawCRC32(crc, b[20:n]) == le.Uint32(b[16:])
}
