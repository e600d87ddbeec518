// Package glob matches names against shell patterns the way udev's rules and
// modprobe's aliases do: fnmatch(3) with no flags, byte by byte.
//
// The whole language is here: "*", "?", "[a-z]", "[!a]" and "[^a]", the
// character classes of POSIX ("[[:digit:]]"), and a backslash that takes the
// next byte literally. "*" and "?" match '/' and a leading '.'. The package
// allocates nothing and keeps no state; its run time is bounded by the
// product of the two lengths.
package glob

// Match says whether all of s matches pattern. A bracket without its end
// stands for itself; a backslash at the end of the pattern matches nothing.
func Match(pattern, s string) bool { return match(pattern, s, false) }

// MatchFold is Match with ASCII letters of either case equal.
func MatchFold(pattern, s string) bool { return match(pattern, s, true) }

// EqualFold says whether a and b are equal but for the case of ASCII letters.
func EqualFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := 0; i < len(a); i++ {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

// Meta says whether pattern holds a character that makes it more than a
// literal string: one of "*?[".
func Meta(pattern string) bool {
	for i := 0; i < len(pattern); i++ {
		switch pattern[i] {
		case '*', '?', '[':
			return true
		}
	}
	return false
}

func match(p, s string, fold bool) bool {
	// The position to go back to: after the last star, with the shortest
	// text that star may still take. One level suffices, because a later
	// star makes every choice of an earlier one equivalent.
	backP, backS := -1, 0
	i, j := 0, 0
	for {
		if i < len(p) && p[i] == '*' {
			i++
			backP, backS = i, j
			continue
		}
		if j == len(s) {
			return i == len(p)
		}
		if i < len(p) {
			if n, ok := one(p[i:], s[j], fold); ok {
				i += n
				j++
				continue
			}
		}
		if backP < 0 {
			return false
		}
		backS++
		i, j = backP, backS
	}
}

// one matches the first element of p, which is not empty and no star, with
// c, and gives its length.
func one(p string, c byte, fold bool) (n int, ok bool) {
	switch p[0] {
	case '?':
		return 1, true
	case '\\':
		if len(p) == 1 {
			return 1, false
		}
		return 2, same(p[1], c, fold)
	case '[':
		if n, ok, closed := bracket(p, c, fold); closed {
			return n, ok
		}
	}
	return 1, same(p[0], c, fold)
}

func same(a, b byte, fold bool) bool {
	return a == b || fold && lower(a) == lower(b)
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// bracket matches the bracket expression at the start of p; closed is false
// if its end is missing.
func bracket(p string, c byte, fold bool) (n int, ok, closed bool) {
	typed := c // classes look at the byte as it is
	if fold {
		c = lower(c)
	}
	i := 1
	negate := false
	if i < len(p) && (p[i] == '!' || p[i] == '^') {
		negate = true
		i++
	}
	found := false
	for first := true; ; first = false {
		if i >= len(p) {
			return 0, false, false
		}
		if p[i] == ']' && !first {
			return i + 1, found != negate, true
		}
		if p[i] == '[' && i+1 < len(p) && p[i+1] == ':' {
			if name, size := class(p[i:]); size > 0 {
				if inClass(name, typed) {
					found = true
				}
				i += size
				continue
			}
		}
		lo := p[i]
		if lo == '\\' && i+1 < len(p) {
			i++
			lo = p[i]
		}
		i++
		hi := lo
		if i < len(p) && p[i] == '-' && !(i+1 < len(p) && p[i+1] == ']') {
			i++
			if i == len(p) { // a range without its end matches nothing at all
				return i, false, true
			}
			hi = p[i]
			if hi == '\\' && i+1 < len(p) {
				i++
				hi = p[i]
			}
			i++
		}
		if fold {
			lo, hi = lower(lo), lower(hi)
		}
		if lo <= c && c <= hi {
			found = true
		}
	}
}

// class takes "[:name:]" off the start of p.
func class(p string) (name string, size int) {
	for i := 2; i+1 < len(p); i++ {
		if p[i] == ':' && p[i+1] == ']' {
			return p[2:i], i + 2
		}
		if p[i] < 'a' || p[i] > 'z' {
			break
		}
	}
	return "", 0
}

// inClass is the C locale's ctype.
func inClass(name string, c byte) bool {
	letter := lower(c) >= 'a' && lower(c) <= 'z'
	digit := c >= '0' && c <= '9'
	switch name {
	case "alpha":
		return letter
	case "digit":
		return digit
	case "alnum":
		return letter || digit
	case "lower":
		return letter && c == lower(c)
	case "upper":
		return letter && c != lower(c)
	case "xdigit":
		return digit || lower(c) >= 'a' && lower(c) <= 'f'
	case "space":
		return c == ' ' || c >= '\t' && c <= '\r'
	case "blank":
		return c == ' ' || c == '\t'
	case "cntrl":
		return c < 0x20 || c == 0x7f
	case "print":
		return c >= 0x20 && c < 0x7f
	case "graph":
		return c > 0x20 && c < 0x7f
	case "punct":
		return c > 0x20 && c < 0x7f && !letter && !digit
	}
	return false
}
