package netid

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"firstlight/internal/sysfs"
)

// machine makes a sysfs with one card, eth0, on a PCI device; virtio puts a device
// of that bus between. files are attributes by their path below the PCI device.
func machine(t *testing.T, pci string, virtio bool, link, files map[string]string) sysfs.FS {
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
		if got := Name(machine(t, c.pci, c.virtio, c.link, c.files), "eth0", Latest); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// tree makes a sysfs of files and of links, whose texts begin with "->".
func tree(t *testing.T, files map[string]string) sysfs.FS {
	t.Helper()
	dir := t.TempDir()
	for p, text := range files {
		p = filepath.Join(dir, p)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		target, link := strings.CutPrefix(text, "->")
		err := error(nil)
		if link {
			up := strings.Repeat("../", strings.Count(strings.TrimPrefix(p, dir+"/"), "/"))
			err = os.Symlink(up+target, p)
		} else {
			err = os.WriteFile(p, []byte(text+"\n"), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return sysfs.Dir(dir)
}

// with adds a link eth0 on a device to a sysfs.
func with(dev string, more map[string]string) map[string]string {
	at := dev + "/net/eth0/"
	files := map[string]string{"class/net/eth0": "->" + dev + "/net/eth0", at + "device": "->" + dev, at + "type": "1", at + "ifindex": "2", at + "iflink": "2",
		at + "address": "52:54:00:12:34:56", at + "addr_assign_type": "0", at + "name_assign_type": "1", at + "uevent": "INTERFACE=eth0"}
	for p, text := range more {
		files[p] = text
	}
	return files
}

// The examples are those of systemd.net-naming-scheme(7) and of what changed with
// each scheme.
func TestNamesOnEachBus(t *testing.T) {
	const root = "devices/pci0000:00/"
	pci := func(dev string) (string, string) { return dev + "/subsystem", "->bus/pci" }
	on := func(files map[string]string, devs ...string) map[string]string {
		for _, d := range devs {
			p, text := pci(d)
			files[p] = text
		}
		return files
	}
	const usb, vf, bridge, xhci = root + "0000:00:1d.0/usb2/2-1/2-1.4/2-1.4:1.6", root + "0000:00:02.0/0000:05:10.1", root + "0000:00:1c.3", "devices/platform/soc/fd500000.usb"
	for _, c := range []struct {
		name   string
		files  map[string]string
		scheme Scheme
		want   Names
	}{
		{"USB", on(with(usb, map[string]string{usb + "/subsystem": "->bus/usb", usb + "/net/eth0/uevent": "DEVTYPE=wwan"}), root+"0000:00:1d.0"), 243,
			Names{Path: "wwp0s29u1u4i6", MAC: "wwx525400123456"}},
		{"USB without PCI", with(xhci+"/usb1/1-1/1-1:1.0", map[string]string{xhci + "/usb1/1-1/1-1:1.0/subsystem": "->bus/usb"}), 253, Names{Path: "enu1u1", MAC: "enx525400123456"}},
		{"USB without PCI before 253", with(xhci+"/usb1/1-1/1-1:1.0", map[string]string{xhci + "/usb1/1-1/1-1:1.0/subsystem": "->bus/usb"}), 252, Names{MAC: "enx525400123456"}},
		{"a virtual function", on(with(vf, map[string]string{vf + "/physfn": "->" + root + "0000:00:02.0/0000:05:00.1",
			root + "0000:00:02.0/0000:05:00.1/virtfn3": "->" + vf, root + "0000:00:02.0/0000:05:00.1/config": "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x00",
			vf + "/net/eth0/addr_assign_type": "1"}), vf, root+"0000:00:02.0/0000:05:00.1"), 252, Names{Path: "enp5s0f1v3"}},
		{"who stands for a virtual function", on(with(root+"0000:00:02.0", map[string]string{root + "0000:00:02.0/net/eth0/phys_port_name": "pf0vf7"}), root+"0000:00:02.0"), 254,
			Names{Path: "enp0s2r7", MAC: "enx525400123456"}},
		{"the same before 254", on(with(root+"0000:00:02.0", map[string]string{root + "0000:00:02.0/net/eth0/phys_port_name": "pf0vf7"}), root+"0000:00:02.0"), 253,
			Names{Path: "enp0s2npf0vf7", MAC: "enx525400123456"}},
		{"a slot of a bridge", on(with(bridge+"/0000:05:00.0", map[string]string{"bus/pci/slots/4/address": "0000:00:1c", bridge + "/class": "0x060400"}), bridge, bridge+"/0000:05:00.0"), 247,
			Names{Path: "enp5s0", MAC: "enx525400123456"}},
		{"the same before 247", on(with(bridge+"/0000:05:00.0", map[string]string{"bus/pci/slots/4/address": "0000:00:1c", bridge + "/class": "0x060400"}), bridge, bridge+"/0000:05:00.0"), 245,
			Names{Path: "enp5s0", Slot: "ens4", MAC: "enx525400123456"}},
		{"a slot that the firmware tells", on(with(root+"0000:00:02.0", map[string]string{root + "0000:00:02.0/firmware_node/sun": "2"}), root+"0000:00:02.0"), 257,
			Names{Path: "enp0s2", Slot: "ens2", MAC: "enx525400123456"}},
		{"an ARM board's", with("devices/platform/HISI00C2:01", map[string]string{"devices/platform/HISI00C2:01/subsystem": "->bus/platform"}), 252, Names{Path: "enahisic2i1", MAC: "enx525400123456"}},
		{"s390", with("devices/css0/0.0.0007/0.0.f5f0", map[string]string{"devices/css0/0.0.0007/0.0.f5f0/subsystem": "->bus/ccwgroup"}), 252, Names{Path: "encf5f0", MAC: "enx525400123456"}},
		{"PowerVM", with("devices/vio/30000005", map[string]string{"devices/vio/30000005/subsystem": "->bus/vio"}), 252, Names{Slot: "env5", MAC: "enx525400123456"}},
		{"Xen", with("devices/vif-2", map[string]string{"devices/vif-2/subsystem": "->bus/xen"}), 250, Names{Slot: "enX2", MAC: "enx525400123456"}},
		{"a device tree's alias", with("devices/platform/eth", map[string]string{"devices/platform/eth/subsystem": "->bus/platform", "devices/platform/eth/of_node": "->firmware/devicetree/base/soc/eth",
			"firmware/devicetree/base/soc/eth/x": "", "firmware/devicetree/base/aliases/ethernet1": "/soc/eth\x00"}), 252, Names{Onboard: "end1", MAC: "enx525400123456"}},
		{"a name that is too long", on(with(usb, map[string]string{usb + "/subsystem": "->bus/usb", usb + "/net/eth0/phys_port_name": "abcdefgh"}), root+"0000:00:1d.0"), 252, Names{MAC: "enx525400123456"}},
	} {
		if got := Of(tree(t, c.files), "eth0", c.scheme); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

// The names of this machine's own links are those that its udev gives.
func TestUdevGivesTheSameNames(t *testing.T) {
	list, err := os.ReadDir("/sys/class/net")
	if err != nil {
		t.Skip(err)
	}
	for _, e := range list {
		out, err := exec.Command("udevadm", "test-builtin", "net_id", "/sys/class/net/"+e.Name()).Output()
		if err != nil && len(out) == 0 {
			t.Skip("no udevadm here, or it is not of systemd")
		}
		want, scheme := Names{}, Latest
		for line := range strings.Lines(string(out)) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			switch key {
			case "ID_NET_NAMING_SCHEME":
				scheme, _ = ParseScheme(value)
			case "ID_NET_NAME_ONBOARD":
				want.Onboard = value
			case "ID_NET_NAME_SLOT":
				want.Slot = value
			case "ID_NET_NAME_PATH":
				want.Path = value
			case "ID_NET_NAME_MAC":
				want.MAC = value
			}
		}
		if got := Of(sysfs.Dir("/sys"), e.Name(), scheme); got != want {
			t.Errorf("%s: %+v, udev has %+v", e.Name(), got, want)
		}
	}
}
