package blkid

import "hash/crc32"

// dm-verity's superblock, at the start of the hash device, little-endian
// (cryptsetup's lib/verity/verity.c): 8 u32 version, 1, 16 UUID.
func probeVerity(p *probe, _ *magic) bool {
	b := p.bytes(0, 512)
	if b == nil || le.Uint32(b[8:]) != 1 {
		return false
	}
	p.uuid(b[16:])
	p.version("1")
	return true
}

// dm-integrity's superblock, at the start of the device: 8 u8 version (the
// kernel's drivers/md/dm-integrity.c).
func probeIntegrity(p *probe, _ *magic) bool {
	b := p.bytes(0, 32)
	if b == nil || b[8] == 0 {
		return false
	}
	p.version(utoa(uint64(b[8])))
	return true
}

// VDO's geometry block, at the start of the device: 40 UUID.
func probeVDO(p *probe, _ *magic) bool {
	b := p.bytes(0, 56)
	if b == nil {
		return false
	}
	p.uuid(b[40:])
	return true
}

// Stratis keeps two copies of a sector, at 512 and at 4608 bytes,
// little-endian (the Stratis design document, "Binary Device Header"):
//
//	 0 u32 CRC-32C of the rest    4 magic, 16 bytes     20 u64 sectors
//	32 pool UUID, 32 characters  64 device UUID, same   120 u64 time made
const (
	stratisArea  = 8 << 10
	stratisMagic = "!Stra0tis\x86\xff\x02^\x41rh"
)

var stratisMagics = []magic{{off: 512 + 4, bytes: stratisMagic}, {off: 9*512 + 4, bytes: stratisMagic}}

func probeStratis(p *probe, _ *magic) bool {
	area := p.bytes(0, stratisArea)
	if area == nil {
		return false
	}
	table := crc32c()
	b := area[512:1024]
	if crc32.Checksum(b[4:], table) != le.Uint32(b) {
		b = area[9*512 : 10*512]
		if crc32.Checksum(b[4:], table) != le.Uint32(b) {
			return false
		}
	}
	p.uuidString(stratisUUID(b[64:96]))
	p.set("POOL_UUID", string(stratisUUID(b[32:64])))
	p.set("BLOCKDEV_SECTORS", utoa(le.Uint64(b[20:])))
	p.set("BLOCKDEV_INITTIME", utoa(le.Uint64(b[120:])))
	return true
}

func stratisUUID(b []byte) []byte {
	out := make([]byte, 0, 36)
	for i, c := range b {
		if i == 8 || i == 12 || i == 16 || i == 20 {
			out = append(out, '-')
		}
		out = append(out, c)
	}
	return out
}
