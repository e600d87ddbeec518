package nbdserve

import (
	"bytes"
	"encoding/hex"
	"testing"
)

func TestTheWordsOfTheProtocol(t *testing.T) {
	b, _ := hex.DecodeString("25609513" + "0000" + "0000" + "0102030405060708" + "0000000000001000" + "00000200")
	r, ok := ParseRequest(b)
	if want := (Request{Cookie: 0x0102030405060708, Offset: 4096, Length: 512}); !ok || r != want {
		t.Errorf("%+v, %v", r, ok)
	}
	if got := hex.EncodeToString(AppendReply(nil, r.Cookie, ErrIO)); got != "67446698"+"00000005"+"0102030405060708" {
		t.Error(got)
	}
}

func FuzzRequest(f *testing.F) {
	f.Add(make([]byte, RequestSize))
	f.Add([]byte("\x25\x60\x95\x13"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, ok := ParseRequest(b); ok != (len(b) >= RequestSize && bytes.HasPrefix(b, []byte{0x25, 0x60, 0x95, 0x13})) {
			t.Errorf("%x: %v", b, ok)
		}
	})
}
