package nethelper

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"firstlight/internal/device"
	"firstlight/internal/netconf"
	"firstlight/internal/netfile"
	"firstlight/internal/netid"
	"firstlight/internal/netup"
	"firstlight/internal/rtnl"
	"firstlight/internal/sysfile"
	"firstlight/internal/sysfs"
	"firstlight/internal/udevd/builtin/ident"
)

// directories are where systemd's files for links are, the first ones before the
// others.
var directories = [...]string{"/etc/systemd/network", "/run/systemd/network", "/usr/local/lib/systemd/network", "/usr/lib/systemd/network", "/lib/systemd/network"}

// files are what the image's files say of links.
type files struct {
	links       *netfile.Links
	scheme      netid.Scheme
	predictable bool
	params      []netconf.Param
	all         []netfile.File
	problems    []string
}

func readFiles(params []netconf.Param) *files {
	f := &files{scheme: netid.Latest, predictable: netup.Predictable(params), params: params}
	for _, p := range params {
		if p.Name != "net.naming-scheme" && p.Name != "net.naming_scheme" {
			continue
		}
		s, ok := netid.ParseScheme(p.Value)
		if !ok {
			f.problems = append(f.problems, p.Name+"="+p.Value+": not a naming scheme, write it as v252")
			continue
		}
		f.scheme = s
	}
	for _, dir := range directories {
		f.all = append(f.all, read(dir, 1)...)
	}
	links := netfile.Choose(f.all, ".link")
	if len(links) == 0 {
		links = []netfile.File{{Path: "99-default.link", Text: netfile.Default}}
	}
	var problems []string
	f.links, problems = netfile.ParseLinks(links)
	f.problems = append(f.problems, problems...)
	return f
}

// made adds the links that the files want to have made to those of the command
// line.
func (f *files) made(list []netup.Made) []netup.Made {
	devs, bad := netfile.ParseNetDevs(netfile.Choose(f.all, ".netdev"))
	nets, worse := netfile.ParseNetworks(netfile.Choose(f.all, ".network"))
	list, more := netup.FromFiles(list, devs, nets, sysfile.ReadFile)
	if len(devs) > 0 || len(bad) > 0 { // .network files alone are for the real system
		f.problems = append(append(append(f.problems, bad...), worse...), more...)
	}
	return list
}

// read reads the files of a directory, and of those in it, as deep.
func read(dir string, deep int) (list []netfile.File) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil // there is none
	}
	for _, e := range entries {
		p := dir + "/" + e.Name()
		if e.IsDir() {
			if deep > 0 {
				list = append(list, read(p, deep-1)...)
			}
			continue
		}
		if text, err := sysfile.ReadFile(p); err == nil {
			list = append(list, netfile.File{Path: p, Text: string(text)})
		}
	}
	return list
}

// identify says what the files make of a link.
func (f *files) identify(l rtnl.Link) (id netup.Identity) {
	sys := sysfs.Dir("/sys")
	d := f.device(sys, l)
	rule := f.links.For(d)
	if rule == nil {
		return id
	}
	given, _ := sys.Read("/class/net/" + l.Name + "/addr_assign_type")
	id.Random = strings.TrimSpace(given) == "1"
	id.Alias, id.MTU, id.Address = rule.Alias, rule.MTU, rule.Address
	if id.Address == nil && rule.Addresses == "random" && len(l.Address) == 6 {
		id.Address = make([]byte, 6)
		unix.Getrandom(id.Address, unix.GRND_NONBLOCK)
		id.Address[0] = id.Address[0]&^1 | 2 // of one machine, and of no maker
	}
	id.Name = f.name(sys, l.Name, rule)
	return id
}

// name is the name by a rule, "" where the link keeps its own.
func (f *files) name(sys sysfs.FS, link string, rule *netfile.Link) string {
	assigned := netid.AssignedTo(sys, link)
	names := netid.Names{}
	if f.predictable && len(rule.Policy) > 0 {
		names = netid.Of(sys, link, f.scheme)
	}
	for _, p := range rule.Policy {
		name := ""
		switch {
		case !f.predictable:
		case p == "keep" && (assigned == netid.ByUser || assigned == netid.Renamed), p == "kernel" && assigned == netid.Predictable:
			return ""
		case p == "onboard":
			name = names.Onboard
		case p == "slot":
			name = names.Slot
		case p == "path":
			name = names.Path
		case p == "mac":
			name = names.MAC
		}
		if name != "" {
			return name
		}
	}
	return rule.Name
}

// device is a link as files see it.
func (f *files) device(sys sysfs.FS, l rtnl.Link) *netfile.Device {
	at := "/class/net/" + l.Name
	typ := netid.DevType(sys, l.Name)
	if typ == "" {
		typ = map[uint16]string{1: "ether", 32: "infiniband", 772: "loopback", 65534: "none", 512: "ppp"}[l.Type]
	}
	assigned := netid.AssignedTo(sys, l.Name)
	d := &netfile.Device{Name: l.Name, Address: l.Address, Permanent: l.Permanent, Kind: l.Kind, Type: typ,
		Renamed: assigned == netid.ByUser || assigned == netid.Renamed}
	if d.Permanent == nil { // a kernel that does not tell: what it has by itself, if it has
		if t, _ := sys.Read(at + "/addr_assign_type"); strings.TrimSpace(t) == "0" {
			d.Permanent = l.Address
		}
	}
	var dev *device.Device
	known := func() *device.Device {
		if dev == nil {
			path, err := sys.Resolve(at)
			if err != nil {
				path = at
			}
			dev = device.New(sys, path, device.ReadUevent(sys, path))
			dev.SetProperty("SUBSYSTEM", "net")
			ident.PathID(dev) // what has no place or is on no bus has no property
			ident.USBID(dev)
			n := netid.Of(sys, l.Name, f.scheme)
			for k, v := range map[string]string{"ID_NET_NAME_ONBOARD": n.Onboard, "ID_NET_NAME_SLOT": n.Slot, "ID_NET_NAME_PATH": n.Path, "ID_NET_NAME_MAC": n.MAC} {
				if v != "" {
					dev.SetProperty(k, v)
				}
			}
		}
		return dev
	}
	d.Path = func() string { return known().Property("ID_PATH") }
	d.Property = func(name string) string { return known().Property(name) }
	d.Driver = func() string {
		target, err := sys.Readlink(at + "/device/driver")
		if err != nil {
			return ""
		}
		return target[strings.LastIndexByte(target, '/')+1:]
	}
	d.Parameter = func(word string) bool {
		name, value, has := strings.Cut(word, "=")
		for _, p := range f.params {
			if p.Name == name && (!has || p.HasValue && p.Value == value) {
				return true
			}
		}
		return false
	}
	return d
}
