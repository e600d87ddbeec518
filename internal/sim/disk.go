package sim

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"

	"firstlight/internal/sim/content"
)

// Disk is a block device, or what is on one: a filesystem in a partition, in
// a logical volume, in an encrypted device. What lies in Holds shows through
// every device that maps it rightly, and through no other.
type Disk struct {
	// Name is the kernel's ("vda"); chosen where it is empty.
	Name string
	// Label is how faults and reports call it; its name where it is empty.
	Label   string
	Content []byte   // its first bytes
	Holds   []Extent // what lies where; the first that covers a byte counts
	Size    int64    // bytes; 0 stands for 64 MiB
	// Files are those of the filesystem on it, by path. A value that begins
	// with "-> " is a link, one that begins with "#!" can be executed.
	Files map[string]string
	// FSType is the only type as which it can be mounted; "" allows any.
	FSType string
	// Pool is the filesystem of which this is one device.
	Pool *Pool
	// Inside is what shows when it is unlocked, whatever the key.
	Inside *Disk
	// Written says who wrote to it first: a mount, a check.
	Written string
	// ReadOnly is a disk that refuses to be written.
	ReadOnly bool
	// Dirty is a filesystem with something in its log, which is written to its
	// place by every mount that is not told otherwise.
	Dirty bool
	// Log is what holds the journal of the filesystem, where that is another
	// device.
	Log *Disk
	// Attrs are more attributes in sysfs, by their path below the device.
	Attrs map[string]string
	// Bus is where it is attached; nil for a slot of its own, with every
	// driver built in.
	Bus *Device

	devpath string
	minor   int
	major   int
	there   bool
	life    int // how often it has gone away
	above   *Disk
	parts   []*Disk
	views   []view // of a partition or a mapped device
	viewed  bool   // views say what it shows
	array   *array // of an array
	mapping *mapping
	number  int    // of a partition
	holder  string // who has claimed it: "dm", "md", "mount"
	holds   int    // how often
	info    memberInfo
}

// Extent is a run of bytes of a disk.
type Extent struct {
	At   int64  // bytes from the disk's start
	Data []byte // these bytes; or
	Disk *Disk  // what lies there
	// Length is how many bytes of Disk, 0 is all; From is where in it.
	Length, From int64
	// Key is the volume key with which it is encrypted; nil is not at all.
	Key []byte
	// Stripe says that it is spread over several disks, of which this has one
	// part; nil: it is not.
	Stripe *Stripe
}

func (e *Extent) length() int64 {
	switch {
	case e.Data != nil:
		return int64(len(e.Data))
	case e.Length != 0:
		return e.Length
	}
	return e.Disk.size()
}

func (d *Disk) size() int64 {
	if d.Size == 0 {
		return 64 << 20
	}
	return d.Size
}

// Put adds pieces of content in front of what is there.
func (d *Disk) Put(pieces ...content.Piece) {
	put := make([]Extent, 0, len(pieces)+len(d.Holds))
	for _, p := range pieces {
		put = append(put, Extent{At: p.At, Data: p.Data})
	}
	d.Holds = append(put, d.Holds...)
}

// label is how reports call the disk.
func (d *Disk) label() string {
	if d.Label != "" {
		return d.Label
	}
	return d.Name
}

func (d *Disk) node() string { return "/dev/" + d.Name }

// Node is the device's node, "" before it was plugged in.
func (d *Disk) Node() string {
	if d.Name == "" {
		return ""
	}
	return d.node()
}

// There says whether the device exists now.
func (d *Disk) There() bool { return d.there }

func (d *Disk) props() map[string]string {
	p := make(map[string]string, 12)
	p["SUBSYSTEM"], p["DEVTYPE"], p["DEVNAME"] = "block", d.devtype(), d.node()
	p["MAJOR"], p["MINOR"] = strconv.Itoa(d.major), strconv.Itoa(d.minor)
	if d.number > 0 {
		p["PARTN"] = strconv.Itoa(d.number)
	}
	return p
}

func (d *Disk) devtype() string {
	if d.number > 0 {
		return "partition"
	}
	return "disk"
}

func (d *Disk) ueventText() string {
	text := fmt.Sprintf("MAJOR=%d\nMINOR=%d\nDEVNAME=%s\nDEVTYPE=%s", d.major, d.minor, d.Name, d.devtype())
	if d.number > 0 {
		text += "\nPARTN=" + strconv.Itoa(d.number)
	}
	return text
}

// Plug makes a disk appear: before Boot it is there from the start.
func (m *Machine) Plug(d *Disk) {
	m.init()
	if !slices.Contains(m.given, d) {
		m.given = append(m.given, d)
	}
	if d.Bus == nil {
		m.serial++
		d.major, d.minor = 254, m.serial*16
		if d.Name == "" {
			d.Name = "vd" + letters(m.serial-1)
		}
		virtio := fmt.Sprintf("/devices/pci0000:00/0000:00:%02x.0/virtio%d", m.serial, m.serial)
		m.sys.device(virtio, "virtio", "")
		d.devpath = virtio + "/block/" + d.Name
	} else if !d.Bus.driven {
		return // nobody sees it before the driver of the bus is there
	} else {
		m.nameOnBus(d)
	}
	m.plugged(d)
}

// plugged makes a block device of which the path and numbers are known
// appear, with its partitions.
func (m *Machine) plugged(d *Disk) {
	d.there = true
	m.sys.device(d.devpath, "block", d.ueventText())
	m.sys.link("/block/"+d.Name, d.devpath)
	m.appear(d)
	m.tell("add", d)
	m.partition(d)
}

// appear brings the attributes of a block device and its node up to date.
func (m *Machine) appear(d *Disk) {
	if d.Size == 0 {
		d.Size = 64 << 20
	}
	ro := "0"
	if d.ReadOnly {
		ro = "1"
	}
	dir := m.sys.place(d.devpath)
	m.sys.put(dir, "/size", strconv.FormatInt(d.Size>>9, 10))
	m.sys.put(dir, "/ro", ro)
	if d.number == 0 {
		m.sys.put(dir, "/removable", "0")
	}
	for _, k := range sortedKeys(d.Attrs) {
		m.sys.put(dir, "/"+k, d.Attrs[k])
	}
	m.disks[d.node()] = d
	m.numbers[devnum{d.major, d.minor}] = d
}

// Unplug makes a disk go away, with its partitions. What maps it stays, and
// can no longer read it.
func (m *Machine) Unplug(d *Disk) {
	if !d.there {
		return
	}
	for _, p := range d.parts {
		m.vanish(p)
	}
	d.parts = nil
	m.vanish(d)
	if d.Bus != nil {
		m.free(d)
	}
}

func (m *Machine) vanish(d *Disk) {
	d.there = false
	d.life++
	m.sys.removeDevice(d.devpath, "block")
	m.sys.remove("/block/" + d.Name)
	delete(m.disks, d.node())
	delete(m.numbers, devnum{d.major, d.minor})
	d.holder, d.holds = "", 0
	m.tell("remove", d)
}

// Change makes the kernel say that a disk has changed.
func (m *Machine) Change(d *Disk) { m.tell("change", d) }

// letters is how the kernel numbers disks: a … z, aa ….
func letters(n int) string {
	s := ""
	for n++; n > 0; n = (n - 1) / 26 {
		s = string(rune('a'+(n-1)%26)) + s
	}
	return s
}

// Ext4 is the superblock of an ext4 filesystem.
func Ext4(uuid, label string) []byte { return content.Ext4(uuid, label) }

// Swap is the header of a swap area; hibernated says that there is an image
// of a hibernated system in it.
func Swap(uuid string, hibernated bool) []byte { return content.Swap(uuid, hibernated) }

// UUID turns the text of a UUID into its bytes.
func UUID(text string) []byte {
	u := content.UUID(text)
	return bytes.Clone(u[:])
}
