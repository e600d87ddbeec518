package e2e

import (
	"time"

	"firstlight/test/disks"
)

// composed are roots on logical volumes that are made of other volumes.
func composed() []Scenario {
	root := "ro root=/dev/vgr/root"
	volume := func(name string, l disks.Layout, layer string, full bool, mapped ...string) Scenario {
		return Scenario{Name: name, Full: full, For: small("ext4", "lvm", layer), Layouts: on(l), Append: root,
			Boots: once(Want{Root: "/dev/(dm-[0-9]+|mapper/vgr-root) ext4", Mapped: append(mapped, "vgr-root LVM-.{64}"), Links: []string{"/dev/vgr/root"}})}
	}
	r1, snap := disks.LVMRaid1, disks.LVMSnapshot
	raid1 := func(name, args string, w Want, absent ...string) Scenario {
		return Scenario{Name: name, For: small("ext4", "lvm", "lvm-raid"), Layouts: on(r1), Absent: absent, Append: root + args, Boots: once(w)}
	}
	late := raid1("lvm-raid1-late-disk", " rd.lvm.degraded=60", Want{})
	late.Detached = []string{"d1"}
	late.Boots = []Boot{{Do: []Action{{When: waitingText, After: 2 * time.Second, Attach: "d1"}},
		Want: Want{Mapped: []string{"vgr-root_rimage_1 .*", "vgr-root LVM-.{64}"}, NoLinks: []string{"/dev/mapper/vgr-root_rimage_1-missing_0_0"}, Timers: true}}}
	return []Scenario{
		volume("lvm-raid1", r1, "lvm-raid", false, "vgr-root_rimage_1 LVM-.{64}", "vgr-root_rmeta_0 LVM-.{64}"),
		raid1("lvm-raid1-degraded", " rd.lvm.degraded=5", Want{Timers: true, Root: "/dev/(dm-[0-9]+|mapper/vgr-root) ext4",
			Mapped:  []string{"vgr-root LVM-.{64}", "vgr-root_rimage_1-missing_0_0 LVM-.{64}-missing_0_0"},
			Console: []Seen{see(`Activating volume vgr/root degraded: missing are physical volume`)}}, "d1"),
		raid1("lvm-raid1-never", " rd.lvm.degraded=never rd.timeout=20 rd.emergency=poweroff", Want{NoBoot: true, Ends: poweredOff,
			Console: []Seen{see(`volume root lacks`)}}, "d1"),
		late,
		volume("lvm-raid0", disks.LVMRaid0, "lvm-raid", true, "vgr-root_rimage_1 LVM-.{64}"),
		volume("lvm-raid5", disks.LVMRaid5, "lvm-raid", false, "vgr-root_rimage_2 LVM-.{64}"),
		volume("lvm-raid6", disks.LVMRaid6, "lvm-raid", true, "vgr-root_rimage_4 LVM-.{64}"),
		volume("lvm-raid10", disks.LVMRaid10, "lvm-raid", true, "vgr-root_rimage_3 LVM-.{64}"),
		volume("lvm-mirror", disks.LVMMirror, "lvm-mirror", false, "vgr-root_mimage_1 LVM-.{64}", "vgr-root_mlog LVM-.{64}"),
		volume("lvm-thin", disks.LVMThin, "lvm-thin", false, "vgr-pool-tpool LVM-.{64}-tpool", "vgr-pool_tmeta LVM-.{64}-tmeta"),
		// The origin and its snapshot have one UUID: it means the origin.
		{Name: "lvm-snapshot-by-uuid", For: small("ext4", "lvm", "lvm-snapshot"), Layouts: on(snap), Append: "ro " + uuid(snap.FSUUID("vgr/root")),
			Boots: once(Want{Root: "/dev/(dm-1|mapper/vgr-root) ext4", Mapped: []string{"vgr-root LVM-.{64}", "vgr-root-real LVM-.{64}-real", "vgr-snap LVM-.{64}", "vgr-snap-cow LVM-.{64}-cow"}})},
		{Name: "lvm-snapshot-itself", For: small("ext4", "lvm", "lvm-snapshot"), Layouts: on(snap), Append: "ro root=/dev/vgr/snap",
			Boots: once(Want{Root: "/dev/(dm-3|mapper/vgr-snap) ext4", Mapped: []string{"vgr-root LVM-.{64}", "vgr-snap LVM-.{64}"}})},
		volume("lvm-merging", disks.LVMMerging, "lvm-snapshot", true, "vgr-snap-cow LVM-.{64}-cow"),
		volume("lvm-cache", disks.LVMCache, "lvm-cache", false, "vgr-root_corig LVM-.{64}-real"),
		volume("lvm-writecache", disks.LVMWritecache, "lvm-writecache", true, "vgr-root_wcorig LVM-.{64}-real"),
		// An image for linear volumes says what it lacks.
		{Name: "lvm-raid1-without-feature", For: small("ext4", "lvm"), Layouts: on(r1), Append: root + " rd.timeout=15 rd.emergency=poweroff",
			Boots: once(Want{NoBoot: true, Ends: poweredOff, Console: []Seen{see(`takes the feature lvm-raid`), see(`--feature lvm-raid`)}})},
	}
}
