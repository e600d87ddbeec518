package sign

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"math/big"

	"firstlight/internal/image/pe"
)

// Object identifiers, as functions so that nobody can change them.
func oidSignedData() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2} }
func oidData() asn1.ObjectIdentifier       { return asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1} }
func oidContentType() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
}
func oidMessageDigest() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
}
func oidSHA256() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
}
func oidRSA() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1} }

// Microsoft's: the content of a signature for a program, and the kind of data in
// it that is a PE image.
func oidIndirectData() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 2, 1, 4}
}
func oidImageData() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 2, 1, 15}
}

type algorithm struct {
	OID        asn1.ObjectIdentifier
	Parameters asn1.RawValue `asn1:"optional"`
}

func of(oid asn1.ObjectIdentifier) algorithm { return algorithm{oid, asn1.NullRawValue} }

type contentInfo struct {
	Type    asn1.ObjectIdentifier
	Content asn1.RawValue `asn1:"explicit,optional,tag:0"`
}

type attribute struct {
	Type   asn1.ObjectIdentifier
	Values asn1.RawValue `asn1:"set"`
}

type issuerAndSerial struct {
	Issuer asn1.RawValue
	Serial *big.Int
}

type signerInfo struct {
	Version      int
	Signer       issuerAndSerial
	Digest       algorithm
	Attributes   asn1.RawValue `asn1:"optional,tag:0"`
	Algorithm    algorithm
	Signature    []byte
	Unauthorised asn1.RawValue `asn1:"optional,tag:1"`
}

type signedData struct {
	Version      int
	Digests      []algorithm `asn1:"set"`
	Content      contentInfo
	Certificates asn1.RawValue `asn1:"optional,tag:0"`
	Revocations  asn1.RawValue `asn1:"optional,tag:1"`
	Signers      []signerInfo  `asn1:"set"`
}

// Signer signs programs.
type Signer struct {
	Key *rsa.PrivateKey
	// Certificates are that of the key and those that lead from it to one that
	// the firmware has, which need not be among them.
	Certificates []*x509.Certificate
}

// Program returns a program with a signature behind those that it has.
func (s *Signer) Program(b []byte) ([]byte, error) {
	p, err := pe.Parse(b)
	if err != nil {
		return nil, err
	}
	digest, err := Digest(b)
	if err != nil {
		return nil, err
	}
	content, err := indirectData(digest)
	if err != nil {
		return nil, err
	}
	signature, err := s.signedData(oidIndirectData(), content)
	if err != nil {
		return nil, err
	}
	return attach(b, p, signature)
}

// imageData is what Microsoft's format says of every PE file: no flags, and a
// file without a name (SpcPeImageData).
func imageData() asn1.RawValue {
	name := []byte("\x00<\x00<\x00<\x00O\x00b\x00s\x00o\x00l\x00e\x00t\x00e\x00>\x00>\x00>") // big-endian
	name = tlv(0x80, name)                                                                   // SpcString, unicode
	link := tlv(0xa2, name)                                                                  // SpcLink, file
	flags := []byte{0x03, 0x01, 0x00}                                                        // an empty bit string
	return asn1.RawValue{FullBytes: tlv(0x30, append(flags, tlv(0xa0, link)...))}
}

// tlv is a value in DER, of at most 127 bytes.
func tlv(tag byte, value []byte) []byte { return append([]byte{tag, byte(len(value))}, value...) }

// indirect is what is signed of a program (SpcIndirectDataContent).
type indirect struct {
	Data struct {
		Type  asn1.ObjectIdentifier
		Value asn1.RawValue
	}
	Digest struct {
		Algorithm algorithm
		Digest    []byte
	}
}

func indirectData(digest []byte) ([]byte, error) {
	var c indirect
	c.Data.Type, c.Data.Value = oidImageData(), imageData()
	c.Digest.Algorithm, c.Digest.Digest = of(oidSHA256()), digest
	return asn1.Marshal(c)
}

// signedData signs content, which is in DER. The digest is that of the content
// without its tag and length, as RFC 2315 has it.
func (s *Signer) signedData(kind asn1.ObjectIdentifier, content []byte) ([]byte, error) {
	var inner asn1.RawValue
	if _, err := asn1.Unmarshal(content, &inner); err != nil {
		return nil, err
	}
	data, err := s.signed(kind, inner.Bytes, true)
	if err != nil {
		return nil, err
	}
	data.Content.Content = asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: content}
	return wrap(data)
}

// Detached signs data that is kept beside the signature, as UEFI's authenticated
// variables are (UEFI 2.10, 8.2.2): SignedData alone, without attributes.
func (s *Signer) Detached(data []byte) ([]byte, error) {
	d, err := s.signed(oidData(), data, false)
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(*d)
}

func wrap(d *signedData) ([]byte, error) {
	der, err := asn1.Marshal(*d)
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(contentInfo{oidSignedData(), asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: der}})
}

// signed is a signature of bytes, directly or by attributes that hold their
// digest.
func (s *Signer) signed(kind asn1.ObjectIdentifier, data []byte, attributes bool) (*signedData, error) {
	if len(s.Certificates) == 0 {
		return nil, fmt.Errorf("there is no certificate to sign with")
	}
	cert := s.Certificates[0]
	if public, ok := cert.PublicKey.(*rsa.PublicKey); !ok || !public.Equal(&s.Key.PublicKey) {
		return nil, fmt.Errorf("the certificate of %s is not that of the key", cert.Subject)
	}
	info := signerInfo{Version: 1, Signer: issuerAndSerial{asn1.RawValue{FullBytes: cert.RawIssuer}, cert.SerialNumber},
		Digest: of(oidSHA256()), Algorithm: of(oidRSA())}
	digest := sha256.Sum256(data)
	if attributes {
		set, err := attributeSet(kind, digest[:])
		if err != nil {
			return nil, err
		}
		info.Attributes = asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: set}
		digest = sha256.Sum256(asSet(set))
	}
	var err error
	if info.Signature, err = rsa.SignPKCS1v15(nil, s.Key, crypto.SHA256, digest[:]); err != nil {
		return nil, err
	}
	var certs []byte
	for _, c := range s.Certificates {
		certs = append(certs, c.Raw...)
	}
	return &signedData{Version: 1, Digests: []algorithm{of(oidSHA256())}, Content: contentInfo{Type: kind},
		Certificates: asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: certs}, Signers: []signerInfo{info}}, nil
}

// attributeSet are the signed attributes, in the order that DER asks for, without
// the tag and length around them.
func attributeSet(kind asn1.ObjectIdentifier, digest []byte) ([]byte, error) {
	var out []byte
	for _, a := range []struct {
		oid   asn1.ObjectIdentifier
		value any
	}{{oidContentType(), kind}, {oidMessageDigest(), digest}} {
		value, err := asn1.Marshal(a.value)
		if err != nil {
			return nil, err
		}
		der, err := asn1.Marshal(attribute{a.oid, asn1.RawValue{Class: asn1.ClassUniversal, Tag: asn1.TagSet, IsCompound: true, Bytes: value}})
		if err != nil {
			return nil, err
		}
		out = append(out, der...)
	}
	return out, nil
}

// asSet is the form of signed attributes that is hashed: a SET.
func asSet(attributes []byte) []byte {
	der, err := asn1.Marshal(asn1.RawValue{Class: asn1.ClassUniversal, Tag: asn1.TagSet, IsCompound: true, Bytes: attributes})
	if err != nil {
		panic(err) // raw values always marshal
	}
	return der
}

// parse reads a signature of a program.
func parse(der []byte) (*signedData, *indirect, error) {
	var outer contentInfo
	if rest, err := asn1.Unmarshal(der, &outer); err != nil || len(bytes.Trim(rest, "\x00")) > 0 || !outer.Type.Equal(oidSignedData()) {
		return nil, nil, fmt.Errorf("it is no PKCS #7 SignedData: %w", ErrSignature)
	}
	var d signedData
	if _, err := asn1.Unmarshal(outer.Content.Bytes, &d); err != nil {
		return nil, nil, fmt.Errorf("PKCS #7: %w: %w", ErrSignature, err)
	}
	if !d.Content.Type.Equal(oidIndirectData()) || len(d.Signers) != 1 {
		return nil, nil, fmt.Errorf("it is not one signer's signature of a program: %w", ErrSignature)
	}
	var c indirect
	if _, err := asn1.Unmarshal(d.Content.Content.Bytes, &c); err != nil {
		return nil, nil, fmt.Errorf("what it signs: %w: %w", ErrSignature, err)
	}
	return &d, &c, nil
}
