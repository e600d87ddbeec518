package lvmmeta

import (
	"slices"
	"sort"
	"strings"
)

// VG is a volume group as its metadata text describes it.
type VG struct {
	Name string
	// ID is the VG's UUID in LVM's form.
	ID    string
	Seqno uint64 // grows by one with each change
	// Status and Flags are the words of the text's lists of the same names:
	// RESIZEABLE, READ, WRITE, EXPORTED, PARTIAL, CLUSTERED, SHARED …
	Status, Flags []string
	// SystemID is the host that owns the VG, or "" (lvmsystemid(7)).
	SystemID string
	// LockType is "" or "none" for a local VG; "sanlock", "dlm" and "idm"
	// VGs are shared between hosts (lvmlockd(8)).
	LockType string
	Tags     []string
	// ExtentSize is the size of a physical extent in sectors.
	ExtentSize uint64
	// NoAutoActivation says that the VG is not to be activated unasked
	// (--setautoactivation n).
	NoAutoActivation bool
	PVs              []PVRef
	LVs              []LV

	textSize uint64
	textCRC  uint32
}

// PVRef is a PV as the VG's text lists it.
type PVRef struct {
	// Name is the text's own name, "pv0", by which segments refer to it.
	Name string
	// ID is the PV's UUID in LVM's form.
	ID string
	// Device is the path at which the PV was last seen. It is a hint for
	// people only; names of devices move.
	Device string
	// DeviceIDType and DeviceID are the hint of LVM's devices file.
	DeviceIDType, DeviceID string
	DevSize                uint64 // in sectors
	PEStart                uint64 // first sector of the first extent
	PECount                uint64 // extents
	Status, Flags          []string
	Tags                   []string
}

// Missing says that the VG was changed while the PV was away, so that what
// the PV holds may be out of date.
func (p *PVRef) Missing() bool { return slices.Contains(p.Flags, "MISSING") }

// LV is a logical volume.
type LV struct {
	Name string
	// ID is the LV's UUID in LVM's form.
	ID            string
	Status, Flags []string // READ, WRITE, VISIBLE, FIXED_MINOR, ACTIVATION_SKIP …
	Tags          []string
	// NoAutoActivation says that the LV is not to be activated unasked.
	NoAutoActivation bool
	// Extents is the length in extents of the VG.
	Extents uint64
	// Segments are in order and without gaps.
	Segments []Segment
}

// Visible says that the LV is for users, not a part of another LV.
func (l *LV) Visible() bool { return slices.Contains(l.Status, "VISIBLE") }

// Writable says that the LV may be written.
func (l *LV) Writable() bool { return slices.Contains(l.Status, "WRITE") }

// AutoActivate says whether the LV itself may be activated unasked: it is
// visible, not marked to be skipped, and autoactivation is not turned off.
// The VG's NoAutoActivation counts too.
func (l *LV) AutoActivate() bool {
	return l.Visible() && !l.NoAutoActivation && !slices.Contains(l.Flags, "ACTIVATION_SKIP")
}

// Segment is a run of extents of an LV that are mapped in one way.
type Segment struct {
	// Start and Extents are in logical extents.
	Start, Extents uint64
	// Type is LVM's segment type: "striped" (linear is striped with one
	// stripe), "error", "zero", "mirror", "raid1", "thin", "cache" … with any
	// "+FLAG" that the text has.
	Type string
	// StripeSize is in sectors; 0 with one stripe.
	StripeSize uint64
	// Stripes are the areas of a striped segment.
	Stripes []Stripe

	// refs are the names of LVs that the segment is made of or belongs to.
	refs []string
	// text is the segment as it was written, for kinds that are read when
	// they are wanted.
	text *node
}

// Stripe is one area of a striped segment: a PV, or another LV, from an
// extent of it on.
type Stripe struct {
	// Name is that of a PVRef or, for a stacked LV, of an LV.
	Name   string
	Extent uint64
}

// LV returns the logical volume of that name, or nil.
func (vg *VG) LV(name string) *LV {
	for i := range vg.LVs {
		if vg.LVs[i].Name == name {
			return &vg.LVs[i]
		}
	}
	return nil
}

// PV returns the PV with the text's name ("pv0"), or nil.
func (vg *VG) PV(name string) *PVRef {
	for i := range vg.PVs {
		if vg.PVs[i].Name == name {
			return &vg.PVs[i]
		}
	}
	return nil
}

// has says whether the VG's status or flags have the word.
func (vg *VG) has(word string) bool {
	return slices.Contains(vg.Status, word) || slices.Contains(vg.Flags, word)
}

// Exported says that the VG was exported (vgexport(8)).
func (vg *VG) Exported() bool { return vg.has("EXPORTED") }

// ParseText reads a metadata text, as it stands in a metadata area or in a
// file of vgcfgbackup(8). Errors are *SyntaxError.
func ParseText(text []byte) (*VG, error) {
	b := builder{text: string(text)}
	root, err := parseConfig(b.text)
	if err != nil {
		return nil, err
	}
	var sections []*node
	for i := range root.sub {
		if root.sub[i].kind == kindSection {
			sections = append(sections, &root.sub[i])
		}
	}
	switch len(sections) {
	case 0:
		return nil, errorAt(b.text, len(b.text), "no volume group in it")
	case 1:
	default:
		return nil, errorAt(b.text, sections[1].pos, "a second volume group")
	}
	if n := root.find("version"); n != nil && (n.kind != kindInt || n.num != 1) {
		return nil, errorAt(b.text, n.pos, "version of the text is not 1")
	}
	vg := b.group(sections[0])
	if b.err != nil {
		return nil, b.err
	}
	return vg, nil
}

// builder makes the model of the tree; the first error stays.
type builder struct {
	text string
	err  error
}

func (b *builder) fail(n *node, format string, args ...any) {
	if b.err == nil {
		b.err = errorAt(b.text, n.pos, format, args...)
	}
}

// get finds an entry of the wanted kind; an optional one may be missing.
func (b *builder) get(in *node, name string, want kind, must bool) *node {
	n := in.find(name)
	if n == nil {
		if must {
			b.fail(in, "%q has no %q", in.name, name)
		}
		return nil
	}
	if n.kind != want {
		b.fail(n, "%q is %v, not %v", name, n.kind, want)
		return nil
	}
	return n
}

func (b *builder) str(in *node, name string, must bool) string {
	if n := b.get(in, name, kindString, must); n != nil {
		return n.str
	}
	return ""
}

func (b *builder) uint(in *node, name string, must bool) uint64 {
	n := b.get(in, name, kindInt, must)
	if n == nil {
		return 0
	}
	if n.num < 0 {
		b.fail(n, "%q is negative", name)
		return 0
	}
	return uint64(n.num)
}

// words reads a list of strings; one string alone counts as a list of one.
func (b *builder) words(in *node, name string) []string {
	n := in.find(name)
	if n == nil {
		return nil
	}
	if n.kind == kindString {
		return []string{n.str}
	}
	if n.kind != kindArray {
		b.fail(n, "%q is %v, not an array", name, n.kind)
		return nil
	}
	var list []string
	for i := range n.sub {
		if n.sub[i].kind != kindString {
			b.fail(&n.sub[i], "%q holds %v", name, n.sub[i].kind)
			return nil
		}
		list = append(list, n.sub[i].str)
	}
	return list
}

func (b *builder) id(in *node) string {
	s := b.str(in, "id", true)
	if b.err == nil && !validUUID(s) {
		b.fail(in.find("id"), "%q is not a UUID of LVM", s)
	}
	return s
}

func (b *builder) name(n *node, max int) string {
	if !ValidName(n.name) || len(n.name) > max {
		b.fail(n, "%q is not a name of LVM", n.name)
	}
	return n.name
}

// ValidName says whether a name may be one of a VG or LV: letters, digits and
// "+_.-", not starting with a hyphen, not "." or "..", at most 127 bytes
// (lvm(8), "Valid names").
func ValidName(s string) bool {
	if s == "" || len(s) > 127 || s[0] == '-' || s == "." || s == ".." {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte("+_.-", c) >= 0) {
			return false
		}
	}
	return true
}

func (b *builder) group(n *node) *VG {
	vg := &VG{
		Name: b.name(n, 127), ID: b.id(n), Seqno: b.uint(n, "seqno", true),
		Status: b.words(n, "status"), Flags: b.words(n, "flags"),
		SystemID: b.str(n, "system_id", false), LockType: b.str(n, "lock_type", false),
		Tags: b.words(n, "tags"), ExtentSize: b.uint(n, "extent_size", true),
	}
	vg.NoAutoActivation = slices.Contains(vg.Flags, "NOAUTOACTIVATE")
	if b.err == nil && (vg.ExtentSize == 0 || vg.ExtentSize > 1<<40) {
		b.fail(n.find("extent_size"), "extents of %d sectors", vg.ExtentSize)
	}
	if f := b.str(n, "format", false); f != "" && f != "lvm2" {
		b.fail(n.find("format"), "format %q is not lvm2", f)
	}
	if s := b.get(n, "physical_volumes", kindSection, true); s != nil {
		ids := make(map[string]bool, len(s.sub))
		for i := range s.sub {
			pv := b.pv(&s.sub[i])
			if ids[pv.ID] || ids["="+pv.Name] {
				b.fail(&s.sub[i], "physical volume %q is listed twice", pv.Name)
			}
			ids[pv.ID], ids["="+pv.Name] = true, true
			vg.PVs = append(vg.PVs, pv)
		}
	}
	if s := b.get(n, "logical_volumes", kindSection, false); s != nil {
		names := make(map[string]bool, 2*len(s.sub))
		for i := range s.sub {
			lv := b.lv(&s.sub[i], vg)
			if names[lv.Name] || names["="+lv.ID] {
				b.fail(&s.sub[i], "logical volume %q is there twice", lv.Name)
			}
			names[lv.Name], names["="+lv.ID] = true, true
			vg.LVs = append(vg.LVs, lv)
		}
	}
	return vg
}

func (b *builder) pv(n *node) PVRef {
	if n.kind != kindSection {
		b.fail(n, "physical volume %q is %v", n.name, n.kind)
		return PVRef{}
	}
	pv := PVRef{
		Name: n.name, ID: b.id(n), Device: b.str(n, "device", false),
		DeviceIDType: b.str(n, "device_id_type", false), DeviceID: b.str(n, "device_id", false),
		DevSize: b.uint(n, "dev_size", false), PEStart: b.uint(n, "pe_start", true), PECount: b.uint(n, "pe_count", true),
		Status: b.words(n, "status"), Flags: b.words(n, "flags"), Tags: b.words(n, "tags"),
	}
	if pv.PEStart > 1<<53 || pv.PECount > 1<<40 {
		b.fail(n, "physical volume %q: extents beyond any device", n.name)
	}
	return pv
}

func (b *builder) lv(n *node, vg *VG) LV {
	if n.kind != kindSection {
		b.fail(n, "logical volume %q is %v", n.name, n.kind)
		return LV{}
	}
	lv := LV{
		Name: b.name(n, 127), ID: b.id(n), Status: b.words(n, "status"), Flags: b.words(n, "flags"),
		Tags: b.words(n, "tags"),
	}
	lv.NoAutoActivation = slices.Contains(lv.Flags, "NOAUTOACTIVATE")
	count := b.uint(n, "segment_count", true)
	for i := range n.sub {
		s := &n.sub[i]
		if s.kind != kindSection {
			continue
		}
		if !strings.HasPrefix(s.name, "segment") {
			b.fail(s, "section %q in logical volume %q", s.name, lv.Name)
			break
		}
		lv.Segments = append(lv.Segments, b.segment(s, vg))
	}
	if b.err != nil {
		return lv
	}
	if uint64(len(lv.Segments)) != count {
		b.fail(n, "logical volume %q has %d segments and says %d", lv.Name, len(lv.Segments), count)
	}
	sort.SliceStable(lv.Segments, func(i, j int) bool { return lv.Segments[i].Start < lv.Segments[j].Start })
	for _, s := range lv.Segments {
		if s.Start != lv.Extents {
			b.fail(n, "logical volume %q: a segment starts at extent %d, not %d", lv.Name, s.Start, lv.Extents)
			break
		}
		if s.Extents > 1<<40 || lv.Extents > 1<<40 {
			b.fail(n, "logical volume %q has more extents than any device", lv.Name)
			break
		}
		lv.Extents += s.Extents
	}
	return lv
}

// lvRefs are the entries of a segment that name another LV of the VG, for all
// segment types of LVM 2.03. Areas ("mirrors", "raids") are lists and read
// apart.
var lvRefs = [...]string{
	"origin", "cow_store", "merging_store", "external_origin", "thin_pool", "metadata", "pool", "data",
	"cache_pool", "cache_vol", "writecache", "vdo_pool", "mirror_log", "integrity_metadata", "meta_dev", "cachevol",
}

func (b *builder) segment(n *node, vg *VG) Segment {
	s := Segment{Start: b.uint(n, "start_extent", true), Extents: b.uint(n, "extent_count", true), Type: b.str(n, "type", true), text: n}
	for _, key := range lvRefs {
		if r := n.find(key); r != nil && r.kind == kindString {
			s.refs = append(s.refs, r.str)
		}
	}
	for _, key := range [...]string{"mirrors", "raids", "raid0_lvs"} {
		if r := n.find(key); r != nil && r.kind == kindArray {
			for i := range r.sub {
				if r.sub[i].kind == kindString {
					s.refs = append(s.refs, r.sub[i].str)
				}
			}
		}
	}
	if s.Type != "striped" {
		return s
	}
	if s.Extents == 0 {
		b.fail(n, "segment of no extents")
	}
	count := b.uint(n, "stripe_count", true)
	list := b.get(n, "stripes", kindArray, true)
	if list == nil || b.err != nil {
		return s
	}
	if count == 0 || uint64(len(list.sub)) != 2*count {
		b.fail(list, "%d entries for %d stripes", len(list.sub), count)
		return s
	}
	for i := 0; i < len(list.sub); i += 2 {
		name, ext := &list.sub[i], &list.sub[i+1]
		if name.kind != kindString || ext.kind != kindInt || ext.num < 0 {
			b.fail(name, "a stripe is a name and an extent")
			return s
		}
		s.Stripes = append(s.Stripes, Stripe{name.str, uint64(ext.num)})
		if vg.PV(name.str) == nil {
			s.refs = append(s.refs, name.str)
		}
	}
	if count > 1 {
		s.StripeSize = b.uint(n, "stripe_size", true)
		if b.err == nil && (s.StripeSize == 0 || s.StripeSize > 1<<31) {
			b.fail(n.find("stripe_size"), "stripes of %d sectors", s.StripeSize)
		}
		if b.err == nil && s.Extents%count != 0 {
			b.fail(n, "%d extents do not divide into %d stripes", s.Extents, count)
		}
	}
	return s
}
