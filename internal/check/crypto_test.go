package check

import (
	"slices"
	"testing"

	"firstlight/internal/handler/all"
)

func TestPartsOfACipherBeginWithTheCipher(t *testing.T) {
	for spec, want := range map[string][]string{
		"aes-xts-plain64":                      {"aes", "xts"},
		"aes-cbc-essiv:sha256":                 {"aes", "cbc", "essiv", "sha256"},
		"serpent-xts-plain":                    {"serpent", "xts"},
		"capi:essiv(cbc(aes),sha256)-plain64":  {"aes", "essiv", "cbc", "sha256"},
		"capi:xts(twofish)-plain64":            {"twofish", "xts"},
		"capi:adiantum(xchacha12,aes)-plain64": {"xchacha12", "adiantum", "aes"},
		"cipher_null-ecb":                      {"cipher_null", "ecb"},
		"":                                     nil,
		"capi:((":                              nil,
	} {
		if got := algorithms(spec); !slices.Equal(got, want) {
			t.Errorf("%s: %q", spec, got)
		}
	}
}

// The kernel makes xts(aes) of templates, or has it whole from a module for the
// processor; that one is asked for by the processor's alias. Debian's 6.1 has
// the plain AES built in.
func TestCipherComesWholeOrInParts(t *testing.T) {
	for _, c := range []struct {
		name    string
		without []string
		want    Verdict
	}{
		{"both ways", nil, Boots},
		{"in parts", []string{"aesni-intel.ko"}, Boots},
		{"in parts, as what the module needs is missing", []string{"cryptd.ko"}, Boots},
		{"whole, without a template", []string{"xts.ko"}, Boots},
		{"neither", []string{"aesni-intel.ko", "xts.ko"}, Fails},
		{"without what the template is made on", []string{"aesni-intel.ko", "ecb.ko"}, Fails},
	} {
		t.Run(c.name, func(t *testing.T) {
			im := open(t, built(t, encrypted))
			s, line := lockedMachine(t, true)
			im.put(keyFile, key)
			if c.without != nil {
				im.without(t, c.without...)
			}
			if r := Run(im, s, Config{Cmdline: line, Unattended: true, Handlers: all.Handlers()}); r.Verdict != c.want {
				t.Errorf("it %s: %q", r.Verdict, r.Explanation)
			}
		})
	}
}
