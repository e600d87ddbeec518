package mpathconf

import "strings"

// steps bounds how long a pattern is tried.
const steps = 100_000

// matches says whether an extended regular expression, as far as lists of disks
// use them, matches somewhere in a text: characters, ".", classes, groups with
// alternatives, "*", "+", "?", "^" and "$". "*" alone fits all, and a "!" in
// front turns the answer around, as multipath-tools have it. One that is not
// understood matches nothing.
func matches(pattern, text string) bool {
	if rest, ok := strings.CutPrefix(pattern, "!"); ok {
		return !matches(rest, text)
	}
	if pattern == "*" {
		return true
	}
	m := &matcher{text: text, left: steps}
	for at := 0; at <= len(text); at++ {
		if m.alternatives(pattern, at, func(int) bool { return true }) {
			return true
		}
	}
	return false
}

type matcher struct {
	text string
	left int
}

// alternatives tries each of what stands between the bars of a pattern.
func (m *matcher) alternatives(pattern string, at int, next func(int) bool) bool {
	depth, start := 0, 0
	for i := 0; i <= len(pattern); i++ {
		if i == len(pattern) || pattern[i] == '|' && depth == 0 {
			if m.sequence(pattern[start:i], at, next) {
				return true
			}
			start = i + 1
			continue
		}
		switch pattern[i] {
		case '\\':
			i++
		case '[':
			i += classEnd(pattern[i:]) - 1
		case '(':
			depth++
		case ')':
			depth--
		}
	}
	return false
}

// classEnd is the length of a class that a pattern begins with.
func classEnd(p string) int {
	i := 1
	if i < len(p) && p[i] == '^' {
		i++
	}
	if i < len(p) && p[i] == ']' {
		i++
	}
	for i < len(p) && p[i] != ']' {
		i++
	}
	return min(i+1, len(p))
}

// sequence tries a pattern without bars of its own.
func (m *matcher) sequence(p string, at int, next func(int) bool) bool {
	if m.left--; m.left < 0 {
		return false
	}
	if p == "" {
		return next(at)
	}
	switch p[0] {
	case '^':
		return at == 0 && m.sequence(p[1:], at, next)
	case '$':
		return at == len(m.text) && m.sequence(p[1:], at, next)
	}
	n := 1
	switch p[0] {
	case '\\':
		n = min(2, len(p))
	case '[':
		n = classEnd(p)
	case '(':
		if n = groupEnd(p); n == 0 {
			return false
		}
	case '*', '+', '?', ')', '{':
		return false
	}
	atom, rest := p[:n], p[n:]
	least, most := 1, 1
	if rest != "" {
		switch rest[0] {
		case '*':
			least, most, rest = 0, len(m.text), rest[1:]
		case '+':
			least, most, rest = 1, len(m.text), rest[1:]
		case '?':
			least, most, rest = 0, 1, rest[1:]
		}
	}
	return m.repeat(atom, least, most, at, func(to int) bool { return m.sequence(rest, to, next) })
}

func groupEnd(p string) int {
	depth := 0
	for i := 0; i < len(p); i++ {
		switch p[i] {
		case '\\':
			i++
		case '[':
			i += classEnd(p[i:]) - 1
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return 0
}

// repeat tries an atom as often as may be.
func (m *matcher) repeat(atom string, least, most, at int, next func(int) bool) bool {
	if m.left--; m.left < 0 {
		return false
	}
	if most > 0 && m.one(atom, at, func(to int) bool {
		return (to > at || least > 0) && m.repeat(atom, max(least-1, 0), most-1, to, next)
	}) {
		return true
	}
	return least == 0 && next(at)
}

func (m *matcher) one(atom string, at int, next func(int) bool) bool {
	if atom[0] == '(' {
		return m.alternatives(atom[1:len(atom)-1], at, next)
	}
	if at >= len(m.text) {
		return false
	}
	c := m.text[at]
	fits := c == atom[len(atom)-1]
	switch {
	case atom == ".":
		fits = true
	case atom[0] == '[' && len(atom) > 2:
		fits = inClass(atom[1:len(atom)-1], c)
	}
	return fits && next(at+1)
}

func inClass(class string, c byte) bool {
	rest, not := strings.CutPrefix(class, "^")
	found := false
	for i := 0; i < len(rest); i++ {
		if i+2 < len(rest) && rest[i+1] == '-' {
			found = found || c >= rest[i] && c <= rest[i+2]
			i += 2
			continue
		}
		found = found || c == rest[i]
	}
	return found != not
}
