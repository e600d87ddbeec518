package luks

import (
	"bytes"
	"strconv"
	"strings"

	"firstlight/internal/devmapper"
	"firstlight/internal/fmt"
	"firstlight/internal/luksfmt"
)

// Plain describes a device that is encrypted without a header: all that is
// known of it comes from whoever set it up (cryptsetup(8), "plain").
type Plain struct {
	Cipher     string // "aes-xts-plain64"
	KeySize    int    // in bytes
	Hash       string // of a passphrase: "sha256", "ripemd160:20"; "plain" is none
	Offset     uint64 // where the data begins, in 512-byte sectors
	Skip       uint64 // added to the sector number for the IV, in 512-byte sectors
	SectorSize int    // in bytes; 0 is 512
}

// Key makes the volume key of a passphrase. Nothing can be compared with it:
// a wrong passphrase gives a key as well.
func (p *Plain) Key(passphrase []byte, more Hashes) (*VolumeKey, error) {
	if p.KeySize <= 0 || p.KeySize > 512 {
		return nil, fmt.Errorf("a key of %d bytes: %w", p.KeySize, ErrUnsupported)
	}
	key := make([]byte, p.KeySize)
	if p.Hash == "plain" {
		if len(passphrase) > len(key) {
			return nil, fmt.Errorf("the passphrase has more than the %d bytes of the key, and is not hashed", len(key))
		}
		copy(key, passphrase)
		return &VolumeKey{key: key}, nil
	}
	name, length, limited := strings.Cut(p.Hash, ":")
	size := len(key)
	if limited {
		n, err := strconv.ParseUint(length, 10, 16)
		if err != nil || n == 0 || int(n) > size {
			return nil, fmt.Errorf("hash %q: not NAME:BYTES with at most the %d bytes of the key", p.Hash, size)
		}
		size = int(n)
	}
	newH, err := more.find(name)
	if err != nil {
		return nil, err
	}
	h := newH()
	// What one digest does not fill is filled with that of the passphrase with
	// so many letters before it.
	for round, at := 0, 0; at < size; round++ {
		h.Reset()
		h.Write(bytes.Repeat([]byte("A"), round))
		h.Write(passphrase)
		sum := h.Sum(nil)
		at += copy(key[at:size], sum)
		clear(sum)
	}
	h.Reset()
	return &VolumeKey{key: key}, nil
}

// FileKey makes the volume key of a key file, whose first bytes it is. They are
// not hashed.
func (p *Plain) FileKey(file []byte) (*VolumeKey, error) {
	if len(file) < p.KeySize {
		return nil, fmt.Errorf("the key file has %d bytes, and the key is %d", len(file), p.KeySize)
	}
	return &VolumeKey{key: bytes.Clone(file[:p.KeySize])}, nil
}

// Table returns the table that cryptsetup would load; Key of o is that of
// KeyRef. Wipe it after use.
func (p *Plain) Table(o MapOptions) ([]devmapper.Target, error) {
	sector := max(p.SectorSize, luksfmt.SectorSize)
	start := p.Offset * luksfmt.SectorSize
	if p.Offset >= o.DeviceSize/luksfmt.SectorSize {
		return nil, fmt.Errorf("the data starts at sector %d, beyond the device's %d bytes", p.Offset, o.DeviceSize)
	}
	size := (o.DeviceSize - start) &^ (luksfmt.SectorSize - 1)
	if size%uint64(sector) != 0 {
		return nil, fmt.Errorf("%d bytes of data are not a multiple of the %d-byte sectors", size, sector)
	}
	cipher := p.Cipher
	if !strings.HasPrefix(cipher, "capi:") {
		switch name, mode, ok := strings.Cut(cipher, "-"); {
		case !ok: // cryptsetup completes the spelling of old kernels
			cipher = name + "-cbc-plain"
		case mode == "plain":
			cipher = name + "-cbc-plain"
		}
	}
	t, err := devmapper.Crypt{Cipher: cipher, Key: o.Key, IVOffset: p.Skip, Device: o.Device, Offset: p.Offset,
		AllowDiscards: o.AllowDiscards, SameCPUCrypt: o.SameCPUCrypt, SubmitFromCryptCPUs: o.SubmitFromCryptCPUs,
		NoReadWorkqueue: o.NoReadWorkqueue, NoWriteWorkqueue: o.NoWriteWorkqueue, HighPriority: o.HighPriority,
		SectorSize: sector}.Target(0, size/luksfmt.SectorSize)
	if err != nil {
		return nil, err
	}
	return []devmapper.Target{t}, nil
}

// DMUUID is the UUID that cryptsetup gives the mapped device.
func (p *Plain) DMUUID(name string) string {
	s := "CRYPT-PLAIN-" + name
	return s[:min(len(s), devmapper.MaxUUID)]
}
