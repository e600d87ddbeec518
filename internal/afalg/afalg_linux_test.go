package afalg

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"testing"
)

// Rare ciphers are compared with cryptsetup in package luks's virtual
// machine; here the plumbing is tried where the kernel has AF_ALG.
func TestDecryptEqualsTheStandardLibrary(t *testing.T) {
	key, iv := []byte("0123456789abcdef"), []byte("fedcba9876543210")
	d, err := Ciphers{}.Decrypter("cbc(aes)", key)
	if errors.Is(err, ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // the socket serves many requests
		want := bytes.Repeat([]byte("sixteen bytes.. "), 32)
		data := bytes.Clone(want)
		cipher.NewCBCEncrypter(block, iv).CryptBlocks(data, data)
		if err := d.Decrypt(data, iv); err != nil || !bytes.Equal(data, want) {
			t.Errorf("%q, %v", data, err)
		}
	}
	if err := d.Decrypt(nil, iv); err != nil {
		t.Error(err)
	}
}

func TestUnknownCipherIsUnavailable(t *testing.T) {
	if _, err := (Ciphers{}).Decrypter("xts(rot13)", make([]byte, 32)); !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
}
