package acpitable

import (
	"encoding/binary"
	"strings"
	"testing"
)

// sealed is a table of so many bytes.
func sealed(n int) []byte {
	b := make([]byte, n)
	copy(b, "TEST")
	binary.LittleEndian.PutUint32(b[lengthAt:], uint32(n))
	b[revisionAt] = 1
	var sum byte
	for _, c := range b {
		sum += c
	}
	b[9] = -sum
	return b
}

func TestOnlyAWholeTableIsRead(t *testing.T) {
	if b, err := Body(append(sealed(50), 1, 2), "TEST", 40, 100, 1); err != nil || len(b) != 50 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	for want, b := range map[string][]byte{"too short": sealed(36), "not an": append([]byte("REST"), sealed(50)[4:]...), "length": sealed(101), "checksum": append(append([]byte(nil), sealed(50)[:49]...), 1)} {
		if _, err := Body(b, "TEST", 40, 100, 1); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if _, err := Body(sealed(50), "TEST", 40, 100, 2); err == nil || !strings.Contains(err.Error(), "revision") {
		t.Error(err)
	}
}

func FuzzBody(f *testing.F) {
	f.Add(sealed(50))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := Body(b, "TEST", 40, 100, 1)
		if err == nil && (len(got) < 40 || len(got) > 100 || len(got) > len(b)) {
			t.Fatalf("%d of %d bytes", len(got), len(b))
		}
		if s, err := Text(b, 20); err == nil && (len(s) > 20 || strings.ContainsAny(s, "\x00\n\x1b\u0085")) {
			t.Fatalf("%q", s)
		}
		if len(b) >= 16 {
			if a := Addr(b); a.IsMulticast() || a.IsLoopback() || a.IsValid() && a.IsUnspecified() {
				t.Fatal(a)
			}
		}
	})
}
