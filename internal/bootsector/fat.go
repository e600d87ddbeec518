// Package bootsector recognises the boot sectors of FAT, NTFS and BitLocker.
//
// All of them end in the 55 aa of a master boot record, so both the parser
// of partition tables (to leave them alone) and the probe of filesystems (to
// report them) need the same answer to "is it one?". It is libblkid's answer.
package bootsector

import (
	"bytes"
	"encoding/binary"

	"firstlight/internal/blkread"
)

var le = binary.LittleEndian

// Cluster counts that decide between the FAT types: Microsoft's "FAT32 File
// System Specification", section 3.5, and Linux's fs/fat/fat.h.
const (
	MaxFAT12 = 0xff4
	MaxFAT16 = 0xfff4
	MaxFAT32 = 0x0ffffff6
)

// FAT is the boot sector of a FAT filesystem, little-endian on disk:
//
//	0x0b u16 bytes in a sector     0x0d u8  sectors in a cluster
//	0x0e u16 reserved sectors      0x10 u8  number of FATs
//	0x11 u16 root entries          0x13 u16 sectors (0: see 0x20)
//	0x15 u8  media                 0x16 u16 sectors of one FAT (0: FAT32)
//	0x20 u32 sectors               0x24 u32 sectors of one FAT, FAT32
type FAT struct {
	Sector      []byte // the first 512 bytes
	SectorSize  uint32 // bytes
	ClusterSize uint32 // sectors
	Reserved    uint32 // sectors before the first FAT
	FATSize     uint32 // sectors of all FATs together
	Clusters    uint32 // count of data clusters
	FAT16Length uint32 // sectors of one FAT; 0 on FAT32
	FAT32Length uint32 // sectors of one FAT on FAT32
	RootEntries uint32 // directory entries of the fixed root; 0 on FAT32
}

var fatNames = [...]struct {
	off  int
	name string
}{
	{0x52, "MSWIN"}, {0x52, "FAT32   "},
	{0x36, "MSDOS"}, {0x36, "FAT16   "}, {0x36, "FAT12   "}, {0x36, "FAT     "},
}

// FindFAT returns the boot sector of a FAT filesystem at the start of the
// device, or nil. A sector without a FAT's name in it must at least carry
// the 55 aa mark; a BitLocker To Go volume, which poses as FAT32, is not FAT.
func FindFAT(d *blkread.Reader) *FAT {
	b := d.Bytes(0, 1024)
	if b == nil {
		return nil
	}
	b = b[:512]
	named := false
	for _, n := range fatNames {
		named = named || bytes.HasPrefix(b[n.off:], []byte(n.name))
	}
	if !named {
		if b[510] != 0x55 || b[511] != 0xaa {
			return nil
		}
		// OS/2 puts a FAT-like header before HPFS and JFS.
		if name := string(b[0x36:0x3e]); name == "JFS     " || name == "HPFS    " {
			return nil
		}
	}
	f := &FAT{
		Sector:      b,
		SectorSize:  uint32(le.Uint16(b[0x0b:])),
		ClusterSize: uint32(b[0x0d]),
		Reserved:    uint32(le.Uint16(b[0x0e:])),
		FAT16Length: uint32(le.Uint16(b[0x16:])),
		FAT32Length: le.Uint32(b[0x24:]),
		RootEntries: uint32(le.Uint16(b[0x11:])),
	}
	fats, media := uint32(b[0x10]), b[0x15]
	if fats == 0 || f.Reserved == 0 || media < 0xf8 && media != 0xf0 ||
		!powerOf2(f.ClusterSize) ||
		!powerOf2(f.SectorSize) || f.SectorSize < 512 || f.SectorSize > 4096 {
		return nil
	}
	sectors := uint32(le.Uint16(b[0x13:]))
	if sectors == 0 {
		sectors = le.Uint32(b[0x20:])
	}
	length := f.FAT16Length
	if length == 0 {
		length = f.FAT32Length
	}
	// The arithmetic wraps at 32 bits, as the kernel's and libblkid's does:
	// a filesystem smaller than its own tables ends up with a huge count of
	// clusters and is refused by the next test.
	f.FATSize = length * fats
	rootSectors := (f.RootEntries*32 + f.SectorSize - 1) / f.SectorSize
	f.Clusters = (sectors - (f.Reserved + f.FATSize + rootSectors)) / f.ClusterSize
	limit := uint32(MaxFAT16)
	if f.FAT16Length == 0 && f.FAT32Length != 0 {
		limit = MaxFAT32
	}
	if f.Clusters > limit || FindBitLocker(d) != nil {
		return nil
	}
	return f
}

func powerOf2(n uint32) bool { return n != 0 && n&(n-1) == 0 }
