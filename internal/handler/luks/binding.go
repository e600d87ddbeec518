package luks

import (
	"errors"

	"firstlight/internal/luksfmt/jsontree"
)

// errNoBinding says that a token is none that Clevis writes.
var errNoBinding = errors.New("it is not what Clevis writes")

// binding is the JWE of a token of Clevis in the compact form. What is in it is the
// helper's to read.
func binding(token *jsontree.Value) (string, error) {
	j := token.Get("jwe")
	text := ""
	for i, name := range [...]string{"protected", "encrypted_key", "iv", "ciphertext", "tag"} {
		s, ok := j.Get(name).Str()
		if !ok && name != "encrypted_key" {
			return "", errNoBinding
		}
		for _, c := range []byte(s) {
			if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return "", errNoBinding
			}
		}
		if i > 0 {
			text += "."
		}
		text += s
	}
	return text, nil
}
