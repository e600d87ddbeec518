package netid

import (
	"os"
	"path/filepath"
	"testing"

	"firstlight/internal/sysfs"
)

// card makes a sysfs with one card, eth0, on a PCI device; virtio puts a device
// of that bus between. files are attributes by their path below the PCI device.
func card(t *testing.T, pci string, virtio bool, link, files map[string]string) sysfs.FS {
	t.Helper()
	dir := t.TempDir()
	write := func(p, text string) {
		t.Helper()
		p = filepath.Join(dir, p)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	symlink := func(target, p string) {
		t.Helper()
		p = filepath.Join(dir, p)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, p); err != nil {
			t.Fatal(err)
		}
	}
	pciDev := "devices/pci0000:00/" + pci
	write(pciDev+"/vendor", "0x1af4\n")
	symlink("../../../bus/pci", pciDev+"/subsystem")
	at := pciDev
	if virtio {
		at += "/virtio0"
		write(at+"/vendor", "0x1af4\n")
		symlink("../../../../bus/virtio", at+"/subsystem")
	}
	for p, text := range files {
		write(filepath.Join(pciDev, p), text)
	}
	net := at + "/net/eth0"
	for name, text := range map[string]string{"type": "1", "ifindex": "2", "iflink": "2", "name_assign_type": "1", "uevent": "INTERFACE=eth0\nIFINDEX=2\n"} {
		write(net+"/"+name, text+"\n")
	}
	for name, text := range link {
		write(net+"/"+name, text+"\n")
	}
	symlink("../../../"+filepath.Base(at), net+"/device")
	symlink("../../"+net, "class/net/eth0")
	return sysfs.Dir(dir)
}

func TestNamesAreThoseThatSystemdGives(t *testing.T) {
	multi := string([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0})
	for _, c := range []struct {
		name, pci   string
		virtio      bool
		link, files map[string]string
		want        string
	}{
		{"virtio on the root bus", "0000:00:03.0", true, nil, nil, "enp0s3"},
		{"behind a port", "0000:0a:00.0", false, nil, nil, "enp10s0"},
		{"another domain", "0001:00:1f.6", false, nil, nil, "enP1p0s31f6"},
		{"the first of several functions", "0000:04:00.0", false, nil, map[string]string{"config": multi}, "enp4s0f0"},
		{"a second port", "0000:04:00.0", false, map[string]string{"dev_port": "1"}, nil, "enp4s0d1"},
		{"a port with a name", "0000:04:00.0", false, map[string]string{"phys_port_name": "p0"}, nil, "enp4s0np0"},
		{"onboard by SMBIOS", "0000:00:19.0", false, nil, map[string]string{"index": "1\n"}, "eno1"},
		{"onboard by ACPI", "0000:00:19.0", false, nil, map[string]string{"index": "1\n", "acpi_index": "7\n"}, "eno7"},
		{"an index that is none", "0000:00:19.0", false, nil, map[string]string{"index": "65535\n"}, "enp0s25"},
		{"in a slot", "0000:00:03.0", true, nil, map[string]string{"../../../bus/pci/slots/3/address": "0000:00:03\n"}, "ens3"},
		{"named by a user", "0000:00:03.0", true, map[string]string{"name_assign_type": "3"}, nil, ""},
		{"InfiniBand", "0000:05:00.0", false, map[string]string{"type": "32"}, nil, "ibp5s0"},
		{"made of another", "0000:05:00.0", false, map[string]string{"iflink": "7"}, nil, ""},
		{"a bridge", "0000:05:00.0", false, map[string]string{"uevent": "DEVTYPE=bridge"}, nil, ""},
	} {
		if got := Name(card(t, c.pci, c.virtio, c.link, c.files), "eth0"); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
