// Package netid gives network links the predictable names that systemd's udevd
// gives them (systemd.net-naming-scheme(7)): by the firmware's index of an
// onboard card, by the number of a hot-plug slot, by the place on a bus, or by
// the hardware address.
//
// It is pure: it reads sysfs through an interface.
package netid

import (
	"strconv"
	"strings"

	"firstlight/internal/sysfs"
)

// Names are the names that a link could have, "" where it has none of a kind.
type Names struct {
	Onboard, Slot, Path, MAC string
}

// Scheme is the version of systemd whose names are given: what later versions
// know of a link changes its name.
type Scheme int

// The schemes in which something changed that is done here.
const (
	virtualFunctions Scheme = 239 // names of SR-IOV's functions, more than eight functions, slots of bridges above
	infiniBandNames  Scheme = 240
	simulated        Scheme = 243
	noBridgeSlot     Scheme = 247
	functionID       Scheme = 249 // s390's slots; indices up to 65535
	xenNames         Scheme = 250
	bridgeFunctions  Scheme = 251 // the slot of a bridge counts for cards with several functions, until 255
	deviceTree       Scheme = 252
	usbHosts         Scheme = 253
	representors     Scheme = 254
	noBridgeAtAll    Scheme = 255
	firmwareSlot     Scheme = 257

	// Latest is the newest of them.
	Latest = firmwareSlot
)

// ParseScheme reads what net.naming-scheme= says: "v252", "latest".
func ParseScheme(s string) (Scheme, bool) {
	if s == "latest" {
		return Latest, true
	}
	v, ok := strings.CutPrefix(s, "v")
	n, err := strconv.Atoi(v)
	return Scheme(n), ok && err == nil && n >= 238 && n < 1000
}

// Assigned says who gave a link its name (name_assign_type of sysfs,
// linux/netdevice.h).
type Assigned int

// Who gave a name.
const (
	ByEnumeration Assigned = 1 // the kernel, in the order of its drivers
	Predictable   Assigned = 2 // the kernel, by what does not change
	ByUser        Assigned = 3
	Renamed       Assigned = 4
)

// AssignedTo reads who gave a link its name.
func AssignedTo(sys sysfs.FS, link string) Assigned {
	v, err := sys.Read("/class/net/" + link + "/name_assign_type")
	n, bad := strconv.Atoi(strings.TrimSpace(v))
	if err != nil || bad != nil { // kernels before 3.17
		return ByEnumeration
	}
	return Assigned(n)
}

// Types of hardware (linux/if_arp.h).
const (
	ethernet   = "1"
	infiniBand = "32"
	slip       = "256"
)

// maxName bounds the name of a link, in bytes.
const maxName = 15

// Name is the name that a link is to have by systemd's own 99-default.link, "" if
// it keeps its own.
func Name(sys sysfs.FS, link string, scheme Scheme) string {
	if AssignedTo(sys, link) != ByEnumeration {
		return ""
	}
	n := Of(sys, link, scheme)
	for _, name := range [...]string{n.Onboard, n.Slot, n.Path} {
		if name != "" {
			return name
		}
	}
	return ""
}

// Of returns the names that a link could have.
func Of(sys sysfs.FS, link string, scheme Scheme) (n Names) {
	l := &card{sys: sys, at: "/class/net/" + link, scheme: scheme}
	prefix := l.prefix()
	if prefix == "" {
		return n
	}
	l.find()
	for _, f := range [...]struct {
		to   *string
		name string
	}{{&n.Onboard, l.onboard}, {&n.Slot, l.slot}, {&n.Path, l.path}, {&n.MAC, l.hardware()}} {
		if f.name != "" && len(prefix+f.name) <= maxName {
			*f.to = prefix + f.name
		}
	}
	return n
}

// card is a link whose names are looked for, and those that were found, without
// the prefix.
type card struct {
	sys                 sysfs.FS
	at                  string // its directory in sysfs
	scheme              Scheme
	typ                 string // of the hardware
	onboard, slot, path string
}

func (l *card) read(attr string) string { return l.attr(l.at, attr) }

// attr is an attribute of a device, "" if it has none.
func (l *card) attr(dev, attr string) string {
	v, err := l.sys.Read(dev + "/" + attr)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(v)
}

// number reads an attribute that is a number in some base.
func (l *card) number(dev, attr string, base int) (uint64, bool) {
	n, err := strconv.ParseUint(l.attr(dev, attr), base, 32)
	return n, err == nil
}

// prefix are the two letters for the kind of the link, "" for one that gets no
// predictable name: what is made of other links, and what is no network card.
func (l *card) prefix() string {
	if i, on := l.read("ifindex"), l.read("iflink"); on != "" && i != on {
		return ""
	}
	l.typ = l.read("type")
	switch l.typ {
	case infiniBand:
		if l.scheme < infiniBandNames {
			return ""
		}
		return "ib"
	case slip:
		return "sl"
	case ethernet:
	default:
		return ""
	}
	switch kind := DevType(l.sys, l.at[len("/class/net/"):]); {
	case kind == "wlan" || kind == "" && l.sys.Exists(l.at+"/phy80211"):
		return "wl"
	case kind == "wwan":
		return "ww"
	case kind != "":
		return "" // a bridge, a VLAN …
	}
	return "en"
}

// DevType is what sysfs says a link is: "wlan", "bridge" …, "" for a plain card.
func DevType(sys sysfs.FS, link string) string {
	v, _ := sys.Read("/class/net/" + link + "/uevent")
	for line := range strings.Lines(v) {
		if kind, ok := strings.CutPrefix(strings.TrimSpace(line), "DEVTYPE="); ok {
			return kind
		}
	}
	return ""
}

// hardware is the name by the address, of a link that has one from its maker.
func (l *card) hardware() string {
	hw := strings.ReplaceAll(l.read("address"), ":", "")
	if t := l.read("addr_assign_type"); t != "" && t != "0" || len(hw) != 12 || l.typ != ethernet {
		return ""
	}
	return "x" + hw
}

// port tells ports of one function apart.
func (l *card) port() string {
	if v := l.read("phys_port_name"); v != "" {
		if pf, vf, ok := strings.Cut(v, "vf"); ok && l.scheme >= representors && strings.HasPrefix(pf, "pf") && digits(pf[2:]) && digits(vf) {
			return "r" + vf // it stands for a virtual function
		}
		return "n" + v
	}
	n, _ := l.number(l.at, "dev_port", 10)
	if n == 0 && l.typ == infiniBand { // kernels before 4.2 have it elsewhere
		n, _ = strconv.ParseUint(strings.TrimPrefix(l.read("dev_id"), "0x"), 16, 16)
	}
	if n == 0 {
		return ""
	}
	return "d" + decimal(n)
}

// find looks at what the link's device is on.
func (l *card) find() {
	dev, err := l.sys.Resolve(l.at + "/device")
	if err != nil {
		return
	}
	if l.scheme >= deviceTree {
		l.alias(dev)
	}
	if l.subsystem(dev) == "virtio" {
		dev = parent(dev)
	}
	name := base(dev)
	switch l.subsystem(dev) {
	case "pci":
		l.pci(dev)
	case "usb":
		l.usb(dev)
	case "bcma":
		_, core, _ := strings.Cut(name, ":")
		if !digits(core) {
			return
		}
		suffix := ""
		if core != "0" {
			suffix = "b" + core
		}
		l.below(dev, suffix)
	case "ccw", "ccwgroup":
		if id := strings.TrimLeft(name, ".0"); id != "" && len(name) >= 8 && len(name) <= 9 {
			l.path = "c" + id
		}
	case "vio":
		if n, err := strconv.ParseUint(name, 16, 32); err == nil && len(name) == 8 {
			l.slot = "v" + decimal(n&0xffff)
		}
	case "xen":
		if n, ok := strings.CutPrefix(name, "vif-"); ok && l.scheme >= xenNames && digits(n) {
			l.slot = "X" + n
		}
	case "netdevsim":
		n, ok := strings.CutPrefix(name, "netdevsim")
		if p := l.read("phys_port_name"); ok && digits(n) && p != "" && l.scheme >= simulated {
			l.path = "i" + n + "n" + p
		}
	case "platform":
		l.path = platform(name)
	}
}

// platform is the name of a device that ACPI describes, as HISI00C2:00: three or
// four letters of its maker, four digits of its model, and which of them it is.
func platform(name string) string {
	id, instance, _ := strings.Cut(name, ":")
	if len(id) < 7 || len(id) > 8 {
		return ""
	}
	vendor, model := id[:len(id)-4], id[len(id)-4:]
	m, err1 := strconv.ParseUint(model, 16, 16)
	i, err2 := strconv.ParseUint(instance, 16, 16)
	if err1 != nil || err2 != nil || len(instance) != 2 {
		return ""
	}
	return "a" + strings.ToLower(vendor) + strconv.FormatUint(m, 16) + "i" + decimal(i)
}

// alias is the name by an alias of the device tree, "ethernet0".
func (l *card) alias(dev string) {
	const tree = "/firmware/devicetree/base"
	node, err := l.sys.Resolve(dev + "/of_node")
	if err != nil {
		return
	}
	list, err := l.sys.List(tree + "/aliases")
	if err != nil {
		return
	}
	found := ""
	for _, a := range list {
		n, ok := strings.CutPrefix(a, "ethernet")
		if n == "" {
			n = "0" // a board with only one may have no number
		}
		if !ok || !digits(n) || tree+strings.TrimRight(l.attr(tree+"/aliases", a), "\x00") != node {
			continue
		}
		if found != "" {
			return // two names are none
		}
		found = n
	}
	if found != "" {
		l.onboard = "d" + found
	}
}

func digits(s string) bool { return s != "" && len(s) < 10 && strings.Trim(s, "0123456789") == "" }

func decimal(n uint64) string { return strconv.FormatUint(n, 10) }

func base(p string) string { return p[strings.LastIndexByte(p, '/')+1:] }

func parent(p string) string { return p[:max(strings.LastIndexByte(p, '/'), 0)] }

// subsystem is the bus that a device is on.
func (l *card) subsystem(dev string) string {
	target, err := l.sys.Readlink(dev + "/subsystem")
	if err != nil {
		return ""
	}
	return base(target)
}
