// Package snapshot describes a machine as a boot sees it: its devices and
// their drivers, what is on its disks as far as anybody has to read it, what
// is mounted, and the few files of the real system that decide a boot. Check
// (package check) boots images against it.
//
// Take reads a machine through interfaces, so that it works on a running
// system, on one below a directory, and on one made for a test. It writes
// nothing. Of the disks it keeps exactly the bytes that our own parsers ask
// for. Write and Read are the file form; docs/check.md describes it.
//
// Host only: /init does not link it.
package snapshot

import (
	"errors"
	"strings"
)

// ErrFormat is wrapped by errors that say a file is not a snapshot, is damaged,
// or is of a version that this program does not know.
var ErrFormat = errors.New("not a valid machine snapshot")

// ErrNotTaken is wrapped by the error for bytes of a device that the snapshot
// does not have.
var ErrNotTaken = errors.New("not in the snapshot")

// Snapshot is a machine at one time.
type Snapshot struct {
	Program string // what made it: "firstlight 0.1"
	Kernel  string // release of the running kernel
	Cmdline string // of the running kernel; values that carry a password are left out
	Memory  uint64 // bytes in all

	// Boot are the entries of the boot loaders, as far as they can be read.
	Boot []BootEntry

	// Modules are those that were loaded, by their kernel names; Builtin are
	// parts of the kernel that could also be modules, by the release of each
	// installed kernel.
	Modules []string
	Builtin map[string][]string
	// Filesystems are the types that the running kernel has without a module.
	Filesystems []string

	Sys    *Tree    // the device tree: attributes and links that a boot reads
	Blocks []*Block // what is on the block devices, sorted by name
	Mounts []*Mount // filesystems on block devices, in the order of mounting
	// Aside are filesystems, and subvolumes of mounted ones, that are not
	// mounted and were looked at because a boot would mount them. Root is the
	// option that names a subvolume of a btrfs, as SubvolumeKey has it, and ""
	// for any other. Without Entries there is no such subvolume.
	Aside []*Mount
	Swaps []string // kernel names of the devices with swap in use
	// Config are files of the running system that decide what an image should
	// have, by path: /etc/vconsole.conf …
	Config map[string]string
	// ZFS is what ZFS's tools say of the pools that are imported: ZFSDatasets and
	// ZFSPools are its keys. nil: there are none, or no tools.
	ZFS map[string]string
	// Notes are what could not be read, for the person.
	Notes []string
}

// What Snapshot.ZFS has.
const (
	// ZFSDatasets are lines of ZFSColumns, separated by tabs, of each filesystem
	// and snapshot.
	ZFSDatasets = "datasets"
	ZFSColumns  = "name,type,mountpoint,canmount,encryptionroot,keystatus,keylocation,keyformat,org.zol:mountpoint,origin"
	// ZFSPools are lines of a pool's name and its property bootfs.
	ZFSPools = "pools"
)

// Block is the content of one block device.
type Block struct {
	Name   string // the kernel's: "sda2", "dm-0"
	Size   int64  // bytes
	Sector int    // bytes of a logical sector
	Ranges []Range
	// Identify and Inquiry are the answers to ATA IDENTIFY DEVICE and SCSI
	// INQUIRY (by page, "" for the standard data), where the device gave any.
	Identify []byte
	Inquiry  map[string][]byte
	// KeyMaterial says that the keyslots of a LUKS device are among Ranges.
	KeyMaterial bool
	// Problem is why the device could not be read, or "".
	Problem string

	// trees are the offsets, in bytes, at which a command line says that hash
	// trees of verified devices begin.
	trees []uint64
}

// Range is a piece of a block device. Without Data it is zeros.
type Range struct {
	Off, Len int64
	Data     []byte
}

// Mount is a filesystem on a block device, and what a boot looks at in it.
type Mount struct {
	Point   string // where it is mounted, seen from the root of the system
	Devnum  string // "8:2", or a number without a device for btrfs
	Root    string // the directory of the filesystem that is mounted
	FSType  string
	Source  string
	Options string // of the mount and of the filesystem
	// Entries are by their path from the mount point, "/" included. What was
	// looked for and is not there is an entry without a mode.
	Entries map[string]Entry
}

// Entry is a file, a directory or a link in a Mount.
type Entry struct {
	Mode uint32 // as in stat(2); 0: it does not exist
	Size int64  // bytes
	Link string // target of a symbolic link
	// Data is the content of a file that a boot reads: of fstab, of the header
	// of an encrypted device, of a key file. Zeros at the end are left out.
	Data []byte
	// Secret says that Data opens something.
	Secret bool
}

// File is a file in a filesystem that a boot would read.
type File struct {
	Device string `json:"device"` // the kernel's name
	FSType string `json:"fstype"` // as the kernel mounts it
	Path   string `json:"path"`
}

// Block returns the device with the kernel's name, or nil.
func (s *Snapshot) Block(name string) *Block {
	for _, b := range s.Blocks {
		if b.Name == name {
			return b
		}
	}
	return nil
}

// MountAt returns what is mounted on a point, or nil; the last mount covers
// those before.
func (s *Snapshot) MountAt(point string) *Mount {
	for i := len(s.Mounts) - 1; i >= 0; i-- {
		if s.Mounts[i].Point == point {
			return s.Mounts[i]
		}
	}
	return nil
}

// HasBuiltin says whether a kernel has a module built in; known is false when
// the snapshot does not know that kernel.
func (s *Snapshot) HasBuiltin(release, module string) (has, known bool) {
	list, known := s.Builtin[release]
	module = strings.ReplaceAll(module, "-", "_")
	for _, m := range list {
		if m == module {
			return true, known
		}
	}
	return false, known
}

// ReadAt implements io.ReaderAt over what was taken. Bytes that were not give
// ErrNotTaken.
func (b *Block) ReadAt(p []byte, off int64) (int, error) { return b.readAt(p, off) }
