package udevd

import (
	"path"
	"strconv"
	"strings"

	"firstlight/internal/btrfsfmt"
	"firstlight/internal/device"
	"firstlight/internal/fmt"
	"firstlight/internal/machine"
	"firstlight/internal/md"
	"firstlight/internal/mdsuper"
	"firstlight/internal/sysfs"
	"firstlight/internal/ueventd"
)

// What the rules ask of devices that are made of others.

// Properties of a btrfs member that are for the handlers alone: as their
// names begin with a dot, the real system is not told of them.
const (
	BtrfsDevices = ".BTRFS_DEVICES" // how many devices the filesystem has
	BtrfsNumber  = ".BTRFS_DEVID"   // which of them this one is
	BtrfsSeed    = ".BTRFS_SEED"    // "1": other filesystems may need this one
	// BtrfsStale says that its filesystem was used without it since.
	BtrfsStale = ".BTRFS_STALE"
	// BtrfsSeeds are the UUIDs of the filesystems that this one grew from, with
	// spaces between; their devices are among its own.
	BtrfsSeeds = ".BTRFS_SEEDS"
)

// setBtrfs gives a device what its superblock says.
func setBtrfs(s btrfsfmt.Shape, dev *device.Device) {
	if s.Devices == 0 || s.Devices > 1<<20 {
		return
	}
	dev.SetProperty(BtrfsDevices, strconv.FormatUint(s.Devices, 10))
	dev.SetProperty(BtrfsNumber, strconv.FormatUint(s.Number, 10))
	if s.Seed {
		dev.SetProperty(BtrfsSeed, "1")
	}
	if len(s.Seeds) > 0 {
		dev.SetProperty(BtrfsSeeds, strings.Join(s.Seeds, " "))
	}
}

// mdMap is where the names of running arrays are kept (mdadm(8), FILES).
const mdMap = "/run/mdadm/map"

// mdExport is "md_export": what `mdadm --detail --no-devices --export` says of
// an array, or of the one that a partition is on.
func (e *env) mdExport(dev *device.Device) error {
	if dev.Devtype() == "partition" {
		p := dev.Parent()
		if p == nil {
			return errNothing
		}
		for k, v := range p.Properties() {
			if strings.HasPrefix(k, "MD_") {
				dev.SetProperty(k, v)
			}
		}
		return nil
	}
	kernel := dev.Sysname()
	if v, _ := dev.Attr("md/metadata_version"); strings.HasPrefix(v, "external:") {
		return e.externalArray(dev, kernel, strings.TrimPrefix(v, "external:"))
	}
	member := mdMember(dev.Sys(), dev.Devpath())
	type answer struct {
		super *mdsuper.Super
		link  string
	}
	got, err := ueventd.Do(e.t, "ask who the RAID array "+kernel+" is", func(m machine.Machine) (answer, error) {
		var a answer
		text, err := m.ReadFile(mdMap, 1<<20)
		if err == nil {
			_, a.link = mdLink(string(text), kernel)
		}
		if member == "" {
			return a, errNothing
		}
		b, err := m.OpenBlock(member)
		if err != nil {
			return a, err
		}
		defer b.Close()
		a.super, err = mdsuper.Read(b, uint64(b.Size()))
		return a, err
	})
	if err == nil {
		for _, p := range md.Properties(got.super, mdsuper.Name{Kernel: kernel, Link: got.link}) {
			dev.SetProperty(p.Key, p.Value)
		}
		return nil
	}
	// An array without superblocks: what the kernel says of it.
	mdKernel(dev)
	if v, _ := dev.Attr("md/metadata_version"); v != "none" {
		dev.SetProperty("MD_METADATA", v)
	}
	dev.SetProperty("MD_DEVNAME", got.link)
	return fmt.Errorf("md_export: %s: %w", kernel, err)
}

// mdKernel takes what the kernel itself says of an array.
func mdKernel(dev *device.Device) {
	for _, p := range [...]struct{ key, attr string }{{"MD_LEVEL", "level"}, {"MD_DEVICES", "raid_disks"}} {
		if v, _ := dev.Attr("md/" + p.attr); v != "" {
			v, _, _ = strings.Cut(v, " ")
			dev.SetProperty(p.key, v)
		}
	}
}

// externalArray says who an array with metadata of a firmware is, or the
// container of such arrays: what mdadm, which put it together, wrote into the
// map. of is the name of the metadata, or "/md127/0" for array 0 in md127.
func (e *env) externalArray(dev *device.Device, kernel, of string) error {
	text, err := ueventd.Do(e.t, "ask who the RAID array "+kernel+" is", func(m machine.Machine) (string, error) {
		b, err := m.ReadFile(mdMap, 1<<20)
		return string(b), err
	})
	if err != nil {
		return fmt.Errorf("md_export: %s: %w", kernel, err)
	}
	mdKernel(dev)
	if container, member, ok := strings.Cut(strings.TrimLeft(of, "/-"), "/"); ok {
		if _, link := mdLink(text, container); link != "" {
			container = "md/" + link
		}
		dev.SetProperty("MD_CONTAINER", "/dev/"+container)
		dev.SetProperty("MD_MEMBER", member)
	} else {
		disks, _ := dev.Sys().List(dev.Devpath() + "/slaves")
		dev.SetProperty("MD_LEVEL", "container")
		dev.SetProperty("MD_DEVICES", strconv.Itoa(len(disks)))
		dev.SetProperty("MD_METADATA", of)
	}
	uuid, link := mdLink(text, kernel)
	dev.SetProperty("MD_UUID", uuid)
	dev.SetProperty("MD_DEVNAME", link)
	return nil
}

// mdMember returns the node of a member that the array is using, by
// preference one that holds all its data; "" if there is none.
func mdMember(sys sysfs.FS, devpath string) string {
	names, _ := sys.List(devpath + "/md")
	any := ""
	for _, n := range names {
		if !strings.HasPrefix(n, "dev-") {
			continue
		}
		at := devpath + "/md/" + n
		target, err := sys.Readlink(at + "/block")
		if err != nil {
			continue
		}
		node := "/dev/" + strings.ReplaceAll(path.Base(target), "!", "/")
		if state, _ := sys.Read(at + "/state"); strings.Contains(state, "in_sync") {
			return node
		}
		if any == "" {
			any = node
		}
	}
	return any
}

// mdLink finds an array in the map, whose lines are "md127 1.2 UUID
// /dev/md/NAME": the UUID as it stands there, and the name below /dev/md.
func mdLink(text, kernel string) (uuid, link string) {
	for line := range strings.SplitSeq(text, "\n") {
		f := strings.SplitN(line, " ", 4)
		if len(f) == 4 && f[0] == kernel {
			if name, ok := strings.CutPrefix(f[3], "/dev/md/"); ok {
				link = name
			}
			return f[2], link
		}
	}
	return "", ""
}
