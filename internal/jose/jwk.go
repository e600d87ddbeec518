// Package jose is the part of JOSE that Clevis and Tang use: keys of elliptic
// curves (RFC 7517) and their thumbprints (RFC 7638), encryption with ECDH-ES or
// a given key and A256GCM (RFC 7516, 7518), signatures with ECDSA (RFC 7515), and
// Tang's exchange, which is McCallum's and Relyea's. It is pure: random numbers
// are given to it.
package jose

import (
	"crypto/elliptic"
	"crypto/sha1" // of old thumbprints, on which nothing rests
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"

	"firstlight/internal/luksfmt/jsontree"
)

// Limits of every document that is read.
var limits = jsontree.Limits{Depth: 12, Values: 4096}

// MaxSize bounds a document in bytes.
const MaxSize = 256 << 10

// ErrMalformed is wrapped by errors about documents that are not what they are
// to be.
var ErrMalformed = errors.New("malformed")

// Parse reads a JSON document within the limits.
func Parse(b []byte) (*jsontree.Value, error) {
	if len(b) > MaxSize {
		return nil, fmt.Errorf("%w: %d bytes of JSON", ErrMalformed, len(b))
	}
	return jsontree.Parse(b, limits)
}

// decode reads base64url without padding.
func decode(s string) ([]byte, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("%w: not base64url", ErrMalformed)
	}
	return b, nil
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// text is a string member of an object, "" if it is none.
func text(v *jsontree.Value, name string) string {
	s, _ := v.Get(name).Str()
	return s
}

// Point is a public key of an elliptic curve: a point of it that is not at
// infinity.
type Point struct {
	curve elliptic.Curve
	x, y  *big.Int
}

// Key is a key as a JWK describes it.
type Key struct {
	Point
	Alg string   // "ECMR", "ES512" …
	Ops []string // key_ops
}

// curveOf is the curve of a name.
func curveOf(name string) elliptic.Curve {
	switch name {
	case "P-256":
		return elliptic.P256()
	case "P-384":
		return elliptic.P384()
	case "P-521":
		return elliptic.P521()
	}
	return nil
}

// ParseKey reads a public key of an elliptic curve.
func ParseKey(v *jsontree.Value) (k Key, err error) {
	c := curveOf(text(v, "crv"))
	if text(v, "kty") != "EC" || c == nil {
		return k, fmt.Errorf("%w: a key of the kind %q and the curve %q", ErrMalformed, short(text(v, "kty")), short(text(v, "crv")))
	}
	n := (c.Params().BitSize + 7) / 8
	x, err1 := decode(text(v, "x"))
	y, err2 := decode(text(v, "y"))
	if err1 != nil || err2 != nil || len(x) != n || len(y) != n {
		return k, fmt.Errorf("%w: the coordinates of a key", ErrMalformed)
	}
	k.Point = Point{c, new(big.Int).SetBytes(x), new(big.Int).SetBytes(y)}
	if !k.on() {
		return k, fmt.Errorf("%w: a key that is no point of its curve", ErrMalformed)
	}
	k.Alg = text(v, "alg")
	if ops := v.Get("key_ops"); ops.Kind() == jsontree.Array {
		for _, m := range ops.Members() {
			if s, ok := m.Value.Str(); ok && len(k.Ops) < 16 {
				k.Ops = append(k.Ops, s)
			}
		}
	}
	return k, nil
}

// Keys reads a set of keys, passing over those of other kinds.
func Keys(v *jsontree.Value) (keys []Key) {
	for _, m := range v.Get("keys").Members() {
		if k, err := ParseKey(m.Value); err == nil {
			keys = append(keys, k)
		}
	}
	return keys
}

// Can says whether a key is for an operation; one that says nothing is for all.
func (k *Key) Can(op string) bool {
	for _, o := range k.Ops {
		if o == op {
			return true
		}
	}
	return len(k.Ops) == 0
}

// short is a text of a document for a message.
func short(s string) string {
	if len(s) > 40 {
		s = s[:40] + "…"
	}
	b := []byte(s)
	for i, c := range b {
		if c < ' ' || c == 0x7f {
			b[i] = '?'
		}
	}
	return string(b)
}

// coordinates are x and y with leading zeros, in base64url.
func (p Point) coordinates() (x, y string) {
	n := (p.curve.Params().BitSize + 7) / 8
	return encode(p.x.FillBytes(make([]byte, n))), encode(p.y.FillBytes(make([]byte, n)))
}

// Thumbprints are those of the key, by every hash that Clevis knows, the usual one
// first.
func (k *Key) Thumbprints() []string {
	x, y := k.coordinates()
	b := []byte(`{"crv":"` + k.curve.Params().Name + `","kty":"EC","x":"` + x + `","y":"` + y + `"}`)
	s256, s1, s224, s384, s512 := sha256.Sum256(b), sha1.Sum(b), sha256.Sum224(b), sha512.Sum384(b), sha512.Sum512(b)
	return []string{encode(s256[:]), encode(s1[:]), encode(s224[:]), encode(s384[:]), encode(s512[:])}
}

// Is says whether a thumbprint is the key's.
func (k *Key) Is(thumbprint string) bool {
	for _, t := range k.Thumbprints() {
		if t == thumbprint {
			return true
		}
	}
	return false
}

// JSON is the public key as Tang takes it.
func (p Point) JSON() string {
	x, y := p.coordinates()
	return `{"alg":"ECMR","crv":"` + p.curve.Params().Name + `","key_ops":["deriveKey"],"kty":"EC","x":"` + x + `","y":"` + y + `"}`
}

// Bytes reads base64url without padding.
func Bytes(s string) ([]byte, error) { return decode(s) }
