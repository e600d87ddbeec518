package blkid

import (
	"strings"

	"firstlight/internal/blktext"
)

// ISO 9660 (ECMA-119, section 8), with Joliet: volume descriptors of 2 KiB
// from 32 KiB on, each with its type in byte 0:
//
//	0 boot record: 7 boot system, 32 bytes
//	1 primary, 2 supplementary (Joliet when 88 says so):
//	    8 system, 32 bytes      40 volume, 32 bytes    88 escape sequences
//	  190 volume set, 128      318 publisher, 128     446 preparer, 128
//	  574 application, 128     813 time made, 17      830 time modified, 17
//
// Text is ASCII in the primary and UTF-16BE in the Joliet descriptor. High
// Sierra, its forerunner: 9 "CDROM", 48 volume, 32 bytes.
const (
	isoStart      = 32 << 10
	isoSector     = 2 << 10
	isoMaxVolumes = 16
	isoDescriptor = 847
)

var isoMagics = []magic{
	{base: isoStart, off: 1, bytes: "CD001"},
	{base: isoStart, off: 9, bytes: "CDROM"},
}

type isoField struct{ off, n int }

var (
	isoSystem      = isoField{8, 32}
	isoVolume      = isoField{40, 32}
	isoVolumeSet   = isoField{190, 128}
	isoPublisher   = isoField{318, 128}
	isoPreparer    = isoField{446, 128}
	isoApplication = isoField{574, 128}
)

func (f isoField) of(b []byte) []byte { return b[f.off:][:f.n] }

func probeISO9660(p *probe, m *magic) bool {
	if m.bytes == "CDROM" {
		return p.highSierra()
	}
	const (
		bootRecord    = 0
		primaryVolume = 1
		supplementary = 2
		terminator    = 255
	)
	var boot, primary, joliet []byte
	for i := uint64(0); i < isoMaxVolumes && (boot == nil || primary == nil || joliet == nil); i++ {
		b := p.bytes(isoStart+i*isoSector, isoDescriptor)
		if b == nil || b[0] == terminator {
			break
		}
		switch {
		case b[0] == bootRecord && boot == nil:
			boot = b
		case b[0] == primaryVolume && primary == nil:
			primary = b
		case b[0] == supplementary && joliet == nil:
			switch string(b[88:91]) {
			case "%/@", "%/C", "%/E":
				joliet = b
			}
		}
	}
	if primary == nil {
		return false
	}
	p.blockSize(isoSector)
	p.isoText("SYSTEM_ID", isoSystem, primary, joliet)
	p.isoText("VOLUME_SET_ID", isoVolumeSet, primary, joliet)
	p.isoName("PUBLISHER_ID", isoPublisher, primary, joliet)
	p.isoName("DATA_PREPARER_ID", isoPreparer, primary, joliet)
	p.isoName("APPLICATION_ID", isoApplication, primary, joliet)
	if !p.isoTime(primary[830:847]) {
		p.isoTime(primary[813:830])
	}
	if boot != nil {
		p.id("BOOT_SYSTEM_ID", boot[7:39])
	}
	if joliet != nil {
		p.version("Joliet Extension")
	}
	ascii := isoVolume.of(primary)
	if joliet == nil {
		p.label(ascii)
		return true
	}
	wide := isoVolume.of(joliet)
	if merged := isoMerge(wide, ascii); merged != nil {
		wide = merged
	}
	p.labelEncoded(wide, blktext.UTF16BE)
	return true
}

func (p *probe) highSierra() bool {
	b := p.bytes(isoStart, 80)
	if b == nil {
		return false
	}
	p.blockSize(isoSector)
	p.version("High Sierra")
	p.label(b[48:80])
	return true
}

// isoText sets a text from whichever descriptor knows more of it.
func (p *probe) isoText(key string, f isoField, primary, joliet []byte) {
	if joliet == nil {
		p.id(key, f.of(primary))
		return
	}
	wide := f.of(joliet)
	if merged := isoMerge(wide, f.of(primary)); merged != nil {
		wide = merged
	}
	p.idEncoded(key, wide, blktext.UTF16BE)
}

// isoName is isoText for fields that may be empty, or, when they start with
// '_', name a file.
func (p *probe) isoName(key string, f isoField, primary, joliet []byte) {
	ascii := f.of(primary)
	haveASCII := ascii[0] != 0 && ascii[0] != '_' && !allSpace(ascii)
	haveWide := false
	if joliet != nil {
		wide := f.of(joliet)
		haveWide = !(wide[0] == 0 && wide[1] == '_')
		blank := true
		for i := 0; i+1 < len(wide); i += 2 {
			blank = blank && wide[i] == 0 && blktext.IsSpace(wide[i+1])
		}
		haveWide = haveWide && !blank
	}
	switch {
	case haveASCII && haveWide:
		p.isoText(key, f, primary, joliet)
	case haveWide:
		p.idEncoded(key, f.of(joliet), blktext.UTF16BE)
	case haveASCII:
		p.id(key, ascii)
	}
}

func allSpace(b []byte) bool {
	for _, c := range b {
		if !blktext.IsSpace(c) {
			return false
		}
	}
	return true
}

// isoTime makes the UUID of a date of 16 digits, with dashes. A date that is
// all digits '0' and in time zone 0 is not set; then it returns false.
func (p *probe) isoTime(b []byte) bool {
	if string(b[:16]) == "0000000000000000" && b[16] == 0 {
		return false
	}
	if !zero(b[:16]) {
		var text strings.Builder
		for i, c := range b[:16] {
			if i >= 4 && i%2 == 0 {
				text.WriteByte('-')
			}
			text.WriteByte(c)
		}
		p.set("UUID", text.String())
	}
	return true
}

// isoMerge puts together the text that both descriptors hold a part of:
// the Joliet one has the right characters and half the room, the primary one
// is longer but has '_' for what ASCII lacks, and may be in upper case. It
// returns nil when the first is not a prefix of the second, seen like that.
func isoMerge(wide, ascii []byte) []byte {
	var out []byte
	a, u := 0, 0
	for u+1 < len(wide) && a < len(ascii) {
		if wide[u] >= 0xd8 && wide[u] <= 0xdb && u+3 < len(wide) && wide[u+2] >= 0xdc && wide[u+2] <= 0xdf {
			out = append(out, wide[u], wide[u+1])
			u += 2
		}
		w, c := wide[u:u+2], ascii[a]
		switch {
		case c == '_':
			out = append(out, w[0], w[1])
		case w[0] == 0 && w[1] == '_':
			out = append(out, 0, c)
		case w[0] == 0 && upper(w[1]) == upper(c):
			if c >= 'A' && c <= 'Z' {
				c = w[1]
			}
			out = append(out, 0, c)
		default:
			return nil
		}
		a++
		u += 2
	}
	for ; a < len(ascii); a++ {
		out = append(out, 0, ascii[a])
	}
	return out
}

func upper(c byte) byte {
	if c >= 'a' && c <= 'z' {
		return c - 'a' + 'A'
	}
	return c
}
