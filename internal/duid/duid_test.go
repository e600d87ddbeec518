package duid

import (
	"bytes"
	"testing"
)

func TestEveryFormOfADUID(t *testing.T) {
	mac := []byte{0x52, 0x54, 0, 0x12, 0x34, 0x56}
	for want, got := range map[string][]byte{
		"00:03:00:01:52:54:00:12:34:56":                         LL(1, mac),
		"00:01:00:01:2a:bc:de:f0:52:54:00:12:34:56":             LLT(1, 0x2abcdef0, mac),
		"00:02:00:00:ab:11:01:02:03":                            EN(SystemdEnterprise, []byte{1, 2, 3}),
		"00:04:00:01:02:03:04:05:06:07:08:09:0a:0b:0c:0d:0e:0f": UUID([16]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}),
		"ff:00:12:34:56:00:03:00:01:52:54:00:12:34:56":          ClientID4(IAID(mac), LL(1, mac)),
	} {
		if s := String(got); s != want {
			t.Errorf("%s, want %s", s, want)
		}
		if b, err := Parse(want); err != nil || !bytes.Equal(b, got) {
			t.Errorf("%s: %x, %v", want, b, err)
		}
	}
	for _, s := range []string{"", "0", "zz", "00:03", "00:0", string(bytes.Repeat([]byte("00"), 131))} {
		if b, err := Parse(s); err == nil {
			t.Errorf("%q: %x", s, b)
		}
	}
	if IAID([]byte{1, 2}) != 0x0102 || IAID(nil) != 0 {
		t.Error("a short address")
	}
}
