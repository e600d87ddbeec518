package ident

import (
	"strconv"
	"strings"

	"firstlight/internal/device"
	"firstlight/internal/fmt"
)

// dmFlags are what the upper half of a device-mapper cookie says, from its
// lowest bit on (libdevmapper.h, DM_UDEV_…). The upper eight belong to the
// subsystem that made the device.
var dmFlags = [16]string{
	"DM_UDEV_DISABLE_DM_RULES_FLAG",
	"DM_UDEV_DISABLE_SUBSYSTEM_RULES_FLAG",
	"DM_UDEV_DISABLE_DISK_RULES_FLAG",
	"DM_UDEV_DISABLE_OTHER_RULES_FLAG",
	"DM_UDEV_LOW_PRIORITY_FLAG",
	"DM_UDEV_DISABLE_LIBRARY_FALLBACK_FLAG",
	"DM_UDEV_PRIMARY_SOURCE_FLAG",
	"DM_UDEV_FLAG7",
	"DM_SUBSYSTEM_UDEV_FLAG0",
	"DM_SUBSYSTEM_UDEV_FLAG1",
	"DM_SUBSYSTEM_UDEV_FLAG2",
	"DM_SUBSYSTEM_UDEV_FLAG3",
	"DM_SUBSYSTEM_UDEV_FLAG4",
	"DM_SUBSYSTEM_UDEV_FLAG5",
	"DM_SUBSYSTEM_UDEV_FLAG6",
	"DM_SUBSYSTEM_UDEV_FLAG7",
}

// DMFlags sets the flags of a device-mapper cookie, as "dmsetup udevflags"
// does: each that is there to 1.
func DMFlags(dev *device.Device, cookie string) error {
	n, err := strconv.ParseUint(cookie, 0, 32)
	if err != nil {
		return fmt.Errorf("dm_flags: %s: the cookie %q is no number", dev.Devpath(), cookie)
	}
	for i, name := range dmFlags {
		if n>>(16+i)&1 != 0 {
			dev.SetProperty(name, "1")
		}
	}
	return nil
}

// DMSplit sets DM_VG_NAME, DM_LV_NAME and DM_LV_LAYER to the parts of the
// device-mapper name of a logical volume, as "dmsetup splitname" does: they
// are separated by '-', and a '-' of their own is written twice.
func DMSplit(dev *device.Device, name string) error {
	var parts [3]string
	var b []byte
	n := 0
	for i := 0; i < len(name); i++ {
		if name[i] != '-' || n == len(parts)-1 && !strings.HasPrefix(name[i:], "--") {
			b = append(b, name[i])
			continue
		}
		if i+1 < len(name) && name[i+1] == '-' {
			b = append(b, '-')
			i++
			continue
		}
		parts[n] = string(b)
		b = b[:0]
		n++
	}
	parts[n] = string(b)
	if parts[0] == "" {
		return fmt.Errorf("dm_split: %s: %w", dev.Devpath(), ErrNothing)
	}
	set(dev, "DM_VG_NAME", parts[0])
	set(dev, "DM_LV_NAME", parts[1])
	set(dev, "DM_LV_LAYER", parts[2])
	return nil
}
