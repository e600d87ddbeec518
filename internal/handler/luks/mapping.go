package luks

import (
	"errors"
	"io"

	"firstlight/internal/devmapper"
	"firstlight/internal/fmt"
	"firstlight/internal/luks"
	"firstlight/internal/luksfmt"
	"firstlight/internal/machine"
)

// mapping is one attempt to open a device.
type mapping struct {
	hdr      *luksfmt.Header
	volume   *volume
	devname  string
	name     string
	cookie   devmapper.Cookie
	hidden   devmapper.Cookie // of what nobody else shall look at
	readOnly bool
	full     *uncommon
	keyFile  bool // the secret is a key file's, not a passphrase
	slots    []int
	options  luks.MapOptions
}

func (j mapping) run(m machine.Machine, secret []byte) error {
	data, err := m.OpenBlock(j.devname)
	if err != nil {
		return err
	}
	j.options.DeviceSize = uint64(data.Size())
	data.Close()
	if j.volume.foreign {
		return j.full.tool(j, m, secret)
	}
	if j.volume.plain != nil {
		return j.full.plain(j, m, secret)
	}
	var hashes luks.Hashes
	if j.full != nil {
		hashes = j.full.hashes
	}
	memory := func() uint64 {
		n, _ := m.Memory()
		return n
	}
	how := luks.Options{Keyslots: j.slots, MemAvailable: memory, FreeMemory: m.FreeMemory, Now: m.Now, Ciphers: m.Ciphers(), Hashes: hashes}
	if j.volume.reencryption != nil {
		return j.full.reencrypting(j, m, secret, how)
	}
	var key *luks.VolumeKey
	err = j.volume.withArea(m, j.devname, func(area io.ReaderAt) error {
		key, err = luks.Open(luks.ToTheEnd{}, j.hdr, area, secret, how)
		return err
	})
	if err != nil {
		return err
	}
	defer key.Wipe()
	mapper, err := m.Mapper()
	if err != nil {
		return err
	}
	if j.hdr.Version == 1 {
		return j.activate(m, mapper, key.KeyRef())
	}
	err = m.WithKey(key.KeyDescription(j.hdr), key.Bytes(), func() error {
		return j.activate(m, mapper, key.KeyringRef(j.hdr))
	})
	if errors.Is(err, machine.ErrNoKeyring) {
		return j.activate(m, mapper, key.KeyRef())
	}
	return err
}

func (j mapping) activate(m machine.Machine, mapper devmapper.Mapper, ref devmapper.KeyRef) error {
	if s, err := j.hdr.DataSegment(); err == nil && s.Integrity != "" && j.full != nil {
		return j.full.authenticated(j, m, mapper, ref)
	}
	j.options.Key = ref
	table, err := luks.Table(j.hdr, j.options)
	if err != nil {
		return err
	}
	defer devmapper.Wipe(table)
	_, err = devmapper.Activate(mapper, j.name, luks.DMUUID(j.hdr, j.name), table, j.readOnly, j.cookie)
	if s, herr := j.hdr.DataSegment(); err != nil && herr == nil {
		err = fmt.Errorf("%w (its cipher is %s)", err, s.Encryption)
	}
	return err
}
