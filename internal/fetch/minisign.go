package fetch

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
)

// This file reads what minisign writes (https://jedisct1.github.io/minisign):
// keys and signatures of two and four lines.

// MaxSignature bounds a signature and a key, in bytes.
const MaxSignature = 4096

// Key is a public key of minisign.
type Key struct {
	ID     [8]byte // by which its signatures name it
	public ed25519.PublicKey
}

// String is the number of the key as minisign shows it.
func (k Key) String() string { return keyID(k.ID) }

func keyID(id [8]byte) string {
	r := make([]byte, len(id))
	for i, b := range id {
		r[len(id)-1-i] = b
	}
	return strings.ToUpper(hex.EncodeToString(r))
}

// The algorithms: of a signature over the file itself, and of one over its
// BLAKE2b sum of 64 bytes.
const (
	plain  = "Ed"
	hashed = "ED"
)

// comments begin the lines that are for people.
const (
	untrusted = "untrusted comment:"
	trusted   = "trusted comment: "
)

// ParseKey reads a public key: the line of it, with or without its comment.
func ParseKey(text string) (k Key, err error) {
	if len(text) > MaxSignature {
		return k, errors.New("it is too long for a key of minisign")
	}
	for _, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, untrusted) {
			continue
		}
		b, err := base64.StdEncoding.DecodeString(line)
		if err != nil || len(b) != 2+8+ed25519.PublicKeySize || string(b[:2]) != plain {
			break
		}
		copy(k.ID[:], b[2:])
		k.public = ed25519.PublicKey(b[10:])
		return k, nil
	}
	return k, errors.New("it has no public key of minisign")
}

// Signature is one of minisign.
type Signature struct {
	ID [8]byte // of the key
	// Comment is what the signer said of the file; it is signed too.
	Comment string

	signature, global [ed25519.SignatureSize]byte
}

// ParseSignature reads a signature.
func ParseSignature(text string) (s Signature, err error) {
	bad := errors.New("it is no signature of minisign")
	lines := strings.Split(text, "\n")
	if len(text) > MaxSignature || len(lines) < 4 {
		return s, bad
	}
	for i := range lines {
		lines[i] = strings.TrimSuffix(lines[i], "\r")
	}
	comment, ok := strings.CutPrefix(lines[2], trusted)
	b, err1 := base64.StdEncoding.DecodeString(lines[1])
	g, err2 := base64.StdEncoding.DecodeString(lines[3])
	if !strings.HasPrefix(lines[0], untrusted) || !ok || err1 != nil || err2 != nil || len(b) != 2+8+ed25519.SignatureSize || len(g) != ed25519.SignatureSize {
		return s, bad
	}
	switch string(b[:2]) {
	case hashed:
	case plain:
		return s, errors.New("it is a signature of the old kind: sign with minisign -H")
	default:
		return s, bad
	}
	copy(s.ID[:], b[2:])
	copy(s.signature[:], b[10:])
	copy(s.global[:], g)
	s.Comment = comment
	return s, nil
}

// Verify says whether the key made the signature over a file with the BLAKE2b
// sum of 64 bytes, and over the comment.
func (s *Signature) Verify(k Key, sum []byte) bool {
	return k.ID == s.ID && ed25519.Verify(k.public, sum, s.signature[:]) &&
		ed25519.Verify(k.public, append(s.signature[:len(s.signature):len(s.signature)], s.Comment...), s.global[:])
}

// Of returns the key that a signature names.
func (s *Signature) Of(keys []Key) (Key, error) {
	var have []string
	for _, k := range keys {
		if k.ID == s.ID {
			return k, nil
		}
		have = append(have, k.String())
	}
	return Key{}, errors.New("it is signed by the key " + keyID(s.ID) + ", and this image has " + strings.Join(have, ", "))
}
