package bootcmd

import (
	"slices"
	"strings"
	"time"

	"firstlight/internal/devspec"
)

// Luks is what the command line says of encrypted devices.
type Luks struct {
	Enabled bool // false with rd.luks=0
	// Crypttab is false if the image's crypttab is not to be read.
	Crypttab bool
	// Volumes are the devices that the command line names, one for each
	// selector, in order of first mention.
	Volumes []LuksVolume
	// Ignore are devices that are never unlocked.
	Ignore []LuksSelector
	// Options are those given for no particular device: for all that have
	// none of their own.
	Options []string
	// Keys are tried for every device that has none of its own.
	Keys []LuksKey
	// Discard is rd.luks.allow-discards for all devices.
	Discard bool
	// Timeout is how long a person is asked, timespan.Forever by default.
	Timeout time.Duration
	// KeyTimeout is rd.luks.key.tout=, how long a device with a key is
	// waited for; 0 if not given.
	KeyTimeout time.Duration
}

// LuksBy says by what a LuksSelector selects.
type LuksBy uint8

// The selectors.
const (
	ByUUID     LuksBy = iota // Value is the beginning of the LUKS UUID
	ByPartUUID               // Value is the partition's UUID
	BySerial                 // Value is the disk's serial number
	ByDevice                 // Device
)

// LuksSelector selects an encrypted device. It is comparable.
type LuksSelector struct {
	By LuksBy
	// Value is lower case with By UUID and PartUUID; a UUID has its dashes.
	Value  string
	Device devspec.Spec // ByDevice only
}

// LuksVolume is an encrypted device named on the command line.
type LuksVolume struct {
	Select LuksSelector
	// Wanted: the device was asked for (rd.luks.uuid=, rd.luks.name=,
	// cryptdevice= …); otherwise only settings of it were given.
	Wanted bool
	// Name is the device-mapper name; "" is "luks-" and the UUID.
	Name string
	Keys []LuksKey
	// Options are in crypttab(5)'s spelling ("discard", "timeout=10s"),
	// whatever the dialect they came in.
	Options []string
	// Discard is rd.luks.allow-discards=UUID, beside Options.
	Discard bool
	// Data is rd.luks.data=: where the encrypted data is when the device
	// selected is a detached header.
	Data devspec.Spec
	// Header is rd.luks.header=: where the detached header is.
	Header LuksHeader
	// KeySource: the device holds keys for others, and is closed at the end.
	KeySource bool
}

// LuksKey says where a key is. The zero LuksKey asks a person.
type LuksKey struct {
	// Path is a file of Device, or of the image if that is zero. It is
	// empty for a key in the bytes of Device itself.
	Path   string
	Device devspec.Spec
	// FSType is the type of the filesystem on Device, "" for any.
	FSType string
	// Offset and Size, in bytes, are the place of a key in the bytes of
	// Device; Size 0 means that it is a file.
	Offset, Size uint64
}

// LuksHeader is where a detached header is: a file of Device or, if that is
// zero, of the image. With an empty Path it is Device itself.
type LuksHeader struct {
	Path   string
	Device devspec.Spec
}

// LuksIdentity is what is known of an encrypted device that has appeared.
// What is not known is empty.
type LuksIdentity struct {
	UUID     string // of the LUKS header
	PartUUID string
	Serial   string // of the disk
	// Is says whether the device is the one that a Spec names; nil: it is
	// not known.
	Is func(devspec.Spec) bool
}

// Selects says whether the selector selects the device.
func (s LuksSelector) Selects(id LuksIdentity) bool {
	switch s.By {
	case ByUUID:
		return id.UUID != "" && strings.HasPrefix(undash(id.UUID), undash(s.Value))
	case ByPartUUID:
		return id.PartUUID != "" && devspec.FoldUUID(id.PartUUID) == s.Value
	case BySerial:
		return id.Serial != "" && id.Serial == s.Value
	}
	return id.Is != nil && id.Is(s.Device)
}

func undash(uuid string) string { return strings.ToLower(strings.ReplaceAll(uuid, "-", "")) }

// Restricted says whether the command line names devices to unlock: then no
// others are unlocked for its sake, but those of the crypttab are.
func (l *Luks) Restricted() bool {
	return slices.ContainsFunc(l.Volumes, func(v LuksVolume) bool { return v.Wanted })
}

// Lookup puts together what the command line says of one device: the
// volumes that select it (of several names the last counts), and where they
// say nothing, the options and keys for all. Its Options have "discard" where
// Discard is set. Wanted is false if the device is
// to be ignored, or all of encryption is switched off.
func (l *Luks) Lookup(id LuksIdentity) LuksVolume {
	var v LuksVolume
	for _, w := range l.Volumes {
		if !w.Select.Selects(id) {
			continue
		}
		v.Select = w.Select
		v.Wanted = v.Wanted || w.Wanted
		v.KeySource = v.KeySource || w.KeySource
		v.Discard = v.Discard || w.Discard
		v.Keys = append(v.Keys, w.Keys...)
		v.Options = append(v.Options, w.Options...)
		if w.Name != "" {
			v.Name = w.Name
		}
		if !w.Data.IsZero() {
			v.Data = w.Data
		}
		if w.Header != (LuksHeader{}) {
			v.Header = w.Header
		}
	}
	if v.Keys == nil {
		v.Keys = slices.Clone(l.Keys)
	}
	if v.Options == nil {
		v.Options = slices.Clone(l.Options)
	}
	if v.Discard = v.Discard || l.Discard; v.Discard && !slices.Contains(v.Options, "discard") {
		v.Options = append(v.Options, "discard")
	}
	ignored := slices.ContainsFunc(l.Ignore, func(s LuksSelector) bool { return s.Selects(id) })
	v.Wanted = v.Wanted && l.Enabled && !ignored
	return v
}
