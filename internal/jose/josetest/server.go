// Package josetest is a Tang server in memory, for tests and the simulator.
package josetest

import (
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"testing"

	"firstlight/internal/jose"
)

// Server has the private keys of a Tang server.
type Server struct{ keys []private }

type private struct {
	Alg, Crv, D, X, Y string
}

// Load reads private keys, a set of JWK.
func Load(t testing.TB, text string) *Server {
	var s struct{ Keys []private }
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatal(err)
	}
	return &Server{s.Keys}
}

// number reads a coordinate or a private key.
func number(s string) *big.Int {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return new(big.Int).SetBytes(b)
}

// Recover is what the server answers to POST /rec/KID, ok is false where it has no
// such key.
func (s *Server) Recover(kid string, body []byte) (answer []byte, ok bool) {
	var ask private
	if json.Unmarshal(body, &ask) != nil {
		return nil, false
	}
	for _, k := range s.keys {
		text, err := json.Marshal(map[string]string{"kty": "EC", "crv": k.Crv, "x": k.X, "y": k.Y})
		if err != nil || k.Alg != "ECMR" {
			continue
		}
		v, err := jose.Parse(text)
		if err != nil {
			continue
		}
		if own, err := jose.ParseKey(v); err != nil || !own.Is(kid) {
			continue
		}
		c := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[k.Crv]
		x, y := c.ScalarMult(number(ask.X), number(ask.Y), number(k.D).Bytes()) //lint:ignore SA1019 it is what a server does
		n := (c.Params().BitSize + 7) / 8
		enc := func(v *big.Int) string {
			return base64.RawURLEncoding.EncodeToString(v.FillBytes(make([]byte, n)))
		}
		answer, err = json.Marshal(map[string]any{"alg": "ECMR", "kty": "EC", "crv": k.Crv, "x": enc(x), "y": enc(y), "key_ops": []string{"deriveKey"}})
		return answer, err == nil
	}
	return nil, false
}

// Seal is a JWE in the compact form with a header, which nothing opens.
func Seal(header string) string {
	e := base64.RawURLEncoding.EncodeToString
	return e([]byte(header)) + ".." + e(make([]byte, 12)) + ".." + e(make([]byte, 16))
}
