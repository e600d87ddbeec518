package check

import (
	"slices"
	"strings"
)

// accelerated are modules that bring modes of a cipher as a whole, without the
// templates that the kernel makes them of otherwise. They come with the
// processor's own alias; the kernel does not ask for them by the mode.
var accelerated = map[string]struct {
	cipher string
	modes  []string
}{
	"aesni_intel": {"aes", []string{"ecb", "cbc", "ctr", "xts"}},
	"aes_ce_blk":  {"aes", []string{"ecb", "cbc", "ctr", "xts", "essiv"}},
	"aes_neon_bs": {"aes", []string{"ecb", "cbc", "ctr", "xts"}},
}

// lacksCipher returns a part of a cipher in dm-crypt's spelling that the kernel
// has not, and cannot load from the image; "" if all is there.
func (w *world) lacksCipher(spec string) string {
	parts := algorithms(spec)
	if len(parts) == 0 {
		return ""
	}
	cipher := parts[0]
	for _, part := range parts[1:] {
		if w.accelerates(part, cipher) {
			continue
		}
		if !w.request("crypto-" + part) {
			return part
		}
		// These are made of the cipher's blocks, one by one.
		if slices.Contains([]string{"xts", "lrw"}, part) && !w.accelerates("ecb", cipher) && !w.request("crypto-ecb") {
			return "ecb"
		}
	}
	if !w.request("crypto-" + cipher) {
		return cipher
	}
	return ""
}

// accelerates says whether a module that is loaded brings a mode of a cipher.
func (w *world) accelerates(mode, cipher string) bool {
	for name, a := range accelerated {
		if w.modules.there(name) && a.cipher == cipher && slices.Contains(a.modes, mode) {
			return true
		}
	}
	return false
}

// separators stand between the parts of a cipher's name.
const separators = "-:(),"

// algorithms are the parts of a cipher in dm-crypt's spelling that the kernel
// must have, the cipher itself first: "aes-cbc-essiv:sha256" needs aes, cbc,
// essiv and sha256; so does "capi:essiv(cbc(aes),sha256)-plain64", in which it
// is the innermost.
func algorithms(spec string) []string {
	spec = strings.TrimPrefix(spec, "capi:")
	words := func(text string) []string {
		return strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(separators, r) })
	}
	inner := words(spec[strings.LastIndex(spec, "(")+1:])
	if len(inner) == 0 {
		return nil
	}
	out := inner[:1:1]
	for _, w := range words(spec) {
		switch w {
		case "plain", "plain64", "plain64be", "null", "random", "benbi", "eboiv", "elephant", "lmk", "tcw":
		default:
			if !slices.Contains(out, w) {
				out = append(out, w)
			}
		}
	}
	return out
}
