// Package uki makes unified kernel images (UAPI.5) and their addons: EFI programs
// that hold a kernel, an initramfs, a command line and more in sections behind
// systemd-stub, which starts the kernel with them. It also takes them apart.
//
// Pure: bytes in, bytes out. It signs nothing; what firmware verifies is made by
// package sign, what a TPM measures by package measure. The same parts give the
// same image, and the one that ukify (systemd 257) makes.
package uki

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"firstlight/internal/image/pe"
)

// ErrInvalid is wrapped by errors in what an image is to be made of.
var ErrInvalid = errors.New("no unified kernel image can be made of it")

// Section is a section that is added to a stub.
type Section struct {
	Name string // at most eight letters, the first of which is a point
	Data []byte
}

const (
	sectionHeader = 40 // bytes

	// The flags of section headers (PE/COFF, Characteristics).
	flagCode, flagInitialized, flagRead = 0x20, 0x40, 0x40000000
)

// file is a program that grows.
type file struct {
	b []byte
	*pe.Program
}

// Join adds sections to a stub. One that the stub has already takes the place of
// the stub's content; only .sbat is meant to be.
func Join(stub []byte, sections []Section) ([]byte, error) {
	p, err := pe.Parse(stub)
	if err != nil {
		return nil, fmt.Errorf("the stub: %w", err)
	}
	if p.CertificateBytes > 0 {
		return nil, fmt.Errorf("the stub is signed, which would not hold for an image with it: %w", ErrInvalid)
	}
	if len(p.Headers) == 0 {
		return nil, fmt.Errorf("the stub has no sections: %w", ErrInvalid)
	}
	room := len(stub) + 1<<16
	for _, s := range sections {
		room += len(s.Data) + int(p.FileAlignment)
	}
	if room > math.MaxUint32 {
		return nil, fmt.Errorf("an image of more than 4 GiB: %w", ErrInvalid)
	}
	f := &file{append(make([]byte, 0, room), stub...), p}
	f.stripSymbols()
	f.align()
	if err := f.headroom(sections); err != nil {
		return nil, err
	}
	stubs := len(f.Headers)
	for _, s := range sections {
		if err := f.add(s, stubs); err != nil {
			return nil, err
		}
	}
	last := f.Headers[len(f.Headers)-1]
	f.put(f.Optional+pe.OptSizeOfImage, up(last.Virtual+last.VirtualSize, f.SectionAlignment))
	f.put(f.Optional+pe.OptChecksum, 0)
	binary.LittleEndian.PutUint16(f.b[f.Coff+2:], uint16(len(f.Headers)))
	at := f.Table
	for _, h := range f.Headers {
		copy(f.b[at:], h.AppendTo(nil))
		at += sectionHeader
	}
	return f.b, nil
}

func up(v, to uint32) uint32 { return (v + to - 1) &^ (to - 1) }

func (f *file) put(at int, v uint32) { binary.LittleEndian.PutUint32(f.b[at:], v) }

// stripSymbols takes a table of symbols off the end, which a program has no use
// for and old stubs have.
func (f *file) stripSymbols() {
	end := int64(f.Symbols) + 18*int64(f.SymbolCount)
	if f.Symbols == 0 || end > int64(len(f.b)) {
		return
	}
	if end+4 <= int64(len(f.b)) {
		end += int64(binary.LittleEndian.Uint32(f.b[end:])) // the names, with their length in front
	}
	for _, h := range f.Headers {
		if h.RawSize > 0 && h.Raw+h.RawSize > f.Symbols {
			return // it is part of a section
		}
	}
	if end == int64(len(f.b)) && f.Symbols >= f.SizeOfHeaders {
		f.b = f.b[:f.Symbols]
		f.put(f.Coff+pe.CoffSymbols, 0)
		f.put(f.Coff+pe.CoffSymbolCount, 0)
	}
}

// insert puts zeros into the file, before byte at; sections from there on move.
func (f *file) insert(at, n uint32) {
	if n == 0 {
		return
	}
	f.b = append(f.b, make([]byte, n)...)
	copy(f.b[at+n:], f.b[at:])
	clear(f.b[at : at+n])
	for i := range f.Headers {
		if h := &f.Headers[i]; h.RawSize > 0 && h.Raw >= at {
			h.Raw += n
		}
	}
	if f.Symbols >= at {
		f.Symbols += n
		f.put(f.Coff+pe.CoffSymbols, f.Symbols)
	}
}

// align puts the contents of the stub's sections to multiples of the alignment,
// where a tool that stripped the stub has not kept it, and the headers too.
func (f *file) align() {
	for i := range f.Headers {
		h := &f.Headers[i]
		if h.RawSize == 0 {
			continue
		}
		f.insert(h.Raw, up(h.Raw, f.FileAlignment)-h.Raw)
		if n := up(h.RawSize, f.FileAlignment) - h.RawSize; n > 0 {
			f.insert(h.Raw+h.RawSize, n)
			h.RawSize += n
		}
	}
	f.SizeOfHeaders = up(f.SizeOfHeaders, f.FileAlignment)
	f.put(f.Optional+pe.OptSizeOfHeader, f.SizeOfHeaders)
}

// headroom makes sure that the headers of the sections have a place. Where the
// stub's are full they grow into the gap that memory has behind them.
func (f *file) headroom(sections []Section) error {
	n := len(f.Headers)
	for _, s := range sections {
		if s.Name == ".dtbauto" || !f.has(s.Name, len(f.Headers)) {
			n++
		}
	}
	used, end := f.Table+len(f.Headers)*sectionHeader, f.Table+n*sectionHeader
	first := uint32(math.MaxUint32) // where memory's first section begins
	for _, h := range f.Headers {
		first = min(first, h.Virtual)
	}
	if more := up(uint32(end), f.FileAlignment); more > f.SizeOfHeaders {
		if more > first {
			return fmt.Errorf("the stub's headers have no room for %d sections: %w", n, ErrInvalid)
		}
		f.insert(f.SizeOfHeaders, more-f.SizeOfHeaders)
		f.SizeOfHeaders = more
		f.put(f.Optional+pe.OptSizeOfHeader, more)
	}
	if len(bytes.Trim(f.b[used:end], "\x00")) > 0 {
		return fmt.Errorf("the stub has something else where the headers of %d sections would be: %w", n, ErrInvalid)
	}
	return nil
}

// has says whether the first n sections have one of a name.
func (f *file) has(name string, n int) bool {
	for _, h := range f.Headers[:n] {
		if h.Name == name {
			return true
		}
	}
	return false
}

// add adds a section, or replaces the content of one of the first n, the stub's.
func (f *file) add(s Section, n int) error {
	if len(s.Name) > 8 || s.Name == "" {
		return fmt.Errorf("section %q: a name has one to eight letters: %w", s.Name, ErrInvalid)
	}
	if s.Name != ".dtbauto" {
		for i := range f.Headers[:n] {
			if f.Headers[i].Name == s.Name {
				return f.replace(i, s.Data)
			}
		}
	}
	if s.Name == ".linux" {
		f.sameMemory(s.Data)
	}
	last := f.Headers[len(f.Headers)-1]
	if end := uint64(last.Virtual) + uint64(last.VirtualSize) + uint64(f.SectionAlignment) + uint64(len(s.Data)) + uint64(f.SectionAlignment); end > math.MaxUint32 {
		return fmt.Errorf("section %s does not fit in 4 GiB of memory: %w", s.Name, ErrInvalid)
	}
	size := uint32(len(s.Data))
	h := pe.Header{Name: s.Name, VirtualSize: size, RawSize: up(size, f.FileAlignment), Raw: up(uint32(len(f.b)), f.FileAlignment),
		Virtual: up(last.Virtual+last.VirtualSize, f.SectionAlignment), Flags: flagRead | flagInitialized}
	if s.Name == ".linux" { // kernels before EFI's own loading of them are run where they are
		h.Flags = flagRead | flagCode
	}
	f.b = append(f.b, make([]byte, h.Raw-uint32(len(f.b)))...)
	f.b = append(append(f.b, s.Data...), make([]byte, h.RawSize-size)...)
	f.Headers = append(f.Headers, h)
	at := f.Optional + pe.OptInitialized
	f.put(at, binary.LittleEndian.Uint32(f.b[at:])+size)
	return nil
}

// replace gives a section of the stub other content.
func (f *file) replace(i int, data []byte) error {
	h := &f.Headers[i]
	size := uint32(len(data))
	if more := up(size, f.FileAlignment); more > h.RawSize {
		for j, other := range f.Headers {
			if j != i && other.Virtual >= h.Virtual && uint64(other.Virtual) < uint64(h.Virtual)+uint64(more) {
				return fmt.Errorf("section %s of the stub has %d bytes of memory, and %d are needed: %w", h.Name, other.Virtual-h.Virtual, size, ErrInvalid)
			}
		}
		at := h.Raw + h.RawSize
		f.insert(at, more-h.RawSize)
		h.RawSize = more
	}
	copy(f.b[h.Raw:], data)
	clear(f.b[h.Raw+size : h.Raw+h.RawSize])
	h.VirtualSize = size
	return nil
}

// sameMemory takes the promise off the stub that it keeps to memory that is
// either written or executed, if its kernel does not make it: firmware that
// insists on it would start the one and not the other.
func (f *file) sameMemory(kernel []byte) {
	p, err := pe.Parse(kernel)
	if err != nil || p.DLLFlags&pe.NXCompat != 0 {
		return
	}
	f.DLLFlags &^= pe.NXCompat
	binary.LittleEndian.PutUint16(f.b[f.Optional+pe.OptDLL:], f.DLLFlags)
}
