package efivar

import "testing"

func TestDecode(t *testing.T) {
	for raw, want := range map[string]string{"": "", "\x06\x00\x00": "", "\x06\x00\x00\x00": "", "\x06\x00\x00\x00a\x00\xe4\x00\x00\x00b\x00": "aä",
		"\x06\x00\x00\x00a\x00b": "a"} {
		if got := Decode([]byte(raw)); got != want {
			t.Errorf("%q: %q, want %q", raw, got, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("\x06\x00\x00\x00a\x00b\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s := Decode(b); len(s) > 2*len(b) {
			t.Errorf("%d bytes became %d", len(b), len(s))
		}
	})
}
