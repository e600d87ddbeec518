package e2e

import (
	"time"

	"firstlight/test/disks"
)

// btrfsDays are roots on btrfs of two devices that do not hold the same.
func btrfsDays() []Scenario {
	const off = " rd.timeout=20 rd.emergency=poweroff"
	one := func(name string, l disks.Layout, line string, want Want) Scenario {
		return Scenario{Name: name, Full: true, For: small("btrfs", "btrfs-devices"), Layouts: on(l), Append: line + " " + uuid(l.FSUUID("d0")), Boots: once(want)}
	}
	const missed = `/dev/vd[ab]\s+has\s+missed\s+writes`
	refused := func(patterns ...string) Want {
		w := Want{NoBoot: true, Ends: poweredOff}
		for _, p := range patterns {
			w.Console = append(w.Console, see(p))
		}
		return w
	}
	stale, split, far := disks.BtrfsStale, disks.BtrfsSplit, disks.BtrfsSplitFar
	newer := []string{"/dev/disk/by-label/without"}
	left := one("btrfs-stale", stale, "rw", Want{Root: "/dev/vd[ab] btrfs", RootOptions: []string{"rw", "degraded"}, Timers: true, Links: newer, Console: []Seen{see(missed)}})
	kept := one("btrfs-stale-ro", stale, "rw rd.btrfs.degraded=ro", Want{Root: "/dev/vd[ab] btrfs", RootOptions: []string{"ro", "degraded"}, Timers: true, Links: newer, Console: []Seen{see(missed)}})
	never := one("btrfs-stale-never", stale, "ro rd.btrfs.degraded=never"+off, refused(missed, `rd\.btrfs\.degraded`))
	const apart = `each\s+used\s+without`
	both := one("btrfs-split", split, "ro"+off, refused(apart, `mount -o degraded\s+/dev/vda\s+/sysroot`, `mount -o degraded\s+/dev/vdb\s+/sysroot`))
	further := one("btrfs-split-far", far, "ro"+off, refused(apart))
	kept.Unchanged, never.Unchanged, both.Unchanged, further.Unchanged = true, true, true, true
	// One of the two commands that are named, in the shell: the boot goes on.
	chosen := one("btrfs-split-chosen", split, "ro rd.timeout=20 rd.shell", Want{})
	chosen.Features, chosen.Writes = []string{"shell", "rescue"}, anything
	chosen.Boots = []Boot{{Do: []Action{{When: "Press Enter for a shell", Type: "\r"}, {When: "firstlight# ", Type: "mount -o degraded /dev/vdb /sysroot; echo mounted=$?\r"},
		{When: "mounted=0", After: time.Second, Type: "exit\r"}},
		Want: Want{Root: "/dev/vdb btrfs", RootOptions: []string{"degraded"}, Timers: true, Links: []string{"/dev/disk/by-label/second"}}}}
	return []Scenario{left, kept, never, both, further, chosen}
}
