package signing

import (
	"bytes"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"firstlight/internal/testtool"
)

// openssl takes the signature for what it would have made.
func TestOpenSSLVerifiesTheSignature(t *testing.T) {
	testtool.Need(t, "openssl")
	dir, hash := t.TempDir(), strings.Repeat("5a", 32)
	sig, err := Sign(hash)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Sign(hash)
	if err != nil || !bytes.Equal(sig, again) {
		t.Error("the same hash gave another signature")
	}
	cert, err := Certificate()
	if err != nil {
		t.Fatal(err)
	}
	file := func(name string, b []byte) string {
		f := filepath.Join(dir, name)
		if err := os.WriteFile(f, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return f
	}
	pemFile := file("cert", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}))
	verify := func(content string) error {
		out, err := exec.Command(testtool.Path("openssl"), "smime", "-verify", "-inform", "der", "-in", file("sig", sig), "-content", file("content", []byte(content)),
			"-certfile", pemFile, "-noverify", "-nointern").CombinedOutput()
		t.Logf("%s", out)
		return err
	}
	if err := verify(hash); err != nil {
		t.Error(err)
	}
	if verify(strings.Repeat("5b", 32)) == nil {
		t.Error("another hash is taken too")
	}
}
