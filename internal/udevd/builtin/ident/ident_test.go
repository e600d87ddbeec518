package ident

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"firstlight/internal/device"
	"firstlight/internal/sysfs"
)

// fake makes a sysfs. Each entry is a devpath, its subsystem and attributes
// "name=value" (DEVTYPE and DEVNAME go to the uevent file); one that starts
// with → is a link and its target.
func fake(t testing.TB, entries ...string) sysfs.Dir {
	t.Helper()
	root := t.TempDir()
	write := func(p, s string) {
		full := filepath.Join(root, p)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(s), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	link := func(p, target string) {
		full := filepath.Join(root, p)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		rel, err := filepath.Rel(filepath.Dir(full), filepath.Join(root, target))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(rel, full); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range entries {
		f := strings.Split(e, "¦")
		if p, ok := strings.CutPrefix(f[0], "→"); ok {
			link(p, f[1])
			continue
		}
		uevent := "X=1\n"
		for _, a := range f[2:] {
			k, v, _ := strings.Cut(a, "=")
			if k == "DEVTYPE" || k == "DEVNAME" {
				uevent += a + "\n"
				continue
			}
			if k == "driver" {
				link(f[0]+"/driver", "/bus/x/drivers/"+v)
				continue
			}
			write(f[0]+"/"+k, v+"\n")
		}
		write(f[0]+"/uevent", uevent)
		if f[1] != "" {
			link(f[0]+"/subsystem", "/class/"+f[1])
		}
	}
	return sysfs.Dir(root)
}

func e(fields ...string) string { return strings.Join(fields, "¦") }

const pci = "/devices/pci0000:00/0000:00:01.0"

// chain gives a PCI device and below it one directory after another, each
// "name subsystem attr…", and the whole path.
func chain(steps ...[]string) (entries []string, path string) {
	path = pci
	entries = []string{e(pci, "pci")}
	for _, s := range steps {
		path += "/" + s[0]
		if len(s) > 1 {
			entries = append(entries, e(append([]string{path}, s[1:]...)...))
		}
	}
	return entries, path
}

func s(f ...string) []string { return f }

var pathCases = []struct {
	name  string
	steps [][]string
	extra []string // further entries
	want  string   // ID_PATH [ID_PATH_ATA_COMPAT | usb revision]
}{
	{"virtio", [][]string{s("virtio0", "virtio"), s("block"), s("vda", "block")}, nil, "pci-0000:00:01.0"},
	{"nothing tells the devices apart", [][]string{s("block"), s("xda", "block")}, nil, ""},
	{"a network card", [][]string{s("net"), s("eth0", "net")}, nil, "pci-0000:00:01.0"},
	{"behind a bridge", [][]string{s("0000:01:00.0", "pci"), s("virtio0", "virtio"), s("vda", "block")}, nil, "pci-0000:01:00.0"},
	{"ata", [][]string{s("ata2", ""), s("host1", "scsi", "DEVTYPE=scsi_host"), s("target1:0:0", "scsi", "DEVTYPE=scsi_target"), s("1:0:0:0", "scsi", "DEVTYPE=scsi_device"), s("block"), s("sda", "block")},
		[]string{e(pci+"/ata2/ata_port/ata2", "ata_port", "port_no=2"), e("→/class/ata_port/ata2", pci+"/ata2/ata_port/ata2")}, "pci-0000:00:01.0-ata-2.0 pci-0000:00:01.0-ata-2"},
	{"second drive on a cable", [][]string{s("ata2", ""), s("host1", "scsi", "DEVTYPE=scsi_host"), s("target1:0:1", "scsi", "DEVTYPE=scsi_target"), s("1:0:1:0", "scsi", "DEVTYPE=scsi_device"), s("sda", "block")},
		[]string{e(pci+"/ata2/ata_port/ata2", "ata_port", "port_no=1"), e("→/class/ata_port/ata2", pci+"/ata2/ata_port/ata2")}, "pci-0000:00:01.0-ata-1.1 pci-0000:00:01.0-ata-1"},
	{"port multiplier", [][]string{s("ata2", ""), s("host1", "scsi", "DEVTYPE=scsi_host"), s("target1:3:0", "scsi", "DEVTYPE=scsi_target"), s("1:3:0:0", "scsi", "DEVTYPE=scsi_device"), s("sda", "block")},
		[]string{e(pci+"/ata2/ata_port/ata2", "ata_port", "port_no=1"), e("→/class/ata_port/ata2", pci+"/ata2/ata_port/ata2")}, "pci-0000:00:01.0-ata-1.3.0 pci-0000:00:01.0-ata-1"},
	{"scsi host counted from its adapter", [][]string{s("host5", "scsi", "DEVTYPE=scsi_host"), s("target5:0:2", "scsi", "DEVTYPE=scsi_target"), s("5:0:2:1", "scsi", "DEVTYPE=scsi_device"), s("sda", "block")},
		[]string{e(pci+"/host4", "scsi", "DEVTYPE=scsi_host"), e(pci+"/hostile", "")}, "pci-0000:00:01.0-scsi-1:0:2:1"},
	{"virtio-scsi", [][]string{s("virtio1", "virtio"), s("host5", "scsi", "DEVTYPE=scsi_host"), s("target5:0:2", "scsi", "DEVTYPE=scsi_target"), s("5:0:2:1", "scsi", "DEVTYPE=scsi_device"), s("sda", "block")}, nil, "pci-0000:00:01.0-scsi-0:0:2:1"},
	{"fibre channel", [][]string{s("host5", "scsi", "DEVTYPE=scsi_host"), s("rport-5:0-1", ""), s("target5:0:2", "scsi", "DEVTYPE=scsi_target"), s("5:0:2:300", "scsi", "DEVTYPE=scsi_device"), s("sda", "block")},
		[]string{e(pci+"/host5/rport-5:0-1/target5:0:2/fc_transport/target5:0:2", "fc_transport", "port_name=0x2100"), e("→/class/fc_transport/target5:0:2", pci+"/host5/rport-5:0-1/target5:0:2/fc_transport/target5:0:2")},
		"pci-0000:00:01.0-fc-0x2100-lun-0x012c000000000000"},
	{"sas at the host", [][]string{s("host5", "scsi", "DEVTYPE=scsi_host"), s("port-5:0", ""), s("end_device-5:0", ""), s("target5:0:2", "scsi", "DEVTYPE=scsi_target"), s("5:0:2:0", "scsi", "DEVTYPE=scsi_device"), s("sda", "block")},
		sasEntries("host5/port-5:0/end_device-5:0", "1"), "pci-0000:00:01.0-sas-phy7-lun-0"},
	{"sas wide port", [][]string{s("host5", "scsi", "DEVTYPE=scsi_host"), s("port-5:0", ""), s("end_device-5:0", ""), s("target5:0:2", "scsi", "DEVTYPE=scsi_target"), s("5:0:2:0", "scsi", "DEVTYPE=scsi_device"), s("sda", "block")},
		sasEntries("host5/port-5:0/end_device-5:0", "4"), "pci-0000:00:01.0-sas-0x5000-lun-0"},
	{"sas behind an expander", [][]string{s("host5", "scsi", "DEVTYPE=scsi_host"), s("expander-5:9", ""), s("port-5:0", ""), s("end_device-5:0", ""), s("target5:0:2", "scsi", "DEVTYPE=scsi_target"), s("5:0:2:0", "scsi", "DEVTYPE=scsi_device"), s("sda", "block")},
		append(sasEntries("host5/expander-5:9/port-5:0/end_device-5:0", "1"), e("/devices/x/expander-5:9", "sas_device", "sas_address=0x6000"), e("→/class/sas_device/expander-5:9", "/devices/x/expander-5:9")),
		"pci-0000:00:01.0-sas-exp0x6000-phy7-lun-0"},
	{"iscsi", [][]string{s("host6", "scsi", "DEVTYPE=scsi_host"), s("session2", ""), s("target6:0:0", "scsi", "DEVTYPE=scsi_target"), s("6:0:0:1", "scsi", "DEVTYPE=scsi_device"), s("sda", "block")},
		[]string{e("/devices/x/session2", "iscsi_session", "targetname=iqn.2026-01.x:y"), e("→/class/iscsi_session/session2", "/devices/x/session2"),
			e("/devices/x/connection2:0", "iscsi_connection", "persistent_address=10.0.0.1", "persistent_port=3260"), e("→/class/iscsi_connection/connection2:0", "/devices/x/connection2:0")},
		"pci-0000:00:01.0-ip-10.0.0.1:3260-iscsi-iqn.2026-01.x:y-lun-1"},
	{"firewire", [][]string{s("fw1.0", "firewire"), s("host5", "scsi", "DEVTYPE=scsi_host"), s("5:0:0:0", "scsi", "DEVTYPE=scsi_device", "ieee1394_id=00a:b:c"), s("sda", "block")}, nil, "pci-0000:00:01.0-ieee1394-0x00a:b:c"},
	{"hyper-v", [][]string{s("VMBUS:01", ""), s("vmbus1", "vmbus", "device_id={11111111-2222-3333-4444-555555555555}"), s("host5", "scsi", "DEVTYPE=scsi_host"), s("target5:0:2", "scsi", "DEVTYPE=scsi_target"), s("5:0:2:3", "scsi", "DEVTYPE=scsi_device"), s("sda", "block")}, nil,
		"pci-0000:00:01.0-vmbus-11111111222233334444555555555555-lun-3"},
	{"usb", [][]string{s("usb1", "usb", "DEVTYPE=usb_device"), s("1-2", "usb", "DEVTYPE=usb_device"), s("1-2.4", "usb", "DEVTYPE=usb_device"), s("1-2.4:1.0", "usb", "DEVTYPE=usb_interface"), s("host5", "scsi", "DEVTYPE=scsi_host"), s("target5:0:0", "scsi", "DEVTYPE=scsi_target"), s("5:0:0:0", "scsi", "DEVTYPE=scsi_device"), s("sda", "block")}, nil,
		"pci-0000:00:01.0-usb-0:2.4:1.0-scsi-0:0:0:0"},
	{"usb 3", [][]string{s("usb2", "usb", "DEVTYPE=usb_device", "bDeviceProtocol=03", "speed=5000"), s("2-1", "usb", "DEVTYPE=usb_device", "bDeviceProtocol=00"), s("2-1:1.0", "usb", "DEVTYPE=usb_interface"), s("net"), s("eth0", "net")}, nil,
		"pci-0000:00:01.0-usb-0:1:1.0 pci-0000:00:01.0-usbv3-0:1:1.0"},
	{"usb 2", [][]string{s("usb2", "usb", "DEVTYPE=usb_device", "bDeviceProtocol=00", "speed=480"), s("2-1", "usb", "DEVTYPE=usb_device")}, nil, "pci-0000:00:01.0-usb-0:1 pci-0000:00:01.0-usbv2-0:1"},
	{"usb 1", [][]string{s("usb2", "usb", "DEVTYPE=usb_device", "bDeviceProtocol=00", "speed=12"), s("2-1", "usb", "DEVTYPE=usb_device")}, nil, "pci-0000:00:01.0-usb-0:1 pci-0000:00:01.0-usbv1-0:1"},
	{"nvme", [][]string{s("nvme", ""), s("nvme0", "nvme"), s("nvme0n1", "block", "nsid=3")}, nil, "pci-0000:00:01.0-nvme-3"},
	{"cciss", [][]string{s("cciss0", ""), s("c0d1", "cciss"), s("block"), s("cciss!c0d1", "block")}, nil, "pci-0000:00:01.0-cciss-disk1"},
	{"a mode of a tape drive", [][]string{s("host5", "scsi", "DEVTYPE=scsi_host"), s("target5:0:2", "scsi", "DEVTYPE=scsi_target"), s("5:0:2:0", "scsi", "DEVTYPE=scsi_device"), s("nst0", "scsi_tape"), s("nstl", "scsi_tape")}, nil, "pci-0000:00:01.0-scsi-0:0:2:0-nstl"},
	{"serio", [][]string{s("serio1", "serio"), s("input3", "input")}, nil, "pci-0000:00:01.0-serio-1"},
	{"bcma", [][]string{s("bcma0:1", "bcma"), s("wlan0", "net")}, nil, "pci-0000:00:01.0-bcma-1"},
	{"spi", [][]string{s("spi0.1", "spi"), s("x", "misc")}, nil, "pci-0000:00:01.0-cs-1"},
	{"nested platform devices", [][]string{s("a.0", "platform"), s("b.1", "platform"), s("mmcblk0", "block")}, nil, "pci-0000:00:01.0-platform-b.1"},
	{"ccw", [][]string{s("0.0.0200", "ccw"), s("dasda", "block")}, nil, "pci-0000:00:01.0-ccw-0.0.0200"},
	{"ap", [][]string{s("01.0004", "ap", "type=12", "ap_functions=0x9"), s("x", "misc")}, nil, "pci-0000:00:01.0-ap-12-0x9"},
	{"xen", [][]string{s("vbd-51712", "xen"), s("xvda", "block")}, nil, ""},
	{"acpi", [][]string{s("PNP0C0A:00", "acpi"), s("x", "misc")}, nil, "pci-0000:00:01.0-acpi-PNP0C0A:00"},
}

func sasEntries(end, phys string) []string {
	return []string{
		e("/devices/x/end_device-5:0", "sas_device", "sas_address=0x5000", "phy_identifier=7"), e("→/class/sas_device/end_device-5:0", "/devices/x/end_device-5:0"),
		e("/devices/x/port-5:0", "sas_port", "num_phys="+phys), e("→/class/sas_port/port-5:0", "/devices/x/port-5:0"),
	}
}

func TestPathID(t *testing.T) {
	for _, c := range pathCases {
		t.Run(c.name, func(t *testing.T) {
			entries, path := chain(c.steps...)
			d := device.New(fake(t, append(entries, c.extra...)...), path, nil)
			err := PathID(d)
			if c.want == "" {
				if !errors.Is(err, ErrNothing) || d.HasProperty("ID_PATH") {
					t.Fatalf("%v, %s", err, d.Property("ID_PATH"))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := d.Property("ID_PATH")
			for _, k := range []string{"ID_PATH_ATA_COMPAT", "ID_PATH_WITH_USB_REVISION"} {
				if d.HasProperty(k) {
					got += " " + d.Property(k)
				}
			}
			if got != c.want {
				t.Errorf("%s instead of %s", got, c.want)
			}
		})
	}
}

func TestPathOfSubsystem(t *testing.T) {
	head := "/devices/virtual/nvme-subsystem/nvme-subsys0"
	sys := fake(t, e(pci, "pci"), e(pci+"/nvme/nvme0", "nvme"), e("→/class/nvme/nvme0", pci+"/nvme/nvme0"),
		e("/devices/virtual/nvme-fabrics/ctl/nvme1", "nvme"), e("→/class/nvme/nvme1", "/devices/virtual/nvme-fabrics/ctl/nvme1"),
		e(head, "nvme-subsystem"), e(head+"/nvme0n1", "block", "nsid=1"), e(head+"/nvme1n1", "block", "nsid=1"), e(head+"/nvme7n1", "block", "nsid=1"))
	d := device.New(sys, head+"/nvme0n1", nil)
	if err := PathID(d); err != nil || d.Property("ID_PATH") != "pci-0000:00:01.0-nvme-1" {
		t.Errorf("%v %q", err, d.Property("ID_PATH"))
	}
	if d.Property("ID_PATH_TAG") != "pci-0000_00_01_0-nvme-1" {
		t.Errorf("tag %q", d.Property("ID_PATH_TAG"))
	}
	for _, fabrics := range []string{"nvme1n1", "nvme7n1"} {
		if err := PathID(device.New(sys, head+"/"+fabrics, nil)); !errors.Is(err, ErrNothing) {
			t.Errorf("%s: %v", fabrics, err)
		}
	}
}

// props shows the properties that a builtin set.
func props(d *device.Device) string {
	var l []string
	for k, v := range d.Properties() {
		if strings.HasPrefix(k, "ID_") || strings.HasPrefix(k, "DM_") {
			l = append(l, k+"="+v)
		}
	}
	slices.Sort(l)
	return strings.Join(l, "\n")
}

func check(t *testing.T, got, want string) {
	t.Helper()
	if got != strings.TrimSpace(want) {
		t.Errorf("got:\n%s\nwant:\n%s", got, strings.TrimSpace(want))
	}
}

func TestUSBID(t *testing.T) {
	desc := "\x12\x01\x00\x02\x00\x00\x00\x40\x58\x10\xee\x25\x04\x40\x01\x02\x03\x01" + "\x09\x02\x20\x00\x01\x01\x00\x80\x32" +
		"\x09\x04\x00\x00\x02\x08\x06\x50\x00" + "\x07\x05\x81\x02\x00\x02\x00" + "\x09\x04\x00\x01\x02\x08\x06\x62\x00" + "\x09\x04\x01\x00\x02\x08\x06\x50\x00" + "\x07\x05\x81\x02\x00\x02\x00"
	usbDev := e(pci+"/usb1/1-2", "usb", "DEVTYPE=usb_device", "idVendor=1058", "idProduct=25ee", "manufacturer=Western Digital", "product=My Book", "serial=A B;1", "bcdDevice=4004", "descriptors="+desc)
	base := []string{e(pci, "pci"), usbDev}
	t.Run("disk", func(t *testing.T) {
		iface := pci + "/usb1/1-2/1-2:1.0"
		disk := iface + "/host5/target5:0:0/5:0:0:1"
		sys := fake(t, append(base, e(iface, "usb", "DEVTYPE=usb_interface", "bInterfaceClass=08", "bInterfaceSubClass=06", "bInterfaceNumber=00", "driver=usb-storage"),
			e(disk, "scsi", "DEVTYPE=scsi_device", "vendor=WD      ", "model=My Book 25EE    ", "rev=4004", "type=0"), e(disk+"/block/sda", "block"))...)
		d := device.New(sys, disk+"/block/sda", map[string]string{"SUBSYSTEM": "block", "ID_BUS": "ata", "ID_SERIAL": "kept"})
		if err := USBID(d); err != nil {
			t.Fatal(err)
		}
		check(t, props(d), `
ID_BUS=ata
ID_SERIAL=kept
ID_USB_DRIVER=usb-storage
ID_USB_INSTANCE=0:1
ID_USB_INTERFACES=:080650:080662:
ID_USB_INTERFACE_NUM=00
ID_USB_MODEL=My_Book_25EE
ID_USB_MODEL_ENC=My\x20Book\x2025EE\x20\x20\x20\x20
ID_USB_MODEL_ID=25ee
ID_USB_REVISION=4004
ID_USB_SERIAL=WD_My_Book_25EE_A_B_1-0:1
ID_USB_SERIAL_SHORT=A_B_1
ID_USB_TYPE=disk
ID_USB_VENDOR=WD
ID_USB_VENDOR_ENC=WD\x20\x20\x20\x20\x20\x20
ID_USB_VENDOR_ID=1058`)
	})
	t.Run("the device itself", func(t *testing.T) {
		d := device.New(fake(t, base...), pci+"/usb1/1-2", nil)
		if err := USBID(d); err != nil {
			t.Fatal(err)
		}
		for k, v := range map[string]string{"ID_BUS": "usb", "ID_SERIAL": "Western_Digital_My_Book_A_B_1", "ID_USB_SERIAL": "Western_Digital_My_Book_A_B_1", "ID_MODEL_ENC": `My\x20Book`, "ID_REVISION": "4004", "ID_TYPE": ""} {
			if d.Property(k) != v {
				t.Errorf("%s=%q", k, d.Property(k))
			}
		}
	})
	t.Run("a keyboard with a bad serial number", func(t *testing.T) {
		iface := pci + "/usb1/1-3/1-3:1.0"
		d := device.New(fake(t, e(pci, "pci"), e(pci+"/usb1/1-3", "usb", "DEVTYPE=usb_device", "idVendor=04d9", "idProduct=0002", "serial=a\x01b"),
			e(iface, "usb", "DEVTYPE=usb_interface", "bInterfaceClass=03"), e(iface+"/input/input1", "input")), iface+"/input/input1", nil)
		if err := USBID(d); err != nil {
			t.Fatal(err)
		}
		if d.Property("ID_SERIAL") != "04d9_0002" || d.Property("ID_TYPE") != "hid" || d.HasProperty("ID_SERIAL_SHORT") {
			t.Error(props(d))
		}
	})
	if err := USBID(device.New(fake(t, e(pci, "pci")), pci, nil)); !errors.Is(err, ErrNothing) {
		t.Error(err)
	}
}

// identify makes IDENTIFY data.
func identify(words map[int]uint16, serial, revision, model string) []byte {
	id := make([]byte, 512)
	for n, w := range words {
		binary.LittleEndian.PutUint16(id[2*n:], w)
	}
	put := func(word, size int, s string) {
		s += strings.Repeat(" ", size-len(s))
		for i := range size {
			id[2*word+i^1] = s[i]
		}
	}
	put(10, 20, serial)
	put(23, 8, revision)
	put(27, 40, model)
	return id
}

func TestATAID(t *testing.T) {
	id := identify(map[int]uint16{0: 0x0040, 76: 0x0006, 82: 0x002b | 1<<5, 83: 0x4029, 85: 0x0029, 86: 0x0008, 89: 33, 90: 44, 91: 0x80fe, 108: 0x5000, 109: 0xc500, 110: 0x1234, 111: 0x5678, 128: 0x0029, 217: 7200},
		"  W1 F0;ABC", "CC43", "ST1000DM003-1CH162")
	want := `
ID_ATA=1
ID_ATA_DOWNLOAD_MICROCODE=1
ID_ATA_FEATURE_SET_APM=1
ID_ATA_FEATURE_SET_APM_CURRENT_VALUE=254
ID_ATA_FEATURE_SET_APM_ENABLED=1
ID_ATA_FEATURE_SET_PM=1
ID_ATA_FEATURE_SET_PM_ENABLED=1
ID_ATA_FEATURE_SET_PUIS=1
ID_ATA_FEATURE_SET_PUIS_ENABLED=0
ID_ATA_FEATURE_SET_SECURITY=1
ID_ATA_FEATURE_SET_SECURITY_ENABLED=0
ID_ATA_FEATURE_SET_SECURITY_ENHANCED_ERASE_UNIT_MIN=88
ID_ATA_FEATURE_SET_SECURITY_ERASE_UNIT_MIN=66
ID_ATA_FEATURE_SET_SECURITY_FROZEN=1
ID_ATA_FEATURE_SET_SMART=1
ID_ATA_FEATURE_SET_SMART_ENABLED=1
ID_ATA_ROTATION_RATE_RPM=7200
ID_ATA_SATA=1
ID_ATA_SATA_SIGNAL_RATE_GEN1=1
ID_ATA_SATA_SIGNAL_RATE_GEN2=1
ID_ATA_WRITE_CACHE=1
ID_ATA_WRITE_CACHE_ENABLED=1
ID_BUS=ata
ID_MODEL=ST1000DM003-1CH162
ID_MODEL_ENC=ST1000DM003-1CH162\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20
ID_REVISION=CC43
ID_SERIAL=ST1000DM003-1CH162_W1_F0_ABC
ID_SERIAL_SHORT=W1_F0_ABC
ID_TYPE=disk
ID_WWN=0x5000c50012345678
ID_WWN_WITH_EXTENSION=0x5000c50012345678`
	// The kernel shows it in sysfs, without a command to the disk.
	hex := ""
	for i := 0; i < 512; i += 2 {
		hex += fmt.Sprintf("%04x", binary.LittleEndian.Uint16(id[i:]))
		if i%16 == 14 {
			hex += "\n"
		} else {
			hex += " "
		}
	}
	disk := pci + "/ata7/host6/target6:0:0/6:0:0:0"
	ataDev := pci + "/ata7/link7/dev7.0/ata_device/dev7.0"
	sys := fake(t, e(pci, "pci"), e(disk, "scsi", "DEVTYPE=scsi_device"), e(disk+"/block/sda", "block", "DEVNAME=sda"), e(ataDev, "ata_device", "id="+hex), e("→/class/ata_device/dev7.0", ataDev))
	d := device.New(sys, disk+"/block/sda", nil)
	if err := ATAID(d, nil); err != nil {
		t.Fatal(err)
	}
	check(t, props(d), want)
	// Elsewhere the disk is asked.
	d = device.New(sys, "/devices/none", map[string]string{"DEVNAME": "/dev/sdx"})
	if err := ATAID(d, answers{identify: id}); err != nil {
		t.Fatal(err)
	}
	check(t, props(d), want)
	if err := ATAID(device.New(sys, "/devices/none", map[string]string{}), nil); !errors.Is(err, ErrNothing) {
		t.Error(err)
	}
	if err := ATAID(d, answers{identify: make([]byte, 512)}); !errors.Is(err, ErrNothing) {
		t.Error(err)
	}
	if err := ATAID(d, answers{identify: id[:100]}); err == nil {
		t.Error("a short answer was taken")
	}
	// An optical drive with security switched on, and a CompactFlash card.
	d = device.New(sys, "/devices/none", map[string]string{})
	if err := ATAProperties(d, identify(map[int]uint16{0: 0x8580, 82: 2, 85: 2, 128: 0x0114, 217: 1}, "", "1.0", "DVD RW")); err != nil {
		t.Fatal(err)
	}
	for k, v := range map[string]string{"ID_TYPE": "cd", "ID_SERIAL": "DVD_RW", "ID_SERIAL_SHORT": "", "ID_ATA_FEATURE_SET_SECURITY_LEVEL": "maximum", "ID_ATA_FEATURE_SET_SECURITY_EXPIRE": "1", "ID_ATA_FEATURE_SET_SECURITY_LOCKED": "1", "ID_ATA_ROTATION_RATE_RPM": "0", "ID_ATA_CFA": ""} {
		if d.Property(k) != v {
			t.Errorf("%s=%q", k, d.Property(k))
		}
	}
}

// answers is a Querier with fixed answers.
type answers struct {
	identify []byte
	standard string
	pages    map[byte]string
}

func (a answers) Identify(string) ([]byte, error) { return a.identify, nil }
func (a answers) Inquiry(_ string, vpd bool, page byte) ([]byte, error) {
	if !vpd {
		return []byte(a.standard), nil
	}
	p, ok := a.pages[page]
	if !ok {
		return nil, errors.New("refused")
	}
	return []byte(p), nil
}

func page(n byte, body string) string {
	return string([]byte{0, n, byte(len(body) >> 8), byte(len(body))}) + body
}

func designator(code, kind byte, body string) string {
	return string([]byte{code, kind, 0, byte(len(body))}) + body
}

func TestSCSIID(t *testing.T) {
	const std = "\x00\x00\x06\x12\x1f\x00\x00\x02SEAGATE ST300;X  MODEL  0001tail"
	common := `
ID_MODEL=ST300_X_MODEL
ID_MODEL_ENC=ST300\x3bX\x20\x20MODEL\x20\x20
ID_REVISION=0001
ID_SCSI=1
`
	tail := `
ID_TYPE=disk
ID_VENDOR=SEAGATE
ID_VENDOR_ENC=SEAGATE\x20`
	naa6 := "\x60\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"
	for _, c := range []struct {
		name  string
		pages map[byte]string
		want  string
	}{
		{"the extended name first, the group of ports beside it", map[byte]string{0: page(0, "\x00\x80\x83"), 0x80: page(0x80, " SN 1 "),
			0x83: page(0x83, designator(2, 1, "SEAGATE x")+designator(1, 3, "\x50\x00\xc5\x00\x01\x02\x03\x04")+designator(1, 0x93, "\x50\x00\xc5\x00\x01\x02\x03\x05")+designator(1, 3, naa6)+designator(1, 0x15, "\x00\x00\x01\x2a"))},
			"ID_SCSI_SERIAL=SN 1\nID_SERIAL=3600102030405060708090a0b0c0d0e0f\nID_SERIAL_SHORT=600102030405060708090a0b0c0d0e0f\nID_TARGET_PORT=12a" + tail +
				"\nID_WWN=0x6001020304050607\nID_WWN_VENDOR_EXTENSION=0x08090a0b0c0d0e0f\nID_WWN_WITH_EXTENSION=0x600102030405060708090a0b0c0d0e0f"},
		{"the plain name", map[byte]string{0: page(0, "\x00\x83"), 0x83: page(0x83, designator(2, 0, "own")+designator(1, 3, "\x50\x00\xc5\x00\x01\x02\x03\x04"))},
			"ID_SERIAL=35000c50001020304\nID_SERIAL_SHORT=5000c50001020304" + tail + "\nID_WWN=0x5000c50001020304\nID_WWN_WITH_EXTENSION=0x5000c50001020304"},
		{"a name of the maker's own", map[byte]string{0: page(0, "\x83"), 0x83: page(0x83, designator(2, 0, "drive;1\n"))},
			"ID_SERIAL=0SEAGATE_ST300_X_MODEL_drive_1\nID_SERIAL_SHORT=drive_1" + tail},
		{"T10", map[byte]string{0: page(0, "\x83"), 0x83: page(0x83, designator(2, 1, "QEMU disk"))}, "ID_SERIAL=1QEMU_disk\nID_SERIAL_SHORT=QEMU_disk" + tail},
		{"EUI", map[byte]string{0: page(0, "\x83"), 0x83: page(0x83, designator(1, 2, "\x01\x02\x03\x04\x05\x06\x07\x08"))}, "ID_SERIAL=20102030405060708\nID_SERIAL_SHORT=0102030405060708" + tail},
		{"the form of SCSI-2", map[byte]string{0: page(0, "\x83"), 0x83: page(0x83, "\x60\x06\x04\x80")}, "ID_SERIAL=360060480\nID_SERIAL_SHORT=360060480" + tail},
		{"a serial number only", map[byte]string{0: page(0, "\x80"), 0x80: page(0x80, "SN1")}, "ID_SERIAL=SSEAGATE_ST300_X_MODEL_SN1\nID_SERIAL_SHORT=SN1" + tail},
		{"pages that are not in the list are not asked for", map[byte]string{0: page(0, "\x00"), 0x80: page(0x80, "SN1")}, strings.TrimSpace(tail)},
		{"nothing but what every disk says", nil, strings.TrimSpace(tail)},
		{"a designator that is longer than the page", map[byte]string{0: page(0, "\x83"), 0x83: page(0x83, "\x01\x03\x00\x40\x50")}, strings.TrimSpace(tail)},
	} {
		t.Run(c.name, func(t *testing.T) {
			// From the disk itself.
			d := device.New(fake(t, e(pci, "pci")), pci+"/x", map[string]string{"DEVNAME": "/dev/sdx"})
			if err := SCSIID(d, answers{standard: std, pages: c.pages}); err != nil {
				t.Fatal(err)
			}
			check(t, props(d), common+c.want)
			// From sysfs, where reading takes line ends away.
			attrs := []string{pci + "/1:0:0:0", "scsi", "DEVTYPE=scsi_device", "inquiry=" + std}
			for n, p := range c.pages {
				name := fmt.Sprintf("vpd_pg%x", n)
				if n == 0x83 || n == 0x80 {
					if !strings.Contains(c.pages[0], string([]byte{n})) {
						continue
					}
				}
				attrs = append(attrs, name+"="+strings.TrimRight(p, "\n"))
			}
			d = device.New(fake(t, e(pci, "pci"), e(attrs...), e(pci+"/1:0:0:0/block/sda", "block")), pci+"/1:0:0:0/block/sda", nil)
			if err := SCSIID(d, nil); err != nil {
				t.Fatal(err)
			}
			check(t, props(d), common+c.want)
		})
	}
	d := device.New(fake(t, e(pci, "pci"), e(pci+"/1:0:0:0", "scsi", "DEVTYPE=scsi_device", "vendor=A", "model=B", "rev=1", "type=5"), e(pci+"/1:0:0:0/sr0", "block")), pci+"/1:0:0:0/sr0", nil)
	if err := SCSIID(d, nil); err != nil || d.Property("ID_TYPE") != "cd" || d.Property("ID_VENDOR_ENC") != `A\x20\x20\x20\x20\x20\x20\x20` {
		t.Errorf("%v %s", err, props(d))
	}
	if err := SCSIID(device.New(fake(t, e(pci, "pci")), pci, nil), nil); !errors.Is(err, ErrNothing) {
		t.Error(err)
	}
}

func TestDM(t *testing.T) {
	sys := fake(t)
	d := device.New(sys, "/d", map[string]string{})
	if err := DMFlags(d, "0x1491234"); err != nil {
		t.Fatal(err)
	}
	check(t, props(d), "DM_SUBSYSTEM_UDEV_FLAG0=1\nDM_UDEV_DISABLE_DM_RULES_FLAG=1\nDM_UDEV_DISABLE_OTHER_RULES_FLAG=1\nDM_UDEV_PRIMARY_SOURCE_FLAG=1")
	if DMFlags(d, "x") == nil || DMFlags(d, "4294967296") == nil {
		t.Error("a bad cookie was taken")
	}
	for name, want := range map[string]string{
		"vg-lv":              "DM_LV_NAME=lv\nDM_VG_NAME=vg",
		"vg--a-lv--b":        "DM_LV_NAME=lv-b\nDM_VG_NAME=vg-a",
		"vg-lv-real":         "DM_LV_LAYER=real\nDM_LV_NAME=lv\nDM_VG_NAME=vg",
		"a----b-c":           "DM_LV_NAME=c\nDM_VG_NAME=a--b",
		"vg":                 "DM_VG_NAME=vg",
		"vg-lv-x--y-z":       "DM_LV_LAYER=x-y-z\nDM_LV_NAME=lv\nDM_VG_NAME=vg",
		"vg-lv_rimage_0-cow": "DM_LV_LAYER=cow\nDM_LV_NAME=lv_rimage_0\nDM_VG_NAME=vg",
	} {
		d := device.New(sys, "/d", map[string]string{})
		if err := DMSplit(d, name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := props(d); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if err := DMSplit(d, ""); !errors.Is(err, ErrNothing) {
		t.Error(err)
	}
}

// FuzzPages: no page and no identity makes the parsers fail, and what they
// give can stand in a link.
func FuzzPages(f *testing.F) {
	f.Add([]byte(page(0x83, designator(1, 3, "\x50\x00\xc5\x00\x01\x02\x03\x04"))), []byte(page(0x80, "x")))
	f.Add(identify(nil, "a", "b", "c"), []byte{})
	sys := fake(f)
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if len(a) > 4096 || len(b) > 4096 {
			return
		}
		for _, q := range []answers{{identify: a, standard: string(b)}, {standard: strings.Repeat("v", 36), pages: map[byte]string{0: "\x00\x00\x00\x02\x80\x83", 0x83: string(a), 0x80: string(b)}}} {
			d := device.New(sys, "/d", map[string]string{})
			_ = ATAID(d, q)
			_ = SCSIID(d, q)
			if s := d.Property("ID_SERIAL"); len(s) > 600 || strings.ContainsAny(s, "/ \n\x00") {
				t.Errorf("ID_SERIAL %q", s)
			}
		}
	})
}
