package check

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"path"
	"slices"

	"firstlight/internal/machine"

	"golang.org/x/sys/unix"
)

// WithSignature implements machine.Signatures. Whose signatures the kernel takes
// is not in a snapshot: a boot that goes on without the key is foretold, and one
// that does not is not.
func (w *world) WithSignature(_ string, _ []byte, _ func() error) error {
	w.unknown = addOnce(w.unknown, "whether the kernel has a key of who has signed the root hash")
	return unix.ENOKEY
}

// Certificates implements machine.Signatures: those of the image.
func (w *world) Certificates() ([]machine.Certificate, error) {
	var list []machine.Certificate
	var seen []string
	for _, dir := range machine.CertificateDirs() {
		for _, name := range w.im.list(dir) {
			if path.Ext(name) != ".crt" || slices.Contains(seen, name) {
				continue
			}
			seen = append(seen, name)
			text, err := w.im.content(path.Join(dir, name))
			if err != nil {
				return list, err
			}
			list = append(list, machine.Certificate{File: path.Join(dir, name), Text: text})
		}
	}
	return list, nil
}

// VerifySignature implements machine.Signatures. Every kernel that can verify at
// all verifies what RSA has signed; which of them do so for other keys depends on
// how they were built.
func (w *world) VerifySignature(certificate []byte, encoding, hash string, sum, signature []byte) error {
	c, err := x509.ParseCertificate(certificate)
	if err != nil {
		return err
	}
	key, ok := c.PublicKey.(*rsa.PublicKey)
	if !ok || encoding != "pkcs1" || hash != "sha256" {
		w.unknown = addOnce(w.unknown, "whether the kernel can verify a signature of "+c.PublicKeyAlgorithm.String())
		return unix.ENOPKG
	}
	return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum, signature)
}
