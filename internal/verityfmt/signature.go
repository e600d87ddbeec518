package verityfmt

import (
	"bytes"
	"encoding/base64"
	"strings"

	"firstlight/internal/fmt"
	"firstlight/internal/luksfmt/jsontree"
)

// MaxSignature bounds a signature, in bytes. That of a key of 4,096 bits with
// its certificate has some 2,000.
const MaxSignature = 32 << 10

// ErrSignature is wrapped by the error for what is no signature.
const ErrSignature = constant("not a signature of a root hash")

// constant is an error that needs no initialisation, so that programs without
// signatures do not carry it.
type constant string

func (c constant) Error() string { return string(c) }

// Signature reads the value of root-hash-signature= where it is not the path of
// a file: "base64:" and the text. ok is false for a path.
func Signature(value string) (der []byte, ok bool, err error) {
	text, ok := strings.CutPrefix(value, "base64:")
	if !ok {
		return nil, false, nil
	}
	der, err = base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, true, fmt.Errorf("%w: not base64", ErrSignature)
	}
	return der, true, CheckSignature(der)
}

// CheckSignature says whether bytes may be a signature in PKCS#7 (RFC 2315), in
// DER: what openssl writes with -outform der. What is in it the kernel checks.
func CheckSignature(der []byte) error {
	switch {
	case len(der) == 0 || len(der) > MaxSignature:
		return fmt.Errorf("%w: %d bytes", ErrSignature, len(der))
	case bytes.HasPrefix(der, []byte("-----")):
		return fmt.Errorf("%w: it is text (PEM), and has to be in DER: openssl … -outform der", ErrSignature)
	case der[0] != 0x30:
		return fmt.Errorf("%w: not PKCS#7 in DER", ErrSignature)
	}
	return nil
}

// SignaturePartition reads what is on a partition of the type verity-sig of the
// Discoverable Partitions Specification: an object in JSON, with zeros after it,
// that has "rootHash" in hexadecimal and "signature", PKCS#7 in DER, in base64.
func SignaturePartition(b []byte) (root, der []byte, err error) {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	v, err := jsontree.Parse(bytes.TrimSpace(b), jsontree.Limits{Depth: 4, Values: 64})
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	text, ok1 := v.Get("rootHash").Str()
	sig, ok2 := v.Get("signature").Str()
	if !ok1 || !ok2 {
		return nil, nil, fmt.Errorf("%w: rootHash or signature is missing", ErrSignature)
	}
	if root, ok1 = Hex(text); !ok1 || len(root) == 0 {
		return nil, nil, fmt.Errorf("%w: rootHash is not hexadecimal", ErrSignature)
	}
	if der, err = base64.StdEncoding.DecodeString(sig); err != nil {
		return nil, nil, fmt.Errorf("%w: signature is not base64", ErrSignature)
	}
	return root, der, CheckSignature(der)
}

// SignatureType is the type of the partition with the signature of the root's
// root hash, or of /usr's, on an architecture as Go calls it; "" for one that is
// not known here (Discoverable Partitions Specification, uapi-group.org).
func SignatureType(arch string, usr bool) string {
	for _, t := range [...]struct{ arch, root, usr string }{
		{"amd64", "41092b05-9fc8-4523-994f-2def0408b176", "e7bb33fb-06cf-4e81-8273-e543b413e2e2"},
		{"arm64", "6db69de6-29f4-4758-a7a5-962190f00ce3", "c23ce4ff-44bd-4b00-b2d4-b41b3419e02a"},
	} {
		if t.arch == arch {
			if usr {
				return t.usr
			}
			return t.root
		}
	}
	return ""
}
