package fcoe

import "testing"

func TestDracutsSpelling(t *testing.T) {
	for value, want := range map[string]Instance{
		"eth0:nodcb":                       {Link: "eth0"},
		"eth0":                             {Link: "eth0"},
		"eth0.100:nodcb:fabric":            {Link: "eth0.100"},
		"enp0s1:nodcb:vn2vn":               {Link: "enp0s1", VN2VN: true},
		"52:54:00:07:01:AB:dcb":            {MAC: "52:54:00:07:01:ab", DCB: true},
		"52:54:00:07:01:ab:nodcb:vn2vn":    {MAC: "52:54:00:07:01:ab", VN2VN: true},
		"edd:dcb":                          {},
		"":                                 {},
		":nodcb":                           {},
		"52:54:00:07:01:xx:nodcb":          {},
		"a/b:nodcb":                        {},
		"..":                               {},
		"a-name-that-is-too-long-to:nodcb": {},
	} {
		got, err := Parse(value)
		if got != want || (err != nil) != (want == Instance{}) {
			t.Errorf("%q: %+v, %v", value, got, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("eth0:nodcb:vn2vn")
	f.Add("52:54:00:07:01:ab:dcb")
	f.Fuzz(func(t *testing.T, value string) {
		i, err := Parse(value)
		if err == nil && (i.Link == "") == (i.MAC == "") {
			t.Fatalf("%q: %+v", value, i)
		}
	})
}
