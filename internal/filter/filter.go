// Package filter decides which queues an event of a device concerns. Filters
// are pure and quick: they look at the properties that the rules have left
// and never act.
package filter

import (
	"firstlight/internal/bootcmd"
	"firstlight/internal/device"
	"firstlight/internal/devspec"
	"firstlight/internal/ueventd"
)

// Queue names, the subjects of the boot. Those that end without an object
// are followed by a blank and what identifies it.
const (
	MD    = "md"    // one array: its UUID
	Clean = "clean" // the same, once it runs: its device (the md handler pushes these)
	// FirmwareRAID is all disks with metadata that the kernel does not know.
	FirmwareRAID = "fwraid"
	// Bcache is all disks with caches, and the caches.
	Bcache = "bcache"
	PV     = "pv"     // one physical volume: its node
	VG     = "vg"     // one volume group: its name (the pv handler pushes these)
	LUKS   = "luks"   // one encrypted device: its LUKS UUID
	Asked  = "asked"  // the same, for what must not wait behind its question
	Btrfs  = "btrfs"  // one filesystem: its UUID
	Resume = "resume" // the hibernation image
	Root   = "root"   // the root filesystem
	Mount  = "mount"  // another filesystem of the real system: its mount point
	Boot   = "boot"   // the goals together
)

// Kinds of events that filters make.
const (
	Add      = "add"      // the device is there, and identified
	Remove   = "remove"   // the device is gone
	Deadline = "deadline" // the time of the goal that the queue owns has passed
)

// filters is the list of all filters; a new subject is a new line.
var filters = [...]func(d *device.Device) string{raidMember, seldom, physicalVolume, encrypted, btrfsMember}

// Classify returns the queue events for an event of a block device.
func Classify(cfg *bootcmd.Config, d *device.Device, action string) []ueventd.Event {
	if d.Subsystem() != "block" || d.Devname() == "" {
		return nil
	}
	kind := Add
	if action == "remove" {
		kind = Remove
	}
	var out []ueventd.Event
	push := func(queue string) {
		out = append(out, ueventd.Event{Queue: queue, Kind: kind, Name: d.Devname()})
	}
	if !Usable(d) && kind == Add {
		return nil
	}
	for _, f := range filters {
		if q := f(d); q != "" {
			push(q)
		}
	}
	if kind == Remove && encrypted(d) != "" {
		push(Asked + " " + d.Property("ID_FS_UUID"))
	}
	if r := cfg.Resume; !r.Disabled && mayBe(r.Device, d) {
		push(Resume)
	}
	if mayBe(cfg.Root.Device, d) {
		push(Root)
	}
	return out
}

// Left returns the queue events for a device that was a member of something
// and is none any more, although it is there: it was written to, or cannot be
// read. An encrypted device is not one of these: while it is there a question
// for it stands. Nor is a disk of a firmware RAID, which mdadm and mdmon see to,
// or one of bcache, of which all are looked at with each event.
func Left(old, now *device.Device) []ueventd.Event {
	if old.Subsystem() != "block" {
		return nil
	}
	var out []ueventd.Event
	for _, f := range [...]func(d *device.Device) string{raidMember, physicalVolume, btrfsMember} {
		if q := f(old); q != "" && q != f(now) {
			out = append(out, ueventd.Event{Queue: q, Kind: Remove, Name: old.Devname()})
		}
	}
	return out
}

// mayBe says whether a device may be the one that spec names. Of a partition
// counted from another one only the handler can say so, which sees both.
func mayBe(spec devspec.Spec, d *device.Device) bool {
	return spec.Matches(d) || spec.PartOffset != 0 && d.Devtype() == "partition"
}

// Usable says whether a device has its content. It does not hold for a
// suspended or empty device-mapper device, an array that is not running, a
// medium that is not there: their change events will tell.
func Usable(d *device.Device) bool {
	return d.Property("DM_UDEV_DISABLE_OTHER_RULES_FLAG") != "1" && d.Property("DM_SUSPENDED") != "1" &&
		(d.Property("SYSTEMD_READY") != "0" || d.Property("ID_FS_TYPE") != "")
}

func raidMember(d *device.Device) string {
	if d.Property("ID_FS_TYPE") != "linux_raid_member" {
		return ""
	}
	return MD + " " + d.Property("ID_FS_UUID")
}

// seldom names what only the full /init starts.
func seldom(d *device.Device) string {
	switch d.Property("ID_FS_TYPE") {
	case "isw_raid_member", "ddf_raid_member":
		return FirmwareRAID
	case "bcache":
		return Bcache
	}
	return ""
}

func physicalVolume(d *device.Device) string {
	if d.Property("ID_FS_TYPE") != "LVM2_member" {
		return ""
	}
	return PV + " " + d.Devname()
}

func encrypted(d *device.Device) string {
	if d.Property("ID_FS_TYPE") != "crypto_LUKS" {
		return ""
	}
	return LUKS + " " + d.Property("ID_FS_UUID")
}

func btrfsMember(d *device.Device) string {
	if d.Property("ID_FS_TYPE") != "btrfs" {
		return ""
	}
	return Btrfs + " " + d.Property("ID_FS_UUID")
}
