package sshserver

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"golang.org/x/crypto/ssh"
)

// curves are those of ECDSA keys by their names in SSH.
var curves = map[string]elliptic.Curve{"nistp256": elliptic.P256(), "nistp384": elliptic.P384(), "nistp521": elliptic.P521()}

// HostKeyLine is a private key as a line of the image's file: its kind and numbers
// in hexadecimal. The forms that people keep keys in are read where the image is
// built, since their readers are large.
func HostKeyLine(key any) (string, error) {
	switch k := key.(type) {
	case *ed25519.PrivateKey:
		return HostKeyLine(*k)
	case ed25519.PrivateKey:
		return "ed25519 " + hex.EncodeToString(k.Seed()), nil
	case *rsa.PrivateKey:
		if len(k.Primes) != 2 {
			return "", errors.New("an RSA key of more than two primes")
		}
		if bits := k.N.BitLen(); bits < 2048 {
			return "", fmt.Errorf("an RSA key of %d bits; 2048 is the least", bits)
		}
		return fmt.Sprintf("rsa %x %x %x %x %x", k.N, k.E, k.D, k.Primes[0], k.Primes[1]), nil
	case *ecdsa.PrivateKey:
		b, err := k.Bytes()
		if err != nil {
			return "", err
		}
		for name, c := range curves {
			if c == k.Curve {
				return "ecdsa " + name + " " + hex.EncodeToString(b), nil
			}
		}
	}
	return "", fmt.Errorf("a key of the type %T", key)
}

// parseHostKey reads such a line.
func parseHostKey(line string) (ssh.Signer, error) {
	f := strings.Fields(line)
	bad := errors.New("a host key cannot be read")
	switch {
	case len(f) == 2 && f[0] == "ed25519":
		seed, err := hex.DecodeString(f[1])
		if err != nil || len(seed) != ed25519.SeedSize {
			return nil, bad
		}
		return ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(seed))
	case len(f) == 6 && f[0] == "rsa":
		var n [5]*big.Int
		for i, s := range f[1:] {
			v, ok := new(big.Int).SetString(s, 16)
			if !ok || len(s) > 4096 {
				return nil, bad
			}
			n[i] = v
		}
		k := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: n[0], E: int(n[1].Int64())}, D: n[2], Primes: []*big.Int{n[3], n[4]}}
		if err := k.Validate(); err != nil {
			return nil, err
		}
		k.Precompute()
		s, err := ssh.NewSignerFromKey(k)
		if err != nil {
			return nil, err
		}
		a, ok := s.(ssh.AlgorithmSigner)
		if !ok {
			return nil, bad
		}
		return ssh.NewSignerWithAlgorithms(a, []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256})
	case len(f) == 3 && f[0] == "ecdsa" && curves[f[1]] != nil:
		b, err := hex.DecodeString(f[2])
		if err != nil {
			return nil, bad
		}
		k, err := ecdsa.ParseRawPrivateKey(curves[f[1]], b)
		if err != nil {
			return nil, err
		}
		return ssh.NewSignerFromKey(k)
	}
	return nil, bad
}
