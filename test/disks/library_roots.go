package disks

// What the root is made of above a block device.

// LoopFile has its root in a file of another filesystem.
var LoopFile = Layout{Name: "loop-file", Disks: one(128), Steps: []Step{
	FS{On: "d0", Type: "ext4", Label: "outer", Content: Content{Files: []File{{Path: "images", Dir: true}}}},
	imageFile{On: "d0", Path: "images/root.img"},
}}

// imageFile puts a file with a whole root in it, as ext4, into an ext4.
type imageFile struct{ On, Path string }

func (s imageFile) plan(p *planner) error {
	node, err := p.node(s.On)
	if err != nil {
		return err
	}
	const dir, file = "/tmp/inside", "/tmp/inside.img"
	uuid := p.layout.UUID(s.Path)
	p.do("@mkdir", dir)
	if err := p.fill(dir, tiny); err != nil {
		return err
	}
	p.do("mke2fs", "-q", "-F", "-t", "ext4", "-U", uuid, "-E", "hash_seed="+uuid+",lazy_itable_init=0,lazy_journal_init=0", "-d", dir, file, "40M")
	p.do("debugfs", "-w", "-R", "write "+file+" "+s.Path, node)
	p.do("@remove", dir)
	p.do("@remove", file)
	return nil
}

// Unclean is a filesystem that says that its log has to be replayed.
var Unclean = Layout{Name: "unclean", Disks: one(96), Steps: []Step{
	FS{On: "d0", Type: "ext4", Content: tiny},
	Tool{Argv: []string{"debugfs", "-w", "-R", "feature needs_recovery", "{d0}"}},
}}

// Changes is a disk for what is written to a root that is covered.
var Changes = Layout{Name: "changes", Disks: blank(64, "c0"), Steps: []Step{
	FS{On: "c0", Type: "ext4", Label: "CHANGES", Content: Content{Files: []File{{Path: "readme", Data: "changes\n"}}}},
}}

// Several has more filesystems than the root, as its fstab says, and swap.
var Several = Layout{Name: "several", Disks: one(256), Steps: []Step{
	GPT{On: "d0", Parts: []Part{{Name: "root", MiB: 80}, {Name: "home", MiB: 32}, {Name: "early", MiB: 32}, {Name: "swap", Type: "swap"}}},
	FS{On: "root", Type: "ext4", Label: "several", Content: Content{Tree: "tiny", Files: []File{
		{Path: "early", Dir: true}, {Path: "srv", Dir: true}, {Path: "gone", Dir: true},
		{Path: "etc/fstab", Data: "LABEL=several / ext4 errors=remount-ro 0 1\n" +
			"LABEL=home /home ext4 defaults 0 2\n" +
			"LABEL=early /early ext4 noatime,x-initrd.mount 0 2\n" +
			"/early/inside /srv none bind,x-initrd.mount 0 0\n" +
			"LABEL=nowhere /gone ext4 nofail,x-initrd.mount,x-systemd.device-timeout=5s 0 2\n" +
			"UUID=" + FSUUID("several", "swap") + " none swap sw 0 0\n"},
	}}},
	FS{On: "home", Type: "ext4", Label: "home", Content: Content{Files: []File{{Path: "person", Dir: true}}}},
	FS{On: "early", Type: "ext4", Label: "early", Content: Content{Files: []File{{Path: "inside", Dir: true}}}},
	Swap{On: "swap"},
}}

// Roots are the layouts of this file.
var Roots = []Layout{LoopFile, Unclean, Changes, Several, Slots, SlotsCopy, HibernateLUKS}

// Slots are two versions of a system, of which the second partition has the
// newer one, and a slot for the next.
var Slots = Layout{Name: "slots", Disks: one(256), Steps: []Step{
	GPT{On: "d0", Parts: []Part{
		{Name: "old", MiB: 64, Type: "4f68bce3-e8cd-4db1-96e7-fbcaf984b709", Label: "os_9"},
		{Name: "new", MiB: 64, Type: "4f68bce3-e8cd-4db1-96e7-fbcaf984b709", Label: "os_10"},
		{Name: "next", Type: "4f68bce3-e8cd-4db1-96e7-fbcaf984b709", Label: "_empty"}}},
	FS{On: "old", Type: "ext4", Content: tiny},
	FS{On: "new", Type: "ext4", Content: tiny},
}}

// SlotsCopy is another disk with a root, of which nothing says that it is not
// the one.
var SlotsCopy = Layout{Name: "slots-copy", Disks: blank(96, "e0"), Steps: []Step{
	GPT{On: "e0", Parts: []Part{{Name: "root", Type: "4f68bce3-e8cd-4db1-96e7-fbcaf984b709", Label: "os_11"}}},
	FS{On: "root", Type: "ext4", Content: tiny},
}}

// HibernateLUKS has swap for the machine's memory in a volume group inside an
// encrypted partition.
var HibernateLUKS = Layout{Name: "hibernate-luks", Disks: one(960), Steps: []Step{
	GPT{On: "d0", Parts: []Part{{Name: "part"}}},
	LUKS{Name: "crypt", On: "part", Version: 2, Passphrase: Passphrase, KDF: "cheap"},
	VG{Name: "hib", On: []string{"crypt"}},
	LV{VG: "hib", Name: "root", MiB: 96},
	LV{VG: "hib", Name: "swap"},
	FS{On: "hib/root", Type: "ext4", Content: tiny},
	Swap{On: "hib/swap"},
}}
