package discover

import "testing"

// The newer of two systems is started: examples of UAPI.10.
func TestCompareVersions(t *testing.T) {
	for _, pair := range [][2]string{{"11", "10"}, {"122.1", "122"}, {"123~rc1", "122"}, {"123", "123~rc1"}, {"123-a", "123"}, {"123.a", "123-a"}, {"123^post1", "123-b.1"}, {"123.1-1", "123.a-1"}, {"123a-1", "123.1-1"},
		{"123^patched", "123"}, {"123.a", "123^patched"}, {"11a", "1a"}, {"1.0.10", "1.0.9"}, {"124", "123.45"}, {"1", "a"}, {"b", "a"}} {
		if compare(pair[0], pair[1]) <= 0 || compare(pair[1], pair[0]) >= 0 {
			t.Errorf("%s is not newer than %s", pair[0], pair[1])
		}
	}
	for _, same := range [][2]string{{"1", "01"}, {"1.2", "1.2"}, {"1_2", "1_2"}, {"", ""}} {
		if compare(same[0], same[1]) != 0 {
			t.Errorf("%s and %s are not equal", same[0], same[1])
		}
	}
}

// Two versions are in one order, whatever they are.
func FuzzCompare(f *testing.F) {
	f.Add("1.2~rc1", "1.2-3^a")
	f.Fuzz(func(t *testing.T, a, b string) {
		if compare(a, b) != -compare(b, a) || compare(a, a) != 0 {
			t.Errorf("%q and %q", a, b)
		}
	})
}
