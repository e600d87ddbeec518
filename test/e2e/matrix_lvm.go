package e2e

import (
	"time"

	"firstlight/test/disks"
)

// written is what the kernel writes when a volume of a kind is activated, by
// whomever: the superblock and the bitmap of each leg of a RAID volume, which
// begin with the first extent; the logs and metadata of the other kinds.
var written = map[string][]string{
	"lvm-raid":   {`d\d WSM? 20(48|56)\+\d+ .*`},
	"lvm-mirror": anything, "lvm-thin": anything, "lvm-snapshot": anything, "lvm-cache": anything, "lvm-writecache": anything,
}

// composed are roots on logical volumes that are made of other volumes.
func composed() []Scenario {
	volume := func(l disks.Layout, layer string, full bool, mapped ...string) Scenario {
		vg := disks.Group(l.Name)
		w := Want{Root: "/dev/mapper/" + vg + "-root ext4", Mapped: []string{vg + "-root LVM-.{64}"}, Links: []string{"/dev/" + vg + "/root"}}
		if layer == "lvm-cache" || layer == "lvm-writecache" { // LVM's tool makes a node of its own there, and no link
			w.Root = "/dev/(mapper/" + vg + "-root|dm-[0-9]+) ext4"
		}
		for _, m := range mapped {
			w.Mapped = append(w.Mapped, vg+"-"+m)
		}
		return Scenario{Name: l.Name, Full: full, For: small("ext4", "lvm", layer), Layouts: on(l), Append: "ro root=/dev/" + vg + "/root", Writes: written[layer], Boots: once(w)}
	}
	root := "ro root=/dev/vraid1/root"
	r1, snap := disks.LVMRaid1, disks.LVMSnapshot
	raid1 := func(name, args string, w Want, absent ...string) Scenario {
		return Scenario{Name: name, For: small("ext4", "lvm", "lvm-raid"), Layouts: on(r1), Absent: absent, Append: root + args, Writes: written["lvm-raid"], Boots: once(w)}
	}
	late := raid1("lvm-raid1-late-disk", " rd.lvm.degraded=60", Want{})
	late.Detached = []string{"d1"}
	late.Boots = []Boot{{Do: []Action{{When: waitingText, After: 2 * time.Second, Attach: "d1"}},
		Want: Want{Mapped: []string{"vraid1-root_rimage_1 .*", "vraid1-root LVM-.{64}"}, NoLinks: []string{"/dev/mapper/vraid1-root_rimage_1-missing_0_0"}, Timers: true}}}
	never := raid1("lvm-raid1-never", " rd.lvm.degraded=never rd.timeout=20 rd.emergency=poweroff", Want{NoBoot: true, Ends: poweredOff,
		Console: []Seen{see(`volume root lacks`)}}, "d1")
	never.Unchanged = true
	// The kernel writes to its own metadata (rmeta) all the same.
	readOnly := raid1("lvm-raid1-degraded-ro", " rw rd.lvm.degraded=3,ro", Want{Timers: true, Root: "/dev/mapper/vraid1-root ext4", RootOptions: []string{"ro"}}, "d1")
	return []Scenario{
		readOnly,
		volume(r1, "lvm-raid", false, "root_rimage_1 LVM-.{64}", "root_rmeta_0 LVM-.{64}"),
		raid1("lvm-raid1-degraded", " rd.lvm.degraded=5", Want{Timers: true, Root: "/dev/mapper/vraid1-root ext4",
			Mapped:  []string{"vraid1-root LVM-.{64}", "vraid1-root_rimage_1-missing_0_0 LVM-.{64}-missing_0_0"},
			Console: []Seen{see(`Activating volume vraid1/root degraded: missing are physical volume`)}}, "d1"),
		late, never,
		volume(disks.LVMRaid0, "lvm-raid", true, "root_rimage_1 LVM-.{64}"),
		volume(disks.LVMRaid5, "lvm-raid", false, "root_rimage_2 LVM-.{64}"),
		volume(disks.LVMRaid6, "lvm-raid", true, "root_rimage_4 LVM-.{64}"),
		volume(disks.LVMRaid10, "lvm-raid", true, "root_rimage_3 LVM-.{64}"),
		volume(disks.LVMMirror, "lvm-mirror", false, "root_mimage_1 LVM-.{64}", "root_mlog LVM-.{64}"),
		volume(disks.LVMThin, "lvm-thin", false, "pool-tpool LVM-.{64}-tpool", "pool_tmeta LVM-.{64}-tmeta"),
		// The origin and its snapshot have one UUID: it means the origin.
		{Name: "lvm-snapshot-by-uuid", For: small("ext4", "lvm", "lvm-snapshot"), Layouts: on(snap), Writes: anything, Append: "ro " + uuid(snap.FSUUID("vsnapshot/root")),
			Boots: once(Want{Root: "/dev/mapper/vsnapshot-root ext4", Mapped: []string{"vsnapshot-root LVM-.{64}", "vsnapshot-root-real LVM-.{64}-real", "vsnapshot-snap LVM-.{64}", "vsnapshot-snap-cow LVM-.{64}-cow"}})},
		{Name: "lvm-snapshot-itself", For: small("ext4", "lvm", "lvm-snapshot"), Layouts: on(snap), Writes: anything, Append: "ro root=/dev/vsnapshot/snap",
			Boots: once(Want{Root: "/dev/mapper/vsnapshot-snap ext4", Mapped: []string{"vsnapshot-root LVM-.{64}", "vsnapshot-snap LVM-.{64}"}})},
		volume(disks.LVMMerging, "lvm-snapshot", true, "snap-cow LVM-.{64}-cow"),
		volume(disks.LVMCache, "lvm-cache", false, "root_corig LVM-.{64}-real"),
		volume(disks.LVMWritecache, "lvm-writecache", true, "root_wcorig LVM-.{64}-real"),
		// An image for linear volumes says what it lacks.
		{Name: "lvm-raid1-without-feature", For: small("ext4", "lvm"), Layouts: on(r1), Unchanged: true, Append: root + " rd.timeout=15 rd.emergency=poweroff",
			Boots: once(Want{NoBoot: true, Ends: poweredOff, Console: []Seen{see(`takes the feature lvm-raid`), see(`--feature lvm-raid`)}})},
	}
}
