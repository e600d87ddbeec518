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

// asked is a Debian of bookworm with an fstab, and with other files.
func asked(fstab string, files ...File) Content {
	return Content{Tree: "bookworm-asked", Files: append(files, File{Path: "etc/fstab", Data: fstab})}
}

// mdConf is the file of an installation with these arrays.
func mdConf(layout string, arrays ...string) File {
	text := "HOMEHOST <ignore>\nMAILADDR root\n"
	for _, a := range arrays {
		text += "ARRAY /dev/md/" + a + " metadata=1.2 UUID=" + Layout{Name: layout}.MDUUID(a) + "\n"
	}
	return File{Path: "etc/mdadm/mdadm.conf", Data: text}
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

// InteropMD is an array of level 10 with a bitmap, beside one of level 5 that
// the root does not need, and swap space.
var InteropMD = func() Layout {
	const name = "interop-md"
	l := Layout{Name: name, Disks: blank(900, "d0", "d1", "d2", "d3")}
	var root, data []string
	for _, d := range l.Disks {
		parts := []Part{{Name: d.Name + "r", MiB: 700, Type: "raid"}, {Name: d.Name + "d", MiB: 96, Type: "raid"}}
		if d.Name == "d0" {
			parts = append(parts, Part{Name: "swap", Type: "swap"})
		}
		l.Steps = append(l.Steps, GPT{On: d.Name, Parts: parts})
		root, data = append(root, d.Name+"r"), append(data, d.Name+"d")
	}
	l.Steps = append(l.Steps,
		MD{Name: "root", Level: "10", Metadata: "1.2", On: root, More: []string{"--bitmap=internal"}},
		MD{Name: "data", Level: "5", Metadata: "1.2", On: data},
		Swap{On: "swap"},
		FS{On: "data", Type: "ext4"},
		FS{On: "root", Type: "ext4", Content: asked("UUID="+FSUUID(name, "root")+" / ext4 errors=remount-ro 0 1\nUUID="+FSUUID(name, "data")+" /srv ext4 defaults 0 2\nUUID="+
			FSUUID(name, "swap")+" none swap sw 0 0\n", mdConf(name, "root", "data"))})
	return l
}()
