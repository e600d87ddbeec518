// Package blkid says what is on a block device: filesystem, RAID member,
// encrypted volume, swap, hibernation image, partition table.
//
// It gives the answer of libblkid (util-linux 2.38, "blkid -p"), with its
// names, its order and its rules of what is valid, and it never chooses:
// a device with two valid signatures is ambiguous, and both are listed. It
// only parses bytes behind an io.ReaderAt; it opens nothing, knows no device
// numbers and keeps no state between calls. Every length that comes from the
// disk is checked, and the bytes that one probe reads are bounded.
//
// The formats stand in one table, formats, in the order in which libblkid
// tries them, each with a file that documents its layout.
package blkid

import (
	"io"
	"strings"

	"firstlight/internal/blkread"
	"firstlight/internal/blktext"
	"firstlight/internal/fmt"
)

// Pair is one property: libblkid's name and its value, raw as stored (a
// label may hold any byte but NUL).
type Pair struct{ Key, Value string }

// Kind is what is being probed. libblkid's rules differ a little.
type Kind int

// What can be probed.
const (
	// File is an image: a disk or a partition, nobody knows.
	File Kind = iota
	// Disk is a whole disk. A small one (up to 1440 KiB) that has a
	// partition table is not looked at for anything else, and metadata at
	// its end that lies within its last partition is that partition's.
	Disk
	// Partition is a partition, also one that kpartx mapped. Another stacked
	// device (LVM, LUKS, md …) is a Disk: it may hold a whole virtual one.
	Partition
	// Optical is a CD, DVD or BD: not looked at for RAID, swap and the
	// like, and its unreadable places are no errors.
	Optical
)

// Options are what the caller knows of the device.
type Options struct {
	Kind Kind
	// SectorSize is the logical sector size in bytes; 0 counts as 512.
	SectorSize int
	// NoRAID leaves out RAID and volume manager members, as udev's rules
	// ask for on members of a firmware RAID.
	NoRAID bool
}

// Signature is one valid superblock.
type Signature struct {
	Type    string // "ext4", "crypto_LUKS" …
	Usage   string // "filesystem", "raid", "crypto" or "other"
	Version string // "" when the format has none
	Pairs   []Pair // everything said of it
	BadSum  bool   // its checksum is wrong
}

// Result is what a device holds. The zero value holds nothing.
type Result struct {
	// Ambiguous is set when superblocks conflict. Then there are no pairs,
	// and Signatures lists all of them: whoever wants to use the device
	// has to ask a person.
	Ambiguous  bool
	Signatures []Signature
	// Damaged says, of a device on which nothing valid was found, whose mark
	// is there all the same and where: "xfs at byte 0". What follows the mark
	// is damaged or cut off, or the mark is what is left of something old.
	Damaged string
	// BadSums holds the superblock of a filesystem whose checksum is wrong,
	// when there is no other: nothing that could be mounted.
	BadSums []Signature
	// BytesRead and Reads count what the probe read from the device.
	BytesRead uint64
	Reads     int

	pairs []Pair
}

// Probe says what is on a device or in a file of size bytes, like
// blkid -p FILE. Nothing found is an empty Result, not an error; an error
// says that the device cannot be read or that its metadata leads to more
// reading than blkread.Budget allows. r may be a *blkread.Reader.
func Probe(r io.ReaderAt, size int64) (*Result, error) {
	return ProbeWith(r, size, Options{})
}

// ProbeWith is Probe for a caller that knows the device.
func ProbeWith(r io.ReaderAt, size int64, opt Options) (*Result, error) {
	if size < 0 {
		return nil, fmt.Errorf("blkid: negative size %d", size)
	}
	if opt.SectorSize == 0 {
		opt.SectorSize = 512
	}
	if s := opt.SectorSize; s < 512 || s > 64<<10 || s&(s-1) != 0 {
		return nil, fmt.Errorf("blkid: sector size %d is not a power of two from 512 to 65536", s)
	}
	p := &probe{d: blkread.New(r, size), opt: opt}
	if r != io.ReaderAt(p.d) {
		defer p.d.Release()
	}
	p.size = p.d.Size()
	res := p.run()
	res.BytesRead, res.Reads = p.d.Stats()
	if err := p.d.Err(); err != nil {
		return nil, fmt.Errorf("blkid: %w", err)
	}
	return res, nil
}

// Pairs returns the properties in blkid's order. The caller may keep and
// change the slice.
func (r *Result) Pairs() []Pair { return append([]Pair(nil), r.pairs...) }

// Get returns the first property of that name, or "".
func (r *Result) Get(key string) string {
	v, _ := r.Lookup(key)
	return v
}

// Lookup is Get that tells an empty property from a missing one.
func (r *Result) Lookup(key string) (string, bool) { return lookup(r.pairs, key) }

func lookup(pairs []Pair, key string) (string, bool) {
	for _, p := range pairs {
		if p.Key == key {
			return p.Value, true
		}
	}
	return "", false
}

// Type is Get("TYPE"): "" for a device that holds nothing known, only a
// partition table, or conflicting signatures.
func (r *Result) Type() string { return r.Get("TYPE") }

// Export returns the properties in the form of blkid -p -o export, one
// NAME=value a line with blkid's escaping. blkid's own first line, DEVNAME,
// is the caller's.
func (r *Result) Export() string {
	var b strings.Builder
	for _, p := range r.pairs {
		b.WriteString(p.Key + "=" + blktext.Export(p.Value) + "\n")
	}
	return b.String()
}
