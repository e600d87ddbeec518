package kmod

import (
	"errors"
	"strings"
)

// maxAlias is the longest alias that kmod handles, in bytes: PATH_MAX without
// the terminating NUL. Longer ones are cut.
const maxAlias = 4095

// ErrBracket is returned for a pattern, or a name that is looked up, whose
// brackets do not pair up. kmod refuses those.
var ErrBracket = errors.New("unmatched bracket")

// NormalizeName returns a module's name as the kernel knows it: with each '-'
// replaced by '_'.
func NormalizeName(name string) string { return strings.ReplaceAll(name, "-", "_") }

// NormalizeAlias returns an alias, or a pattern of aliases, as kmod compares
// them: each '-' outside brackets becomes '_'. It fails with ErrBracket where
// brackets do not pair up.
func NormalizeAlias(alias string) (string, error) {
	if len(alias) > maxAlias {
		alias = alias[:maxAlias]
	}
	if strings.IndexByte(alias, '-') < 0 && strings.IndexByte(alias, '[') < 0 && strings.IndexByte(alias, ']') < 0 {
		return alias, nil
	}
	var out []byte // made at the first change
	for i := 0; i < len(alias); i++ {
		switch alias[i] {
		case '-':
			if out == nil {
				out = []byte(alias)
			}
			out[i] = '_'
		case ']':
			return "", ErrBracket
		case '[':
			n := strings.IndexByte(alias[i:], ']')
			if n < 0 {
				return "", ErrBracket
			}
			i += n
		}
	}
	if out == nil {
		return alias, nil
	}
	return string(out), nil
}

// Pattern is a compiled fnmatch(3) pattern without flags, as kmod uses it:
// '*' and '?' match any byte, '/' and a leading '.' too; brackets hold bytes,
// ranges, classes such as [:digit:], and are negated by '!' or '^'; '\\' takes
// the meaning from the byte after it. Bytes are compared as in the C locale.
// The zero value matches the empty string.
type Pattern struct {
	code  string
	never bool
}

// CompilePattern compiles a pattern. Any text is a valid pattern: what cannot
// be understood stands for itself, as in fnmatch(3).
func CompilePattern(pattern string) Pattern {
	code, ok := compile(nil, pattern)
	return Pattern{string(code), !ok}
}

// Match says whether the pattern matches the whole of s.
func (p Pattern) Match(s string) bool { return !p.never && matchCode(p.code, s) }

// compileIndexed compiles a pattern of modules.alias. depmod puts those into
// a tree in which the bytes up to the first wildcard are compared as they
// are, so that '\\' means nothing special there.
func compileIndexed(pattern string) (code []byte, ok bool) {
	n := strings.IndexAny(pattern, "*?[")
	if n < 0 {
		n = len(pattern)
	}
	for i := range n {
		code = appendLiteral(code, pattern[i])
	}
	return compile(code, pattern[n:])
}

// compile appends the code of pattern. A pattern that can match nothing (it
// ends in a single '\\') is not ok.
func compile(code []byte, pattern string) ([]byte, bool) {
	star := false // the last token is '*'; another says no more
	for i := 0; i < len(pattern); i++ {
		again := star
		star = false
		switch c := pattern[i]; c {
		case '*':
			if star = true; !again {
				code = append(code, '*')
			}
		case '?':
			code = append(code, '?')
		case '\\':
			if i++; i == len(pattern) {
				return nil, false
			}
			code = appendLiteral(code, pattern[i])
		case '[':
			set, n, ok := parseBracket(pattern[i:])
			if !ok {
				code = appendLiteral(code, '[')
				break
			}
			if n == 0 { // kmod's fnmatch gives up here
				return nil, false
			}
			i += n - 1
			code = set.append(code)
		default:
			code = appendLiteral(code, c)
		}
	}
	return code, true
}

func appendLiteral(code []byte, c byte) []byte {
	if special(c) {
		return append(code, '\\', c)
	}
	return append(code, c)
}

// special says whether a token that begins with c is not just that byte.
func special(c byte) bool { return c == '*' || c == '?' || c == '[' || c == '\\' }

// tokenLen is the length of the first token of code, in bytes; code is not
// empty. The result may exceed len(code) if the code is damaged.
func tokenLen(code string) int {
	switch code[0] {
	case '\\':
		return 2
	case '[':
		if len(code) < 2 {
			return 2
		}
		return 2 + 2*int(code[1])
	}
	return 1
}

// matchOne says whether the token at the start of code, which is not '*',
// matches c.
func matchOne(code string, c byte) bool {
	switch code[0] {
	case '?':
		return true
	case '\\':
		return len(code) > 1 && code[1] == c
	case '[':
		n := tokenLen(code)
		if n > len(code) {
			return false
		}
		for i := 2; i+1 < n; i += 2 {
			if code[i] <= c && c <= code[i+1] {
				return true
			}
		}
		return false
	}
	return code[0] == c
}

// matchCode matches compiled pattern text against the whole of s. Only the
// last '*' is ever taken back: the part before it has matched at its earliest
// place, and no later place could help what follows.
func matchCode(code, s string) bool {
	var starCode, starText string
	star := false
	for {
		switch {
		case code != "" && code[0] == '*':
			code = code[1:]
			if code == "" {
				return true
			}
			starCode, starText, star = code, s, true
			continue
		case code == "" && s == "":
			return true
		case code != "" && s != "" && matchOne(code, s[0]):
			n := tokenLen(code)
			if n > len(code) {
				return false
			}
			code, s = code[n:], s[1:]
			continue
		}
		if !star || starText == "" {
			return false
		}
		starText = starText[1:]
		if c := starCode[0]; !special(c) {
			n := strings.IndexByte(starText, c)
			if n < 0 {
				return false
			}
			starText = starText[n:]
		}
		code, s = starCode, starText
	}
}
