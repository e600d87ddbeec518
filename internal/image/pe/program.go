package pe

import (
	"encoding/binary"
	"fmt"
)

// Machine is the architecture of a program, the field Machine of the COFF file
// header.
type Machine uint16

// The machines that systemd-stub exists for.
const (
	I386        Machine = 0x14c
	ARM         Machine = 0x1c2
	AMD64       Machine = 0x8664
	ARM64       Machine = 0xaa64
	RISCV64     Machine = 0x5064
	LoongArch64 Machine = 0x6264
)

// String is the machine as the names of EFI programs have it: "x64", "aa64".
func (m Machine) String() string {
	switch m {
	case I386:
		return "ia32"
	case ARM:
		return "arm"
	case AMD64:
		return "x64"
	case ARM64:
		return "aa64"
	case RISCV64:
		return "riscv64"
	case LoongArch64:
		return "loongarch64"
	}
	return fmt.Sprintf("machine %#04x", uint16(m))
}

// Where the fields are that are read or written, in bytes from the start of the
// header that they are part of.
const (
	CoffSymbols     = 8  // COFF file header: offset of the symbols in the file
	CoffSymbolCount = 12 // their number
	OptInitialized  = 8  // optional header: size of initialised data
	OptSizeOfImage  = 56
	OptSizeOfHeader = 60
	OptChecksum     = 64
	OptDLL          = 70 // DllCharacteristics
)

// NXCompat is the flag of DllCharacteristics that says that the program does not
// mind memory that is either written or executed.
const NXCompat = 0x100

const (
	magicPE32, magicPE32Plus = 0x10b, 0x20b
	securityDirectory        = 4 // the data directory of the certificate table
	maxSections              = 96
)

// Header is a section header as it is in a file.
type Header struct {
	Name                  string // without the NULs behind it
	VirtualSize, Virtual  uint32 // in memory: bytes, and where from the image's base
	RawSize, Raw          uint32 // in the file: bytes, a multiple of the alignment, and where
	Flags                 uint32
	relocs, lines, counts uint32
}

// Program is an EFI program: a PE image with an optional header and a table of
// data directories.
type Program struct {
	Machine          Machine
	Flags            uint16 // Characteristics of the COFF file header
	DLLFlags         uint16 // DllCharacteristics
	Subsystem        uint16
	SectionAlignment uint32
	FileAlignment    uint32
	SizeOfImage      uint32
	SizeOfHeaders    uint32
	Symbols          uint32 // where the table of symbols is in the file; 0 is none
	SymbolCount      uint32
	Headers          []Header

	// Coff, Optional and Table are where the COFF file header (behind the
	// signature), the optional header and the section headers are in the file.
	Coff, Optional, Table int
	// Security is where the entry of the certificate table is in the file.
	Security int
	// Certificates is that entry: offset in the file and size in bytes of the
	// signatures; 0 is none.
	Certificates, CertificateBytes uint32
}

// Parse reads the headers of a program. Every section with content, and the
// certificate table, is within the file.
func Parse(b []byte) (*Program, error) {
	if !Is(b) {
		return nil, fmt.Errorf("no MS-DOS header: %w", ErrFormat)
	}
	le := binary.LittleEndian
	size := int64(len(b))
	at := int64(le.Uint32(b[peOffset:]))
	if at > size-fileHeader || string(b[at:at+4]) != "PE\x00\x00" {
		return nil, fmt.Errorf("no PE header at byte %d: %w", at, ErrFormat)
	}
	p := &Program{Coff: int(at) + 4, Optional: int(at) + fileHeader}
	coff := b[p.Coff:]
	p.Machine, p.Flags = Machine(le.Uint16(coff)), le.Uint16(coff[18:])
	p.Symbols, p.SymbolCount = le.Uint32(coff[CoffSymbols:]), le.Uint32(coff[CoffSymbolCount:])
	count, optional := int64(le.Uint16(coff[2:])), int64(le.Uint16(coff[16:]))
	p.Table = p.Optional + int(optional)
	if int64(p.Table)+count*sectHeader > size || count > maxSections {
		return nil, fmt.Errorf("%d section headers at byte %d of %d: %w", count, p.Table, size, ErrFormat)
	}
	if err := p.optional(b[p.Optional:p.Table]); err != nil {
		return nil, err
	}
	if int64(p.Table)+count*sectHeader > int64(p.SizeOfHeaders) || int64(p.SizeOfHeaders) > size {
		return nil, fmt.Errorf("headers of %d bytes with %d section headers at byte %d of %d: %w", p.SizeOfHeaders, count, p.Table, size, ErrFormat)
	}
	if end := int64(p.Certificates) + int64(p.CertificateBytes); p.CertificateBytes > 0 && (p.Certificates < p.SizeOfHeaders || end > size) {
		return nil, fmt.Errorf("certificates at bytes %d to %d of %d: %w", p.Certificates, end, size, ErrFormat)
	}
	for i := range count {
		h := parseHeader(b[int64(p.Table)+i*sectHeader:])
		if end := int64(h.Raw) + int64(h.RawSize); h.RawSize > 0 && (end > size || h.Raw < p.SizeOfHeaders) {
			return nil, fmt.Errorf("section %q at bytes %d to %d of %d: %w", h.Name, h.Raw, end, size, ErrFormat)
		}
		p.Headers = append(p.Headers, h)
	}
	return p, nil
}

// optional reads the optional header, of PE32 or PE32+, which differ in the
// widths of some fields behind those that are read by fixed places.
func (p *Program) optional(b []byte) error {
	le := binary.LittleEndian
	if len(b) < 2 {
		return fmt.Errorf("no optional header: %w", ErrFormat)
	}
	directories := 96
	switch magic := le.Uint16(b); magic {
	case magicPE32:
	case magicPE32Plus:
		directories = 112
	default:
		return fmt.Errorf("an optional header of the kind %#x: %w", magic, ErrFormat)
	}
	entry := directories + 8*securityDirectory
	if len(b) < entry+8 || le.Uint32(b[directories-4:]) <= securityDirectory {
		return fmt.Errorf("an optional header of %d bytes has no place for certificates: %w", len(b), ErrFormat)
	}
	p.SectionAlignment, p.FileAlignment = le.Uint32(b[32:]), le.Uint32(b[36:])
	p.SizeOfImage, p.SizeOfHeaders = le.Uint32(b[OptSizeOfImage:]), le.Uint32(b[OptSizeOfHeader:])
	p.Subsystem, p.DLLFlags = le.Uint16(b[68:]), le.Uint16(b[OptDLL:])
	p.Security = p.Optional + entry
	p.Certificates, p.CertificateBytes = le.Uint32(b[entry:]), le.Uint32(b[entry+4:])
	for _, a := range []struct{ is, most uint32 }{{p.SectionAlignment, 1 << 24}, {p.FileAlignment, 1 << 16}} {
		if a.is == 0 || a.is&(a.is-1) != 0 || a.is > a.most {
			return fmt.Errorf("an alignment of %d bytes: %w", a.is, ErrFormat)
		}
	}
	return nil
}

func parseHeader(b []byte) Header {
	le := binary.LittleEndian
	name := b[:8]
	for i, c := range name {
		if c == 0 {
			name = name[:i]
			break
		}
	}
	return Header{Name: string(name), VirtualSize: le.Uint32(b[8:]), Virtual: le.Uint32(b[12:]), RawSize: le.Uint32(b[16:]), Raw: le.Uint32(b[20:]),
		relocs: le.Uint32(b[24:]), lines: le.Uint32(b[28:]), counts: le.Uint32(b[32:]), Flags: le.Uint32(b[36:])}
}

// AppendTo appends the header as it is in a file.
func (h Header) AppendTo(b []byte) []byte {
	var name [8]byte
	copy(name[:], h.Name)
	b = append(b, name[:]...)
	for _, v := range []uint32{h.VirtualSize, h.Virtual, h.RawSize, h.Raw, h.relocs, h.lines, h.counts, h.Flags} {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return b
}

// Content is what a section holds in the file, without the padding behind it.
func (h Header) Content(b []byte) []byte {
	size := h.RawSize
	if h.VirtualSize != 0 {
		size = min(size, h.VirtualSize)
	}
	if size == 0 {
		return nil
	}
	return b[h.Raw : h.Raw+size]
}
