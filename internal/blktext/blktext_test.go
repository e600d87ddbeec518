package blktext

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestDecode(t *testing.T) {
	for _, c := range []struct {
		in   string
		enc  Encoding
		want string
	}{
		{"a\x00b\x00\x00\x00c\x00", UTF16LE, "ab"},
		{"\x00a\x20\xac", UTF16BE, "a€"},
		{"\x3d\xd8\x00\xde", UTF16LE, "😀"},
		{"\xd8\x3d\xde\x00\x00x", UTF16BE, "😀x"},
		{"\x3d\xd8", UTF16LE, "\xed\xa0\xbd"},
		{"\x3d\xd8a\x00", UTF16LE, "\xed\xa0\xbda"},
		{"a\x00b", UTF16LE, "a"},
		{"\xe4b\x00c", Latin1, "äb"},
		{"", UTF16LE, ""},
	} {
		if got := Decode([]byte(c.in), c.enc); got != c.want {
			t.Errorf("Decode(%q, %d) = %q, want %q", c.in, c.enc, got, c.want)
		}
	}
}

// The expected values are what blkid -p -o udev prints for such labels.
func TestUdevForms(t *testing.T) {
	long := strings.Repeat("ü ", 200)
	for _, c := range []struct{ in, safe, enc string }{
		{"root", "root", "root"},
		{"  my  root\t disk ", "my_root_disk", `\x20\x20my\x20\x20root\x09\x20disk\x20`},
		{`a/b\c"$`, `a/b\c"$`, `a\x2fb\x5cc\x22\x24`},
		{"Wurzel ü€😀", "Wurzel_ü€😀", `Wurzel\x20ü€😀`},
		{"bad\xff\xc3", "bad__", `bad\xff\xc3`},
		{"\xed\xa0\xbd", "___", `\xed\xa0\xbd`},
		{"\x01", "\x01", `\x01`},
		{"", "", ""},
		{"#+-.:=@_", "#+-.:=@_", "#+-.:=@_"},
	} {
		if got := Safe(c.in); got != c.safe {
			t.Errorf("Safe(%q) = %q, want %q", c.in, got, c.safe)
		}
		if got := Encode(c.in); got != c.enc {
			t.Errorf("Encode(%q) = %q, want %q", c.in, got, c.enc)
		}
	}
	if s := Safe(long); len(s) > maxText {
		t.Errorf("Safe: %d bytes", len(s))
	}
	if s := Encode(long); len(s) > maxText || !utf8.ValidString(s) {
		t.Errorf("Encode: %d bytes", len(s))
	}
}

func TestExport(t *testing.T) {
	const in, want = "a b\"'$`<>\\\x01\x7f\xe4\x80~", "a\\ b\\\"\\'\\$\\`\\<\\>\\\\^A^?M-dM-^@~"
	if got := Export(in); got != want {
		t.Errorf("Export(%q) = %s, want %s", in, got, want)
	}
}

func FuzzForms(f *testing.F) {
	f.Add("a label \xff ü")
	f.Fuzz(func(t *testing.T, s string) {
		safe, enc := Safe(s), Encode(s)
		if len(safe) > maxText || len(enc) > maxText {
			t.Fatalf("too long: %d, %d", len(safe), len(enc))
		}
		if strings.ContainsAny(safe, " \t\n") || strings.ContainsAny(enc, " \t\n/\x00") || !utf8.ValidString(safe) {
			t.Fatalf("unsafe: %q, %q", safe, enc)
		}
		Export(s)
		Decode([]byte(s), UTF16LE)
		Decode([]byte(s), Latin1)
	})
}
