package luks

import (
	"crypto/subtle"
	"hash"
)

// splitter undoes LUKS's anti-forensic splitting (specification 1.2.3,
// section 2.4).
type splitter struct{ h hash.Hash }

func newSplitter(hashName string) (*splitter, error) {
	newH, err := newHash(hashName)
	if err != nil {
		return nil, err
	}
	return &splitter{newH()}, nil
}

// merge returns the key of size bytes from its stripes.
func (s *splitter) merge(material []byte, size, stripes int) []byte {
	d := make([]byte, size)
	for i := range stripes - 1 {
		subtle.XORBytes(d, d, material[i*size:(i+1)*size])
		s.diffuse(d)
	}
	subtle.XORBytes(d, d, material[(stripes-1)*size:stripes*size])
	s.h.Reset()
	return d
}

// diffuse replaces each piece of d, as long as a digest, by the digest of its
// number and itself.
func (s *splitter) diffuse(d []byte) {
	var sum [64]byte
	for i, n := 0, s.h.Size(); i*n < len(d); i++ {
		piece := d[i*n : min((i+1)*n, len(d))]
		s.h.Reset()
		s.h.Write([]byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)})
		s.h.Write(piece)
		copy(piece, s.h.Sum(sum[:0]))
	}
	clear(sum[:])
}
