package escape

import (
	"strings"
	"testing"
)

func TestChars(t *testing.T) {
	for _, c := range []struct{ in, allow, want string }{
		{"plain-1.:=@_#+", "", "plain-1.:=@_#+"},
		{"a b/c", "", "a_b_c"},
		{"a b/c", "/", "a_b/c"},
		{"a\tb c", "/ ", "a b c"},
		{`\x20ok\y`, "", `\x20ok_y`},
		{"grün€😀", "", "grün€😀"},
		{"bad\xffutf\xc3", "", "bad_utf_"},
		{"\ufdd0\uffff", "", "______"},
		{"$%?,;", Input, "$%?,_"},
		{"", "", ""},
	} {
		if got := Chars(c.in, c.allow); got != c.want {
			t.Errorf("Chars(%q, %q) = %q, want %q", c.in, c.allow, got, c.want)
		}
	}
}

func TestWhitespace(t *testing.T) {
	for in, want := range map[string]string{"": "", "  ": "", "a": "a", " a  b\t\nc ": "a_b_c", "a b": "a_b", "a ": "a"} {
		if got := Whitespace(in); got != want {
			t.Errorf("Whitespace(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestEncode(t *testing.T) {
	for in, want := range map[string]string{"": "", "root": "root", "my disk/1": `my\x20disk\x2f1`, "ü\\": `ü\x5c`, "\xff\n": `\xff\x0a`, "ä b": `ä\x20b`} {
		if got := Encode(in); got != want {
			t.Errorf("Encode(%q) = %q, want %q", in, got, want)
		}
	}
}

// FuzzEscape: what comes out can stand in /dev, and needs no second pass.
func FuzzEscape(f *testing.F) {
	f.Add(" a\tb/\xff\\x20ü")
	f.Fuzz(func(t *testing.T, s string) {
		c := Chars(Whitespace(s), "")
		if strings.ContainsAny(c, "/ \n\t\x00") || Chars(c, "") != c {
			t.Errorf("%q gives %q", s, c)
		}
		if e := Encode(s); strings.ContainsAny(e, "/ \n\t\x00") {
			t.Errorf("%q gives %q", s, e)
		}
	})
}
