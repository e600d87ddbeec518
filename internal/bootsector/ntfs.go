package bootsector

import (
	"bytes"

	"firstlight/internal/blkread"
)

// NTFS is the boot sector of an NTFS volume, little-endian on disk (Linux's
// fs/ntfs3/ntfs.h):
//
//	0x03 "NTFS    "                0x0b u16 bytes in a sector
//	0x0d u8 sectors in a cluster (0xf0…0xf9: 2 to the power of 256 - n)
//	0x28 u64 sectors               0x30 u64 cluster of the MFT
//	0x38 u64 cluster of its mirror 0x40 i8 clusters in an MFT record, or, if
//	0x48 u64 serial number              negative, the power of 2 in bytes
type NTFS struct {
	SectorSize uint32 // bytes
	Serial     uint64
	// Volume is the start of MFT record 3 ($Volume), at most 64 KiB of it.
	Volume []byte
	// RecordSize is the size of that record in bytes by the boot sector.
	RecordSize uint32
}

const (
	ntfsMaxCluster = 2 << 20
	ntfsMaxRecord  = 64 << 10 // how much of a record is looked at
	mftVolume      = 3
)

// FindNTFS returns the boot sector of an NTFS volume at the start of the
// device, or nil. Records 0 and 3 of the MFT must stand where it says.
func FindNTFS(d *blkread.Reader) *NTFS {
	b := d.Bytes(0, 1024)
	if b == nil || !bytes.HasPrefix(b[3:], []byte("NTFS    ")) {
		return nil
	}
	v := &NTFS{SectorSize: uint32(le.Uint16(b[0x0b:])), Serial: le.Uint64(b[0x48:])}
	if v.SectorSize < 256 || v.SectorSize > 4096 {
		return nil
	}
	cluster := uint32(b[0x0d]) // sectors
	switch {
	case cluster >= 240 && cluster <= 249:
		cluster = 1 << (256 - cluster)
	case cluster > 128 || !powerOf2(cluster):
		return nil
	}
	if v.SectorSize*cluster > ntfsMaxCluster {
		return nil
	}
	// What FAT keeps in these fields must be zero.
	if le.Uint16(b[0x0e:]) != 0 || b[0x10] != 0 || le.Uint16(b[0x11:]) != 0 ||
		le.Uint16(b[0x13:]) != 0 || le.Uint16(b[0x16:]) != 0 || le.Uint32(b[0x20:]) != 0 {
		return nil
	}
	switch per := int8(b[0x40]); {
	case per >= -31 && per <= -9:
		v.RecordSize = 1 << -per
	case per > 0 && per <= 64 && powerOf2(uint32(per)):
		v.RecordSize = uint32(per) * cluster * v.SectorSize
	default:
		return nil
	}
	clusters := le.Uint64(b[0x28:]) / uint64(cluster)
	mft := le.Uint64(b[0x30:])
	if mft > clusters || le.Uint64(b[0x38:]) > clusters {
		return nil
	}
	off := mft * uint64(v.SectorSize) * uint64(cluster)
	if v.record(d, off) == nil {
		return nil
	}
	v.Volume = v.record(d, off+uint64(mftVolume*v.RecordSize))
	if v.Volume == nil {
		return nil
	}
	return v
}

func (v *NTFS) record(d *blkread.Reader, off uint64) []byte {
	if !d.Has(off, uint64(v.RecordSize)) {
		return nil
	}
	rec := d.Bytes(off, uint64(min(v.RecordSize, ntfsMaxRecord)))
	if !bytes.HasPrefix(rec, []byte("FILE")) {
		return nil
	}
	return rec
}
