package compile

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"

	"firstlight/internal/udevd/rules/tab"
)

// Options says what the compiler may know of the system on which the table
// will be used. A nil function knows nothing: then the question is left to
// the evaluator's Env.
type Options struct {
	// User and Group give the number of a name, as in the image's
	// /etc/passwd and /etc/group.
	User, Group func(name string) (id uint32, ok bool)
	// Builtin says whether the evaluator will have a builtin. Without it
	// the builtins of udev count as there.
	Builtin func(name string) bool
	// ProgramBuiltin gives the builtin that does the work of a program of
	// IMPORT{program}, PROGRAM or RUN, "" if none does. program is the
	// first word of the command. The builtin gets the same arguments.
	ProgramBuiltin func(program string) string
	// Program says whether a program will be there. One that is not makes
	// the rule behave as udev has it: the program fails.
	Program func(program string) bool
}

// Need is a program or builtin that a rule refers to.
type Need struct {
	File    string
	Line    int
	Builtin bool
	Name    string
	Missing bool // it will not be there; the key that needs it was left out
}

// Result is a compiled table and what was found on the way.
type Result struct {
	Table    []byte
	Problems []Problem // those of the files, and those found now
	Needs    []Need    // in the order of the rules
}

// Compile makes one table of the rules of files, in the order given. The
// same files and options give the same bytes. It fails only if the rules are
// more than a table can hold; what is wrong with a rule is in Problems, and
// the rule is left out.
func Compile(files []*File, o Options) (*Result, error) {
	c := &compiler{o: o, strings: map[string]uint32{}, onceBits: map[string]uint16{}}
	c.str("")
	for _, f := range files {
		c.result.Problems = append(c.result.Problems, f.Problems...)
		if err := c.file(f); err != nil {
			return nil, err
		}
	}
	c.classes()
	table, err := c.bytes()
	if err != nil {
		return nil, err
	}
	c.result.Table = table
	return &c.result, nil
}

// line is a rule on its way into the table.
type line struct {
	file, number int
	flags        uint16
	target       int // line index, -1
	keys         []Key
	firstToken   int
}

type compiler struct {
	o        Options
	result   Result
	strings  map[string]uint32
	pool     []string
	files    []uint32
	lines    []line
	tokens   []byte
	patterns []byte
	segments []byte
	class    []byte
	lists    []byte
	index    []byte
	static   []byte
	onceBits map[string]uint16
}

// str gives the index of a string in the pool.
func (c *compiler) str(s string) uint32 {
	if i, ok := c.strings[s]; ok {
		return i
	}
	i := uint32(len(c.pool))
	c.strings[s] = i
	c.pool = append(c.pool, s)
	return i
}

// file adds the rules of one file. Rules that only carry a label leave no
// line behind: a GOTO to them leads to what follows.
func (c *compiler) file(f *File) error {
	if len(c.files) == 1<<16 {
		return fmt.Errorf("rules: more than %d files", 1<<16)
	}
	fileIndex := len(c.files)
	c.files = append(c.files, c.str(f.Name))
	start := len(c.lines)
	at := make([]int, len(f.Rules)+1) // line index of each rule
	var gotos []int                   // rule index of each line
	for i := range f.Rules {
		r := &f.Rules[i]
		at[i] = len(c.lines)
		keys, alive := c.adapt(f, r)
		if !alive {
			continue
		}
		l := line{file: fileIndex, number: r.Line, target: -1, keys: keys}
		for _, k := range keys {
			l.flags |= lineFlag(k.Kind)
		}
		if r.target >= 0 {
			l.flags |= tab.HasGoto
		}
		hasStatic := c.hasStatic(keys)
		if l.flags == 0 && !hasStatic {
			continue
		}
		if len(keys) >= 1<<16 {
			return fmt.Errorf("rules: %s:%d: more than %d keys", f.Name, r.Line, 1<<16-1)
		}
		c.lines = append(c.lines, l)
		gotos = append(gotos, i)
	}
	at[len(f.Rules)] = len(c.lines)
	for k, i := range gotos {
		if t := f.Rules[i].target; t >= 0 {
			c.lines[start+k].target = at[t]
		}
	}
	for i := start; i < len(c.lines); i++ {
		if err := c.line(i); err != nil {
			return fmt.Errorf("rules: %s:%d: %w", f.Name, c.lines[i].number, err)
		}
	}
	return nil
}

func (c *compiler) hasStatic(keys []Key) bool {
	for _, k := range keys {
		if k.Kind == tab.AStaticNode {
			return true
		}
	}
	return false
}

// adapt fits the keys of a rule to the target: names of users become
// numbers, programs that a builtin replaces become it, and what needs
// something that is not there is left out. alive is false if the rule can
// never apply because of that.
func (c *compiler) adapt(f *File, r *Rule) (keys []Key, alive bool) {
	alive = true
	for _, k := range r.Keys {
		switch k.Kind {
		case tab.AOwner, tab.AGroup:
			what, lookup := "user", c.o.User
			if k.Kind == tab.AGroup {
				what, lookup = "group", c.o.Group
			}
			if lookup == nil || strings.ContainsAny(k.Value, "$%[") {
				break
			}
			id, ok := lookup(k.Value)
			if !ok {
				c.problem(f, r.Line, Error, "there is no %s %q on the target; %s is ignored: create the %s, or give its number", what, k.Value, k.Name, what)
				continue
			}
			k.Kind += tab.AOwnerID - tab.AOwner
			k.Number = id
		case tab.MImportProgram, tab.MProgram, tab.ARunProgram:
			name := firstWord(k.Value)
			if c.o.ProgramBuiltin != nil && k.Kind != tab.MProgram {
				if b := c.o.ProgramBuiltin(name); b != "" {
					k.Value = b + k.Value[len(name):]
					if k.Kind == tab.ARunProgram {
						k.Kind = tab.ARunBuiltin
					} else {
						k.Kind = tab.MImportBuiltin
					}
					if keep, live := c.builtin(f, r, k); keep {
						keys = append(keys, k)
					} else {
						alive = alive && live
					}
					continue
				}
			}
			missing := c.o.Program != nil && !strings.ContainsAny(name, "$%") && !c.o.Program(name)
			c.result.Needs = append(c.result.Needs, Need{f.Name, r.Line, false, name, missing})
			if missing {
				alive = alive && absent(k)
				continue
			}
		case tab.MImportBuiltin, tab.ARunBuiltin:
			keep, live := c.builtin(f, r, k)
			if !keep {
				alive = alive && live
				continue
			}
		}
		keys = append(keys, k)
	}
	return keys, alive
}

// absent says whether a rule can still apply when the program or builtin of
// one of its keys is not there: what cannot be run has failed.
func absent(k Key) bool { return !k.Kind.IsMatch() || k.Op == tab.NoMatch }

// builtin notes the need of a builtin; keep is false if there is none.
func (c *compiler) builtin(f *File, r *Rule, k Key) (keep, alive bool) {
	name := firstWord(k.Value)
	known := udevBuiltin(name)
	if c.o.Builtin != nil {
		known = c.o.Builtin(name)
	}
	c.result.Needs = append(c.result.Needs, Need{f.Name, r.Line, true, name, !known})
	if known {
		return true, true
	}
	if !udevBuiltin(name) {
		names := make([]string, 0, len(builtins))
		for n := range builtins {
			names = append(names, n)
		}
		hint := ""
		if n := nearest(name, names); n != "" {
			hint = fmt.Sprintf("; is %s meant?", n)
		}
		c.problem(f, r.Line, Error, "%s: there is no builtin %q%s", k.Name, name, hint)
		return false, false
	}
	return false, absent(k)
}

func (c *compiler) problem(f *File, line int, s Severity, format string, args ...any) {
	c.result.Problems = append(c.result.Problems, Problem{f.Name, line, s, fmt.Sprintf(format, args...)})
}

// line writes the tokens of line i.
func (c *compiler) line(i int) error {
	l := &c.lines[i]
	l.firstToken = len(c.tokens) / tab.TokenSize
	st := [4]uint32{tab.NoID, tab.NoID, tab.NoID} // mode, uid, gid
	for _, k := range l.keys {
		var attr, value uint32
		var n, extra uint16
		var err error
		flags := k.Flags
		switch {
		case k.Kind.HasAttr() && flags&tab.AttrFormat != 0:
			attr, extra, err = c.format(k.Attr)
		case k.Kind.HasAttr():
			attr = c.str(k.Attr)
		default:
			attr = k.Number
		}
		if err != nil {
			return err
		}
		switch {
		case k.Kind.HasPatterns():
			value, n, err = c.alternatives(&k)
		case k.Kind.HasFormat():
			value, n, err = c.format(k.Value)
		case k.Kind.HasString():
			value = c.str(k.Value)
		}
		if err != nil {
			return err
		}
		switch k.Kind {
		case tab.MImportBuiltin:
			if name := firstWord(k.Value); builtins[name] {
				if c.onceBits[name] == 0 {
					if len(c.onceBits) == 64 {
						return fmt.Errorf("more than 64 builtins")
					}
					c.onceBits[name] = uint16(len(c.onceBits) + 1)
				}
				extra = c.onceBits[name]
			}
		case tab.AModeID:
			st[0] = k.Number
		case tab.AOwnerID:
			st[1] = k.Number
		case tab.AGroupID:
			st[2] = k.Number
		case tab.AStaticNode:
			c.static = appendU32(c.static, c.str(k.Value), st[0], st[1], st[2], uint32(i))
		}
		c.tokens = append(c.tokens, byte(k.Kind), byte(k.Op), k.Match, flags)
		c.tokens = appendU32(c.tokens, attr, value)
		c.tokens = binary.LittleEndian.AppendUint16(c.tokens, n)
		c.tokens = binary.LittleEndian.AppendUint16(c.tokens, extra)
	}
	return nil
}

func (c *compiler) alternatives(k *Key) (first uint32, n uint16, err error) {
	first = uint32(len(c.patterns) / tab.PatternSize)
	if len(k.Alts) >= 1<<16 {
		return 0, 0, fmt.Errorf("%s has more than %d alternatives", k.Name, 1<<16-1)
	}
	for _, a := range k.Alts {
		kind := uint32(tab.Exact)
		if k.isGlob() {
			kind = tab.Glob
			if head := literal(a); k.Flags&tab.Fold == 0 && a == head+"*" {
				kind, a = tab.Prefix, head
			} else if head == a {
				kind = tab.Exact
			}
		}
		c.patterns = appendU32(c.patterns, kind, c.str(a))
	}
	return first, uint16(len(k.Alts)), nil
}

func (c *compiler) format(value string) (first uint32, n uint16, err error) {
	segs, _ := segments(value) // what is wrong with it was said by the parser
	first = uint32(len(c.segments) / tab.SegmentSize)
	if len(segs) >= 1<<16 {
		return 0, 0, fmt.Errorf("a value has more than %d parts", 1<<16-1)
	}
	for _, s := range segs {
		plus := byte(0)
		if s.plus {
			plus = 1
		}
		v := s.number
		if s.kind != tab.SubResult {
			v = c.str(s.text)
		}
		c.segments = append(c.segments, s.kind, plus, 0, 0)
		c.segments = appendU32(c.segments, v)
	}
	return first, uint16(len(segs)), nil
}

// bytes puts the sections together.
func (c *compiler) bytes() ([]byte, error) {
	var pool, offsets, files, lines []byte
	for _, s := range c.pool {
		offsets = appendU32(offsets, uint32(len(pool)))
		pool = append(pool, s...)
	}
	offsets = appendU32(offsets, uint32(len(pool)))
	files = appendU32(files, c.files...)
	for _, l := range c.lines {
		target := uint32(tab.NoLine)
		if l.target >= 0 {
			target = uint32(l.target)
		}
		lines = appendU32(lines, uint32(l.firstToken))
		lines = binary.LittleEndian.AppendUint16(lines, uint16(len(l.keys)))
		lines = binary.LittleEndian.AppendUint16(lines, l.flags)
		lines = appendU32(lines, target)
		lines = binary.LittleEndian.AppendUint16(lines, uint16(l.file))
		lines = binary.LittleEndian.AppendUint16(lines, 0)
		lines = appendU32(lines, uint32(l.number))
	}
	sections := [tab.NumSections][]byte{pool, offsets, files, lines, c.tokens, c.patterns, c.segments, c.class, c.lists, c.index, c.static}
	out := append(make([]byte, 0, 1<<16), tab.Magic...)
	out = appendU32(out, tab.Version, 0)
	at := tab.HeaderSize
	for i, s := range sections {
		out = appendU32(out, uint32(at), uint32(len(s)/tab.RecordSize[i]))
		at += len(s)
	}
	for _, s := range sections {
		out = append(out, s...)
	}
	if len(out) > tab.MaxSize {
		return nil, fmt.Errorf("rules: the table has %d bytes, more than %d; use fewer rules", len(out), tab.MaxSize)
	}
	binary.LittleEndian.PutUint32(out[12:], crc32.ChecksumIEEE(out[16:]))
	return out, nil
}

func appendU32(b []byte, values ...uint32) []byte {
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return b
}
