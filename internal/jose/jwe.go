package jose

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"firstlight/internal/luksfmt/jsontree"
)

// JWE is something encrypted, with A256GCM.
type JWE struct {
	Header *jsontree.Value // that is protected
	Alg    string          // "ECDH-ES" or "dir"
	KID    string          // the thumbprint of the key

	protected           string
	iv, ciphertext, tag []byte
}

// ParseJWE reads one in the compact form, five parts between points.
func ParseJWE(s string) (*JWE, error) {
	if len(s) > MaxSize {
		return nil, fmt.Errorf("%w: a JWE of %d bytes", ErrMalformed, len(s))
	}
	f := strings.Split(strings.TrimRight(s, "\n"), ".")
	if len(f) != 5 {
		return nil, fmt.Errorf("%w: a JWE of %d parts", ErrMalformed, len(f))
	}
	return newJWE(f[0], f[1], f[2], f[3], f[4])
}

// JWEOf reads one in the flattened form of JSON, as a LUKS2 token of Clevis has
// it.
func JWEOf(v *jsontree.Value) (*JWE, error) {
	return newJWE(text(v, "protected"), text(v, "encrypted_key"), text(v, "iv"), text(v, "ciphertext"), text(v, "tag"))
}

// Compact is the compact form.
func (j *JWE) Compact() string {
	return j.protected + ".." + encode(j.iv) + "." + encode(j.ciphertext) + "." + encode(j.tag)
}

func newJWE(protected, key, iv, ciphertext, tag string) (*JWE, error) {
	j := &JWE{protected: protected}
	head, err := decode(protected)
	if err != nil {
		return nil, err
	}
	if j.Header, err = Parse(head); err != nil {
		return nil, err
	}
	for _, x := range []struct {
		to   *[]byte
		from string
	}{{&j.iv, iv}, {&j.ciphertext, ciphertext}, {&j.tag, tag}} {
		if *x.to, err = decode(x.from); err != nil {
			return nil, err
		}
	}
	j.Alg, j.KID = text(j.Header, "alg"), text(j.Header, "kid")
	switch enc := text(j.Header, "enc"); {
	case j.Alg != "ECDH-ES" && j.Alg != "dir":
		return nil, fmt.Errorf("%w: it is encrypted by %q, and not ECDH-ES or dir", ErrMalformed, short(j.Alg))
	case enc != "A256GCM":
		return nil, fmt.Errorf("%w: it is encrypted with %q, and not A256GCM", ErrMalformed, short(enc))
	case key != "":
		return nil, fmt.Errorf("%w: it has an encrypted key where there is none", ErrMalformed)
	case len(j.iv) != 12 || len(j.tag) != 16:
		return nil, fmt.Errorf("%w: a nonce of %d bytes and a tag of %d", ErrMalformed, len(j.iv), len(j.tag))
	case j.Header.Get("crit") != nil || j.Header.Get("zip") != nil:
		return nil, fmt.Errorf("%w: it asks for what is not done here (crit, zip)", ErrMalformed)
	}
	return j, nil
}

// ErrWrongKey says that a key does not open something.
var ErrWrongKey = errors.New("the key does not open it")

// keySize is that of A256GCM in bytes.
const keySize = 32

// Open opens it with the key itself (alg dir), which may be shorter on its left.
func (j *JWE) Open(key []byte) ([]byte, error) {
	if len(key) != keySize {
		return nil, ErrWrongKey
	}
	b, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	g, err := cipher.NewGCM(b)
	if err != nil {
		return nil, err
	}
	sealed := append(append(make([]byte, 0, len(j.ciphertext)+len(j.tag)), j.ciphertext...), j.tag...)
	plain, err := g.Open(nil, j.iv, sealed, []byte(j.protected))
	if err != nil {
		return nil, ErrWrongKey
	}
	return plain, nil
}

// Ephemeral is the sender's key of ECDH-ES.
func (j *JWE) Ephemeral() (Point, error) {
	k, err := ParseKey(j.Header.Get("epk"))
	return k.Point, err
}

// OpenShared opens it with the point that sender and receiver share (ECDH-ES, RFC
// 7518 section 4.6.2).
func (j *JWE) OpenShared(p Point) ([]byte, error) {
	apu, err1 := decode(text(j.Header, "apu"))
	apv, err2 := decode(text(j.Header, "apv"))
	if err1 != nil || err2 != nil {
		return nil, fmt.Errorf("%w: apu or apv", ErrMalformed)
	}
	z := p.x.FillBytes(make([]byte, (p.curve.Params().BitSize+7)/8))
	key := derive(z, "A256GCM", apu, apv)
	clear(z)
	defer clear(key)
	return j.Open(key)
}

// derive is the Concat KDF for a key of 256 bits: one round of SHA-256.
func derive(z []byte, enc string, apu, apv []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, 1)
	b = append(b, z...)
	for _, part := range [][]byte{[]byte(enc), apu, apv} {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(part))), part...)
	}
	b = binary.BigEndian.AppendUint32(b, 8*keySize)
	sum := sha256.Sum256(b)
	clear(b)
	return sum[:]
}
