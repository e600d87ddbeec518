package sign

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"firstlight/internal/image/pe"
	"firstlight/internal/testtool"
	"firstlight/test/signing"
)

// stub is a program to sign.
const stub = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub"

// chain is a key with its certificate, and the certificate that signed that.
func chain(t testing.TB) (s *Signer, root *x509.Certificate) {
	t.Helper()
	b, err := os.ReadFile("../testdata/key.pem")
	if err != nil {
		t.Fatal(err)
	}
	key, err := ParseKey(b)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := signing.Key()
	if err != nil {
		t.Fatal(err)
	}
	make := func(name string, public *rsa.PublicKey, by *x509.Certificate, isCA bool) *x509.Certificate {
		c := &x509.Certificate{SerialNumber: big.NewInt(int64(len(name))), Subject: pkix.Name{CommonName: name},
			NotBefore: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2049, 1, 1, 0, 0, 0, 0, time.UTC), IsCA: isCA, BasicConstraintsValid: true}
		if by == nil {
			by = c
		}
		der, err := x509.CreateCertificate(nil, c, by, public, ca)
		if err != nil {
			t.Fatal(err)
		}
		out, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	root = make("Tests", &ca.PublicKey, nil, true)
	leaf := make("Tests of signing", &key.PublicKey, root, false)
	return &Signer{Key: key, Certificates: []*x509.Certificate{leaf}}, root
}

func file(t *testing.T, name string, b []byte) string {
	t.Helper()
	f := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(f, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}

func pemOf(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		if os.Getenv("FIRSTLIGHT_REQUIRE") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	return b
}

// The firmware's own verification, as sbverify does it, takes our signature of a
// stub and of a kernel, and not one of a program that was changed.
func TestSbverifyTakesOurSignature(t *testing.T) {
	testtool.Need(t, "sbverify")
	s, root := chain(t)
	kernelRoot, release := testtool.Kernel(t, "bookworm")
	for name, b := range map[string][]byte{"stub": read(t, stub), "kernel": read(t, filepath.Join(kernelRoot, "boot", "vmlinuz-"+release))} {
		b, err := Strip(b)
		if err != nil {
			t.Fatal(err)
		}
		if name == "stub" {
			b = append(b, "odd"...) // the length is no multiple of eight
		}
		signed, err := s.Program(b)
		if err != nil {
			t.Fatal(err)
		}
		again, err := s.Program(b)
		if err != nil || !bytes.Equal(signed, again) {
			t.Errorf("%s: signed again it is another file: %v", name, err)
		}
		for _, cert := range []*x509.Certificate{s.Certificates[0], root} {
			out, err := exec.Command("sbverify", "--cert", file(t, "cert", pemOf(cert)), file(t, name, signed)).CombinedOutput()
			if err != nil {
				t.Errorf("%s by %s: %v\n%s", name, cert.Subject, err, out)
			}
		}
		changed := bytes.Clone(signed)
		changed[len(b)/2] ^= 1
		if out, err := exec.Command("sbverify", "--cert", file(t, "cert", pemOf(root)), file(t, name, changed)).CombinedOutput(); err == nil {
			t.Errorf("%s: sbverify takes what was changed: %s", name, out)
		}
		for what, b := range map[string][]byte{"ours": signed, "changed": changed} {
			list, err := Read(b)
			if err != nil || len(list) != 1 {
				t.Fatalf("%s: %d signatures: %v", name, len(list), err)
			}
			if err := list[0].TrustedBy([]*x509.Certificate{root}); (err == nil) != (what == "ours") {
				t.Errorf("%s, %s: %v", name, what, err)
			}
			if other := list[0].TrustedBy(nil); !errors.Is(other, ErrSignature) {
				t.Errorf("%s, %s, nobody is trusted: %v", name, what, other)
			}
		}
		back, err := Strip(signed)
		if pad := -len(b) & 7; err != nil || !bytes.Equal(back, append(bytes.Clone(b), make([]byte, pad)...)) {
			t.Errorf("%s: without the signature it is not what it was: %v", name, err)
		}
	}
}

// What sbsign and Debian have signed is read, and the digest is theirs.
func TestReadsSignaturesOfOthers(t *testing.T) {
	testtool.Need(t, "sbsign")
	s, root := chain(t)
	key := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(s.Key)})
	ours, err := s.Program(read(t, stub))
	if err != nil {
		t.Fatal(err)
	}
	for want, in := range map[int][]byte{1: read(t, stub), 2: ours} {
		out := filepath.Join(t.TempDir(), "signed")
		said, err := exec.Command("sbsign", "--key", file(t, "key", key), "--cert", file(t, "cert", pemOf(s.Certificates[0])), "--output", out, file(t, "stub", in)).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, said)
		}
		b := read(t, out)
		list, err := Read(b)
		if err != nil || len(list) != want {
			t.Fatalf("%d signatures: %v", len(list), err)
		}
		for i := range list {
			if err := list[i].TrustedBy([]*x509.Certificate{root}); err != nil {
				t.Error(err)
			}
		}
		p, err := pe.Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		field := p.Optional + pe.OptChecksum
		if sum := uint32(b[field]) | uint32(b[field+1])<<8 | uint32(b[field+2])<<16 | uint32(b[field+3])<<24; sum != checksum(b, field) {
			t.Errorf("the check sum is %08x, and sbsign's %08x", checksum(b, field), sum)
		}
	}
	for _, suite := range []string{"bookworm", "trixie"} {
		root, release := testtool.Kernel(t, suite)
		list, err := Read(read(t, filepath.Join(root, "boot", "vmlinuz-"+release)))
		if err != nil || len(list) == 0 {
			t.Fatalf("the kernel of %s: %d signatures: %v", suite, len(list), err)
		}
		for _, s := range list {
			if s.Broken != nil {
				t.Errorf("the kernel of %s: %v", suite, s.Broken)
			}
		}
	}
}

func TestKeys(t *testing.T) {
	s, _ := chain(t)
	pkcs1 := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(s.Key)})
	if k, err := ParseKey(pkcs1); err != nil || !k.Equal(s.Key) {
		t.Error(err)
	}
	if k, err := ParsePublicKey(pemOf(s.Certificates[0])); err != nil || !k.Equal(&s.Key.PublicKey) {
		t.Error(err)
	}
	for _, text := range []string{"", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n", "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n"} {
		if _, err := ParseKey([]byte(text)); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
	other := &Signer{Key: s.Key}
	if _, err := other.Program(read(t, stub)); err == nil {
		t.Error("signed without a certificate")
	}
	ca, err := signing.Key()
	if err != nil {
		t.Fatal(err)
	}
	other = &Signer{Key: ca, Certificates: s.Certificates}
	if _, err := other.Program(read(t, stub)); err == nil {
		t.Error("signed with a certificate of another key")
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("MZ"))
	if b, err := os.ReadFile(stub); err == nil {
		s, _ := chain(f)
		signed, err := s.Program(b)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(signed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := Read(b)
		for i := range list {
			if err != nil || list[i].TrustedBy(nil) == nil {
				t.Fatal("trusted by nobody")
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("\x30\x80"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var s Signature
		if s.read(b, []byte("digest")) == nil {
			t.Fatal("a signature of nobody holds")
		}
	})
}
