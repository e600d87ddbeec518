// Package rules applies udev rules to a device.
//
// The rules come as a table that package rules/compile made at build time:
// here nothing is parsed and no regular expression is run. Evaluate sets the
// device's properties, links and tags and returns what else the rules decided
// as an Outcome; it acts on the world only through the Env that it is given
// (IMPORT, PROGRAM, ATTR{}= and so on). Everything is re-entrant: a Table is
// read-only, an evaluation keeps its state to itself and holds no lock, so an
// Env may block for as long as it likes.
//
// The package must not import anything that builds tables at start, and never
// the compiler.
package rules

import (
	"encoding/binary"
	"errors"
	"hash/crc32"

	"firstlight/internal/fmt"
	"firstlight/internal/udevd/rules/tab"
)

// ErrTable is what every error of Open wraps: the bytes are not a table of
// rules, or damaged.
var ErrTable = errors.New("not a valid table of udev rules")

// Table is a compiled set of rules. It is safe for concurrent use.
type Table struct {
	data  []byte
	pool  string
	off   [tab.NumSections]uint32
	count [tab.NumSections]uint32
}

// Open checks a table from end to end and returns it for use in place: data
// must not change afterwards. What it lets through, Evaluate can work from
// without a check.
func Open(data []byte) (*Table, error) {
	t := &Table{data: data}
	if err := t.open(); err != nil {
		return nil, fmt.Errorf("rules: %w: %w", ErrTable, err)
	}
	return t, nil
}

func (t *Table) open() error {
	d := t.data
	switch {
	case len(d) < tab.HeaderSize:
		return fmt.Errorf("%d bytes are less than a header", len(d))
	case len(d) > tab.MaxSize:
		return fmt.Errorf("%d bytes are more than %d", len(d), tab.MaxSize)
	case string(d[:8]) != tab.Magic:
		return fmt.Errorf("it does not start with the magic")
	}
	if v := binary.LittleEndian.Uint32(d[8:]); v != tab.Version {
		return fmt.Errorf("version %d, but this program reads version %d", v, tab.Version)
	}
	if sum, want := crc32.ChecksumIEEE(d[16:]), binary.LittleEndian.Uint32(d[12:]); sum != want {
		return fmt.Errorf("checksum %08x, but %08x is stored", sum, want)
	}
	at := uint64(tab.HeaderSize)
	for s := range tab.NumSections {
		t.off[s] = binary.LittleEndian.Uint32(d[16+8*s:])
		t.count[s] = binary.LittleEndian.Uint32(d[20+8*s:])
		if uint64(t.off[s]) != at {
			return fmt.Errorf("section %d starts at %d instead of %d", s, t.off[s], at)
		}
		at += uint64(t.count[s]) * uint64(tab.RecordSize[s])
		if at > uint64(len(d)) {
			return fmt.Errorf("section %d ends after the table", s)
		}
	}
	if at != uint64(len(d)) {
		return fmt.Errorf("%d bytes follow the last section", uint64(len(d))-at)
	}
	return t.check()
}

// rec gives record i of section s.
func (t *Table) rec(s int, i uint32) []byte {
	size := uint32(tab.RecordSize[s])
	at := t.off[s] + i*size
	return t.data[at : at+size : at+size]
}

func (t *Table) u32(s int, i uint32) uint32 {
	return binary.LittleEndian.Uint32(t.data[t.off[s]+4*i:])
}

// str gives string i.
func (t *Table) str(i uint32) string {
	return t.pool[t.u32(tab.Strings, i):t.u32(tab.Strings, i+1)]
}

// line is a decoded rule.
type line struct {
	token  uint32
	n      uint16
	flags  uint16
	target uint32
	file   uint16
	number uint32
}

func (t *Table) line(i uint32) line {
	r := t.rec(tab.Lines, i)
	return line{
		token:  binary.LittleEndian.Uint32(r),
		n:      binary.LittleEndian.Uint16(r[4:]),
		flags:  binary.LittleEndian.Uint16(r[6:]),
		target: binary.LittleEndian.Uint32(r[8:]),
		file:   binary.LittleEndian.Uint16(r[12:]),
		number: binary.LittleEndian.Uint32(r[16:]),
	}
}

// token is a decoded key.
type token struct {
	kind  tab.Kind
	op    tab.Op
	match uint8
	flags uint8
	attr  uint32
	value uint32
	n     uint16
	extra uint16
}

func (t *Table) token(i uint32) token {
	r := t.rec(tab.Tokens, i)
	return token{
		kind: tab.Kind(r[0]), op: tab.Op(r[1]), match: r[2], flags: r[3],
		attr:  binary.LittleEndian.Uint32(r[4:]),
		value: binary.LittleEndian.Uint32(r[8:]),
		n:     binary.LittleEndian.Uint16(r[12:]),
		extra: binary.LittleEndian.Uint16(r[14:]),
	}
}

// check looks at every record.
func (t *Table) check() error {
	n := t.count
	if n[tab.Strings] == 0 {
		return errors.New("it has no strings")
	}
	last := uint32(0)
	for i := range n[tab.Strings] {
		o := t.u32(tab.Strings, i)
		if o < last || o > n[tab.Pool] {
			return fmt.Errorf("string %d lies outside the pool", i)
		}
		last = o
	}
	if last != n[tab.Pool] {
		return errors.New("the strings do not fill the pool")
	}
	t.pool = string(t.data[t.off[tab.Pool] : t.off[tab.Pool]+n[tab.Pool]])
	strings := n[tab.Strings] - 1
	isString := func(i uint32) bool { return i < strings }
	within := func(first uint32, count uint32, section int) bool {
		return first <= n[section] && count <= n[section]-first
	}
	for i := range n[tab.Files] {
		if !isString(t.u32(tab.Files, i)) {
			return fmt.Errorf("file %d has no name", i)
		}
	}
	for i := range n[tab.Patterns] {
		r := t.rec(tab.Patterns, i)
		if binary.LittleEndian.Uint32(r) >= tab.NumPatternKinds || !isString(binary.LittleEndian.Uint32(r[4:])) {
			return fmt.Errorf("pattern %d is unknown", i)
		}
	}
	for i := range n[tab.Segments] {
		r := t.rec(tab.Segments, i)
		if r[0] >= tab.NumSegmentKinds || r[0] != tab.SubResult && !isString(binary.LittleEndian.Uint32(r[4:])) {
			return fmt.Errorf("segment %d is unknown", i)
		}
	}
	for i := range n[tab.Tokens] {
		k := t.token(i)
		if k.kind >= tab.NumKinds || k.op >= tab.NumOps || k.match >= tab.NumMatches {
			return fmt.Errorf("key %d is unknown", i)
		}
		if k.kind.IsMatch() != (k.op <= tab.NoMatch) {
			return fmt.Errorf("key %d has the wrong operator", i)
		}
		ok := true
		switch {
		case k.flags&tab.AttrFormat != 0:
			ok = k.kind.AttrCanFormat() && k.flags&tab.AttrSubsys == 0 && within(k.attr, uint32(k.extra), tab.Segments)
		case k.kind.HasAttr():
			ok = isString(k.attr)
		}
		switch {
		case k.kind.HasPatterns():
			ok = ok && within(k.value, uint32(k.n), tab.Patterns)
		case k.kind.HasFormat():
			ok = ok && within(k.value, uint32(k.n), tab.Segments)
		case k.kind.HasString():
			ok = ok && isString(k.value)
		}
		if k.kind == tab.MImportBuiltin && k.extra > 64 || !ok {
			return fmt.Errorf("key %d refers to what is not there", i)
		}
	}
	lines := n[tab.Lines]
	for i := range lines {
		l := t.line(i)
		if !within(l.token, uint32(l.n), tab.Tokens) || uint32(l.file) >= n[tab.Files] {
			return fmt.Errorf("rule %d refers to what is not there", i)
		}
		if l.target != tab.NoLine && (l.target <= i || l.target > lines) {
			return fmt.Errorf("rule %d has a GOTO that does not lead forward", i)
		}
	}
	for i := range n[tab.Index] {
		if t.u32(tab.Index, i) >= lines {
			return fmt.Errorf("index entry %d is no rule", i)
		}
	}
	for i := range n[tab.Lists] {
		r := t.rec(tab.Lists, i)
		first, count := binary.LittleEndian.Uint32(r), binary.LittleEndian.Uint32(r[4:])
		if !within(first, count, tab.Index) {
			return fmt.Errorf("list %d lies outside the index", i)
		}
		for j := first + 1; j < first+count; j++ {
			if t.u32(tab.Index, j) <= t.u32(tab.Index, j-1) {
				return fmt.Errorf("list %d is not in order", i)
			}
		}
	}
	if n[tab.Classes] == 0 {
		return errors.New("it has no classes")
	}
	for i := range n[tab.Classes] {
		r := t.rec(tab.Classes, i)
		if !isString(binary.LittleEndian.Uint32(r)) {
			return fmt.Errorf("class %d has no name", i)
		}
		if i > 1 && t.className(i) <= t.className(i-1) {
			return fmt.Errorf("class %d is not in order", i)
		}
		for a := range tab.NumActions {
			if binary.LittleEndian.Uint32(r[4+4*a:]) >= n[tab.Lists] {
				return fmt.Errorf("class %d refers to what is not there", i)
			}
		}
	}
	for i := range n[tab.Static] {
		r := t.rec(tab.Static, i)
		if !isString(binary.LittleEndian.Uint32(r)) || binary.LittleEndian.Uint32(r[16:]) >= lines {
			return fmt.Errorf("static node %d refers to what is not there", i)
		}
	}
	return nil
}

func (t *Table) className(i uint32) string {
	return t.str(binary.LittleEndian.Uint32(t.rec(tab.Classes, i)))
}

// candidates gives the lines that may apply to a device of a subsystem at an
// action: a range of the index.
func (t *Table) candidates(subsystem, action string) (first, n uint32) {
	class := uint32(0)
	lo, hi := uint32(1), t.count[tab.Classes]
	for lo < hi {
		mid := lo + (hi-lo)/2
		switch name := t.className(mid); {
		case name == subsystem:
			class, lo, hi = mid, mid, mid
		case name < subsystem:
			lo = mid + 1
		default:
			hi = mid
		}
	}
	r := t.rec(tab.Classes, class)
	l := t.rec(tab.Lists, binary.LittleEndian.Uint32(r[4+4*tab.Action(action):]))
	return binary.LittleEndian.Uint32(l), binary.LittleEndian.Uint32(l[4:])
}

// Len is the number of rules in the table.
func (t *Table) Len() int { return int(t.count[tab.Lines]) }

// Applicable lists the rules that Evaluate would look at for a device of a
// subsystem at an action, for explanations and tests.
func (t *Table) Applicable(subsystem, action string) []Where {
	first, n := t.candidates(subsystem, action)
	out := make([]Where, n)
	for i := range n {
		out[i] = t.where(t.u32(tab.Index, first+i))
	}
	return out
}

// where gives the place of a line.
func (t *Table) where(i uint32) Where {
	l := t.line(i)
	return Where{t.str(t.u32(tab.Files, uint32(l.file))), l.number}
}

// StaticNode is a node that has to have its permissions and tags although no
// driver is loaded yet: OPTIONS="static_node=…".
type StaticNode struct {
	Path     string  // below /dev, without "/dev/"
	Mode     *uint32 // permission bits, nil if the rule does not say
	UID, GID *uint32 // nil if the rule does not say
	Tags     []string
	From     Where
}

// StaticNodes lists the static nodes, in the order of the rules. An owner or
// group that was not resolved when the table was compiled is not among them.
func (t *Table) StaticNodes() []StaticNode {
	var out []StaticNode
	for i := range t.count[tab.Static] {
		r := t.rec(tab.Static, i)
		index := binary.LittleEndian.Uint32(r[16:])
		s := StaticNode{Path: t.str(binary.LittleEndian.Uint32(r)), From: t.where(index),
			Mode: id(r[4:]), UID: id(r[8:]), GID: id(r[12:])}
		l := t.line(index)
		for j := range uint32(l.n) {
			if k := t.token(l.token + j); k.kind == tab.ATag {
				s.Tags = append(s.Tags, t.literal(k.value, k.n))
			}
		}
		out = append(out, s)
	}
	return out
}

func id(b []byte) *uint32 {
	v := binary.LittleEndian.Uint32(b)
	if v == tab.NoID {
		return nil
	}
	return &v
}

// literal joins the literal parts of a value.
func (t *Table) literal(first uint32, n uint16) string {
	s := ""
	for i := range uint32(n) {
		if r := t.rec(tab.Segments, first+i); r[0] == tab.Literal {
			s += t.str(binary.LittleEndian.Uint32(r[4:]))
		}
	}
	return s
}
