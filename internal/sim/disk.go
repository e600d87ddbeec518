package sim

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Disk is a block device, or what is inside an encrypted one.
type Disk struct {
	Name    string // "vda"; chosen by Plug and the mapper where it is empty
	Content []byte // its first bytes; the rest reads as zeros
	Size    int64  // bytes; 0 stands for 64 MiB
	// Files are those of the filesystem on it, by path. A value that begins
	// with "-> " is a link, one that begins with "#!" can be executed.
	Files map[string]string
	// Inside is what shows when it is unlocked.
	Inside *Disk
	// Written says who wrote to it first: a mount, a check.
	Written string

	devpath string
	minor   int
	major   int
	dm      bool
}

func (d *Disk) node() string { return "/dev/" + d.Name }

func (d *Disk) props() map[string]string {
	return map[string]string{"SUBSYSTEM": "block", "DEVTYPE": "disk", "DEVNAME": d.node(),
		"MAJOR": strconv.Itoa(d.major), "MINOR": strconv.Itoa(d.minor)}
}

// Plug makes a disk appear: before Boot it is there from the start.
func (m *Machine) Plug(d *Disk) {
	m.init()
	m.serial++
	d.major, d.minor = 254, m.serial*16
	if d.Name == "" {
		d.Name = "vd" + string(rune('a'+m.serial-1))
	}
	virtio := fmt.Sprintf("/devices/pci0000:00/0000:00:%02x.0/virtio%d", m.serial, m.serial)
	d.devpath = virtio + "/block/" + d.Name
	m.sys.device(virtio, "virtio", "")
	m.sys.device(d.devpath, "block", d.ueventText())
	m.sys.link("/class/block/"+d.Name, d.devpath)
	m.appear(d)
	m.uevent("add", d)
}

func (m *Machine) appear(d *Disk) {
	if d.Size == 0 {
		d.Size = 64 << 20
	}
	m.sys.files[d.devpath+"/size"] = strconv.FormatInt(d.Size>>9, 10)
	m.sys.files[d.devpath+"/ro"] = "0"
	m.sys.files[d.devpath+"/removable"] = "0"
	m.disks[d.node()] = d
}

// Unplug makes a disk go away.
func (m *Machine) Unplug(d *Disk) {
	m.sys.remove(d.devpath)
	delete(m.sys.links, "/class/block/"+d.Name)
	delete(m.disks, d.node())
	m.uevent("remove", d)
}

// Change makes the kernel say that a disk has changed.
func (m *Machine) Change(d *Disk) { m.uevent("change", d) }

func (d *Disk) ueventText() string {
	return fmt.Sprintf("MAJOR=%d\nMINOR=%d\nDEVNAME=%s\nDEVTYPE=disk", d.major, d.minor, d.Name)
}

// read implements io.ReaderAt over the content.
func (d *Disk) read(p []byte, off int64) (int, error) {
	clear(p)
	if off < int64(len(d.Content)) {
		copy(p, d.Content[off:])
	}
	return len(p), nil
}

// Ext4 is the superblock of an ext4 filesystem.
func Ext4(uuid, label string) []byte {
	b := make([]byte, 8<<10)
	s := b[1024:]
	le := binary.LittleEndian
	le.PutUint16(s[0x38:], 0xef53)
	le.PutUint32(s[0x4c:], 1)
	le.PutUint32(s[0x5c:], 0x4)   // has a journal
	le.PutUint32(s[0x60:], 0x242) // file types, extents, flexible groups
	le.PutUint32(s[0x18:], 2)
	copy(s[0x68:], UUID(uuid))
	copy(s[0x78:0x88], label)
	return b
}

// Swap is the header of a swap area; hibernated says that there is an image
// of a hibernated system in it.
func Swap(uuid string, hibernated bool) []byte {
	b := make([]byte, 8<<10)
	binary.LittleEndian.PutUint32(b[1024:], 1)
	binary.LittleEndian.PutUint32(b[1028:], 16383)
	copy(b[1024+12:], UUID(uuid))
	magic := "SWAPSPACE2"
	if hibernated {
		magic = "S1SUSPEND\x00"
	}
	copy(b[4096-10:], magic)
	return b
}

// UUID turns the text of a UUID into its bytes.
func UUID(text string) []byte {
	var out []byte
	for c := range slices.Chunk([]byte(strings.ReplaceAll(text, "-", "")), 2) {
		n, err := strconv.ParseUint(string(c), 16, 8)
		if err != nil {
			panic("sim: UUID " + text)
		}
		out = append(out, byte(n))
	}
	return bytes.Clone(out)
}
