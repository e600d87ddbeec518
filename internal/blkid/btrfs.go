package blkid

// The btrfs superblock, 64 KiB into the device, little-endian (the kernel's
// include/uapi/linux/btrfs_tree.h):
//
//	0x20 UUID of the filesystem   0x40 "_BHRfS_M"   0x90 u32 sector size
//	0x10b UUID of this device     0x12b label, 256 bytes
//
// Filesystems on zoned devices, whose superblock moves, are not looked for:
// it takes ioctls to find it.
const btrfsSuper = 64 << 10

var btrfsMagics = []magic{{base: btrfsSuper, off: 0x40, bytes: "_BHRfS_M"}}

func probeBtrfs(p *probe, _ *magic) bool {
	b := p.bytes(btrfsSuper, 0x12b+256)
	if b == nil {
		return false
	}
	p.label(b[0x12b:])
	p.uuid(b[0x20:])
	p.uuidAs("UUID_SUB", b[0x10b:])
	p.blockSize(le.Uint32(b[0x90:]))
	return true
}
