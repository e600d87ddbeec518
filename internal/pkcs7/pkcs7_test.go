package pkcs7

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"firstlight/internal/testtool"
	"firstlight/test/signing"
)

var hash = strings.Repeat("0a", 32)

// good says whether one of the signatures is the tests' key's of the content.
func good(t *testing.T, der []byte, content string) bool {
	t.Helper()
	signers, err := Parse(der)
	if err != nil {
		t.Fatal(err)
	}
	key, err := signing.Key()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range signers {
		sum, err := s.Sum([]byte(content))
		if err == nil && s.Encoding == "pkcs1" && rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, sum, s.Signature) == nil {
			return true
		}
	}
	return false
}

func TestSignatureThatWeMade(t *testing.T) {
	der, err := signing.Sign(hash)
	if err != nil {
		t.Fatal(err)
	}
	if !good(t, der, hash) || good(t, der, hash[1:]) {
		t.Error("it is not one of this content, or one of another")
	}
}

// What OpenSSL makes, with and without attributes and certificates.
func TestSignaturesThatOpenSSLMakes(t *testing.T) {
	testtool.Need(t, "openssl")
	dir := t.TempDir()
	file := func(name string, b []byte) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	key, err := signing.Key()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := signing.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	keyFile := file("key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	certFile := file("cert", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}))
	content := file("content", []byte(hash))
	for _, more := range [][]string{{"-noattr", "-nocerts"}, {"-noattr"}, {"-nocerts"}, {}} {
		argv := append([]string{"smime", "-sign", "-binary", "-md", "sha256", "-in", content, "-inkey", keyFile, "-signer", certFile, "-outform", "der"}, more...)
		der, err := exec.Command("openssl", argv...).Output()
		if err != nil {
			t.Fatal(err)
		}
		if !good(t, der, hash) || good(t, der, "other") {
			t.Errorf("%v: it is not one of this content, or one of another", more)
		}
		damaged := bytes.Clone(der)
		damaged[len(damaged)-9] ^= 1
		if signers, err := Parse(damaged); err == nil && len(signers) > 0 && good(t, damaged, hash) {
			t.Errorf("%v: it is one although it is damaged", more)
		}
	}
	der, err := exec.Command("openssl", "smime", "-sign", "-binary", "-md", "sha512", "-in", content, "-inkey", keyFile, "-signer", certFile, "-outform", "der", "-noattr").Output()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Parse(der); !errors.Is(err, errHash) {
		t.Errorf("another hash: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	der, err := signing.Sign(hash)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(der)
	f.Add([]byte{0x30, 0x80, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		signers, err := Parse(b)
		if (err == nil) != (len(signers) > 0) {
			t.Errorf("%d signatures, %v", len(signers), err)
		}
		for _, s := range signers {
			if len(s.Signature) > len(b) {
				t.Error("longer than what it is in")
			}
			s.Sum([]byte("x"))
		}
	})
}
