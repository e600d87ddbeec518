package disks

// VeritySigned is an erofs that a hash tree proves, whose root hash is signed on
// a partition beside it.
var VeritySigned = func() Layout {
	const hash = "/tmp/verity.hash"
	return Layout{Name: "verity-signed", Disks: one(64), Steps: []Step{
		GPT{On: "d0", Parts: []Part{{Name: "data", MiB: 32, Type: rootType}, {Name: "tree", MiB: 16, Type: verityType}, {Name: "sig", MiB: 1, Type: "41092B05-9FC8-4523-994F-2DEF0408B176"}}},
		FS{On: "data", Type: "erofs", Content: Content{Tree: "tables"}},
		Tool{Argv: []string{"veritysetup", "format", "--root-hash-file", hash, "--uuid", UUID("verity-signed", "verity"), "{data}", "{tree}"}},
		Tool{Argv: []string{"@halves", "{d0}", "1", "2", hash}},
		Tool{Argv: []string{"@sign", "{sig}", hash}},
	}}
}()

// SwapDisk is a disk with nothing but swap space, in which nothing is
// hibernated: what a boot waits for that is to resume from it.
var SwapDisk = Layout{Name: "swap-disk", Disks: blank(32, "s0"), Steps: []Step{
	Swap{On: "s0"},
}}
