package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"time"
)

// certificates are those of an authority, and of the server and of the machine that
// boots, with their key, which is the same, in PEM.
// They are made anew each time and are good for nothing else.
func certificates() (ca, cert, client, key string) {
	check := func(err error) {
		if err != nil {
			panic(err) // keys of the tests can be made
		}
	}
	years := func(c *x509.Certificate) *x509.Certificate {
		c.NotBefore, c.NotAfter = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
		return c
	}
	text := func(kind string, b []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
	}
	top, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	authority := years(&x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of the tests"}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	der, err := x509.CreateCertificate(rand.Reader, authority, authority, &top.PublicKey, top)
	check(err)
	ca = text("CERTIFICATE", der)
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	server := years(&x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "server"}, DNSNames: []string{"server"},
		IPAddresses: []net.IP{net.ParseIP(serverAddress)}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	der, err = x509.CreateCertificate(rand.Reader, server, authority, &own.PublicKey, top)
	check(err)
	cert = text("CERTIFICATE", der)
	server.SerialNumber, server.Subject.CommonName, server.DNSNames, server.IPAddresses = big.NewInt(3), "client", nil, nil
	server.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	der, err = x509.CreateCertificate(rand.Reader, server, authority, &own.PublicKey, top)
	check(err)
	client = text("CERTIFICATE", der)
	der, err = x509.MarshalPKCS8PrivateKey(own)
	check(err)
	return ca, cert, client, text("PRIVATE KEY", der)
}
