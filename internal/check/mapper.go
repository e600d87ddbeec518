package check

import (
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"firstlight/internal/devmapper"
)

// mapping is a device of the device mapper.
type mapping struct {
	info  devmapper.Info
	disk  *disk
	table []devmapper.Target
}

// mapper models the part of the device mapper that a boot uses.
type mapper struct {
	devmapper.Mapper // what a boot does not use
	w                *world
}

// mapperMajor is the major number of mapped devices.
const mapperMajor = 253

func (m mapper) get(r devmapper.Ref) (*mapping, error) {
	for _, x := range m.w.mapped {
		if r.Name != "" && x.info.Name == r.Name || r.Name == "" && r.UUID != "" && x.info.UUID == r.UUID ||
			r.Name == "" && r.UUID == "" && x.info.Dev == r.Dev {
			return x, nil
		}
	}
	return nil, fmt.Errorf("device mapper: %s: %w", r, unix.ENXIO)
}

// Info implements devmapper.Mapper.
func (m mapper) Info(r devmapper.Ref) (devmapper.Info, error) {
	x, err := m.get(r)
	if err != nil {
		return devmapper.Info{}, err
	}
	return x.info, nil
}

// Create implements devmapper.Mapper.
func (m mapper) Create(name, uuid string) (devmapper.Info, error) {
	w := m.w
	minor := uint32(0)
	for _, x := range w.mapped {
		if x.info.Name == name || uuid != "" && x.info.UUID == uuid {
			return devmapper.Info{}, fmt.Errorf("device mapper: create %s: %w", name, unix.EBUSY)
		}
		minor = max(minor, x.info.Dev.Minor+1)
	}
	kernel := "dm-" + strconv.Itoa(int(minor))
	d := &disk{w: w, name: kernel, devpath: "/devices/virtual/block/" + kernel, major: mapperMajor, minor: minor,
		why: "it was not active when the snapshot was taken"}
	x := &mapping{info: devmapper.Info{Name: name, UUID: uuid, Dev: devmapper.Devnum{Major: mapperMajor, Minor: minor}}, disk: d}
	w.mapped = append(w.mapped, x)
	w.stack(d, map[string]string{"dm/name": name, "dm/uuid": uuid, "dm/suspended": "0"})
	w.uevent("add", d.devpath)
	return x.info, nil
}

// stack makes the sysfs directory of a block device that others are below.
func (w *world) stack(d *disk, attrs map[string]string) {
	w.live.Set(d.devpath+"/uevent", fmt.Sprintf("MAJOR=%d\nMINOR=%d\nDEVNAME=%s\nDEVTYPE=disk", d.major, d.minor, strings.ReplaceAll(d.name, "!", "/")))
	w.live.Set(d.devpath+"/dev", fmt.Sprintf("%d:%d", d.major, d.minor))
	for _, a := range [...][2]string{{"size", "0"}, {"ro", "0"}, {"removable", "0"}} {
		w.live.Set(d.devpath+"/"+a[0], a[1])
	}
	for name, v := range attrs {
		w.live.Set(d.devpath+"/"+name, v)
	}
	w.live.Link(d.devpath+"/subsystem", "/class/block")
	w.live.Link("/class/block/"+d.name, d.devpath)
	w.live.Link("/block/"+d.name, d.devpath)
	w.disks[d.node()] = d
}

// Load implements devmapper.Mapper: the kernel loads the module of a target
// by itself, and the target refuses what it lacks.
func (m mapper) Load(r devmapper.Ref, table []devmapper.Target, o devmapper.LoadOptions) (devmapper.Info, error) {
	x, err := m.get(r)
	if err != nil {
		return devmapper.Info{}, err
	}
	for _, t := range table {
		if err := m.target(t); err != nil {
			return devmapper.Info{}, fmt.Errorf("device mapper: load the table of %s: %w", x.info.Name, err)
		}
	}
	m.w.devices.settle()
	x.table = nil
	for _, t := range table {
		x.table = append(x.table, devmapper.Target{Start: t.Start, Length: t.Length, Type: t.Type, Params: append([]byte(nil), t.Params...)})
	}
	x.info.Inactive, x.info.ReadOnly = true, o.ReadOnly
	return x.info, nil
}

// target checks whether the kernel has what a line of a table asks for.
func (m mapper) target(t devmapper.Target) error {
	switch t.Type {
	case "linear", "striped", "error": // parts of dm-mod
	case "thin": // a part of thin-pool
		t.Type = "thin-pool"
		fallthrough
	default:
		if !m.w.request("dm-" + t.Type) {
			return fmt.Errorf("unknown target type %q: %w", t.Type, unix.EINVAL)
		}
	}
	f := strings.Fields(string(t.Params))
	if t.Type == "crypt" && len(f) > 0 {
		if part := m.w.lacksCipher(f[0]); part != "" {
			return fmt.Errorf("the kernel has no %s for the cipher %s: %w", part, f[0], unix.ENOENT)
		}
	}
	return nil
}

// Resume implements devmapper.Mapper: the device becomes live and shows what
// the snapshot had in it.
func (m mapper) Resume(r devmapper.Ref, o devmapper.ResumeOptions) (devmapper.Info, error) {
	x, err := m.get(r)
	if err != nil {
		return devmapper.Info{}, err
	}
	if !x.info.Inactive {
		return x.info, nil
	}
	x.info.Live, x.info.Inactive = true, false
	w, d := m.w, x.disk
	sectors := uint64(0)
	for _, t := range x.table {
		sectors = max(sectors, t.Start+t.Length)
	}
	d.size = int64(sectors) << 9
	d.content, d.lower, d.origin = nil, nil, ""
	if origin := w.sameMapping(x.info.UUID); origin != "" && w.snap.Block(origin) != nil {
		d.holding(origin)
		// What could not be read of a verified device is not what its hash is of,
		// and never will be: that is no failing disk.
		if strings.HasPrefix(x.info.UUID, "CRYPT-VERITY-") && strings.Contains(d.content.Problem, unix.EIO.Error()) {
			d.content, d.lower = nil, func([]byte, int64) (int, error) { return 0, unix.EIO }
		}
	} else {
		d.lower = m.through(x.table)
	}
	if x.info.ReadOnly {
		w.live.Set(d.devpath+"/ro", "1")
	}
	w.live.Set(d.devpath+"/size", strconv.FormatUint(sectors, 10))
	for _, t := range x.table {
		for _, f := range strings.Fields(string(t.Params)) {
			if under := w.byNumber(f); under != nil && strings.Contains(f, ":") {
				w.live.Link(d.devpath+"/slaves/"+under.name, under.devpath)
				w.live.Link(under.devpath+"/holders/"+d.name, d.devpath)
			}
		}
	}
	w.uevent("change", d.devpath, "DM_COOKIE", o.Cookie.String())
	return x.info, nil
}

// sameMapping finds the device of the snapshot that a mapping is: by its UUID,
// of which the name at the end does not count for an encrypted one.
func (w *world) sameMapping(uuid string) string {
	if uuid == "" {
		return ""
	}
	names, _ := w.snap.Sys.List("/class/block")
	for _, n := range names {
		got, err := w.snap.Sys.Read("/class/block/" + n + "/dm/uuid")
		if err == nil && (got == uuid || cryptIdentity(got) != "" && cryptIdentity(got) == cryptIdentity(uuid)) {
			return n
		}
	}
	return ""
}

// cryptIdentity is the part of an encrypted device's mapping UUID that does
// not depend on its name: "CRYPT-LUKS2-<uuid>".
func cryptIdentity(uuid string) string {
	f := strings.SplitN(uuid, "-", 4)
	if len(f) < 3 || f[0] != "CRYPT" || !strings.HasPrefix(f[1], "LUKS") {
		return ""
	}
	return "CRYPT-LUKS-" + f[2]
}

// through reads a table of linear targets from the devices below; nil for any
// other.
func (m mapper) through(table []devmapper.Target) func([]byte, int64) (int, error) {
	type piece struct {
		from, to int64
		on       *disk
		off      int64
	}
	var pieces []piece
	for _, t := range table {
		f := strings.Fields(string(t.Params))
		if t.Type != "linear" || len(f) != 2 {
			return nil
		}
		on := m.w.byNumber(f[0])
		off, err := strconv.ParseInt(f[1], 10, 54)
		if on == nil || err != nil {
			return nil
		}
		pieces = append(pieces, piece{int64(t.Start) << 9, int64(t.Start+t.Length) << 9, on, off << 9})
	}
	return func(p []byte, off int64) (int, error) {
		done := 0
		for _, x := range pieces {
			at := off + int64(done)
			if at < x.from || at >= x.to || done == len(p) {
				continue
			}
			n := int(min(int64(len(p)-done), x.to-at))
			got, err := x.on.ReadAt(p[done:done+n], x.off+at-x.from)
			if done += got; got < n {
				return done, err
			}
		}
		if done < len(p) {
			return done, io.EOF
		}
		return done, nil
	}
}

// Remove implements devmapper.Mapper.
func (m mapper) Remove(r devmapper.Ref, _ devmapper.RemoveOptions) (devmapper.Info, error) {
	x, err := m.get(r)
	if err != nil {
		return devmapper.Info{}, err
	}
	for i, y := range m.w.mapped {
		if y == x {
			m.w.mapped = append(m.w.mapped[:i:i], m.w.mapped[i+1:]...)
			break
		}
	}
	m.w.unplug(x.disk)
	return x.info, nil
}

var errUnused = errors.New("the modelled machine does not answer this")

// Version implements devmapper.Mapper.
func (mapper) Version() (devmapper.Version, error) {
	return devmapper.Version{Major: 4, Minor: 48}, nil
}

// Targets implements devmapper.Mapper.
func (mapper) Targets() ([]devmapper.TargetVersion, error) { return nil, errUnused }

// Devices implements devmapper.Mapper.
func (m mapper) Devices() ([]devmapper.ListEntry, error) {
	var out []devmapper.ListEntry
	for _, x := range m.w.mapped {
		out = append(out, devmapper.ListEntry{Name: x.info.Name, Dev: x.info.Dev})
	}
	return out, nil
}

// Clear implements devmapper.Mapper.
func (mapper) Clear(devmapper.Ref) (devmapper.Info, error) { return devmapper.Info{}, errUnused }

// Table implements devmapper.Mapper.
func (mapper) Table(devmapper.Ref) ([]devmapper.Target, error) { return nil, errUnused }

// Status implements devmapper.Mapper: every target is well.
func (m mapper) Status(r devmapper.Ref) ([]devmapper.Target, error) {
	x, err := m.get(r)
	if err != nil {
		return nil, err
	}
	var out []devmapper.Target
	for _, t := range x.table {
		out = append(out, devmapper.Target{Start: t.Start, Length: t.Length, Type: t.Type})
	}
	return out, nil
}

// Deps implements devmapper.Mapper.
func (mapper) Deps(devmapper.Ref) ([]devmapper.Devnum, error) { return nil, errUnused }

// Suspend implements devmapper.Mapper: a table is about to be replaced.
func (m mapper) Suspend(r devmapper.Ref, _ devmapper.SuspendOptions) (devmapper.Info, error) {
	return m.Info(r)
}

// graft copies what the snapshot has below a stacked device's directory to
// one of another name: its attributes, and its partitions.
func (w *world) graft(from, to string) (partitions []string) {
	oldName, newName := path.Base(from), path.Base(to)
	rename := func(p string) string {
		rest := strings.TrimPrefix(p, from)
		if part, ok := strings.CutPrefix(rest, "/"+oldName); ok && (part == "" || part[0] == 'p' || part[0] >= '0' && part[0] <= '9') {
			rest = "/" + newName + part
		}
		return to + rest
	}
	sys := w.snap.Sys
	for p, v := range sys.Files {
		if !strings.HasPrefix(p, from+"/") || p == from+"/uevent" || p == from+"/dev" {
			continue
		}
		q := rename(p)
		if strings.HasSuffix(p, "/uevent") {
			v = strings.ReplaceAll(v, "DEVNAME="+oldName, "DEVNAME="+newName)
			partitions = append(partitions, strings.TrimSuffix(q, "/uevent"))
		}
		w.live.Set(q, v)
	}
	for p, target := range sys.Links {
		if strings.HasPrefix(p, from+"/") && strings.HasSuffix(p, "/subsystem") {
			w.live.Link(rename(p), target)
		}
	}
	return partitions
}
