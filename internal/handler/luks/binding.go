package luks

import (
	"errors"
	"strconv"

	"firstlight/internal/luksfmt"
	"firstlight/internal/luksfmt/jsontree"
)

// errNoBinding says that a token is none that Clevis writes.
var errNoBinding = errors.New("it is not what Clevis writes")

// foundBindings are the bindings in a header.
type foundBindings struct {
	Count    int
	Problems []string
	Texts    []string `inputs:"-"`
}

// readBindings reads the tokens of Clevis.
func readBindings(tokens []luksfmt.Token) *foundBindings {
	f := &foundBindings{}
	for i := range tokens {
		if tokens[i].Type != "clevis" {
			continue
		}
		text, err := binding(tokens[i].JSON)
		if err != nil {
			f.Problems = append(f.Problems, "token "+strconv.Itoa(tokens[i].ID)+", "+err.Error())
			continue
		}
		f.Count++
		f.Texts = append(f.Texts, text)
	}
	return f
}

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
