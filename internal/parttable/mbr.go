package parttable

import (
	"bytes"

	"firstlight/internal/bootsector"
	"firstlight/internal/fmt"
)

// The master boot record, the first sector of a disk:
//
//	440 u32 disk identifier      446 four entries of 16 bytes
//	510 55 aa
//
// and an entry, little-endian:
//
//	0 u8 boot indicator (0x80)   1 CHS of the first sector
//	4 u8 type                    5 CHS of the last sector
//	8 u32 first sector          12 u32 number of sectors
//
// An extended partition starts a chain of extended boot records of the same
// form: the first entries describe data, counted from that record; one
// entry of an extended type leads to the next record, counted from the start
// of the extended partition. Described in the kernel's
// block/partitions/msdos.c.
const (
	mbrTable = 446
	// maxEmptyLinks bounds the records in a row that bring no new
	// partition. A chain that loops brings none.
	maxEmptyLinks = 100

	aixMagic = "\xc9\xc2\xd4\xc1"
)

type mbrEntry struct {
	boot, kind  byte
	start, size uint64 // sectors of the disk's own size
}

func mbrEntries(sector []byte) (e [4]mbrEntry) {
	for i := range e {
		b := sector[mbrTable+16*i:]
		e[i] = mbrEntry{b[0], b[4], uint64(le.Uint32(b[8:])), uint64(le.Uint32(b[12:]))}
	}
	return e
}

func (e *mbrEntry) extended() bool { return e.kind == 0x05 || e.kind == 0x0f || e.kind == 0x85 }

// mbr reads an MBR. It returns nil for a protective MBR and for boot sectors
// of filesystems.
func (p *parser) mbr() *Table {
	b := p.d.Bytes(0, 1024)
	if b == nil || b[510] != 0x55 || b[511] != 0xaa || bytes.HasPrefix(b, []byte(aixMagic)) {
		return nil
	}
	entries := mbrEntries(b)
	for _, e := range entries {
		if e.boot != 0 && e.boot != 0x80 || e.kind == mbrProtective {
			return nil
		}
	}
	if bootsector.FindFAT(p.d) != nil || bootsector.FindNTFS(p.d) != nil {
		return nil
	}
	t := &Table{Type: MBR}
	if id := le.Uint32(b[440:]); id != 0 {
		t.UUID = fmt.Sprintf("%08x", id)
	}
	for i, e := range entries {
		if e.size != 0 {
			p.add(t, i+1, e)
		}
	}
	if !p.typeOnly {
		next := 5
		for _, e := range entries {
			if e.size != 0 && e.extended() {
				next = p.logical(t, next, e)
			}
		}
		p.nested(t, next)
	}
	return t
}

func (p *parser) add(t *Table, number int, e mbrEntry) {
	entry := Entry{
		Number: number,
		Start:  int64(e.start * p.sector), Size: int64(e.size * p.sector),
		Type:  fmt.Sprintf("%#x", e.kind),
		Flags: uint64(e.boot),
	}
	if e.kind == 0 {
		entry.Type = "0x0"
	}
	if t.UUID != "" {
		entry.UUID = fmt.Sprintf("%s-%02x", t.UUID, number)
	}
	t.Entries = append(t.Entries, entry)
}

// logical follows the chain of one extended partition and returns the next
// free number.
func (p *parser) logical(t *Table, next int, ext mbrEntry) int {
	if ext.start == 0 {
		return next
	}
	at, area := ext.start, ext.size
	for empty := 0; empty < maxEmptyLinks; empty++ {
		b := p.d.Bytes(at*p.sector, 512)
		if b == nil || b[510] != 0x55 || b[511] != 0xaa {
			return next
		}
		entries := mbrEntries(b)
		for i, e := range entries {
			if e.size == 0 || e.extended() {
				continue
			}
			e.start += at
			// OS/2 fills all four entries; elsewhere the last two are
			// often rubbish, so they must at least fit.
			if i >= 2 && (e.start-at+e.size > area || e.start < ext.start || e.start+e.size > ext.start+ext.size) {
				continue
			}
			if t.At(int64(e.start*p.sector)) != nil {
				continue
			}
			if len(t.Entries) >= maxEntries {
				return next
			}
			p.add(t, next, e)
			next++
			empty = 0
		}
		link := -1
		for i, e := range entries {
			if e.size != 0 && e.extended() && e.start != 0 {
				link = i
				break
			}
		}
		if link < 0 {
			return next
		}
		at, area = ext.start+entries[link].start, entries[link].size
	}
	return next
}
