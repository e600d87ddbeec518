package sim

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"firstlight/internal/machine"

	"golang.org/x/sys/unix"
)

// Flags of mount(2).
const (
	readOnly   = 1
	harmlessly = "noload"
)

// mount is a filesystem that is mounted.
type mount struct {
	content *Disk // the filesystem; nil for one without a device
	device  *Disk
	whole   bool // all of it is really there
}

// Mount implements machine.Mounts.
func (m *Machine) Mount(mt machine.Mount) error {
	if mt.FSType == "efivarfs" {
		// The firmware's variables are no disk. The same is not mounted twice on one
		// directory.
		if m.variables[mt.Target] {
			return fmt.Errorf("mount %s on %s: %w", mt.Source, mt.Target, unix.EBUSY)
		}
		if m.variables == nil {
			m.variables = map[string]bool{}
		}
		m.variables[mt.Target] = true
		return nil
	}
	fail := func(err error) error { return fmt.Errorf("mount %s on %s: %w", mt.Source, mt.Target, err) }
	if f := m.fault(OperationFails, "mount "+mt.Target); f != nil {
		return fail(f.err())
	}
	if mt.Flags&(moved|bound|remounted) != 0 {
		return m.remount(mt)
	}
	if !m.kmod.built && !m.kmod.has("fs-"+mt.FSType) || m.fault(DriverMissing, "fs-"+mt.FSType) != nil {
		return fail(unix.ENODEV)
	}
	if mt.FSType == "nfs" {
		if err := m.mountNFS(mt); err != nil {
			return fail(err)
		}
		return nil
	}
	if mt.FSType == "virtiofs" || mt.FSType == "9p" && m.Shares != nil {
		if err := m.mountShare(mt); err != nil {
			return fail(err)
		}
		return nil
	}
	if !strings.HasPrefix(mt.Source, "/dev/") && virtualFS[mt.FSType] {
		content := &Disk{Files: map[string]string{}}
		if mt.FSType == "overlay" {
			if err := m.merge(content.Files, mt.Data); err != nil {
				return fail(err)
			}
		}
		m.Mounts = append(m.Mounts, mt)
		m.mounted[mt.Target] = mount{content: content, whole: true}
		m.tellMounts()
		return nil
	}
	d := m.disks[mt.Source]
	if mt.FSType == "bcachefs" {
		var err error
		if d, err = m.bcachefs(mt); err != nil {
			return fail(err)
		}
	}
	if d == nil {
		return fail(fs.ErrNotExist)
	}
	if m.readFails(d) {
		return fail(unix.EIO)
	}
	leaf, whole := d.shows()
	fsys := leaf
	if leaf == nil || leaf.Files == nil && leaf.Pool == nil || leaf.FSType != "" && leaf.FSType != mt.FSType {
		return fail(errNoFilesystem)
	}
	if leaf.Log != nil && !m.isLog(leaf.Log, mt.Data) {
		return fail(errNoFilesystem)
	}
	if leaf.Pool != nil {
		var err error
		if fsys, whole, err = m.mountPool(d, leaf, mt); err != nil {
			return fail(err)
		}
	}
	if d.ReadOnly && (mt.Flags&readOnly == 0 || leaf.Dirty && !replaysNothing(mt.Data)) {
		return fail(unix.EROFS)
	}
	if !m.claim(d, "mount") {
		return fail(unix.EBUSY)
	}
	// Mounted read-only, a filesystem still replays its journal unless told
	// not to.
	if !d.ReadOnly && (mt.Flags&readOnly == 0 || !replaysNothing(mt.Data)) {
		m.wrote(fsys, d, "mount on "+mt.Target)
		m.writeBelow(d, "mount on "+mt.Target)
	}
	m.Mounts = append(m.Mounts, mt)
	m.mounted[mt.Target] = mount{fsys, d, whole}
	m.tellMounts()
	return nil
}

// isLog says whether the options name the device with the journal.
func (m *Machine) isLog(log *Disk, data string) bool {
	for o := range strings.SplitSeq(data, ",") {
		name, node, _ := strings.Cut(o, "=")
		if d := m.disks[node]; d != nil && (name == "journal_path" || name == "logdev") {
			leaf, _ := d.shows()
			return leaf == log
		}
	}
	return false
}

// virtualFS are filesystems without a device.
var virtualFS = map[string]bool{"tmpfs": true, "overlay": true, "9p": true, "proc": true, "sysfs": true}

// errNoFilesystem is what the kernel makes of a device that holds none of the
// wanted type.
var errNoFilesystem = fmt.Errorf("wrong filesystem type or bad superblock: %w", unix.EINVAL)

// replaysNothing says whether the options keep the journal from being
// replayed.
func replaysNothing(data string) bool {
	for o := range strings.SplitSeq(data, ",") {
		if o == harmlessly || o == "norecovery" || o == "rescue=nologreplay" {
			return true
		}
	}
	return false
}

// writeBelow notes what a write to a device makes the layers below write: an
// array that was only looked at becomes active.
func (m *Machine) writeBelow(d *Disk, by string) {
	if d.array != nil {
		d.array.write(by)
		for _, x := range d.array.slots {
			if x.alive() {
				m.writeBelow(x.d, by)
			}
		}
	}
	if d.above != nil {
		m.writeBelow(d.above, by)
	}
	for i := range d.views {
		if b := d.views[i].base; b != nil && b != d.above {
			m.writeBelow(b, by)
		}
		for _, s := range d.views[i].stripes {
			m.writeBelow(s.base, by)
		}
		for _, c := range d.views[i].copies {
			m.writeBelow(c.base, by)
		}
	}
}

func (m *Machine) tellMounts() {
	var points []string
	for p := range m.mounted {
		points = append(points, p)
	}
	slices.Sort(points)
	m.At(m.now, func() { m.Core.Mounts(points) })
}

// Unmount implements machine.Mounts.
func (m *Machine) Unmount(target string, _ bool) error {
	if m.variables[target] {
		delete(m.variables, target)
		return nil
	}
	x, ok := m.mounted[target]
	if !ok {
		return fmt.Errorf("unmount %s: %w", target, unix.EINVAL)
	}
	if f := m.fault(OperationFails, "unmount "+target); f != nil {
		return fmt.Errorf("unmount %s: %w", target, f.err())
	}
	if x.device != nil {
		m.release(x.device, "mount")
	}
	delete(m.mounted, target)
	m.tellMounts()
	return nil
}
