// Package signing signs root hashes of dm-verity as a vendor would, with a key
// that is in no kernel: PKCS#7 (RFC 2315) without attributes and certificates,
// what openssl smime -sign -nocerts -noattr -binary -outform der writes. The same
// hash always gives the same signature.
package signing

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"time"
)

// private is the key, which is for tests alone.
const private = `-----BEGIN PRIVATE KEY-----
MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQCl0I+5oz35GC/7
nDmwfJCaRDnrn1r36DKhi6bDM0h9K07cfsdkBJ+hEL6nbpkZCYWLBrj+szgqb7rL
sT6m2smhSZmE1W6HXalQdH06mDMZiV2M0780M3qOh/jXz0Jb/nHWm5PM/9e2jNMV
0FgpCBiJ73+xrC/uW8Vp1251z0zTVkEdaaUy+YIz6UNP4eo3KD47AWv+WR49cbaR
Z6e3n94HJ35eVNhTktfXcAyDJRcakFMsJxjyrDXBktWpc/nGJoj2lv3leiUwW5j6
EZ+Q+2rLzUm6+iT4r983Kq3KG9r0ybhe+Tq7VGLE+Tlr1TWrqkxP1lb2CKszIX2W
4HYjO8lNAgMBAAECggEACt42JWU5MSPwNS4iq9omQi45m6N4u2n5M5RrLD0mwal+
hD49BGW3Lr/htyitGTKCEcAxjOQjSMjE9gfaguYxNASWbtnsYiv15oOUF6yVINXb
j1jrndjH7iKkYUTA5TWysW3GDLgyI9FsHnBm7t2MejH77SHLjHRwZoULxOX+85UH
JiQ3lZN7H7a6GDxDlR6zj1Yd1xNw6zKm/QnVOwnMbsaEXHSnoF98giuiXrxtOzEQ
sKMWhcGtWTOI3weYbBakS9keE3D6L68+L06ooz6xPe7kcht+I+1Qn9+pfTOjwwqh
p0s8HcMzcW4qXcyt+lupC+GJYuCU8ukvxMfByTsmEQKBgQDas78RioCkOf6rDhfR
vdhKnBkgxDT6pnaXPvmgMrf+W1hf8wq5Nb3L24CcjdUw7kv6B1H3D4T/bydQ4Dy2
9Np5ERp+CW1aBauwfeQoa05Zgg3Mj/8rwvndLww3+yTHaU03Uwt1UzWktDneMv22
3Gr9QMJXu+h8F4QaregGbgib1QKBgQDCF9FFkXa1rUiAa5r3C/bX0P0F7w/JcM3/
Akg6isY7mHFk3VuUIlM4pJZHBc2INfazNovReFfOuCjTNk+FG8o04It+ILPtL+f3
lwkVptz8CL/LTMaSnjAHvedAYzxFW3yzeGcG7x5nBAv7EF9cTO3+ex97uxiYgYw9
0A6phJKLmQKBgQDOWt2E4oeA7YvCwLhu2c9UjrcS+K74dcrd6LjGlDSRloTre7p5
iSC9Ui6nCRjIY4BiuTd4gzc9gRa6s+n1w1DE/QNfOuvoDgOyswZtsNorkJAOnSvq
kb0LGxJPW/OXCF+oPP5JxKqP7tHPO5OzT4TP0qPM/mtdcx7dwYt1TatnxQKBgQCJ
41/SG6CJOzz5tviVsBNCiX9oGslNY+2E0Ds+E9728bsFXFk2KRiUciEs/cthjGzi
LsswGl3PR3gBbWEbAH4sCKYxCcypodIbTFqw3iW6jACtzrJ38RfQODK0xItJ/s/d
tJkFDRW9O9vDFoOY0DJ4C0J3pZi4p7hZJZl1BvERaQKBgFBQEM6pHM3ACwJHgUMi
YqYzk7IryE7NR1Y1n6ADZdcPSLLxr6FwNEhLaJydu9HCmdaGnO5tiVVNnLauQpp6
QZePWutLYRiK0HwX+hB9opqdsVSWxhBgwBWymFrK9x82dmt3B6A/rZgpJRiRuWEl
ge9jJKIpCilkpg7aTQBeQxjx
-----END PRIVATE KEY-----
`

// PEM returns the key in PEM (PKCS #8).
func PEM() string { return private }

// Key returns the key.
func Key() (*rsa.PrivateKey, error) {
	b, _ := pem.Decode([]byte(private))
	k, err := x509.ParsePKCS8PrivateKey(b.Bytes)
	if err != nil {
		return nil, err
	}
	return k.(*rsa.PrivateKey), nil
}

// Certificate returns the certificate of the key, which it has signed itself, in
// DER.
func Certificate() ([]byte, error) {
	k, err := Key()
	if err != nil {
		return nil, err
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(20260101), Subject: pkix.Name{CommonName: "Firstlight tests"},
		NotBefore: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2049, 1, 1, 0, 0, 0, 0, time.UTC),
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true, SubjectKeyId: []byte("firstlight-tests-key")}
	return x509.CreateCertificate(nil, c, c, &k.PublicKey, k)
}

var (
	oidSignedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidData       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidSHA256     = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	oidRSA        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
)

type algorithm struct {
	OID  asn1.ObjectIdentifier
	None asn1.RawValue
}

func of(oid asn1.ObjectIdentifier) algorithm { return algorithm{oid, asn1.NullRawValue} }

type signerInfo struct {
	Version int
	Signer  struct {
		Issuer asn1.RawValue
		Serial *big.Int
	}
	Digest    algorithm
	Signature algorithm
	Bytes     []byte
}

type signedData struct {
	Version int
	Digests []algorithm `asn1:"set"`
	Content struct{ Type asn1.ObjectIdentifier }
	Signers []signerInfo `asn1:"set"`
}

// Sign returns the signature of a root hash, which is signed as the text that a
// command line has.
func Sign(rootHash string) ([]byte, error) {
	k, err := Key()
	if err != nil {
		return nil, err
	}
	der, err := Certificate()
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(rootHash))
	s := signerInfo{Version: 1, Digest: of(oidSHA256), Signature: of(oidRSA)}
	s.Signer.Issuer, s.Signer.Serial = asn1.RawValue{FullBytes: cert.RawIssuer}, cert.SerialNumber
	if s.Bytes, err = rsa.SignPKCS1v15(nil, k, crypto.SHA256, sum[:]); err != nil {
		return nil, err
	}
	data := signedData{Version: 1, Digests: []algorithm{of(oidSHA256)}, Signers: []signerInfo{s}}
	data.Content.Type = oidData
	inner, err := asn1.Marshal(data)
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue
	}{oidSignedData, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: inner}})
}

// Partition is what a partition of the type verity-sig has for a root hash
// (Discoverable Partitions Specification).
func Partition(rootHash string) ([]byte, error) {
	der, err := Sign(rootHash)
	if err != nil {
		return nil, err
	}
	cert, err := Certificate()
	if err != nil {
		return nil, err
	}
	print := sha256.Sum256(cert)
	return json.Marshal(map[string]string{"rootHash": rootHash, "signature": base64.StdEncoding.EncodeToString(der),
		"certificateFingerprint": hexadecimal(print[:])})
}

func hexadecimal(b []byte) string {
	const digits = "0123456789abcdef"
	var out []byte
	for _, c := range b {
		out = append(out, digits[c>>4], digits[c&15])
	}
	return string(out)
}
