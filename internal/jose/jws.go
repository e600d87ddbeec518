package jose

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"math/big"

	"firstlight/internal/luksfmt/jsontree"
)

// Advertisement is what a Tang server says of itself: its keys, each signed with
// every one of them that signs.
type Advertisement struct {
	Keys   []Key
	Signed []Key // those whose signature on it is right
}

// ParseAdvertisement reads a JWS in the general or the flattened form. It is an
// error if a key of it that signs has not signed it.
func ParseAdvertisement(b []byte) (*Advertisement, error) {
	v, err := Parse(b)
	if err != nil {
		return nil, err
	}
	payload := text(v, "payload")
	inner, err := decode(payload)
	if err != nil {
		return nil, err
	}
	set, err := Parse(inner)
	if err != nil {
		return nil, err
	}
	a := &Advertisement{Keys: Keys(set)}
	signatures := []*jsontree.Value{v}
	if list := v.Get("signatures"); list.Kind() == jsontree.Array {
		signatures = nil
		for _, m := range list.Members() {
			signatures = append(signatures, m.Value)
		}
	}
	if len(signatures) > 16 || len(a.Keys) > 32 {
		return nil, fmt.Errorf("%w: %d signatures of %d keys", ErrMalformed, len(signatures), len(a.Keys))
	}
	for i := range a.Keys {
		k := &a.Keys[i]
		if !k.signs() {
			continue
		}
		ok := false
		for _, s := range signatures {
			ok = ok || k.verifies(s, payload)
		}
		if !ok {
			return nil, fmt.Errorf("an advertisement that its key %s has not signed", k.Thumbprints()[0])
		}
		a.Signed = append(a.Signed, *k)
	}
	if len(a.Signed) == 0 {
		return nil, fmt.Errorf("%w: an advertisement that nobody has signed", ErrMalformed)
	}
	return a, nil
}

// signs says whether a key is for signatures.
func (k *Key) signs() bool {
	return k.Can("verify") && (k.Alg == "ES256" || k.Alg == "ES384" || k.Alg == "ES512")
}

// verifies says whether s is the key's signature.
func (k *Key) verifies(s *jsontree.Value, payload string) bool {
	protected := text(s, "protected")
	head, err := decode(protected)
	if err != nil {
		return false
	}
	h, err := Parse(head)
	if err != nil || text(h, "alg") != k.Alg || h.Get("crit") != nil {
		return false
	}
	sig, err := decode(text(s, "signature"))
	n := (k.curve.Params().BitSize + 7) / 8
	if err != nil || len(sig) != 2*n {
		return false
	}
	signed := []byte(protected + "." + payload)
	var digest []byte
	switch k.Alg + k.curve.Params().Name {
	case "ES256P-256":
		d := sha256.Sum256(signed)
		digest = d[:]
	case "ES384P-384":
		d := sha512.Sum384(signed)
		digest = d[:]
	case "ES512P-521":
		d := sha512.Sum512(signed)
		digest = d[:]
	default:
		return false
	}
	uncompressed := append([]byte{4}, k.x.FillBytes(make([]byte, n))...)
	public, err := ecdsa.ParseUncompressedPublicKey(k.curve, append(uncompressed, k.y.FillBytes(make([]byte, n))...))
	if err != nil {
		return false
	}
	return ecdsa.Verify(public, digest, new(big.Int).SetBytes(sig[:n]), new(big.Int).SetBytes(sig[n:]))
}

// SameServer says whether an advertisement is of a server of which some keys are
// known: one that signs must be among them, by its thumbprint.
func (a *Advertisement) SameServer(known []Key) bool {
	for i := range a.Signed {
		for j := range known {
			if known[j].signs() && a.Signed[i].Is(known[j].Thumbprints()[0]) {
				return true
			}
		}
	}
	return false
}

// Has returns the key of a thumbprint.
func Has(keys []Key, thumbprint string) (Key, bool) {
	for i := range keys {
		if keys[i].Is(thumbprint) {
			return keys[i], true
		}
	}
	return Key{}, false
}
