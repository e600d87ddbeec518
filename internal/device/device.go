// Package device holds what the rest of Firstlight knows of one kernel
// device: where it stands in sysfs, what the kernel and the rules said of it,
// and what it is called in /dev.
//
// A Device is read by rules, builtins and filters. Sysfs is reached only
// through the sysfs.FS that it was made with, so that everything which asks
// a Device also works on a machine that exists only in a test.
package device

import (
	"maps"
	"path"
	"strconv"
	"strings"

	"firstlight/internal/order"
	"firstlight/internal/sysfs"
)

// Device is one kernel device. The zero value is not usable; see New. It is
// not safe for concurrent use.
type Device struct {
	sys     sysfs.FS
	devpath string
	props   map[string]string // the kernel's properties and those that rules set
	links   map[string]int    // links below /dev, without "/dev/", with their priority
	tags    map[string]bool
	parent  *Device
	looked  bool // parent has been looked for
	attrs   map[string]attr
}

type attr struct {
	value string
	ok    bool
}

// New returns the device at devpath (without "/sys") with the kernel's
// properties of it, as they stand in its uevent file or in a uevent. props
// may be nil: then the uevent file and the links "subsystem" and "driver" are
// read. The device keeps props.
func New(sys sysfs.FS, devpath string, props map[string]string) *Device {
	d := &Device{sys: sys, devpath: devpath, props: props,
		links: map[string]int{}, tags: map[string]bool{}, attrs: map[string]attr{}}
	if d.props == nil {
		d.props = ReadUevent(sys, devpath)
	}
	d.props["DEVPATH"] = devpath
	return d
}

// ReadUevent reads what the kernel says of the device at devpath: its uevent
// file, with SUBSYSTEM and DRIVER taken from the links of the same names
// where the file has no such line. A device that is gone gives an empty map.
func ReadUevent(sys sysfs.FS, devpath string) map[string]string {
	text, _ := sys.Read(devpath + "/uevent") // the links say whether it is gone
	props := ParseUevent(text)
	for _, l := range [...]struct{ key, link string }{{"SUBSYSTEM", "/subsystem"}, {"DRIVER", "/driver"}} {
		if props[l.key] == "" {
			if target, err := sys.Readlink(devpath + l.link); err == nil {
				props[l.key] = path.Base(target)
			}
		}
	}
	return props
}

// ParseUevent reads the text of a uevent file. The node has the path in /dev.
func ParseUevent(text string) map[string]string {
	props := map[string]string{}
	for line := range strings.SplitSeq(text, "\n") {
		if k, v, ok := strings.Cut(line, "="); ok {
			props[k] = v
		}
	}
	if name := props["DEVNAME"]; name != "" && !strings.HasPrefix(name, "/") {
		props["DEVNAME"] = "/dev/" + name
	}
	return props
}

// Sys returns the sysfs that the device was made with.
func (d *Device) Sys() sysfs.FS { return d.sys }

// Devpath is the device's place in sysfs without "/sys":
// "/devices/pci0000:00/0000:00:03.0/virtio0/block/vda".
func (d *Device) Devpath() string { return d.devpath }

// Sysname is the last element of the devpath, with '!' turned into '/': the
// udev rules' KERNEL and %k.
func (d *Device) Sysname() string {
	return strings.ReplaceAll(path.Base(d.devpath), "!", "/")
}

// Sysnum is the number at the end of Sysname, or "": the udev rules' %n.
func (d *Device) Sysnum() string {
	s := d.Sysname()
	i := len(s)
	for i > 0 && s[i-1] >= '0' && s[i-1] <= '9' {
		i--
	}
	return s[i:]
}

// Subsystem is the kernel subsystem: "block", "pci", "net" …
func (d *Device) Subsystem() string { return d.props["SUBSYSTEM"] }

// Devtype is the kernel's DEVTYPE: "disk", "partition", "usb_device" …
func (d *Device) Devtype() string { return d.props["DEVTYPE"] }

// Driver is the name of the bound driver, or "".
func (d *Device) Driver() string { return d.props["DRIVER"] }

// Devname is the node in /dev, "/dev/sda", or "" for a device without one.
func (d *Device) Devname() string { return d.props["DEVNAME"] }

// Devnum is the device number; ok is false for a device without a node.
func (d *Device) Devnum() (major, minor uint32, ok bool) {
	ma, err1 := strconv.ParseUint(d.props["MAJOR"], 10, 32)
	mi, err2 := strconv.ParseUint(d.props["MINOR"], 10, 32)
	return uint32(ma), uint32(mi), err1 == nil && err2 == nil
}

// Property returns a property of the device database: the kernel's, or one
// that a rule set. A missing one is "".
func (d *Device) Property(key string) string { return d.props[key] }

// HasProperty says whether the property exists, empty or not.
func (d *Device) HasProperty(key string) bool { _, ok := d.props[key]; return ok }

// SetProperty sets a property; the empty value removes it, as udev's rules
// have it.
func (d *Device) SetProperty(key, value string) {
	if value == "" {
		delete(d.props, key)
		return
	}
	d.props[key] = value
}

// Properties returns a copy of all properties.
func (d *Device) Properties() map[string]string { return maps.Clone(d.props) }

// AddLink records a link below /dev ("disk/by-uuid/…", without "/dev/") with
// its priority: of several devices that claim one link the one with the
// highest priority gets it.
func (d *Device) AddLink(name string, priority int) { d.links[name] = priority }

// RemoveLink forgets a link.
func (d *Device) RemoveLink(name string) { delete(d.links, name) }

// HasLink says whether the device claims the link.
func (d *Device) HasLink(name string) bool { _, ok := d.links[name]; return ok }

// Links returns the claimed links, sorted, without "/dev/".
func (d *Device) Links() []string { return order.Keys(d.links) }

// LinkPriority is the priority with which the device claims a link.
func (d *Device) LinkPriority(name string) int { return d.links[name] }

// SetTag sets or removes a tag.
func (d *Device) SetTag(tag string, on bool) {
	if on {
		d.tags[tag] = true
		return
	}
	delete(d.tags, tag)
}

// HasTag says whether the device carries the tag.
func (d *Device) HasTag(tag string) bool { return d.tags[tag] }

// Tags returns the tags, sorted.
func (d *Device) Tags() []string { return order.Keys(d.tags) }

// Attr returns a sysfs attribute of the device with trailing newlines
// removed, as udev's ATTR{name} sees it: a link gives the last element of
// its target where udev does so (driver, subsystem, module). It is read once
// for each Device value.
func (d *Device) Attr(name string) (string, bool) {
	if a, ok := d.attrs[name]; ok {
		return a.value, a.ok
	}
	var a attr
	if name == "driver" || name == "subsystem" || name == "module" {
		if target, err := d.sys.Readlink(d.devpath + "/" + name); err == nil {
			a = attr{path.Base(target), true}
		}
	} else if v, err := d.sys.Read(d.devpath + "/" + name); err == nil {
		a = attr{v, true}
	}
	d.attrs[name] = a
	return a.value, a.ok
}

// ForgetAttrs drops what Attr has read, so that the next event on the device
// sees fresh values.
func (d *Device) ForgetAttrs() { clear(d.attrs); d.looked, d.parent = false, nil }

// Parent returns the next device up the devpath, or nil. Directories that
// are not devices (no uevent file) are passed over.
func (d *Device) Parent() *Device {
	if d.looked {
		return d.parent
	}
	d.looked = true
	for p := path.Dir(d.devpath); p != "/" && p != "/devices" && p != "."; p = path.Dir(p) {
		if d.sys.Exists(p + "/uevent") {
			d.parent = New(d.sys, p, nil)
			break
		}
	}
	return d.parent
}

// SetParent gives the device a parent that is already known (one of the
// device database), so that Parent returns it with its properties.
func (d *Device) SetParent(p *Device) { d.parent, d.looked = p, true }
