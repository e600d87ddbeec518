package btrfsfmt

import (
	"encoding/binary"
	"io"
)

// Bits of a chunk's kind, which say how its data is spread over devices
// (BTRFS_BLOCK_GROUP_… of include/uapi/linux/btrfs_tree.h of Linux).
const (
	raid0   = 1 << 3
	raid1   = 1 << 4
	raid10  = 1 << 6
	raid5   = 1 << 7
	raid6   = 1 << 8
	raid1c3 = 1 << 9
	raid1c4 = 1 << 10
)

// Limits of the chunk tree: nodes that are read, and how high it is. A tree
// of the largest node size that describes 2^20 chunks has fewer.
const (
	maxNodes  = 1 << 16
	maxHeight = 8
	maxChunks = 8 << 20 // bytes of chunks that are kept
	maxItems  = 1 << 12 // devices
)

// errTree says that the chunk tree is not known.
type errTree struct{}

func (errTree) Error() string { return "the chunk tree cannot be read from the devices that are there" }

// Lost says whether some of a filesystem is on none of the devices that are
// given, by their numbers: whether one of its chunks lacks more devices than its
// profile can do without. The kernel asks itself that before it lets such a
// filesystem be written to, and mounts it read-only all the same. Where the tree
// itself has to be computed from parity, which only the kernel does, that is left to
// it. An error says that it is not known.
func Lost(devices map[uint64]io.ReaderAt) (bool, error) {
	c := chunks{devices: devices}
	var newest uint64
	for _, r := range devices {
		var b [0x32b + arraySize]byte
		if n, _ := r.ReadAt(b[:], superAt); n < len(b) {
			continue
		}
		if g := binary.LittleEndian.Uint64(b[0x48:]); c.super == nil || g > newest {
			newest, c.super = g, b[:]
		}
	}
	if c.super == nil {
		return false, errTree{}
	}
	c.size = binary.LittleEndian.Uint32(c.super[0x94:])
	if c.size < nodeHead || c.size > nodeMax {
		return false, errTree{}
	}
	err := c.walk(binary.LittleEndian.Uint64(c.super[0x58:]), binary.LittleEndian.Uint64(c.super[0xa4:]), maxHeight)
	if c.parity {
		return c.lost, nil
	}
	return c.lost, err
}

// chunks reads a chunk tree.
type chunks struct {
	devices map[uint64]io.ReaderAt
	super   []byte
	size    uint32
	nodes   int
	all     []byte   // the chunks that were read, each behind its key
	items   [][]byte // UUIDs of the devices that were read of, in 16 bytes
	lost    bool
	parity  bool // some of the tree has to be computed
}

// walk reads a node, which was written in that generation, and what is below it.
// height is that of what led to it: each node is lower, so that no tree leads to
// itself.
func (c *chunks) walk(address, generation uint64, height byte) error {
	le := binary.LittleEndian
	if c.nodes++; c.nodes > maxNodes {
		return errTree{}
	}
	node := c.read(address, generation)
	if node == nil || node[0x64] >= height {
		return errTree{}
	}
	items := uint64(le.Uint32(node[0x60:]))
	if node[0x64] > 0 {
		// A key of 17 bytes, the address, and the generation.
		for b := node[nodeHead:]; items > 0 && len(b) >= 33; items-- {
			if err := c.walk(le.Uint64(b[17:]), le.Uint64(b[25:]), node[0x64]); err != nil {
				return err
			}
			b = b[33:]
		}
	}
	for b := node[nodeHead:]; node[0x64] == 0 && items > 0 && len(b) >= 25; items-- {
		offset, size := nodeHead+uint64(le.Uint32(b[17:])), uint64(le.Uint32(b[21:]))
		if b[8] == 0xd8 && size >= 98 && offset+size <= uint64(len(node)) && len(c.items) < maxItems { // a device
			c.items = append(c.items, node[offset+66:][:16])
		}
		if b[8] == 0xe4 { // a chunk
			if offset+size > uint64(len(node)) || len(c.all) > maxChunks {
				return errTree{}
			}
			rest := c.judge(node[offset:][:size])
			if rest == nil {
				return errTree{}
			}
			c.all = append(append(c.all, b[:17]...), node[offset:][:int(size)-len(rest)]...)
		}
		b = b[25:]
	}
	if items > 0 {
		return errTree{}
	}
	return nil
}

// judge looks at what is behind a chunk's key, and returns what is behind that.
func (c *chunks) judge(b []byte) []byte {
	le := binary.LittleEndian
	if len(b) < 48 {
		return nil
	}
	kind, stripes := le.Uint64(b[24:]), int(le.Uint16(b[44:]))
	if b = b[48:]; len(b) < 32*stripes {
		return nil
	}
	spare := 0
	switch {
	case kind&(raid1|raid10|raid5) != 0:
		spare = 1
	case kind&(raid6|raid1c3) != 0:
		spare = 2
	case kind&raid1c4 != 0:
		spare = 3
	}
	for i := range stripes {
		if c.devices[le.Uint64(b[32*i:])] == nil {
			spare--
		}
	}
	if spare < 0 {
		c.lost = true
	}
	return b[32*stripes:]
}

// read reads a node from where its address is by the chunks that are known, at
// first those of the superblock; nil if it is whole on none of the devices.
func (c *chunks) read(address, generation uint64) (whole []byte) {
	c.each(address, func(node []byte) bool {
		if c.whole(node, address, generation) {
			whole = node
		}
		return whole != nil
	})
	return whole
}

// within calls yield with what is at an address by the chunks in b, each behind its
// key, until it returns true, and says whether no more is to be looked for.
func (c *chunks) within(b []byte, address uint64, yield func(node []byte) bool) bool {
	le := binary.LittleEndian
	for len(b) >= 17+48 {
		start, length, piece, kind := le.Uint64(b[9:]), le.Uint64(b[17:]), le.Uint64(b[17+16:]), le.Uint64(b[17+24:])
		n, halves := uint64(le.Uint16(b[17+44:])), uint64(le.Uint16(b[17+46:]))
		b = b[17+48:]
		if uint64(len(b)) < 32*n || n == 0 {
			return true
		}
		if off := address - start; address >= start && off < length {
			// The stripes from first on, of which there are count, have it at off.
			first, count := uint64(0), n
			switch {
			case kind&(raid5|raid6) != 0:
				c.parity = true
				return true
			case piece == 0:
				return true
			case kind&raid0 != 0:
				halves = 1
				fallthrough
			case kind&raid10 != 0:
				if halves == 0 || n < halves {
					return true
				}
				row, sets := off/piece, n/halves
				first, count, off = row%sets*halves, halves, row/sets*piece+off%piece
			}
			for i := first; i < first+count; i++ {
				r := c.devices[le.Uint64(b[32*i:])]
				if r == nil {
					continue
				}
				node := make([]byte, c.size)
				if got, _ := r.ReadAt(node, int64(le.Uint64(b[32*i+8:])+off)); got == len(node) && yield(node) {
					return true
				}
			}
		}
		b = b[32*n:]
	}
	return false
}

// whole says whether a node is the one that is meant. Of its check sum only
// CRC-32C (0 in the 16 bits at 0xc4 of the superblock) is looked at.
func (c *chunks) whole(node []byte, address, generation uint64) bool {
	le := binary.LittleEndian
	return le.Uint64(node[0x30:]) == address && le.Uint64(node[0x50:]) == generation &&
		(le.Uint16(c.super[0xc4:]) != 0 || sum(node) == le.Uint32(node))
}
