package bcachefsfmt_test

import (
	"bytes"
	"testing"

	"firstlight/internal/bcachefsfmt"
	"firstlight/internal/sim/content"
)

// device is the start of a member.
func device(c content.Bcachefs) []byte {
	b := make([]byte, 16<<10)
	for _, p := range c.Pieces() {
		copy(b[p.At:], p.Data)
	}
	return b
}

var two = content.Bcachefs{UUID: "0a1b2c3d-0001-4002-8003-aabbccddeeff", Index: 1, Count: 3, Seq: 7}

func TestMembersAreCounted(t *testing.T) {
	b := device(two)
	s, err := bcachefsfmt.Read(bytes.NewReader(b))
	if err != nil || s.Count() != 3 || s.Index != 1 || s.Seq != 7 || s.Locked {
		t.Fatalf("%+v, %v", s, err)
	}
	clear(b[4096+752+8 : 4096+752+8+16]) // the first was taken out
	if s, err = bcachefsfmt.Read(bytes.NewReader(b)); err != nil || s.Count() != 2 || s.Members[0] {
		t.Errorf("%+v, %v", s, err)
	}
	locked := two
	locked.Locked = true
	if s, err = bcachefsfmt.Read(bytes.NewReader(device(locked))); err != nil || !s.Locked {
		t.Errorf("%+v, %v", s, err)
	}
	for what, at := range map[string]int{"magic": 4096 + 24, "index": 4096 + 122, "kind of its fields": 4096 + 752 + 4} {
		b := device(two)
		b[at] = 200
		if _, err := bcachefsfmt.Read(bytes.NewReader(b)); err == nil {
			t.Errorf("a wrong %s is taken", what)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(device(two))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := bcachefsfmt.Read(bytes.NewReader(b))
		if err == nil && (s.Count() < 1 || s.Count() > 255 || !s.Members[s.Index]) {
			t.Errorf("%+v", s)
		}
	})
}
