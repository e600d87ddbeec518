package prove

import (
	"slices"
	"testing"
)

func TestSecretsAreFoundWhereverTheyAre(t *testing.T) {
	k := newKept([]string{"open sesame", "word", "\x00\x01\x02\x03\x04"})
	for _, c := range []struct {
		in   string
		want []string
	}{
		{"", nil},
		{"wor", nil},
		{"word", []string{"word"}},
		{"a password, open sesam", []string{"word"}},
		{"open sesame and open sesame\x00\x01\x02\x03\x04", []string{"open sesame", "open sesame", "\x00\x01\x02\x03\x04"}},
		{"open sword\x00\x01\x02\x03", []string{"word"}},
	} {
		var got []string
		k.in([]byte(c.in), func(s string) { got = append(got, s) })
		if !slices.Equal(got, c.want) {
			t.Errorf("in %q: %q, want %q", c.in, got, c.want)
		}
	}
}
