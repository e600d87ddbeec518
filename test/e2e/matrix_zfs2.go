package e2e

import "firstlight/test/disks"

// zpoolsMore are roots in pools of rarer kinds, and in pools that somebody has
// done something with.
func zpoolsMore() []Scenario {
	draid, split, checkpoint := disks.ZFSDraid, disks.ZFSSplit, disks.ZFSCheckpoint
	root := func(l disks.Layout) string { return "ro root=ZFS=" + l.PoolName() + "/ROOT/fl" }
	one := func(name string, l disks.Layout, line string, want Want) Scenario {
		return Scenario{Name: name, Full: true, For: small("zfs"), Layouts: on(l), Append: line, Boots: once(want), Memory: 1024}
	}
	here := func(pool string) Want { return Want{Root: pool + "/ROOT/fl zfs", RootOptions: []string{"rw"}} }
	late := here(draid.PoolName())
	late.Timers, late.Console = true, []Seen{see(`importing\s+the\s+pool\s+\S+\s+\d+\s+degraded`)}
	lacking := one("zfs-draid-degraded", draid, root(draid)+" rd.zfs.degraded=5", late)
	lacking.Absent = []string{"d2"}
	// The datasets of both halves have the same names: nobody is to guess.
	both := one("zfs-split-auto", split, "ro root=zfs:AUTO rd.timeout=20 rd.emergency=poweroff",
		Want{NoBoot: true, Ends: poweredOff, Console: []Seen{see(`there\s+is\s+more\s+than\s+one\s+pool`)}})
	both.Unchanged = true
	return []Scenario{
		one("zfs-draid", draid, root(draid), here(draid.PoolName())),
		lacking,
		one("zfs-split", split, root(split), here(split.PoolName())),
		one("zfs-split-new", split, "ro root=ZFS=psplitnew/ROOT/fl", here("psplitnew")),
		both,
		one("zfs-checkpoint", checkpoint, root(checkpoint), with2(here(checkpoint.PoolName()), "/home pcheckpoint/ROOT/fl/since zfs .*")),
	}
}
