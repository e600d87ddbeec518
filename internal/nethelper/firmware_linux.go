package nethelper

import (
	"strings"

	"firstlight/internal/netup"
	"firstlight/internal/sysfile"
	"firstlight/internal/sysfs"
)

// Where the kernel shows the firmware's tables.
const (
	acpiTables = "/sys/firmware/acpi/tables/"
	ibftDir    = "/sys/firmware/ibft"
)

// Firmware reads the firmware's tables of booting from the network.
func Firmware() netup.Firmware {
	f := netup.Firmware{Tables: map[string][]byte{}, IBFT: sysfs.Dir(ibftDir)}
	names, err := sysfs.Dir(acpiTables).List("")
	if err != nil {
		return f // a machine without ACPI
	}
	for _, name := range names {
		if !strings.HasPrefix(name, "NBFT") && !strings.HasPrefix(strings.ToUpper(name), "IBFT") {
			continue
		}
		if b, err := sysfile.ReadFile(acpiTables + name); err == nil {
			f.Tables[name] = b
		}
	}
	return f
}
