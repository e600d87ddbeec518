package dns

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
)

// answer makes an answer to a question with records as they are on the wire.
func answer(q []byte, flags byte, records ...string) []byte {
	b := slices.Clone(q)
	b[2], b[3], b[7] = 0x81, 0x80|flags, byte(len(records))
	for _, r := range records {
		b = append(b, r...)
	}
	return b
}

const (
	back  = "\xc0\x0c" // the name of the question
	a     = back + "\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x0a\x00\x00\x01"
	alias = back + "\x00\x05\x00\x01\x00\x00\x00\x3c\x00\x04\x01b\xc0\x13" // b.example
	aOfB  = "\x01b\x07example\x00" + "\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x0a\x00\x00\x02"
	other = "\x01c\x07example\x00" + "\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x0a\x00\x00\x03"
)

func TestAddressesOfAnAnswer(t *testing.T) {
	q, err := Query(7, "server.example", A)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		b    []byte
		want string
		err  error
	}{
		{"an address", answer(q, 0, a), "10.0.0.1", nil},
		{"an alias", answer(q, 0, alias, aOfB), "10.0.0.2", nil},
		{"of another name", answer(q, 0, other), "", ErrNone},
		{"no such name", answer(q, 3), "", ErrNone},
		{"refused", answer(q, 5), "", ErrFailed},
		{"cut", answer(q, 0, a)[:len(q)+8], "", ErrNone},
		{"the question itself", q, "", ErrOther},
		{"another's", append([]byte{9, 9}, answer(q, 0, a)[2:]...), "", ErrOther},
	} {
		got, err := Parse(c.b, q)
		if !errors.Is(err, c.err) || c.err == nil && (len(got) != 1 || got[0] != netip.MustParseAddr(c.want)) {
			t.Errorf("%s: %v, %v", c.name, got, err)
		}
	}
	for _, bad := range []string{"", ".", "a..b", string(make([]byte, 64)), "a" + string(make([]byte, 300))} {
		if _, err := Query(1, bad, A); err == nil {
			t.Errorf("%q is asked for", bad)
		}
	}
}

func FuzzParse(f *testing.F) {
	q, _ := Query(7, "server.example", A)
	f.Add(answer(q, 0, a))
	f.Add(answer(q, 0, alias, aOfB))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := Parse(b, q)
		if (err == nil) != (len(got) > 0) || len(got) > maxRecords {
			t.Fatalf("%v, %v", got, err)
		}
		for _, x := range got {
			if !x.Is4() || x.IsUnspecified() {
				t.Fatal(x)
			}
		}
	})
}
