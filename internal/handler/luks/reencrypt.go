package luks

import (
	"errors"
	"io"

	"firstlight/internal/devmapper"
	"firstlight/internal/luks"
	"firstlight/internal/luksfmt"
	"firstlight/internal/machine"
)

// openReencrypting maps a device of which a part has another key already. Nothing
// is written, and the re-encryption is left as it is, for cryptsetup to go on
// with in the real system.
func openReencrypting(j mapping, m machine.Machine, secret []byte, how luks.Options) error {
	r := j.volume.reencryption
	how.Keyslots = nil // either key has its own
	var oldKey, newKey *luks.VolumeKey
	err := j.volume.withArea(m, j.devname, func(area io.ReaderAt) (err error) {
		oldKey, newKey, err = luks.OpenReencrypting(luks.ToTheEnd{}, j.hdr, r, area, secret, how)
		return err
	})
	if err != nil {
		return err
	}
	defer oldKey.Wipe()
	defer newKey.Wipe()
	mapper, err := m.Mapper()
	if err != nil {
		return err
	}
	of := func(d *luksfmt.Digest) *luks.VolumeKey {
		if d == r.Old {
			return oldKey
		}
		return newKey
	}
	activate := func(ref func(*luks.VolumeKey) devmapper.KeyRef) error {
		table, err := luks.ReencryptingTable(j.hdr, r, func(d *luksfmt.Digest) devmapper.KeyRef { return ref(of(d)) }, j.options)
		if err != nil {
			return err
		}
		defer devmapper.Wipe(table)
		_, err = devmapper.Activate(mapper, j.name, luks.DMUUID(j.hdr, j.name), table, j.readOnly, j.cookie)
		return err
	}
	// Each key is in the keyring while the table is loaded.
	load := func() error {
		return activate(func(k *luks.VolumeKey) devmapper.KeyRef { return k.KeyringRef(j.hdr) })
	}
	for _, k := range [...]*luks.VolumeKey{oldKey, newKey} {
		if inner := load; k != nil {
			load = func() error { return m.WithKey(k.KeyDescription(j.hdr), k.Bytes(), inner) }
		}
	}
	if err = load(); errors.Is(err, machine.ErrNoKeyring) {
		return activate((*luks.VolumeKey).KeyRef)
	}
	return err
}
