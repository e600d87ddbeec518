package btrfsfmt

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"slices"
)

// History is what the devices of one filesystem know of it together.
type History struct {
	Current []int // devices that have all that was written
	Stale   []int // those that the filesystem was used without since
	Former  []int // those of the stale that are none of its devices any more
	// Apart are the devices by what they hold, where it is not one filesystem
	// any more: each was written to without the others. Nothing is current then.
	Apart       [][]int
	Generations []uint64 // of each device, by its superblock
}

// Limits of what is read to compare two states of a filesystem: nodes of trees
// whose superblocks agree, and of those that do not.
const (
	fewNodes  = 32
	manyNodes = 1 << 10
)

// Where things are in a superblock besides those of Read: the generation, 64 bits;
// the address of the root of the root tree, 64 bits; the address and the
// generation of the roots that it had, 64 bits each, four times, in 168 bytes each.
const (
	generationAt = 0x48
	rootAt       = 0x50
	numberAt     = 0xc9
	backupsAt    = 0x32b + arraySize
	backupSize   = 168
	superSize    = backupsAt + 4*backupSize
	labelAt      = 0x12b // 256 bytes
)

// errSuper says that a device has no superblock.
type errSuper struct{}

func (errSuper) Error() string { return "a superblock cannot be read" }

// Weigh compares the devices of one filesystem, in any order. The kernel mounts
// what the newest superblock says and finds out of each block that it reads whether
// it is older, but of files without check sums it cannot. A crash between the
// writing of two superblocks leaves them one generation apart, after all that
// belongs to the newer one was written to each device, and with nothing amiss.
func Weigh(devices []io.ReaderAt) (History, error) {
	h := History{Generations: make([]uint64, len(devices))}
	supers := make([][]byte, len(devices))
	le := binary.LittleEndian
	newest := 0
	for i, r := range devices {
		b := make([]byte, superSize)
		if n, err := r.ReadAt(b, superAt); n < len(b) {
			if err != nil {
				return h, err
			}
			return h, errSuper{}
		}
		supers[i], h.Generations[i] = b, le.Uint64(b[generationAt:])
		if h.Generations[i] > h.Generations[newest] {
			newest = i
		}
	}
	first := state{devices[newest], supers[newest]}
	all := map[uint64]io.ReaderAt{}
	for i, r := range devices {
		if n := (state{r, supers[i]}).number(numberAt); all[n] == nil || i == newest {
			all[n] = r
		}
	}
	apart := false
	sides := [][]int{{newest}}
	for i, r := range devices {
		other := state{r, supers[i]}
		side := slices.IndexFunc(sides, func(s []int) bool {
			return h.Generations[s[0]] == h.Generations[i] && state{devices[s[0]], supers[s[0]]}.agrees(other)
		})
		switch {
		case i == newest:
			h.Current = append(h.Current, i)
			continue
		case side == 0 || first.inStep(other, all):
			h.Current = append(h.Current, i)
			side = 0
		case h.Generations[i] == h.Generations[newest] || other.wentOn(first) || first.contradicts(other):
			apart = true
		default:
			h.Stale = append(h.Stale, i)
			if !first.has(other) {
				h.Former = append(h.Former, i)
			}
			continue
		}
		if side < 0 {
			side, sides = len(sides), append(sides, nil)
		}
		sides[side] = append(sides[side], i)
	}
	if apart {
		h.Current, h.Stale, h.Former, h.Apart = nil, nil, nil, sides
	}
	return h, nil
}

// state is a filesystem as one of its devices has it.
type state struct {
	r     io.ReaderAt
	super []byte
}

func (s state) number(at int) uint64 { return binary.LittleEndian.Uint64(s.super[at:]) }

// has says whether another device is one of the filesystem, or may be.
func (s state) has(o state) bool {
	own := s.trees(0, nil)
	return own == nil || slices.ContainsFunc(own.items, func(id []byte) bool { return string(id) == string(o.super[numberAt+66:][:16]) })
}

// agrees says whether two devices of one generation hold the same filesystem. What
// differs after a crash, the log's root, does not count. The label is in the
// superblock alone.
func (s state) agrees(o state) bool {
	if string(s.super[labelAt:][:256]) != string(o.super[labelAt:][:256]) {
		return false
	}
	if s.number(rootAt) != o.number(rootAt) || s.number(0x58) != o.number(0x58) || s.number(0x78) != o.number(0x78) {
		return false
	}
	own := s.trees(fewNodes, nil)
	generation := s.number(generationAt)
	return own == nil || !own.compare(o, generation, generation, func(mine, yours uint64) bool { return mine == yours })
}

// inStep says whether a device has what belongs to a superblock one generation newer
// than its own. Where that cannot be looked at, or the root of it is not on that device,
// nothing speaks against it.
func (s state) inStep(o state, all map[uint64]io.ReaderAt) bool {
	address, generation := s.number(rootAt), s.number(generationAt)
	if o.number(generationAt)+1 != generation {
		return false
	}
	own := s.trees(0, all)
	if own == nil {
		return true
	}
	copies := own.copies(o, address)
	return len(copies) == 0 || slices.ContainsFunc(copies, func(n []byte) bool { return own.whole(n, address, generation) })
}

// wentOn says whether a device holds what another one with a newer superblock never
// had: a block of its own trees, at whose place the other has another one that
// is not from later.
func (s state) wentOn(newer state) bool {
	last := s.number(generationAt)
	for b := newer.super[backupsAt:superSize]; len(b) > 0; b = b[backupSize:] {
		le := binary.LittleEndian
		if le.Uint64(b[8:]) == last && last != 0 && le.Uint64(b) != s.number(rootAt) {
			return true
		}
	}
	own := s.trees(manyNodes, nil)
	return own != nil && own.compare(newer, last, 0, func(_, theirs uint64) bool { return theirs <= last })
}

// contradicts says whether the newer of two devices uses a block that was written
// before the older one was last, and at whose place that one has another that is
// not from before.
func (s state) contradicts(older state) bool {
	last := older.number(generationAt)
	own := s.trees(manyNodes, nil)
	return own != nil && own.compare(older, last, 0, func(mine, theirs uint64) bool { return mine <= last && theirs >= mine && theirs <= last })
}

// trees reads the chunk tree, from this device alone where no others are given; nil
// if it cannot be read. So many nodes may be read of other trees.
func (s state) trees(nodes int, devices map[uint64]io.ReaderAt) *chunks {
	if devices == nil {
		devices = map[uint64]io.ReaderAt{s.number(numberAt): s.r}
	}
	c := &chunks{devices: devices, super: s.super, size: binary.LittleEndian.Uint32(s.super[0x94:])}
	if c.size < nodeHead || c.size > nodeMax || c.walk(s.number(0x58), s.number(0xa4), maxHeight) != nil {
		return nil
	}
	c.nodes = nodes
	return c
}

// copies are the nodes that another device has at an address of this filesystem,
// whatever they hold.
func (c *chunks) copies(o state, address uint64) [][]byte {
	there := chunks{devices: map[uint64]io.ReaderAt{o.number(numberAt): o.r}, super: c.super, size: c.size, all: c.all}
	var list [][]byte
	there.each(address, func(node []byte) bool {
		list = append(list, node)
		return false
	})
	return list
}

// compare walks the trees and says whether another device has, at the place of one
// of their nodes, a node of the same address that is another one, of generations
// for which differs holds. What both have from before last is the same below too;
// nodes from before since are not looked at.
func (c *chunks) compare(o state, last, since uint64, differs func(mine, theirs uint64) bool) bool {
	le := binary.LittleEndian
	type place struct{ address, generation uint64 }
	todo := []place{{le.Uint64(c.super[rootAt:]), le.Uint64(c.super[generationAt:])}}
	seen := map[uint64]bool{}
	for len(todo) > 0 && c.nodes > 0 {
		p := todo[0]
		todo = todo[1:]
		if seen[p.address] || p.generation < since {
			continue
		}
		seen[p.address] = true
		c.nodes--
		node := c.read(p.address, p.generation)
		if node == nil {
			continue
		}
		same := false
		for _, n := range c.copies(o, p.address) {
			theirs := le.Uint64(n[0x50:])
			if !c.whole(n, p.address, theirs) {
				continue
			}
			if slices.Equal(n[:0x20], node[:0x20]) {
				same = true
			} else if differs(p.generation, theirs) {
				return true
			}
		}
		if same && p.generation <= last && len(seen) > 1 {
			continue
		}
		for address, generation := range below(node) {
			todo = append(todo, place{address, generation})
		}
	}
	return false
}

// below calls yield with the address and the generation of each node that a node
// leads to: those of a node above the leaves, and the roots in a leaf of the root
// tree (kind 0x84: the generation at 160, the address at 176 of the item's data).
func below(node []byte) func(yield func(address, generation uint64) bool) {
	le := binary.LittleEndian
	return func(yield func(address, generation uint64) bool) {
		items := le.Uint32(node[0x60:])
		b := node[nodeHead:]
		if node[0x64] > 0 {
			for ; items > 0 && len(b) >= 33; items-- {
				if !yield(le.Uint64(b[17:]), le.Uint64(b[25:])) {
					return
				}
				b = b[33:]
			}
			return
		}
		if le.Uint64(node[0x58:]) != 1 { // not the root tree
			return
		}
		for ; items > 0 && len(b) >= 25; items-- {
			offset := nodeHead + uint64(le.Uint32(b[17:]))
			if b[8] == 0x84 && offset+184 <= uint64(len(node)) {
				if !yield(le.Uint64(node[offset+176:]), le.Uint64(node[offset+160:])) {
					return
				}
			}
			b = b[25:]
		}
	}
}

// each calls yield with what is on each device at an address of the filesystem, by
// the chunks that are known, until it returns true.
func (c *chunks) each(address uint64, yield func(node []byte) bool) {
	le := binary.LittleEndian
	for _, b := range [...][]byte{c.super[0x32b:][:min(le.Uint32(c.super[0xa0:]), arraySize)], c.all} {
		if c.within(b, address, yield) {
			return
		}
	}
}

// sum is the check sum of a node, CRC-32C of all behind its field.
func sum(node []byte) uint32 { return crc32.Checksum(node[32:], crc32.MakeTable(crc32.Castagnoli)) }
