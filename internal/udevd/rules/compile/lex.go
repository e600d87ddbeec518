package compile

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"firstlight/internal/udevd/rules/tab"
)

// maxLine bounds one rule with its continuations, in bytes, as udev does.
const maxLine = 16384

// logical is a rule as it is written: lines joined, comments gone.
type logical struct {
	number int
	text   string
}

// logicalLines joins continued lines. A comment line is left out even in the
// middle of a continued one.
func (f *File) logicalLines(text string) []logical {
	var out []logical
	var cont strings.Builder
	start, long := 0, false
	number := 0
	for raw := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		number++
		line := strings.TrimLeft(strings.TrimSuffix(raw, "\r"), " \t\n\r")
		if strings.HasPrefix(line, "#") {
			continue
		}
		if start == 0 {
			start = number
		}
		more := strings.HasSuffix(line, "\\")
		line = strings.TrimSuffix(line, "\\")
		if cont.Len()+len(line) >= maxLine {
			long = true
		}
		if !long {
			cont.WriteString(line)
		}
		if more {
			continue
		}
		if long {
			f.problem(start, Error, "the rule is longer than %d bytes and is left out; split it into several", maxLine)
		} else if cont.Len() > 0 {
			out = append(out, logical{start, cont.String()})
		}
		cont.Reset()
		start, long = 0, false
	}
	if start != 0 {
		f.problem(start, Error, "the file ends after a line that ends with a backslash; the rule is left out: remove the backslash, or add what is missing")
	}
	return out
}

// item is one key of a rule as it is written.
type item struct {
	key      string
	attr     string
	hasAttr  bool
	op       tab.Op
	value    string
	fold     bool
	position int // of the key in the rule
	end      int
}

const blank = " \t\n\r"

func isBlank(c byte) bool { return strings.IndexByte(blank, c) >= 0 }

// next takes the next item off text, which starts at position pos of the
// rule. ok is false at the end.
func next(text string, pos int) (it item, ok bool, err error) {
	i := pos
	for i < len(text) && (isBlank(text[i]) || text[i] == ',') {
		i++
	}
	if i == len(text) {
		return item{}, false, nil
	}
	it.position = i
	start := i
	for ; ; i++ {
		if i == len(text) {
			return it, false, fmt.Errorf("%q has no operator and value; write KEY==\"value\" or KEY=\"value\"", text[start:])
		}
		c := text[i]
		if isBlank(c) || c == '=' || c == '{' {
			break
		}
		if strings.IndexByte("+-!:", c) >= 0 && i+1 < len(text) && text[i+1] == '=' {
			break
		}
	}
	it.key = text[start:i]
	if text[i] == '{' {
		end := strings.IndexByte(text[i:], '}')
		if end < 0 {
			return it, false, fmt.Errorf("the brace after %s is not closed; add '}'", it.key)
		}
		it.attr, it.hasAttr = text[i+1:i+end], true
		i += end + 1
	}
	for i < len(text) && isBlank(text[i]) {
		i++
	}
	size := 2
	switch rest := text[i:]; {
	case strings.HasPrefix(rest, "=="):
		it.op = tab.Match
	case strings.HasPrefix(rest, "!="):
		it.op = tab.NoMatch
	case strings.HasPrefix(rest, "+="):
		it.op = tab.Add
	case strings.HasPrefix(rest, "-="):
		it.op = tab.Remove
	case strings.HasPrefix(rest, ":="):
		it.op = tab.Final
	case strings.HasPrefix(rest, "="):
		it.op, size = tab.Assign, 1
	default:
		return it, false, fmt.Errorf("%s has no operator; one of == != = += -= := has to follow it", it.key)
	}
	i += size
	for i < len(text) && isBlank(text[i]) {
		i++
	}
	it.value, it.fold, i, err = quoted(text, i)
	if err != nil {
		return it, false, fmt.Errorf("the value of %s: %w", it.key, err)
	}
	it.end = i
	return it, true, nil
}

// quoted reads a value in double quotes with its prefixes.
func quoted(text string, i int) (value string, fold bool, end int, err error) {
	escaped := false
	for range 2 {
		if i < len(text) && text[i] == 'e' && !escaped {
			escaped = true
			i++
		} else if i < len(text) && text[i] == 'i' && !fold {
			fold = true
			i++
		}
	}
	if i >= len(text) || text[i] != '"' {
		return "", false, i, fmt.Errorf("it has to be in double quotes (with e, i or both before them if wanted)")
	}
	i++
	start := i
	if escaped {
		for ; i < len(text) && text[i] != '"'; i++ {
			if text[i] == '\\' {
				i++
			}
		}
		if i >= len(text) {
			return "", false, i, fmt.Errorf("the closing quote is missing")
		}
		value, err = unescape(text[start:i])
		return value, fold, i + 1, err
	}
	var b []byte
	for ; ; i++ {
		if i >= len(text) {
			return "", false, i, fmt.Errorf("the closing quote is missing")
		}
		if text[i] == '"' {
			return string(b), fold, i + 1, nil
		}
		if text[i] == '\\' && i+1 < len(text) && text[i+1] == '"' {
			i++
		}
		b = append(b, text[i])
	}
}

// unescape resolves the C escapes of an e"…" value.
func unescape(s string) (string, error) {
	const letters, bytes = "abfnrtv\\\"'s", "\a\b\f\n\r\t\v\\\"' "
	var b []byte
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b = append(b, s[i])
			continue
		}
		i++
		if i == len(s) {
			return "", fmt.Errorf("a backslash at its end escapes nothing; write \\\\")
		}
		if k := strings.IndexByte(letters, s[i]); k >= 0 {
			b = append(b, bytes[k])
			continue
		}
		digits, base := 0, 16
		skip := 1
		switch c := s[i]; {
		case c == 'x':
			digits = 2
		case c == 'u':
			digits = 4
		case c == 'U':
			digits = 8
		case c >= '0' && c <= '7':
			digits, base, skip = 3, 8, 0
		default:
			return "", fmt.Errorf("unknown escape \\%c; in e\"…\" a backslash itself is written \\\\", c)
		}
		n, err := number(s[i+skip:], digits, base)
		if err != nil {
			return "", err
		}
		switch {
		case n == 0:
			return "", fmt.Errorf("an escape gives a zero byte, which no value can hold")
		case s[i] == 'u' || s[i] == 'U':
			if n > utf8.MaxRune || !utf8.ValidRune(rune(n)) {
				return "", fmt.Errorf("\\%s is no Unicode character", s[i:i+1+digits])
			}
			b = utf8.AppendRune(b, rune(n))
		case n > 0xff:
			return "", fmt.Errorf("\\%s is more than a byte", s[i:i+digits])
		default:
			b = append(b, byte(n))
		}
		i += digits + skip - 1
	}
	return string(b), nil
}

// number reads exactly digits digits of s.
func number(s string, digits, base int) (uint64, error) {
	if len(s) < digits {
		return 0, fmt.Errorf("an escape needs %d digits", digits)
	}
	var n uint64
	for i := range digits {
		c := s[i] | 0x20
		var d int
		switch {
		case s[i] >= '0' && s[i] <= '9':
			d = int(s[i] - '0')
		case c >= 'a' && c <= 'f':
			d = int(c-'a') + 10
		default:
			d = base
		}
		if d >= base {
			return 0, fmt.Errorf("an escape needs %d digits, but has %q", digits, s[:digits])
		}
		n = n*uint64(base) + uint64(d)
	}
	return n, nil
}
