package glob

import (
	"os"
	"strings"
	"testing"
)

// The testdata is what glibc's fnmatch says, without flags ("=") and with
// FNM_CASEFOLD ("i"), of every pair of a pattern and a string for which
// either matches; all other pairs do not match.
func TestAgreesWithFnmatch(t *testing.T) {
	read := func(name string) string {
		b, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	want := map[[2]string]string{}
	for l := range strings.SplitSeq(strings.TrimSuffix(read("fnmatch.txt"), "\n"), "\n") {
		f := strings.Split(l, "\t")
		want[[2]string{f[0], f[1]}] = f[2]
	}
	p, s, _ := strings.Cut(strings.TrimSuffix(read("patterns.txt"), "\n"), "\n--\n")
	pairs := 0
	for pattern := range strings.SplitSeq(p, "\n") {
		for text := range strings.SplitSeq(s, "\n") {
			pairs++
			w := want[[2]string{pattern, text}]
			if got := Match(pattern, text); got != strings.Contains(w, "=") {
				t.Errorf("Match(%q, %q) = %v", pattern, text, got)
			}
			if got := MatchFold(pattern, text); got != strings.Contains(w, "i") {
				t.Errorf("MatchFold(%q, %q) = %v", pattern, text, got)
			}
		}
	}
	if pairs < 2000 {
		t.Fatalf("only %d pairs", pairs)
	}
}

func TestEqualFold(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{{"Block", "bLOCK", true}, {"a", "ab", false}, {"K", "\u212a", false}, {"@", "`", false}, {"", "", true}} {
		if EqualFold(c.a, c.b) != c.want {
			t.Errorf("EqualFold(%q, %q) != %v", c.a, c.b, c.want)
		}
	}
}

// FuzzMatch: matching ends, and every string matches itself once its special
// characters are escaped.
func FuzzMatch(f *testing.F) {
	f.Add("sd[a-z]*", "sda1")
	f.Add("*a*b*[!x]", "aabbcc")
	f.Add("[[:alpha:]", "a")
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if len(pattern)*len(s) > 1<<16 {
			return
		}
		if Match(pattern, s) && !MatchFold(pattern, s) && !strings.Contains(pattern, "[") {
			t.Errorf("%q matches %q, but not when case is ignored", pattern, s)
		}
		var quoted strings.Builder
		for i := range len(s) {
			quoted.WriteString("\\" + s[i:i+1])
		}
		if !Match(quoted.String(), s) || !Match("*"+quoted.String()+"*", s) {
			t.Errorf("%q does not match itself", s)
		}
	})
}
