// Package btrfsfmt reads what a btrfs superblock says of the devices of its
// filesystem (include/uapi/linux/btrfs_tree.h of Linux). It is pure.
package btrfsfmt

import (
	"encoding/binary"
	"encoding/hex"
	"io"
	"slices"
)

// Shape is what a superblock says of its filesystem.
type Shape struct {
	Devices uint64   // how many it has; 0 if there is no superblock
	Number  uint64   // which of them this one is
	Seed    bool     // other filesystems may have grown from this one
	Seeds   []string // UUIDs of the filesystems that it grew from
}

// Where things are in the superblock, 64 KiB into the device, and in the nodes
// of trees (include/uapi/linux/btrfs_tree.h). All numbers are little-endian.
const (
	superAt   = 64 << 10
	arraySize = 2048 // bytes for chunks in the superblock, at its offset 0x32b
	nodeHead  = 0x65
	nodeMax   = 64 << 10
)

// Read reads the superblock: the flags are at 0x38, bit 32 of which marks a seed,
// the number of devices is at 0x88, and that of this device at 0xc9, each 64 bits.
// Where the filesystem has several devices it reads a node of the chunk tree too.
func Read(r io.ReaderAt) Shape {
	var b [0x32b + arraySize]byte
	if n, _ := r.ReadAt(b[:], superAt); n < 0xd1 {
		return Shape{}
	}
	le := binary.LittleEndian
	s := Shape{Devices: le.Uint64(b[0x88:]), Number: le.Uint64(b[0xc9:]), Seed: le.Uint64(b[0x38:])>>32&1 == 1}
	if s.Devices > 1 {
		s.Seeds = seeds(r, b[:])
	}
	return s
}

// seeds returns the filesystems that the one of this superblock grew from:
// those of its devices that are not its own. The devices are the first items of
// the chunk tree, whose root's address is at 0x58; the size of a node, 32 bits,
// is at 0x94. What cannot be read, or makes no sense, are no seeds: the worst that
// comes of it is that a mount waits, or is tried in vain.
func seeds(r io.ReaderAt, super []byte) []string {
	le := binary.LittleEndian
	size := le.Uint32(super[0x94:])
	if size < nodeHead || size > nodeMax {
		return nil
	}
	node := make([]byte, size)
	address := le.Uint64(super[0x58:])
	for range 8 { // no tree is higher
		at, ok := place(super, address)
		if !ok {
			return nil
		}
		if n, _ := r.ReadAt(node, at); n < len(node) || le.Uint64(node[0x30:]) != address {
			return nil
		}
		if node[0x64] == 0 {
			return others(node, string(super[0x20:0x30]))
		}
		address = le.Uint64(node[nodeHead+17:]) // behind the key of the first pointer
	}
	return nil
}

// others returns the filesystems of the devices in a leaf of the chunk tree,
// but for one. There are as many items as the 32 bits at 0x60 say, of 25 bytes: a
// key of 17, of which the first 64 bits are 1 and the next 8 are 0xd8 for a device,
// then offset and size of its data. The filesystem is in the last 16 of 98 bytes.
func others(leaf []byte, own string) []string {
	le := binary.LittleEndian
	var list []string
	b := leaf[nodeHead:]
	for n := le.Uint32(leaf[0x60:]); n > 0 && len(b) >= 25 && le.Uint64(b) == 1; n-- {
		offset, size := uint64(le.Uint32(b[17:])), le.Uint32(b[21:])
		if b[8] == 0xd8 && size >= 98 && nodeHead+offset+98 <= uint64(len(leaf)) {
			if id := leaf[nodeHead+offset+82:][:16]; string(id) != own && !slices.Contains(list, UUIDText(id)) {
				list = append(list, UUIDText(id))
			}
		}
		b = b[25:]
	}
	return list
}

// place returns where on this device an address of the chunk tree is, by the
// chunks in the superblock: as many bytes as the 32 bits at 0xa0 say. Each has a
// key of 17 bytes, whose last 64 bits are its address, and 48 bytes, with its
// length first, its kind in the 64 bits at 24, and the number of stripes in the 16
// at 44. A stripe is a device's number, an offset in it, 64 bits each, and 16 bytes.
func place(super []byte, address uint64) (int64, bool) {
	const split = 1<<3 | 1<<6 | 1<<7 | 1<<8 // RAID0, 10, 5, 6: not whole on any device
	le := binary.LittleEndian
	own := le.Uint64(super[0xc9:])
	b := super[0x32b:][:min(le.Uint32(super[0xa0:]), arraySize)]
	for len(b) >= 17+48 {
		start, length, kind, stripes := le.Uint64(b[9:]), le.Uint64(b[17:]), le.Uint64(b[17+24:]), le.Uint16(b[17+44:])
		b = b[17+48:]
		for ; stripes > 0 && len(b) >= 32; stripes-- {
			if le.Uint64(b) == own && address >= start && address-start < length && kind&split == 0 {
				at := int64(le.Uint64(b[8:]) + address - start)
				return at, at >= 0
			}
			b = b[32:]
		}
		if stripes > 0 {
			break // cut off
		}
	}
	return 0, false
}

// UUIDText is a UUID, 16 bytes, as blkid writes it.
func UUIDText(b []byte) string {
	h := hex.EncodeToString(b)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
