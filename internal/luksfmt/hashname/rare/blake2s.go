package rare

import (
	"encoding/binary"
	"math/bits"
)

// blake2s is BLAKE2s-256 of RFC 7693, without a key.
type blake2s struct {
	h      [8]uint32
	block  [64]byte
	filled int
	length uint64 // bytes that were compressed
}

// blakeIV is the first words of the fractional parts of square roots, as in
// SHA-256.
func blakeIV() [8]uint32 {
	return [8]uint32{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}
}

// blakeOrder is which word of the message comes where in each of the ten
// rounds, a hexadecimal digit for each.
const blakeOrder = "0123456789abcdef" + "ea489fd61c02b753" + "b8c052fdae367194" + "7931dcbe265a40f8" + "905724afe1bc683d" +
	"2c6a0b834d75fe19" + "c51fed4a0763928b" + "db7ec13950f4862a" + "6fe9b308c2d714a5" + "a2847615fb9e3cd0"

func (b *blake2s) Size() int      { return 32 }
func (b *blake2s) BlockSize() int { return 64 }

func (b *blake2s) Reset() {
	*b = blake2s{h: blakeIV()}
	b.h[0] ^= 0x01010020 // 32 bytes of digest, no key, no tree
}

func (b *blake2s) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		if b.filled == len(b.block) { // the last block is kept for Sum
			b.compress(false)
		}
		k := copy(b.block[b.filled:], p)
		p, b.filled = p[k:], b.filled+k
	}
	return n, nil
}

func (b *blake2s) Sum(out []byte) []byte {
	own := *b // the caller may go on writing
	clear(own.block[own.filled:])
	own.compress(true)
	for _, v := range own.h {
		out = binary.LittleEndian.AppendUint32(out, v)
	}
	return out
}

func (b *blake2s) compress(last bool) {
	b.length += uint64(b.filled)
	b.filled = 0
	iv := blakeIV()
	var v, m [16]uint32
	copy(v[:], b.h[:])
	copy(v[8:], iv[:])
	v[12] ^= uint32(b.length)
	v[13] ^= uint32(b.length >> 32)
	if last {
		v[14] = ^v[14]
	}
	for i := range m {
		m[i] = binary.LittleEndian.Uint32(b.block[4*i:])
	}
	mix := func(i, j, k, l int, x, y uint32) {
		v[i] += v[j] + x
		v[l] = bits.RotateLeft32(v[l]^v[i], -16)
		v[k] += v[l]
		v[j] = bits.RotateLeft32(v[j]^v[k], -12)
		v[i] += v[j] + y
		v[l] = bits.RotateLeft32(v[l]^v[i], -8)
		v[k] += v[l]
		v[j] = bits.RotateLeft32(v[j]^v[k], -7)
	}
	for r := 0; r < len(blakeOrder); r += 16 {
		word := func(i int) uint32 {
			c := blakeOrder[r+i]
			if c >= 'a' {
				return m[c-'a'+10]
			}
			return m[c-'0']
		}
		for i := range 4 {
			mix(i, i+4, i+8, i+12, word(2*i), word(2*i+1))
		}
		for i := range 4 {
			mix(i, (i+1)%4+4, (i+2)%4+8, (i+3)%4+12, word(8+2*i), word(9+2*i))
		}
	}
	for i := range b.h {
		b.h[i] ^= v[i] ^ v[i+8]
	}
}
