package rare

import (
	"encoding/binary"
	"math/bits"
)

// Whirlpool as ISO/IEC 10118-3:2004 has it (the third, final version).

const (
	wpBlock  = 64 // bytes, of a block and of the digest
	wpRounds = 10
	// wpLength is the room for the length of the message, in bytes.
	wpLength = 32
)

// wpTable is what follows from the definition: SubBytes and MixRows in one
// look-up for a byte in the first column, and the constants of the rounds.
type wpTable struct {
	mix    [256]uint64
	rounds [wpRounds]uint64
}

// newTable makes the S-box from its two small boxes, and multiplies it with the
// first row of the circulant matrix over GF(2^8) modulo x^8+x^4+x^3+x^2+1.
func newTable() *wpTable {
	e := [16]byte{0x1, 0xB, 0x9, 0xC, 0xD, 0x6, 0xF, 0x3, 0xE, 0x8, 0x7, 0x4, 0xA, 0x2, 0x5, 0x0}
	r := [16]byte{0x7, 0xC, 0xB, 0xD, 0xE, 0x4, 0x9, 0xF, 0x6, 0x3, 0x8, 0xA, 0x2, 0x5, 0x1, 0x0}
	var inverse [16]byte
	for i, v := range e {
		inverse[v] = byte(i)
	}
	double := func(x byte) byte { return x<<1 ^ x>>7*0x1d }
	t := &wpTable{}
	var box [256]byte
	for x := range 256 {
		upper, lower := e[x>>4], inverse[x&15]
		m := r[upper^lower]
		s := e[upper^m]<<4 | inverse[lower^m]
		box[x] = s
		s2 := double(s)
		s4 := double(s2)
		s8 := double(s4)
		t.mix[x] = binary.BigEndian.Uint64([]byte{s, s, s4, s, s8, s4 ^ s, s2, s8 ^ s})
	}
	for i := range t.rounds {
		t.rounds[i] = binary.BigEndian.Uint64(box[8*i:])
	}
	return t
}

// round is one round of the block cipher without the addition of the key:
// SubBytes, ShiftColumns and MixRows.
func (t *wpTable) round(s *[8]uint64) (out [8]uint64) {
	for i := range out {
		for j := range 8 {
			b := byte(s[(i-j)&7] >> (56 - 8*j))
			out[i] ^= bits.RotateLeft64(t.mix[b], -8*j)
		}
	}
	return out
}

// whirlpool implements hash.Hash.
type whirlpool struct {
	table  *wpTable
	state  [8]uint64
	block  [wpBlock]byte // what does not fill a block yet
	filled int
	length uint64 // of the message, in bytes
}

func (w *whirlpool) Size() int      { return wpBlock }
func (w *whirlpool) BlockSize() int { return wpBlock }
func (w *whirlpool) Reset()         { *w = whirlpool{table: w.table} }

func (w *whirlpool) Write(p []byte) (int, error) {
	n := len(p)
	w.length += uint64(n)
	for len(p) > 0 {
		k := copy(w.block[w.filled:], p)
		p, w.filled = p[k:], w.filled+k
		if w.filled == wpBlock {
			w.compress()
			w.filled = 0
		}
	}
	return n, nil
}

// compress takes the block in (Miyaguchi-Preneel).
func (w *whirlpool) compress() {
	key, s := w.state, w.state
	for i := range s {
		m := binary.BigEndian.Uint64(w.block[8*i:])
		s[i] ^= m
		w.state[i] ^= m
	}
	for _, c := range w.table.rounds {
		key = w.table.round(&key)
		key[0] ^= c
		s = w.table.round(&s)
		for i := range s {
			s[i] ^= key[i]
		}
	}
	for i := range s {
		w.state[i] ^= s[i]
	}
}

func (w *whirlpool) Sum(b []byte) []byte {
	own := *w // the caller may go on writing
	var pad [wpBlock + wpLength]byte
	pad[0] = 0x80
	n := wpBlock - wpLength - own.filled
	if n <= 0 {
		n += wpBlock
	}
	length := own.length
	own.Write(pad[:n])
	var tail [wpLength]byte
	binary.BigEndian.PutUint64(tail[wpLength-16:], length>>61)
	binary.BigEndian.PutUint64(tail[wpLength-8:], length<<3)
	own.Write(tail[:])
	for _, v := range own.state {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	return b
}
