package e2e

import (
	"time"

	"firstlight/test/disks"
)

// live are roots in images: on a medium, in a file of a disk, in the initramfs.
func live() []Scenario {
	disc, nested, stick := disks.LiveDisc, disks.LiveNested, disks.LiveFile
	const off = " rd.timeout=20 rd.emergency=poweroff"
	medium := func(name, args string, l disks.Layout, w Want) Scenario {
		return Scenario{Name: name, For: small("iso9660", "live"), Layouts: on(l), Append: args, Unchanged: true, Boots: once(w)}
	}
	// A disk is always there, so that it shows that it is not the root.
	within := func(name, args string, w Want, roots ...Include) Scenario {
		return Scenario{Name: name, For: small("ext4", "live", "ramdisk"), Layouts: on(disc), Append: args, Unchanged: true, Roots: roots, Boots: once(w)}
	}
	full := func(s Scenario) Scenario { s.Full = true; return s }
	with := func(s Scenario, features ...string) Scenario { s.Features = features; return s }
	const over = "LiveOS_rootfs overlay"
	return []Scenario{
		medium("live-disc", "rw root=live:CDLABEL=LIVE", disc, Want{Root: over, RootOptions: []string{"rw"},
			Mounts: []string{"/run/initramfs/live /dev/vda iso9660 ro,.*", "/run/rootfsbase /dev/loop0 squashfs ro,.*"}}),
		// The medium is not needed any more.
		medium("live-disc-ram", "ro root=LABEL=LIVE rd.live.image rd.live.ram", disc, Want{Root: over,
			Mounts: []string{"/run/initramfs/memory0 live tmpfs .*", "/run/rootfsbase /dev/loop0 squashfs ro,.*"}}),
		full(medium("live-disc-verified", "ro root=live:LABEL=LIVE rd.live.check", disc, Want{Root: over})),
		medium("live-disc-damaged", "ro root=live:LABEL=LIVE rd.live.check"+off, disks.LiveDamaged, Want{NoBoot: true, Console: []Seen{see("is damaged")}}),
		medium("live-disc-too-large", "ro root=live:LABEL=LIVE rd.live.ram rd.minmem=4000"+off, disc, Want{NoBoot: true, Console: []Seen{see("is to be in memory"), see("rd.minmem=")}}),
		full(with(medium("live-nested", "ro root=live:LABEL=LIVE", nested, Want{Root: over,
			Mounts: []string{"/run/initramfs/squashfs /dev/loop0 squashfs ro,.*", "/run/rootfsbase /dev/loop1 ext4 ro,.*"}}), "ext4")),
		with(medium("live-nested-writable", "rw root=live:LABEL=LIVE rd.writable.fsimg", nested, Want{Root: "/dev/loop1 ext4", RootOptions: []string{"rw"},
			Mounts: []string{"/run/initramfs/memory1 live tmpfs .*"}}), "ext4"),
		{Name: "live-iso-file", For: small("iso9660", "live"), Features: []string{"ext4"}, Layouts: on(stick), Unchanged: true, Append: "ro root=live:CDLABEL=LIVE iso-scan/filename=/isos/live.iso",
			Boots: once(Want{Root: over, Mounts: []string{"/run/initramfs/isoscan /dev/vdb ext4 ro,.*", "/run/initramfs/live /dev/loop0 iso9660 ro,.*"}})},
		medium("live-boot", "boot=live components", disks.LiveBoot, Want{Root: "overlay overlay", Argv: []string{"components"}, RootOptions: []string{"lowerdir=/run/live/rootfs/filesystem.squashfs"},
			Mounts: []string{"/run/live/medium /dev/vda iso9660 ro,.*", "/run/live/rootfs/filesystem.squashfs /dev/loop0 squashfs ro,.*", "/run/live/overlay tmpfs-root tmpfs rw,.*"}}),
		// A whole Debian, with its systemd.
		{Name: "bookworm-live", Full: true, Packed: true, For: small("iso9660", "live"), Layouts: on(disks.LiveDebian("bookworm")), Memory: 1024, Unchanged: true, Append: "boot=live components",
			Boots: []Boot{{Limit: 6 * time.Minute, Want: Want{Debian: true, Root: "overlay overlay", Mounts: []string{"/run/live/medium /dev/vda iso9660 ro,.*"}}}}},
		full(medium("live-boot-toram", "boot=live toram live-media=/dev/vda", disks.LiveBoot, Want{Root: "overlay overlay", Argv: []string{"toram"}})),

		// A link of an earlier boot hides the init: without the reset nothing starts.
		{Name: "overlay-reset", Full: true, For: small("ext4", "overlay"), Layouts: on(disks.Plain, disks.Kept), Append: "rw rd.overlay=LABEL=KEPT rd.overlay.reset " + uuid(disks.Plain.FSUUID("root")),
			Boots: once(Want{Root: over, RootOptions: []string{"upperdir=/run/initramfs/overlayfs/overlayfs"}, Mounts: []string{"/run/initramfs/overlayfs /dev/vdb ext4 rw,.*"}, Console: []Seen{see("are forgotten")}})},

		within("live-in-image", "ro root=live:/root.sfs", Want{Root: over, Mounts: []string{"/run/rootfsbase /dev/loop0 squashfs ro,.*"}}, Include{"/root.sfs", "squashfs"}),
		with(within("live-archive", "rw root=live:/root.tar.zst", Want{Root: "live tmpfs", RootOptions: []string{"rw"}}, Include{"/root.tar.zst", "tar.zst"}), "live-archive"),
		with(within("live-archive-too-large", "rw root=live:/root.tar.zst rd.minmem=4000"+off, Want{NoBoot: true, Console: []Seen{see("does not fit into memory")}}, Include{"/root.tar.zst", "tar.zst"}), "live-archive"),
		within("ramdisk", "rw root=/dev/ram0", Want{Root: "/dev/ram0 ext4", RootOptions: []string{"rw"}}, Include{"/initrd.image", "ext4"}),
		within("ramdisk-zram", "rw root=/dev/zram0", Want{Root: "/dev/zram0 ext4", RootOptions: []string{"rw"}}, Include{"/initrd.image", "ext4"}),
		full(within("ramdisk-too-small", "rw root=/dev/ram0 brd.rd_size=4096"+off, Want{NoBoot: true, Console: []Seen{see("brd.rd_size=")}}, Include{"/initrd.image", "ext4"})),
	}
}
