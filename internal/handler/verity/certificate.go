package verity

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"

	"firstlight/internal/fmt"
	"firstlight/internal/handler"
	"firstlight/internal/machine"
	"firstlight/internal/pkcs7"
	"firstlight/internal/ueventd"
)

// Where the kernel has no key of who has signed a root hash, or cannot check a
// signature at all, the certificates of the image may speak for it, as with
// systemd: /etc/verity.d/*.crt. The kernel verifies with their keys, and the device
// is set up without the signature then. A kernel that takes no root hash without
// one (dm_verity.require_signatures=1) is not asked to.

// byCertificate says which certificate of the image the signature is of.
func (h *Handler) byCertificate(t *ueventd.Task, v *volume, sig signed) (file string, err error) {
	for _, p := range h.w.Config.Systemd {
		if p.Name == "systemd.allow_userspace_verity" && strings.Contains(" 0 no n false f off ", " "+strings.ToLower(p.Value)+" ") {
			return "", refusal("the image's certificates do not count (systemd.allow_userspace_verity=0)")
		}
	}
	signers, err := pkcs7.Parse(sig.der)
	if err != nil {
		return "", err
	}
	// The text that the command line has is what is signed.
	content := []byte(hex.EncodeToString(v.root))
	return ueventd.Do(t, "look for a certificate of who has signed the root hash of "+v.name, func(m machine.Machine) (string, error) {
		s, ok := m.(machine.Signatures)
		if !ok {
			return "", machine.ErrNoKeyring
		}
		files, err := s.Certificates()
		for _, f := range files {
			for _, der := range certificates(f.Text) {
				for i := range signers {
					sum, e := signers[i].Sum(content)
					if e == nil {
						e = s.VerifySignature(der, signers[i].Encoding, pkcs7.Hash, sum, signers[i].Signature)
					}
					if e == nil {
						return f.File, nil
					}
					err = errors.Join(err, fmt.Errorf("%s: %w", f.File, e))
				}
			}
		}
		if len(files) == 0 {
			err = errors.Join(err, refusal("the image has no certificates in /etc/verity.d"))
		}
		if err == nil {
			err = refusal("no certificate of the image is of who has signed it")
		}
		return "", err
	})
}

// certificates returns what is in a file: one in DER, or any number of them in
// PEM.
func certificates(text []byte) (list [][]byte) {
	const begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
	if !bytes.Contains(text, []byte(begin)) {
		return [][]byte{text}
	}
	for {
		_, rest, ok := bytes.Cut(text, []byte(begin))
		body, after, ok2 := bytes.Cut(rest, []byte(end))
		if !ok || !ok2 || len(list) == 16 {
			return list
		}
		if der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(body)), "")); err == nil {
			list = append(list, der)
		}
		text = after
	}
}

// vouched sets a device up without the signature that the kernel did not take,
// where a certificate of the image is of who has signed.
func (h *Handler) vouched(t *ueventd.Task, v *volume, sig signed, refused error, setUp func() error) error {
	file, err := h.byCertificate(t, v, sig)
	if err != nil {
		return fmt.Errorf("%w; %w", refused, err)
	}
	h.w.Say(handler.Normal, subject(v)+": the root hash is signed by who "+file+" of the image is of")
	return setUp()
}
