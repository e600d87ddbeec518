package hibernate

import "testing"

func TestParse(t *testing.T) {
	const id = "33333333-3333-4333-8333-333333333333"
	l, err := Parse(`{"uuid":"` + id + `","offset":34816,"kernelVersion":"6.9","osReleaseId":"debian"}`)
	if err != nil || l != (Location{id, 34816, "6.9"}) {
		t.Errorf("%+v, %v", l, err)
	}
	for _, text := range []string{"", "{}", "[]", `{"uuid":7,"offset":0}`, `{"uuid":"` + id + `"}`, `{"uuid":"a b","offset":0}`, `{"uuid":"` + id + `","offset":-1}`} {
		if l, err := Parse(text); err == nil {
			t.Errorf("%s: %+v", text, l)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`{"uuid":"33333333-3333-4333-8333-333333333333","offset":1}`)
	f.Fuzz(func(t *testing.T, text string) {
		if l, err := Parse(text); err == nil && l.UUID == "" {
			t.Errorf("%q: %+v", text, l)
		}
	})
}
