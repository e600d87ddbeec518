package parttable

import (
	"bytes"
	"hash/crc32"

	"firstlight/internal/blktext"
)

// The GUID partition table: UEFI specification 2.10, chapter 5.3. The header
// stands in the second and in the last sector of the disk, little-endian:
//
//	 0 "EFI PART"                 8 u32 revision
//	12 u32 size of the header    16 u32 its CRC, taken with this field zero
//	24 u64 sector of this header 32 u64 sector of the other one
//	40 u64 first usable sector   48 u64 last usable sector
//	56 GUID of the disk          72 u64 first sector of the entries
//	80 u32 number of entries     84 u32 size of an entry
//	88 u32 CRC of the entries
//
// An entry:
//
//	 0 GUID of the type          16 GUID of the partition
//	32 u64 first sector          40 u64 last sector
//	48 u64 attributes            56 name, 36 UTF-16 code units
const (
	gptMagic      = "EFI PART"
	gptHeaderSize = 92
	gptEntrySize  = 128
	// maxArray bounds the array of entries in bytes, 32768 entries. The
	// kernel's bound is the same (KMALLOC_MAX_SIZE).
	maxArray = 4 << 20

	mbrProtective = 0xee
)

// gpt reads a GPT, or tells a protective MBR that has lost its GPT.
func (p *parser) gpt() *Table {
	if p.d.Size() < p.sector {
		return nil
	}
	boot := p.d.Bytes(0, 512)
	if boot == nil || boot[510] != 0x55 || boot[511] != 0xaa || !protective(boot) {
		return nil
	}
	last := p.d.Size()/p.sector - 1
	if t := p.gptAt(1, last); t != nil {
		return t
	}
	if p.d.Err() != nil {
		return nil
	}
	if t := p.gptAt(last, last); t != nil {
		t.UsedBackup = true
		return t
	}
	return &Table{Type: Protective}
}

func protective(boot []byte) bool {
	for i := range 4 {
		if boot[mbrTable+16*i+4] == mbrProtective {
			return true
		}
	}
	return false
}

func (p *parser) gptAt(lba, last uint64) *Table {
	h := p.d.Bytes(lba*p.sector, p.sector)
	if h == nil || string(h[:8]) != gptMagic {
		return nil
	}
	size := uint64(le.Uint32(h[12:]))
	if size < gptHeaderSize || size > p.sector {
		return nil
	}
	crc := crc32.ChecksumIEEE(h[:16])
	crc = crc32.Update(crc, crc32.IEEETable, []byte{0, 0, 0, 0})
	crc = crc32.Update(crc, crc32.IEEETable, h[20:size])
	if crc != le.Uint32(h[16:]) || le.Uint64(h[24:]) != lba {
		return nil
	}
	first, end := le.Uint64(h[40:]), le.Uint64(h[48:])
	if end < first || first > last || end > last || first < lba && lba < end {
		return nil
	}
	array := uint64(le.Uint32(h[80:])) * uint64(le.Uint32(h[84:]))
	if array == 0 || array > maxArray || le.Uint32(h[84:]) != gptEntrySize {
		return nil
	}
	start := le.Uint64(h[72:])
	if start > last {
		return nil
	}
	b := p.d.Bytes(start*p.sector, array)
	if b == nil || crc32.ChecksumIEEE(b) != le.Uint32(h[88:]) {
		return nil
	}
	t := &Table{Type: GPT, UUID: guid(h[56:])}
	for i := range int(array / gptEntrySize) {
		e := b[i*gptEntrySize:][:gptEntrySize]
		from, to := le.Uint64(e[32:]), le.Uint64(e[40:])
		// Entries outside the usable area are ignored, as the kernel and
		// libblkid ignore them; the numbers of the others stay.
		if bytes.Count(e[:16], []byte{0}) == 16 || from < first || to > end || to+1 <= from {
			continue
		}
		t.Entries = append(t.Entries, Entry{
			Number: i + 1,
			Start:  int64(from * p.sector),
			Size:   int64((to - from + 1) * p.sector),
			Type:   guid(e), UUID: guid(e[16:]),
			Name:  blktext.TrimRight(blktext.Decode(e[56:128], blktext.UTF16LE)),
			Flags: le.Uint64(e[48:]),
		})
	}
	return t
}

// guid formats a GUID as stored: three little-endian fields, then bytes.
func guid(b []byte) string {
	const hex = "0123456789abcdef"
	var out [36]byte
	n := 0
	for i, at := range [16]int{3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15} {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			out[n] = '-'
			n++
		}
		out[n], out[n+1] = hex[b[at]>>4], hex[b[at]&15]
		n += 2
	}
	return string(out[:])
}
