package verityfmt

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
)

func TestSignatureIsReadInEachForm(t *testing.T) {
	der := []byte{0x30, 3, 2, 1, 1}
	text := base64.StdEncoding.EncodeToString(der)
	if got, ok, err := Signature("base64:" + text); !bytes.Equal(got, der) || !ok || err != nil {
		t.Errorf("%x %v %v", got, ok, err)
	}
	if _, ok, err := Signature("/etc/root.p7s"); ok || err != nil {
		t.Errorf("a path: %v %v", ok, err)
	}
	for _, bad := range []string{"base64:", "base64:%%", "base64:" + base64.StdEncoding.EncodeToString([]byte("-----BEGIN PKCS7-----")), "base64:AAAA"} {
		if _, _, err := Signature(bad); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	root, got, err := SignaturePartition(append([]byte(`{"rootHash":"0a0b","certificateFingerprint":"00","signature":"`+text+`"}`+"\n"), make([]byte, 100)...))
	if err != nil || !bytes.Equal(root, []byte{10, 11}) || !bytes.Equal(got, der) {
		t.Errorf("%x %x %v", root, got, err)
	}
	for _, bad := range []string{"", "{}", `{"rootHash":"0a"}`, `{"rootHash":"xx","signature":"` + text + `"}`, `{"rootHash":"","signature":"` + text + `"}`,
		`{"rootHash":"0a","signature":"!"}`, `{"rootHash":"0a","signature":"AAAA"}`, `[1,2`} {
		if _, _, err := SignaturePartition([]byte(bad)); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func FuzzSignaturePartition(f *testing.F) {
	f.Add([]byte(`{"rootHash":"0a0b","signature":"MAMCAQE="}`))
	f.Add([]byte(strings.Repeat("[", 100)))
	f.Fuzz(func(t *testing.T, b []byte) {
		root, der, err := SignaturePartition(b)
		if err == nil && (len(root) == 0 || CheckSignature(der) != nil) {
			t.Errorf("%x %x", root, der)
		}
	})
}
