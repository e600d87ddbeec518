package jose

import (
	"fmt"
	"math/big"
)

// Combine finds Shamir's secret from as many shares as it needs: each is x and y
// in as many bytes as the prime p, the most significant first. The secret has as
// many.
func Combine(p []byte, shares [][]byte) ([]byte, error) {
	prime := new(big.Int).SetBytes(p)
	if len(p) < 16 || len(p) > 128 || !prime.ProbablyPrime(16) {
		return nil, fmt.Errorf("%w: the prime of the shares", ErrMalformed)
	}
	n := len(p)
	type point struct{ x, y *big.Int }
	var points []point
	for _, s := range shares {
		if len(s) != 2*n {
			return nil, fmt.Errorf("%w: a share of %d bytes", ErrMalformed, len(s))
		}
		q := point{new(big.Int).SetBytes(s[:n]), new(big.Int).SetBytes(s[n:])}
		if q.x.Sign() == 0 || q.x.Cmp(prime) >= 0 || q.y.Cmp(prime) >= 0 {
			return nil, fmt.Errorf("%w: a share outside of the prime", ErrMalformed)
		}
		for _, o := range points {
			if o.x.Cmp(q.x) == 0 {
				return nil, fmt.Errorf("%w: two shares that are one", ErrMalformed)
			}
		}
		points = append(points, q)
	}
	// The polynomial through the points, at zero.
	secret := new(big.Int)
	for i, a := range points {
		above, below := big.NewInt(1), big.NewInt(1)
		for j, b := range points {
			if i != j {
				above.Mod(above.Mul(above, b.x), prime)
				below.Mod(below.Mul(below, new(big.Int).Sub(b.x, a.x)), prime)
			}
		}
		inverse := new(big.Int).ModInverse(below, prime)
		if inverse == nil {
			return nil, fmt.Errorf("%w: shares without a polynomial", ErrMalformed)
		}
		term := new(big.Int).Mul(a.y, above)
		secret.Mod(secret.Add(secret, term.Mul(term, inverse)), prime)
	}
	return secret.FillBytes(make([]byte, n)), nil
}
