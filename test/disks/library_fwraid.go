package disks

// firmware is a mirror with metadata that a firmware would know, "imsm" or
// "ddf": a container of two disks, and an array in it.
func firmware(name, metadata string) Layout {
	return Layout{Name: name, Disks: two(96), Steps: []Step{
		Container{Name: "container", Metadata: metadata, On: []string{"d0", "d1"}},
		MD{Name: "array", Level: "1", In: "container", Members: 2},
		FS{On: "array", Type: "ext4", Content: tiny},
	}}
}

// Arrays of firmware RAID.
var (
	RAIDIMSM = firmware("raid-imsm", "imsm")
	RAIDDDF  = firmware("raid-ddf", "ddf")
)
