package convert

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"

	"firstlight/internal/vconsole"
)

// The two forms of a console font (psf(5) of kbd's documentation).
const (
	psf1Magic = 0x0436
	psf2Magic = 0x864ab572

	psf1Has512, psf1HasTable, psf1HasSeq = 1, 2, 4
	psf2HasTable                         = 1
	psf1Separator, psf1StartSeq          = 0xffff, 0xfffe
	psf2Separator, psf2StartSeq          = 0xff, 0xfe

	maxGlyphs, maxWidth, maxHeight = 512, 32, 32
)

// font is what both forms say.
type font struct {
	width, height, glyphs uint32
	size                  uint32 // bytes of a glyph
	bits                  []byte
	chars                 []mapping
}

// mapping is which glyph shows a character.
type mapping struct{ char, glyph uint16 }

// Font makes the calls that load a font in PSF 1 or 2, uncompressed: its glyphs,
// and which characters they are. Characters that are made of several are left
// out, as the kernel's console has none.
func Font(b []byte) ([]vconsole.Call, error) {
	f, err := parsePSF(b)
	if err != nil {
		return nil, err
	}
	// The kernel's glyphs have 32 rows each, whatever the height.
	data := make([]byte, 0, f.glyphs*maxHeight*((f.width+7)/8))
	row := (f.width + 7) / 8
	for g := range f.glyphs {
		glyph := f.bits[g*f.size : (g+1)*f.size]
		data = append(data, glyph[:row*f.height]...)
		data = append(data, make([]byte, row*(maxHeight-f.height))...)
	}
	// struct console_font_op: op KD_FONT_OP_SET is 0, flags, width, height,
	// charcount, and the address of the data.
	op := make([]byte, 32)
	binary.LittleEndian.PutUint32(op[8:], f.width)
	binary.LittleEndian.PutUint32(op[12:], f.height)
	binary.LittleEndian.PutUint32(op[16:], f.glyphs)
	calls := []vconsole.Call{{Request: ioKDFONTOP, Args: op, Size: 32, At: 24, Data: data}}
	if len(f.chars) == 0 {
		return calls, nil
	}
	// struct unimapdesc: the number of pairs, and their address.
	desc := make([]byte, 16)
	binary.LittleEndian.PutUint16(desc, uint16(len(f.chars)))
	var pairs []byte
	for _, m := range f.chars {
		pairs = binary.LittleEndian.AppendUint16(pairs, m.char)
		pairs = binary.LittleEndian.AppendUint16(pairs, m.glyph)
	}
	return append(calls, vconsole.Call{Request: ioUNIMAPCLR, Args: make([]byte, 6), Size: 6},
		vconsole.Call{Request: ioUNIMAP, Args: desc, Size: 16, At: 8, Data: pairs}), nil
}

func parsePSF(b []byte) (*font, error) {
	var f *font
	var err error
	switch {
	case len(b) >= 4 && binary.LittleEndian.Uint16(b) == psf1Magic:
		f, err = parsePSF1(b)
	case len(b) >= 32 && binary.LittleEndian.Uint32(b) == psf2Magic:
		f, err = parsePSF2(b)
	default:
		return nil, errors.New("not a font in the form PSF 1 or 2")
	}
	if err != nil {
		return nil, err
	}
	if len(f.chars) > 0xffff {
		return nil, fmt.Errorf("the font shows %d characters, more than the kernel takes", len(f.chars))
	}
	return f, nil
}

func (f *font) check(b []byte) error {
	if f.glyphs == 0 || f.glyphs > maxGlyphs || f.width == 0 || f.width > maxWidth || f.height == 0 || f.height > maxHeight {
		return fmt.Errorf("a font with %d glyphs of %d by %d dots; the kernel takes up to %d of %d by %d", f.glyphs, f.width, f.height, maxGlyphs, maxWidth, maxHeight)
	}
	if f.size != f.height*((f.width+7)/8) || uint64(len(b)) < uint64(f.glyphs)*uint64(f.size) {
		return errors.New("the font's file is shorter than its glyphs")
	}
	return nil
}

func parsePSF1(b []byte) (*font, error) {
	mode := b[2]
	f := &font{width: 8, height: uint32(b[3]), size: uint32(b[3]), glyphs: 256}
	if mode&psf1Has512 != 0 {
		f.glyphs = 512
	}
	b = b[4:]
	if err := f.check(b); err != nil {
		return nil, err
	}
	f.bits, b = b[:f.glyphs*f.size], b[f.glyphs*f.size:]
	if mode&(psf1HasTable|psf1HasSeq) == 0 {
		return f, nil
	}
	sequence := false
	for g := uint16(0); uint32(g) < f.glyphs && len(b) >= 2; b = b[2:] {
		switch c := binary.LittleEndian.Uint16(b); {
		case c == psf1Separator:
			g, sequence = g+1, false
		case c == psf1StartSeq:
			sequence = true
		case !sequence:
			f.chars = append(f.chars, mapping{c, g})
		}
	}
	return f, nil
}

func parsePSF2(b []byte) (*font, error) {
	n := func(i int) uint32 { return binary.LittleEndian.Uint32(b[4*i:]) }
	f := &font{glyphs: n(4), size: n(5), height: n(6), width: n(7)}
	start, flags := n(2), n(3)
	if start < 32 || uint64(start) > uint64(len(b)) {
		return nil, errors.New("the font's header is damaged")
	}
	b = b[start:]
	if err := f.check(b); err != nil {
		return nil, err
	}
	f.bits, b = b[:f.glyphs*f.size], b[f.glyphs*f.size:]
	if flags&psf2HasTable == 0 {
		return f, nil
	}
	sequence := false
	for g := uint16(0); uint32(g) < f.glyphs && len(b) > 0; {
		switch b[0] {
		case psf2Separator:
			g, sequence, b = g+1, false, b[1:]
			continue
		case psf2StartSeq:
			sequence, b = true, b[1:]
			continue
		}
		r, size := utf8.DecodeRune(b)
		if r == utf8.RuneError && size <= 1 {
			return nil, errors.New("the font's table of characters is not UTF-8")
		}
		if b = b[size:]; !sequence && r <= 0xffff {
			f.chars = append(f.chars, mapping{uint16(r), g})
		}
	}
	return f, nil
}
