package luks

import (
	"slices"
	"strings"
	"testing"

	"firstlight/internal/crypttab"
)

func TestToolIsToldWhatTheOptionsSay(t *testing.T) {
	for _, tt := range []struct{ options, want string }{
		{"tcrypt", "open --batch-mode --tries 1 --type tcrypt --disable-veracrypt /dev/sda2 tc"},
		{"tcrypt-hidden,tcrypt-system,discard", "open --batch-mode --tries 1 --type tcrypt --tcrypt-hidden --tcrypt-system --disable-veracrypt --allow-discards /dev/sda2 tc"},
		{"tcrypt-veracrypt,veracrypt-pim=12,tcrypt-keyfile=/k,readonly", "open --batch-mode --tries 1 --type tcrypt --veracrypt-pim 12 --key-file /k --readonly /dev/sda2 tc"},
		{"bitlk", "open --batch-mode --tries 1 --type bitlk /dev/sda2 tc"},
	} {
		o, problems := crypttab.ParseOptions("test", tt.options)
		got, err := toolArgs(&o, o.ReadOnly, false, "/dev/sda2", "tc")
		if err != nil || len(problems) > 0 || strings.Join(got, " ") != tt.want {
			t.Errorf("%s: %q, %v, %v", tt.options, got, err, problems)
		}
	}
	for typ, want := range map[crypttab.Type]bool{crypttab.BitLK: true, crypttab.TCRYPT: false} {
		got, err := toolArgs(&crypttab.Options{Type: typ}, false, true, "/dev/sda2", "tc")
		if err != nil || slices.Contains(got, "-") != want {
			t.Errorf("%v with a key file: %q, %v", typ, got, err)
		}
	}
	if _, err := toolArgs(&crypttab.Options{}, false, false, "/dev/sda2", "-x"); err == nil {
		t.Error("a name that looks like an option is taken")
	}
}

func TestPlainVolumeAssumesNothing(t *testing.T) {
	for options, ok := range map[string]bool{
		"plain": false, "plain,cipher=aes-xts-plain64,size=512": false, "plain,cipher=aes-xts-plain64,hash=sha256": false,
		"plain,cipher=aes-xts-plain64,size=512,hash=sha256": true, "plain,cipher=aes-xts-plain64,size=512,hash=plain": true,
	} {
		o, _ := crypttab.ParseOptions("test", options)
		if p, err := describePlain(&o, false); (err == nil) != ok || ok && p.KeySize != 64 {
			t.Errorf("%s: %+v, %v", options, p, err)
		}
	}
	o, _ := crypttab.ParseOptions("test", "plain,cipher=aes-xts-plain64,size=512")
	if _, err := describePlain(&o, true); err != nil {
		t.Errorf("with a key file no hash is needed: %v", err)
	}
}

func TestCiphersModules(t *testing.T) {
	for spec, want := range map[string]string{
		"aes-xts-plain64":                "crypto-aes crypto-xts",
		"aes-cbc-essiv:sha256":           "crypto-aes crypto-cbc crypto-essiv crypto-sha256",
		"xchacha12,aes-adiantum-plain64": "crypto-xchacha12 crypto-aes crypto-adiantum",
		"cipher_null-ecb":                "crypto-ecb",
		"capi:gcm(aes)-random":           "crypto-gcm crypto-aes",
	} {
		if got := cipherModules(spec); !slices.Equal(got, strings.Fields(want)) {
			t.Errorf("%s: %q, want %s", spec, got, want)
		}
	}
}
