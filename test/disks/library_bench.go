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
