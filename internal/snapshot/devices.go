package snapshot

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// attributes are the names that rules, builtins and handlers read, each with
// who wants it. A test compares the list with our rules.
var attributes = map[string]bool{
	"uevent": true, "modalias": true, "dev": true,
	// block devices
	"size": true, "ro": true, "removable": true, "start": true, "partition": true, "whole_disk": true,
	// SCSI, ATA, NVMe, virtio: serials and names for links
	"vendor": true, "model": true, "rev": true, "type": true, "serial": true, "wwid": true, "uuid": true, "nsid": true,
	"firmware_rev": true, "scsi_level": true, "inquiry": true, "vpd_pg0": true, "vpd_pg00": true, "vpd_pg80": true, "vpd_pg83": true,
	"sas_address": true, "persistent_address": true, "persistent_port": true, "device_id": true, "phy_identifier": true,
	"port_no": true, "ieee1394_id": true, "id": true, "name": true,
	// USB
	"bInterfaceClass": true, "bInterfaceSubClass": true, "bInterfaceNumber": true, "bDeviceProtocol": true, "bDeviceClass": true,
	"idVendor": true, "idProduct": true, "manufacturer": true, "product": true, "bcdDevice": true, "speed": true, "descriptors": true,
	// s390 channels
	"ap_functions": true,
	// stacked devices
	"dm/name": true, "dm/uuid": true, "dm/suspended": true, "loop/backing_file": true,
	"md/array_state": true, "md/metadata_version": true, "md/level": true, "md/raid_disks": true, "md/degraded": true, "md/sync_action": true,
	"md/consistency_policy": true,
}

// below are directories in a device's own that hold attributes of the list.
var below = map[string]bool{"dm": true, "md": true, "loop": true}

// links are the names of links that are kept.
var links = map[string]bool{"subsystem": true, "driver": true}

// passed are directories that hold neither devices nor attributes that a boot
// reads; some are large.
var passed = map[string]bool{
	"power": true, "statistics": true, "queue": true, "mq": true, "integrity": true, "trace": true, "msi_irqs": true, "stat": true,
	"inflight": true, "events": true, "wakeup": true, "hwmon": true, "firmware_node": true, "iommu": true, "holders": true, "bcache": true,
	"slaves": true, "bdi": true, "cache": true, "topology": true, "cpufreq": true, "cpuidle": true, "thermal_throttle": true,
	"microcode": true, "edid": true, "link": true, "crypto": true, "ue_count": true, "lstopo": true, "sriov": true, "graphics": true, "drm": true,
}

// Bounds of the walk.
const (
	maxDepth   = 64
	maxDevices = 1 << 16
)

// devices takes the device tree.
func (t *taker) devices() error {
	top, err := t.o.Sys.List("/devices")
	if err != nil {
		return fmt.Errorf("snapshot: the device tree: %w", err)
	}
	for _, name := range top {
		switch name {
		case "virtual":
			t.walk("/devices/virtual/block", 0)
			t.walk("/devices"+Namespaces, 0)
		case "breakpoint", "kprobe", "msr", "software", "tracepoint", "uprobe", "isa":
		default:
			t.walk("/devices/"+name, 0)
		}
	}
	devs := t.s.Sys.Devices()
	if len(devs) == 0 {
		return fmt.Errorf("snapshot: there is no device in /sys")
	}
	if len(devs) > maxDevices {
		return fmt.Errorf("snapshot: more than %d devices", maxDevices)
	}
	for _, dev := range devs {
		t.register(dev)
	}
	for _, p := range []string{"/module/module/parameters/sig_enforce", "/power/resume"} {
		if t.o.Sys.Exists(p) {
			t.s.Sys.Set(p, "")
		}
	}
	return nil
}

// walk takes a directory of /sys/devices and those below.
func (t *taker) walk(dir string, depth int) {
	names, err := t.o.Sys.List(dir)
	if err != nil || depth > maxDepth || len(t.s.Sys.Files) > maxNodes {
		return
	}
	for _, name := range names {
		p := dir + "/" + name
		switch {
		case attributes[name]:
			if v, err := t.o.Sys.Read(p); err == nil {
				t.s.Sys.Set(p, v)
			}
		case links[name]:
			t.link(p)
		case strings.HasPrefix(name, "supplier:"):
			t.supplier(dir, name)
		case below[name]:
			t.inside(dir, name)
		case name == "slaves":
			t.slaves(dir)
		case passed[name]:
		default:
			if _, err := t.o.Sys.Readlink(p); err != nil {
				t.walk(p, depth+1)
			}
		}
	}
}

// link takes a link, with an absolute target.
func (t *taker) link(p string) {
	target, err := t.o.Sys.Readlink(p)
	if err != nil {
		return
	}
	if !path.IsAbs(target) {
		target = path.Join(path.Dir(p), target)
	}
	if proper(target) {
		t.s.Sys.Link(p, target)
	}
}

// supplier takes the link of a device to one that must have its driver first
// (driver-api/device_link.rst).
func (t *taker) supplier(dir, name string) {
	if target, err := t.o.Sys.Resolve(dir + "/" + name + "/supplier"); err == nil && proper(target) {
		t.s.Sys.Link(dir+"/"+name, target)
	}
}

// inside takes the attributes of a kind of stacked device, and the members
// of an array.
func (t *taker) inside(dir, kind string) {
	names, _ := t.o.Sys.List(dir + "/" + kind)
	for _, n := range names {
		p := dir + "/" + kind + "/" + n
		if attributes[kind+"/"+n] {
			if v, err := t.o.Sys.Read(p); err == nil {
				t.s.Sys.Set(p, v)
			}
		}
	}
}

// slaves takes the names of the devices that one is made of.
func (t *taker) slaves(dir string) {
	names, _ := t.o.Sys.List(dir + "/slaves")
	for _, n := range names {
		if target, err := t.o.Sys.Resolve(dir + "/slaves/" + n); err == nil && proper(target) {
			t.s.Sys.Link(dir+"/slaves/"+n, target)
		}
	}
}

// register makes the links by which a device is found, and that of its
// driver to the module.
func (t *taker) register(dev string) {
	sys := t.s.Sys
	if at := Registered(sys, dev); at != "" {
		sys.Link(at, dev)
	}
	driver := sys.Links[dev+"/driver"]
	if driver == "" || sys.Links[driver+"/module"] != "" {
		return
	}
	if target, err := t.o.Sys.Resolve(driver + "/module"); err == nil && proper(target) {
		sys.Link(driver+"/module", target)
	}
}

// Registered is where the subsystem of a device has its link to it:
// "/class/block/sda", "/bus/pci/devices/0000:00:02.0"; "" for none.
func Registered(sys *Tree, dev string) string {
	subsystem := sys.Links[dev+"/subsystem"]
	name := path.Base(dev)
	switch {
	case strings.HasPrefix(subsystem, "/class/"):
		return subsystem + "/" + name
	case strings.HasPrefix(subsystem, "/bus/"):
		return subsystem + "/devices/" + name
	}
	return ""
}

// Namespaces is where the namespaces are, below /devices, that the kernel has put
// together of several paths.
const Namespaces = "/virtual/nvme-subsystem"

// Whole is the namespace that a path is one of: "nvme1n1" of nvme1c0n1; "" for
// what is no such path. It is hidden: it has no node.
func Whole(name string) string {
	rest, ok := strings.CutPrefix(name, "nvme")
	c, n := strings.IndexByte(rest, 'c'), strings.LastIndexByte(rest, 'n')
	if !ok || c <= 0 || n < c+2 {
		return ""
	}
	return "nvme" + rest[:c] + rest[n:]
}

// Slaves are the kernel names of the devices that one is made of.
func (s *Snapshot) Slaves(dev string) []string {
	names, _ := s.Sys.List(dev + "/slaves")
	return slices.Clone(names)
}
