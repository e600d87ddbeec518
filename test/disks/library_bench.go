package disks

// What the benchmark boots from: the same root each time, below it what the
// row is about. Only the first has a partition table.

// bench is the content of those roots: a tiny init marks the moment and
// hands over to the one that reports.
var bench = Content{Tree: "bench"}

// The rows of the table.
var (
	BenchPlain = Layout{Name: "bench-a", Disks: one(96), Steps: []Step{
		GPT{On: "d0", Parts: []Part{{Name: "root"}}},
		FS{On: "root", Type: "ext4", Content: bench},
	}}
	BenchLUKS = Layout{Name: "bench-b", Disks: one(96), Steps: []Step{
		LUKS{Name: "crypt", On: "d0", Version: 2, KeyFile: []byte("secret"), KDF: "cheap"},
		FS{On: "crypt", Type: "ext4", Content: bench},
	}}
	BenchLVM = Layout{Name: "bench-c", Disks: one(96), Steps: []Step{
		VG{Name: "vgc", On: []string{"d0"}},
		LV{VG: "vgc", Name: "root"},
		FS{On: "vgc/root", Type: "ext4", Content: bench},
	}}
	BenchRAID1 = Layout{Name: "bench-d", Disks: two(96), Steps: []Step{
		MD{Name: "root", Level: "1", Metadata: "1.2", On: []string{"d0", "d1"}},
		FS{On: "root", Type: "ext4", Content: bench},
	}}
	BenchStack = Layout{Name: "bench-e", Disks: two(96), Steps: []Step{
		MD{Name: "array", Level: "1", Metadata: "1.2", On: []string{"d0", "d1"}},
		VG{Name: "vge", On: []string{"array"}},
		LV{VG: "vge", Name: "crypt"},
		LUKS{Name: "crypt", On: "vge/crypt", Version: 2, KeyFile: []byte("secret"), KDF: "cheap"},
		FS{On: "crypt", Type: "ext4", Content: bench},
	}}
)

// Further rows, of which each is a stack of the boot matrix.
var (
	BenchThin = Layout{Name: "bench-thin", Disks: one(160), Steps: []Step{
		VG{Name: "vgf", On: []string{"d0"}},
		Volume{Argv: []string{"lvcreate", "-y", "--type", "thin-pool", "-L", "96m", "--poolmetadatasize", "4m", "-n", "pool", "vgf"}},
		Volume{VG: "vgf", Name: "root", Argv: []string{"lvcreate", "-y", "-Wn", "-V", "80m", "--thinpool", "pool", "-n", "root", "vgf"}},
		FS{On: "vgf/root", Type: "ext4", Content: bench},
	}}
	BenchLVMRaid = Layout{Name: "bench-lvmraid", Disks: two(96), Steps: []Step{
		VG{Name: "vgg", On: []string{"d0", "d1"}},
		Volume{VG: "vgg", Name: "root", Argv: []string{"lvcreate", "-y", "-Wn", "-n", "root", "--type", "raid1", "-m", "1", "-L", "72m", "--nosync", "vgg"}},
		FS{On: "vgg/root", Type: "ext4", Content: bench},
	}}
	BenchRAID5 = Layout{Name: "bench-raid5", Disks: blank(64, "d0", "d1", "d2"), Steps: []Step{
		MD{Name: "root", Level: "5", Metadata: "1.2", On: []string{"d0", "d1", "d2"}},
		FS{On: "root", Type: "ext4", Content: bench},
	}}
	BenchRAID10 = Layout{Name: "bench-raid10", Disks: blank(64, "d0", "d1", "d2", "d3"), Steps: []Step{
		MD{Name: "root", Level: "10", Metadata: "1.2", On: []string{"d0", "d1", "d2", "d3"}},
		FS{On: "root", Type: "ext4", Content: bench},
	}}
	BenchLUKSOnLVM = Layout{Name: "bench-luksonlvm", Disks: one(96), Steps: []Step{
		VG{Name: "vgj", On: []string{"d0"}},
		LV{VG: "vgj", Name: "crypt"},
		LUKS{Name: "crypt", On: "vgj/crypt", Version: 2, KeyFile: []byte("secret"), KDF: "cheap"},
		FS{On: "crypt", Type: "ext4", Content: bench},
	}}
	BenchBtrfs = Layout{Name: "bench-btrfs", Disks: two(256), Steps: []Step{
		FS{On: "d0", Type: "btrfs", More: []string{"d1"}, Profile: "raid1", Content: bench},
	}}
	BenchVerity = Layout{Name: "bench-verity", Disks: one(128), Steps: []Step{
		GPT{On: "d0", Parts: []Part{{Name: "data", MiB: 96, Type: rootType}, {Name: "tree", Type: verityType}}},
		FS{On: "data", Type: "ext4", Options: []string{"-b", "4096"}, Content: bench},
		Tool{Argv: []string{"veritysetup", "format", "--root-hash-file", "/tmp/verity.hash", "--uuid", UUID("bench-verity", "verity"), "{data}", "{tree}"}},
		Tool{Argv: []string{"@halves", "{d0}", "1", "2", "/tmp/verity.hash"}},
	}}
	BenchBcache = Layout{Name: "bench-bcache", Disks: blank(128, "d0", "c0"), Steps: []Step{
		Bcache{Name: "cached", On: "d0", Cache: "c0"},
		FS{On: "cached", Type: "ext4", Content: bench},
	}}
	BenchZFS = Layout{Name: "bench-zfs", ZFS: true, Disks: one(128), Steps: zroot(Pool{Name: "pbench", Devices: []string{"d0z"}}, []string{"d0"}, Dataset{Content: bench})}
	// BenchPaths is reached on two ways.
	BenchPaths = Layout{Name: "bench-paths", Disks: one(96), Steps: []Step{
		FS{On: "d0", Type: "ext4", Content: bench},
	}}
	BenchLive = Layout{Name: "bench-live", Disks: one(48), Steps: []Step{
		disc{On: "d0", Label: "LIVE", Image: "/live/filesystem.squashfs", Tree: "bench"},
	}}
)
