package compress

import (
	"encoding/binary"
	"errors"
	"io"
)

var errLZMA = errors.New("malformed")

// maxLZMADict bounds the history of a stream, in bytes: that of xz -9 is half
// of it.
const maxLZMADict = 128 << 20

const (
	lzmaStates    = 12
	lzmaAlignBits = 4
	lzmaProbInit  = 1 << 10
	lzmaHeader    = 13
)

// lzmaLen decodes the length of a match.
type lzmaLen struct {
	choice, choice2 uint16
	low, mid        [16][8]uint16
	high            [256]uint16
}

// lzmaReader unpacks a stream of the LZMA_alone format: one byte of
// properties, the size of the history (4 bytes) and of the content (8 bytes,
// all ones for unknown), little-endian, and the range-coded symbols.
type lzmaReader struct {
	in  []byte // all that follows, also beyond the stream
	pos int
	err error // sticks; io.EOF at the end

	rng, code uint32
	lc        uint
	lpMask    uint
	pbMask    uint

	out    []byte // history, and behind it what was not read yet
	read   int    // what of out was read
	total  uint64 // bytes decoded
	size   uint64 // of the content; all ones if unknown
	dict   int
	state  uint
	reps   [4]uint32
	length int // of a match that is not copied to its end

	isMatch    [lzmaStates << 4]uint16
	isRep      [lzmaStates]uint16
	isRepG0    [lzmaStates]uint16
	isRepG1    [lzmaStates]uint16
	isRepG2    [lzmaStates]uint16
	isRep0Long [lzmaStates << 4]uint16
	slot       [4][64]uint16
	special    [1 + 128 - 14]uint16
	align      [1 << lzmaAlignBits]uint16
	lens, rep  lzmaLen
	literal    []uint16
}

func newLZMA(b []byte) (*lzmaReader, error) {
	if len(b) < lzmaHeader+5 {
		return nil, ErrTruncated
	}
	p := uint(b[0])
	if p >= 9*5*5 || b[lzmaHeader] != 0 {
		return nil, errLZMA
	}
	d := &lzmaReader{in: b, pos: lzmaHeader + 5, rng: 1<<32 - 1, code: binary.BigEndian.Uint32(b[lzmaHeader+1:]),
		lc: p % 9, lpMask: 1<<(p/9%5) - 1, pbMask: 1<<(p/45) - 1, size: binary.LittleEndian.Uint64(b[5:])}
	d.dict = int(min(max(binary.LittleEndian.Uint32(b[1:]), 4096), maxLZMADict))
	d.literal = make([]uint16, 0x300<<(d.lc+p/9%5))
	for _, list := range [][]uint16{d.isMatch[:], d.isRep[:], d.isRepG0[:], d.isRepG1[:], d.isRepG2[:], d.isRep0Long[:],
		d.slot[0][:], d.slot[1][:], d.slot[2][:], d.slot[3][:], d.special[:], d.align[:], d.literal} {
		for i := range list {
			list[i] = lzmaProbInit
		}
	}
	d.lens.init()
	d.rep.init()
	return d, nil
}

func (l *lzmaLen) init() {
	l.choice, l.choice2 = lzmaProbInit, lzmaProbInit
	for i := range l.low {
		for j := range l.low[i] {
			l.low[i][j], l.mid[i][j] = lzmaProbInit, lzmaProbInit
		}
	}
	for i := range l.high {
		l.high[i] = lzmaProbInit
	}
}

// Read implements io.Reader.
func (d *lzmaReader) Read(p []byte) (int, error) {
	for d.read == len(d.out) {
		if d.err != nil {
			return 0, d.err
		}
		d.fill()
	}
	n := copy(p, d.out[d.read:])
	d.read += n
	return n, nil
}

// fill decodes some more.
func (d *lzmaReader) fill() {
	chunk := max(d.dict, 1<<20)
	if len(d.out) >= d.dict+chunk {
		n := copy(d.out, d.out[len(d.out)-d.dict:])
		d.out, d.read = d.out[:n], n
	}
	for end := min(len(d.out)+64<<10, d.dict+chunk); len(d.out) < end && d.err == nil; {
		if d.length > 0 {
			d.match(end)
			continue
		}
		if d.size != 1<<64-1 && d.total >= d.size {
			d.err = io.EOF
			break
		}
		d.symbol()
	}
	if d.pos > len(d.in) {
		d.err = ErrTruncated
	}
}

// match copies what is left of a match, up to end.
func (d *lzmaReader) match(end int) {
	dist := int(d.reps[0]) + 1
	if dist > len(d.out) || dist > d.dict {
		d.err = errLZMA
		return
	}
	n := min(d.length, end-len(d.out))
	if d.size != 1<<64-1 && uint64(n) > d.size-d.total {
		d.err = errLZMA
		return
	}
	d.length -= n
	d.total += uint64(n)
	for n > 0 {
		from := len(d.out) - dist
		k := min(n, dist)
		d.out = append(d.out, d.out[from:from+k]...)
		n -= k
	}
}

// bit decodes one bit by a probability and adapts it.
func (d *lzmaReader) bit(p *uint16) uint {
	v := uint32(*p)
	bound := d.rng >> 11 * v
	var bit uint
	if d.code < bound {
		d.rng = bound
		*p = uint16(v + (1<<11-v)>>5)
	} else {
		d.rng -= bound
		d.code -= bound
		*p = uint16(v - v>>5)
		bit = 1
	}
	if d.rng < 1<<24 {
		d.normalize()
	}
	return bit
}

func (d *lzmaReader) normalize() {
	d.rng <<= 8
	d.code <<= 8
	if d.pos < len(d.in) {
		d.code |= uint32(d.in[d.pos])
	}
	d.pos++ // beyond the end means truncated
}

// direct decodes n bits that are all as likely.
func (d *lzmaReader) direct(n uint) uint32 {
	var v uint32
	for range n {
		d.rng >>= 1
		v <<= 1
		if d.code >= d.rng {
			d.code -= d.rng
			v |= 1
		}
		if d.rng < 1<<24 {
			d.normalize()
		}
	}
	return v
}

// tree decodes n bits, the highest first, each by what came before it.
func (d *lzmaReader) tree(probs []uint16, n uint) uint {
	m := uint(1)
	for range n {
		m = m<<1 | d.bit(&probs[m])
	}
	return m - 1<<n
}

// reverse does the same, the lowest bit first.
func (d *lzmaReader) reverse(probs []uint16, n uint) uint32 {
	m, v := uint(1), uint32(0)
	for i := range n {
		b := d.bit(&probs[m])
		m = m<<1 | b
		v |= uint32(b) << i
	}
	return v
}

// symbol decodes one literal, or the head of a match.
func (d *lzmaReader) symbol() {
	ps := uint(d.total) & d.pbMask
	if d.bit(&d.isMatch[d.state<<4+ps]) == 0 {
		d.lit()
		return
	}
	if d.bit(&d.isRep[d.state]) == 0 {
		d.reps[3], d.reps[2], d.reps[1] = d.reps[2], d.reps[1], d.reps[0]
		n := d.len(&d.lens, ps)
		d.state = pick(d.state < 7, 7, 10)
		d.distance(n)
		if d.reps[0] == 1<<32-1 { // the end mark
			if d.err == nil {
				d.err = io.EOF
			}
			if d.code != 0 || d.size != 1<<64-1 && d.total != d.size {
				d.err = errLZMA
			}
			return
		}
		d.length = int(n) + 2
		return
	}
	if d.total == 0 {
		d.err = errLZMA
		return
	}
	switch {
	case d.bit(&d.isRepG0[d.state]) == 0:
		if d.bit(&d.isRep0Long[d.state<<4+ps]) == 0 {
			d.state = pick(d.state < 7, 9, 11)
			d.length = 1
			return
		}
	case d.bit(&d.isRepG1[d.state]) == 0:
		d.reps[0], d.reps[1] = d.reps[1], d.reps[0]
	case d.bit(&d.isRepG2[d.state]) == 0:
		d.reps[0], d.reps[1], d.reps[2] = d.reps[2], d.reps[0], d.reps[1]
	default:
		d.reps[0], d.reps[1], d.reps[2], d.reps[3] = d.reps[3], d.reps[0], d.reps[1], d.reps[2]
	}
	n := d.len(&d.rep, ps)
	d.state = pick(d.state < 7, 8, 11)
	d.length = int(n) + 2
}

func pick(c bool, a, b uint) uint {
	if c {
		return a
	}
	return b
}

func (d *lzmaReader) lit() {
	var prev uint
	if len(d.out) > 0 {
		prev = uint(d.out[len(d.out)-1])
	}
	at := 0x300 * ((uint(d.total)&d.lpMask)<<d.lc + prev>>(8-d.lc))
	probs := d.literal[at : at+0x300]
	sym := uint(1)
	if d.state >= 7 { // after a match its next byte is a hint
		dist := int(d.reps[0]) + 1
		if dist > len(d.out) {
			d.err = errLZMA
			return
		}
		hint := uint(d.out[len(d.out)-dist])
		for sym < 0x100 {
			m := hint >> 7 & 1
			hint <<= 1
			b := d.bit(&probs[(1+m)<<8+sym])
			sym = sym<<1 | b
			if m != b {
				break
			}
		}
	}
	for sym < 0x100 {
		sym = sym<<1 | d.bit(&probs[sym])
	}
	d.out = append(d.out, byte(sym))
	d.total++
	switch {
	case d.state < 4:
		d.state = 0
	case d.state < 10:
		d.state -= 3
	default:
		d.state -= 6
	}
}

func (d *lzmaReader) len(l *lzmaLen, ps uint) uint {
	if d.bit(&l.choice) == 0 {
		return d.tree(l.low[ps][:], 3)
	}
	if d.bit(&l.choice2) == 0 {
		return 8 + d.tree(l.mid[ps][:], 3)
	}
	return 16 + d.tree(l.high[:], 8)
}

// distance decodes how far back a match of a length lies, into reps[0].
func (d *lzmaReader) distance(n uint) {
	slot := d.tree(d.slot[min(n, 3)][:], 6)
	if slot < 4 {
		d.reps[0] = uint32(slot)
		return
	}
	bits := slot>>1 - 1
	v := uint32(2|slot&1) << bits
	if slot < 14 {
		d.reps[0] = v + d.reverse(d.special[v-uint32(slot):], bits)
		return
	}
	v += d.direct(bits-lzmaAlignBits) << lzmaAlignBits
	d.reps[0] = v + d.reverse(d.align[:], lzmaAlignBits)
}
