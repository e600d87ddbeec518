package luks

import (
	"crypto/subtle"
	"encoding/binary"
	"hash"
)

// splitter undoes LUKS's anti-forensic splitting (specification 1.2.3,
// section 2.4).
type splitter struct {
	h       hash.Hash
	message [4 + 64]byte // the number of a piece, and the piece
	digest  [64]byte
}

func newSplitter(hashes Hashes, hashName string) (*splitter, error) {
	newH, err := hashes.find(hashName)
	if err != nil {
		return nil, err
	}
	return &splitter{h: newH()}, nil
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
	clear(s.message[:])
	clear(s.digest[:])
	return d
}

// diffuse replaces each piece of d, as long as a digest, by the digest of its
// number and itself. It is called for each of some thousand stripes: a hash
// is given all in one call, from memory that is there already.
func (s *splitter) diffuse(d []byte) {
	n := s.h.Size()
	for i := 0; i*n < len(d); i++ {
		piece := d[i*n : min((i+1)*n, len(d))]
		binary.BigEndian.PutUint32(s.message[:4], uint32(i))
		copy(s.message[4:], piece)
		s.h.Reset()
		s.h.Write(s.message[:4+len(piece)])
		copy(piece, s.h.Sum(s.digest[:0]))
	}
}
