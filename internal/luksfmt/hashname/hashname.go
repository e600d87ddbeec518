// Package hashname knows hash functions by the names that LUKS headers and
// crypttab give them. It is pure.
package hashname

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"hash"
	"strings"

	"golang.org/x/crypto/blake2b"
	//lint:ignore SA1019 headers made with it have to be opened
	"golang.org/x/crypto/ripemd160"

	"firstlight/internal/fmt"
)

// ErrUnknown is wrapped by the error for a hash that is not built in.
var ErrUnknown = errors.New("hash is not built in")

// New returns the constructor of a hash function. Names are those of
// cryptsetup and of the kernel, in upper or lower case: sha1, sha224, sha256,
// sha384, sha512, ripemd160 (rmd160), blake2b-160 to blake2b-512.
func New(name string) (func() hash.Hash, error) {
	switch strings.ToLower(name) {
	case "sha1":
		return sha1.New, nil
	case "sha224":
		return sha256.New224, nil
	case "sha256":
		return sha256.New, nil
	case "sha384":
		return sha512.New384, nil
	case "sha512":
		return sha512.New, nil
	case "ripemd160", "rmd160":
		return ripemd160.New, nil
	case "blake2b-160":
		return blake(20), nil
	case "blake2b-256":
		return blake(32), nil
	case "blake2b-384":
		return blake(48), nil
	case "blake2b-512":
		return blake(64), nil
	}
	return nil, fmt.Errorf("%w: %q", ErrUnknown, name)
}

func blake(size int) func() hash.Hash {
	return func() hash.Hash {
		h, err := blake2b.New(size, nil)
		if err != nil { // only a size out of range is an error
			panic(err)
		}
		return h
	}
}
