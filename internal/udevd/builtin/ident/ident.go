// Package ident finds out what a device is and where it is attached: the
// builtins path_id and usb_id of udev, and what its programs ata_id and
// scsi_id do. Each sets properties on the device it is given, the same as
// systemd-udevd 252 to 257 sets, so that the links made of them are the same.
//
// Everything comes from sysfs, but for the identity of a disk that the kernel
// does not show there: for this a Querier is asked. The package does no other
// I/O, keeps no state and may be called from any goroutine.
package ident

import (
	"errors"
	"strconv"
	"strings"

	"firstlight/internal/device"
	"firstlight/internal/udevd/escape"
)

// ErrNothing means that the device has no identity of the kind asked for. It
// is no fault.
var ErrNothing = errors.New("nothing to identify the device by")

// Querier asks a disk for what the kernel does not show in sysfs. Its methods
// send commands to the device and may block.
type Querier interface {
	// Identify returns the 512 bytes of ATA IDENTIFY DEVICE, or of IDENTIFY
	// PACKET DEVICE for an optical drive, of the disk behind a node.
	Identify(devnode string) ([]byte, error)
	// Inquiry returns the answer to SCSI INQUIRY: the standard data, or with
	// vpd the vital product data page.
	Inquiry(devnode string, vpd bool, page byte) ([]byte, error)
}

// set sets a property unless the value is empty.
func set(dev *device.Device, key, value string) {
	if value != "" {
		dev.SetProperty(key, value)
	}
}

// clean makes of a string that a device reports, of at most max bytes, one
// that can stand in a link.
func clean(s string, max int) string {
	return escape.Chars(escape.Whitespace(limit(s, max)), "")
}

func limit(s string, max int) string {
	if i := strings.IndexByte(s, 0); i >= 0 {
		s = s[:i]
	}
	if len(s) > max {
		s = s[:max]
	}
	return s
}

// hctl takes a SCSI address "host:channel:target:lun" apart.
func hctl(name string) (n [4]int, ok bool) {
	parts := strings.Split(name, ":")
	if len(parts) != 4 {
		return n, false
	}
	for i, p := range parts {
		v, err := strconv.ParseUint(p, 10, 31)
		if err != nil {
			return n, false
		}
		n[i] = int(v)
	}
	return n, true
}

// scsiType names a SCSI peripheral device type (SPC-4, table 139).
func scsiType(n int) string {
	switch n {
	case 0, 0xe:
		return "disk"
	case 1:
		return "tape"
	case 4, 7, 0xf:
		return "optical"
	case 5:
		return "cd"
	}
	return "generic"
}
