package check

import (
	"crypto/pbkdf2"
	"crypto/sha256"

	"firstlight/internal/luks"
	"firstlight/internal/luksfmt"
)

// A passphrase that a person types is assumed to be right. Its keyslots are
// made so that the real unlocking code opens them with anything: the key
// material goes through a cipher that only we know, which gives zeros, and the
// digest is that of a key of zeros. A key file of the image is tried against
// the header as it is on the disk.

// assumedCipher is a cipher that the unlocking code asks the kernel for.
const assumedCipher = "firstlight-xts-plain64"

// rounds is how often the key derivation and the digest are iterated.
const rounds = 1000

// assume changes a header so that whatever is typed opens it. Slots whose key
// derivation needs more memory than there is stay as they are, and fail.
func assume(h *luksfmt.Header, memory uint64) {
	size := 0
	var changed []*luksfmt.Keyslot
	for _, k := range h.TryOrder() {
		if memory > 0 && uint64(k.KDF.Memory)<<10 > memory || size != 0 && k.KeySize != size {
			continue
		}
		size = k.KeySize
		changed = append(changed, k)
	}
	d, err := h.VolumeDigest()
	if err != nil || size == 0 {
		return
	}
	for _, k := range changed {
		k.Encryption, k.AreaKeySize, k.Offset = assumedCipher, 64, 0
		k.AFHash, k.Stripes = "sha256", 1
		k.KDF = luksfmt.KDF{Type: "pbkdf2", Hash: "sha256", Salt: k.KDF.Salt, Iterations: rounds}
	}
	sum, err := pbkdf2.Key(sha256.New, string(make([]byte, size)), d.Salt, rounds, len(d.Digest))
	if err != nil {
		return
	}
	for i := range h.Digests {
		if h.Digests[i].ID == d.ID {
			h.Digests[i].Hash, h.Digests[i].Iterations, h.Digests[i].Digest = "sha256", rounds, sum
		}
	}
}

// assumed implements luks.Ciphers. What only the kernel can compute cannot be
// tried here, and that is said.
type assumed struct{ w *world }

type zeros struct{}

// Decrypter implements luks.Ciphers.
func (a assumed) Decrypter(name string, _ []byte) (luks.Decrypter, error) {
	if name == "xts(firstlight)" {
		return zeros{}, nil
	}
	text := "a key is behind the cipher " + name + ", with which only the kernel could try it"
	a.w.conditions, a.w.unknown = addOnce(a.w.conditions, text), addOnce(a.w.unknown, text)
	return nil, luks.ErrUnsupported
}

// Decrypt implements luks.Decrypter.
func (zeros) Decrypt(data, _ []byte) error {
	clear(data)
	return nil
}

// Close implements luks.Decrypter.
func (zeros) Close() error { return nil }
