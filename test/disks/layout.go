// Package disks makes the disks that tests boot from. A layout is data: disks
// and the steps by which the field's own tools lay partitions, arrays, volume
// groups, encrypted volumes and filesystems on them, nested as deep as wanted.
//
// Every UUID follows from the names of the layout and of the thing that has
// it, so that command lines can be written down before the disks exist. The
// steps run in a guest (package firstlight/test/guest/plan), since not every
// host has device-mapper and md. What was made is cached by its description.
package disks

import (
	"crypto/sha256"
	"fmt"
	"strings"
)

// Layout is a set of disks and how they are made.
type Layout struct {
	Name  string // unique; also decides all UUIDs
	Disks []Disk
	Steps []Step
	// ZFS says that it needs a kernel with ZFS, and its tools, to be made and to
	// be booted from.
	ZFS bool
}

// Disk is one disk, blank before the first step. Steps call it by its name.
type Disk struct {
	Name string
	MiB  int
}

// Step makes something on devices that disks or earlier steps have named.
type Step interface {
	plan(p *planner) error
}

// UUID is the UUID of what a step of a layout makes under a name.
func UUID(layout, name string) string {
	h := sha256.Sum256([]byte(layout + "\x00" + name))
	h[6], h[8] = h[6]&0x0f|0x40, h[8]&0x3f|0x80 // a random one, as RFC 9562 has it
	return fmt.Sprintf("%x-%x-%x-%x-%x", h[0:4], h[4:6], h[6:8], h[8:10], h[10:16])
}

// UUID is the UUID of what one of the layout's steps makes under a name.
func (l Layout) UUID(name string) string { return UUID(l.Name, name) }

// FSUUID is the UUID of the filesystem or swap space on a device.
func FSUUID(layout, on string) string { return UUID(layout, on+" fs") }

// FSUUID is the UUID of the filesystem or swap space on one of the layout's
// devices.
func (l Layout) FSUUID(on string) string { return FSUUID(l.Name, on) }

// PartUUID is the UUID of a partition of a GPT.
func (l Layout) PartUUID(name string) string { return l.UUID(name + " partition") }

// MDUUID is the UUID of an array in mdadm's spelling.
func (l Layout) MDUUID(name string) string {
	hex := strings.ReplaceAll(l.UUID(name), "-", "")
	return hex[0:8] + ":" + hex[8:16] + ":" + hex[16:24] + ":" + hex[24:32]
}

// VolumeID is the volume id of a FAT on a device, in the spelling of blkid:
// "1A2B-3C4D".
func (l Layout) VolumeID(name string) string {
	id := strings.ToUpper(l.UUID(name)[:8])
	return id[:4] + "-" + id[4:]
}

// MBRID is the disk id of an MBR, with which its partitions' ids begin.
func (l Layout) MBRID(on string) string { return l.UUID(on)[:8] }

// Part is one partition.
type Part struct {
	Name    string // what later steps call it
	MiB     int    // 0: all that is left
	Type    string // GPT: sfdisk's name or a GUID; MBR: hexadecimal; "" is Linux
	Label   string // GPT partition name; "" is Name
	Logical bool   // MBR: inside the extended partition, which is made for them
}

// GPT writes a GUID partition table.
type GPT struct {
	On    string
	Parts []Part
}

// MBR writes an MS-DOS partition table. Primary partitions come first; the
// first logical one is number 5.
type MBR struct {
	On    string
	Parts []Part
}

// MD makes an array.
type MD struct {
	Name     string
	Level    string // as mdadm spells it: "1", "5", "raid10" …
	Metadata string // "0.90", "1.0", "1.1", "1.2"
	On       []string
	Spare    []string
	// Dirty leaves it as one of which nobody knows whether its members are
	// the same: all of it is copied when it is next written to.
	Dirty bool
	// Journal is a device for a write journal, More are further options of
	// mdadm --create.
	Journal string
	More    []string
	// In is the container that the array is in, with so many members, in
	// place of Metadata and On.
	In      string
	Members int
}

// Container makes a container of disks with metadata of a firmware ("imsm",
// "ddf").
type Container struct {
	Name     string
	Metadata string
	On       []string
}

// VG makes a volume group of physical volumes.
type VG struct {
	Name string
	On   []string
}

// LV makes a logical volume. Later steps call it VG/NAME.
type LV struct {
	VG, Name string
	MiB      int // 0: all that is free
	Stripes  int // 0: linear
}

// LUKS formats and opens an encrypted volume.
type LUKS struct {
	Name       string
	On         string
	Version    int    // 1 or 2
	Passphrase string // key slot 0, unless KeyFile is set too (then slot 1)
	KeyFile    []byte
	// KDF is "cheap" (PBKDF2, 1000 iterations), or one that takes its time:
	// "argon2id" (LUKS2), "pbkdf2".
	KDF        string
	Label      string
	SectorSize int    // 0 is 512
	Cipher     string // "" is aes-xts-plain64 with 512 bits of key
	// Header is where the header goes, a file of the guest or "{NAME}" of a
	// device; "" is the start of On.
	Header string
}

// FS makes a filesystem and fills it.
type FS struct {
	On   string
	Type string // ext2, ext3, ext4, xfs, btrfs, vfat, squashfs, erofs
	// More are further devices of a btrfs.
	More    []string
	Profile string // btrfs: -d and -m, "" is single
	// Subvolume is a btrfs subvolume that gets the content.
	Subvolume string
	Label     string
	UUID      string   // "" is Layout.FSUUID(On)
	Options   []string // for mkfs
	Content   Content
}

// Swap makes swap space.
type Swap struct {
	On    string
	Label string
}

// Poke overwrites bytes of a device, given in hexadecimal. A negative offset
// counts from the end.
type Poke struct {
	On     string
	Offset int64
	Hex    string
}

// Tool runs any program of the guest. "{NAME}" in an argument is the node of
// what has the name.
type Tool struct {
	Argv     []string
	Stdin    string
	Tolerate int
}

// Content is what a filesystem is filled with.
type Content struct {
	// Tree is a whole root: "tiny", "bookworm", "trixie", or "" for none.
	Tree string
	// Only takes what lies below a directory of the tree ("usr"), Without
	// leaves it out.
	Only, Without string
	Files         []File
}

// File is a file in a filesystem; a symbolic link if Link is set; a directory
// if Dir is.
type File struct {
	Path string
	Data string
	Link string
	Dir  bool
	Perm int64 // 0 is 0644
}
