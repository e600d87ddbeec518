package handlertest

import (
	"fmt"

	"golang.org/x/sys/unix"

	"firstlight/internal/devmapper"
)

// Mapper is a device mapper of maps. A device that is resumed appears and is
// announced as the kernel does it. Methods that it does not have panic.
type Mapper struct {
	devmapper.Mapper
	// Tables are the live tables, by name; Order are the names in the order
	// in which they became live, ReadOnly those that cannot be written.
	Tables   map[string][]devmapper.Target
	Order    []string
	ReadOnly map[string]bool
	// UUIDs are by name.
	UUIDs map[string]string
	// Busy are names of devices that are in use.
	Busy map[string]bool

	m       *Machine
	devices map[string]*mapped
}

type mapped struct {
	uuid     string
	minor    uint32
	loaded   []devmapper.Target
	readOnly bool
	live     bool
}

func (d *Mapper) info(name string) devmapper.Info {
	x := d.devices[name]
	return devmapper.Info{Name: name, UUID: x.uuid, Dev: devmapper.Devnum{Major: 253, Minor: x.minor}, Live: x.live}
}

// Info implements devmapper.Mapper.
func (d *Mapper) Info(r devmapper.Ref) (devmapper.Info, error) {
	for name, x := range d.devices {
		if name == r.Name || r.Name == "" && r.UUID != "" && x.uuid == r.UUID {
			return d.info(name), nil
		}
	}
	return devmapper.Info{}, fmt.Errorf("%v: %w", r, unix.ENXIO)
}

// Create implements devmapper.Mapper.
func (d *Mapper) Create(name, uuid string) (devmapper.Info, error) {
	if d.devices[name] != nil {
		return devmapper.Info{}, fmt.Errorf("create %s: %w", name, unix.EBUSY)
	}
	d.devices[name] = &mapped{uuid: uuid, minor: uint32(len(d.devices))}
	return d.info(name), nil
}

// Load implements devmapper.Mapper.
func (d *Mapper) Load(r devmapper.Ref, table []devmapper.Target, o devmapper.LoadOptions) (devmapper.Info, error) {
	x := d.devices[r.Name]
	x.loaded, x.readOnly = nil, o.ReadOnly
	for _, t := range table { // the caller wipes those with a key
		t.Params = append([]byte(nil), t.Params...)
		x.loaded = append(x.loaded, t)
	}
	return d.info(r.Name), nil
}

// Resume implements devmapper.Mapper.
func (d *Mapper) Resume(r devmapper.Ref, o devmapper.ResumeOptions) (devmapper.Info, error) {
	x := d.devices[r.Name]
	x.live = true
	d.Tables[r.Name] = x.loaded
	d.Order = append(d.Order, r.Name)
	if d.UUIDs == nil {
		d.UUIDs, d.ReadOnly = map[string]string{}, map[string]bool{}
	}
	d.UUIDs[r.Name], d.ReadOnly[r.Name] = x.uuid, x.readOnly
	attrs := map[string]string{"dm/name": r.Name, "dm/uuid": x.uuid, "dm/suspended": "0"}
	node := fmt.Sprintf("/dev/dm-%d", x.minor) // it is there before it is announced
	d.m.blocks[node] = Disk{Size: 1 << 20}
	d.m.events = append(d.m.events, func() {
		d.m.b.disk(Disk{Name: fmt.Sprintf("dm-%d", x.minor), Attrs: attrs}, 253, int(x.minor), "change",
			map[string]string{"DM_COOKIE": o.Cookie.String()})
	})
	return d.info(r.Name), nil
}

// Table implements devmapper.Mapper.
func (d *Mapper) Table(r devmapper.Ref) ([]devmapper.Target, error) { return d.Tables[r.Name], nil }

// Suspend implements devmapper.Mapper.
func (d *Mapper) Suspend(r devmapper.Ref, _ devmapper.SuspendOptions) (devmapper.Info, error) {
	return d.info(r.Name), nil
}

// Remove implements devmapper.Mapper.
func (d *Mapper) Remove(r devmapper.Ref, _ devmapper.RemoveOptions) (devmapper.Info, error) {
	if d.Busy[r.Name] {
		return devmapper.Info{}, fmt.Errorf("remove %s: %w", r.Name, unix.EBUSY)
	}
	info := d.info(r.Name)
	delete(d.devices, r.Name)
	delete(d.Tables, r.Name)
	return info, nil
}
