package kmod

import "strings"

// byteSet is a set of bytes.
type byteSet [4]uint64

func (b *byteSet) add(c byte)      { b[c>>6] |= 1 << (c & 63) }
func (b *byteSet) has(c byte) bool { return b[c>>6]&(1<<(c&63)) != 0 }
func (b *byteSet) addRange(lo, hi byte) { // nothing if lo > hi
	for c := int(lo); c <= int(hi); c++ {
		b.add(byte(c))
	}
}

// append writes the set as a bracket token: '[', a count, and as many pairs
// of first and last byte. A text never holds NUL, so the set does not either;
// there are then at most 128 pairs.
func (b *byteSet) append(code []byte) []byte {
	code = append(code, '[', 0)
	count := len(code) - 1
	for c := 1; c < 256; c++ {
		if !b.has(byte(c)) {
			continue
		}
		lo := c
		for c < 255 && b.has(byte(c+1)) {
			c++
		}
		code = append(code, byte(lo), byte(c))
		code[count]++
	}
	return code
}

// parseBracket parses the bracket expression at the start of p, which begins
// with '['. ok is false if it is none: then the '[' stands for itself. n is
// its length in bytes, or 0 for an expression for which fnmatch(3) matches
// nothing at all (an unknown class).
func parseBracket(p string) (set byteSet, n int, ok bool) {
	i := 1
	negated := i < len(p) && (p[i] == '!' || p[i] == '^')
	if negated {
		i++
	}
	dead := false
	for first := true; ; first = false {
		if i >= len(p) {
			return byteSet{}, 0, false
		}
		if p[i] == ']' && !first {
			i++
			break
		}
		if name, size := bracketName(p[i:], ':'); size > 0 {
			if !set.addClass(name) {
				dead = true
			}
			i += size
			continue
		}
		if name, size := bracketName(p[i:], '='); size > 0 {
			if len(name) == 1 {
				set.add(name[0])
			} else {
				dead = true
			}
			i += size
			continue
		}
		lo, size, good := bracketElement(p[i:])
		if size == 0 {
			return byteSet{}, 0, false
		}
		dead = dead || !good
		i += size
		if i+1 < len(p) && p[i] == '-' && p[i+1] != ']' {
			hi, size, good := bracketElement(p[i+1:])
			if size == 0 {
				return byteSet{}, 0, false
			}
			dead = dead || !good
			i += 1 + size
			set.addRange(lo, hi)
			continue
		}
		set.add(lo)
	}
	if dead {
		return byteSet{}, 0, true
	}
	if negated {
		for j := range set {
			set[j] = ^set[j]
		}
	}
	return set, i, true
}

// bracketElement reads one end of a range: a byte, an escaped byte, or a
// collating element [.x.]. size is 0 if the text ends too early; good is
// false for a collating element that the C locale does not have.
func bracketElement(p string) (c byte, size int, good bool) {
	if name, size := bracketName(p, '.'); size > 0 {
		if len(name) != 1 {
			return 0, size, false
		}
		return name[0], size, true
	}
	if p[0] == '\\' {
		if len(p) < 2 {
			return 0, 0, false
		}
		return p[1], 2, true
	}
	return p[0], 1, true
}

// bracketName reads "[:name:]" (or with another mark) at the start of p; size
// is 0 if there is none.
func bracketName(p string, mark byte) (name string, size int) {
	if len(p) < 2 || p[0] != '[' || p[1] != mark {
		return "", 0
	}
	end := strings.Index(p[2:], string([]byte{mark, ']'}))
	if end < 0 {
		return "", 0
	}
	return p[2 : 2+end], end + 4
}

// addClass adds a character class of the C locale; false if it is unknown.
func (b *byteSet) addClass(name string) bool {
	switch name {
	case "alpha":
		b.addRange('a', 'z')
		b.addRange('A', 'Z')
	case "digit":
		b.addRange('0', '9')
	case "alnum":
		b.addClass("alpha")
		b.addClass("digit")
	case "lower":
		b.addRange('a', 'z')
	case "upper":
		b.addRange('A', 'Z')
	case "xdigit":
		b.addRange('0', '9')
		b.addRange('a', 'f')
		b.addRange('A', 'F')
	case "space":
		b.add(' ')
		b.addRange('\t', '\r')
	case "blank":
		b.add(' ')
		b.add('\t')
	case "cntrl":
		b.addRange(1, 31)
		b.add(127)
	case "graph":
		b.addRange(33, 126)
	case "print":
		b.addRange(32, 126)
	case "punct":
		b.addRange('!', '/')
		b.addRange(':', '@')
		b.addRange('[', '`')
		b.addRange('{', '~')
	default:
		return false
	}
	return true
}
