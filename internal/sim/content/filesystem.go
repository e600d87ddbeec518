package content

import "hash/crc32"

// Ext4 is the head of an ext4 filesystem with a journal: its first 8 KiB
// (the kernel's Documentation/filesystems/ext4/super.rst).
func Ext4(uuid, label string) []byte {
	b := make([]byte, 8<<10)
	s := b[1024:]
	u := UUID(uuid)
	le.PutUint32(s[0x00:], 4096)   // inodes
	le.PutUint32(s[0x04:], 16384)  // blocks
	le.PutUint32(s[0x18:], 2)      // blocks of 4096 bytes
	le.PutUint32(s[0x20:], 32768)  // blocks in a group
	le.PutUint32(s[0x28:], 4096)   // inodes in a group
	le.PutUint16(s[0x38:], 0xef53) // magic
	le.PutUint16(s[0x3a:], 1)      // clean
	le.PutUint32(s[0x4c:], 1)      // revision
	le.PutUint16(s[0x58:], 256)    // size of an inode
	le.PutUint32(s[0x5c:], 0x4)    // has a journal
	le.PutUint32(s[0x60:], 0x242)  // file types, extents, flexible groups
	copy(s[0x68:], u[:])
	copy(s[0x78:0x88], label)
	le.PutUint32(s[0xe0:], 8) // inode of the journal
	return b
}

// XFS is the superblock of a version 5 XFS filesystem, 512 bytes, big-endian
// (the kernel's fs/xfs/libxfs/xfs_format.h).
func XFS(uuid, label string) []byte {
	b := make([]byte, 512)
	u := UUID(uuid)
	copy(b, "XFSB")
	be.PutUint32(b[4:], 4096)     // size of a block
	be.PutUint64(b[8:], 16384)    // blocks
	copy(b[32:], u[:])            // UUID
	be.PutUint64(b[48:], 8196)    // first block of the log
	be.PutUint64(b[56:], 128)     // root inode
	be.PutUint32(b[80:], 1)       // blocks of a real-time extent
	be.PutUint32(b[84:], 4096)    // blocks of an allocation group
	be.PutUint32(b[88:], 4)       // allocation groups
	be.PutUint32(b[96:], 1000)    // blocks of the log
	be.PutUint16(b[100:], 0xb4b5) // version 5
	be.PutUint16(b[102:], 512)    // size of a sector
	be.PutUint16(b[104:], 512)    // size of an inode
	be.PutUint16(b[106:], 8)      // inodes in a block
	copy(b[108:120], label)
	b[120], b[121], b[122], b[123], b[124] = 12, 9, 9, 3, 12 // logarithms
	b[127] = 25                                              // the most that inodes may take, in per cent
	be.PutUint64(b[128:], 64)                                // inodes
	be.PutUint64(b[136:], 61)                                // free inodes
	be.PutUint64(b[144:], 14000)                             // free blocks
	be.PutUint32(b[200:], 0x18a)                             // more features of version 4
	sum := crc32.Update(0, crc32.MakeTable(crc32.Castagnoli), b)
	le.PutUint32(b[224:], sum)
	return b
}

// VFAT is a FAT32 filesystem of size bytes, at least 64 MiB, with one sector
// in a cluster (Microsoft's FAT32 File System Specification): its boot sector
// and a root directory with nothing but the label, in capitals.
func VFAT(serial uint32, label string, size int64) []Piece {
	b := make([]byte, 512)
	sectors := uint32(size / SectorSize)
	copy(b, "\xeb\x58\x90mkfs.fat")
	le.PutUint16(b[0x0b:], SectorSize)
	b[0x0d] = 1                // sectors in a cluster
	le.PutUint16(b[0x0e:], 32) // reserved sectors
	b[0x10], b[0x15] = 2, 0xf8 // FATs; medium
	le.PutUint16(b[0x18:], 32) // sectors of a track
	le.PutUint16(b[0x1a:], 8)  // heads
	le.PutUint32(b[0x20:], sectors)
	le.PutUint32(b[0x24:], (sectors*4+SectorSize-1)/SectorSize)
	le.PutUint32(b[0x2c:], 2) // cluster of the root directory
	le.PutUint16(b[0x30:], 1) // sector of the FSInfo
	le.PutUint16(b[0x32:], 6) // copy of the boot sector
	b[0x40], b[0x42] = 0x80, 0x29
	le.PutUint32(b[0x43:], serial)
	copy(b[0x47:0x52], "NO NAME    ")
	if label != "" {
		copy(b[0x47:0x52], (label + "           ")[:11])
	}
	copy(b[0x52:], "FAT32   ")
	b[510], b[511] = 0x55, 0xaa
	fatSectors := int64(le.Uint32(b[0x24:]))
	fat := make([]byte, 12)
	for at, v := range [...]uint32{0x0ffffff8, 0x0fffffff, 0x0fffffff} {
		le.PutUint32(fat[4*at:], v)
	}
	pieces := []Piece{{0, b}, {32 * SectorSize, fat}, {(32 + fatSectors) * SectorSize, fat}}
	if label != "" {
		entry := make([]byte, 32)
		copy(entry, b[0x47:0x52])
		entry[11] = 8 // the volume's label
		pieces = append(pieces, Piece{(32 + 2*fatSectors) * SectorSize, entry})
	}
	return pieces
}

// Swap is the header of a swap area of pages of 4 KiB, its first 8 KiB
// (union swap_header in the kernel's include/linux/swap.h). hibernated says
// that there is an image of a hibernated system in it.
func Swap(uuid string, hibernated bool) []byte {
	b := make([]byte, 8<<10)
	u := UUID(uuid)
	le.PutUint32(b[1024:], 1)     // version
	le.PutUint32(b[1028:], 16383) // the last page
	copy(b[1024+12:], u[:])
	magic := "SWAPSPACE2"
	if hibernated {
		magic = "S1SUSPEND\x00"
	}
	copy(b[4096-10:], magic)
	return b
}

// Btrfs is one device of a btrfs filesystem.
type Btrfs struct {
	UUID, Device string // of the filesystem, and of this device
	Label        string
	Devices      int // of the filesystem
	Number       int // of this device, from 1
	Size         int64
	Seed         bool
	// Spare is how many of several devices the filesystem can do without.
	Spare int
	// SeedUUID is that of the filesystem that this one grew from, whose one device
	// is the first of its devices and has the data.
	SeedUUID string
	// IDs are the UUIDs of all devices, where they matter.
	IDs []string
	// Commits are what was written to this device, the oldest first; nil is one,
	// which is not looked at. Its superblock does not know of the last Behind ones.
	Commits []BtrfsCommit
	Behind  int
}

// BtrfsCommit is a generation of a btrfs filesystem: the root of its trees is in
// a place, from 0, and holds a text.
type BtrfsCommit struct {
	Generation uint64
	Place      int
	Text       string
}

// btrfsSuper is where the first superblock is.
const btrfsSuper = 64 << 10

// Where the chunk tree of a filesystem on several devices is: its address, and its
// place on each of them.
const (
	btrfsTree   = 0x1500000
	btrfsTreeAt = 0x20000
	btrfsNode   = 16384
)

// Pieces are the superblock (the kernel's include/uapi/linux/btrfs_tree.h),
// little-endian, with its CRC-32C, and of a filesystem on several devices the chunk
// tree.
func (f Btrfs) Pieces() []Piece {
	b := make([]byte, 4096)
	fs, dev := UUID(f.UUID), UUID(f.Device)
	copy(b[0x20:], fs[:])
	le.PutUint64(b[0x30:], btrfsSuper)
	le.PutUint64(b[0x38:], 1) // written
	if f.Seed {
		le.PutUint64(b[0x38:], 1|1<<32)
	}
	copy(b[0x40:], "_BHRfS_M")
	le.PutUint64(b[0x48:], 7) // generation
	le.PutUint64(b[0x70:], uint64(f.Size)*uint64(f.Devices))
	le.PutUint64(b[0x78:], 1<<20)
	le.PutUint64(b[0x80:], 6) // object of the root directory
	le.PutUint64(b[0x88:], uint64(f.Devices))
	le.PutUint32(b[0x90:], 4096)  // size of a sector
	le.PutUint32(b[0x94:], 16384) // of a node
	le.PutUint32(b[0x98:], 16384) // of a leaf
	le.PutUint32(b[0x9c:], 4096)  // of a stripe
	item := b[0xc9:]              // this device
	le.PutUint64(item, uint64(f.Number))
	le.PutUint64(item[8:], uint64(f.Size))
	le.PutUint64(item[16:], 1<<20)
	for at := 24; at < 36; at += 4 {
		le.PutUint32(item[at:], 4096)
	}
	copy(item[66:], dev[:])
	copy(item[82:], fs[:])
	copy(b[0x12b:0x22b], f.Label)
	pieces := []Piece{{btrfsSuper, b}}
	if f.Devices > 1 {
		// All have the tree; the data is spread as far as can be done without some.
		system := f.chunk(2|f.copies(f.Devices-1), btrfsTreeAt, f.all())
		if f.SeedUUID != "" {
			system = f.chunk(2, btrfsTreeAt, []int{f.Number})
		}
		le.PutUint64(b[0x58:], btrfsTree)
		le.PutUint64(b[0xa4:], 7)
		key(b[0x32b:], 256, 0xe4, btrfsTree)
		le.PutUint32(b[0xa0:], uint32(17+copy(b[0x32b+17:], system)))
		pieces = append(pieces, Piece{btrfsTreeAt, f.tree(system)})
	}
	for i, c := range f.Commits {
		address := btrfsTree + uint64(1+c.Place)*btrfsNode
		root := f.node(address, c.Generation, 1)
		copy(root[0x65:], c.Text)
		le.PutUint32(root, crc32.Checksum(root[32:], crc32.MakeTable(crc32.Castagnoli)))
		pieces = append(pieces, Piece{btrfsTreeAt + int64(1+c.Place)*btrfsNode, root})
		if i < len(f.Commits)-f.Behind {
			le.PutUint64(b[0x48:], c.Generation)
			le.PutUint64(b[0x50:], address)
			backup := b[0xb2b+168*(c.Generation%4):]
			le.PutUint64(backup, address)
			le.PutUint64(backup[8:], c.Generation)
		}
	}
	le.PutUint32(b, crc32.Checksum(b[32:], crc32.MakeTable(crc32.Castagnoli)))
	return pieces
}

// node is an empty leaf of a tree.
func (f Btrfs) node(address, generation, tree uint64) []byte {
	b := make([]byte, btrfsNode)
	fs := UUID(f.UUID)
	copy(b[0x20:], fs[:])
	le.PutUint64(b[0x30:], address)
	le.PutUint64(b[0x50:], generation)
	le.PutUint64(b[0x58:], tree)
	return b
}

// copies is the kind of a chunk that can do without so many devices: RAID0, or with
// two, three or four copies.
func (f Btrfs) copies(spare int) uint64 {
	return [...]uint64{1 << 3, 1 << 4, 1 << 9, 1 << 10}[min(spare, 3)]
}

// all are the numbers of all devices.
func (f Btrfs) all() []int {
	var list []int
	for i := range f.Devices {
		list = append(list, i+1)
	}
	return list
}

// chunk is what is behind a chunk's key: one on these devices, in the same place.
func (f Btrfs) chunk(kind, at uint64, on []int) []byte {
	b := make([]byte, 48+32*len(on))
	le.PutUint64(b, 8<<20)
	le.PutUint64(b[8:], 2)
	le.PutUint64(b[16:], 64<<10)
	le.PutUint64(b[24:], kind)
	le.PutUint16(b[44:], uint16(len(on)))
	le.PutUint16(b[46:], 1)
	for i, n := range on {
		le.PutUint64(b[48+32*i:], uint64(n))
		le.PutUint64(b[48+32*i+8:], at)
	}
	return b
}

// tree is the chunk tree, of one leaf: the devices, the chunk that it is in, and
// one of data.
func (f Btrfs) tree(system []byte) []byte {
	b := f.node(btrfsTree, 7, 3)
	fs := UUID(f.UUID)
	items, end := 0, len(b)-0x65
	add := func(object uint64, kind byte, offset uint64, data []byte) {
		end -= len(data)
		item := b[0x65+25*items:]
		key(item, object, kind, offset)
		le.PutUint32(item[17:], uint32(end))
		le.PutUint32(item[21:], uint32(len(data)))
		copy(b[0x65+end:], data)
		items++
	}
	for i := range f.Devices {
		d := make([]byte, 98)
		le.PutUint64(d, uint64(i+1))
		if i < len(f.IDs) {
			dev := UUID(f.IDs[i])
			copy(d[66:], dev[:])
		}
		copy(d[82:], fs[:])
		if i == 0 && f.SeedUUID != "" {
			seed := UUID(f.SeedUUID)
			copy(d[82:], seed[:])
		}
		add(1, 0xd8, uint64(i+1), d)
	}
	add(256, 0xe4, btrfsTree, system)
	data := f.chunk(1|f.copies(f.Spare), btrfsTreeAt+8<<20, f.all())
	if f.SeedUUID != "" {
		data = f.chunk(1, btrfsTreeAt+8<<20, []int{1})
	}
	add(256, 0xe4, btrfsTree+8<<20, data)
	le.PutUint32(b[0x60:], uint32(items))
	le.PutUint32(b, crc32.Checksum(b[32:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// key is the key of an item, in 17 bytes.
func key(b []byte, object uint64, kind byte, offset uint64) {
	le.PutUint64(b, object)
	b[8] = kind
	le.PutUint64(b[9:], offset)
}
