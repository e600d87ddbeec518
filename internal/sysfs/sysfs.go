// Package sysfs reads the kernel's device tree.
//
// FS is the interface behind which everything that looks at /sys stands, so
// that rules, builtins and handlers run on a machine that exists only in a
// test or in the simulator. Dir is the real thing. The package never caches:
// sysfs changes under its readers.
package sysfs

import "errors"

// FS is a view of a sysfs tree. Paths are slash separated, absolute and
// relative to the mount point: "/devices/pci0000:00/0000:00:03.0/vendor".
type FS interface {
	// Read returns the content of an attribute with trailing newlines
	// removed. It reads at most MaxAttr bytes.
	Read(path string) (string, error)
	// Write writes value to an attribute in one write call.
	Write(path, value string) error
	// Readlink returns the target of a link as it is stored.
	Readlink(path string) (string, error)
	// Resolve follows every link of path and returns the result, still
	// relative to the mount point: "/class/block/sda" becomes
	// "/devices/…/block/sda".
	Resolve(path string) (string, error)
	// List returns the sorted names in a directory.
	List(path string) ([]string, error)
	// Exists says whether path names anything, following links.
	Exists(path string) bool
}

// MaxAttr bounds one attribute, in bytes. Ordinary attributes are at most a
// page; binary ones (VPD pages, EDID) are small too.
const MaxAttr = 64 << 10

// ErrEscapes is returned for a link that leads out of the tree.
var ErrEscapes = errors.New("link leads out of sysfs")
