package e2e

import (
	"time"

	"firstlight/test/disks"
	"firstlight/test/vm"
)

// logs are the layouts with a log to which the kernel writes when it starts the
// array, or with a bitmap, whose superblock it writes as it was.
var logs = map[string][]string{disks.RAIDPPL.Name: anything, disks.RAIDJournal.Name: anything, disks.RAIDBitmap.Name: {`d\d WSM 16\+1 .*`}}

// moreArrays are the levels and forms of arrays, and what becomes of an array
// on a bad day (docs/policies.md).
func moreArrays() []Scenario {
	var list []Scenario
	for _, a := range []struct {
		layout disks.Layout
		level  string
		full   bool
	}{
		{disks.RAIDLinear, "linear", true}, {disks.RAID0, "raid0", true}, {disks.RAID4, "raid4", true}, {disks.RAID6, "raid6", true},
		{disks.RAID10, "raid10", false}, {disks.RAIDBitmap, "raid1", true}, {disks.RAIDPPL, "raid5", true}, {disks.RAIDJournal, "raid5", false},
	} {
		list = append(list, Scenario{Name: a.layout.Name, Full: a.full, For: small("ext4", "md-"+a.level), Layouts: on(a.layout),
			Append: "ro " + uuid(a.layout.FSUUID("array")), Writes: logs[a.layout.Name],
			Unchanged: a.layout.Name != disks.RAIDPPL.Name && a.layout.Name != disks.RAIDJournal.Name, // the kernel writes to their logs
			Boots:     once(Want{Root: `/dev/md\S* ext4`, Arrays: []string{`md\S* ` + a.level + ` \S+ 0?`}})})
	}
	mirror := small("ext4", "md-raid1")
	const off = " rd.emergency=poweroff"
	one, spare, journal := disks.RAID1, disks.RAIDSpare, disks.RAIDJournal
	stale, split, twice, reshape := disks.RAIDStale, disks.RAIDSplit, disks.RAIDTwice, disks.RAIDReshape
	fs := func(l disks.Layout) string { return uuid(l.FSUUID("array")) }
	return append(list,
		// A spare is used where it is there, and not waited for where it is not.
		Scenario{Name: "raid-spare", Full: true, For: mirror, Layouts: on(spare), Append: "ro " + fs(spare),
			Boots: once(Want{Root: `/dev/md\S* ext4`, Arrays: []string{`md\S* raid1 \S+ 0`}})},
		Scenario{Name: "raid-spare-absent", For: mirror, Layouts: on(spare), Absent: []string{"s0"}, Append: "ro " + fs(spare), Unchanged: true,
			Boots: once(Want{Root: `/dev/md\S* ext4`, Arrays: []string{`md\S* raid1 \S+ 0`}})},
		// The kernel goes on with the reshape, to its end.
		Scenario{Name: "raid-reshape", Trixie: true, Writes: anything, For: small("ext4", "md-raid5"), Layouts: on(reshape), Append: "rw rd.md.waitclean loglevel=7 " + fs(reshape),
			Boots: once(Want{Root: `/dev/md\S* ext4`, Arrays: []string{`md\S* raid5 \S+ 0`}, Console: []Seen{see(`(?s)reshape of RAID array.*reshape done.*reboot: `)}})},
		Scenario{Name: "raid-reshape-goes-on", Full: true, For: small("ext4", "md-raid5"), Layouts: on(reshape), Append: "ro " + fs(reshape), Unchanged: true,
			Boots: once(Want{Root: `/dev/md\S* ext4`, Arrays: []string{`md\S* raid5 \S+ 0`}})},
		// The journal may hold what the members lack.
		Scenario{Name: "raid-journal-missing", For: small("ext4", "md-raid5"), Layouts: on(journal), Absent: []string{"j0"}, Append: "ro rd.timeout=20 " + fs(journal) + off,
			Unchanged: true, Boots: once(Want{NoBoot: true, Ends: poweredOff, Console: []Seen{see(`journal's\s+device is\s+missing`), see(`rd\.md\.nojournal`)}})},
		Scenario{Name: "raid-journal-given-up", Full: true, For: small("ext4", "md-raid5"), Layouts: on(journal), Absent: []string{"j0"}, Append: "ro rd.md.nojournal rd.md.degraded=5 " + fs(journal),
			Unchanged: true, Boots: once(Want{Root: `/dev/md\S* ext4`, Arrays: []string{`md\S* raid5 readonly 0`}, Timers: true})},
		// A member is missing.
		Scenario{Name: "raid1-degraded-ro", For: mirror, Layouts: on(one), Absent: []string{"d1"}, Append: "rw rd.md.degraded=5,ro " + fs(one), Unchanged: true,
			Boots: once(Want{Root: `/dev/md\S* ext4`, RootOptions: []string{"ro"}, Arrays: []string{`md\S* raid1 readonly 1`}, Timers: true,
				Console: []Seen{see(`degraded and\s+read-only`)}})},
		// The same with changes kept in memory.
		Scenario{Name: "raid1-degraded-overlay", Full: true, For: mirror, Features: []string{"overlay-root"}, Layouts: on(one), Absent: []string{"d1"},
			Append: "rw rd.md.degraded=5,overlay " + fs(one), Unchanged: true,
			Boots: once(Want{Root: "LiveOS_rootfs overlay", Arrays: []string{`md\S* raid1 readonly 1`}, Timers: true, Console: []Seen{see(`degraded and\s+read-only`)}})},
		// What lies on a read-only array is read-only, through every layer.
		Scenario{Name: "stack-degraded-ro", Full: true, For: small("ext4", "luks", "lvm", "md-raid1"), Layouts: on(disks.StackKey), Absent: []string{"d1"}, Secret: true, Unchanged: true,
			Include: []Include{{"/etc/cryptsetup-keys.d/cr.key", disks.Key}},
			Append:  "rw rd.md.degraded=3,ro rd.luks.name=" + disks.StackKey.UUID("crypt") + "=cr root=/dev/mapper/cr",
			Boots:   once(Want{RootOptions: []string{"ro"}, Arrays: []string{`md\S* raid1 readonly 1`}, Timers: true})},
		Scenario{Name: "raid1-degraded-never", For: mirror, Layouts: on(one), Absent: []string{"d1"}, Append: "ro rd.md.degraded=never rd.timeout=20 " + fs(one) + off, Unchanged: true,
			Boots: once(Want{NoBoot: true, Ends: poweredOff, Console: []Seen{see(`1 of 2 members`), see(`rd\.md\.degraded=15`)}})},
		Scenario{Name: "raid0-member-missing", Full: true, For: small("ext4", "md-raid0"), Layouts: on(disks.RAID0), Absent: []string{"d1"},
			Append: "ro rd.timeout=25 " + fs(disks.RAID0) + off, Unchanged: true,
			Boots: once(Want{NoBoot: true, Ends: poweredOff, Console: []Seen{see(`1 of 2 members`)}})},
		// A member has missed writes: the others are enough.
		Scenario{Name: "raid1-stale", For: mirror, Layouts: on(stale), Append: "ro " + fs(stale), Unchanged: true,
			Boots: once(Want{Root: `/dev/md\S* ext4`, Arrays: []string{`md\S* raid1 \S+ 1`}, Links: []string{"/dev/disk/by-label/without"},
				Console: []Seen{see(`out of date|left out`)}})},
		Scenario{Name: "raid1-split", For: mirror, Layouts: on(split), Append: "ro rd.timeout=20 " + fs(split) + off, Unchanged: true,
			Boots: once(Want{NoBoot: true, Ends: poweredOff, Console: []Seen{see(`each\s+used\s+without`), see(`mdadm -A --run\s+/dev/md/array\s+/dev/vda`), see(`mdadm -A --run\s+/dev/md/array\s+/dev/vdb`)}})},
		// One of the two commands that are named, in the shell: the boot goes on.
		Scenario{Name: "raid1-split-chosen", Full: true, Writes: anything, For: mirror, Features: []string{"shell", "rescue"}, Layouts: on(split), Append: "ro rd.timeout=20 rd.shell " + fs(split),
			Boots: []Boot{{Do: []Action{{When: "Press Enter for a shell", Type: "\r"}, {When: "firstlight# ", Type: "mdadm -A --run /dev/md/array /dev/vdb\r"},
				{When: "has been started", After: time.Second, Type: "exit\r"}},
				Want: Want{Root: `/dev/md\S* ext4`, Timers: true, Links: []string{"/dev/disk/by-label/second"}, Arrays: []string{`md\S* raid1 \S+ 1`}}}}},
		Scenario{Name: "raid1-twice", For: mirror, Layouts: on(twice), Append: "ro rd.timeout=20 " + fs(twice) + off, Unchanged: true,
			Boots: once(Want{NoBoot: true, Ends: poweredOff, Console: []Seen{see(`both\s+have\s+slot 0`), see(`disconnect the\s+copy`)}})},
		firmwareRAID("raid-imsm", disks.RAIDIMSM, nil, Want{Arrays: []string{`md\S* raid1 (clean|active|active-idle|write-pending|read-auto) 0`}}),
		firmwareRAID("raid-ddf", disks.RAIDDDF, nil, Want{Arrays: []string{`md\S* raid1 (clean|active|active-idle|write-pending|read-auto) 0`}}),
		firmwareRAID("raid-imsm-degraded", disks.RAIDIMSM, []string{"d1"}, Want{Arrays: []string{`md\S* raid1 \S+ 1`}, Timers: true, Console: []Seen{see("firmware RAID.*degraded")}}),
		debianIMSM(),
		afterResume(),
	)
}

// afterResume is an array of firmware RAID that must not be written to for as
// long as it is not known that nothing is to be resumed.
func afterResume() Scenario {
	s := firmwareRAID("raid-imsm-resume", disks.RAIDIMSM, nil, Want{Arrays: []string{`md\S* raid1 (clean|active|active-idle|write-pending|read-auto) 0`}, Timers: true})
	s.Full, s.Append = true, s.Append+" resume=UUID=deadbeef-0000-4000-8000-000000000001"
	return s
}

// debianIMSM is a whole system: its own mdmon takes over from that of the image.
func debianIMSM() Scenario {
	l := disks.DebianIMSM("bookworm")
	return Scenario{Name: l.Name, Full: true, For: small("ext4", "md-raid1", "md-external"), Bus: vm.VirtioSCSI, Layouts: on(l), Memory: 1024, Writes: anything,
		Append: "ro IMSM_NO_PLATFORM=1 " + uuid(l.FSUUID("array")), Boots: []Boot{{Limit: 6 * time.Minute, Want: Want{Debian: true}}}}
}

// firmwareRAID is an array with Intel's or DDF's metadata; mdmon is left to the
// real system.
func firmwareRAID(name string, l disks.Layout, absent []string, w Want) Scenario {
	w.Root, w.Daemons = `/dev/md\S* ext4`, []string{`@\S*mdmon .*`}
	return Scenario{Name: name, Full: absent != nil, Trixie: name == "raid-imsm", For: small("ext4", "md-raid1", "md-external"), Bus: vm.VirtioSCSI, Layouts: on(l), Absent: absent, Writes: anything, // mdmon writes
		Append: "ro IMSM_NO_PLATFORM=1 " + uuid(l.FSUUID("array")), Boots: once(w)}
}
