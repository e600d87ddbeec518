// Package blktext turns the text in superblocks and partition tables into
// UTF-8 and into the forms in which udev and blkid(8) print it.
package blktext

import (
	"unicode/utf8"
)

// Encoding is how a text is stored.
type Encoding int

// The encodings of superblocks.
const (
	UTF16LE Encoding = iota
	UTF16BE
	Latin1
)

// Decode returns the stored text as UTF-8, up to its first NUL. An unpaired
// surrogate becomes three bytes of its own, as libblkid has it: such a
// string is not valid UTF-8, and Safe and Encode treat it so.
func Decode(b []byte, enc Encoding) string {
	out := make([]byte, 0, len(b)*2)
	unit := func(i int) rune {
		if enc == UTF16LE {
			return rune(b[i]) | rune(b[i+1])<<8
		}
		return rune(b[i])<<8 | rune(b[i+1])
	}
	for i := 0; i < len(b); {
		var c rune
		if enc == Latin1 {
			c = rune(b[i])
			i++
		} else {
			if i+2 > len(b) {
				break
			}
			c = unit(i)
			i += 2
			if c >= 0xd800 && c <= 0xdbff && i+2 <= len(b) {
				if low := unit(i); low >= 0xdc00 && low <= 0xdfff {
					c = 0x10000 + (c-0xd800)<<10 + (low - 0xdc00)
					i += 2
				}
			}
		}
		if c == 0 {
			break
		}
		if c >= 0xd800 && c <= 0xdfff {
			out = append(out, 0xe0|byte(c>>12), 0x80|byte(c>>6)&0xbf, 0x80|byte(c)&0x3f)
			continue
		}
		out = utf8.AppendRune(out, c)
	}
	return string(out)
}

// CString returns the bytes up to the first NUL.
func CString(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}

// IsSpace says whether c is white space in the C locale.
func IsSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// TrimRight removes white space at the end.
func TrimRight(s string) string {
	for s != "" && IsSpace(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

// Trim removes white space at both ends.
func Trim(s string) string {
	s = TrimRight(s)
	for s != "" && IsSpace(s[0]) {
		s = s[1:]
	}
	return s
}

// maxText is the longest text in bytes that udev prints of a property.
const maxText = 255

// Safe returns s as udev puts it into ID_FS_LABEL and the like: white space
// trimmed and runs of it folded, each remaining blank, and each byte that is
// not valid UTF-8, replaced by '_'.
func Safe(s string) string {
	norm := make([]byte, 0, min(len(s), maxText))
	blank := false
	for i := 0; i < len(s) && len(norm) < maxText; i++ {
		if IsSpace(s[i]) {
			if !blank && len(norm) > 0 {
				norm = append(norm, s[i])
			}
			blank = true
			continue
		}
		blank = false
		norm = append(norm, s[i])
	}
	if blank && len(norm) > 0 {
		norm = norm[:len(norm)-1]
	}
	for i := 0; i < len(norm); {
		switch n := charLen(norm[i:]); {
		case IsSpace(norm[i]) || n == 0:
			norm[i] = '_'
			i++
		default:
			i += n
		}
	}
	return string(norm)
}

// Encode returns s as udev puts it into ID_FS_LABEL_ENC and the names of
// links: everything but letters, digits, "#+-.:=@_" and multi-byte UTF-8 as
// \x and two hexadecimal digits. What goes beyond udev's 255 bytes is cut
// off between characters.
func Encode(s string) string {
	const hex = "0123456789abcdef"
	out := make([]byte, 0, len(s)+len(s)/2)
	for i := 0; i < len(s); {
		n := charLen([]byte(s[i:min(len(s), i+utf8.UTFMax)]))
		c := s[i]
		switch {
		case n > 1:
			if len(out)+n > maxText {
				return string(out)
			}
			out = append(out, s[i:i+n]...)
			i += n
			continue
		case plain(c):
			if len(out)+1 > maxText {
				return string(out)
			}
			out = append(out, c)
		default:
			if len(out)+4 > maxText {
				return string(out)
			}
			out = append(out, '\\', 'x', hex[c>>4], hex[c&15])
		}
		i++
	}
	return string(out)
}

func plain(c byte) bool {
	switch {
	case c >= '0' && c <= '9', c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z':
		return true
	}
	switch c {
	case '#', '+', '-', '.', ':', '=', '@', '_':
		return true
	}
	return false
}

// charLen is the length of the character at the start of b, or 0 when it is
// not one that libblkid takes for valid: noncharacters are not.
func charLen(b []byte) int {
	r, n := utf8.DecodeRune(b)
	if r == utf8.RuneError && n <= 1 || r >= 0xfdd0 && r <= 0xfdef || r&0xffff == 0xffff {
		return 0
	}
	return n
}

// Export returns s as blkid -o export prints a value: control characters as
// ^X, bytes above 127 with M- before them, and a backslash before what a
// shell would take apart.
func Export(s string) string {
	out := make([]byte, 0, len(s)+8)
	for i := range len(s) {
		c := s[i]
		if c >= 128 {
			out = append(out, 'M', '-')
			c -= 128
		}
		switch {
		case c < 32 || c == 127:
			out = append(out, '^')
			c ^= 0x40
		case c == ' ' || c == '\\' || c == '"' || c == '\'' || c == '$' || c == '`' || c == '<' || c == '>':
			out = append(out, '\\')
		}
		out = append(out, c)
	}
	return string(out)
}
