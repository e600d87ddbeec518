package bootcmd

import (
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
