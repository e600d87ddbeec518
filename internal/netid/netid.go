// Package netid gives network links the predictable names that systemd's udevd
// gives them by its own 99-default.link (systemd.net-naming-scheme(7)): by the
// firmware's index of an onboard card, by the number of a hot-plug slot, or by
// the place on the PCI bus.
//
// It is pure: it reads sysfs through an interface. It names cards on PCI, virtio
// ones among them; of others, as those on USB, distributions differ, and they
// keep the kernel's name.
package netid

import (
	"strconv"
	"strings"

	"firstlight/internal/sysfs"
)

// Names are the names that a link could have, each without its kind of link
// ("en"), "" where it has none.
type Names struct {
	Onboard, Slot, Path string
}

// Types of name_assign_type (linux/netdevice.h): who gave a link its name.
const (
	byEnumeration = "1"
	// What is 2 was given by a driver that knows better, 3 by a user, and 4 is
	// a name that was changed already.
)

// Types of hardware (linux/if_arp.h).
const (
	ethernet   = "1"
	infiniBand = "32"
)

// Limits that systemd has.
const (
	maxIndex = 16383
	maxName  = 15
)

// Name is the name that a link is to have, "" if it keeps its own.
func Name(sys sysfs.FS, link string) string {
	at := "/class/net/" + link
	read := func(attr string) string {
		v, _ := sys.Read(at + "/" + attr)
		return strings.TrimSpace(v)
	}
	if t := read("name_assign_type"); t != byEnumeration && t != "" {
		return ""
	}
	if i, l := read("ifindex"), read("iflink"); l != "" && i != l {
		return "" // it is made of another
	}
	prefix := ""
	switch read("type") {
	case ethernet:
		prefix = "en"
		if sys.Exists(at + "/phy80211") {
			prefix = "wl"
		} else if d, _ := sys.Read(at + "/uevent"); strings.Contains(d, "DEVTYPE=wwan") {
			prefix = "ww"
		} else if strings.Contains(d, "DEVTYPE=") && !strings.Contains(d, "DEVTYPE=wlan") {
			return "" // a bridge, a VLAN …
		}
	case infiniBand:
		prefix = "ib"
	default:
		return ""
	}
	n := Of(sys, link)
	for _, name := range [...]string{n.Onboard, n.Slot, n.Path} {
		if name != "" && len(prefix+name) <= maxName {
			return prefix + name
		}
	}
	return ""
}

// Of returns the names of a link.
func Of(sys sysfs.FS, link string) (n Names) {
	dev, err := sys.Resolve("/class/net/" + link + "/device")
	if err != nil {
		return n
	}
	if subsystem(sys, dev) == "virtio" {
		dev = parent(dev)
	}
	if subsystem(sys, dev) != "pci" {
		return n
	}
	a, ok := address(base(dev))
	if !ok {
		return n
	}
	port := portOf(sys, link)
	domain := ""
	if a.domain != 0 {
		domain = "P" + number(a.domain)
	}
	function := ""
	if a.function != 0 || multifunction(sys, dev) {
		function = "f" + number(a.function)
	}
	n.Path = domain + "p" + number(a.bus) + "s" + number(a.slot) + function + port
	if i, ok := onboard(sys, dev); ok {
		n.Onboard = "o" + number(i) + port
	}
	if s, ok := hotplug(sys, dev); ok {
		n.Slot = domain + "s" + number(s) + function + port
	}
	return n
}

// portOf tells ports of one function apart.
func portOf(sys sysfs.FS, link string) string {
	if v, err := sys.Read("/class/net/" + link + "/phys_port_name"); err == nil && v != "" {
		return "n" + strings.TrimSpace(v)
	}
	if v, err := sys.Read("/class/net/" + link + "/dev_port"); err == nil {
		if n, err := strconv.ParseUint(strings.TrimSpace(v), 10, 32); err == nil && n > 0 {
			return "d" + number(n)
		}
	}
	return ""
}

// onboard is the firmware's index of a card, that of ACPI before SMBIOS's.
func onboard(sys sysfs.FS, dev string) (uint64, bool) {
	for _, attr := range [...]string{"acpi_index", "index"} {
		v, err := sys.Read(dev + "/" + attr)
		if err != nil {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSpace(v), 10, 32)
		if err == nil && n > 0 && n <= maxIndex {
			return n, true
		}
	}
	return 0, false
}

// hotplug is the number of the slot that a card, or a bridge above it, is in.
func hotplug(sys sysfs.FS, dev string) (uint64, bool) {
	slots, err := sys.List("/bus/pci/slots")
	if err != nil {
		return 0, false
	}
	for ; subsystem(sys, dev) == "pci"; dev = parent(dev) {
		place, _, _ := strings.Cut(base(dev), ".")
		for _, s := range slots {
			n, err := strconv.ParseUint(s, 10, 32)
			if err != nil || n == 0 {
				continue
			}
			if v, err := sys.Read("/bus/pci/slots/" + s + "/address"); err == nil && strings.TrimSpace(v) == place {
				// Several cards may be behind a bridge in a slot.
				if class, _ := sys.Read(dev + "/class"); strings.HasPrefix(class, "0x0604") {
					return 0, false
				}
				return n, true
			}
		}
	}
	return 0, false
}

// multifunction says whether a PCI device has more than one function: bit 7 of
// the byte at 14 of its configuration.
func multifunction(sys sysfs.FS, dev string) bool {
	b, err := sys.Read(dev + "/config")
	return err == nil && len(b) > 14 && b[14]&0x80 != 0
}

// place is a PCI address.
type place struct{ domain, bus, slot, function uint64 }

// address reads "0000:00:1f.6".
func address(name string) (p place, ok bool) {
	front, function, ok := strings.Cut(name, ".")
	f := strings.Split(front, ":")
	if !ok || len(f) != 3 {
		return p, false
	}
	for i, v := range []*uint64{&p.domain, &p.bus, &p.slot} {
		n, err := strconv.ParseUint(f[i], 16, 32)
		if err != nil {
			return p, false
		}
		*v = n
	}
	n, err := strconv.ParseUint(function, 16, 8)
	p.function = n
	return p, err == nil
}

func number(n uint64) string { return strconv.FormatUint(n, 10) }

func base(p string) string { return p[strings.LastIndexByte(p, '/')+1:] }

func parent(p string) string { return p[:max(strings.LastIndexByte(p, '/'), 0)] }

// subsystem is the bus that a device is on.
func subsystem(sys sysfs.FS, dev string) string {
	target, err := sys.Readlink(dev + "/subsystem")
	if err != nil {
		return ""
	}
	return base(target)
}
