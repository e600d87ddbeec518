package ident

import (
	"strconv"
	"strings"

	"firstlight/internal/device"
	"firstlight/internal/fmt"
	"firstlight/internal/udevd/escape"
	"firstlight/internal/udevd/sysdev"
)

// usb is what usb_id finds out.
type usb struct {
	vendor, vendorEnc, vendorID string
	model, modelEnc, modelID    string
	serial                      string // vendor, model and serial number
	serialShort                 string
	revision, kind, instance    string
}

// USBID sets the identity of a USB device, or of what hangs below a USB
// interface: ID_USB_… always, and the same as ID_… unless the device has an
// identity already (ID_BUS). ErrNothing for a device that is not on USB.
func USBID(dev *device.Device) error {
	var u usb
	unit, iface := dev, (*device.Device)(nil)
	if dev.Devtype() != "usb_device" {
		if iface = sysdev.Parent(dev, "usb", "usb_interface"); iface == nil {
			return fmt.Errorf("usb_id: %s: %w", dev.Devpath(), ErrNothing)
		}
		if unit = sysdev.Parent(iface, "usb", "usb_device"); unit == nil {
			return fmt.Errorf("usb_id: %s: %w", dev.Devpath(), ErrNothing)
		}
		class, ok := iface.Attr("bInterfaceClass")
		if !ok {
			return fmt.Errorf("usb_id: %s: the interface has no class", iface.Devpath())
		}
		u.iface(dev, iface, class)
	}
	if !u.device(unit) {
		return fmt.Errorf("usb_id: %s: the device has no numbers of vendor and product", unit.Devpath())
	}
	if !dev.HasProperty("ID_BUS") {
		dev.SetProperty("ID_BUS", "usb")
		u.export(dev, "ID_")
	}
	u.export(dev, "ID_USB_")
	set(dev, "ID_USB_INTERFACES", interfaces(unit))
	if iface != nil {
		number, _ := iface.Attr("bInterfaceNumber")
		set(dev, "ID_USB_INTERFACE_NUM", number)
		driver, _ := iface.Attr("driver")
		set(dev, "ID_USB_DRIVER", driver)
	}
	return nil
}

func (u *usb) export(dev *device.Device, prefix string) {
	for _, p := range [...]struct{ key, value string }{
		{"VENDOR", u.vendor}, {"VENDOR_ENC", u.vendorEnc}, {"VENDOR_ID", u.vendorID},
		{"MODEL", u.model}, {"MODEL_ENC", u.modelEnc}, {"MODEL_ID", u.modelID},
		{"REVISION", u.revision}, {"SERIAL", u.serial}, {"SERIAL_SHORT", u.serialShort},
		{"TYPE", u.kind}, {"INSTANCE", u.instance},
	} {
		set(dev, prefix+p.key, p.value)
	}
}

// iface takes what an interface says: its type, and for mass storage that
// speaks SCSI what the disk says of itself.
func (u *usb) iface(dev, iface *device.Device, class string) {
	c, _ := strconv.ParseUint(class, 16, 8)
	if c != 8 {
		u.kind = usbClass(c)
		return
	}
	subclass, ok := iface.Attr("bInterfaceSubClass")
	if !ok {
		return
	}
	n, err := strconv.ParseUint(subclass, 16, 8)
	if err != nil {
		u.kind = "generic"
		return
	}
	// USB Mass Storage Class overview, table 1.
	switch n {
	case 1:
		u.kind = "rbc"
	case 2:
		u.kind = "atapi"
	case 3:
		u.kind = "tape"
	case 4:
		u.kind = "floppy"
	case 6:
		u.kind = "scsi"
	default:
		u.kind = "generic"
	}
	if n != 2 && n != 6 {
		return
	}
	disk := sysdev.Parent(dev, "scsi", "scsi_device")
	if disk == nil {
		return
	}
	at, ok := hctl(disk.Sysname())
	if !ok {
		return
	}
	// Each one only if those before are there; what is missing then comes
	// from the USB device.
	vendor, ok := disk.Attr("vendor")
	if !ok {
		return
	}
	u.vendor, u.vendorEnc = clean(vendor, 63), escape.Encode(limit(vendor, 63))
	model, ok := disk.Attr("model")
	if !ok {
		return
	}
	u.model, u.modelEnc = clean(model, 63), escape.Encode(limit(model, 63))
	kind, ok := disk.Attr("type")
	if !ok {
		return
	}
	u.kind = "generic"
	if n, err := strconv.ParseUint(kind, 0, 8); err == nil {
		u.kind = scsiType(int(n))
	}
	revision, ok := disk.Attr("rev")
	if !ok {
		return
	}
	u.revision = clean(revision, 63)
	// Readers of several cards give all of them one identity.
	u.instance = fmt.Sprintf("%d:%d", at[2], at[3])
}

// usbClass names an interface class (usb.org, defined class codes).
func usbClass(c uint64) string {
	switch c {
	case 1:
		return "audio"
	case 3:
		return "hid"
	case 6:
		return "media"
	case 7:
		return "printer"
	case 9:
		return "hub"
	case 0xe:
		return "video"
	}
	return "generic"
}

// device takes what the USB device says; false if it lacks the numbers that
// every one has.
func (u *usb) device(unit *device.Device) bool {
	var ok1, ok2 bool
	u.vendorID, ok1 = unit.Attr("idVendor")
	u.modelID, ok2 = unit.Attr("idProduct")
	if !ok1 || !ok2 {
		return false
	}
	if u.vendor == "" {
		name, ok := unit.Attr("manufacturer")
		if !ok {
			name = u.vendorID
		}
		u.vendor, u.vendorEnc = clean(name, 63), escape.Encode(limit(name, 63))
	}
	if u.model == "" {
		name, ok := unit.Attr("product")
		if !ok {
			name = u.modelID
		}
		u.model, u.modelEnc = clean(name, 63), escape.Encode(limit(name, 63))
	}
	if u.revision == "" {
		r, _ := unit.Attr("bcdDevice")
		u.revision = clean(r, 63)
	}
	if s, ok := unit.Attr("serial"); ok && goodSerial(s) {
		u.serialShort = clean(s, 511)
	}
	u.serial = u.vendor + "_" + u.model
	if u.serialShort != "" {
		u.serial += "_" + u.serialShort
	}
	if u.instance != "" {
		u.serial += "-" + u.instance
	}
	u.serial = limit(u.serial, 255)
	return true
}

// goodSerial says whether a serial number holds only what the USB
// specification lets it: some devices give random bytes.
func goodSerial(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7f || s[i] == ',' {
			return false
		}
	}
	return true
}

// interfaces lists the kinds of interfaces of a device, each once, as
// ":ccsspp:ccsspp:", from its descriptors (USB 2.0, 9.6).
func interfaces(unit *device.Device) string {
	raw, err := unit.Sys().Read(unit.Devpath() + "/descriptors")
	if err != nil || len(raw) < 18 {
		return ""
	}
	list := ""
	for pos := 0; pos+9 < len(raw) && len(list)+7 < 510; {
		size := int(raw[pos])
		if size < 3 || size > len(raw)-9 {
			break
		}
		d := raw[pos:]
		pos += size
		if d[1] != 4 { // interface
			continue
		}
		entry := fmt.Sprintf(":%02x%02x%02x", d[5], d[6], d[7])
		if !strings.Contains(list, entry) {
			list += entry
		}
	}
	if list != "" {
		list += ":"
	}
	return list
}
