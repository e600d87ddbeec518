package luks

import (
	"strconv"
	"strings"

	"firstlight/internal/devmapper"
	"firstlight/internal/fmt"
	"firstlight/internal/luksfmt"
)

// MapOptions say how a device is mapped.
type MapOptions struct {
	Device     string           // the data device: "major:minor" or a path
	DeviceSize uint64           // of the data device, in bytes
	Key        devmapper.KeyRef // see KeyringRef and KeyRef

	AllowDiscards       bool
	SameCPUCrypt        bool
	SubmitFromCryptCPUs bool
	NoReadWorkqueue     bool
	NoWriteWorkqueue    bool
	HighPriority        bool
}

// Table returns the table that cryptsetup would load: one crypt target for
// the data segment. Flags that are kept in a LUKS2 header are added to those
// of o. Wipe the table after use if the key is in it.
func Table(h *luksfmt.Header, o MapOptions) ([]devmapper.Target, error) {
	t, err := table(h, o)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", h.UUID, err)
	}
	return []devmapper.Target{t}, nil
}

func table(h *luksfmt.Header, o MapOptions) (devmapper.Target, error) {
	s, err := h.DataSegment()
	if err != nil {
		return devmapper.Target{}, err
	}
	if s.Integrity != "" {
		return devmapper.Target{}, fmt.Errorf("%w: authenticated encryption (%s) needs dm-integrity below", luksfmt.ErrRefused, s.Integrity)
	}
	size := s.Size
	switch {
	case s.Offset >= o.DeviceSize:
		return devmapper.Target{}, fmt.Errorf("the data starts at %d, beyond the device's %d bytes", s.Offset, o.DeviceSize)
	case size == luksfmt.Dynamic:
		size = (o.DeviceSize - s.Offset) &^ (luksfmt.SectorSize - 1)
		if size%uint64(s.SectorSize) != 0 {
			return devmapper.Target{}, fmt.Errorf("%d bytes of data are not a multiple of the %d-byte sectors", size, s.SectorSize)
		}
	case size > o.DeviceSize-s.Offset:
		return devmapper.Target{}, fmt.Errorf("%d bytes from %d reach beyond the device's %d bytes", size, s.Offset, o.DeviceSize)
	}
	return crypt(h, s, o).Target(0, size/luksfmt.SectorSize)
}

// crypt is the crypt target of a segment.
func crypt(h *luksfmt.Header, s *luksfmt.Segment, o MapOptions) devmapper.Crypt {
	return devmapper.Crypt{
		Cipher:   s.Encryption,
		Key:      o.Key,
		IVOffset: s.IVTweak,
		Device:   o.Device,
		Offset:   s.Offset / luksfmt.SectorSize,

		AllowDiscards:       o.AllowDiscards || h.HasFlag("allow-discards"),
		SameCPUCrypt:        o.SameCPUCrypt || h.HasFlag("same-cpu-crypt"),
		SubmitFromCryptCPUs: o.SubmitFromCryptCPUs || h.HasFlag("submit-from-crypt-cpus"),
		NoReadWorkqueue:     o.NoReadWorkqueue || h.HasFlag("no-read-workqueue"),
		NoWriteWorkqueue:    o.NoWriteWorkqueue || h.HasFlag("no-write-workqueue"),
		HighPriority:        o.HighPriority || h.HasFlag("high-priority"),
		SectorSize:          s.SectorSize,
	}
}

// KeyDescription is the name under which cryptsetup puts the volume key into
// the kernel's keyring.
func (k *VolumeKey) KeyDescription(h *luksfmt.Header) string {
	return "cryptsetup:" + h.UUID + "-d" + strconv.Itoa(k.Digest)
}

// KeyringRef refers to the volume key in the kernel's keyring, where it must
// be while the table is loaded. cryptsetup does so for LUKS2.
func (k *VolumeKey) KeyringRef(h *luksfmt.Header) devmapper.KeyRef {
	return devmapper.KeyRef{Size: len(k.key), Type: "logon", Description: k.KeyDescription(h)}
}

// KeyRef puts the key itself into the table, in which root can read it.
// cryptsetup does so for LUKS1, and where dm-crypt is older than 1.15.
func (k *VolumeKey) KeyRef() devmapper.KeyRef {
	return devmapper.KeyRef{Size: len(k.key), Bytes: k.key}
}

// DMUUID is the UUID that cryptsetup gives the mapped device:
// CRYPT-LUKS2-<uuid without hyphens>-<name>, cut off where the device mapper
// ends it. systemd and cryptsetup know the device's kind by it.
func DMUUID(h *luksfmt.Header, name string) string {
	s := "CRYPT-LUKS" + strconv.Itoa(h.Version) + "-" + strings.ReplaceAll(h.UUID, "-", "") + "-" + name
	return s[:min(len(s), devmapper.MaxUUID)]
}
