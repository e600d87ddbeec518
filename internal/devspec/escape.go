package devspec

import "strings"

// unquote takes one pair of quotes off, as fstab's and the kernel's readers
// of LABEL="a b" do.
func unquote(s string) string {
	if len(s) >= 2 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] {
		return s[1 : len(s)-1]
	}
	return s
}

// decode resolves udev's \xNN, in which names of links and blkid's *_ENC
// properties are written. Anything else stays as it is.
func decode(s string) string { return unescape(s, `\x`) }

func unescape(s, mark string) string {
	i := strings.Index(s, mark)
	if i < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i >= 0 {
		b.WriteString(s[:i])
		s = s[i:]
		n := len(mark)
		if len(s) >= n+2 {
			hi, ok1 := hexDigit(s[n])
			lo, ok2 := hexDigit(s[n+1])
			if c := hi<<4 | lo; ok1 && ok2 && c != 0 {
				b.WriteByte(c)
				s = s[n+2:]
				i = strings.Index(s, mark)
				continue
			}
		}
		b.WriteString(s[:n])
		s = s[n:]
		i = strings.Index(s, mark)
	}
	b.WriteString(s)
	return b.String()
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// escape is the inverse of decode for what could not be read back or would
// upset a terminal: controls, quotes, backslashes, and blanks unless they are
// to be kept. UTF-8 stays.
func escape(s string, keepBlanks bool) string {
	const digits = "0123456789abcdef"
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c < ' ' || c == 0x7f || c == '"' || c == '\'' || c == '\\' || c == ' ' && !keepBlanks {
			b.WriteString(`\x`)
			b.WriteByte(digits[c>>4])
			b.WriteByte(digits[c&15])
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}
