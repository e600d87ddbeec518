package disks

import "context"

// What a whole Debian boots from once with Firstlight and once with the generator
// of images that Debian has, and in which the field's own tools are asked.

// askedUnit starts the program that asks, which goes on as the one that reports.
const askedUnit = `[Unit]
Description=Ask the tools, then report to the test harness
DefaultDependencies=no
[Service]
Type=exec
ExecStart=/usr/lib/fltest/asking
StandardOutput=journal
[Install]
WantedBy=multi-user.target
`

// askedTree is a Debian of a suite that is asked.
func askedTree(ctx context.Context, suite string) ([]string, error) {
	base, err := debianTree(ctx, suite)
	if err != nil {
		return nil, err
	}
	program, err := guestProgram(ctx, "asking")
	if err != nil {
		return nil, err
	}
	a, err := archive([]File{
		{Path: "usr/lib/fltest/asking", Data: program, Perm: 0o755},
		{Path: "etc/systemd/system/fltest-report.service", Data: askedUnit},
	})
	return append(base, a), err
}

// asked is a Debian of bookworm with an fstab.
func asked(fstab string) Content {
	return Content{Tree: "bookworm-asked", Files: []File{{Path: "etc/fstab", Data: fstab}}}
}

// InteropBtrfs is a btrfs on two devices.
var InteropBtrfs = Layout{Name: "interop-btrfs", Disks: two(1500), Steps: []Step{
	FS{On: "d0", Type: "btrfs", More: []string{"d1"}, Profile: "raid1", Content: asked("UUID=" + FSUUID("interop-btrfs", "d0") + " / btrfs defaults 0 0\n")},
}}

// RAID10Bitmap is of level 10 with a bitmap, whose superblock is written when it
// is started, by whomever.
var RAID10Bitmap = Layout{Name: "raid10-bitmap", Disks: blank(64, "d0", "d1", "d2", "d3"), Steps: []Step{
	MD{Name: "array", Level: "10", Metadata: "1.2", On: []string{"d0", "d1", "d2", "d3"}, More: []string{"--bitmap=internal"}},
	FS{On: "array", Type: "ext4", Content: tiny},
}}
