package check

import (
	"path"
	"slices"
	"strings"

	"firstlight/internal/kmod"
	"firstlight/internal/snapshot"
)

// devices is the hardware of the snapshot on its way into the modelled
// kernel: a device is there once those above it have their drivers.
type devices struct {
	w      *world
	all    map[string]*hardware // by devpath
	roots  []*hardware
	wholes map[string]*hardware // by name: there once one of their paths is
	booted bool                 // devices are announced from now on
}

// hardware is one device of the snapshot.
type hardware struct {
	path      string
	driver    string   // directory of the driver that it has in the snapshot, ""
	module    string   // the driver's module, "" when it is a part of the kernel
	suppliers []string // devices that must have their drivers first
	children  []*hardware
	nodes     []string // attributes and links of it
	there     bool
	bound     bool
}

// stacked says whether a block device is made by handlers, is connected to on a
// server, or is of a kind that no boot starts from: not there until somebody makes it.
func stacked(devpath string) bool {
	return strings.HasPrefix(devpath, "/devices/virtual/block/") || strings.HasPrefix(devpath, "/devices/virtual/nvme-fabrics/") || strings.HasPrefix(devpath, "/devices/platform/host") && strings.Contains(devpath, "/session")
}

// newDevices sorts the snapshot's tree by devices.
func newDevices(w *world) *devices {
	d := &devices{w: w, all: map[string]*hardware{}, wholes: map[string]*hardware{}}
	sys := w.snap.Sys
	for _, p := range sys.Devices() {
		if !stacked(p) {
			d.add(p)
		}
	}
	own := func(p string) *hardware {
		for up := path.Dir(p); up != "/"; up = path.Dir(up) {
			if h := d.all[up]; h != nil {
				return h
			}
		}
		return nil
	}
	for p := range sys.Files {
		if h := own(p); h != nil {
			h.nodes = append(h.nodes, p)
		}
	}
	for p, target := range sys.Links {
		h := own(p)
		switch {
		case h == nil:
			continue
		case p == h.path+"/driver":
			h.driver = target
			h.module = kmod.NormalizeName(path.Base(sys.Links[target+"/module"]))
			if sys.Links[target+"/module"] == "" {
				h.module = ""
			}
		case strings.HasPrefix(path.Base(p), "supplier:"):
			h.suppliers = append(h.suppliers, target)
		default:
			h.nodes = append(h.nodes, p)
		}
	}
	for _, h := range d.all {
		slices.Sort(h.nodes)
		slices.Sort(h.suppliers)
	}
	return d
}

func (d *devices) add(p string) {
	h := &hardware{path: p}
	d.all[p] = h
	whole := strings.HasPrefix(p, "/devices"+snapshot.Namespaces+"/")
	for up := path.Dir(p); up != "/"; up = path.Dir(up) {
		if above := d.all[up]; above != nil {
			above.children = append(above.children, h)
			if whole {
				d.wholes[path.Base(p)] = above
			}
			return
		}
	}
	if !whole {
		d.roots = append(d.roots, h)
	}
}

// start makes what the kernel finds without any module.
func (d *devices) start() {
	for _, h := range d.roots {
		d.appear(h)
	}
	d.settle()
	d.booted = true
}

// appear makes a device, and with it those that need nothing more.
func (d *devices) appear(h *hardware) {
	if h.there {
		return
	}
	h.there = true
	w := d.w
	sys := w.snap.Sys
	if name := snapshot.Whole(path.Base(h.path)); name != "" { // it is hidden
		if whole := d.wholes[name]; whole != nil {
			d.appear(whole)
		}
		return
	}
	for _, p := range h.nodes {
		if v, ok := sys.Files[p]; ok {
			if p == h.path+"/uevent" {
				v = withoutDriver(v)
			}
			w.live.Set(p, v)
		} else {
			w.live.Link(p, sys.Links[p])
		}
	}
	if at := snapshot.Registered(sys, h.path); at != "" {
		w.live.Link(at, h.path)
	}
	if sys.Links[h.path+"/subsystem"] == "/class/block" {
		w.plug(h.path)
	}
	if d.booted {
		w.uevent("add", h.path)
	}
	if h.driver == "" {
		d.below(h)
	}
}

func (d *devices) below(h *hardware) {
	for _, c := range h.children {
		d.appear(c)
	}
}

// withoutDriver is the uevent attribute of a device before it has its driver.
func withoutDriver(text string) string {
	lines := strings.Split(text, "\n")
	return strings.Join(slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, "DRIVER=") }), "\n")
}

// settle gives devices the drivers that have come, until nothing changes.
func (d *devices) settle() {
	d.w.modules.take()
	for again := true; again; {
		again = false
		for _, h := range d.sorted() {
			if h.there && !h.bound && h.driver != "" && d.ready(h) {
				d.bind(h)
				again = true
			}
		}
	}
}

func (d *devices) sorted() []*hardware {
	out := make([]*hardware, 0, len(d.all))
	for _, h := range d.all {
		out = append(out, h)
	}
	slices.SortFunc(out, func(a, b *hardware) int { return strings.Compare(a.path, b.path) })
	return out
}

// ready says whether the driver of a device is there, and those of the
// devices that must have theirs first.
func (d *devices) ready(h *hardware) bool {
	if h.module != "" && !d.w.modules.there(h.module) {
		return false
	}
	return !slices.ContainsFunc(h.suppliers, func(p string) bool {
		s := d.all[p]
		return s != nil && s.driver != "" && !s.bound
	})
}

func (d *devices) bind(h *hardware) {
	w := d.w
	h.bound = true
	w.live.Link(h.path+"/driver", h.driver)
	w.live.Set(h.driver+"/uevent", "")
	if module := w.snap.Sys.Links[h.driver+"/module"]; module != "" {
		w.live.Link(h.driver+"/module", module)
	}
	if text, err := w.live.Read(h.path + "/uevent"); err == nil {
		w.live.Set(h.path+"/uevent", strings.TrimLeft(text+"\nDRIVER="+path.Base(h.driver), "\n"))
	}
	if d.booted {
		w.uevent("bind", h.path, "DRIVER", path.Base(h.driver))
	}
	d.below(h)
}

// lacking lists the devices that are there without the driver that they had
// in the snapshot and that others are below, with the driver's module.
func (d *devices) lacking() []*hardware {
	var out []*hardware
	for _, h := range d.sorted() {
		if h.there && !h.bound && h.driver != "" && d.carries(h) {
			out = append(out, h)
		}
	}
	return out
}

// carries says whether a block device is below.
func (d *devices) carries(h *hardware) bool {
	return slices.ContainsFunc(h.children, func(c *hardware) bool {
		return d.w.snap.Sys.Links[c.path+"/subsystem"] == "/class/block" || d.carries(c)
	})
}
