package parttable

// Tables in a primary partition of an MBR, numbered after the logical
// partitions (the kernel's block/partitions/msdos.c), little-endian, in sectors
// of 512 bytes.

// nested reads the tables in the primary partitions.
func (p *parser) nested(t *Table, next int) {
	if p.d.Size() <= 1440<<10 {
		return
	}
	primary := t.Entries
	for i := range primary {
		parent := &primary[i]
		if parent.Number > 4 {
			return
		}
		first := len(t.Entries)
		scheme := ""
		switch parent.Type {
		case "0xa5":
			scheme = p.bsd(t, parent, "freebsd")
		case "0xa6":
			scheme = p.bsd(t, parent, "openbsd")
		case "0xa9":
			scheme = p.bsd(t, parent, "netbsd")
		case "0x63":
			scheme = p.unixware(t, parent)
		case "0x82", "0xbf": // the first is swap too
			scheme = p.solaris(t, parent)
		case "0x81":
			scheme = p.minix(t, parent)
		}
		for j := first; j < len(t.Entries); j++ {
			t.Entries[j].Number, t.Entries[j].Scheme = next, scheme
			next++
		}
	}
}

// inside adds a partition if it lies in its parent.
func (t *Table) inside(parent *Entry, start, size uint64, kind, flags uint32) {
	if from, n := start<<9, size<<9; from < uint64(parent.Start) || from+n > uint64(parent.Start+parent.Size) || len(t.Entries) >= maxEntries {
		return
	}
	t.part(0, start, size, hex(kind)).Flags = uint64(flags)
}

// at returns n bytes at an offset in a partition.
func (p *parser) at(parent *Entry, off, n uint64) []byte {
	if parent.Start < 0 || parent.Size < 0 || off+n > uint64(parent.Size) {
		return nil
	}
	return p.d.Bytes(uint64(parent.Start)+off, n)
}

// A BSD disk label stands in the second sector, or 64 or 128 bytes into the
// first: 0 0x82564557, 138 u16 count, 148 partitions: u32 size, u32 start,
// 12 u8 type. FreeBSD counts from the start of the MBR's partition when its
// third one, which is all of it, does.
const (
	bsdMagic = 0x82564557
	bsdMost  = 16
	bsdLabel = 148 + 16*bsdMost
)

func (p *parser) bsd(t *Table, parent *Entry, scheme string) string {
	for _, off := range [...]uint64{512, 64, 128} {
		b := p.at(parent, off, bsdLabel)
		if b == nil || le.Uint32(b) != bsdMagic {
			continue
		}
		base := uint32(0)
		count := min(int(le.Uint16(b[138:])), bsdMost)
		if scheme == "freebsd" && count >= 3 && le.Uint32(b[148+2*16+4:]) == 0 {
			base = uint32(parent.Start >> 9)
		}
		for i := range count {
			e := b[148+16*i:]
			size, start := uint64(le.Uint32(e)), uint64(le.Uint32(e[4:])+base)
			if e[12] != 0 && (int64(start<<9) != parent.Start || int64(size<<9) != parent.Size) {
				t.inside(parent, start, size, uint32(e[12]), 0)
			}
		}
		return scheme
	}
	return ""
}

// bsdDisk is a BSD label (or OSF/1's, which is one) on a whole disk.
func bsdDisk(p *parser, t *Table, _ []byte) bool {
	for _, off := range [...]uint64{512, 64, 128} {
		b := p.d.Bytes(off, bsdLabel)
		if b == nil || le.Uint32(b) != bsdMagic {
			continue
		}
		number := 0
		for i := range min(int(le.Uint16(b[138:])), bsdMost) {
			if e := b[148+16*i:]; e[12] != 0 {
				number++
				t.part(number, uint64(le.Uint32(e[4:])), uint64(le.Uint32(e)), hex(uint32(e[12])))
			}
		}
		return true
	}
	return false
}

// Solaris: in the second sector, 12 0x600ddeee, 16 u32 version 1, 30 u16 count,
// 72 slices: u16 tag, u16 flags, u32 start in the partition, u32 size.
func (p *parser) solaris(t *Table, parent *Entry) string {
	const (
		most      = 16
		wholeDisk = 5
	)
	b := p.at(parent, 512, 72+12*most)
	if b == nil || le.Uint32(b[12:]) != 0x600ddeee || le.Uint32(b[16:]) != 1 {
		return ""
	}
	for i := range min(int(le.Uint16(b[30:])), most) {
		e := b[72+12*i:]
		if size, tag := le.Uint32(e[8:]), le.Uint16(e); size != 0 && tag != wholeDisk {
			t.inside(parent, uint64(le.Uint32(e[4:])+uint32(parent.Start>>9)), uint64(size), uint32(tag), uint32(le.Uint16(e[2:])))
		}
	}
	return "solaris"
}

// UnixWare: in sector 29, 4 0xca5e600d, 156 0x600ddeee, 216 sixteen slices, the
// first of which is all of it: u16 tag, u16 flags (0x200: valid), u32 start on
// the disk, u32 size.
func (p *parser) unixware(t *Table, parent *Entry) string {
	const (
		wholeDisk = 5
		valid     = 0x200
	)
	b := p.at(parent, 29*512, 216+12*16)
	if b == nil || le.Uint32(b[4:]) != 0xca5e600d || le.Uint32(b[156:]) != 0x600ddeee {
		return ""
	}
	for i := 1; i < 16; i++ {
		e := b[216+12*i:]
		if tag := le.Uint16(e); tag != 0 && tag != wholeDisk && le.Uint16(e[2:]) == valid {
			t.inside(parent, uint64(le.Uint32(e[4:])), uint64(le.Uint32(e[8:])), uint32(tag), valid)
		}
	}
	return "unixware"
}

// Minix: a table like an MBR's, of which the entries of its own type count.
func (p *parser) minix(t *Table, parent *Entry) string {
	const kind = 0x81
	b := p.at(parent, 0, 512)
	if b == nil || b[510] != 0x55 || b[511] != 0xaa {
		return ""
	}
	for _, e := range mbrEntries(b) {
		if e.kind == kind {
			t.inside(parent, e.start, e.size, kind, uint32(e.boot))
		}
	}
	return "minix"
}
