package jose

import (
	"crypto/elliptic"
	"errors"
	"fmt"
	"io"
	"math/big"

	"firstlight/internal/luksfmt/jsontree"
)

// The arithmetic of points is crypto/elliptic's, which is deprecated for
// protocols that have better: crypto/ecdh has no sum of two points, and Tang's
// exchange is made of sums.

func (p Point) on() bool {
	most := p.curve.Params().P
	if p.x.Cmp(most) >= 0 || p.y.Cmp(most) >= 0 || p.x.Sign() == 0 && p.y.Sign() == 0 {
		return false
	}
	return p.curve.IsOnCurve(p.x, p.y) //lint:ignore SA1019 see above
}

func (p Point) add(q Point) Point {
	x, y := p.curve.Add(p.x, p.y, q.x, q.y) //lint:ignore SA1019 see above
	return Point{p.curve, x, y}
}

func (p Point) times(k []byte) Point {
	x, y := p.curve.ScalarMult(p.x, p.y, k) //lint:ignore SA1019 see above
	return Point{p.curve, x, y}
}

func (p Point) negative() Point {
	return Point{p.curve, p.x, new(big.Int).Mod(new(big.Int).Neg(p.y), p.curve.Params().P)}
}

func (p Point) same(q Point) bool {
	return p.curve == q.curve && p.x.Cmp(q.x) == 0 && p.y.Cmp(q.y) == 0
}

// Wipe forgets the point, which is a secret where it was shared.
func (p Point) Wipe() {
	for _, n := range []*big.Int{p.x, p.y} {
		clear(n.Bits())
	}
}

// Exchange is one of McCallum's and Relyea's: of a server with the key s, which it
// keeps, whoever has c·G learns s·c·G, and neither the server nor who listens does.
// The server is sent (c+e)·G with a new e each time, and gives s times that.
type Exchange struct {
	server Point  // s·G
	blind  []byte // e
	ask    Point  // (c+e)·G
}

// errUnlucky says that random numbers gave a point at infinity: it comes once in
// the age of the universe, or with a generator that is broken.
var errUnlucky = errors.New("the random numbers of the exchange cannot be used")

// Begin begins an exchange with the server key server for the point client.
func Begin(server, client Point, random io.Reader) (*Exchange, error) {
	if server.curve != client.curve {
		return nil, fmt.Errorf("%w: keys of two curves", ErrMalformed)
	}
	c := server.curve
	e, err := scalar(c, random)
	if err != nil {
		return nil, err
	}
	x, y := c.ScalarBaseMult(e) //lint:ignore SA1019 see above
	ask := client.add(Point{c, x, y})
	if !ask.on() {
		return nil, errUnlucky
	}
	return &Exchange{server, e, ask}, nil
}

// scalar is a number from 1 to the order of the curve, exclusively.
func scalar(c elliptic.Curve, random io.Reader) ([]byte, error) {
	n := c.Params().N
	b := make([]byte, (n.BitLen()+7)/8)
	for range 128 {
		if _, err := io.ReadFull(random, b); err != nil {
			return nil, err
		}
		b[0] &= byte(0xff) >> (len(b)*8 - n.BitLen())
		if k := new(big.Int).SetBytes(b); k.Sign() > 0 && k.Cmp(n) < 0 {
			return b, nil
		}
	}
	return nil, errUnlucky
}

// Ask is what the server is sent.
func (x *Exchange) Ask() string { return x.ask.JSON() }

// Finish takes the server's answer and returns the point that is shared. Whether
// it is the right one shows when something is opened with it.
func (x *Exchange) Finish(answer *jsontree.Value) (Point, error) {
	k, err := ParseKey(answer)
	if err != nil {
		return Point{}, err
	}
	if k.curve != x.server.curve {
		return Point{}, fmt.Errorf("%w: an answer of another curve", ErrMalformed)
	}
	veil := x.server.times(x.blind)
	clear(x.blind)
	if k.Point.same(veil) {
		return Point{}, fmt.Errorf("%w: an answer that shares nothing", ErrMalformed)
	}
	shared := k.Point.add(veil.negative())
	if !shared.on() {
		return Point{}, fmt.Errorf("%w: an answer that shares nothing", ErrMalformed)
	}
	return shared, nil
}
