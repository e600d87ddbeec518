package verity

import (
	"bytes"
	"errors"
	"runtime"
	"strings"

	"firstlight/internal/fmt"
	"firstlight/internal/machine"
	"firstlight/internal/udevd"
	"firstlight/internal/ueventd"
	"firstlight/internal/verityfmt"

	"golang.org/x/sys/unix"
)

// The signature of a root hash is checked by the kernel, which has the keys that
// count: those built in, those added to them, and, where it was built so, those
// of the firmware. It is asked for by root-hash-signature=, or lies on a
// partition of its own beside the hash tree.

// refusal is an error that needs no initialisation: the small /init has the gate
// of this package.
type refusal string

func (r refusal) Error() string { return string(r) }

// What an error says of a signature.
const (
	errUnsigned = refusal("the kernel is to take signed root hashes only (dm_verity.require_signatures=1), and this one has no signature")
	errSigner   = refusal("the kernel has no key of whoever has signed the root hash")
	errForged   = refusal("the signature is not one of this root hash, or it is damaged")
	errNoWord   = refusal("the signature of its root hash cannot be read, and nothing else speaks for it")
	errNoSigs   = refusal("this kernel cannot check such a signature (CONFIG_DM_VERITY_VERIFY_ROOTHASH_SIG)")
)

// signed is the signature of a volume.
type signed struct {
	der   []byte
	asked bool // by root-hash-signature=, and not only found on a partition
	where string
}

// required says whether the kernel was told to take signed root hashes only.
func (h *Handler) required() bool {
	for _, p := range h.w.Config.Modules.Params["dm_verity"] {
		if v, ok := strings.CutPrefix(p, "require_signatures="); ok {
			return v == "1" || strings.EqualFold(v, "y")
		}
	}
	return false
}

// signature reads the signature of a volume: the one that is named, else that of
// the partition beside the hash tree. Without either der is empty.
func (h *Handler) signature(t *ueventd.Task, v *volume, tree *udevd.Entry) (s signed, err error) {
	if value := v.options.Signature; value != "" {
		s.asked, s.where = true, "root-hash-signature="
		der, ok, err := verityfmt.Signature(value)
		if ok || err != nil {
			s.der = der
			return s, err
		}
		s.where = value
		s.der, err = ueventd.Do(t, "read the signature "+value, func(m machine.Machine) ([]byte, error) {
			der, err := m.ReadFile(value, verityfmt.MaxSignature)
			if err == nil {
				err = verityfmt.CheckSignature(der)
			}
			return der, err
		})
		if err != nil {
			err = fmt.Errorf("%s: %w", value, err)
		}
		return s, err
	}
	e := h.beside(v, tree)
	if v.signed.IsDevice() {
		e = nil
		if devs := h.w.Find(v.signed); len(devs) == 1 {
			e = devs[0]
		}
	}
	if e == nil {
		return s, nil
	}
	s.where = e.Devname()
	s.der, err = ueventd.Do(t, "read the signature on "+e.Devname(), func(m machine.Machine) ([]byte, error) {
		b, err := m.OpenBlock(e.Devname())
		if err != nil {
			return nil, err
		}
		defer b.Close()
		text := make([]byte, min(b.Size(), 2*verityfmt.MaxSignature))
		if _, err := b.ReadAt(text, 0); err != nil {
			return nil, err
		}
		root, der, err := verityfmt.SignaturePartition(text)
		if err == nil && !bytes.Equal(root, v.root) {
			err = fmt.Errorf("%w: it is of another root hash", verityfmt.ErrSignature)
		}
		return der, err
	})
	if err != nil {
		// Nobody has asked for it: the root hash itself is given.
		t.Record("decision", e.Devname()+" has no signature for "+subject(v)+": "+err.Error())
		s.der = nil
	}
	return s, nil
}

// beside returns the partition with the signature on the disk of the hash tree;
// nil if there is none, or more than one.
func (h *Handler) beside(v *volume, tree *udevd.Entry) (found *udevd.Entry) {
	typ, disk := verityfmt.SignatureType(runtime.GOARCH, v.name == "usr"), tree.Property("ID_PART_ENTRY_DISK")
	if typ == "" || disk == "" {
		return nil
	}
	for _, e := range h.w.Devices.Block() {
		if e.Property("ID_PART_ENTRY_DISK") == disk && strings.EqualFold(e.Property("ID_PART_ENTRY_TYPE"), typ) {
			if found != nil {
				return nil
			}
			found = e
		}
	}
	return found
}

// explain says what the kernel means by refusing a table, with a signature or
// where it takes no other.
func explain(err error, s signed) error {
	switch {
	case err == nil:
	case errors.Is(err, unix.ENOKEY) && len(s.der) > 0:
		return fmt.Errorf("%w (%s): %w", errSigner, s.where, err)
	case errors.Is(err, unix.ENOKEY):
		return fmt.Errorf("%w: %w", errUnsigned, err)
	case len(s.der) > 0 && (errors.Is(err, unix.EKEYREJECTED) || errors.Is(err, unix.EBADMSG) || errors.Is(err, unix.EKEYEXPIRED) || errors.Is(err, unix.EKEYREVOKED)):
		return fmt.Errorf("%w (%s): %w", errForged, s.where, err)
	case len(s.der) > 0 && (errors.Is(err, machine.ErrNoKeyring) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOPKG)):
		return fmt.Errorf("%w: %w", errNoSigs, err)
	}
	return err
}

// signatureAdvice is what can be done about it, "" where it is not the signature.
func signatureAdvice(err error) string {
	switch {
	case errors.Is(err, errUnsigned):
		return "give the signature: systemd.verity_root_options=root-hash-signature=FILE, with the file in the image (--include)"
	case errors.Is(err, errSigner):
		return "sign it with a key whose certificate the kernel has: one built in, or, since Linux 6.x as Debian 13 builds it, one in the firmware's db; see /proc/keys"
	case errors.Is(err, errForged), errors.Is(err, verityfmt.ErrSignature):
		return "sign this root hash anew: openssl smime -sign -nocerts -noattr -binary -outform der, of the hash in hexadecimal without a newline"
	case errors.Is(err, errNoSigs):
		return "boot a kernel that can, or leave root-hash-signature= out"
	}
	return ""
}
