package sign

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"slices"

	"firstlight/internal/image/pe"
)

// Signature is one of a program's signatures.
type Signature struct {
	// Certificates are those in it, in their order; Signer is the one that it
	// was made with, nil if that is not among them.
	Certificates []*x509.Certificate
	Signer       *x509.Certificate
	Digest       []byte // SHA-256 of the program that was signed
	// Broken says why it does not hold for this program, whoever made it.
	Broken error
}

// Read returns the signatures of a program, none if it has none. That of another
// program, or one that was changed, is among them and says so.
func Read(b []byte) ([]Signature, error) {
	p, err := pe.Parse(b)
	if err != nil {
		return nil, err
	}
	digest, err := Digest(b)
	if err != nil {
		return nil, err
	}
	raw, err := signatures(b, p)
	if err != nil {
		return nil, err
	}
	var out []Signature
	for _, r := range raw {
		s := Signature{}
		s.Broken = s.read(r, digest)
		out = append(out, s)
	}
	return out, nil
}

// read reads a signature and says what of it does not hold for a digest.
func (s *Signature) read(der, digest []byte) error {
	d, c, err := parse(der)
	if err != nil {
		return err
	}
	s.Digest = c.Digest.Digest
	for rest := d.Certificates.Bytes; len(rest) > 0; {
		var one asn1.RawValue
		if rest, err = asn1.Unmarshal(rest, &one); err != nil {
			return fmt.Errorf("its certificates: %w: %w", ErrSignature, err)
		}
		if cert, err := x509.ParseCertificate(one.FullBytes); err == nil {
			s.Certificates = append(s.Certificates, cert)
		}
	}
	info := d.Signers[0]
	i := slices.IndexFunc(s.Certificates, func(c *x509.Certificate) bool {
		return bytes.Equal(c.RawIssuer, info.Signer.Issuer.FullBytes) && info.Signer.Serial != nil && c.SerialNumber.Cmp(info.Signer.Serial) == 0
	})
	if i < 0 {
		return fmt.Errorf("the certificate that it was made with is not in it: %w", ErrSignature)
	}
	s.Signer = s.Certificates[i]
	if !c.Digest.Algorithm.OID.Equal(oidSHA256()) || !info.Digest.OID.Equal(oidSHA256()) {
		return fmt.Errorf("it is not made with SHA-256: %w", ErrSignature)
	}
	if !bytes.Equal(c.Digest.Digest, digest) {
		return fmt.Errorf("it is for another program: the digest is %x, and this one's is %x: %w", c.Digest.Digest, digest, ErrSignature)
	}
	return verify(d, info, s.Signer)
}

// verify checks that the signer's key signed the content.
func verify(d *signedData, info signerInfo, signer *x509.Certificate) error {
	var content asn1.RawValue
	if _, err := asn1.Unmarshal(d.Content.Content.Bytes, &content); err != nil {
		return fmt.Errorf("what it signs: %w: %w", ErrSignature, err)
	}
	sum := sha256.Sum256(content.Bytes)
	if len(info.Attributes.Bytes) > 0 {
		kind, digest, err := attributesOf(info.Attributes.Bytes)
		if err != nil {
			return err
		}
		if !kind.Equal(oidIndirectData()) || !bytes.Equal(digest, sum[:]) {
			return fmt.Errorf("its attributes are for something else: %w", ErrSignature)
		}
		sum = sha256.Sum256(asSet(info.Attributes.Bytes))
	}
	key, ok := signer.PublicKey.(*rsa.PublicKey)
	if !ok {
		return fmt.Errorf("the key of %s is no RSA key: %w", signer.Subject, ErrSignature)
	}
	if err := rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], info.Signature); err != nil {
		return fmt.Errorf("%s did not make it: %w", signer.Subject, ErrSignature)
	}
	return nil
}

// attributesOf are the content's kind and digest among signed attributes.
func attributesOf(b []byte) (kind asn1.ObjectIdentifier, digest []byte, err error) {
	for len(b) > 0 {
		var a attribute
		if b, err = asn1.Unmarshal(b, &a); err != nil {
			return nil, nil, fmt.Errorf("its attributes: %w: %w", ErrSignature, err)
		}
		switch {
		case a.Type.Equal(oidContentType()):
			_, err = asn1.Unmarshal(a.Values.Bytes, &kind)
		case a.Type.Equal(oidMessageDigest()):
			_, err = asn1.Unmarshal(a.Values.Bytes, &digest)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("its attributes: %w: %w", ErrSignature, err)
		}
	}
	return kind, digest, nil
}

// TrustedBy says whether firmware that has these certificates in its signature
// database takes the signature: it holds, and one of them is the signer's or has
// signed the signer's, directly or by others in the signature. As firmware does,
// it looks neither at the time nor at what a certificate is for.
func (s *Signature) TrustedBy(db []*x509.Certificate) error {
	if s.Broken != nil {
		return s.Broken
	}
	at := s.Signer
	for range len(s.Certificates) + 1 {
		for _, t := range db {
			if t.Equal(at) || bytes.Equal(t.RawSubject, at.RawIssuer) && signedBy(at, t) {
				return nil
			}
		}
		i := slices.IndexFunc(s.Certificates, func(c *x509.Certificate) bool {
			return !c.Equal(at) && bytes.Equal(c.RawSubject, at.RawIssuer) && signedBy(at, c)
		})
		if i < 0 {
			break
		}
		at = s.Certificates[i]
	}
	return fmt.Errorf("no trusted certificate leads to %s: %w", s.Signer.Subject, ErrSignature)
}

func signedBy(c, by *x509.Certificate) bool {
	return by.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}
