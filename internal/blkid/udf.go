package blkid

import (
	"bytes"

	"firstlight/internal/blktext"
	"firstlight/internal/fmt"
)

// UDF (ECMA-167 and OSTA's UDF 2.60), little-endian. From 32 KiB on, one
// descriptor each 2 KiB (or each block, if larger) names the standards the
// volume follows: 1 identifier, 5 bytes; "NSR02" or "NSR03" is UDF's. In
// block 256 or 512 stands the anchor, which leads to a sequence of
// descriptors of one block each, with a tag of 16 bytes in front:
//
//	0 u16 kind   12 u32 block it stands in
//
//	anchor:         16 u32 length of the sequence in bytes   20 u32 its block
//	primary:        24 volume, 32       72 volume set, 128
//	               200 character set, 64   345 application   389 implementation
//	logical volume: 20 character set, 64   84 name, 128
//	               217 domain   240 u16 revision   268 u32 partition maps
//	               432 u32 length and 436 block of the integrity descriptor
//	implementation: 21 identifier   52 character set, 64   244 owner, 36
//	integrity:      72 u32 partitions   76 u32 length of what follows them,
//	                from 80 + 8 a partition on: 40 u16 revision to read,
//	                42 u16 to write
//
// Texts have their encoding in the first byte (8: Latin-1, 16: UTF-16BE) and
// their length plus one in the last.
const (
	udfDescriptor = 440

	udfPrimary    = 1
	udfAnchor     = 2
	udfImpUse     = 4
	udfLogical    = 6
	udfTerminator = 8
	udfIntegrity  = 9
)

var udfMagics = []magic{
	{base: 32 << 10, off: 1, bytes: "BEA01"},
	{base: 32 << 10, off: 1, bytes: "BOOT2"},
	{base: 32 << 10, off: 1, bytes: "CD001"},
	{base: 32 << 10, off: 1, bytes: "CDW02"},
	{base: 32 << 10, off: 1, bytes: "NSR02"},
	{base: 32 << 10, off: 1, bytes: "NSR03"},
	{base: 32 << 10, off: 1, bytes: "TEA01"},
}

func probeUDF(p *probe, _ *magic) bool {
	anchor, block := p.udfAnchor()
	if anchor == nil {
		return false
	}
	u := udf{p: p}
	count, first := le.Uint32(anchor[16:])/block, le.Uint32(anchor[20:])
	for i := uint32(0); i < count && !u.complete(); i++ {
		at := first + i
		d := p.bytes(uint64(at)*uint64(block), udfDescriptor)
		if d == nil {
			return false
		}
		kind := le.Uint16(d)
		if kind == 0 || kind == udfTerminator || le.Uint32(d[12:]) != at {
			break
		}
		switch kind {
		case udfPrimary:
			u.primary(d)
		case udfLogical:
			u.logical(d)
		case udfImpUse:
			u.owner(d)
		}
	}
	if !u.integrity(uint64(block)) {
		return false
	}
	if u.revision != 0 {
		// Decimal digits, stored as hexadecimal ones: 0x0201 is 2.01.
		p.version(fmt.Sprintf("%x.%02x", u.revision>>8, u.revision&0xff))
	}
	p.blockSize(block)
	return true
}

// udfAnchor finds the anchor and with it the block size, trying the device's
// sector size first.
func (p *probe) udfAnchor() (anchor []byte, block uint32) {
	sizes := []uint32{uint32(p.opt.SectorSize), 512, 1024, 2048, 4096}
	short := 0 // descriptors each 2 KiB: 0 not looked for, 1 there, -1 not
	for i, block := range sizes {
		if i > 0 && block == sizes[0] {
			continue
		}
		step := max(block, 2048)
		if step != 2048 || short == 0 {
			ok, end := p.udfRecognised(uint64(step))
			if end {
				return nil, 0
			}
			if step == 2048 {
				short = -1
				if ok {
					short = 1
				}
			}
			if !ok {
				continue
			}
		} else if short < 0 {
			continue
		}
		for _, at := range [...]uint32{256, 512} {
			d := p.bytes(uint64(at)*uint64(block), udfDescriptor)
			if d == nil {
				return nil, 0
			}
			if le.Uint32(d[12:]) == at && le.Uint16(d) == udfAnchor {
				return d, block
			}
		}
	}
	return nil, 0
}

// udfRecognised looks through the volume recognition sequence. end says that
// the device ended in it.
func (p *probe) udfRecognised(step uint64) (ok, end bool) {
	const maxDescriptors = 64
	for i := range uint64(maxDescriptors) {
		b := p.bytes(32<<10+i*step, 7)
		if b == nil {
			return false, true
		}
		switch string(b[1:6]) {
		case "NSR02", "NSR03":
			return true, false
		case "BEA01", "BOOT2", "CD001", "CDW02", "TEA01":
		default:
			return false, false
		}
	}
	return false, false
}

// udf is what has been found in a sequence of descriptors so far.
type udf struct {
	p                                              *probe
	volume, uuid, volumeSet, label, app, publisher bool
	integrityLen, integrityAt                      uint32
	revision                                       uint16
}

func (u *udf) complete() bool {
	return u.volume && u.uuid && u.volumeSet && u.label && u.app && u.publisher &&
		u.integrityLen != 0 && u.integrityAt != 0
}

func (u *udf) primary(d []byte) {
	if udfCharset(d[200:264]) {
		if !u.volume {
			u.volume = u.id("VOLUME_ID", d[24:56])
		}
		if !u.uuid {
			if id := udfUUID(d[72:200]); id != "" {
				u.p.text("UUID", blktext.TrimRight(id))
				u.uuid = true
			}
		}
		if !u.volumeSet {
			u.volumeSet = u.id("VOLUME_SET_ID", d[72:200])
		}
	}
	if !u.app {
		app := udfEntity(d[345:368])
		if len(app) == 0 {
			app = udfEntity(d[389:412])
		}
		if len(app) > 0 {
			u.p.id("APPLICATION_ID", app)
			u.app = true
		}
	}
}

func (u *udf) logical(d []byte) {
	if (u.integrityLen == 0 || u.integrityAt == 0) && le.Uint32(d[268:]) != 0 {
		u.integrityLen, u.integrityAt = le.Uint32(d[432:]), le.Uint32(d[436:])
	}
	if u.revision == 0 && blktext.CString(d[217:240]) == "*OSTA UDF Compliant" {
		u.revision = le.Uint16(d[240:])
	}
	if u.label || !udfCharset(d[20:84]) {
		return
	}
	if text, enc, ok := udfText(d[84:212]); ok {
		u.label = true
		u.p.labelEncoded(text, enc)
		u.p.idEncoded("LOGICAL_VOLUME_ID", text, enc)
	}
}

func (u *udf) owner(d []byte) {
	if !u.publisher && blktext.CString(d[21:44]) == "*UDF LV Info" && udfCharset(d[52:116]) {
		u.publisher = u.id("PUBLISHER_ID", d[244:280])
	}
}

// integrity takes the highest revision that the integrity descriptor says.
// It returns false when the descriptor is beyond the end of the device.
func (u *udf) integrity(block uint64) bool {
	const useLen = 46
	if u.integrityAt == 0 || u.integrityLen < udfDescriptor {
		return true
	}
	start := uint64(u.integrityAt) * block
	d := u.p.bytes(start, udfDescriptor)
	if d == nil {
		return false
	}
	if le.Uint16(d) != udfIntegrity || le.Uint32(d[12:]) != u.integrityAt || le.Uint32(d[76:]) < useLen {
		return true
	}
	use := u.p.bytes(start+80+uint64(8*le.Uint32(d[72:])), useLen)
	if use == nil {
		return false
	}
	u.revision = max(u.revision, le.Uint16(use[40:]), le.Uint16(use[42:]))
	return true
}

func (u *udf) id(key string, field []byte) bool {
	text, enc, ok := udfText(field)
	if ok {
		u.p.idEncoded(key, text, enc)
	}
	return ok
}

func udfCharset(b []byte) bool {
	return b[0] == 0 && blktext.CString(b[1:]) == "OSTA Compressed Unicode"
}

// udfText takes a dstring apart.
func udfText(b []byte) (text []byte, enc blktext.Encoding, ok bool) {
	n := int(b[len(b)-1])
	if n > 0 {
		n--
	}
	text = b[1 : len(b)-1]
	text = text[:min(n, len(text))]
	switch b[0] {
	case 8:
		return text, blktext.Latin1, true
	case 16:
		return text, blktext.UTF16BE, true
	}
	return nil, 0, false
}

// udfEntity is an identifier of an implementation, without the '*' of those
// that are registered.
func udfEntity(b []byte) []byte {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return bytes.TrimPrefix(b, []byte("*"))
}

// udfUUID makes 16 hexadecimal digits of the first 16 bytes of a volume
// set's name, which UDF 2.60 (2.2.2.5) wants unique: the digits themselves
// if they are digits, else the bytes' values, as far as they go.
func udfUUID(field []byte) string {
	text, enc, ok := udfText(field)
	if !ok {
		return ""
	}
	s := blktext.Decode(text, enc)
	n := min(16, len(s))
	for n > 0 && n < len(s) && s[n]&0xc0 == 0x80 {
		n--
	}
	if n < 8 {
		return ""
	}
	var b [16]byte
	copy(b[:], s[:n])
	digits := 0
	for digits < 16 && isHex(b[digits]) {
		digits++
	}
	switch {
	case digits < 8:
		return fmt.Sprintf("%x", b[:8])
	case digits < 16:
		return lower(b[:8]) + fmt.Sprintf("%x", b[8:12])
	}
	return lower(b[:])
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func lower(b []byte) string { return string(bytes.ToLower(b)) }
