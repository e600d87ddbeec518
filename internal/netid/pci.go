package netid

import (
	"strconv"
	"strings"
)

// pci finds the names of a card on PCI.
func (l *card) pci(dev string) {
	suffix := ""
	if l.scheme >= virtualFunctions {
		if whole, n, ok := l.wholeOf(dev); ok {
			dev, suffix = whole, "v"+n
		}
	}
	p, ok := address(base(dev))
	if !ok {
		return
	}
	port := l.port()
	domain := ""
	if p.domain != 0 {
		domain = "P" + decimal(p.domain)
	}
	several := l.severalFunctions(dev)
	if n, _ := l.number(dev, "ari_enabled", 10); n == 1 && l.scheme >= virtualFunctions {
		p.function += 8 * p.slot // which has no slots, and up to 256 functions
	}
	function := ""
	if p.function != 0 || several {
		function = "f" + decimal(p.function)
	}
	l.path = domain + "p" + decimal(p.bus) + "s" + decimal(p.slot) + function + port + suffix
	if i, ok := l.index(dev); ok {
		l.onboard = "o" + decimal(i) + port + suffix
	}
	if s, ok := l.hotplug(dev, several); ok {
		l.slot = domain + "s" + decimal(s) + function + port + suffix
	}
}

// wholeOf is the card that a virtual function of SR-IOV belongs to, and the
// function's number.
func (l *card) wholeOf(dev string) (whole, number string, ok bool) {
	whole, err := l.sys.Resolve(dev + "/physfn")
	if err != nil {
		return "", "", false
	}
	list, err := l.sys.List(whole)
	if err != nil {
		return "", "", false
	}
	for _, name := range list {
		n, is := strings.CutPrefix(name, "virtfn")
		if !is || !digits(n) {
			continue
		}
		if d, err := l.sys.Resolve(whole + "/" + name); err == nil && d == dev {
			return whole, n, true
		}
	}
	return "", "", false
}

// index is the firmware's number of an onboard card, that of ACPI before
// SMBIOS's.
func (l *card) index(dev string) (uint64, bool) {
	n, ok := l.number(dev, "acpi_index", 10)
	acpi := ok
	if !ok {
		n, ok = l.number(dev, "index", 10)
	}
	most := uint64(16383)
	if l.scheme >= functionID && l.subsystem(dev) == "pci" && l.sys.Exists(dev+"/function_id") {
		most = 65535 // s390
	}
	least := uint64(1)
	if acpi && l.scheme >= infiniBandNames {
		least = 0
	}
	return n, ok && n >= least && n <= most
}

// hotplug is the number of the slot that a card, or a bridge above it, is in.
func (l *card) hotplug(dev string, several bool) (uint64, bool) {
	if l.scheme >= functionID { // s390 names slots by what the card has, in hexadecimal
		if n, err := strconv.ParseUint(strings.TrimPrefix(l.attr(dev, "function_id"), "0x"), 16, 32); err == nil && n > 0 &&
			l.sys.Exists("/bus/pci/slots/"+hex8(n)) {
			return n, true
		}
	}
	slots, _ := l.sys.List("/bus/pci/slots")
	own := dev
	for ; l.subsystem(dev) == "pci"; dev = parent(dev) {
		n, ok := l.slotOf(dev, slots)
		if !ok {
			if l.scheme < virtualFunctions {
				break // the card's own slot alone
			}
			continue
		}
		// Several cards may be behind a bridge in a slot.
		bridge := dev != own && strings.HasPrefix(l.attr(dev, "class"), "0x0604")
		if bridge && l.scheme >= noBridgeSlot && !(several && l.scheme >= bridgeFunctions && l.scheme < noBridgeAtAll) {
			return 0, false
		}
		return n, true
	}
	return 0, false
}

// slotOf is the number of a device's slot.
func (l *card) slotOf(dev string, slots []string) (uint64, bool) {
	if l.scheme >= firmwareSlot {
		if n, ok := l.number(dev, "firmware_node/sun", 10); ok && n > 0 {
			return n, true
		}
	}
	for _, s := range slots {
		n, err := strconv.ParseUint(s, 10, 32)
		if err != nil || n == 0 {
			continue
		}
		if at := l.attr("/bus/pci/slots/"+s, "address"); at != "" && (strings.HasPrefix(base(dev), at+".") || base(dev) == at) {
			return n, true
		}
	}
	return 0, false
}

// hex8 is a number as s390 names its slots.
func hex8(n uint64) string {
	s := strconv.FormatUint(n, 16)
	return strings.Repeat("0", max(8-len(s), 0)) + s
}

// severalFunctions says whether a PCI device has more than one function: bit 7 of
// the byte at 14 of its configuration.
func (l *card) severalFunctions(dev string) bool {
	b, err := l.sys.Read(dev + "/config")
	return err == nil && len(b) > 14 && b[14]&0x80 != 0
}

// usb finds the names of a card on USB, whose interface is "2-1.4:1.6": the bus,
// the ports of the hubs, the configuration and the interface.
func (l *card) usb(dev string) {
	bus, rest, ok := strings.Cut(base(dev), "-")
	ports, what, ok2 := strings.Cut(rest, ":")
	config, number, ok3 := strings.Cut(what, ".")
	if !ok || !ok2 || !ok3 {
		return
	}
	suffix := "u" + strings.ReplaceAll(ports, ".", "u")
	if config != "1" {
		suffix += "c" + config
	}
	if number != "0" {
		suffix += "i" + number
	}
	if !l.below(dev, suffix) && l.scheme >= usbHosts {
		l.path = "u" + bus + suffix
	}
}

// below finds the names of a card on a bus that a PCI device gives; suffix is its
// place there.
func (l *card) below(dev, suffix string) bool {
	for dev = parent(dev); dev != ""; dev = parent(dev) {
		if l.subsystem(dev) != "pci" {
			continue
		}
		l.pci(dev)
		l.onboard = "" // which is the controller's
		if l.path != "" {
			l.path += suffix
		}
		if l.slot != "" {
			l.slot += suffix
		}
		return true
	}
	return false
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
