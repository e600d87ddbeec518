package fmt

import (
	"errors"
	std "fmt"
	"io"
	"io/fs"
	"strings"
	"testing"
	"time"
)

// formats are those that the program uses, and the corners of each verb.
var formats = []struct {
	format string
	args   []any
}{
	{"", nil},
	{"plain", nil},
	{"100 %% of %s%%", []any{"it"}},
	{"open %s: %w", []any{"/dev/sda", fs.ErrNotExist}},
	{"%w: %w", []any{io.EOF, fs.ErrExist}},
	{"%v %v %v %v", []any{"a", 7, true, nil}},
	{"%v %s", []any{90 * time.Second, time.Millisecond}},
	{"%q %q", []any{"a \"b\" \x00 \xff ü", []byte("bytes\n")}},
	{"%.3q %.3s|%.0s|%.9s", []any{"äöüß", "日本語です", "x", "short"}},
	{"%.60q", []any{[]byte(strings.Repeat("long ", 50))}},
	{"%d %d %d %d %d", []any{0, -1, int64(-1 << 63), uint64(1<<64 - 1), uint8(255)}},
	{"%d %d %d %d %d %d", []any{int8(-128), int16(-300), int32(5), uint(6), uint16(7), uint32(8)}},
	{"%x %X %#x %#X %x", []any{255, 255, uint32(255), 255, -255}},
	{"%08x %02X %016d %04x %#08x %-08d| %-6x|", []any{uint32(0xbeef), 10, 42, -3, 7, 12, 255}},
	{"%8d|%-8d|%8s|%-8s|%8q|%3s", []any{42, 42, "ü", "ü", "q", "long"}},
	{"%x %X %#x %.2x|%8x|%#x", []any{"hé", []byte{0, 255, 16}, "ab", "abcd", "ab", ""}},
	{"%t %t %6t|", []any{true, false, true}},
	{"%v|%6v|", []any{uintptr(9), nil}},
}

// The text is that of the standard package.
func TestTextIsTheStandardOne(t *testing.T) {
	for _, f := range formats {
		if got, want := Errorf(f.format, f.args...).Error(), std.Errorf(f.format, f.args...).Error(); got != want {
			t.Errorf("%q: %q, standard %q", f.format, got, want)
		}
	}
	var b strings.Builder
	n, err := Fprintf(&b, "%s=%d\n", "key", 5)
	if b.String() != "key=5\n" || n != 6 || err != nil {
		t.Errorf("Fprintf: %q, %d, %v", b.String(), n, err)
	}
	if got := string(Appendf([]byte("a "), "%s", "b")); got != "a b" {
		t.Errorf("Appendf: %q", got)
	}
}

func TestErrorsWrapTheirCauses(t *testing.T) {
	inner := &fs.PathError{Op: "open", Path: "x", Err: fs.ErrNotExist}
	one := Errorf("%d%% of %s: %w", 5, "it", inner)
	var path *fs.PathError
	if !errors.Is(one, fs.ErrNotExist) || !errors.As(one, &path) || errors.Unwrap(one) != error(inner) {
		t.Errorf("%v does not wrap its cause", one)
	}
	two := Errorf("%w, then %q: %w", io.EOF, "x", inner)
	if !errors.Is(two, io.EOF) || !errors.Is(two, fs.ErrNotExist) {
		t.Errorf("%v does not wrap both causes", two)
	}
	if none := Errorf("%v", io.EOF); errors.Is(none, io.EOF) {
		t.Errorf("%v wraps what was not given with %%w", none)
	}
}

type named string

// What it cannot print is visible and kills nothing.
func TestWhatCannotBePrinted(t *testing.T) {
	for _, c := range []struct {
		format string
		args   []any
		want   string
	}{
		{"%d %s", []any{1}, "1 %!s(MISSING)"},
		{"%d", []any{"text"}, "%!d(?)"},
		{"%s", []any{5}, "%!s(?)"},
		{"%x", []any{true}, "%!x(?)"},
		{"%v", []any{named("x")}, "%!v(?)"},
		{"%s", []any{nil}, "%!s(?)"},
		{"end %", []any{1}, "end %!!(?)"},
		{"%-08", []any{1}, "%!!(?)"},
		{"%99999s", []any{"x"}, "%!9(?)s"},
	} {
		if got := Sprintf(c.format, c.args...); got != c.want {
			t.Errorf("%q: %q, want %q", c.format, got, c.want)
		}
	}
}

// FuzzDirective compares any flags, width and precision with the standard
// package, for each verb and operand of the subset.
func FuzzDirective(f *testing.F) {
	f.Add(uint8(0), false, false, false, uint8(8), int8(3), "text", int64(-5))
	f.Add(uint8(3), true, true, true, uint8(0), int8(-1), "\xff\x00", int64(1<<62))
	f.Fuzz(func(t *testing.T, verb uint8, sharp, zero, left bool, width uint8, precision int8, text string, n int64) {
		format := "%"
		if left {
			format += "-"
		}
		var args []any
		verbs := "sqvxXdvxX"
		i := int(verb) % len(verbs)
		if i >= 5 {
			args = []any{n, uint64(n), int32(n), uint8(n)}
			if zero {
				format += "0"
			}
		} else {
			args = []any{text, []byte(text), errors.New(text)}
			if verbs[i] == 'v' {
				args = []any{text, errors.New(text)} // the standard package lists the numbers of a []byte
			}
		}
		if sharp && (verbs[i] == 'x' || verbs[i] == 'X') {
			format += "#"
		}
		if width > 0 {
			format += std.Sprint(width)
		}
		if precision >= 0 && i < 5 {
			format += std.Sprintf(".%d", precision)
		}
		format += string(verbs[i])
		for _, a := range args {
			if got, want := Sprintf(format, a), std.Sprintf(format, a); got != want {
				t.Errorf("%s of %T %v: %q, standard %q", format, a, a, got, want)
			}
		}
		if got := Sprintf(text, n, text); strings.IndexByte(text, '%') < 0 && got != text {
			t.Errorf("%q became %q", text, got)
		}
	})
}
