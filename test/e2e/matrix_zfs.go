package e2e

import "firstlight/test/disks"

// zpools are roots in ZFS pools. All of them are for make test-full, whose kernel
// is built for them.
func zpools() []Scenario {
	const off = " rd.emergency=poweroff"
	root := func(l disks.Layout) string { return "root=ZFS=" + l.PoolName() + "/ROOT/fl" }
	one := func(name string, l disks.Layout, line string, boots []Boot) Scenario {
		return Scenario{Name: name, Full: true, For: small("zfs"), Layouts: on(l), Append: "ro " + line, Boots: boots, Memory: 1024}
	}
	with := func(s Scenario, f func(*Scenario)) Scenario {
		f(&s)
		return s
	}
	here := func(l disks.Layout) Want {
		return Want{Root: l.PoolName() + "/ROOT/fl zfs", RootOptions: []string{"rw"}}
	}
	late := func(l disks.Layout) Want {
		w := here(l)
		w.Timers = true
		return w
	}
	refused := func(pattern string) []Boot {
		return once(Want{NoBoot: true, Ends: poweredOff, Console: []Seen{see(pattern)}})
	}
	plain, mirror, raidz, stripe, logged := disks.ZFSPlain, disks.ZFSMirror, disks.ZFSRAIDZ, disks.ZFSStripe, disks.ZFSLog
	crypt, key, luks, foreign, tree, twice := disks.ZFSCrypt, disks.ZFSKey, disks.ZFSOnLUKS, disks.ZFSForeign, disks.ZFSTree, disks.ZFSTwice
	degraded := []Seen{see(`importing\s+the\s+pool\s+\S+\s+\d+\s+degraded`)}
	said := func(w Want, seen []Seen) Want {
		w.Console = seen
		return w
	}
	return []Scenario{
		one("zfs", plain, root(plain), once(here(plain))),
		one("zfs-bootfs", plain, "root=zfs:"+plain.PoolName(), once(here(plain))),
		one("zfs-auto", plain, "root=zfs:AUTO", once(here(plain))),
		one("zfs-boot", plain, "boot=zfs", once(here(plain))),
		one("zfs-mountpoint", mirror, "rpool="+mirror.PoolName(), once(here(mirror))),
		one("zfs-mirror", mirror, root(mirror), once(here(mirror))),
		one("zfs-raidz", raidz, "zfs="+raidz.PoolName()+"/ROOT/fl", once(here(raidz))),
		one("zfs-stripe", stripe, root(stripe), once(here(stripe))),
		with(one("zfs-late", raidz, root(raidz), []Boot{{Do: []Action{{When: waitingText, Attach: "d2"}}, Want: late(raidz)}}), func(s *Scenario) { s.Detached = []string{"d2"} }),
		with(one("zfs-degraded", raidz, root(raidz)+" rd.zfs.degraded=5", once(said(late(raidz), degraded))), func(s *Scenario) { s.Absent = []string{"d1"} }),
		with(one("zfs-degraded-ro", mirror, root(mirror)+" rd.zfs.degraded=5,ro",
			once(Want{Root: mirror.PoolName() + "/ROOT/fl zfs", RootOptions: []string{"ro"}, Timers: true, Console: []Seen{see(`degraded\s+and\s+read-only`)}})),
			func(s *Scenario) { s.Absent, s.Unchanged = []string{"d0"}, true }),
		with(one("zfs-degraded-never", mirror, root(mirror)+" rd.zfs.degraded=never rd.timeout=20"+off, refused(`rd\.zfs\.degraded`)), func(s *Scenario) { s.Absent, s.Unchanged = []string{"d1"}, true }),
		with(one("zfs-stripe-missing", stripe, root(stripe)+" rd.timeout=20"+off, refused(`it\s+cannot\s+be\s+had`)), func(s *Scenario) { s.Absent, s.Unchanged = []string{"d1"}, true }),
		with(one("zfs-log-missing", logged, root(logged)+" rd.timeout=20"+off, refused(`parts\s+are\s+missing|zpool\s+import\s+-m`)), func(s *Scenario) { s.Absent, s.Unchanged = []string{"d1"}, true }),
		one("zfs-crypt", crypt, root(crypt), typed(here(crypt), "wrong", disks.Passphrase)),
		with(one("zfs-key", key, root(key), once(here(key))), func(s *Scenario) { s.Include = []Include{{disks.ZFSKeyFile, disks.RawKey}} }),
		with(one("zfs-on-luks", luks, root(luks)+" rd.luks.uuid="+luks.UUID("crypt"), typed(here(luks), disks.Passphrase)), func(s *Scenario) { s.For = small("zfs", "luks") }),
		with(one("zfs-foreign", foreign, root(foreign)+" rd.timeout=20"+off, refused(`was\s+last\s+used\s+by`)), func(s *Scenario) { s.Unchanged = true }),
		one("zfs-foreign-forced", foreign, root(foreign)+" zfs_force=1", once(said(here(foreign), []Seen{see("zfs_force")}))),
		one("zfs-hostid", foreign, root(foreign)+" spl_hostid=0x00bab10c", once(here(foreign))),
		one("zfs-tree", tree, root(tree), once(with2(here(tree), "/home ptree/ROOT/fl/home zfs .*"))),
		one("zfs-snapshot", tree, root(tree)+"@before", once(Want{Root: "ptree/ROOT/fl_before zfs", Mounts: []string{"/home ptree/ROOT/fl_before/home zfs .*"}})),
		with(one("zfs-overlay", tree, root(tree)+" rd.overlay", once(Want{Root: "LiveOS_rootfs overlay", Mounts: []string{"/home ptree/ROOT/fl/home zfs ro.*"}})),
			func(s *Scenario) { s.Features, s.Unchanged = []string{"overlay-root"}, true }),
		with(one("zfs-twice", twice, root(twice)+" rd.timeout=20"+off, refused(`are\s+the\s+same\s+device`)), func(s *Scenario) { s.Unchanged = true }),
	}
}

// with2 is what is wanted with more mounts.
func with2(w Want, mounts ...string) Want {
	w.Mounts = mounts
	return w
}
