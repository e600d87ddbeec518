package check

import (
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"firstlight/internal/mdsuper"
)

// array is a RAID array of the modelled kernel, as package md makes it through
// sysfs.
type array struct {
	disk    *disk
	members []*disk
	running bool
}

// Attributes of the kernel's driver of arrays.
const (
	newArray   = "/module/md_mod/parameters/new_array"
	startDirty = "/module/md_mod/parameters/start_dirty_degraded"
	arrayMajor = 9
)

// writeMD takes a write that concerns arrays; taken is false for any other.
func (w *world) writeMD(p, value string) (taken bool, err error) {
	if p == newArray || p == startDirty {
		if !w.modules.there("md_mod") {
			return true, fmt.Errorf("sysfs: write %s: %w", p, fs.ErrNotExist)
		}
		if p == newArray {
			return true, w.makeArray(value)
		}
		return true, nil
	}
	rest, ok := strings.CutPrefix(p, "/block/")
	name, attr, _ := strings.Cut(rest, "/md/")
	a := w.arrays[name]
	if !ok || attr == "" || a == nil {
		return false, nil
	}
	fail := func(err error) (bool, error) { return true, fmt.Errorf("sysfs: write %s: %w", p, err) }
	switch attr {
	case "metadata_version":
		w.live.Set(a.disk.devpath+"/md/metadata_version", value)
	case "new_dev":
		d := w.byNumber(value)
		if d == nil {
			return fail(unix.ENODEV)
		}
		if names, _ := w.live.List(d.devpath + "/holders"); len(names) > 0 {
			return fail(unix.EBUSY)
		}
		a.join(w, d)
		at := a.disk.devpath + "/md/dev-" + d.name
		w.live.Set(at+"/state", "in_sync")
		w.live.Link(at+"/block", d.devpath)
	case "array_state":
		if value == "clear" {
			w.stopArray(name, a)
			return true, nil
		}
		if !a.running {
			if err := w.runArray(a); err != nil {
				return fail(err)
			}
		}
		w.live.Set(a.disk.devpath+"/md/array_state", value)
		if a.running {
			w.uevent("change", a.disk.devpath)
		}
	default:
		return false, nil
	}
	return true, nil
}

func (w *world) makeArray(name string) error {
	if w.arrays[name] != nil {
		return fmt.Errorf("sysfs: write %s: %s: %w", newArray, name, unix.EEXIST)
	}
	minor := uint32(127)
	for slices.ContainsFunc(w.list(), func(d *disk) bool { return d.major == arrayMajor && d.minor == minor }) {
		minor--
	}
	if n, err := strconv.ParseUint(strings.TrimPrefix(name, "md"), 10, 20); err == nil {
		minor = uint32(n)
	}
	d := &disk{w: w, name: name, devpath: "/devices/virtual/block/" + name, major: arrayMajor, minor: minor,
		why: "it did not run when the snapshot was taken"}
	w.arrays[name] = &array{disk: d}
	w.stack(d, map[string]string{"md/array_state": "clear", "md/metadata_version": "none", "md/new_dev": "", "md/level": "", "md/raid_disks": "0"})
	w.uevent("add", d.devpath)
	return nil
}

func (w *world) list() []*disk {
	var out []*disk
	for _, d := range w.disks {
		out = append(out, d)
	}
	return out
}

// runArray starts an array: its level must be there. What is on it is what the
// snapshot had on the array of the same members.
func (w *world) runArray(a *array) error {
	if len(a.members) == 0 {
		return unix.EINVAL
	}
	var super *mdsuper.Super
	for _, m := range a.members {
		s, err := mdsuper.Read(m, uint64(m.size))
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		super = s
	}
	if level := super.Level.Module(); !w.request(level) && !w.request("md-"+super.Level.String()) {
		return fmt.Errorf("level %s is not supported: %w", super.Level, unix.EINVAL)
	}
	d := a.disk
	a.running = true
	origin := w.sameArray(a)
	if origin == "" {
		d.why = "its array did not run when the snapshot was taken"
		d.size = 1 << 20
		w.live.Set(d.devpath+"/size", strconv.FormatInt(d.size>>9, 10))
		return nil
	}
	w.show(a, origin)
	return nil
}

// sameArray finds the array of the snapshot that has a member in common with
// this one, or "".
func (w *world) sameArray(a *array) string {
	names, _ := w.snap.Sys.List("/class/block")
	for _, n := range names {
		if !w.snap.Sys.Exists("/class/block/" + n + "/md") {
			continue
		}
		under, _ := w.snap.Sys.List("/class/block/" + n + "/slaves")
		for _, m := range a.members {
			if m.origin != "" && slices.Contains(under, m.origin) {
				return n
			}
		}
	}
	return ""
}

func (w *world) stopArray(name string, a *array) {
	for _, m := range a.members {
		w.live.Remove(m.devpath + "/holders/" + name)
	}
	delete(w.arrays, name)
	w.unplug(a.disk)
}
