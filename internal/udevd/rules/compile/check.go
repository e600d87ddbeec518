package compile

import (
	"strings"

	"firstlight/internal/udevd/rules/tab"
)

// delimiter looks at what stands between two keys.
func (f *File) delimiter(l logical, from, to int, more bool) {
	if !more {
		to = len(l.text)
	}
	gap := l.text[from:to]
	commas := strings.Count(gap, ",")
	switch {
	case from == 0:
		if commas > 0 {
			f.problem(l.number, Style, "the rule starts with a comma; remove it")
		}
	case !more:
		if commas > 0 {
			f.problem(l.number, Style, "the rule ends with a comma; remove it")
		}
	case commas == 0:
		f.problem(l.number, Style, "there is no comma before %q; put one between two keys", cut(l.text[to:], 16))
	case commas > 1:
		f.problem(l.number, Style, "there are %d commas before %q; one is enough", commas, cut(l.text[to:], 16))
	case isBlank(gap[0]):
		f.problem(l.number, Style, "there is a space before the comma that precedes %q; remove it", cut(l.text[to:], 16))
	case !isBlank(gap[len(gap)-1]):
		f.problem(l.number, Style, "there is no space after the comma that precedes %q; add one", cut(l.text[to:], 16))
	}
}

// resultFirst warns of a RESULT that stands before the PROGRAM which it looks
// as if it were about: it is looked at after it.
func resultFirst(f *File, line int, keys []Key) {
	seen := false
	for _, k := range keys {
		if k.Kind == tab.MResult {
			seen = true
		} else if seen && k.Kind == tab.MProgram {
			f.problem(line, Warning, "RESULT stands before PROGRAM but is looked at after it; move it there, or look at the older result in a rule of its own")
			return
		}
	}
}

// check looks for rules that cannot mean what they say.
func (f *File) check() {
	for i := range f.Rules {
		r := &f.Rules[i]
		if r.Label != "" && !r.used {
			f.problem(r.Line, Style, "no GOTO leads to LABEL=%q; remove it", r.Label)
		}
		twice, never := false, false
		for a := range r.Keys {
			for b := a + 1; b < len(r.Keys); b++ {
				x, y := &r.Keys[a], &r.Keys[b]
				switch {
				case x.Kind != y.Kind || x.Attr != y.Attr || x.Number != y.Number:
				case equalValue(x, y) && x.Op == y.Op && !twice:
					twice = true
					f.problem(r.Line, Warning, "%s stands twice with the same value; remove one", x.Name)
				case !x.Kind.HasPatterns() || never:
				case equalValue(x, y) && x.Op != y.Op, excludes(x, y):
					never = true
					f.problem(r.Line, Error, "%s%s%q and %s%s%q cannot both hold, so the rule never applies; alternatives are written KEY==\"one|other\"",
						x.Name, opText[x.Op], x.Value, y.Name, opText[y.Op], y.Value)
				}
			}
		}
	}
}

func equalValue(x, y *Key) bool {
	if x.Match != y.Match || x.Flags != y.Flags {
		return false
	}
	if !x.Kind.HasPatterns() || x.Match == tab.MatchEmpty || x.Match == tab.MatchSubsystem {
		return x.Match != 0 || x.Value == y.Value || x.Kind.HasPatterns()
	}
	return subset(x.Alts, y.Alts) && subset(y.Alts, x.Alts)
}

func subset(a, b []string) bool {
	for _, s := range a {
		found := false
		for _, t := range b {
			found = found || s == t
		}
		if !found {
			return false
		}
	}
	return true
}

// excludes says whether two "==" of the same thing have no string in common,
// as far as that can be seen without trying. Tags, links and the conditions
// on parents are sets: there several values can hold at once.
func excludes(x, y *Key) bool {
	if x.Op != tab.Match || y.Op != tab.Match || x.Match != tab.MatchAny || y.Match != tab.MatchAny || x.Flags != y.Flags {
		return false
	}
	switch x.Kind {
	case tab.MTag, tab.MTags, tab.MSymlink:
		return false
	}
	if x.isGlob() || y.isGlob() {
		for _, a := range x.Alts {
			for _, b := range y.Alts {
				p, q := literal(a), literal(b)
				n := min(len(p), len(q))
				if n == 0 || p[:n] == q[:n] {
					return false
				}
			}
		}
		return !(x.isGlob() != y.isGlob())
	}
	for _, a := range x.Alts {
		for _, b := range y.Alts {
			if a == b || x.Flags&tab.Fold != 0 && strings.EqualFold(a, b) {
				return false
			}
		}
	}
	return true
}

// literal is what a pattern starts with before its first special character.
func literal(pattern string) string {
	if i := strings.IndexAny(pattern, "*?[\\"); i >= 0 {
		return pattern[:i]
	}
	return pattern
}
