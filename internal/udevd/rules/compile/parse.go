package compile

import (
	"fmt"
	"slices"
	"strings"

	"firstlight/internal/udevd/glob"
	"firstlight/internal/udevd/rules/tab"
)

// File is a rules file that has been read.
type File struct {
	Name     string
	Rules    []Rule
	Problems []Problem
}

// Rule is one rule. Its keys are in the order in which they are looked at,
// which is not that of the text.
type Rule struct {
	Line   int
	Keys   []Key
	Label  string
	Goto   string
	target int // index in Rules of the rule with the label, -1 without
	used   bool
}

// Key is one condition or assignment.
type Key struct {
	Kind   tab.Kind
	Op     tab.Op
	Match  uint8    // tab.MatchEmpty … for match keys with patterns
	Flags  uint8    // tab.Fold …
	Attr   string   // what stands in {}
	Number uint32   // mode, uid, gid, priority (two's complement), level, switch
	Value  string   // as it is written
	Alts   []string // the alternatives of a match key
	Name   string   // the name of the key as it is written, with its {}
}

func (f *File) problem(line int, s Severity, format string, args ...any) {
	f.Problems = append(f.Problems, Problem{f.Name, line, s, fmt.Sprintf(format, args...)})
}

// Parse reads a rules file. It always gives a File: rules with errors are
// left out of it, as udevd does, and Problems says which and why.
func Parse(name string, text []byte) *File {
	f := &File{Name: name}
	for _, l := range f.logicalLines(string(text)) {
		f.rule(l)
	}
	f.link()
	f.check()
	slices.SortStableFunc(f.Problems, func(a, b Problem) int { return a.Line - b.Line })
	return f
}

// rule adds one rule.
func (f *File) rule(l logical) {
	r := Rule{Line: l.number, target: -1}
	hasGoto, hasLabel := false, false
	prev := 0
	for pos := 0; ; {
		it, ok, err := next(l.text, pos)
		if err != nil {
			f.problem(l.number, Error, "%v; the rule is left out", err)
			return
		}
		f.delimiter(l, prev, it.position, ok)
		if !ok {
			break
		}
		pos = it.end
		prev = it.end
		switch it.key {
		case "GOTO", "LABEL":
			if it.hasAttr || it.op != tab.Assign || it.value == "" {
				f.problem(l.number, Error, "%s takes the form %s=\"name\" only; the rule is left out", it.key, it.key)
				return
			}
			if it.key == "GOTO" {
				if hasGoto {
					f.problem(l.number, Warning, "the rule has a second GOTO, to %q, which is ignored; remove it", it.value)
					continue
				}
				r.Goto, hasGoto = it.value, true
				continue
			}
			if hasLabel {
				f.problem(l.number, Warning, "the rule has several LABELs, of which %q is ignored; remove it", r.Label)
			}
			r.Label, hasLabel = it.value, true
			continue
		}
		k, use := f.key(l.number, it)
		if !use.ok {
			f.problem(l.number, Error, "%s; the rule is left out", use.why)
			return
		}
		if use.why != "" {
			f.problem(l.number, Warning, "%s", use.why)
		}
		if !use.skip {
			r.Keys = append(r.Keys, k)
		}
	}
	if len(r.Keys) == 0 && !hasGoto && !hasLabel || onlyMatches(r.Keys) && !hasGoto && !hasLabel {
		f.problem(l.number, Warning, "the rule does nothing: it assigns nothing and has neither GOTO nor LABEL; it is left out")
		return
	}
	resultFirst(f, l.number, r.Keys)
	slices.SortStableFunc(r.Keys, func(a, b Key) int { return int(a.Kind) - int(b.Kind) })
	f.Rules = append(f.Rules, r)
}

func onlyMatches(keys []Key) bool {
	for _, k := range keys {
		if lineFlag(k.Kind) != 0 || k.Kind == tab.AStaticNode {
			return false
		}
	}
	return true
}

// lineFlag is what a key contributes to the flags of its line.
func lineFlag(k tab.Kind) uint16 {
	switch k {
	case tab.AName:
		return tab.HasName
	case tab.ASymlink, tab.AOwner, tab.AGroup, tab.AMode, tab.AOwnerID, tab.AGroupID, tab.AModeID:
		return tab.HasDevlink
	case tab.AStaticNode:
		return 0
	case tab.MProgram, tab.MImportFile, tab.MImportProgram, tab.MImportBuiltin, tab.MImportDB, tab.MImportCmdline, tab.MImportParent:
		return tab.HasUpdate
	}
	if !k.IsMatch() {
		return tab.HasUpdate
	}
	return 0
}

// link finds the label of each GOTO: the first after it in the same file.
func (f *File) link() {
	for i := range f.Rules {
		r := &f.Rules[i]
		if r.Goto == "" {
			continue
		}
		for j := i + 1; j < len(f.Rules); j++ {
			if f.Rules[j].Label == r.Goto {
				r.target = j
				f.Rules[j].used = true
				break
			}
		}
		if r.target >= 0 {
			continue
		}
		var labels []string
		before := false
		for j, other := range f.Rules {
			if other.Label == r.Goto {
				before = j <= i
			}
			if other.Label != "" && j > i {
				labels = append(labels, other.Label)
			}
		}
		hint := "add it, or remove the GOTO"
		if before {
			hint = "it stands before the GOTO, but GOTO only leads forward: move it"
		} else if n := nearest(r.Goto, labels); n != "" {
			hint = fmt.Sprintf("is %q meant?", n)
		}
		f.problem(r.Line, Error, "there is no LABEL=%q after this rule; the GOTO is ignored: %s", r.Goto, hint)
		r.Goto = ""
	}
}

// setPatterns splits the value of a match key into its alternatives.
func (k *Key) setPatterns() {
	switch v := k.Value; {
	case k.Kind == tab.MSubsystem && (v == "subsystem" || v == "bus" || v == "class"):
		k.Match = tab.MatchSubsystem
	case v == "":
		k.Match = tab.MatchEmpty
	case v == "?*":
		k.Match = tab.MatchEmpty
		k.Op ^= tab.NoMatch // "anything" is "not empty"
	default:
		k.Match = tab.MatchAny
		for alt := range strings.SplitSeq(v, "|") {
			if alt == "" {
				k.Match = tab.MatchAnyEmpty
				continue
			}
			k.Alts = append(k.Alts, alt)
		}
		if len(k.Alts) == 0 {
			k.Match = tab.MatchEmpty
		}
	}
}

// isGlob says whether the alternatives are to be read as shell patterns: all
// of them are if one is.
func (k *Key) isGlob() bool { return glob.Meta(k.Value) }

// matches says what the key says of the value s.
func (k *Key) matches(s string) bool {
	found := false
	switch k.Match {
	case tab.MatchEmpty:
		found = s == ""
	case tab.MatchSubsystem:
		for _, n := range [...]string{"subsystem", "bus", "class"} {
			found = found || s == n || k.Flags&tab.Fold != 0 && glob.EqualFold(s, n)
		}
	default:
		found = k.Match == tab.MatchAnyEmpty && s == ""
		for _, a := range k.Alts {
			switch {
			case found:
			case k.isGlob() && k.Flags&tab.Fold != 0:
				found = glob.MatchFold(a, s)
			case k.isGlob():
				found = glob.Match(a, s)
			case k.Flags&tab.Fold != 0:
				found = glob.EqualFold(a, s)
			default:
				found = a == s
			}
		}
	}
	return found == (k.Op == tab.Match)
}
