package disks

// SwapDisk is a disk with nothing but swap space, in which nothing is
// hibernated: what a boot waits for that is to resume from it.
var SwapDisk = Layout{Name: "swap-disk", Disks: blank(32, "s0"), Steps: []Step{
	Swap{On: "s0"},
}}
