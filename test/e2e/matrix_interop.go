package e2e

import (
	"slices"
	"time"

	"firstlight/test/disks"
)

// interop are whole systems in which the field's own tools have to see what they
// see after a boot of the same disks with Debian's initramfs-tools
// (docs/interoperation.md has each difference, and why).
func interop() []Scenario {
	const limit = 8 * time.Minute
	// A busy host makes an emulated machine slower than systemd expects of any.
	const patience = "systemd.default_timeout_start_sec=900"
	both := func(l disks.Layout, target *Target, line string, differs ...string) Scenario {
		return Scenario{Name: l.Name, Full: true, Packed: true, For: target, Layouts: on(l), Memory: 1024, Append: patience, Interop: true, Differs: slices.Concat(differs, differ),
			Boots: []Boot{
				{Append: line, Limit: limit, Want: Want{Debian: true}},
				{Append: line, By: initramfsTools, Fresh: true, Limit: limit, Want: Want{Debian: true}},
			}}
	}
	btrfs, md := disks.InteropBtrfs, disks.InteropMD
	arrays := both(md, small("ext4", "md-raid10"), "ro "+uuid(md.FSUUID("root"))+" resume=UUID="+md.FSUUID("swap"), `mdadm --detail: (Update Time : .*|Events : \d+|State : (active|clean))`,
		`md sysfs: array_state (active|clean)`, `units of storage: mdadm-last-resort@.*`)
	arrays.Writes = []string{`d\d WSM 2064\+1 .*`} // the bitmap's superblock
	return []Scenario{
		arrays,
		both(btrfs, small("btrfs"), "ro "+uuid(btrfs.FSUUID("d0")), `/proc/mdstat: (/bin/sh: .*|:|<none>|Personalities|devices:|unused)`, `links: /dev/disk/by-uuid/\S+ \.\./\.\./vd[ab]`),
	}
}

// differ are lines that differ for every stack.
var differ = []string{
	`/proc/mdstat: \[(linear|multipath|raid\d+)\]`,
	`bcache: (pendings_cleanup|register|register_quiet|ls: .*)`,
	`links: /dev/(input|disk/by-diskseq)/.*`,
	`units of storage: systemd-fsckd.*`,
}
