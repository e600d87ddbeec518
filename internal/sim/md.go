package sim

import (
	"bytes"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"firstlight/internal/mdsuper"

	"golang.org/x/sys/unix"
)

// array is an array of the MD driver, from its making on.
type array struct {
	m       *Machine
	disk    *Disk
	version string
	state   string
	members []*member
	slots   []*member // in use, by slot; nil where one is missing
	level   mdsuper.Level
	stripe  Stripe
}

// member is a device that was given to an array.
type member struct {
	d     *Disk
	life  int
	super *mdsuper.Super
}

func (x *member) alive() bool { return x != nil && x.d.there && x.d.life == x.life }

const newArray = "/module/md_mod/parameters/new_array"

// writeMD carries out a write to an attribute of the MD driver; ok is false
// for any other path.
func (m *Machine) writeMD(p, value string) (ok bool, err error) {
	if p == newArray {
		return true, m.makeArray(value)
	}
	if p == "/module/md_mod/parameters/start_dirty_degraded" {
		m.startDirty = value == "1"
		return true, nil
	}
	rest, ok := strings.CutPrefix(p, "/block/")
	if !ok {
		return false, nil
	}
	name, attr, ok := strings.Cut(rest, "/md/")
	if !ok {
		return false, nil
	}
	d := m.disks["/dev/"+name]
	if d == nil || d.array == nil {
		return true, fmt.Errorf("write %s: %w", p, fs.ErrNotExist)
	}
	a := d.array
	switch attr {
	case "metadata_version":
		a.version = value
		err = nil
	case "new_dev":
		err = a.add(value)
	case "array_state":
		err = a.setState(value)
	default:
		return false, nil
	}
	if err != nil {
		return true, fmt.Errorf("write %q to %s: %w", value, p, err)
	}
	if a.state != "clear" {
		m.sys.set(d.devpath+"/md/metadata_version", a.version)
		m.sys.set(d.devpath+"/md/array_state", a.state)
	}
	return true, nil
}

func (m *Machine) makeArray(name string) error {
	if err := m.driver("md_mod", "write "+newArray); err != nil {
		return err
	}
	if m.disks["/dev/"+name] != nil {
		return fmt.Errorf("write %q to %s: %w", name, newArray, fs.ErrExist)
	}
	minor, err := strconv.Atoi(strings.TrimPrefix(name, "md"))
	if err != nil || m.numbers[devnum{9, minor}] != nil {
		minor = 511
		for m.numbers[devnum{9, minor}] != nil {
			minor--
		}
	}
	d := &Disk{Name: name, Size: 1, major: 9, minor: minor, devpath: "/devices/virtual/block/" + name}
	d.array = &array{m: m, disk: d, version: "none", state: "clear"}
	m.sys.set(d.devpath+"/md/array_state", "clear")
	m.plugged(d)
	m.sys.set(d.devpath+"/size", "0")
	return nil
}

// add is a write to new_dev: the driver reads the member's superblock.
func (a *array) add(number string) error {
	d := a.m.byNumber(number)
	if d == nil {
		return unix.ENODEV
	}
	if !a.m.claim(d, "md") {
		return unix.EBUSY
	}
	s, err := a.read(d)
	if err != nil {
		a.m.release(d, "md")
		return err
	}
	if len(a.members) > 0 && a.members[0].super.UUID != s.UUID {
		a.m.release(d, "md")
		return unix.EINVAL
	}
	a.members = append(a.members, &member{d, d.life, s})
	a.state = "inactive"
	at := a.disk.devpath + "/md/dev-" + d.Name
	a.m.sys.link(at+"/block", d.devpath)
	a.m.sys.set(at+"/state", "spare")
	a.m.hold(a.disk, d)
	return nil
}

func (a *array) read(d *Disk) (*mdsuper.Super, error) {
	if a.m.readFails(d) {
		return nil, unix.EIO
	}
	s, err := mdsuper.Read(reader{d}, uint64(d.size()))
	if err != nil || s.Version.String() != a.version {
		return nil, unix.EINVAL
	}
	return s, nil
}

func (a *array) setState(state string) error {
	running := a.state != "clear" && a.state != "inactive"
	switch state {
	case "clear":
		return a.stop()
	case "read-auto", "readonly":
		if running {
			return nil
		}
		return a.run(state)
	case "active", "clean":
		if !running || a.disk.ReadOnly {
			return unix.EINVAL
		}
		a.write("array made writable")
		return nil
	}
	return unix.EINVAL
}

// run starts the array, as the kernel's do_md_run does: the freshest
// superblock counts, and members that are behind it are left out.
func (a *array) run(state string) error {
	if len(a.members) == 0 {
		return unix.EINVAL
	}
	fresh := a.members[0].super
	for _, x := range a.members {
		if x.super.Events > fresh.Events {
			fresh = x.super
		}
	}
	if err := a.m.driver(fresh.Level.Module(), "start "+a.disk.Name); err != nil {
		return unix.EINVAL
	}
	a.level = fresh.Level
	a.slots = make([]*member, fresh.RaidDisks)
	dirty := false
	for _, x := range a.members {
		if x.super.Events+1 < fresh.Events || !x.alive() || x.super.Role < 0 || int(x.super.Role) >= len(a.slots) {
			continue
		}
		if n := int(x.super.DeviceNumber); n < len(fresh.Roles) && fresh.Roles[n] != x.super.Role {
			continue // the others went on without it
		}
		if a.slots[x.super.Role] != nil {
			continue
		}
		a.slots[x.super.Role] = x
		dirty = dirty || !x.super.Clean
	}
	missing := 0
	for _, x := range a.slots {
		if x == nil {
			missing++
		}
	}
	a.stripe = Stripe{Level: int(a.level), Slots: len(a.slots), Chunk: int64(fresh.ChunkSize)}
	parity := a.level == 4 || a.level == 5 || a.level == 6
	if !a.enough() || parity && missing > 0 && dirty && !a.m.startDirty {
		return unix.EIO
	}
	if a.state = state; a.level <= 0 && state != "readonly" {
		a.state = "clean"
	}
	d := a.disk
	d.ReadOnly = state == "readonly"
	per := int64(fresh.Size) * mdsuper.SectorSize
	switch a.level {
	case 0:
		per = int64(fresh.DataSize) * mdsuper.SectorSize
		d.Size = per / a.stripe.Chunk * a.stripe.Chunk * int64(len(a.slots))
	case 1:
		d.Size = per
	case 10:
		d.Size = per / a.stripe.Chunk * a.stripe.Chunk * int64(len(a.slots)) / 2
	default:
		d.Size = per / a.stripe.Chunk * a.stripe.Chunk * a.stripe.data()
	}
	sys := a.m.sys
	sys.set(d.devpath+"/md/level", a.level.String())
	sys.set(d.devpath+"/md/raid_disks", strconv.Itoa(len(a.slots)))
	sys.set(d.devpath+"/md/degraded", strconv.Itoa(missing))
	sys.set(d.devpath+"/md/array_state", a.state)
	if a.level > 0 {
		sys.set(d.devpath+"/md/sync_action", "idle")
	}
	for i, x := range a.slots {
		if x != nil {
			sys.set(d.devpath+"/md/dev-"+x.d.Name+"/state", "in_sync")
			sys.set(d.devpath+"/md/dev-"+x.d.Name+"/slot", strconv.Itoa(i))
		}
	}
	a.m.appear(d)
	a.m.Arrays = append(a.m.Arrays, Started{a.m.now, d.Name, missing, a.nodes(), d.ReadOnly})
	a.m.tell("change", d)
	a.m.partition(d)
	return nil
}

// nodes are the members in use, by slot.
func (a *array) nodes() []string {
	var out []string
	for _, x := range a.slots {
		if x != nil {
			out = append(out, x.d.node())
		}
	}
	return out
}

// enough says whether the array can give all its data.
func (a *array) enough() bool {
	have := 0
	for _, x := range a.slots {
		if x != nil {
			have++
		}
	}
	switch a.level {
	case 1:
		return have >= 1
	case 4, 5:
		return have >= len(a.slots)-1
	case 6:
		return have >= len(a.slots)-2
	case 10:
		n := len(a.slots)
		if n%2 == 1 {
			return have >= n-1
		}
		for i := 0; i < n; i += 2 {
			if a.slots[i] == nil && a.slots[i+1] == nil {
				return false
			}
		}
		return true
	}
	return have == len(a.slots)
}

func (a *array) stop() error {
	d := a.disk
	if a.m.busy(d) {
		return unix.EBUSY
	}
	for _, x := range a.members {
		a.m.unhold(d, x.d)
		if x.alive() {
			a.m.release(x.d, "md")
		}
	}
	a.state, a.members, a.slots = "clear", nil, nil
	a.m.Unplug(d)
	return nil
}

// write notes that the array is written to: the members' superblocks are.
func (a *array) write(by string) {
	if a.state == "active" || a.state == "readonly" {
		return
	}
	a.state = "active"
	a.m.sys.set(a.disk.devpath+"/md/array_state", a.state)
	for _, x := range a.slots {
		if x.alive() {
			a.m.wrote(x.d, x.d, by)
		}
	}
}

// locate follows a byte of the array to the members that have it.
func (a *array) locate(off int64, key *keys, depth int) place {
	if a.slots == nil {
		return place{n: 1 << 40}
	}
	if a.level == 1 {
		for _, x := range a.slots {
			if x.alive() {
				return x.d.locate(int64(x.super.DataOffset)*mdsuper.SectorSize+off, key, depth+1)
			}
		}
		return place{gone: true, n: 1}
	}
	spots, copies, run := a.stripe.physical(off)
	for _, s := range spots[:copies] {
		if x := a.slots[s.slot]; x.alive() {
			p := x.d.locate(int64(x.super.DataOffset)*mdsuper.SectorSize+s.off, key, depth+1)
			p.n = min(p.n, run)
			return p
		}
	}
	return a.rebuild(off, spots[0].off, run, key, depth)
}

// rebuild computes what a missing member had from the others, which must all
// have parts of the same thing.
func (a *array) rebuild(off, at, run int64, key *keys, depth int) place {
	of, have := a.parts(at, depth)
	switch {
	case have == 0 || a.level == 10 || a.level == 0 || have < int(a.stripe.data()):
		return place{gone: true, n: run}
	case of == nil:
		return place{garbage: true, n: run}
	}
	p := of.locate(off, key, depth+1)
	p.n = min(p.n, run)
	return p
}

// parts returns the thing of which all members have parts at a place, nil if
// there is no such thing, and how many members there are.
func (a *array) parts(at int64, depth int) (of *Disk, have int) {
	for slot, x := range a.slots {
		if !x.alive() {
			continue
		}
		have++
		e := x.d.striped(int64(x.super.DataOffset)*mdsuper.SectorSize+at, nil, depth+1)
		if e == nil || e.Stripe.Slot != slot || have > 1 && e.Disk != of {
			return nil, len(a.slots)
		}
		of = e.Disk
	}
	return of, have
}

// striped is striped of what the array shows, as far as its members agree on
// what that is.
func (a *array) striped(off int64, key *keys, depth int) *Extent {
	if a.level == 1 {
		for _, x := range a.slots {
			if x.alive() {
				return x.d.striped(int64(x.super.DataOffset)*mdsuper.SectorSize+off, key, depth+1)
			}
		}
		return nil
	}
	spots, _, _ := a.stripe.physical(off)
	if of, _ := a.parts(spots[0].off, depth); of != nil {
		return of.striped(off, key, depth+1)
	}
	return nil
}

// striped returns the part of something spread over several disks that a byte
// belongs to; nil if it is of none.
func (d *Disk) striped(off int64, key *keys, depth int) *Extent {
	if depth > maxLayers {
		return nil
	}
	if d.array != nil {
		return d.array.striped(off, key, depth)
	}
	for i := range d.views {
		if v := &d.views[i]; off >= v.at && off < v.at+v.n && v.on != nil && v.stripes == nil {
			if v.key != nil {
				key = &keys{v.key, key}
			}
			return v.on.striped(v.from+off-v.at, key, depth+1)
		}
	}
	for i := range d.Holds {
		e := &d.Holds[i]
		if off < e.At || off >= e.At+e.length() || e.Disk == nil {
			continue
		}
		if e.Key != nil {
			if key == nil || !bytes.Equal(e.Key, key.key) {
				return nil
			}
			key = key.next
		}
		if e.Stripe != nil && key == nil {
			return e
		}
		return e.Disk.striped(e.From+off-e.At, key, depth+1)
	}
	return nil
}
