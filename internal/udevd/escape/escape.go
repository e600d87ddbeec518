// Package escape makes names that are safe in /dev out of strings that
// devices and disks report, in the ways that udev defines, so that the links
// come out the same byte for byte.
package escape

import (
	"strings"
	"unicode/utf8"
)

// Input is the set of further characters that udev lets pass in attribute
// values and program output before they are used in a rule.
const Input = "/ $%?,"

// Space says whether c is white space as C's isspace has it.
func Space(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// Plain says whether c may stand in a device node's name unchanged: ASCII
// letters and digits and "#+-.:=@_".
func Plain(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return true
	}
	return strings.IndexByte("#+-.:=@_", c) >= 0
}

// Chars replaces by '_' every byte of s that is neither Plain nor in allow,
// nor part of a valid UTF-8 sequence of more than one byte, nor the start of
// a "\x" escape. If allow has a space then other white space becomes one.
func Chars(s, allow string) string {
	var b []byte // made when the first byte changes
	for i := 0; i < len(s); {
		c := s[i]
		if Plain(c) || strings.IndexByte(allow, c) >= 0 {
			i++
			continue
		}
		if c == '\\' && i+1 < len(s) && s[i+1] == 'x' {
			i += 2
			continue
		}
		if n := sequence(s[i:]); n > 1 {
			i += n
			continue
		}
		if b == nil {
			b = []byte(s)
		}
		if Space(c) && strings.IndexByte(allow, ' ') >= 0 {
			b[i] = ' '
		} else {
			b[i] = '_'
		}
		i++
	}
	if b == nil {
		return s
	}
	return string(b)
}

// Whitespace removes white space at both ends and replaces each run of it in
// between by one '_'.
func Whitespace(s string) string {
	for len(s) > 0 && Space(s[0]) {
		s = s[1:]
	}
	for len(s) > 0 && Space(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	for i := 0; i < len(s); i++ {
		if Space(s[i]) {
			return collapse(s, i)
		}
	}
	return s
}

func collapse(s string, i int) string {
	b := append(make([]byte, 0, len(s)), s[:i]...)
	for ; i < len(s); i++ {
		switch {
		case !Space(s[i]):
			b = append(b, s[i])
		case !Space(s[i-1]):
			b = append(b, '_')
		}
	}
	return string(b)
}

// Encode writes every byte that is not Plain, and the backslash, as "\xHH"
// with lower case digits; valid UTF-8 sequences of more than one byte stay.
// It is what ID_FS_LABEL_ENC and ID_VENDOR_ENC hold.
func Encode(s string) string {
	const digits = "0123456789abcdef"
	var b []byte
	for i := 0; i < len(s); {
		if n := sequence(s[i:]); n > 1 {
			if b != nil {
				b = append(b, s[i:i+n]...)
			}
			i += n
			continue
		}
		if c := s[i]; !Plain(c) {
			if b == nil {
				b = append(make([]byte, 0, 2*len(s)+4), s[:i]...)
			}
			b = append(b, '\\', 'x', digits[c>>4], digits[c&15])
		} else if b != nil {
			b = append(b, c)
		}
		i++
	}
	if b == nil {
		return s
	}
	return string(b)
}

// sequence gives the length of the valid UTF-8 sequence at the start of s,
// or 0. Noncharacters count as invalid.
func sequence(s string) int {
	if s[0] < utf8.RuneSelf {
		return 1
	}
	r, n := utf8.DecodeRuneInString(s)
	if r == utf8.RuneError && n == 1 || r >= 0xfdd0 && r <= 0xfdef || r&0xfffe == 0xfffe {
		return 0
	}
	return n
}
