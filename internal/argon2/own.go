package argon2

import (
	"encoding/binary"
	"math/bits"
	"sync"

	"golang.org/x/crypto/blake2b"
)

const (
	version   = 0x13
	words     = 128 // of 64 bits in a block of 1 KiB
	slices    = 4   // of a lane, between which the lanes wait for each other
	blockSize = 8 * words
)

// block is a block of the memory; in bytes its words are little-endian.
type block [words]uint64

// own is the form without vector instructions: RFC 9106, section 3.2.
func own(t Type, pass, salt []byte, c Cost, size uint32) []byte {
	if c.Time == 0 || c.Threads == 0 {
		panic("argon2: a cost of nothing")
	}
	lanes := uint32(c.Threads)
	f := filling{kind: t, passes: c.Time, lanes: lanes, segment: max(c.Memory/(slices*lanes), 2)}
	f.lane = slices * f.segment
	f.memory = make([]block, f.lane*lanes)

	seed := f.seed(pass, salt, c, size)
	defer clear(seed[:])
	var first [blockSize]byte
	for l := range lanes {
		for i := range uint32(2) {
			binary.LittleEndian.PutUint32(seed[blake2b.Size:], i)
			binary.LittleEndian.PutUint32(seed[blake2b.Size+4:], l)
			variable(first[:], seed[:])
			b := &f.memory[l*f.lane+i]
			for w := range b {
				b[w] = binary.LittleEndian.Uint64(first[8*w:])
			}
		}
	}
	f.fill()

	last := f.memory[f.lane-1]
	for l := uint32(1); l < lanes; l++ {
		for w, v := range f.memory[l*f.lane+f.lane-1] {
			last[w] ^= v
		}
	}
	for w, v := range last {
		binary.LittleEndian.PutUint64(first[8*w:], v)
	}
	key := make([]byte, size)
	variable(key, first[:])
	clear(first[:])
	return key
}

// filling is the memory, and how it is filled.
type filling struct {
	kind    Type
	passes  uint32
	lanes   uint32
	lane    uint32 // blocks of a lane, which is a row of the memory
	segment uint32 // blocks of a lane within a slice
	memory  []block
}

// seed is H0 of the RFC, followed by room for two numbers.
func (f *filling) seed(pass, salt []byte, c Cost, size uint32) [blake2b.Size + 8]byte {
	var b []byte
	number := func(n uint32) { b = binary.LittleEndian.AppendUint32(b, n) }
	part := func(p []byte) {
		number(uint32(len(p)))
		b = append(b, p...)
	}
	b = make([]byte, 0, 10*4+len(pass)+len(salt))
	for _, n := range []uint32{f.lanes, size, c.Memory, c.Time, version, uint32(f.kind)} {
		number(n)
	}
	part(pass)
	part(salt)
	part(nil) // no secret,
	part(nil) // no associated data
	sum := blake2b.Sum512(b)
	clear(b)
	var s [blake2b.Size + 8]byte
	copy(s[:], sum[:])
	return s
}

// variable fills out with a hash of in: H' of the RFC, section 3.3.
func variable(out, in []byte) {
	size := min(len(out), blake2b.Size)
	sum := func(dst []byte, size int, parts ...[]byte) {
		h, err := blake2b.New(size, nil)
		if err != nil { // only a size out of range is an error
			panic(err)
		}
		for _, p := range parts {
			h.Write(p)
		}
		h.Sum(dst[:0])
	}
	if size == 0 {
		return
	}
	length := binary.LittleEndian.AppendUint32(nil, uint32(len(out)))
	var v [blake2b.Size]byte
	sum(v[:], size, length, in)
	// Of each sum but the last one the first half is used.
	for len(out) > blake2b.Size {
		n := copy(out, v[:blake2b.Size/2])
		out = out[n:]
		size = min(len(out), blake2b.Size)
		sum(v[:], size, v[:])
	}
	copy(out, v[:size])
	clear(v[:])
}

// fill computes the memory, a slice at a time, its lanes side by side.
func (f *filling) fill() {
	for pass := range f.passes {
		for slice := range uint32(slices) {
			if f.lanes == 1 {
				f.fillSegment(pass, slice, 0)
				continue
			}
			var all sync.WaitGroup
			for l := range f.lanes {
				all.Go(func() { f.fillSegment(pass, slice, l) })
			}
			all.Wait()
		}
	}
}

// fillSegment computes a slice of a lane: section 3.4.
func (f *filling) fillSegment(pass, slice, lane uint32) {
	var zero, input, addresses block
	// Where the next block is mixed with depends on the passphrase or, which
	// nobody can learn from what memory is used, on its position alone.
	position := f.kind == Argon2i || pass == 0 && slice < slices/2
	if position {
		input = block{uint64(pass), uint64(lane), uint64(slice), uint64(len(f.memory)), uint64(f.passes), uint64(f.kind)}
	}
	start := uint32(0)
	if pass == 0 && slice == 0 {
		start = 2 // those are there
	}
	row := f.memory[lane*f.lane : (lane+1)*f.lane]
	for i := start; i < f.segment; i++ {
		at := slice*f.segment + i
		before := at - 1
		if at == 0 {
			before = f.lane - 1
		}
		var random uint64
		if position {
			if i == start || i%words == 0 {
				input[6]++
				addresses = block{}
				mix(&addresses, &zero, &input)
				tmp := addresses
				addresses = block{}
				mix(&addresses, &zero, &tmp)
			}
			random = addresses[i%words]
		} else {
			random = row[before][0]
		}
		other := lane
		if pass != 0 || slice != 0 {
			other = uint32(random>>32) % f.lanes
		}
		mix(&row[at], &row[before], &f.memory[other*f.lane+f.reference(pass, slice, i, other == lane, uint32(random))])
	}
}

// reference is the block of a lane that the next one is mixed with. random
// chooses among those that are there, of which it prefers the latest.
func (f *filling) reference(pass, slice, i uint32, same bool, random uint32) uint32 {
	n, first := slice*f.segment, uint32(0)
	if pass > 0 {
		n, first = f.lane-f.segment, (slice+1)%slices*f.segment
	}
	switch {
	case same:
		n += i - 1
	case i == 0:
		n--
	}
	x := uint64(random)
	x = x * x >> 32
	x = x * uint64(n) >> 32
	return uint32((uint64(first) + uint64(n) - 1 - x) % uint64(f.lane))
}

// mix is dst XOR G(x, y) of section 3.5; in the first pass there is nothing in
// dst yet.
func mix(dst, x, y *block) {
	var t block
	for i := range t {
		v := x[i] ^ y[i]
		t[i] = v
		dst[i] ^= v
	}
	for i := 0; i < words; i += 16 {
		permute(t[i:i+16], 2)
	}
	for i := 0; i < 16; i += 2 {
		permute(t[i:], 16)
	}
	for i := range t {
		dst[i] ^= t[i]
	}
}

// permute is P of section 3.6, of eight pairs of words, each pair step words
// after the one before.
func permute(s []uint64, step int) {
	p0, p1, p2, p3 := s[:2], s[step:][:2], s[2*step:][:2], s[3*step:][:2]
	p4, p5, p6, p7 := s[4*step:][:2], s[5*step:][:2], s[6*step:][:2], s[7*step:][:2]
	v0, v1, v2, v3, v4, v5, v6, v7 := p0[0], p0[1], p1[0], p1[1], p2[0], p2[1], p3[0], p3[1]
	v8, v9, v10, v11, v12, v13, v14, v15 := p4[0], p4[1], p5[0], p5[1], p6[0], p6[1], p7[0], p7[1]

	v0, v4, v8, v12 = quarter(v0, v4, v8, v12)
	v1, v5, v9, v13 = quarter(v1, v5, v9, v13)
	v2, v6, v10, v14 = quarter(v2, v6, v10, v14)
	v3, v7, v11, v15 = quarter(v3, v7, v11, v15)

	v0, v5, v10, v15 = quarter(v0, v5, v10, v15)
	v1, v6, v11, v12 = quarter(v1, v6, v11, v12)
	v2, v7, v8, v13 = quarter(v2, v7, v8, v13)
	v3, v4, v9, v14 = quarter(v3, v4, v9, v14)

	p0[0], p0[1], p1[0], p1[1], p2[0], p2[1], p3[0], p3[1] = v0, v1, v2, v3, v4, v5, v6, v7
	p4[0], p4[1], p5[0], p5[1], p6[0], p6[1], p7[0], p7[1] = v8, v9, v10, v11, v12, v13, v14, v15
}

// quarter is GB of section 3.6.
func quarter(a, b, c, d uint64) (uint64, uint64, uint64, uint64) {
	a = add(a, b)
	d = bits.RotateLeft64(d^a, -32)
	c = add(c, d)
	b = bits.RotateLeft64(b^c, -24)
	a = add(a, b)
	d = bits.RotateLeft64(d^a, -16)
	c = add(c, d)
	b = bits.RotateLeft64(b^c, -63)
	return a, b, c, d
}

func add(a, b uint64) uint64 { return a + b + 2*uint64(uint32(a))*uint64(uint32(b)) }
