package detect

import (
	"strings"
	"testing"
)

// Firmware that the device tree names for a device on the way comes along, and what
// it names for others does not; a path that leads elsewhere is no name.
func TestFirmwareOfTheDeviceTree(t *testing.T) {
	n := needs(t, disk("vda", "1")+`
		sys/devices/pci0000:00/0000:00:01.0/supplier:platform:phy/supplier -> ../../../platform/phy
		sys/devices/platform/phy/of_node -> ../../../firmware/devicetree/base/phy
		sys/firmware/devicetree/base/phy/firmware-name: acme/phy.bin
		sys/devices/platform/phy2/of_node -> ../../../firmware/devicetree/base/phy2
		sys/firmware/devicetree/base/phy2/firmware-name: acme/other.bin
		sys/devices/pci0000:00/0000:00:01.0/of_node -> ../../../firmware/devicetree/base/pci
		sys/firmware/devicetree/base/pci/firmware-name: ../../etc/shadow
		proc/self/mountinfo: 22 1 254:11 / / rw - ext4 /dev/vda1 rw`)
	if len(n.Firmware) != 1 || n.Firmware["acme/phy.bin"] == "" {
		t.Errorf("%v", n.Firmware)
	}
}

// A device that something in the kernel has made by the model of the machine needs
// that; one that ACPI or the device tree has does not.
func TestDriversByTheModelOfTheMachine(t *testing.T) {
	for node, want := range map[string]bool{"": true, "firmware_node": false, "of_node": false} {
		desc := disk("vda", "1") + `
		sys/devices/pci0000:00/0000:00:01.0/supplier:i2c:0-0025/supplier -> ../../../platform/i2c-0/0-0025
		sys/devices/platform/i2c-0/0-0025/modalias: i2c:pmic
		sys/class/dmi/id/modalias: dmi:bvnAcme:pnTablet:
		proc/self/mountinfo: 22 1 254:11 / / rw - ext4 /dev/vda1 rw`
		if node != "" {
			desc += "\n\t\tsys/devices/platform/i2c-0/0-0025/" + node + " -> ../../../LNXSYSTM:00/device:01"
		}
		if got := modules(needs(t, desc)); strings.Contains(got, "dmi:bvnAcme") != want || !strings.Contains(got, "i2c:pmic") {
			t.Errorf("described by %q: %s", node, got)
		}
	}
}
