package e2e

import (
	"time"

	"firstlight/test/disks"
)

// parameters are what the command line asks for that few machines need.
func parameters() []Scenario {
	ext, xfs, plain, swap := disks.JournalExt4, disks.JournalXFS, disks.Plain, disks.SwapDisk
	const off = " rd.timeout=20 rd.emergency=poweroff"
	apart := func(name string, l disks.Layout, typ, args string) Scenario {
		// A disk before it gives the journal another number than it had.
		return Scenario{Name: name, Full: true, For: small(typ, "external-journal"), Layouts: on(swap, l), Append: "ro root=LABEL=apart" + args,
			Boots: once(Want{Root: "/dev/vdb " + typ})}
	}
	late := apart("journal-ext4", ext, "ext4", "")
	late.Full, late.Detached = false, []string{"j0"}
	late.Boots = []Boot{{Do: []Action{{When: waitingText, After: 2 * time.Second, Attach: "j0"}}, Want: Want{Root: "/dev/vdb ext4", Timers: true}}}
	missing := apart("journal-ext4-missing", ext, "ext4", off)
	missing.Absent, missing.Unchanged = []string{"j0"}, true
	missing.Boots = once(Want{NoBoot: true, Console: []Seen{see("the journal of /dev/vdb")}, Ends: poweredOff})
	return []Scenario{
		{Name: "root-fallback", For: &Target{FS: "ext4", Needs: []string{"root-fallback"}}, Layouts: on(plain), Append: "ro root=LABEL=gone rootfallback=LABEL=gone-too rootfallback=LABEL=fl-root rd.timeout=15",
			Boots: once(Want{Root: "/dev/vda2 ext4", Timers: true, Console: []Seen{see("starting from LABEL=fl-root")}})},
		late, missing,
		apart("journal-xfs", xfs, "xfs", ""),
		apart("journal-xfs-named", xfs, "xfs", " root.journaldev=/dev/vdc"),
	}
}
