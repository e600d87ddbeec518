package disks

// Filesystems of btrfs on two devices: one that can do without either, and one that
// can do without none though its metadata could.
var (
	BtrfsMirror = Layout{Name: "btrfs-mirror", Disks: two(256), Steps: []Step{
		FS{On: "d0", Type: "btrfs", Label: "mirror", More: []string{"d1"}, Profile: "raid1", Content: tiny},
	}}
	BtrfsSpread = Layout{Name: "btrfs-spread", Disks: two(256), Steps: []Step{
		FS{On: "d0", Type: "btrfs", Label: "spread", More: []string{"d1"}, Options: []string{"-d", "raid0", "-m", "raid1"}, Content: tiny},
	}}
)
