package pid1

import (
	"errors"
	"path"

	"firstlight/internal/keyring"
	"firstlight/internal/machine"
	"firstlight/internal/sysfile"
	"firstlight/internal/sysfs"
)

// Certificates implements machine.Signatures.
func (system) Certificates() (list []machine.Certificate, err error) {
	seen := map[string]bool{}
	for _, dir := range machine.CertificateDirs() {
		names, _ := sysfs.Dir(dir).List("") // it need not be there
		for _, name := range names {
			if path.Ext(name) != ".crt" || seen[name] {
				continue
			}
			seen[name] = true
			text, e := sysfile.ReadFile(dir + "/" + name)
			err = errors.Join(err, e)
			list = append(list, machine.Certificate{File: dir + "/" + name, Text: text})
		}
	}
	return list, err
}

// VerifySignature implements machine.Signatures.
func (system) VerifySignature(certificate []byte, encoding, hash string, sum, signature []byte) error {
	return keyring.Verify(certificate, encoding, hash, sum, signature)
}
