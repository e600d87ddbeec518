package parttable

import (
	"encoding/binary"
	"strconv"

	"firstlight/internal/blktext"
)

// The labels of other systems' whole disks that the kernel of Debian reads
// (block/partitions/ in its source; CONFIG_*_PARTITION), in sectors of 512
// bytes. Not read here, because nothing boots Linux from them and a parser
// would have no tool to be compared with: Acorn's (ICS, RISCiX) and the logical
// disk manager of Windows, whose disks show as the MBR that they carry.

var be = binary.BigEndian

// label is a label's parser. It gets the first sector.
type label struct {
	name  string
	probe func(p *parser, t *Table, b []byte) bool
	// quiet ones are read, but blkid says nothing of them.
	quiet bool
}

// before come before an MBR, after it the others.
var (
	before = [...]label{{name: "aix", probe: aix}, {name: "sgi", probe: sgi}, {name: "sun", probe: sun}}
	after  = [...]label{{name: "mac", probe: mac}, {name: "ultrix", probe: ultrix}, {name: "bsd", probe: bsdDisk, quiet: true},
		{name: "atari", probe: atari}, {name: "amiga", probe: amiga, quiet: true}, {name: "karma", probe: karma, quiet: true}}
)

// labels tries some labels. Quiet ones are left out when only the type is asked
// for.
func (p *parser) labels(some []label) *Table {
	// libblkid looks for what marks a label in pieces of 1 KiB.
	b := p.d.Bytes(0, 1024)
	if b == nil {
		return nil
	}
	for _, l := range some {
		if l.quiet && p.typeOnly {
			continue
		}
		t := &Table{Type: l.name}
		if l.probe(p, t, b[:512]) {
			return t
		}
	}
	return nil
}

// part adds a partition, in sectors of 512 bytes. One without any, or beyond
// what any disk can have, is left out.
func (t *Table) part(number int, start, size uint64, kind string) *Entry {
	if size == 0 || start > 1<<52 || size > 1<<52 {
		return &Entry{}
	}
	t.Entries = append(t.Entries, Entry{Number: number, Start: int64(start << 9), Size: int64(size << 9), Type: kind})
	return &t.Entries[len(t.Entries)-1]
}

func hex(n uint32) string { return "0x" + strconv.FormatUint(uint64(n), 16) }

// AIX: the magic alone is known; the kernel of Debian does not read it either.
func aix(_ *parser, _ *Table, b []byte) bool { return string(b[:4]) == aixMagic }

// SGI, big-endian: 0 0x0be5a941, 312 sixteen partitions: u32 size, u32 start,
// u32 type. All words together give zero.
func sgi(_ *parser, t *Table, b []byte) bool {
	if be.Uint32(b) != 0x0be5a941 {
		return false
	}
	sum := uint32(0)
	for i := 0; i < 512; i += 4 {
		sum += be.Uint32(b[i:])
	}
	for i := range 16 {
		e := b[312+12*i:]
		if size := be.Uint32(e); size != 0 {
			t.part(i+1, uint64(be.Uint32(e[4:])), uint64(size), hex(be.Uint32(e[8:])))
		}
	}
	return sum == 0
}

// Sun, big-endian: 128 the table of contents (u32 version, 12: u16 count, 14
// eight times u16 tag, u16 flags, 60: u32 sanity), 436 u16 tracks of a
// cylinder, 438 u16 sectors of a track, 444 eight partitions: u32 first
// cylinder, u32 sectors; 508 0xdabe. All halves together (xor) give zero.
func sun(_ *parser, t *Table, b []byte) bool {
	const wholeDisk = 5
	if be.Uint16(b[508:]) != 0xdabe {
		return false
	}
	sum := uint16(0)
	for i := 0; i < 512; i += 2 {
		sum ^= be.Uint16(b[i:])
	}
	toc := b[128:]
	version, count, sanity := be.Uint32(toc), int(be.Uint16(toc[12:])), be.Uint32(toc[60:])
	valid := sanity == 0x600ddeee && version == 1 && count <= 8
	if !valid {
		valid = sanity == 0 && version == 0 && count == 0
		count = 8
	}
	cylinder := uint64(be.Uint16(b[436:])) * uint64(be.Uint16(b[438:]))
	for i := range count {
		tag, flags := uint16(0), uint16(0)
		if valid {
			tag, flags = be.Uint16(toc[14+4*i:]), be.Uint16(toc[16+4*i:])
		}
		e := b[444+8*i:]
		if size := be.Uint32(e[4:]); size != 0 && tag != wholeDisk {
			t.part(i+1, uint64(be.Uint32(e))*cylinder, uint64(size), hex(uint32(tag))).Flags = uint64(flags)
		}
	}
	return sum == 0
}

// Apple, big-endian: the first block says "ER" and 2 u16 block size; from the
// second on each block is a partition: 0 "PM" (or "TS"), 4 u32 count of them,
// 8 u32 start, 12 u32 size, 16 name, 32 bytes, 48 type, 32 bytes.
func mac(p *parser, t *Table, b []byte) bool {
	const (
		entry = 136
		most  = 256
	)
	size := uint64(be.Uint16(b[2:]))
	if string(b[:2]) != "ER" || size < entry {
		return false
	}
	for i, count := uint64(1), uint64(1); i <= count; i++ {
		e := p.d.Bytes(i*size, size)
		if e == nil || string(e[:2]) != "PM" && string(e[:2]) != "TS" {
			// One that is cut short is none.
			return false
		}
		if i == 1 {
			if count = min(uint64(be.Uint32(e[4:])), most); p.typeOnly || count == 0 {
				return true
			}
		}
		n := t.part(int(i), uint64(uint32(uint64(be.Uint32(e[8:]))*(size/512))),
			uint64(uint32(uint64(be.Uint32(e[12:]))*(size/512))), blktext.CString(e[48:80]))
		n.Name = blktext.TrimRight(blktext.CString(e[16:48]))
	}
	return true
}

// Ultrix, little-endian, in the last 72 bytes of the first 16 KiB: u32
// 0x032957, u32 1, eight times u32 size, u32 start.
func ultrix(p *parser, t *Table, _ []byte) bool {
	b := p.d.Bytes(16<<10-72, 72)
	if b == nil || le.Uint32(b) != 0x032957 || le.Uint32(b[4:]) != 1 {
		return false
	}
	for i := range 8 {
		if size := le.Uint32(b[8+8*i:]); size != 0 {
			t.part(i+1, uint64(le.Uint32(b[12+8*i:])), uint64(size), "0x0")
		}
	}
	return true
}

// Atari, big-endian: 0x156 eight partitions of an ICD controller, 0x1c2 u32
// sectors of the disk, 0x1c6 four partitions, 0x1f6 u32 start and u32 length
// of the list of bad sectors. A partition: u8 flags (1: in use), an identifier
// of three letters or digits, u32 start, u32 size. "XGM" leads to a chain of
// such sectors, one more partition in each.
func atari(p *parser, t *Table, b []byte) bool {
	const (
		icd, primary = 0x156, 0x1c6
		maxChain     = 100
	)
	total := be.Uint32(b[0x1c2:])
	if p.sector != 512 || total < 2 || uint64(total) > p.d.Size()/512 || p.d.Size()/512 > 1<<31-1 {
		return false
	}
	fits := func(e []byte) bool {
		start, size := be.Uint32(e), be.Uint32(e[4:])
		end := start + size // wraps, as in libblkid
		return end >= start && start != 0 && start <= total && size != 0 && size <= total && end != 0 && end <= total
	}
	if bad := b[0x1f6:]; be.Uint64(bad) != 0 && !fits(bad) {
		return false
	}
	valid := false
	for e := b[primary : primary+48]; len(e) > 0; e = e[12:] {
		valid = valid || e[0]&1 != 0 && alnum(e[1]) && alnum(e[2]) && alnum(e[3]) && fits(e[4:])
	}
	if !valid || p.typeOnly {
		return valid
	}
	add := func(number int, e []byte, offset uint32) bool {
		start := uint64(be.Uint32(e[4:]) + offset)
		if t.At(int64(start<<9)) != nil {
			return false
		}
		t.part(number, start, uint64(be.Uint32(e[8:])), blktext.TrimRight(blktext.CString(e[1:4])))
		return true
	}
	next, chained := 1, false
	for e := b[primary : primary+48]; len(e) > 0; e = e[12:] {
		switch {
		case e[0]&1 == 0:
			next++
		case string(e[1:4]) != "XGM":
			add(next, e, 0)
			next++
		default:
			chained = true
			first := be.Uint32(e[4:])
			for at, i := first, 0; i < maxChain; i++ {
				x := p.d.Bytes(uint64(at)*512, 512)
				if x == nil {
					break
				}
				x = x[primary : primary+48]
				for len(x) > 12 && x[0]&1 == 0 {
					x = x[12:]
				}
				if len(x) <= 12 || string(x[1:4]) == "XGM" {
					break
				}
				fresh := add(next, x, at)
				if fresh || at == 0 { // the count is libblkid's
					next++
				}
				if !fresh {
					break
				}
				if x = x[12:]; x[0]&1 == 0 || string(x[1:4]) != "XGM" {
					break
				}
				at = first + be.Uint32(x[4:])
			}
		}
	}
	if chained || !atariCommon(b[icd+1:]) {
		return true
	}
	for e := b[icd : icd+96]; len(e) > 0; e = e[12:] {
		if e[0]&1 != 0 && atariCommon(e[1:]) {
			add(next, e, 0)
		}
		next++
	}
	return true
}

func atariCommon(id []byte) bool {
	switch string(id[:3]) {
	case "GEM", "BGM", "LNX", "SWP", "RAW":
		return true
	}
	return false
}

// alnum is isalnum of Latin-1, whose letters are in the upper half too, but
// for the two signs of arithmetic.
func alnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= 0xc0 && c != 0xd7 && c != 0xf7
}

// Amiga, big-endian, a block in the first 16 sectors: "RDSK", u32 words that
// add up to zero, 16 u32 block size, 28 u32 block of the first partition. One
// of those: "PART", 16 u32 block of the next, 140 u32 heads, 148 u32 sectors
// of a track, 164 u32 first and 168 u32 last cylinder.
func amiga(p *parser, t *Table, _ []byte) bool {
	const (
		reserved = 16
		most     = 256
		end      = 0xffffffff
	)
	for i := range uint64(reserved) {
		b := p.d.Bytes(i*512, 512)
		if b == nil {
			return false
		}
		if string(b[:4]) != "RDSK" || !amigaSum(b) {
			continue
		}
		scale := uint64(be.Uint32(b[16:]) / 512)
		for next, n := be.Uint32(b[28:]), 1; next != end && next != 0 && n <= most; n++ {
			e := p.d.Bytes(uint64(next)*scale*512, 512)
			if e == nil || string(e[:4]) != "PART" || !amigaSum(e) {
				break
			}
			low, high := uint64(be.Uint32(e[164:])), uint64(be.Uint32(e[168:]))
			cylinder := uint64(be.Uint32(e[140:])) * uint64(be.Uint32(e[148:])) * scale
			if next = be.Uint32(e[16:]); high >= low && cylinder != 0 && cylinder < 1<<20 {
				t.part(n, low*cylinder, (high-low+1)*cylinder, "0x0")
			}
		}
		return true
	}
	return false
}

func amigaSum(b []byte) bool {
	n := int(min(be.Uint32(b[4:]), 128))
	sum := uint32(0)
	for i := range n {
		sum += be.Uint32(b[4*i:])
	}
	return sum == 0
}

// Karma (the Rio player), little-endian: 270 two partitions: 4 u8 type (0x4d:
// in use), 8 u32 start, 12 u32 size; 510 0xab56.
func karma(_ *parser, t *Table, b []byte) bool {
	if le.Uint16(b[510:]) != 0xab56 {
		return false
	}
	for i := range 2 {
		e := b[270+16*i:]
		if size := le.Uint32(e[12:]); e[4] == 0x4d && size != 0 {
			t.part(i+1, uint64(le.Uint32(e[8:])), uint64(size), "0x4d")
		}
	}
	return true
}
