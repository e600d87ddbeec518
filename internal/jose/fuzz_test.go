package jose

import (
	"bytes"
	"encoding/base64"
	"os"
	"strings"
	"testing"
)

func sample(f *testing.F, name string) string {
	f.Helper()
	b, err := os.ReadFile("../clevis/testdata/" + name)
	if err != nil {
		f.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// What is read is the same when it is written and read again, and no key opens what
// was not encrypted with it.
func FuzzJWE(f *testing.F) {
	f.Add(sample(f, "tang.jwe"))
	f.Add("e30....")
	f.Fuzz(func(t *testing.T, s string) {
		j, err := ParseJWE(s)
		if err != nil {
			return
		}
		again, err := ParseJWE(j.Compact())
		if err != nil || again.Alg != j.Alg || again.KID != j.KID || again.Compact() != j.Compact() {
			t.Fatalf("%q is written %q: %v", s, j.Compact(), err)
		}
		if plain, err := j.Open(make([]byte, 32)); err == nil {
			t.Errorf("opened with zeros: %q", plain)
		}
		if p, err := j.Ephemeral(); err == nil {
			if !p.on() {
				t.Error("the sender's key is no point of its curve")
			}
			if plain, err := j.OpenShared(p); err == nil {
				t.Errorf("opened without a server: %q", plain)
			}
		}
	})
}

// Every key that is taken is a point of its curve, and has the thumbprint of what is
// written of it.
func FuzzKeys(f *testing.F) {
	f.Add([]byte(sample(f, "server.json")))
	f.Add([]byte(`{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := Parse(b)
		if err != nil {
			return
		}
		keys := Keys(v)
		if k, err := ParseKey(v); err == nil {
			keys = append(keys, k)
		}
		for _, k := range keys {
			if !k.on() || len(k.Ops) > 16 {
				t.Fatalf("%+v", k)
			}
			again, err := Parse([]byte(k.JSON()))
			if err != nil {
				t.Fatal(err)
			}
			if same, err := ParseKey(again); err != nil || !same.Is(k.Thumbprints()[0]) {
				t.Fatalf("%s is read as %+v, %v", k.JSON(), same, err)
			}
		}
	})
}

// A secret is as long as its prime, whatever the shares are.
func FuzzCombine(f *testing.F) {
	// The prime 2^127-1, with the shares of 42 on the line of gradient 1.
	p := append([]byte{0x7f}, bytes.Repeat([]byte{0xff}, 15)...)
	share := func(x, y byte) []byte { b := make([]byte, 32); b[15], b[31] = x, y; return b }
	f.Add(p, append(share(1, 43), share(2, 44)...))
	f.Add([]byte{13}, []byte{})
	if s, err := Combine(p, [][]byte{share(1, 43), share(2, 44)}); err != nil || s[15] != 42 {
		f.Fatalf("%s, %v", base64.StdEncoding.EncodeToString(s), err)
	}
	f.Fuzz(func(t *testing.T, p, all []byte) {
		var shares [][]byte
		for n := 2 * len(p); n > 0 && len(all) >= n && len(shares) < 8; all = all[n:] {
			shares = append(shares, all[:n])
		}
		if s, err := Combine(p, shares); err == nil && len(s) != len(p) {
			t.Errorf("a secret of %d bytes by a prime of %d", len(s), len(p))
		}
	})
}
