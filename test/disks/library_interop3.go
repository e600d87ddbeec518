package disks

// InteropMultipath is a disk that is reached on two ways.
var InteropMultipath = Layout{Name: interopName + "paths", Disks: one(1300), Steps: []Step{
	GPT{On: "d0", Parts: []Part{{Name: "root", MiB: 1200}}},
	FS{On: "root", Type: "ext4", Content: askedOf("bookworm-asked-paths", "UUID="+FSUUID(interopName+"paths", "root")+" / ext4 errors=remount-ro 0 1\n",
		File{Path: "etc/multipath/wwids", Data: WWIDs("d0")}, File{Path: "etc/multipath.conf", Data: "defaults {\n}\n"})},
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
