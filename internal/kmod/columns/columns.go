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

// words is how many words of eight bytes a record has; each is eight columns.
const words = record / 8

// table is a section of records.
type table struct {
	at, size int
	// grows are the bits of each word, little endian, of which the difference to
	// those of the record before is kept in their place: all, none or the lowest.
	grows [words]uint64
}

const whole, low, none = ^uint64(0), 1<<32 - 1, 0

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
		t := table{at: int(at), size: int(size), grows: relocation}
		if kind == sectionSymbols {
			t.grows = symbol
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

var (
	// Elf64_Rela: offset, info, addend.
	relocation = [words]uint64{whole, none, whole}
	// Elf64_Sym: name with info, other and section above it, value, size.
	symbol = [words]uint64{low, none, none}
)

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
		for w, grows := range t.grows {
			var last uint64
			for i := range n {
				v := binary.LittleEndian.Uint64(from[i*record+8*w:])
				d := v&^grows | (v-last)&grows
				last = v
				for k := range 8 {
					to[(8*w+k)*n+i] = byte(d >> (8 * k))
				}
			}
		}
	}
	return out, true
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
	columns := make([]byte, largest+7) // the last eight of a column may lie partly behind it
	for _, t := range list {
		n, to := t.size/record, b[t.at:t.at+t.size]
		copy(columns, to)
		for w, grows := range t.grows {
			var last uint64
			var block [8]uint64
			for i := 0; i < n; i += len(block) {
				for k := range block {
					block[k] = binary.LittleEndian.Uint64(columns[(8*w+k)*n+i:])
				}
				turn(&block)
				for k := 0; k < len(block) && i+k < n; k++ {
					v := block[k]
					v = v&^grows | (v+last)&grows
					last = v
					binary.LittleEndian.PutUint64(to[(i+k)*record+8*w:], v)
				}
			}
		}
	}
	copy(b, elfMagic)
	return nil
}

// turn makes columns of eight words' bytes: byte k of word i and byte i of word k
// change places, in halves, quarters and bytes (Hacker's Delight, 7-3).
func turn(w *[8]uint64) {
	for k := range 4 {
		t := (w[k]>>32 ^ w[k+4]) & 0x00000000ffffffff
		w[k], w[k+4] = w[k]^t<<32, w[k+4]^t
	}
	for q := range 4 {
		k := q + q&2
		t := (w[k]>>16 ^ w[k+2]) & 0x0000ffff0000ffff
		w[k], w[k+2] = w[k]^t<<16, w[k+2]^t
	}
	for k := 0; k < 8; k += 2 {
		t := (w[k]>>8 ^ w[k+1]) & 0x00ff00ff00ff00ff
		w[k], w[k+1] = w[k]^t<<8, w[k+1]^t
	}
}
