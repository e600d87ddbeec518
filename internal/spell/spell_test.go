package spell

import (
	"strings"
	"testing"
)

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"tries", "tries", 0}, {"tris", "tries", 1}, {"trise", "tries", 1}, {"tirse", "tries", 2}, {"treis", "tries", 1},
		{"", "abc", 3}, {"kitten", "sitting", 3}, {"discard", "", 7},
		{strings.Repeat("x", 65), "x", 64},
	} {
		if got := Distance(tt.a, tt.b); got != tt.want {
			t.Errorf("Distance(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
		if got := Distance(tt.b, tt.a); got != tt.want {
			t.Errorf("Distance(%q, %q) = %d, want %d", tt.b, tt.a, got, tt.want)
		}
	}
}
