package e2e

import (
	"context"
	"os"

	"firstlight/test/disks"
	"firstlight/test/host"
	"firstlight/test/vm"
)

// shared lays the tiny root into a directory that the machine's host shares.
func shared(ctx context.Context, fstype, dir string) (vm.Share, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return vm.Share{}, err
	}
	tars, err := disks.Tree(ctx, "tiny")
	if err != nil {
		return vm.Share{}, err
	}
	for _, t := range tars {
		if _, err := host.Run(ctx, "tar", "-C", dir, "-xpf", t); err != nil {
			return vm.Share{}, err
		}
	}
	return vm.Share{Tag: "root", Dir: dir, Virtiofs: fstype == "virtiofs"}, nil
}

// sharedRoots are directories of the machine's host.
func sharedRoots() []Scenario {
	virtiofs, plan9 := small("virtiofs"), small("9p")
	off := " rd.timeout=20 rd.emergency=poweroff"
	return []Scenario{
		{Name: "virtiofs", For: virtiofs, Share: "virtiofs", Append: "rw root=virtiofs:root", Trixie: true, Boots: once(Want{Root: "root virtiofs", RootOptions: []string{"rw"}})},
		{Name: "9p", For: plan9, Share: "9p", Append: "ro rootfstype=9p root=root rootflags=cache=loose", Trixie: true, Boots: once(Want{Root: "root 9p", RootOptions: []string{"ro", "trans=virtio"}})},
		{Name: "9p-overlay", Full: true, For: &Target{FS: "9p", Layers: []string{"overlay"}}, Share: "9p", Append: "rw rootfstype=9p root=SOURCE=root rd.overlay",
			Boots: once(Want{Root: "LiveOS_rootfs overlay"})},
		{Name: "virtiofs-other-tag", Full: true, For: virtiofs, Share: "virtiofs", Append: "rw root=virtiofs:other" + off,
			Boots: once(Want{NoBoot: true, Console: []Seen{see(`offers\s+no\s+such\s+tag`)}})},
	}
}
