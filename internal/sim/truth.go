package sim

import (
	"slices"
	"time"
)

// Write is a write to a device: a mount that changes the filesystem, an array
// that becomes writable, a repair.
type Write struct {
	At   time.Duration
	Disk *Disk  // what was written to
	Node string // through which device, "/dev/dm-0"
	By   string // "mount on /sysroot"
}

// Started is an array that was started.
type Started struct {
	At      time.Duration
	Name    string   // "md127"
	Missing int      // slots without a member
	Members []string // nodes of those in use, by slot
	// ReadOnly: nothing can be written to it.
	ReadOnly bool
}

// wrote notes a write. Only the first of a disk stays in Disk.Written.
func (m *Machine) wrote(d, through *Disk, by string) {
	m.Writes = append(m.Writes, Write{m.now, d, through.node(), by})
	if d.Written == "" {
		d.Written = by
	}
}

// Wrote is for programs of the machine (a checker, a tool): it notes that they
// have written to what is on a node.
func (m *Machine) Wrote(node, by string) {
	d := m.disks[node]
	if d == nil {
		return
	}
	leaf, _ := d.shows()
	if leaf == nil {
		leaf = d
	}
	m.wrote(leaf, d, by)
	m.writeBelow(d, by)
}

// DiskAt returns the device whose node this is ("/dev/vda", "/dev/dm-0") now,
// nil if there is none.
func (m *Machine) DiskAt(node string) *Disk { return m.disks[node] }

// Shows returns what the device at a node really shows through all its layers,
// and whether all of that is there, in order and without gaps; nil if the
// device is not there or shows nothing that makes sense.
func (m *Machine) Shows(node string) (content *Disk, whole bool) {
	d := m.disks[node]
	if d == nil {
		return nil, false
	}
	return d.shows()
}

// Nodes are the nodes of all block devices that there are now, sorted.
func (m *Machine) Nodes() []string { return sortedKeys(m.disks) }

// Mounted returns the filesystem that is mounted on a directory ("/sysroot")
// now, nil if none is.
func (m *Machine) Mounted(target string) *Disk { return m.mounted[target].content }

// MountedWhole says whether all of what is mounted on a directory is really
// there: nothing of it is stale, garbage or another's.
func (m *Machine) MountedWhole(target string) bool { return m.mounted[target].whole }

// MountedFrom returns the device that is mounted on a directory.
func (m *Machine) MountedFrom(target string) *Disk { return m.mounted[target].device }

// MountPoints are the directories on which something is mounted now, sorted.
func (m *Machine) MountPoints() []string { return sortedKeys(m.mounted) }

// Disks are all that were given to the machine, in that order, whether they
// are there now or not.
func (m *Machine) Disks() []*Disk { return slices.Clone(m.given) }

// LoadedModule says whether a module is in the kernel.
func (m *Machine) LoadedModule(name string) bool { return m.kmod.has(name) }
