package disks

import (
	"context"

	"firstlight/test/debian"
)

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
func askedTree(ctx context.Context, suite string, packages ...string) ([]string, error) {
	base, err := debianTree(ctx, suite)
	if err != nil {
		return nil, err
	}
	if len(packages) > 0 {
		if base[0], err = debian.Root(ctx, suite, packages...); err != nil {
			return nil, err
		}
	}
	return asking(ctx, base)
}

// askedZFSTree is a Debian of a suite with ZFS that is asked.
func askedZFSTree(ctx context.Context, suite string) ([]string, error) {
	base, err := zfsTree(ctx, suite)
	if err != nil {
		return nil, err
	}
	return asking(ctx, base)
}

// asking adds to a root that reports what asks before that.
func asking(ctx context.Context, base []string) ([]string, error) {
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
func asked(fstab string, files ...File) Content { return askedOf("bookworm-asked", fstab, files...) }

// askedOf is another tree that is asked.
func askedOf(tree, fstab string, files ...File) Content {
	return Content{Tree: tree, Files: append(files, File{Path: "etc/fstab", Data: fstab})}
}

const interopName = "interop-"

// mdConf is the file of an installation with these arrays.
func mdConf(layout string, arrays ...string) File {
	text := "HOMEHOST <ignore>\nMAILADDR root\n"
	for _, a := range arrays {
		text += "ARRAY /dev/md/" + a + " metadata=1.2 UUID=" + Layout{Name: layout}.MDUUID(a) + "\n"
	}
	return File{Path: "etc/mdadm/mdadm.conf", Data: text}
}

// InteropCrypttab is the file of InteropStack's root.
var InteropCrypttab = "cryptroot UUID=" + UUID(interopName+"stack", "crypt") + " none luks,discard,x-systemd.device-timeout=15min,x-initrd.attach\n"

// InteropStack is LUKS on LVM on RAID1, with swap space beside the root.
var InteropStack = func() Layout {
	const name = interopName + "stack"
	return Layout{Name: name, Disks: two(1300), Steps: []Step{
		GPT{On: "d0", Parts: []Part{{Name: "m0", Type: "raid"}}},
		GPT{On: "d1", Parts: []Part{{Name: "m1", Type: "raid"}}},
		MD{Name: "array", Level: "1", Metadata: "1.2", On: []string{"m0", "m1"}},
		VG{Name: "vg", On: []string{"array"}},
		LV{VG: "vg", Name: "swap", MiB: 64},
		LV{VG: "vg", Name: "crypt"},
		LUKS{Name: "crypt", On: "vg/crypt", Version: 2, Passphrase: Passphrase, KDF: "argon2id"},
		Swap{On: "vg/swap"},
		FS{On: "crypt", Type: "ext4", Content: asked("/dev/mapper/cryptroot / ext4 errors=remount-ro 0 1\n/dev/vg/swap none swap sw,x-systemd.device-timeout=15min 0 0\n",
			File{Path: "etc/crypttab", Data: InteropCrypttab}, mdConf(name, "array"))},
	}}
}()

// InteropMD is an array of level 10 with a bitmap, beside one of level 5 that
// the root does not need, and swap space.
var InteropMD = func() Layout {
	const name = interopName + "md"
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
			FSUUID(name, "swap")+" none swap sw,x-systemd.device-timeout=15min 0 0\n", mdConf(name, "root", "data"))})
	return l
}()

// RAID10Bitmap is a small one of level 10 with a bitmap.
var RAID10Bitmap = Layout{Name: "raid10-bitmap", Disks: blank(64, "d0", "d1", "d2", "d3"), Steps: []Step{
	MD{Name: "array", Level: "10", Metadata: "1.2", On: []string{"d0", "d1", "d2", "d3"}, More: []string{"--bitmap=internal"}},
	FS{On: "array", Type: "ext4", Content: tiny},
}}

// InteropLVM is a mirrored logical volume, beside a thin one, a striped one
// that nothing needs, and swap space.
var InteropLVM = Layout{Name: interopName + "lvm", Disks: two(1500), Steps: []Step{
	VG{Name: "vdeb", On: []string{"d0", "d1"}},
	Volume{VG: "vdeb", Name: "root", Argv: []string{"lvcreate", "-y", "-Wn", "-n", "root", "--type", "raid1", "-m", "1", "-L", "1200m", "--nosync", "vdeb"}},
	Volume{Argv: []string{"lvcreate", "-y", "--type", "thin-pool", "-L", "96m", "--poolmetadatasize", "4m", "-n", "pool", "vdeb"}},
	Volume{VG: "vdeb", Name: "srv", Argv: []string{"lvcreate", "-y", "-Wn", "-V", "80m", "--thinpool", "pool", "-n", "srv", "vdeb"}},
	LV{VG: "vdeb", Name: "swap", MiB: 64},
	LV{VG: "vdeb", Name: "spare", MiB: 32, Stripes: 2},
	FS{On: "vdeb/srv", Type: "ext4"},
	Swap{On: "vdeb/swap"},
	FS{On: "vdeb/root", Type: "ext4", Content: asked("/dev/vdeb/root / ext4 errors=remount-ro 0 1\n/dev/vdeb/swap none swap sw,x-systemd.device-timeout=15min 0 0\n/dev/vdeb/srv /srv ext4 defaults 0 2\n")},
}}

// InteropBtrfs is a btrfs on two devices.
var InteropBtrfs = Layout{Name: interopName + "btrfs", Disks: two(1500), Steps: []Step{
	FS{On: "d0", Type: "btrfs", More: []string{"d1"}, Profile: "raid1", Content: asked("UUID=" + FSUUID(interopName+"btrfs", "d0") + " / btrfs defaults 0 0\n")},
}}

// readOnly is what a Debian needs whose root is never written to.
const readOnly = "tmpfs /tmp tmpfs defaults 0 0\ntmpfs /var/log tmpfs defaults 0 0\ntmpfs /var/tmp tmpfs defaults 0 0\ntmpfs /var/lib/systemd tmpfs defaults 0 0\n"

// InteropVerity is an ext4 that a hash tree proves.
var InteropVerity = Layout{Name: interopName + "verity", Disks: one(1300), Steps: []Step{
	GPT{On: "d0", Parts: []Part{{Name: "data", MiB: 1200, Type: rootType}, {Name: "tree", Type: verityType}}},
	FS{On: "data", Type: "ext4", Options: []string{"-b", "4096"}, Content: asked("/dev/mapper/root / ext4 ro 0 0\n" + readOnly)},
	Tool{Argv: []string{"veritysetup", "format", "--root-hash-file", "/tmp/verity.hash", "--uuid", UUID(interopName+"verity", "verity"), "{data}", "{tree}"}},
	Tool{Argv: []string{"@halves", "{d0}", "1", "2", "/tmp/verity.hash"}},
}}

// IntegrityTab is the file of InteropIntegrity's root.
var IntegrityTab = "int-root PARTUUID=" + Layout{Name: interopName + "integrity"}.PartUUID("i0") + " - integrity-algorithm=crc32c\n"

// InteropIntegrity is an ext4 on a device of dm-integrity.
var InteropIntegrity = Layout{Name: interopName + "integrity", Disks: one(1400), Steps: []Step{
	GPT{On: "d0", Parts: []Part{{Name: "i0"}}},
	Crypt{Name: "int-root", Format: []string{"integritysetup", "format", "--batch-mode", "--integrity", "crc32c", "--sector-size", "4096", "{i0}"},
		Open: []string{"integritysetup", "open", "--integrity", "crc32c", "{i0}", "int-root"}},
	FS{On: "int-root", Type: "ext4", Options: []string{"-b", "4096"}, Content: asked("UUID="+FSUUID(interopName+"integrity", "int-root")+" / ext4 errors=remount-ro 0 1\n",
		File{Path: "etc/integritytab", Data: IntegrityTab})},
}}

// Interops are the layouts of this file and the next one.
var Interops = []Layout{RAID10Bitmap, InteropStack, InteropMD, InteropLVM, InteropBtrfs, InteropVerity, InteropIntegrity,
	InteropBcache, InteropRAID6, InteropZFS, InteropThin, InteropMultipath}
