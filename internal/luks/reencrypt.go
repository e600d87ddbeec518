package luks

import (
	"io"

	"firstlight/internal/devmapper"
	"firstlight/internal/fmt"
	"firstlight/internal/luksfmt"
)

// OpenReencrypting is Open for a device of which a part has another key already:
// the passphrase has to give each key that there is, and these have to prove that
// whoever has them asked for the re-encryption. Without that, whoever can write
// to the disk could have it written back in the clear.
func OpenReencrypting(ctx Cancellation, h *luksfmt.Header, r *luksfmt.Reencryption, area io.ReaderAt, passphrase []byte, o Options) (oldKey, newKey *VolumeKey, err error) {
	open := func(d *luksfmt.Digest) (*VolumeKey, error) {
		if d == nil {
			return nil, nil
		}
		return openSlots(ctx, h, h.TryOrderOf(d), d, area, passphrase, &o)
	}
	if oldKey, err = open(r.Old); err == nil && r.New != r.Old {
		newKey, err = open(r.New)
	}
	if err == nil {
		statement := r.Statement(bytesOf(oldKey), bytesOf(newKey))
		var ok bool
		ok, err = matches(ctx, o.Hashes, r.Proof, statement)
		clear(statement)
		if err == nil && !ok {
			err = fmt.Errorf("unlock %s: %w: what the header says of the re-encryption was not written by somebody who has the keys", h.UUID, luksfmt.ErrRefused)
		}
	}
	if err != nil {
		oldKey.Wipe()
		newKey.Wipe()
		return nil, nil, err
	}
	return oldKey, newKey, nil
}

func bytesOf(k *VolumeKey) []byte {
	if k == nil {
		return nil
	}
	return k.key
}

// ReencryptingTable returns the table that cryptsetup would load: one line for
// each segment. key gives the reference to the key of a digest.
func ReencryptingTable(h *luksfmt.Header, r *luksfmt.Reencryption, key func(*luksfmt.Digest) devmapper.KeyRef, o MapOptions) ([]devmapper.Target, error) {
	var table []devmapper.Target
	at := uint64(0)
	for _, s := range r.Segments {
		size := s.Size
		switch {
		case s.Offset >= o.DeviceSize, size > o.DeviceSize-s.Offset:
			return nil, fmt.Errorf("map %s: segment %d, %d bytes from %d, reaches beyond the device's %d", h.UUID, s.ID, size, s.Offset, o.DeviceSize)
		case size == luksfmt.Dynamic:
			size = (o.DeviceSize - s.Offset) &^ (luksfmt.SectorSize - 1)
		}
		var t devmapper.Target
		var err error
		if s.Type == "linear" {
			t, err = devmapper.Linear(at, size/luksfmt.SectorSize, o.Device, s.Offset/luksfmt.SectorSize)
		} else {
			o.Key = key(r.DigestOf(s))
			t, err = crypt(h, s, o).Target(at, size/luksfmt.SectorSize)
		}
		if err != nil {
			devmapper.Wipe(table)
			return nil, fmt.Errorf("map %s: segment %d: %w", h.UUID, s.ID, err)
		}
		table = append(table, t)
		at += size / luksfmt.SectorSize
	}
	return table, nil
}
