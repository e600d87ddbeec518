package disks

// More of what is asked: stacks for which a Debian needs packages of its own.

// InteropBcache is a disk with another one as its cache.
var InteropBcache = Layout{Name: interopName + "bcache", Disks: blank(1300, "d0", "c0"), Steps: []Step{
	Bcache{Name: "cached", On: "d0", Cache: "c0"},
	FS{On: "cached", Type: "ext4", Content: askedOf("bookworm-asked-bcache", "UUID="+FSUUID(interopName+"bcache", "cached")+" / ext4 errors=remount-ro 0 1\n")},
}}

// InteropRAID6 is an array of level 6, beside one of level 5 with a write
// journal, which the root does not need.
var InteropRAID6 = func() Layout {
	const name = interopName + "raid6"
	l := Layout{Name: name, Disks: blank(850, "d0", "d1", "d2", "d3")}
	var root, data []string
	for _, d := range l.Disks {
		l.Steps = append(l.Steps, GPT{On: d.Name, Parts: []Part{{Name: d.Name + "r", MiB: 720, Type: "raid"}, {Name: d.Name + "d", MiB: 64, Type: "raid"}}})
		root, data = append(root, d.Name+"r"), append(data, d.Name+"d")
	}
	l.Steps = append(l.Steps,
		MD{Name: "root", Level: "6", Metadata: "1.2", On: root},
		MD{Name: "data", Level: "5", Metadata: "1.2", On: data[:3], Journal: data[3]},
		FS{On: "data", Type: "ext4"},
		FS{On: "root", Type: "ext4", Content: asked("UUID="+FSUUID(name, "root")+" / ext4 errors=remount-ro 0 1\nUUID="+FSUUID(name, "data")+" /srv ext4 defaults 0 2\n", mdConf(name, "root", "data"))})
	return l
}()

// InteropZFS is a root in an encrypted dataset of a mirror, with datasets below it.
var InteropZFS = func() Layout {
	const pool = "rpool"
	return Layout{Name: interopName + "zfs", ZFS: true, Disks: two(1300), Steps: []Step{
		zfsPart("d0"), zfsPart("d1"),
		Pool{Name: pool, Devices: []string{"mirror", "d0z", "d1z"}},
		Dataset{Name: pool + "/ROOT", Options: []string{"mountpoint=none", "canmount=off"}},
		Dataset{Name: pool + "/ROOT/debian", Options: []string{"mountpoint=/", "canmount=noauto"}, Passphrase: Passphrase, Content: askedOf("zfs-bookworm-asked", "# the root is not in it\n")},
		Dataset{Name: pool + "/ROOT/debian/srv", Options: []string{"mountpoint=/srv"}, Content: Content{Files: []File{{Path: "here", Data: "1"}}}},
		Dataset{Name: pool + "/data", Options: []string{"mountpoint=/mnt"}, Content: Content{Files: []File{{Path: "there", Data: "1"}}}},
		Tool{Argv: []string{"zpool", "set", "bootfs=" + pool + "/ROOT/debian", pool}},
	}}
}()
