package disks

// More of what is asked: stacks for which a Debian needs packages of its own.

// InteropBcache is a disk with another one as its cache.
var InteropBcache = Layout{Name: interopName + "bcache", Disks: blank(1300, "d0", "c0"), Steps: []Step{
	Bcache{Name: "cached", On: "d0", Cache: "c0"},
	FS{On: "cached", Type: "ext4", Content: askedOf("bookworm-asked-bcache", "UUID="+FSUUID(interopName+"bcache", "cached")+" / ext4 errors=remount-ro 0 1\n")},
}}

// InteropMultipath is a disk that is reached on two ways, beside another one
// that the root does not need.
var InteropMultipath = Layout{Name: interopName + "multipath", Disks: two(1300), Steps: []Step{
	GPT{On: "d0", Parts: []Part{{Name: "root", MiB: 1200}, {Name: "swap", Type: "swap"}}},
	GPT{On: "d1", Parts: []Part{{Name: "data", MiB: 64}}},
	Swap{On: "swap"},
	FS{On: "data", Type: "ext4"},
	FS{On: "root", Type: "ext4", Content: askedOf("bookworm-asked-paths", "UUID="+FSUUID(interopName+"multipath", "root")+" / ext4 errors=remount-ro 0 1\nUUID="+
		FSUUID(interopName+"multipath", "data")+" /srv ext4 defaults 0 2\nUUID="+FSUUID(interopName+"multipath", "swap")+" none swap sw,x-systemd.device-timeout=15min 0 0\n",
		File{Path: "etc/multipath/wwids", Data: WWIDs("d0", "d1")}, File{Path: "etc/multipath.conf", Data: "defaults {\n}\n"})},
}}

// InteropThin is a root on a thin volume with a snapshot of it, beside a volume
// with a snapshot of the older kind.
var InteropThin = Layout{Name: interopName + "thin", Disks: one(1700), Steps: []Step{
	VG{Name: "vthin", On: []string{"d0"}},
	Volume{Argv: []string{"lvcreate", "-y", "--type", "thin-pool", "-L", "1400m", "--poolmetadatasize", "4m", "-n", "pool", "vthin"}},
	Volume{VG: "vthin", Name: "root", Argv: []string{"lvcreate", "-y", "-Wn", "-V", "1300m", "--thinpool", "pool", "-n", "root", "vthin"}},
	LV{VG: "vthin", Name: "srv", MiB: 64},
	FS{On: "vthin/srv", Type: "ext4"},
	FS{On: "vthin/root", Type: "ext4", Content: asked("/dev/vthin/root / ext4 errors=remount-ro 0 1\n/dev/vthin/srv /srv ext4 defaults 0 2\n")},
	Volume{Argv: []string{"lvcreate", "-y", "-s", "-n", "before", "vthin/root"}},
	Volume{Argv: []string{"lvcreate", "-y", "-s", "-L", "32m", "-n", "srvbefore", "vthin/srv"}},
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
