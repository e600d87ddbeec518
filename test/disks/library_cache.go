package disks

// Small is an ext4 on which no image has room.
var Small = Layout{Name: "small", Disks: blank(1, "s0"), Steps: []Step{FS{On: "s0", Type: "ext4", Label: "FULL"}}}

// Keepers are disks on which images of servers are kept.
var Keepers = []Layout{Small}
