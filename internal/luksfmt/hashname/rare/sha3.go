package rare

import (
	"encoding/binary"
	"hash"
	"math/bits"
)

// sha3 is SHA-3 of FIPS 202 with a digest of size bytes.
type sha3 struct {
	a    [25]uint64 // the lanes, x + 5y
	at   int        // bytes of the rate that are filled
	size int
}

func newSHA3(size int) func() hash.Hash { return func() hash.Hash { return &sha3{size: size} } }

func (s *sha3) Size() int      { return s.size }
func (s *sha3) BlockSize() int { return 200 - 2*s.size }
func (s *sha3) Reset()         { *s = sha3{size: s.size} }

func (s *sha3) add(b byte) {
	s.a[s.at/8] ^= uint64(b) << (8 * (s.at % 8))
	s.at++
}

func (s *sha3) Write(p []byte) (int, error) {
	for _, b := range p {
		s.add(b)
		if s.at == s.BlockSize() {
			s.permute()
			s.at = 0
		}
	}
	return len(p), nil
}

func (s *sha3) Sum(b []byte) []byte {
	own := *s // the caller may go on writing
	own.add(0x06)
	own.at = own.BlockSize() - 1
	own.add(0x80)
	own.permute()
	var out [200]byte
	for i, lane := range own.a {
		binary.LittleEndian.PutUint64(out[8*i:], lane)
	}
	return append(b, out[:s.size]...)
}

// permute is Keccak-f[1600]. The constants of the rounds come from the
// standard's shift register.
func (s *sha3) permute() {
	a := &s.a
	lfsr := byte(1)
	for range 24 {
		// θ
		var c [5]uint64
		for x := range 5 {
			c[x] = a[x] ^ a[x+5] ^ a[x+10] ^ a[x+15] ^ a[x+20]
		}
		for x := range 5 {
			d := c[(x+4)%5] ^ bits.RotateLeft64(c[(x+1)%5], 1)
			for y := 0; y < 25; y += 5 {
				a[x+y] ^= d
			}
		}
		// ρ and π
		x, y := 1, 0
		lane := a[1]
		for t := range 24 {
			x, y = y, (2*x+3*y)%5
			a[x+5*y], lane = bits.RotateLeft64(lane, (t+1)*(t+2)/2), a[x+5*y]
		}
		// χ
		for y := 0; y < 25; y += 5 {
			row := [5]uint64(a[y : y+5])
			for x := range 5 {
				a[x+y] = row[x] ^ ^row[(x+1)%5]&row[(x+2)%5]
			}
		}
		// ι
		for j := range 7 {
			a[0] ^= uint64(lfsr&1) << (1<<j - 1)
			lfsr = lfsr<<1 ^ lfsr>>7*0x71
		}
	}
}
