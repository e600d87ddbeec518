package e2e

import (
	"time"

	"firstlight/test/disks"
	"firstlight/test/vm"
)

// forms are the rarer forms of a root: live media of which something is kept,
// or that have several images.
func forms() []Scenario {
	const off = " rd.timeout=20 rd.emergency=poweroff"
	kept := small("iso9660", "live", "live-persistence")
	const below = "lowerdir=/run/live/rootfs/filesystem.squashfs"
	everything := Want{Argv: []string{"persistence"}, Root: "overlay overlay", RootOptions: []string{"rw", below, "upperdir=/run/live/persistence/vdb/rw"},
		Mounts: []string{"/run/live/persistence/vdb /dev/vdb ext4 rw,.*", "/run/live/medium /dev/vda iso9660 ro,.*"}}
	root := uuid(disks.Plain.FSUUID("root"))
	crypt := Want{Root: "overlayroot overlay", Mapped: []string{"secure CRYPT-PLAIN-secure"},
		Mounts: []string{"/media/root-ro /dev/vda2 ext4 ro,.*", "/media/root-rw /dev/mapper/\\S+ ext4 rw,.*"}}
	answer := []Action{{When: promptText, Type: disks.Passphrase + "\r"}}
	return []Scenario{
		// Everything is kept, from one boot to the next.
		{Name: "live-keep", Trixie: true, For: kept, Layouts: on(disks.LiveBoot, disks.Keep), Append: "boot=live persistence", Boots: []Boot{{Want: everything}, {Want: everything}}},
		{Name: "live-keep-read-only", Full: true, For: kept, Layouts: on(disks.LiveBoot, disks.KeepFilled), Append: "boot=live persistence persistence-read-only", Unchanged: true,
			Boots: once(Want{Argv: []string{"persistence", "persistence-read-only"}, Root: "overlay overlay", RootOptions: []string{"lowerdir=/run/live/persistence/vdb/rw:/run/live/rootfs/filesystem.squashfs"},
				Mounts: []string{"/run/live/persistence/vdb /dev/vdb ext4 ro,.*"}})},
		// Some directories, each in another way. What is kept of /home is a copy of
		// what the image has.
		{Name: "live-keep-parts", For: kept, Layouts: on(disks.LiveBoot, disks.KeepParts), Append: "boot=live persistence", Boots: once(Want{Argv: []string{"persistence"}, Root: "overlay overlay",
			Mounts: []string{"/home /dev/vdb ext4 rw,.*", "/etc overlay overlay rw,.*" + below + "/etc,upperdir=/run/live/persistence/vdb/config/rw.*"}})},
		{Name: "live-keep-luks", For: kept, Layouts: on(disks.LiveBoot, disks.KeepLUKS), Append: "boot=live persistence persistence-encryption=luks",
			Boots: []Boot{{Do: answer, Want: Want{Argv: []string{"persistence"}, Root: "overlay overlay", Prompts: 1, Timers: true, Mounts: []string{"/run/live/persistence/dm-0 /dev/mapper/\\S+ ext4 rw,.*"}}}}},
		{Name: "live-keep-file", Full: true, For: kept, Layouts: on(disks.LiveBoot, disks.KeepFile), Append: "boot=live persistence persistence-path=/keep",
			Boots: once(Want{Argv: []string{"persistence"}, Root: "overlay overlay", RootOptions: []string{"upperdir=/run/live/persistence/loop1/rw"}, Mounts: []string{"/run/live/persistence/loop1 /dev/loop1 ext4 rw,.*"}})},
		{Name: "live-keep-missing", For: kept, Layouts: on(disks.LiveBoot), Append: "boot=live persistence", Unchanged: true,
			Boots: once(Want{Argv: []string{"persistence"}, Root: "overlay overlay", Console: []Seen{see("nothing is kept")}})},

		// The upper image has the init.
		{Name: "live-layers", Trixie: true, For: small("iso9660", "live"), Layouts: on(disks.LiveLayers), Append: "boot=live toram live-media=LABEL=DEBIAN module=filesystem", Unchanged: true,
			Boots: once(Want{Argv: []string{"toram"}, Root: "overlay overlay", RootOptions: []string{"lowerdir=/run/live/rootfs/extra.squashfs:/run/live/rootfs/filesystem.squashfs"}})},
		{Name: "live-casper", Trixie: true, For: kept, Layouts: on(disks.LiveCasper, disks.KeepCasper), Append: "boot=casper persistent layerfs-path=minimal.standard.squashfs",
			Include: []Include{{"/conf/uuid.conf", disks.CasperUUID + "\n"}},
			Boots:   once(Want{Argv: []string{"persistent"}, Root: "overlay overlay", RootOptions: []string{"upperdir=/run/live/persistence/vdb/upper"}, Mounts: []string{"/run/live/rootfs/minimal.standard.squashfs /dev/loop1 squashfs ro,.*"}})},
		{Name: "live-casper-other", Full: true, For: kept, Layouts: on(disks.LiveCasper), Append: "boot=casper layerfs-path=minimal.standard.squashfs" + off, Unchanged: true,
			Include: []Include{{"/conf/uuid.conf", "another\n"}}, Boots: once(Want{NoBoot: true, Console: []Seen{see("ignore_uuid")}})},

		{Name: "live-erofs", TrixieOnly: true, For: small("iso9660", "live"), Features: []string{"erofs"}, Layouts: on(disks.LiveErofs), Append: "ro root=live:CDLABEL=LIVE rd.live.squashimg=root.erofs", Unchanged: true,
			Boots: once(Want{Root: "LiveOS_rootfs overlay", Mounts: []string{"/run/rootfsbase /dev/loop0 erofs ro,.*"}})},
		// Changes that are encrypted with a key that nobody knows, on a disk that is
		// overwritten only where that is asked for.
		{Name: "overlay-crypt", Trixie: true, For: small("ext4", "overlay", "overlay-crypt"), Layouts: on(disks.Plain, disks.Scratch), Append: "rw overlayroot=crypt:dev=/dev/vdb,recurse=0 " + root,
			Boots: []Boot{{Want: crypt}, {Want: crypt}}},
		{Name: "overlay-crypt-dracut", Full: true, For: small("ext4", "overlay", "overlay-crypt"), Layouts: on(disks.Plain, disks.Changes), Append: "rw rd.overlay.crypt=LABEL=CHANGES,mkfs=1 " + root,
			Boots: once(Want{Root: "LiveOS_rootfs overlay", Mapped: []string{"overlay-crypt CRYPT-PLAIN-overlay-crypt"}, Console: []Seen{see("is overwritten, as mkfs=1 asks")},
				Mounts: []string{"/run/initramfs/overlayfs /dev/mapper/\\S+ ext4 rw,.*", "/run/rootfsbase /dev/vda2 ext4 ro,.*"}})},
		{Name: "overlay-crypt-password", Full: true, For: small("ext4", "overlay", "overlay-crypt"), Layouts: on(disks.Plain, disks.Scratch), Append: "rw overlayroot=crypt:dev=/dev/vdb,pass=abc,recurse=0 " + root,
			Boots: []Boot{{Want: Want{Root: "overlayroot overlay", Mapped: []string{"secure CRYPT-LUKS2-.*"}, Console: []Seen{see("is not opened by the password")}}},
				{Want: Want{Root: "overlayroot overlay", Mapped: []string{"secure CRYPT-LUKS2-.*"}, Mounts: []string{"/media/root-rw /dev/mapper/\\S+ ext4 rw,.*"}}}}},
		{Name: "overlay-crypt-holds", For: small("ext4", "overlay", "overlay-crypt"), Layouts: on(disks.Plain, disks.Changes), Append: "rw overlayroot=crypt:dev=/dev/vdb " + root + off, Unchanged: true,
			Boots: once(Want{NoBoot: true, Console: []Seen{see("is to be overwritten, and holds ext4")}})},
		// The root says so itself.
		{Name: "overlayroot-conf", For: small("ext4", "overlay", "overlayroot-conf"), Layouts: on(disks.OverlayConf), Append: "ro root=LABEL=conf", Unchanged: true,
			Boots: once(Want{Root: "overlayroot overlay", Mounts: []string{"/media/root-ro /dev/vda ext4 ro,.*", "/media/root-rw tmpfs-root tmpfs rw,.*"}})},
		// dracut's table, and lines of the image's own fstab.
		{Name: "fstab-sys", For: &Target{FS: "ext4", Needs: []string{"fstab-sys"}}, Layouts: on(disks.Plain, disks.Extra), Append: "ro " + root,
			Include: []Include{{"/etc/fstab.sys", "LABEL=extra /mnt ext4 ro,noatime 0 2\n/mnt/in /home none bind 0 0\n"}, {"/etc/fstab", "tmpfs /sysroot/var tmpfs size=1m 0 0\nLABEL=none /sysroot/opt ext4 nofail 0 0\n"}},
			Boots:   once(Want{Root: "/dev/vda2 ext4", Mounts: []string{"/mnt /dev/vdb ext4 ro,noatime,.*", "/home /dev/vdb ext4 .*", "/var tmpfs tmpfs .*size=1024k.*"}})},
		// What grew from a seed is the root, and the seed is a part of it.
		{Name: "btrfs-sprout", For: small("btrfs"), Layouts: on(disks.BtrfsSprout), Append: "rw root=/dev/vdb", Boots: once(Want{Root: "/dev/vd[ab] btrfs", RootOptions: []string{"rw"}})},
		{Name: "btrfs-seed", Full: true, For: small("btrfs"), Layouts: on(disks.BtrfsSprout), Append: "ro root=/dev/vda", Boots: once(Want{Root: "/dev/vda btrfs", RootOptions: []string{"ro"}})},
		// Its label is the seed's: which of the two is meant nobody can tell.
		{Name: "btrfs-sprout-label", Full: true, For: small("btrfs"), Layouts: on(disks.BtrfsSprout), Append: "rw root=LABEL=seed rd.timeout=20 rd.emergency=poweroff", Unchanged: true,
			Boots: once(Want{NoBoot: true, Ends: poweredOff, Console: []Seen{see("2 devices have this name")}})},
		{Name: "btrfs-sprout-late-seed", Full: true, For: small("btrfs"), Layouts: on(disks.BtrfsSprout), Detached: []string{"d0"}, Append: "rw root=/dev/vda",
			Boots: []Boot{{Do: []Action{{When: waitingText, After: 2 * time.Second, Attach: "d0"}}, Want: Want{Root: "/dev/vd[ab] btrfs", Timers: true}}}},
		{Name: "fsck-forced-by-file", For: small("ext4"), Features: []string{"fsck", "fsck-files"}, Layouts: on(disks.ForceFsck), Append: "ro root=LABEL=force", Writes: anything, // the check notes that it was made
			Boots: once(Want{Root: "/dev/vda ext4", Console: []Seen{see("checked, since it has the file /forcefsck")}})},
		{Name: "root-id", For: small("ext4"), Layouts: on(disks.Plain), Bus: vm.VirtioSCSI, Append: "ro root=ID=scsi-0QEMU_QEMU_HARDDISK_d0-part2", Unchanged: true, Boots: once(Want{Root: "/dev/sda2 ext4"})},
	}
}
