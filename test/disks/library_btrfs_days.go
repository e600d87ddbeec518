package disks

// alone is a use of a btrfs through one of its devices, without the other: it gets
// a label, which only its superblock has, and a subvolume of that name.
func alone(label, device string) []Step {
	const dir = "/mnt/alone"
	return []Step{
		Tool{Argv: []string{"btrfs", "device", "scan", "--forget"}},
		Tool{Argv: []string{"@mount", "{" + device + "}", dir, "btrfs", "degraded"}},
		Tool{Argv: []string{"btrfs", "filesystem", "label", dir, label}},
		Tool{Argv: []string{"btrfs", "subvolume", "create", dir + "/" + label}},
		Tool{Argv: []string{"@umount", dir}},
	}
}

// passed is a mirror of btrfs to which something has happened.
func passed(name string, steps ...[]Step) Layout {
	l := Layout{Name: name, Disks: two(256), Steps: []Step{
		FS{On: "d0", Type: "btrfs", Label: "mirror", More: []string{"d1"}, Profile: "raid1", Content: tiny},
	}}
	for _, s := range steps {
		l.Steps = append(l.Steps, s...)
	}
	return l
}

// BtrfsStale has a device that the other one has gone on without, BtrfsSplit two
// that each have, BtrfsSplitFar two of which one has gone further.
var (
	BtrfsStale    = passed("btrfs-stale", alone("without", "d1"))
	BtrfsSplit    = passed("btrfs-split", alone("first", "d0"), alone("second", "d1"))
	BtrfsSplitFar = passed("btrfs-split-far", alone("first", "d0"), alone("second", "d1"), alone("third", "d1"))
)
