package disks

// More roots on ZFS: with spares among the data, and what a pool has been through.

// newPool is what the other half of ZFSSplit is called.
const newPool = "psplitnew"

var (
	// ZFSDraid has its parity and its spare spread over all disks.
	ZFSDraid = zpoolOn("zfs-draid", []string{"d0", "d1", "d2", "d3"}, "draid1:2d:4c:1s", "d0z", "d1z", "d2z", "d3z")
	// ZFSSplit was a mirror, whose second disk was made a pool of its own: that has the
	// same datasets, and the other name.
	ZFSSplit = Layout{Name: "zfs-split", ZFS: true, Disks: blank(128, "d0", "d1"),
		Steps: append(zroot(Pool{Name: "psplit", Devices: []string{"mirror", "d0z", "d1z"}}, []string{"d0", "d1"}, Dataset{}),
			Tool{Argv: []string{"zpool", "sync", "psplit"}}, Tool{Argv: []string{"zpool", "split", "psplit", newPool}})}
	// ZFSCheckpoint has a checkpoint, and was written to since.
	ZFSCheckpoint = Layout{Name: "zfs-checkpoint", ZFS: true, Disks: one(128), Steps: append(zroot(Pool{Name: "pcheckpoint", Devices: []string{"d0z"}}, []string{"d0"}, Dataset{}),
		Tool{Argv: []string{"zpool", "checkpoint", "pcheckpoint"}},
		Dataset{Name: "pcheckpoint/ROOT/fl/since", Options: []string{"mountpoint=/home"}, Content: Content{Files: []File{{Path: "here", Data: "1"}}}})}
)
