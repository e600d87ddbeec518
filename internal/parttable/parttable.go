// Package parttable reads partition tables: GPT, MBR, and the labels of other
// systems that the kernel reads.
//
// It looks at bytes through an io.ReaderAt and says what libblkid and the
// kernel say of them; it writes nothing, and every loop over what a disk
// claims has a bound of its own. A sector with a boot record's mark that
// really is a FAT or NTFS filesystem is not a table.
package parttable

import (
	"encoding/binary"
	"errors"
	"io"

	"firstlight/internal/blkread"
	"firstlight/internal/fmt"
)

var le = binary.LittleEndian

// ErrNone is returned for a device without a partition table that this
// package knows.
var ErrNone = errors.New("no partition table")

// The values of Table.Type, in libblkid's words, that mean something to others;
// the labels of other systems have their own (labels.go).
const (
	GPT = "gpt"
	// MBR is a DOS partition table.
	MBR = "dos"
	// Protective is a protective MBR whose GPT is damaged beyond use, both
	// copies of it. Such a table has no entries.
	Protective = "PMBR"
)

// maxEntries bounds the logical partitions of an MBR: the kernel's
// DISK_MAX_PARTS.
const maxEntries = 256

// Table is a partition table.
type Table struct {
	Type string // GPT, MBR, Protective, "sun" …
	// UUID is the GPT's disk GUID in lower case, or the MBR's 32-bit disk
	// identifier as eight hexadecimal digits; "" when that is zero or for
	// a protective MBR.
	UUID    string
	Entries []Entry // in the table's order; logical partitions follow the primary ones
	// UsedBackup says that the primary GPT is damaged and that the copy at
	// the end of the disk was used.
	UsedBackup bool
}

// Entry is one partition.
type Entry struct {
	Number int   // as the kernel counts: 1 …; logical partitions from 5
	Start  int64 // bytes from the start of the disk
	Size   int64 // bytes
	// Type is a GUID in lower case or, on MBR, the type byte as "0x83"; on
	// other labels a number like that, or a text.
	Type string
	// Scheme is the kind of a table within a partition of an MBR that this
	// partition is in ("freebsd", "solaris" …); "" is the table itself.
	Scheme string
	// UUID is the partition's GUID in lower case or, on MBR,
	// "xxxxxxxx-NN": disk identifier and number, both hexadecimal. It is ""
	// on an MBR without a disk identifier.
	UUID  string
	Name  string // GPT (and Apple's): UTF-8, without trailing blanks
	Flags uint64 // GPT attribute bits, or the MBR's boot indicator (0x80)
}

// Extended says whether the entry is an MBR's container of logical
// partitions.
func (e *Entry) Extended() bool {
	return e.Type == "0x5" || e.Type == "0xf" || e.Type == "0x85"
}

// At returns the entry that starts at the given byte of the disk, or nil.
func (t *Table) At(start int64) *Entry {
	for i := range t.Entries {
		if t.Entries[i].Start == start {
			return &t.Entries[i]
		}
	}
	return nil
}

// Read reads the partition table of a disk of size bytes with logical
// sectors of sectorSize bytes (512 … 65536, a power of two; 0 counts as
// 512). It returns ErrNone when there is none, an error that names the place
// when the disk cannot be read. r may be a *blkread.Reader.
func Read(r io.ReaderAt, size int64, sectorSize int) (*Table, error) {
	return read(r, size, sectorSize, false)
}

// Identify is Read without following an MBR's chain of logical partitions and
// the like: enough for the table's type and identifier, and fewer reads. A
// label that libblkid reads and does not name is not found.
func Identify(r io.ReaderAt, size int64, sectorSize int) (*Table, error) {
	return read(r, size, sectorSize, true)
}

func read(r io.ReaderAt, size int64, sectorSize int, typeOnly bool) (*Table, error) {
	if sectorSize == 0 {
		sectorSize = 512
	}
	if sectorSize < 512 || sectorSize > 64<<10 || sectorSize&(sectorSize-1) != 0 {
		return nil, fmt.Errorf("partition table: sector size %d is not a power of two from 512 to 65536", sectorSize)
	}
	p := &parser{d: blkread.Sparse(r, size), sector: uint64(sectorSize), typeOnly: typeOnly}
	if r != io.ReaderAt(p.d) {
		defer p.d.Release()
	}
	t := p.labels(before[:])
	if t == nil {
		t = p.mbr()
	}
	if t == nil {
		t = p.gpt()
	}
	if t == nil {
		t = p.labels(after[:])
	}
	if err := p.d.Err(); err != nil {
		return nil, fmt.Errorf("partition table: %w", err)
	}
	if t == nil {
		return nil, ErrNone
	}
	return t, nil
}

type parser struct {
	d      *blkread.Reader
	sector uint64 // bytes
	// typeOnly is set when nobody wants to know the partitions.
	typeOnly bool
}
