package kmod_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"firstlight/internal/kmod"
)

// What the list has not got, the index does not find, and the other way round:
// a request for it ends without the index being opened.
func TestCryptoNamesAreWhatTheIndexFinds(t *testing.T) {
	aes := mod("aesni-intel", "crypto_simd")
	aes.Aliases = []string{"crypto-aes", "aes", "cpu:type:x86,ven*fam*mod*:feature:*0099*"}
	xts := mod("xts")
	xts.Aliases = []string{"crypto-xts", "xts"}
	odd := mod("odd")
	odd.Aliases = []string{"crypto-a[b", "cryptodisk"}
	builtin := kmod.SourceModule{Name: "sha1", Aliases: []string{"crypto-sha1"}, Builtin: true}
	src := kmod.Source{Modules: []kmod.SourceModule{aes, xts, mod("crypto_simd"), odd, builtin},
		Aliases: []kmod.SourceAlias{{Pattern: "crypto-mine", Module: "xts"}}}
	list, whole := src.CryptoNames()
	if want := "crypto_aes\ncrypto_mine\ncrypto_sha1\ncrypto_simd\ncrypto_xts\n"; list != want || !whole {
		t.Fatalf("the list is %q, whole: %t; want %q", list, whole, want)
	}
	var b bytes.Buffer
	if err := kmod.WriteIndex(&b, src); err != nil {
		t.Fatal(err)
	}
	ix, err := kmod.OpenIndex(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	for _, request := range []string{"crypto-aes", "crypto_aes", "crypto-aes-all", "crypto-xts(aes)", "crypto-cryptd(__xts-aes-aesni)",
		"crypto-mine", "crypto-simd", "crypto-sha1", "crypto-disk", "crypto-", "crypto-ae"} {
		_, err := ix.PlanFor(request, kmod.Config{})
		if err != nil && !errors.Is(err, kmod.ErrUnknown) {
			t.Fatal(err)
		}
		listed := strings.Contains("\n"+list, "\n"+kmod.NormalizeName(request)+"\n")
		if listed != (err == nil) {
			t.Errorf("%s: in the list: %t, in the index: %v", request, listed, err)
		}
	}
}

func TestNoListOfCryptoNamesWhereAWildcardMatchesThem(t *testing.T) {
	for pattern, want := range map[string]bool{
		"crypto-*": false, "crypto-aes?": false, "cr*": false, "*": false, "[c]rypto-aes": false,
		"pci:v1*": true, "crypt*": false, "cryptodisk*": true, "c": true,
	} {
		m := mod("m")
		m.Aliases = []string{pattern}
		if _, whole := (kmod.Source{Modules: []kmod.SourceModule{m}}).CryptoNames(); whole != want {
			t.Errorf("alias %s: whole is %t", pattern, whole)
		}
		src := kmod.Source{Modules: []kmod.SourceModule{mod("m")}, Aliases: []kmod.SourceAlias{{Pattern: pattern, Module: "m"}}}
		if _, whole := src.CryptoNames(); whole != want {
			t.Errorf("alias %s of modprobe.d: whole is %t", pattern, whole)
		}
	}
}
