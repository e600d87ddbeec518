package image

import (
	"strings"
	"testing"
)

func TestCheckBootconfig(t *testing.T) {
	for _, text := range []string{
		"kernel.root = /dev/sda1\n", "kernel {\n  console = ttyS0, tty1\n  quiet\n}\ninit.splash=0;init.verbose\n",
		"# comment\na.b = \"x } y\", 'z\nw' # more\n", "a = 1,\n  2\nb += 3\nc := 4\n",
	} {
		if err := CheckBootconfig([]byte(text)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	for text, want := range map[string]string{
		"": "empty", "  \n": "empty", "a = 1\n}": "line 2: a '}'", "a {\nb = 1\n": "1 '{'", "a = \"x\n": "line 1: a quotation mark", "= 3": "without a key",
		"a\n= 3": "line 2: a '='", "{ }": "without a key", "ä = 1": "cannot be part of a key", "a = \x01": "cannot be seen", "a\x00": "zero byte", strings.Repeat("a", 40000): "40000 bytes",
	} {
		if err := CheckBootconfig([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, want %q", text, err, want)
		}
	}
}

// What is written behind an image of any length is read again, and ends at a
// multiple of four bytes.
func TestBootconfigIsReadAsWritten(t *testing.T) {
	archive := strings.Repeat("\x00", 8)
	for size := range 6 {
		text := "kernel.a = " + strings.Repeat("b", size) + "c\n"
		s := BootconfigSegment([]byte(text), int64(len(archive)))
		b := append([]byte(archive), s.Frame...)
		c, err := Open(b)
		if err != nil || c.Bootconfig == nil || string(c.Bootconfig.Text) != text || len(b)%4 != 0 {
			t.Errorf("%d: %+v, %v, %d bytes", size, c, err, len(b))
		}
	}
}
