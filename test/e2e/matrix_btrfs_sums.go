package e2e

import "firstlight/test/disks"

// btrfsSums are roots on btrfs whose checksum the kernel asks for when it mounts
// them.
func btrfsSums() []Scenario {
	one := func(name string, l disks.Layout) Scenario {
		return Scenario{Name: name, Full: true, For: small("btrfs"), Layouts: on(l), Append: "ro " + uuid(l.FSUUID("d0")), Boots: once(Want{Root: "/dev/vda btrfs"})}
	}
	return []Scenario{one("btrfs-xxhash", disks.BtrfsXXHash), one("btrfs-blake2", disks.BtrfsBlake2)}
}
