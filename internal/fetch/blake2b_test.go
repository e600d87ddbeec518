package fetch

import (
	"bytes"
	"math/rand"
	"testing"

	"golang.org/x/crypto/blake2b"
)

func TestBlakeIsTheOneOfXCrypto(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	for i := range 300 {
		data := make([]byte, i*7%1031)
		r.Read(data)
		b := NewBlake()
		for rest := data; len(rest) > 0; {
			n := 1 + r.Intn(len(rest))
			b.Write(rest[:n])
			rest = rest[n:]
		}
		want := blake2b.Sum512(data)
		if got := b.Sum(); !bytes.Equal(got, want[:]) {
			t.Fatalf("%d bytes: %x, want %x", len(data), got, want)
		}
	}
}
