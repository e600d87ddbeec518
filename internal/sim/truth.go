package sim

import (
	"maps"
	"slices"
	"time"
)

// Write is a write to a device: a mount that changes the filesystem, an array
// that becomes writable, a repair.
type Write struct {
	At   time.Duration
	Disk *Disk
	By   string // "mount on /sysroot"
}

// wrote notes a write. Only the first of a disk stays in Disk.Written.
func (m *Machine) wrote(d *Disk, by string) {
	m.Writes = append(m.Writes, Write{m.now, d, by})
	if d.Written == "" {
		d.Written = by
	}
}

// DiskAt returns the device whose node this is ("/dev/vda", "/dev/dm-0") now,
// nil if there is none.
func (m *Machine) DiskAt(node string) *Disk { return m.disks[node] }

// Nodes are the nodes of all block devices that there are now, sorted.
func (m *Machine) Nodes() []string { return slices.Sorted(maps.Keys(m.disks)) }

// Mounted returns the device that is mounted on a directory ("/sysroot") now,
// nil if none is.
func (m *Machine) Mounted(target string) *Disk { return m.mounted[target] }

// MountPoints are the directories on which something is mounted now, sorted.
func (m *Machine) MountPoints() []string { return slices.Sorted(maps.Keys(m.mounted)) }

// Node is the device's node, "" before it was plugged in.
func (d *Disk) Node() string {
	if d.Name == "" {
		return ""
	}
	return d.node()
}
