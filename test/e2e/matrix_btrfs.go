package e2e

import (
	"time"

	"firstlight/test/disks"
)

// btrfses are roots on btrfs of two devices, of which one is missing.
func btrfses() []Scenario {
	const off = " rd.timeout=20 rd.emergency=poweroff"
	one := func(name string, l disks.Layout, line string, want Want) Scenario {
		return Scenario{Name: name, Full: true, For: small("btrfs", "btrfs-devices"), Layouts: on(l), Append: line + " " + uuid(l.FSUUID("d0")), Boots: once(want)}
	}
	without := func(absent string, s Scenario) Scenario {
		s.Absent = []string{absent}
		return s
	}
	mirror, spread := disks.BtrfsMirror, disks.BtrfsSpread
	late := func(option, pattern string) Want {
		return Want{Root: "/dev/vd[ab] btrfs", RootOptions: []string{option, "degraded"}, Timers: true, Console: []Seen{see(pattern)}}
	}
	refused := func(pattern string) Want { return Want{NoBoot: true, Ends: poweredOff, Console: []Seen{see(pattern)}} }
	const lost, readOnly = `cannot\s+be\s+had\s+without\s+the\s+rest`, `degraded\s+and\s+read-only`
	whole := one("btrfs-devices", mirror, "ro", Want{Root: "/dev/vd[ab] btrfs", RootOptions: []string{"ro"}})
	degraded := without("d0", one("btrfs-degraded", mirror, "rw rd.btrfs.degraded=5", late("rw", `Mounting\s+it\s+degraded\.`)))
	// The kernel would mount it, and what is missing would be errors.
	missing := without("d1", one("btrfs-spread-missing", spread, "ro"+off, refused(lost)))
	degraded.Full, missing.Full, missing.Unchanged = false, false, true
	kept := without("d1", one("btrfs-degraded-ro", mirror, "rw rd.btrfs.degraded=5,ro", late("ro", readOnly)))
	never := without("d1", one("btrfs-degraded-never", mirror, "ro rd.btrfs.degraded=never"+off, refused(`rd\.btrfs\.degraded`)))
	over := without("d1", one("btrfs-degraded-overlay", mirror, "rw rd.btrfs.degraded=5,overlay",
		Want{Root: "LiveOS_rootfs overlay", Timers: true, Console: []Seen{see(readOnly)}}))
	over.Features = []string{"overlay-root"}
	kept.Unchanged, never.Unchanged, over.Unchanged = true, true, true
	comes := one("btrfs-late-device", mirror, "ro", Want{Root: "/dev/vd[ab] btrfs", RootOptions: []string{"ro"}, Timers: true})
	comes.Detached = []string{"d1"}
	comes.Boots[0].Do = []Action{{When: waitingText, After: 2 * time.Second, Attach: "d1"}}
	return []Scenario{whole, degraded, missing, kept, never, over, comes}
}
