package e2e

import "firstlight/test/disks"

// bcaches are roots on disks that have another disk as their cache.
func bcaches() []Scenario {
	const off = " rd.emergency=poweroff"
	plain, dirty, stack, twice := disks.BcachePlain, disks.BcacheDirty, disks.BcacheStack, disks.BcacheTwice
	small := func(layers ...string) *Target { return small("ext4", append(layers, "bcache")...) }
	fs := func(l disks.Layout) string { return uuid(l.FSUUID("cached")) }
	// The kernel marks the disk and the cache as attached, and replays and begins
	// the cache's journal, as they are registered. What the disk lacks it begins to
	// write there at once.
	registered := []string{`c\d .*`, `d\d \S+ 8\+8 .*`}
	here, late := Want{Root: `/dev/bcache0 ext4`}, Want{Root: `/dev/bcache0 ext4`, Timers: true}
	return []Scenario{
		{Name: "bcache", Writes: registered, Trixie: true, For: small(), Layouts: on(plain), Append: "ro " + fs(plain), Boots: once(here)},
		// What was written last is in the cache alone.
		{Name: "bcache-dirty", Writes: anything, For: small(), Layouts: on(dirty), Append: "ro " + fs(dirty), Boots: once(here)},
		{Name: "bcache-late-cache", Writes: anything, For: small(), Layouts: on(dirty), Detached: []string{"c0"}, Append: "ro " + fs(dirty),
			Boots: []Boot{{Do: []Action{{When: waitingText, Attach: "c0"}}, Want: late}}},
		{Name: "bcache-stack", Writes: anything, For: small("luks", "lvm"), Layouts: on(stack),
			Append: "ro rd.luks.uuid=" + stack.UUID("crypt") + " root=/dev/flc/root",
			Boots:  typed(Want{Root: `/dev/mapper/flc-root ext4`, Mapped: []string{`flc-root LVM-.*`}}, disks.Passphrase)},
		// The cache is missing: never without it where it has something that the
		// disk lacks, otherwise once it was waited for.
		{Name: "bcache-dirty-missing", For: small(), Layouts: on(dirty), Absent: []string{"c0"}, Append: "ro rd.timeout=25 " + fs(dirty) + off, Unchanged: true,
			Boots: once(Want{NoBoot: true, Ends: poweredOff, Console: []Seen{see(`never\s+started\s+without`)}})},
		{Name: "bcache-degraded", Writes: registered, For: small(), Layouts: on(plain), Absent: []string{"c0"}, Append: "ro rd.bcache.degraded=5 " + fs(plain),
			Boots: once(Want{Root: `/dev/bcache0 ext4`, Timers: true, Console: []Seen{see(`without\s+its\s+cache`)}})},
		{Name: "bcache-degraded-ro", For: small(), Layouts: on(plain), Absent: []string{"c0"}, Append: "rw rd.bcache.degraded=5,ro " + fs(plain), Unchanged: true,
			Boots: once(Want{Root: `/dev/mapper/bcache-\S+ ext4`, Mapped: []string{`bcache-\S+ BCACHE-\S+`}, RootOptions: []string{"ro"}, Timers: true, Console: []Seen{see(`read-only,?\s+without\s+its\s+cache`)}})},
		{Name: "bcache-degraded-never", Full: true, For: small(), Layouts: on(plain), Absent: []string{"c0"}, Append: "ro rd.bcache.degraded=never rd.timeout=20 " + fs(plain) + off, Unchanged: true,
			Boots: once(Want{NoBoot: true, Ends: poweredOff, Console: []Seen{see(`rd\.bcache\.degraded`)}})},
		{Name: "bcache-twice", Full: true, For: small(), Layouts: on(twice), Append: "ro rd.timeout=20 " + fs(twice) + off,
			Boots: once(Want{NoBoot: true, Ends: poweredOff, Console: []Seen{see(`the\s+same\s+bcache\s+device`)}})},
	}
}
