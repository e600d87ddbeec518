package isomd5

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// sumSize is the length of an MD5, in bytes.
const sumSize = 16

// digest computes an MD5 (RFC 1321). The standard library's registers itself,
// which costs a program that never calls it several kilobytes.
type digest struct {
	state [4]uint32
	sines [64]uint32
	rest  []byte // what does not fill a block yet
	size  uint64 // bytes so far
}

// chunk is what is worked on at a time, in bytes.
const chunk = 64

// turns are by how many bits is turned in each round.
var turns = [4][4]int{{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}}

func newMD5() *digest {
	d := &digest{state: [4]uint32{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476}}
	for i := range d.sines {
		d.sines[i] = uint32(math.Floor(math.Abs(math.Sin(float64(i+1))) * (1 << 32)))
	}
	return d
}

func (d *digest) write(b []byte) {
	d.size += uint64(len(b))
	if len(d.rest) > 0 {
		n := min(chunk-len(d.rest), len(b))
		d.rest = append(d.rest, b[:n]...)
		b = b[n:]
		if len(d.rest) < chunk {
			return
		}
		d.mix(d.rest)
		d.rest = d.rest[:0]
	}
	for ; len(b) >= chunk; b = b[chunk:] {
		d.mix(b[:chunk])
	}
	d.rest = append(d.rest, b...)
}

// sum ends the message; nothing can be written after it.
func (d *digest) sum() []byte {
	length := d.size * 8
	pad := make([]byte, 1+(chunk+55-int(d.size%chunk))%chunk)
	pad[0] = 0x80
	d.write(binary.LittleEndian.AppendUint64(pad, length))
	var out []byte
	for _, v := range d.state {
		out = binary.LittleEndian.AppendUint32(out, v)
	}
	return out
}

func (d *digest) mix(block []byte) {
	var words [16]uint32
	for i := range words {
		words[i] = binary.LittleEndian.Uint32(block[4*i:])
	}
	a, b, c, e := d.state[0], d.state[1], d.state[2], d.state[3]
	for i := range 64 {
		var f uint32
		var k int
		switch i / 16 {
		case 0:
			f, k = b&c|^b&e, i
		case 1:
			f, k = e&b|^e&c, 5*i+1
		case 2:
			f, k = b^c^e, 3*i+5
		default:
			f, k = c^(b|^e), 7*i
		}
		sum := a + f + d.sines[i] + words[k%16]
		a, b, c, e = e, b+bits.RotateLeft32(sum, turns[i/16][i%4]), b, c
	}
	d.state[0] += a
	d.state[1] += b
	d.state[2] += c
	d.state[3] += e
}
