package fetch

import (
	"encoding/binary"
	"math/bits"
)

// Blake is BLAKE2b with a sum of 64 bytes and no key (RFC 7693), over which
// minisign signs. x/crypto's is as right and quicker, and a hundredth of the
// helper's size.
type Blake struct {
	h      [8]uint64
	block  [128]byte
	n      int // bytes in block
	length uint64
}

// blakeIV are the first words of the fractions of the roots of primes that
// SHA-512 begins with.
var blakeIV = [8]uint64{0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
	0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179}

// sigma is which word of a block is mixed in when; the last two of the twelve
// rounds are as the first two.
var sigma = [10][16]byte{
	{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
	{14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
	{11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
	{7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
	{9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
	{2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
	{12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
	{13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
	{6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
	{10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
}

// NewBlake returns one of nothing yet.
func NewBlake() *Blake {
	b := &Blake{}
	b.Reset()
	return b
}

// Reset forgets what was written.
func (b *Blake) Reset() {
	*b = Blake{h: blakeIV}
	b.h[0] ^= 0x01010040
}

// Write adds to what is summed.
func (b *Blake) Write(p []byte) {
	for len(p) > 0 {
		if b.n == len(b.block) { // the last block is mixed in by Sum
			b.length += uint64(b.n)
			b.mix(false)
			b.n = 0
		}
		n := copy(b.block[b.n:], p)
		b.n += n
		p = p[n:]
	}
}

// Sum is the sum of all that was written. Nothing can be added any more.
func (b *Blake) Sum() []byte {
	b.length += uint64(b.n)
	clear(b.block[b.n:])
	b.mix(true)
	out := make([]byte, 0, 64)
	for _, w := range b.h {
		out = binary.LittleEndian.AppendUint64(out, w)
	}
	return out
}

func (b *Blake) mix(last bool) {
	var m, v [16]uint64
	for i := range m {
		m[i] = binary.LittleEndian.Uint64(b.block[8*i:])
	}
	copy(v[:], b.h[:])
	copy(v[8:], blakeIV[:])
	v[12] ^= b.length
	if last {
		v[14] = ^v[14]
	}
	for round := range 12 {
		s := &sigma[round%10]
		for i := range 4 {
			blakeG(&v[i], &v[4+i], &v[8+i], &v[12+i], m[s[2*i]], m[s[2*i+1]])
		}
		for i := range 4 {
			blakeG(&v[i], &v[4+(i+1)%4], &v[8+(i+2)%4], &v[12+(i+3)%4], m[s[8+2*i]], m[s[9+2*i]])
		}
	}
	for i := range b.h {
		b.h[i] ^= v[i] ^ v[8+i]
	}
}

func blakeG(pa, pb, pc, pd *uint64, x, y uint64) {
	a, b, c, d := *pa, *pb, *pc, *pd
	a += b + x
	d = bits.RotateLeft64(d^a, -32)
	c += d
	b = bits.RotateLeft64(b^c, -24)
	a += b + y
	d = bits.RotateLeft64(d^a, -16)
	c += d
	b = bits.RotateLeft64(b^c, -63)
	*pa, *pb, *pc, *pd = a, b, c, d
}
