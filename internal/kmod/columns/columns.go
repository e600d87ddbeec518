// Package columns rearranges a kernel module so that it compresses better, and
// back.
//
// More than a third of a module are tables of records of 24 bytes each:
// relocations and symbols, which differ little from one to the next. Laid out by
// columns (all first bytes, then all second ones), with differences in place of
// what grows from record to record, they take a third of the room once
// compressed, and take less time to compress. Nothing else of the module moves
// and its size stays, so that the section headers at its end say how to undo it.
// The magic number differs, so that a kernel refuses a module in this form.
//
// Pure: bytes in, bytes out. What Restore returns is the module as it was, so
// that its signature holds.
package columns

import (
	"encoding/binary"
	"errors"
)

// Magic stands in a rearranged module where an ELF file has "\x7fELF".
const Magic = "\x7fFLC"

const elfMagic = "\x7fELF\x02\x01\x01" // 64 bits, little endian, version 1

// Sizes and offsets of ELF-64 (System V ABI, chapter 4), in bytes.
const (
	headerSize  = 64
	sectionSize = 64
	record      = 24 // of a relocation with addend, and of a symbol

	// maxSections bounds the work for a crafted file; modules have about 60, and
	// some hundreds if each function has a section.
	maxSections = 8192

	typeRelocatable = 1 // e_type
	sectionSymbols  = 2 // sh_type
	sectionRela     = 4
)

// ErrForm is returned for what is not a module in this form, or a damaged one.
var ErrForm = errors.New("not a module laid out by columns")

// Is says whether b begins as a rearranged module.
func Is(b []byte) bool { return len(b) >= len(Magic) && string(b[:len(Magic)]) == Magic }

// table is a section of records.
type table struct {
	at, size int
	fields   []field
}

// field is a part of a record: its width in bytes, and whether the difference to
// that of the record before is kept in its place.
type field struct {
	width int
	grows bool
}

// tables finds the sections that are rearranged. They overlap neither each other
// nor the headers; what does is passed over, by Arrange and Restore alike.
func tables(b []byte) ([]table, bool) {
	if len(b) < headerSize || string(b[len(Magic):len(elfMagic)]) != elfMagic[len(Magic):] {
		return nil, false
	}
	le := binary.LittleEndian
	start, n := le.Uint64(b[0x28:]), uint64(le.Uint16(b[0x3c:]))
	if le.Uint16(b[0x10:]) != typeRelocatable || le.Uint16(b[0x3a:]) != sectionSize || n > maxSections || start > uint64(len(b)) || n*sectionSize > uint64(len(b))-start {
		return nil, false
	}
	var list []table
	for i := range n {
		h := b[start+i*sectionSize:]
		kind, at, size := le.Uint32(h[4:]), le.Uint64(h[24:]), le.Uint64(h[32:])
		if kind != sectionRela && kind != sectionSymbols || le.Uint64(h[56:]) != record || size == 0 || size%record != 0 ||
			at < headerSize || at > uint64(len(b)) || size > uint64(len(b))-at || at < start+n*sectionSize && at+size > start {
			continue
		}
		t := table{at: int(at), size: int(size), fields: relocation}
		if kind == sectionSymbols {
			t.fields = symbol
		}
		list = append(list, t)
	}
	// In the order of their places, in which a linker leaves them as a rule.
	for i := range list {
		for k := i; k > 0 && list[k].at < list[k-1].at; k-- {
			list[k], list[k-1] = list[k-1], list[k]
		}
	}
	out := list[:0]
	for _, t := range list {
		if len(out) == 0 || t.at >= out[len(out)-1].at+out[len(out)-1].size {
			out = append(out, t)
		}
	}
	return out, true
}

// Elf64_Rela: offset, type and symbol (the halves of info), addend.
var relocation = []field{{8, true}, {4, false}, {4, false}, {8, true}}

// Elf64_Sym: name, info, other, section, value, size.
var symbol = []field{{4, true}, {1, false}, {1, false}, {2, false}, {8, false}, {8, false}}

// Arrange returns a module laid out by columns, or false for what is none, or
// of another kind: it stays as it is.
func Arrange(module []byte) ([]byte, bool) {
	if len(module) < headerSize || string(module[:len(Magic)]) != elfMagic[:len(Magic)] {
		return nil, false
	}
	list, ok := tables(module)
	if !ok || len(list) == 0 {
		return nil, false
	}
	out := append([]byte(nil), module...)
	copy(out, Magic)
	for _, t := range list {
		n, from, to := t.size/record, module[t.at:t.at+t.size], out[t.at:t.at+t.size]
		column := 0
		for _, f := range t.fields {
			var last uint64
			for i := range n {
				v := get(from[i*record+column:], f.width)
				d := v
				if f.grows {
					d, last = v-last, v
				}
				for k := range f.width {
					to[(column+k)*n+i] = byte(d >> (8 * k))
				}
			}
			column += f.width
		}
	}
	return out, true
}

func get(b []byte, width int) uint64 {
	var v uint64
	for k := range width {
		v |= uint64(b[k]) << (8 * k)
	}
	return v
}

// Restore makes b, which Arrange returned, the module that it was, in its place.
func Restore(b []byte) error {
	if !Is(b) {
		return ErrForm
	}
	list, ok := tables(b)
	if !ok || len(list) == 0 {
		return ErrForm
	}
	largest := 0
	for _, t := range list {
		largest = max(largest, t.size)
	}
	columns := make([]byte, largest)
	for _, t := range list {
		n, to := t.size/record, b[t.at:t.at+t.size]
		from := columns[:copy(columns, to)]
		column := 0
		for _, f := range t.fields {
			var last uint64
			for i := range n {
				var v uint64
				for k := range f.width {
					v |= uint64(from[(column+k)*n+i]) << (8 * k)
				}
				if f.grows {
					v += last
					last = v
				}
				for k := range f.width {
					to[i*record+column+k] = byte(v >> (8 * k))
				}
			}
			column += f.width
		}
	}
	copy(b, elfMagic)
	return nil
}
