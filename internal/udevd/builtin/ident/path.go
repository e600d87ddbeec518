package ident

import (
	"strconv"
	"strings"

	"firstlight/internal/device"
	"firstlight/internal/fmt"
	"firstlight/internal/udevd/sysdev"
)

// where is a path that is put together from its end.
type where struct {
	path      string
	compat    string // the form without the drive on the cable, of ATA
	parent    bool   // something that cannot have the same name twice is above
	transport bool   // something that tells the devices below a bus apart
}

func (w *where) add(format string, args ...any) {
	w.path = prepend(w.path, fmt.Sprintf(format, args...))
}

// addBoth adds to the older form too, if there is one.
func (w *where) addBoth(part string) {
	w.path = prepend(w.path, part)
	if w.compat != "" {
		w.compat = prepend(w.compat, part)
	}
}

func prepend(path, part string) string {
	if path == "" {
		return part
	}
	return part + "-" + path
}

// PathID sets ID_PATH, where the device is attached, in a form that does not
// depend on the order in which drivers load; ID_PATH_TAG, the same for use as
// a tag; ID_PATH_ATA_COMPAT, the form before systemd 220 of an ATA disk's;
// and ID_PATH_WITH_USB_REVISION, which tells the two sides of a USB 3 port
// apart. ErrNothing if the device has no such place: a block device whose bus
// does not tell its devices apart, or one that hangs below no known bus.
func PathID(dev *device.Device) error {
	var w where
	for p := dev; p != nil; p = p.Parent() {
		if p = w.step(dev, p); p == nil {
			break
		}
	}
	if w.path == "" || !w.parent || dev.Subsystem() == "block" && !w.transport {
		return fmt.Errorf("path_id: %s: %w", dev.Devpath(), ErrNothing)
	}
	if plain, ok := withoutRevision(w.path); ok {
		dev.SetProperty("ID_PATH_WITH_USB_REVISION", w.path)
		w.path = plain
	}
	dev.SetProperty("ID_PATH", w.path)
	dev.SetProperty("ID_PATH_TAG", tag(w.path))
	set(dev, "ID_PATH_ATA_COMPAT", w.compat)
	return nil
}

// withoutRevision turns "…-usbv3-…" into "…-usb-…".
func withoutRevision(p string) (string, bool) {
	i := strings.Index(p, "-usbv")
	if i < 0 || len(p) < i+7 || p[i+5] < '0' || p[i+5] > '9' || p[i+6] != '-' {
		return p, false
	}
	return p[:i+4] + p[i+6:], true
}

// tag keeps letters, digits and '-' and turns each run of anything else into
// one '_', none at the ends.
func tag(p string) string {
	var b []byte
	for i := range len(p) {
		c := p[i]
		switch {
		case c == '-', c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
			b = append(b, c)
		case len(b) > 0 && b[len(b)-1] != '_':
			b = append(b, '_')
		}
	}
	return strings.TrimRight(string(b), "_")
}

// step adds what p, which dev hangs below, contributes, and returns the
// device to go on above; nil ends the path there.
func (w *where) step(dev, p *device.Device) *device.Device {
	switch s := p.Subsystem(); s {
	case "scsi_tape":
		w.tape(p)
	case "scsi":
		w.transport = true
		return w.scsi(p)
	case "cciss":
		w.transport = true
		if disk, ok := ccissDisk(p.Sysname()); ok {
			w.add("cciss-disk%d", disk)
			return skip(p)
		}
		return nil
	case "usb":
		w.transport = true
		return w.usb(p)
	case "bcma":
		w.transport = true
		name, ok := strings.CutPrefix(p.Sysname(), "bcma")
		_, core, ok2 := strings.Cut(name, ":")
		if n, err := strconv.ParseUint(core, 10, 32); ok && ok2 && err == nil {
			w.add("bcma-%d", n)
			return p
		}
		return nil
	case "serio":
		if n := p.Sysnum(); n != "" {
			w.add("serio-%s", n)
			return skip(p)
		}
	case "pci", "acpi", "xen":
		w.addBoth(s + "-" + p.Sysname())
		w.parent = true
		return skip(p)
	case "platform", "amba", "scm", "ccw", "ccwgroup", "iucv":
		w.addBoth(s + "-" + p.Sysname())
		w.parent, w.transport = true, true
		return skip(p)
	case "virtio":
		w.transport = true
		return skip(p)
	case "ap":
		w.parent, w.transport = true, true
		kind, ok1 := p.Attr("type")
		functions, ok2 := p.Attr("ap_functions")
		if ok1 && ok2 {
			w.add("ap-%s-%s", kind, functions)
		} else {
			w.add("ap-%s", p.Sysname())
		}
		return skip(p)
	case "nvme", "nvme-subsystem":
		return w.nvme(dev, p)
	case "spi":
		if n := p.Sysnum(); n != "" {
			w.add("cs-%s", n)
			return skip(p)
		}
	}
	return p
}

// skip gives the topmost of the devices above p that are, without a gap, of
// its subsystem.
func skip(p *device.Device) *device.Device {
	s := p.Subsystem()
	for up := p.Parent(); up != nil && up.Subsystem() == s; up = up.Parent() {
		p = up
	}
	return p
}

// tape adds the mode of a tape drive's node, which stands at the end.
func (w *where) tape(p *device.Device) {
	if w.path != "" {
		return
	}
	name := p.Sysname()
	for _, prefix := range [...]string{"nst", "st"} {
		rest, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		if rest != "" && strings.IndexByte("lma", rest[0]) >= 0 {
			w.add("%s%s", prefix, rest[:1])
		}
		return
	}
}

// ccissDisk takes the number of the disk out of "c0d1…".
func ccissDisk(name string) (uint64, bool) {
	rest, ok := strings.CutPrefix(name, "c")
	controller, disk, ok2 := strings.Cut(rest, "d")
	if _, err := strconv.ParseUint(controller, 10, 32); !ok || !ok2 || err != nil {
		return 0, false
	}
	end := 0
	for end < len(disk) && disk[end] >= '0' && disk[end] <= '9' {
		end++
	}
	n, err := strconv.ParseUint(disk[:end], 10, 32)
	return n, err == nil
}

// usb adds the ports that lead to a USB device. The number of the bus changes
// from boot to boot, so it is left out; instead the generation of the root
// hub stands there, for a USB 3 controller has one for each, with the same
// ports.
func (w *where) usb(p *device.Device) *device.Device {
	if t := p.Devtype(); t != "usb_interface" && t != "usb_device" {
		return p
	}
	_, port, ok := strings.Cut(p.Sysname(), "-")
	if !ok {
		return p
	}
	hub := skip(p)
	if v := usbRevision(hub); v > 0 {
		w.add("usbv%d-0:%s", v, port)
	} else {
		w.add("usb-0:%s", port)
	}
	return hub
}

// usbRevision tells the generation of a hub by its device protocol (USB 2.0,
// table 11-1; USB 3.2, table 10-2); 0 if it says none.
func usbRevision(hub *device.Device) int {
	protocol, _ := hub.Attr("bDeviceProtocol")
	switch protocol {
	case "00": // a hub of USB 1, or of USB 2 at the root
		switch speed, ok := hub.Attr("speed"); {
		case !ok:
			return 0
		case speed == "480":
			return 2
		}
		return 1
	case "01", "02":
		return 2
	case "03":
		return 3
	}
	return 0
}

// nvme adds the namespace. With multipath support a namespace hangs below a
// virtual subsystem; the controller whose number it carries says where it is.
func (w *where) nvme(dev, p *device.Device) *device.Device {
	nsid, ok := dev.Attr("nsid")
	if !ok {
		return p
	}
	if p.Subsystem() == "nvme-subsystem" {
		name, _ := strings.CutPrefix(dev.Sysname(), "nvme")
		end := 0
		for end < len(name) && name[end] >= '0' && name[end] <= '9' {
			end++
		}
		if p = sysdev.Open(dev.Sys(), "nvme", "nvme"+name[:end]); p == nil || strings.HasPrefix(p.Devpath(), "/devices/virtual/") {
			w.path = "" // no place on this machine
			return nil
		}
	}
	w.addBoth("nvme-" + nsid)
	w.parent, w.transport = true, true
	return skip(p)
}
