package e2e

import (
	"fmt"
	"strings"
	"time"

	"firstlight/test/disks"
)

// assembleScript is run in a shell before anything is assembled: it waits for the
// disks, and has the field's tool do it as its initramfs does.
const assembleScript = `#!/bin/sh
/sbin/modprobe virtio_pci
/sbin/modprobe virtio_blk
for d in %s; do
  until [ -b /dev/$d ]; do busybox sleep 1; done
done
%s
echo "assembled: $?"
`

// What the tools are asked to do.
const (
	byMdadm  = "/sbin/modprobe md_mod\necho 1 >/sys/module/md_mod/parameters/start_ro\nmdadm --assemble --scan"
	byLVM    = "/sbin/modprobe dm_mod\nlvm vgchange -ay --sysinit --config 'activation{udev_sync=0 udev_rules=0} devices{use_devicesfile=0}'"
	byBcache = "/sbin/modprobe bcache\nfor d in vda vdb; do echo /dev/$d >/sys/fs/bcache/register; done"
)

// earlyWritten are stacks that are put together by Firstlight and by the field's
// tool, from the same disks: what is written to them meanwhile is the same.
func earlyWritten() []Scenario {
	var list []Scenario
	add := func(l disks.Layout, quick bool, root, off, tool string, target *Target, features []string, masks ...Mask) {
		var nodes []string
		for i := range l.Disks {
			nodes = append(nodes, fmt.Sprintf("vd%c", 'a'+i))
		}
		want := Want{Root: `/dev/\S+ ext4`, Timers: true}
		list = append(list, Scenario{Name: "writes-" + l.Name, Full: !quick, For: target, Layouts: on(l), Features: append(features, "shell"),
			Programs: []Include{{"/bin/by-tool", fmt.Sprintf(assembleScript, strings.Join(nodes, " "), tool)}}, Writes: anything, // they are what is compared
			Append: "ro " + root, SameWrites: true, Masks: masks,
			Boots: []Boot{{Want: want}, {Fresh: true, Limit: 2 * time.Minute, Append: "rd.shell rd.break=initqueue " + off, Want: want, Do: []Action{
				{When: "firstlight# ", Type: "by-tool\r"}, {When: "assembled: 0"}, {When: "firstlight# ", Type: "exit\r"}}}}})
	}
	for _, a := range []struct {
		layout disks.Layout
		level  string
		quick  bool
	}{
		{disks.RAID1, "raid1", true}, {disks.RAID1Dirty, "raid1", false}, {disks.RAIDMeta090, "raid1", false}, {disks.RAIDMeta10, "raid1", false},
		{disks.RAID5, "raid5", false}, {disks.RAID6, "raid6", false}, {disks.RAID10, "raid10", false}, {disks.RAIDBitmap, "raid1", false}, {disks.RAID10Bitmap, "raid10", false},
		{disks.RAIDJournal, "raid5", false}, {disks.RAIDPPL, "raid5", false}, {disks.RAIDStale, "raid1", false},
	} {
		add(a.layout, a.quick, uuid(a.layout.FSUUID("array")), "rd.md=0", byMdadm, small("ext4", "md-"+a.level), []string{"md-external"})
	}
	for _, v := range []struct {
		layout disks.Layout
		layer  string
		quick  bool
	}{
		{disks.LVMRaid1, "lvm-raid", true}, {disks.LVMRaid5, "lvm-raid", false}, {disks.LVMRaid6, "lvm-raid", false}, {disks.LVMRaid10, "lvm-raid", false},
		{disks.LVMRaid0, "lvm-raid", false}, {disks.LVMMirror, "lvm-mirror", false}, {disks.LVMThin, "lvm-thin", false}, {disks.LVMSnapshot, "lvm-snapshot", false},
	} {
		add(v.layout, v.quick, "root=/dev/mapper/"+disks.Group(v.layout.Name)+"-root", "rd.lvm=0", byLVM, small("ext4", "lvm", v.layer), []string{"lvm-tool"})
	}
	for i, c := range []disks.Layout{disks.BcachePlain, disks.BcacheDirty} {
		add(c, i == 0, uuid(c.FSUUID("cached")), "rd.bcache=0", byBcache, small("ext4", "bcache"), nil,
			Mask{Disk: "c0", Sector: 8, Bytes: [][2]int{{0, 8}, {200, 204}}, Why: "the time of the registration, and the superblock's checksum"},
			Mask{Disk: "c0", Sector: 16, Rest: true, Why: "the kernel begins the journal and the btree in buckets that it finds free"},
			Mask{Disk: "d0", Sector: 16, Rest: true, Why: "what the disk lacks is written to it in the background from then on"})
	}
	return list
}
