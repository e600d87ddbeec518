package kmod

import (
	"slices"
	"strings"

	"firstlight/internal/order"
)

// cryptoPrefix is how the kernel's requests for ciphers and hashes begin, as
// aliases are compared.
const cryptoPrefix = "crypto_"

// CryptoNames returns all that a request which begins with "crypto-" can
// find: names and aliases of modules, those of modprobe.d among them, with
// '_' for '-', in their order, one a line. whole is false where a wildcard
// might match such a request, so that no list has them all.
func (s Source) CryptoNames() (list string, whole bool) {
	var names []string
	whole = true
	add := func(pattern string) {
		p, err := NormalizeAlias(pattern)
		if err != nil {
			return // matches nothing
		}
		literal := p
		if i := strings.IndexAny(p, `*?[\`); i >= 0 {
			literal = p[:i]
		}
		switch {
		case literal != p && (strings.HasPrefix(literal, cryptoPrefix) || strings.HasPrefix(cryptoPrefix, literal)):
			whole = false
		case literal == p && strings.HasPrefix(p, cryptoPrefix):
			names = append(names, p+"\n")
		}
	}
	for _, a := range s.Aliases {
		add(a.Pattern)
	}
	for _, m := range s.Modules {
		add(m.Name)
		for _, a := range m.Aliases {
			add(a)
		}
	}
	order.Strings(names)
	return strings.Join(slices.Compact(names), ""), whole
}
