package content

import (
	"hash/crc32"
	"unicode/utf16"
)

// Partition is an entry of a partition table.
type Partition struct {
	Start, Size int64  // bytes, multiples of SectorSize
	Type        string // GUID of the type, or for an MBR two hexadecimal digits
	UUID        string // GPT only
	Name        string // GPT only
	Flags       uint64 // GPT's attributes; for an MBR 0x80 is bootable
}

// Types of GPT partitions.
const (
	LinuxData = "0fc63daf-8483-4772-8e79-3d69d8477de4"
	LinuxSwap = "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f"
	LinuxRAID = "a19d880f-05fc-4d3b-a006-743f0f84911e"
	LinuxLVM  = "e6d6d379-f507-44c2-a23c-238f2a3df928"
	EFISystem = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
)

const (
	gptEntries   = 128
	gptEntrySize = 128
	gptArray     = gptEntries * gptEntrySize / SectorSize // sectors
	page         = 4096
)

// GPTFirst is where the first partition of a GPT may begin, in bytes, and
// GPTLast how many bytes are left at the end of a disk.
const (
	GPTFirst = (2 + gptArray) * SectorSize
	GPTLast  = (1 + gptArray) * SectorSize
)

// GPT is a GUID partition table with its protective MBR and its copy at the
// end of a disk of size bytes (UEFI specification 2.10, chapter 5.3).
func GPT(disk string, size int64, parts []Partition) []Piece {
	return GPTOf(gptEntries, disk, size, parts)
}

// GPTOf is GPT for so many entries, at most the usual 128, as some tools write
// them. The room on the disk is that of 128.
func GPTOf(entries int, disk string, size int64, parts []Partition) []Piece {
	sectors := uint64(size / SectorSize)
	arrayLen := entries * gptEntrySize
	// What is read of it in pages is in one piece.
	whole := func(n int) int { return (n + page - 1) &^ (page - 1) }
	const before = page - GPTLast%page
	head := make([]byte, whole(2*SectorSize+arrayLen))
	mbr, header, array := head[:SectorSize], head[SectorSize:2*SectorSize], head[2*SectorSize:][:arrayLen]
	mbrEntry(mbr[446:], 0, 0xee, 1, min(sectors-1, 1<<32-1))
	mbr[510], mbr[511] = 0x55, 0xaa
	for i, p := range parts {
		e := array[i*gptEntrySize:]
		typ, id := guid(p.Type), guid(p.UUID)
		copy(e, typ[:])
		copy(e[16:], id[:])
		le.PutUint64(e[32:], uint64(p.Start/SectorSize))
		le.PutUint64(e[40:], uint64((p.Start+p.Size)/SectorSize-1))
		le.PutUint64(e[48:], p.Flags)
		for j, c := range utf16.Encode([]rune(p.Name)) {
			if j == 36 {
				break
			}
			le.PutUint16(e[56+2*j:], c)
		}
	}
	sum := crc32.ChecksumIEEE(array)
	id := guid(disk)
	gptHeader(header, 1, sectors-1, 2, sectors, id, sum, entries)
	last := make([]byte, page)
	gptHeader(last[page-SectorSize:], sectors-1, 1, sectors-1-gptArray, sectors, id, sum, entries)
	end := int64(sectors) * SectorSize
	copied := make([]byte, whole(before+arrayLen))
	copy(copied[before:], array)
	at := end - GPTLast - before
	if at+int64(len(copied)) > end-page { // they lie in the same page
		copied = append(copied[:end-page-at], last...)
		copy(copied[before:], array)
		return []Piece{{0, head}, {at, copied}}
	}
	return []Piece{{0, head}, {at, copied}, {end - page, last}}
}

func gptHeader(b []byte, here, other, entries, sectors uint64, disk [16]byte, sum uint32, n int) {
	copy(b, "EFI PART")
	le.PutUint32(b[8:], 0x10000)
	le.PutUint32(b[12:], 92)
	le.PutUint64(b[24:], here)
	le.PutUint64(b[32:], other)
	le.PutUint64(b[40:], 2+gptArray)
	le.PutUint64(b[48:], sectors-2-gptArray)
	copy(b[56:], disk[:])
	le.PutUint64(b[72:], entries)
	le.PutUint32(b[80:], uint32(n))
	le.PutUint32(b[84:], gptEntrySize)
	le.PutUint32(b[88:], sum)
	le.PutUint32(b[16:], crc32.ChecksumIEEE(b[:92]))
}

// MBR is a master boot record. The first three of more than four partitions
// are primary; each of the others is a logical one, described in the sector
// before it, which must be free (the kernel's block/partitions/msdos.c).
func MBR(disk uint32, parts []Partition) []Piece {
	b := make([]byte, SectorSize)
	le.PutUint32(b[440:], disk)
	b[510], b[511] = 0x55, 0xaa
	pieces := []Piece{{0, b}}
	primary := parts
	if len(parts) > 4 {
		primary = parts[:3]
		logical := parts[3:]
		base := logical[0].Start/SectorSize - 1
		last := logical[len(logical)-1]
		mbrEntry(b[446+3*16:], 0, 0x0f, uint64(base), uint64((last.Start+last.Size)/SectorSize-base))
		for i, p := range logical {
			r := make([]byte, SectorSize)
			at := p.Start/SectorSize - 1
			mbrEntry(r[446:], byte(p.Flags), mbrType(p.Type), 1, uint64(p.Size/SectorSize))
			if i+1 < len(logical) {
				n := logical[i+1]
				mbrEntry(r[446+16:], 0, 0x05, uint64(n.Start/SectorSize-1-base), uint64(n.Size/SectorSize+1))
			}
			r[510], r[511] = 0x55, 0xaa
			pieces = append(pieces, Piece{at * SectorSize, r})
		}
	}
	for i, p := range primary {
		mbrEntry(b[446+16*i:], byte(p.Flags), mbrType(p.Type), uint64(p.Start/SectorSize), uint64(p.Size/SectorSize))
	}
	return pieces
}

// mbrType reads two hexadecimal digits; without any it is Linux's own type.
func mbrType(text string) byte {
	var v byte
	for i := range len(text) {
		switch c := text[i]; {
		case c >= '0' && c <= '9':
			v = v<<4 | (c - '0')
		case c >= 'a' && c <= 'f':
			v = v<<4 | (c - 'a' + 10)
		default:
			panic("content: type of an MBR partition: " + text)
		}
	}
	if v == 0 {
		return 0x83
	}
	return v
}

func mbrEntry(e []byte, boot, kind byte, start, size uint64) {
	e[0], e[4] = boot, kind
	// Addresses beyond what cylinders and heads can say.
	copy(e[1:], "\xfe\xff\xff")
	copy(e[5:], "\xfe\xff\xff")
	le.PutUint32(e[8:], uint32(start))
	le.PutUint32(e[12:], uint32(size))
}
