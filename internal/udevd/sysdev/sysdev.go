// Package sysdev finds devices in sysfs by what they are called, the way
// libudev does.
package sysdev

import (
	"strings"

	"firstlight/internal/device"
	"firstlight/internal/sysfs"
)

// Find looks for a device by its subsystem and name and returns its devpath.
// The subsystems "subsystem", "module" and "drivers" (with a name
// "bus:driver") are those of the kernel's own objects, as libudev has them.
func Find(sys sysfs.FS, subsystem, name string) (string, bool) {
	if subsystem == "" || name == "" || strings.Contains(subsystem, "/") {
		return "", false
	}
	name = strings.ReplaceAll(name, "/", "!")
	var try [4]string
	switch subsystem {
	case "subsystem":
		try = [4]string{"/subsystem/" + name, "/bus/" + name, "/class/" + name}
	case "module":
		try = [4]string{"/module/" + name}
	case "drivers":
		bus, driver, ok := strings.Cut(name, ":")
		if !ok {
			return "", false
		}
		try = [4]string{"/subsystem/" + bus + "/drivers/" + driver, "/bus/" + bus + "/drivers/" + driver}
	default:
		try = [4]string{"/subsystem/" + subsystem + "/devices/" + name, "/bus/" + subsystem + "/devices/" + name,
			"/class/" + subsystem + "/" + name, "/firmware/" + subsystem + "/" + name}
	}
	for _, p := range try {
		if p == "" || !sys.Exists(p) {
			continue
		}
		if dir, err := sys.Resolve(p); err == nil {
			return dir, true
		}
	}
	return "", false
}

// Parent gives the nearest device above dev, not dev itself, of a subsystem
// and, unless devtype is "", of a type; nil if there is none.
func Parent(dev *device.Device, subsystem, devtype string) *device.Device {
	for p := dev.Parent(); p != nil; p = p.Parent() {
		if p.Subsystem() == subsystem && (devtype == "" || p.Devtype() == devtype) {
			return p
		}
	}
	return nil
}

// Open gives the device of a subsystem and name, nil if there is none.
func Open(sys sysfs.FS, subsystem, name string) *device.Device {
	if dir, ok := Find(sys, subsystem, name); ok {
		return device.New(sys, dir, nil)
	}
	return nil
}
