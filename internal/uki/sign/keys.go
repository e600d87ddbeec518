package sign

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
)

// ParseKey reads an RSA key from PEM: PKCS #1 or PKCS #8, not encrypted.
func ParseKey(b []byte) (*rsa.PrivateKey, error) {
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			return nil, fmt.Errorf("there is no private key in PEM in it")
		}
		switch block.Type {
		case "RSA PRIVATE KEY":
			if block.Headers["DEK-Info"] != "" {
				return nil, fmt.Errorf("the key is encrypted: openssl pkey writes it without a passphrase")
			}
			return x509.ParsePKCS1PrivateKey(block.Bytes)
		case "PRIVATE KEY":
			k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				return nil, err
			}
			if r, ok := k.(*rsa.PrivateKey); ok {
				return r, nil
			}
			return nil, fmt.Errorf("the key is not an RSA key, and firmware verifies no other")
		case "ENCRYPTED PRIVATE KEY":
			return nil, fmt.Errorf("the key is encrypted: openssl pkey writes it without a passphrase")
		case "EC PRIVATE KEY":
			return nil, fmt.Errorf("the key is not an RSA key, and firmware verifies no other")
		}
	}
}

// ParseCertificates reads certificates: any number in PEM, or one in DER.
func ParseCertificates(b []byte) ([]*x509.Certificate, error) {
	if len(b) > 0 && b[0] == 0x30 {
		c, err := x509.ParseCertificate(b)
		if err != nil {
			return nil, err
		}
		return []*x509.Certificate{c}, nil
	}
	var out []*x509.Certificate
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("there is no certificate in it, neither in PEM nor in DER")
	}
	return out, nil
}

// ParsePublicKey reads an RSA key in PEM, public, private or of a certificate.
func ParsePublicKey(b []byte) (*rsa.PublicKey, error) {
	if block, _ := pem.Decode(b); block != nil && block.Type == "PUBLIC KEY" {
		k, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, err
		}
		if r, ok := k.(*rsa.PublicKey); ok {
			return r, nil
		}
		return nil, fmt.Errorf("it is not an RSA key")
	}
	if certs, err := ParseCertificates(b); err == nil {
		if r, ok := certs[0].PublicKey.(*rsa.PublicKey); ok {
			return r, nil
		}
	}
	k, err := ParseKey(b)
	if err != nil {
		return nil, fmt.Errorf("there is no RSA key in PEM in it")
	}
	return &k.PublicKey, nil
}
