// Package pkcs7 reads of a detached signature (PKCS#7 SignedData in DER, RFC 2315
// and RFC 5652) what has to be checked with somebody's key: the sum that was
// signed, and the bytes of the signature. It checks no signature itself, and knows
// no more of ASN.1 than that takes. It is pure.
package pkcs7

import (
	"bytes"
	"crypto/sha256"
	"errors"

	"firstlight/internal/fmt"
)

// Signer is one signature of the content.
type Signer struct {
	// Encoding is how the signature is made of the sum, in the kernel's words
	// (KEYCTL_PKEY_VERIFY): "pkcs1" for RSA, "x962" for ECDSA.
	Encoding  string
	Signature []byte
	// attributes are what was signed in place of the content, as DER of a SET;
	// nil for the content itself. digest is the sum of the content in them.
	attributes, digest []byte
}

// Hash is the kernel's name of the hash that sums are of.
const Hash = "sha256"

// Errors.
var (
	// ErrFormat says that the bytes are no such signature.
	ErrFormat = errors.New("not a detached PKCS#7 signature")
	// ErrOther says that the signature is of another content.
	ErrOther = errors.New("it is a signature of something else")
	// errHash says that the signature is made with a hash that is not known here.
	errHash = errors.New("it is made with another hash than SHA-256")
)

// Tags of DER (X.690).
const (
	tagOctets, tagOID, tagSequence, tagSet = 0x04, 0x06, 0x30, 0x31
	tagContext0, tagContext1               = 0xa0, 0xa1
)

// Identifiers of objects, as DER has them without tag and length.
var (
	oidSigned = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02} // signedData
	oidDigest = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x04} // messageDigest
	oidSHA256 = []byte{0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01} // sha256
	oidRSA    = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01}       // PKCS#1, what follows is rsaEncryption or a hash with it
	oidECDSA  = []byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02}       // ecdsa-with-SHA256
)

// maxSigners bounds how many signatures are read.
const maxSigners = 16

// element is one value of DER.
type element struct {
	tag  byte
	body []byte
	all  []byte // with tag and length
}

// next takes one value off b.
func next(b []byte) (e element, rest []byte, ok bool) {
	if len(b) < 2 || b[0]&0x1f == 0x1f {
		return e, nil, false
	}
	n, at := int(b[1]), 2
	if n >= 0x80 {
		count := n & 0x7f
		if count == 0 || count > 3 || len(b) < 2+count { // no more than 16 MiB
			return e, nil, false
		}
		n = 0
		for _, c := range b[2 : 2+count] {
			n = n<<8 | int(c)
		}
		at += count
	}
	if n > len(b)-at {
		return e, nil, false
	}
	return element{b[0], b[at : at+n], b[:at+n]}, b[at+n:], true
}

// list takes values off b until it ends; ok is false where it is none.
func list(b []byte) (out []element, ok bool) {
	for len(b) > 0 {
		e, rest, ok := next(b)
		if !ok || len(out) == 256 {
			return nil, false
		}
		out, b = append(out, e), rest
	}
	return out, true
}

// Parse returns the signatures.
func Parse(der []byte) ([]Signer, error) {
	outer, _, ok := next(der)
	parts, ok2 := list(outer.body)
	if !ok || !ok2 || outer.tag != tagSequence || len(parts) != 2 || parts[0].tag != tagOID || !bytes.Equal(parts[0].body, oidSigned) || parts[1].tag != tagContext0 {
		return nil, ErrFormat
	}
	data, _, ok := next(parts[1].body)
	fields, ok2 := list(data.body)
	if !ok || !ok2 || data.tag != tagSequence || len(fields) < 4 || fields[len(fields)-1].tag != tagSet {
		return nil, ErrFormat
	}
	infos, ok := list(fields[len(fields)-1].body)
	if !ok || len(infos) == 0 || len(infos) > maxSigners {
		return nil, ErrFormat
	}
	var out []Signer
	for _, info := range infos {
		s, err := signer(info)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// signer reads a SignerInfo: version, who, hash, attributes, algorithm, signature.
func signer(info element) (s Signer, err error) {
	f, ok := list(info.body)
	if !ok || info.tag != tagSequence || len(f) < 5 {
		return s, ErrFormat
	}
	if !isAlgorithm(f[2], oidSHA256) {
		return s, errHash
	}
	f = f[3:]
	if f[0].tag == tagContext0 {
		if s.digest, ok = digest(f[0].body); !ok {
			return s, ErrFormat
		}
		s.attributes = append([]byte{tagSet}, f[0].all[1:]...) // they are signed as a SET
		f = f[1:]
	}
	if len(f) < 2 || f[1].tag != tagOctets {
		return s, ErrFormat
	}
	switch {
	case isAlgorithm(f[0], oidRSA):
		s.Encoding = "pkcs1"
	case isAlgorithm(f[0], oidECDSA):
		s.Encoding = "x962"
	default:
		return s, fmt.Errorf("%w: its algorithm is neither RSA nor ECDSA", ErrFormat)
	}
	s.Signature = f[1].body
	return s, nil
}

// isAlgorithm says whether an AlgorithmIdentifier begins with an identifier.
func isAlgorithm(e element, oid []byte) bool {
	id, _, ok := next(e.body)
	return ok && e.tag == tagSequence && id.tag == tagOID && bytes.HasPrefix(id.body, oid)
}

// digest returns the attribute messageDigest.
func digest(attributes []byte) ([]byte, bool) {
	all, ok := list(attributes)
	if !ok {
		return nil, false
	}
	for _, a := range all {
		parts, ok := list(a.body)
		if !ok || len(parts) != 2 || !bytes.Equal(parts[0].body, oidDigest) {
			continue
		}
		value, _, ok := next(parts[1].body)
		return value.body, ok && value.tag == tagOctets
	}
	return nil, false
}

// Sum is what the signature has to be of for it to be one of content.
func (s *Signer) Sum(content []byte) ([]byte, error) {
	sum := sha256.Sum256(content)
	if s.attributes == nil {
		return sum[:], nil
	}
	if !bytes.Equal(sum[:], s.digest) {
		return nil, ErrOther
	}
	sum = sha256.Sum256(s.attributes)
	return sum[:], nil
}
