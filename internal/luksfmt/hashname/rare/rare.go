// Package rare knows the hash functions that cryptsetup offers and hardly
// anybody uses. Only what the full /init has may call it. They are written out
// here, in few bytes: the packages that have them register themselves when a
// program starts, so that every program that could use them pays for them.
package rare

import (
	"hash"
	"strings"

	"firstlight/internal/fmt"
	"firstlight/internal/luksfmt/hashname"
)

// New is hashname.New for sha3-224 to sha3-512, blake2s-256 and whirlpool
// (wp512), in upper or lower case.
func New(name string) (func() hash.Hash, error) {
	switch strings.ToLower(name) {
	case "sha3-224":
		return newSHA3(28), nil
	case "sha3-256":
		return newSHA3(32), nil
	case "sha3-384":
		return newSHA3(48), nil
	case "sha3-512":
		return newSHA3(64), nil
	case "blake2s-256":
		return func() hash.Hash { b := &blake2s{}; b.Reset(); return b }, nil
	case "whirlpool", "wp512":
		table := newTable() // once for all that are made from here
		return func() hash.Hash { return &whirlpool{table: table} }, nil
	}
	return nil, fmt.Errorf("%w: %q", hashname.ErrUnknown, name)
}
