// Package crc64be computes the CRC-64 of bcache and bcachefs.
package crc64be

// Sum is the CRC-64 of ECMA-182 with the highest bit first, from all ones and
// inverted; that of the standard library has the lowest first.
func Sum(b []byte) uint64 {
	const poly = 0x42f0e1eba9ea3693
	var table [256]uint64
	for i := range table {
		c := uint64(i) << 56
		for range 8 {
			c = c<<1 ^ poly&-(c>>63)
		}
		table[i] = c
	}
	c := ^uint64(0)
	for _, x := range b {
		c = c<<8 ^ table[byte(c>>56)^x]
	}
	return ^c
}
