// Package fmt is what /init uses of the standard package of that name, and
// gives the same text. The standard one can print whatever there is, by
// reflection: with it every exported method, the order of maps and the
// formatting of floating-point numbers are in the program, a twenty-fifth of it.
//
// The verbs are %s %q %v %w %x %X of text, %d %v %x %X of integers and %t %v
// of booleans; the flags are '#' (of %x and %X), '0' (of integers) and '-',
// with a width, and of text a precision. Text is a string, a []byte, an error
// or a Stringer. A type that is a string or an integer under another name and
// has no method of its own has to be converted. A test in package archtest
// sees to it that nothing else is asked for anywhere in /init, and go vet
// checks the calls as it checks those of the standard package.
//
// What a verb cannot print is shown as "%!d(?)", a missing operand as
// "%!d(MISSING)".
package fmt

import (
	"errors"
	std "fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Stringer is a type that has a text.
type Stringer interface{ String() string }

// directive is one verb of a format with its flags.
type directive struct {
	verb              byte // 0 for none
	sharp, zero, left bool
	width, precision  int // in runes; precision -1 for none
}

// next cuts a format after its first verb: what stands before the verb, the
// verb and the rest. "%%" is a directive with the verb '%'.
func next(format string) (before string, d directive, rest string) {
	before, rest, found := strings.Cut(format, "%")
	if !found {
		return before, directive{}, ""
	}
	d.precision = -1
	for ; rest != ""; rest = rest[1:] {
		switch rest[0] {
		case '#':
			d.sharp = true
		case '0':
			d.zero = true
		case '-':
			d.left = true
		default:
			d.width, rest = number(rest)
			if strings.HasPrefix(rest, ".") {
				d.precision, rest = number(rest[1:])
			}
			d.verb = '!'
			if rest != "" {
				d.verb, rest = rest[0], rest[1:]
			}
			return before, d, rest
		}
	}
	d.verb = '!'
	return before, d, ""
}

// number reads a width or a precision; four digits are more than anybody
// wants.
func number(s string) (n int, rest string) {
	for s != "" && s[0] >= '0' && s[0] <= '9' && n < 1000 {
		n = n*10 + int(s[0]-'0')
		s = s[1:]
	}
	return n, s
}

// Appendf appends the formatted text to b.
func Appendf(b []byte, format string, args ...any) []byte {
	if false {
		return std.Appendf(b, format, args...) // so that go vet knows what this is
	}
	return appendAll(b, format, args)
}

func appendAll(b []byte, format string, args []any) []byte {
	for format != "" {
		var before string
		var d directive
		before, d, format = next(format)
		b = append(b, before...)
		switch {
		case d.verb == 0:
		case d.verb == '%':
			b = append(b, '%')
		case len(args) == 0:
			b = append(b, '%', '!', d.verb)
			b = append(b, "(MISSING)"...)
		default:
			b = d.append(b, args[0])
			args = args[1:]
		}
	}
	return b
}

// append appends one operand.
func (d directive) append(b []byte, arg any) []byte {
	switch v := arg.(type) {
	case string:
		return d.text(b, v)
	case []byte:
		return d.text(b, string(v))
	case error:
		return d.text(b, v.Error())
	case Stringer:
		return d.text(b, v.String())
	case int:
		return d.signed(b, int64(v))
	case int8:
		return d.signed(b, int64(v))
	case int16:
		return d.signed(b, int64(v))
	case int32:
		return d.signed(b, int64(v))
	case int64:
		return d.signed(b, v)
	case uint:
		return d.integer(b, false, uint64(v))
	case uint8:
		return d.integer(b, false, uint64(v))
	case uint16:
		return d.integer(b, false, uint64(v))
	case uint32:
		return d.integer(b, false, uint64(v))
	case uint64:
		return d.integer(b, false, v)
	case uintptr:
		return d.integer(b, false, uint64(v))
	case bool:
		if d.verb == 't' || d.verb == 'v' {
			return d.pad(b, len(b), strconv.AppendBool(b, v))
		}
	case nil:
		if d.verb == 'v' {
			return d.pad(b, len(b), append(b, "<nil>"...))
		}
	}
	return d.bad(b)
}

// bad says that the verb does not go with the operand.
func (d directive) bad(b []byte) []byte { return append(b, '%', '!', d.verb, '(', '?', ')') }

// pad brings what was appended to b[:at] to the width.
func (d directive) pad(b []byte, at int, with []byte) []byte {
	missing := d.width - utf8.RuneCount(with[at:])
	if missing <= 0 {
		return with
	}
	space := strings.Repeat(" ", missing)
	if d.left {
		return append(with, space...)
	}
	text := string(with[at:])
	return append(append(with[:at], space...), text...)
}

func (d directive) text(b []byte, s string) []byte {
	at := len(b)
	switch d.verb {
	case 's', 'v', 'w':
		return d.pad(b, at, append(b, d.cut(s)...))
	case 'q':
		return d.pad(b, at, strconv.AppendQuote(b, d.cut(s)))
	case 'x', 'X':
		if d.precision >= 0 && d.precision < len(s) {
			s = s[:d.precision]
		}
		if d.sharp && s != "" {
			b = append(b, '0', d.verb)
		}
		for i := range len(s) {
			b = append(b, d.digit(s[i]>>4), d.digit(s[i]&15))
		}
		return d.pad(b, at, b)
	}
	return d.bad(b)
}

// cut cuts s to the precision.
func (d directive) cut(s string) string {
	if d.precision >= 0 {
		runes := 0
		for i := range s {
			if runes == d.precision {
				return s[:i]
			}
			runes++
		}
	}
	return s
}

// digit returns a hexadecimal digit in the case of the verb.
func (d directive) digit(n byte) byte {
	switch {
	case n < 10:
		return '0' + n
	case d.verb == 'X':
		return 'A' - 10 + n
	}
	return 'a' - 10 + n
}

func (d directive) signed(b []byte, v int64) []byte {
	if v < 0 {
		return d.integer(b, true, -uint64(v))
	}
	return d.integer(b, false, uint64(v))
}

// integer appends a sign and a magnitude.
func (d directive) integer(b []byte, negative bool, v uint64) []byte {
	at := len(b)
	base := uint64(16)
	switch d.verb {
	case 'd', 'v':
		base = 10
	case 'x', 'X':
	default:
		return d.bad(b)
	}
	// The digits stand at the end of buf.
	var buf [20]byte
	i := len(buf)
	for {
		i--
		buf[i] = d.digit(byte(v % base))
		if v /= base; v == 0 {
			break
		}
	}
	zeros := 0
	if d.zero && !d.left {
		zeros = d.width - (len(buf) - i)
	}
	if negative {
		b = append(b, '-')
		zeros--
	}
	if d.sharp && base == 16 {
		b = append(b, '0', d.verb)
	}
	for ; zeros > 0; zeros-- {
		b = append(b, '0')
	}
	return d.pad(b, at, append(b, buf[i:]...))
}

// Sprintf returns the formatted text.
func Sprintf(format string, args ...any) string {
	if false {
		return std.Sprintf(format, args...)
	}
	return string(appendAll(nil, format, args))
}

// Fprintf writes the formatted text in one piece.
func Fprintf(w io.Writer, format string, args ...any) (int, error) {
	if false {
		return std.Fprintf(w, format, args...)
	}
	return w.Write(appendAll(nil, format, args))
}

// Errorf returns an error with the formatted text. It wraps the operands of
// %w.
func Errorf(format string, args ...any) error {
	if false {
		return std.Errorf(format, args...)
	}
	text := string(appendAll(nil, format, args))
	var causes []error
	for format != "" && len(args) > 0 {
		var d directive
		_, d, format = next(format)
		if d.verb == '%' || d.verb == 0 {
			continue
		}
		if err, ok := args[0].(error); ok && d.verb == 'w' {
			causes = append(causes, err)
		}
		args = args[1:]
	}
	switch len(causes) {
	case 0:
		return errors.New(text)
	case 1:
		return &wrapped{text, causes[0]}
	}
	return &joined{text, causes}
}

// wrapped is an error with one cause.
type wrapped struct {
	text  string
	cause error
}

func (e *wrapped) Error() string { return e.text }
func (e *wrapped) Unwrap() error { return e.cause }

// joined is an error with several causes.
type joined struct {
	text   string
	causes []error
}

func (e *joined) Error() string   { return e.text }
func (e *joined) Unwrap() []error { return e.causes }
