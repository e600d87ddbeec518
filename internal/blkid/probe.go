package blkid

import (
	"bytes"
	"encoding/binary"
	"strconv"

	"firstlight/internal/blkread"
	"firstlight/internal/blktext"
	"firstlight/internal/parttable"
)

var (
	le = binary.LittleEndian
	be = binary.BigEndian
)

// tiny is the size in bytes up to which a device counts as a floppy: no
// RAID, and the first filesystem found is the answer.
const tiny = 1440 << 10

// nearEnd is how far from the start a place is that most devices are read at
// anyway, in bytes: two labels of ZFS, the places of an XFS log.
const nearEnd = 512 << 10

// usage is what a format is for.
type usage string

const (
	filesystem usage = "filesystem"
	raid       usage = "raid"
	crypto     usage = "crypto"
	other      usage = "other"
)

// format is one row of the table of formats.
type format struct {
	name    string
	usage   usage
	minSize uint64 // bytes; a smaller device is not looked at
	// disk leaves out partitions: the metadata is that of a whole disk, and
	// the last partition may end where the disk does.
	disk bool
	// tolerant formats may share a device with others (hybrid discs).
	tolerant bool
	// far formats have copies that are looked for when nothing else is found:
	// most devices hold something, and each costs a read.
	far bool
	// magics are tried in order; the first one that is there is passed to
	// probe. A format without magics is always probed.
	magics []magic
	// probe says whether the superblock is valid and sets its properties.
	// nil accepts on the magic alone.
	probe func(p *probe, m *magic) bool
	// sum verifies the checksum of what probe accepted; nil is none.
	sum func(p *probe, m *magic) bool
}

// magic is a byte string at a fixed place.
type magic struct {
	base  uint64 // where the superblock starts, bytes
	off   uint64 // where the magic stands in it, bytes
	bytes string
	// end, if not 0, counts sectors of 512 bytes from the end of the device
	// to the superblock's, instead of base.
	end uint64
}

// probe is the state of one probe.
type probe struct {
	d    *blkread.Reader
	opt  Options
	size uint64 // bytes

	pairs []Pair // of the format being tried, then of the result
	// marked is the first format whose magic was found without a superblock
	// that holds, as Result.Damaged has it.
	marked string
	// far is set while the places beyond nearEnd are looked at, where
	// copies of superblocks may be of which the first is gone.
	far bool
	// wiped is set by a format whose tool clears the start of a device, up
	// to this many bytes: a partition table found there came later.
	wiped uint64
	// covers caches the table for coveredByTable.
	covers      *parttable.Table
	coversKnown bool
}

// bytes returns n bytes at off, or nil when they are not all there.
func (p *probe) bytes(off, n uint64) []byte { return p.d.Bytes(off, n) }

// failed says whether the device could not be read, which ends the probe.
func (p *probe) failed() bool {
	if p.d.Err() == nil {
		return false
	}
	if p.opt.Kind == Optical {
		p.d.ClearErr()
	}
	return p.d.Err() != nil
}

// run does the whole probe. A read error is left in p.d.
func (p *probe) run() *Result {
	if p.opt.Kind == Disk && p.size <= tiny {
		if table := p.table(""); table != nil || p.failed() {
			return &Result{pairs: table}
		}
	}
	all, first, ambiguous := p.superblocks()
	if p.failed() {
		return &Result{}
	}
	if ambiguous {
		return &Result{Ambiguous: true, Signatures: all}
	}
	res := &Result{BadSums: all}
	onRAID := false
	typ := ""
	if first != nil {
		typ = first.Type
		onRAID = first.Usage == string(raid)
		res.pairs = first.Pairs
		res.Signatures = []Signature{*first}
	}
	// The table on a member of a RAID1 is the array's. LVM clears the
	// place of a table, so one that is there says something.
	if onRAID && p.wiped == 0 {
		return res
	}
	table := p.table(typ)
	if first == nil && len(all) == 0 && table == nil && !p.far && !p.failed() {
		p.far = true
		return p.run()
	}
	if first == nil && (table == nil || len(all) > 0) {
		res.Damaged = p.marked
	}
	if table != nil && p.wiped > 0 && table[len(table)-1].Value == parttable.MBR {
		res.pairs, res.Signatures = nil, nil
	}
	res.pairs = append(res.pairs, table...)
	return res
}

// superblocks tries all formats. first is libblkid's answer, nil for none; when
// two conflict, all of them are returned instead. One whose checksum is wrong is
// no answer, but it counts in a conflict: what it is a part of was here last, or
// what damaged it was, and that is not known. Alone, it is returned in all.
func (p *probe) superblocks() (all []Signature, first *Signature, ambiguous bool) {
	var answer *format
	var answerWiped uint64
	intolerant := 0
	last := -1
	damaged, layer := false, false
	for i := range formats {
		f := &formats[i]
		if p.far && !f.far {
			continue
		}
		sig, ok := p.try(f)
		if p.failed() {
			return nil, nil, false
		}
		if !ok {
			continue
		}
		last = i
		all = append(all, sig)
		if sig.BadSum {
			damaged = true
		} else if answer == nil {
			answer, answerWiped = f, p.wiped
		}
		if layer = f.usage == raid || f.usage == crypto; layer || p.size <= tiny {
			break
		}
		if !f.tolerant {
			intolerant++
		}
	}
	if !layer && !p.far {
		if sig, ok := p.try(&promiseFar); ok || p.failed() {
			return nil, &sig, false
		}
	}
	if len(all) > 1 && (intolerant > 0 || damaged) {
		// A member of a RAID or an encrypted volume ended the search; for
		// the report the rest is wanted too.
		for i := last + 1; i < len(formats); i++ {
			if sig, ok := p.try(&formats[i]); ok {
				all = append(all, sig)
			}
		}
		return all, nil, true
	}
	if answer == nil {
		return all, nil, false
	}
	p.wiped = answerWiped
	return nil, &all[0], false
}

// try looks for one format.
func (p *probe) try(f *format) (Signature, bool) {
	if p.size <= 1024 ||
		p.opt.Kind == Optical && (f.usage == raid || f.usage == other) ||
		p.size <= tiny && f.usage == raid ||
		p.opt.NoRAID && f.usage == raid ||
		f.disk && p.opt.Kind == Partition {
		return Signature{}, false
	}
	m := p.find(f)
	if m == nil && len(f.magics) > 0 {
		return Signature{}, false
	}
	p.pairs, p.wiped = nil, 0
	if p.size < f.minSize || f.probe != nil && !f.probe(p, m) {
		p.wiped = 0
		p.mark(f, m)
		return Signature{}, false
	}
	p.set("TYPE", f.name)
	p.set("USAGE", string(f.usage))
	sig := Signature{Type: f.name, Usage: string(f.usage), Pairs: p.pairs}
	sig.Version, _ = lookup(sig.Pairs, "VERSION")
	if sig.BadSum = f.sum != nil && !f.sum(p, m); sig.BadSum {
		p.marked = p.place(f, m)
	}
	return sig, true
}

// mark notes a magic without a superblock that holds. Two bytes are there by
// chance too often.
func (p *probe) mark(f *format, m *magic) {
	if m != nil && len(m.bytes) > 3 && p.marked == "" {
		p.marked = p.place(f, m)
	}
}

// place says whose magic is where.
func (p *probe) place(f *format, m *magic) string {
	at := m.base + m.off
	if m.end > 0 {
		at += (p.size/512 - m.end) * 512
	}
	return f.name + " at byte " + utoa(at)
}

// find returns the first magic of the format that is there. libblkid reads
// 1 KiB for each, so a magic in the last partial KiB of a device is missed;
// so it is here.
func (p *probe) find(f *format) *magic {
	for i := range f.magics {
		m := &f.magics[i]
		if m.end > 0 {
			if bytes.HasPrefix(p.fromEnd(m.end)[m.off:], []byte(m.bytes)) {
				return m
			}
			continue
		}
		if m.base >= nearEnd && !p.far {
			continue
		}
		at := m.base + m.off
		b := p.bytes(at&^1023, 1024)
		if b != nil && bytes.HasPrefix(b[at&1023:], []byte(m.bytes)) {
			return m
		}
	}
	return nil
}

// fromEnd returns the sector of 512 bytes that is the n-th last of the device;
// one that is not there has no content.
func (p *probe) fromEnd(n uint64) []byte {
	if n <= p.size/512 {
		if b := p.bytes((p.size/512-n)*512, 512); b != nil {
			return b
		}
	}
	return make([]byte, 512)
}

// table returns PTUUID and PTTYPE of a partition table, or nil. typ is what
// the device holds besides.
func (p *probe) table(typ string) []Pair {
	t, err := parttable.Identify(p.d, int64(p.size), p.opt.SectorSize)
	if p.failed() || err != nil {
		return nil
	}
	// Booting from a disk that is one LVM volume takes boot code, and so
	// the mark of an MBR, but no partitions.
	if t.Type == parttable.MBR && typ == "LVM2_member" && len(t.Entries) == 0 {
		return nil
	}
	var pairs []Pair
	if t.UUID != "" {
		pairs = append(pairs, Pair{"PTUUID", t.UUID})
	}
	return append(pairs, Pair{"PTTYPE", t.Type})
}

// coveredByTable says whether the n bytes at off lie within one partition of
// the device's own table, so that metadata there belongs to that partition.
// A table with a partition beyond the end of the device is not believed.
func (p *probe) coveredByTable(off, n uint64) bool {
	if p.opt.Kind == Partition {
		return false
	}
	if !p.coversKnown {
		p.coversKnown = true
		p.covers, _ = parttable.Read(p.d, int64(p.size), p.opt.SectorSize)
		if p.covers == nil {
			p.covers = &parttable.Table{}
		}
		for _, e := range p.covers.Entries {
			if uint64(e.Start+e.Size) > p.size/512*512 {
				p.covers = &parttable.Table{}
				break
			}
		}
	}
	start, end := off/512*512, (off+n)/512*512
	for _, e := range p.covers.Entries {
		if start >= uint64(e.Start) && end <= uint64(e.Start+e.Size) {
			return true
		}
	}
	return false
}

// set adds a property; the value ends at its first NUL.
func (p *probe) set(key, value string) {
	p.pairs = append(p.pairs, Pair{key, blktext.CString([]byte(value))})
}

// label sets LABEL without blanks at its end, if anything is left.
func (p *probe) label(b []byte) { p.text("LABEL", blktext.TrimRight(blktext.CString(b))) }

// id sets another text without blanks at either end, if anything is left.
func (p *probe) id(key string, b []byte) { p.text(key, blktext.Trim(blktext.CString(b))) }

// labelEncoded is label for other encodings.
func (p *probe) labelEncoded(b []byte, enc blktext.Encoding) {
	p.text("LABEL", blktext.TrimRight(blktext.Decode(b, enc)))
}

// idEncoded is id for other encodings.
func (p *probe) idEncoded(key string, b []byte, enc blktext.Encoding) {
	p.text(key, blktext.Trim(blktext.Decode(b, enc)))
}

func (p *probe) text(key, s string) {
	if s != "" {
		p.set(key, s)
	}
}

// uuid sets UUID from 16 bytes in the order they are printed; all zero is no
// UUID.
func (p *probe) uuid(b []byte) { p.uuidAs("UUID", b) }

func (p *probe) uuidAs(key string, b []byte) {
	if zero(b[:16]) {
		return
	}
	p.set(key, formatUUID(b))
}

// uuidText sets UUID to text unless the stored bytes are all zero.
func (p *probe) uuidText(stored []byte, text string) {
	if !zero(stored) {
		p.text("UUID", text)
	}
}

// uuidString sets UUID from one that is stored as text.
func (p *probe) uuidString(b []byte) {
	p.text("UUID", blktext.TrimRight(blktext.CString(b)))
}

func (p *probe) version(s string) { p.set("VERSION", s) }

func (p *probe) majorMinor(major, minor uint16) {
	p.version(utoa(uint64(major)) + "." + utoa(uint64(minor)))
}

// blockSize sets BLOCK_SIZE, in bytes.
func (p *probe) blockSize(n uint32) { p.set("BLOCK_SIZE", utoa(uint64(n))) }

func utoa(n uint64) string { return strconv.FormatUint(n, 10) }

func zero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// formatUUID formats 16 bytes as 8-4-4-4-12 hexadecimal digits.
func formatUUID(b []byte) string {
	const hex = "0123456789abcdef"
	out := make([]byte, 0, 36)
	for i, c := range b[:16] {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			out = append(out, '-')
		}
		out = append(out, hex[c>>4], hex[c&15])
	}
	return string(out)
}
