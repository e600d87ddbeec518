package e2e

import (
	"firstlight/test/disks"
	"firstlight/test/vm"
)

// faulty are disks that answer with errors: each boot ends in the right root, or
// says which disk it is.
func faulty() []Scenario {
	plain, lin, key, one, xfs := disks.Plain, disks.LVMLinear, disks.LUKSKey, disks.RAID1, disks.XFS
	const off = " rd.timeout=8 rd.emergency=poweroff"
	mirror := small("ext4", "md-raid1")
	bad := func(disk string, first, last int64) map[string][]vm.Sectors {
		return map[string][]vm.Sectors{disk: {{First: first, Last: last}}}
	}
	return []Scenario{
		{Name: "read-error-superblock", For: small("ext4"), Layouts: on(plain), Unreadable: bad("d0", rootStart, rootStart+7), Append: "ro " + uuid(plain.FSUUID("root")) + off, Unchanged: true,
			Boots: once(Want{NoBoot: true, Ends: poweredOff, Console: []Seen{see(`check the disk vda`)}})},
		// A physical volume whose metadata cannot be read is none, as for LVM.
		{Name: "read-error-lvm-metadata", For: small("ext4", "lvm"), Layouts: on(lin), Unreadable: bad("d1", 8, 15), Append: "ro root=/dev/mapper/vg-root" + off, Unchanged: true,
			Boots: once(Want{NoBoot: true, Ends: poweredOff, Console: []Seen{see(`check the disk vdb`), see(`volume root needs physical`)}})},
		{Name: "read-error-lvm-label", Full: true, For: small("ext4", "lvm"), Layouts: on(lin), Unreadable: bad("d1", 0, 7), Append: "ro root=/dev/mapper/vg-root" + off, Unchanged: true,
			Boots: once(Want{NoBoot: true, Ends: poweredOff, Console: []Seen{see(`check the disk vdb`)}})},
		// What cannot be read may be anything, whatever else is on the disk: here a
		// part of the first header of LUKS2, with the second one whole.
		{Name: "read-error-luks-header", Full: true, For: small("ext4", "luks"), Layouts: on(key), Unreadable: bad("d0", 24, 31), Unchanged: true,
			Include: []Include{{"/etc/cryptsetup-keys.d/cr.key", disks.Key}}, Append: "ro rd.luks.name=" + key.UUID("crypt") + "=cr root=/dev/mapper/cr" + off,
			Boots: once(Want{NoBoot: true, Ends: poweredOff, Console: []Seen{see(`check the disk vda`)}})},
		// A member whose superblock cannot be read is a missing one …
		{Name: "read-error-raid-member", Full: true, For: mirror, Layouts: on(one), Unreadable: bad("d1", 8, 15), Append: "ro rd.md.degraded=3 " + uuid(one.FSUUID("array")), Unchanged: true,
			Boots: once(Want{Root: `/dev/md\S* ext4`, Arrays: []string{`md\S* raid1 \S+ 1`}, Timers: true, Console: []Seen{see(`vdb`)}})},
		// … and of one whose data cannot be read the kernel takes the other's.
		{Name: "read-error-raid-data", Full: true, For: mirror, Layouts: on(one), Unreadable: bad("d0", 2048, 2055), Append: "ro " + uuid(one.FSUUID("array")), Unchanged: true,
			Boots: once(Want{Root: `/dev/md\S* ext4`, Arrays: []string{`md\S* raid1 \S+ 0`}})},
		// It is known what the root is, and it cannot be mounted.
		{Name: "read-error-xfs-log", Full: true, For: small("xfs"), Layouts: on(xfs), Unreadable: bad("d0", xfsLog, xfsLog+63), Append: "ro " + uuid(xfs.FSUUID("root")) + off, Unchanged: true,
			Boots: once(Want{NoBoot: true, Ends: poweredOff, Console: []Seen{see(`vda1`), see(`input/output error`)}})},
	}
}

// Sectors of the layouts that the tools have made.
const (
	rootStart = 83968  // of the second partition of disks.Plain
	xfsLog    = 409648 // the log of disks.XFS
)
