package postmortem

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
)

const screen = "The system cannot be started.\nWanted: root=UUID=1 — it was not found\n"

var lines = []byte(strings.Repeat("1\t2\t0\tdo\tx\ty\n", 300))

// Whoever reads the store after the reset finds the reason, with as many
// records as fitted.
func TestNoteIsFoundAmongOtherBytes(t *testing.T) {
	for _, limit := range []int{128, 200, 1000, 4032, 100000} {
		note := Format(screen, lines, limit)
		if len(note) > limit {
			t.Errorf("limit %d: %d bytes", limit, len(note))
		}
		noise := bytes.Join([][]byte{[]byte("\x00\xff" + mark + "12 zz\n"), note, []byte("other\n"), note, []byte(mark + "9")}, nil)
		got := Find(noise)
		if len(got) != 2 || !strings.HasPrefix(got[0], "The system cannot") || !utf8.ValidString(got[0]) {
			t.Fatalf("limit %d: %q", limit, got)
		}
		_, recs, _ := strings.Cut(got[0], records)
		for l := range strings.Lines(recs) {
			if l != "1\t2\t0\tdo\tx\ty\n" {
				t.Errorf("limit %d: half a record %q", limit, l)
			}
		}
		if limit >= 1000 && recs == "" {
			t.Errorf("limit %d: no records", limit)
		}
	}
	if n := Format(screen, lines, 90); n != nil {
		t.Errorf("%q", n)
	}
}

// A note that lost a bit or its end is none.
func TestBrokenNotesAreNotFound(t *testing.T) {
	note := Format(screen, lines, 500)
	for i := range note {
		if got := Find(note[:i]); len(got) != 0 {
			t.Fatalf("cut at %d: %q", i, got)
		}
		b := bytes.Clone(note)
		b[i] ^= 0x10
		if got := Find(b); len(got) != 0 {
			t.Fatalf("bit lost at %d: %q", i, got)
		}
	}
}

func TestTextThatDoesNotFitIsCutBetweenCharacters(t *testing.T) {
	for limit := 120; limit < 140; limit++ {
		got := Find(Format(strings.Repeat("é", 200), nil, limit))
		if len(got) != 1 || !utf8.ValidString(got[0]) || !strings.HasSuffix(got[0], "…\n") {
			t.Errorf("limit %d: %q", limit, got)
		}
	}
}

func FuzzFind(f *testing.F) {
	f.Add(Format(screen, lines, 300))
	f.Add([]byte(mark + "99999 00000000\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n := 0
		for _, s := range Find(b) {
			n += len(s)
		}
		if n > len(b) {
			t.Error("more than there was")
		}
	})
}
