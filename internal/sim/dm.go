package sim

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"firstlight/internal/devmapper"
	"firstlight/internal/machine"

	"golang.org/x/sys/unix"
)

// mapping is a device of the device mapper.
type mapping struct {
	info   devmapper.Info
	disk   *Disk
	loaded *dmTable // in the inactive slot
	live   *dmTable
}

// dmTable is a table with what its lines mean.
type dmTable struct {
	lines    []devmapper.Target
	views    []view
	uses     []*Disk
	readOnly bool
}

// mapper implements the part of devmapper.Mapper that a boot uses.
type mapper struct{ m *Machine }

// Mapper implements machine.Machine.
func (m *Machine) Mapper() (devmapper.Mapper, error) {
	if err := m.driver("dm-mod", "open /dev/mapper/control"); err != nil {
		return nil, err
	}
	return mapper{m}, nil
}

func (d mapper) get(r devmapper.Ref) (*mapping, error) {
	for _, x := range d.m.mapped {
		switch {
		case r.Name != "":
			if x.info.Name == r.Name {
				return x, nil
			}
		case r.UUID != "":
			if x.info.UUID == r.UUID {
				return x, nil
			}
		case x.info.Dev == r.Dev:
			return x, nil
		}
	}
	return nil, fmt.Errorf("device mapper: %s: %w", r, unix.ENXIO)
}

func (d mapper) Create(name, uuid string) (devmapper.Info, error) {
	for _, x := range d.m.mapped {
		if x.info.Name == name || uuid != "" && x.info.UUID == uuid {
			return devmapper.Info{}, fmt.Errorf("device mapper: create %s: %w", name, unix.EBUSY)
		}
	}
	n := 0
	for d.m.numbers[devnum{253, n}] != nil {
		n++
	}
	disk := &Disk{Name: "dm-" + strconv.Itoa(n), major: 253, minor: n, Size: 1}
	disk.devpath = "/devices/virtual/block/" + disk.Name
	x := &mapping{info: devmapper.Info{Name: name, UUID: uuid, Dev: devmapper.Devnum{Major: 253, Minor: uint32(n)}}, disk: disk}
	disk.mapping = x
	d.m.mapped = append(d.m.mapped, x)
	d.m.sys.set(disk.devpath+"/dm/name", name)
	d.m.sys.set(disk.devpath+"/dm/uuid", uuid)
	d.m.sys.set(disk.devpath+"/dm/suspended", "0")
	d.m.plugged(disk)
	return x.info, nil
}

func (d mapper) Load(r devmapper.Ref, table []devmapper.Target, o devmapper.LoadOptions) (devmapper.Info, error) {
	x, err := d.get(r)
	if err != nil {
		return devmapper.Info{}, err
	}
	if err := devmapper.CheckTable(table); err != nil {
		return devmapper.Info{}, fmt.Errorf("device mapper: %s: %w: %w", r, unix.EINVAL, err)
	}
	t := &dmTable{readOnly: o.ReadOnly}
	for _, line := range table {
		if err := d.line(t, line); err != nil {
			d.drop(t)
			return devmapper.Info{}, fmt.Errorf("device mapper: %s: target %s: %w", r, line.Type, err)
		}
		t.lines = append(t.lines, devmapper.Target{Start: line.Start, Length: line.Length, Type: line.Type, Params: slices.Clone(line.Params)})
	}
	d.drop(x.loaded)
	x.loaded = t
	x.info.Inactive = true
	return x.info, nil
}

// line gives a line of a table its meaning and takes the devices it names.
func (d mapper) line(t *dmTable, line devmapper.Target) error {
	f := strings.Fields(string(line.Params))
	v := view{at: int64(line.Start) << 9, n: int64(line.Length) << 9}
	var err error
	switch line.Type {
	case "zero":
	case "error":
		v.fails = true
	case "linear":
		if len(f) != 2 {
			return unix.EINVAL
		}
		err = d.on(t, &v, f[0], f[1])
	case "striped":
		err = d.striped(t, &v, f)
	case "crypt":
		err = d.crypt(t, &v, f)
	case "raid":
		err = d.raid(t, &v, f)
	case "multipath":
		err = d.multipath(t, &v, f)
	case "snapshot-origin", "snapshot":
		err = d.snapshot(t, &v, f)
	case "verity":
		views, err := d.verity(t, v, f)
		t.views = append(t.views, views...)
		return err
	default:
		return unix.EINVAL
	}
	t.views = append(t.views, v)
	return err
}

// on takes the device of a line, from a sector on.
func (d mapper) on(t *dmTable, v *view, number, sector string) error {
	disk := d.m.byNumber(number)
	if disk == nil {
		return unix.ENODEV
	}
	n, err := strconv.ParseInt(sector, 10, 64)
	if err != nil || n < 0 || n<<9+v.n > disk.size() {
		return unix.EINVAL
	}
	if !d.m.claim(disk, "dm") {
		return unix.EBUSY
	}
	t.uses = append(t.uses, disk)
	v.on, v.base, v.life, v.from = disk, disk, disk.life, n<<9
	return nil
}

func (d mapper) striped(t *dmTable, v *view, f []string) error {
	if len(f) < 4 {
		return unix.EINVAL
	}
	n, err1 := strconv.Atoi(f[0])
	chunk, err2 := strconv.ParseInt(f[1], 10, 64)
	if err1 != nil || err2 != nil || n < 1 || len(f) != 2+2*n || chunk <= 0 {
		return unix.EINVAL
	}
	v.chunk = chunk << 9
	for i := range n {
		s := view{n: v.n / int64(n)}
		if err := d.on(t, &s, f[2+2*i], f[3+2*i]); err != nil {
			return err
		}
		v.stripes = append(v.stripes, s)
	}
	return nil
}

// crypt reads "CIPHER KEY IV_OFFSET DEVICE OFFSET …".
func (d mapper) crypt(t *dmTable, v *view, f []string) error {
	if err := d.m.driver("dm-crypt", "target crypt"); err != nil {
		return unix.EINVAL
	}
	if len(f) < 5 {
		return unix.EINVAL
	}
	var key []byte
	if ref, ok := strings.CutPrefix(f[1], ":"); ok {
		parts := strings.SplitN(ref, ":", 3)
		if len(parts) != 3 || d.m.keyring[parts[2]] == nil {
			return unix.ENOKEY
		}
		key = d.m.keyring[parts[2]]
	} else {
		var err error
		if key, err = hex.DecodeString(f[1]); err != nil {
			return unix.EINVAL
		}
	}
	key = slices.Clone(key)
	if err := d.on(t, v, f[3], f[4]); err != nil {
		return err
	}
	v.key = key
	if p := v.base.locate(0, nil, 0); p.leaf != nil && p.leaf.Inside != nil {
		v.on, v.from, v.key = p.leaf.Inside, 0, nil
	}
	return nil
}

func (d mapper) drop(t *dmTable) {
	if t == nil {
		return
	}
	for _, disk := range t.uses {
		d.m.release(disk, "dm")
	}
}

func (d mapper) Resume(r devmapper.Ref, o devmapper.ResumeOptions) (devmapper.Info, error) {
	x, err := d.get(r)
	if err != nil {
		return devmapper.Info{}, err
	}
	if t := x.loaded; t != nil {
		if x.live != nil {
			for _, lower := range x.live.uses {
				d.m.unhold(x.disk, lower)
			}
			d.drop(x.live)
		}
		x.live, x.loaded = t, nil
		x.disk.views = t.views
		x.disk.ReadOnly = t.readOnly
		last := t.views[len(t.views)-1]
		x.disk.Size = last.at + last.n
		for _, lower := range t.uses {
			d.m.hold(x.disk, lower)
		}
		x.info.Inactive = false
	}
	x.info.Live, x.info.Suspended, x.info.ReadOnly = x.live != nil, false, x.disk.ReadOnly
	if x.live != nil {
		x.info.Targets = uint32(len(x.live.lines))
	}
	d.m.sys.set(x.disk.devpath+"/dm/suspended", "0")
	d.m.appear(x.disk)
	d.m.tell("change", x.disk, "DM_COOKIE", strconv.FormatUint(uint64(o.Cookie), 10))
	x.info.UeventFired = true
	return x.info, nil
}

func (d mapper) Remove(r devmapper.Ref, _ devmapper.RemoveOptions) (devmapper.Info, error) {
	x, err := d.get(r)
	if err != nil {
		return devmapper.Info{}, err
	}
	if d.m.busy(x.disk) {
		return devmapper.Info{}, fmt.Errorf("device mapper: remove %s: %w", r, unix.EBUSY)
	}
	for _, t := range []*dmTable{x.live, x.loaded} {
		if t != nil {
			for _, lower := range t.uses {
				d.m.unhold(x.disk, lower)
			}
		}
		d.drop(t)
	}
	d.m.mapped = slices.DeleteFunc(d.m.mapped, func(o *mapping) bool { return o == x })
	d.m.Unplug(x.disk)
	return x.info, nil
}

func (d mapper) Info(r devmapper.Ref) (devmapper.Info, error) {
	x, err := d.get(r)
	if err != nil {
		return devmapper.Info{}, err
	}
	info := x.info
	info.OpenCount = x.disk.holds
	return info, nil
}

func (d mapper) Clear(r devmapper.Ref) (devmapper.Info, error) {
	x, err := d.get(r)
	if err != nil {
		return devmapper.Info{}, err
	}
	d.drop(x.loaded)
	x.loaded, x.info.Inactive = nil, false
	return x.info, nil
}

func (d mapper) Suspend(r devmapper.Ref, _ devmapper.SuspendOptions) (devmapper.Info, error) {
	x, err := d.get(r)
	if err != nil {
		return devmapper.Info{}, err
	}
	x.info.Suspended = true
	d.m.sys.set(x.disk.devpath+"/dm/suspended", "1")
	return x.info, nil
}

func (d mapper) Table(r devmapper.Ref) ([]devmapper.Target, error) {
	x, err := d.get(r)
	if err != nil || x.live == nil {
		return nil, err
	}
	var out []devmapper.Target
	for _, l := range x.live.lines {
		l.Params = slices.Clone(l.Params)
		out = append(out, l)
	}
	return out, nil
}

// Status implements devmapper.Mapper: these targets have none.
func (d mapper) Status(r devmapper.Ref) ([]devmapper.Target, error) {
	list, err := d.Table(r)
	for i := range list {
		list[i].Params = nil
	}
	return list, err
}

func (d mapper) Deps(r devmapper.Ref) ([]devmapper.Devnum, error) {
	x, err := d.get(r)
	if err != nil || x.live == nil {
		return nil, err
	}
	var out []devmapper.Devnum
	for _, u := range x.live.uses {
		if n := (devmapper.Devnum{Major: uint32(u.major), Minor: uint32(u.minor)}); !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out, nil
}

func (d mapper) Devices() ([]devmapper.ListEntry, error) {
	var out []devmapper.ListEntry
	for _, x := range d.m.mapped {
		out = append(out, devmapper.ListEntry{Name: x.info.Name, Dev: x.info.Dev})
	}
	return out, nil
}

func (mapper) Version() (devmapper.Version, error) {
	return devmapper.Version{Major: 4, Minor: 48}, nil
}

func (d mapper) Targets() ([]devmapper.TargetVersion, error) {
	out := []devmapper.TargetVersion{{Name: "error", Version: devmapper.Version{Major: 1, Minor: 6}},
		{Name: "linear", Version: devmapper.Version{Major: 1, Minor: 4}}, {Name: "striped", Version: devmapper.Version{Major: 1, Minor: 6}}}
	out = append(out, devmapper.TargetVersion{Name: "verity", Version: devmapper.Version{Major: 1, Minor: 9}})
	if d.m.kmod.has("dm-crypt") {
		out = append(out, devmapper.TargetVersion{Name: "crypt", Version: devmapper.Version{Major: 1, Minor: 24}})
	}
	return out, nil
}

// WithSignature implements machine.System.
func (m *Machine) WithSignature(description string, signature []byte, f func() error) error {
	return m.WithKey(description, signature, f)
}

// Certificates implements machine.Signatures.
func (m *Machine) Certificates() ([]machine.Certificate, error) { return m.Certified, nil }

// VerifySignature implements machine.Signatures.
func (m *Machine) VerifySignature(certificate []byte, encoding, hash string, sum, signature []byte) error {
	if m.NoKeyring {
		return machine.ErrNoKeyring
	}
	if m.Verify == nil {
		return unix.ENOKEY
	}
	return m.Verify(certificate, encoding, hash, sum, signature)
}

// WithKey implements machine.System.
func (m *Machine) WithKey(description string, key []byte, f func() error) error {
	if m.NoKeyring {
		return machine.ErrNoKeyring
	}
	m.keyring[description] = slices.Clone(key)
	defer delete(m.keyring, description)
	return f()
}
