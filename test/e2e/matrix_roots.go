package e2e

import (
	"time"

	"firstlight/test/disks"
)

// roots are what the root is made of above a block device: an overlay over it,
// a file in another filesystem, disks that cannot be written.
func roots() []Scenario {
	plain, usr, changes, several, loop, unclean := disks.Plain, disks.SeparateUsr, disks.Changes, disks.Several, disks.LoopFile, disks.Unclean
	hib := disks.HibernateLUKS
	answer := []Action{{When: promptText, Type: disks.Passphrase + "\r"}}
	const off = " rd.timeout=20 rd.emergency=poweroff"
	root := uuid(plain.FSUUID("root"))
	over := func(name, args string, l disks.Layout, w Want) Scenario {
		return Scenario{Name: name, For: small("ext4", "overlay"), Layouts: on(l), Append: "rw " + args, Unchanged: true, Boots: once(w)}
	}
	return []Scenario{
		// Whatever rw says, the disk is not written to.
		over("overlay-dracut", "rd.overlay "+root, plain, Want{Root: "LiveOS_rootfs overlay", RootOptions: []string{"rw", "lowerdir=/run/rootfsbase"},
			Mounts: []string{"/run/rootfsbase /dev/vda2 ext4 ro,.*"}}),
		over("overlay-dracut-tmpfs", "rd.live.overlay.overlayfs rd.overlay=tmpfs:size=20m "+root, plain, Want{Root: "LiveOS_rootfs overlay",
			Mounts: []string{"/run/rootfsbase /dev/vda2 ext4 ro,.*", "/run/initramfs/overlayfs tmpfs-root tmpfs rw,.*size=20480k.*"}}),
		{Name: "overlay-late-device", For: small("ext4", "overlay"), Layouts: on(plain, changes), Detached: []string{"c0"}, Append: "rw rd.overlay=LABEL=CHANGES:/kept " + root,
			Boots: []Boot{{Do: []Action{{When: waitingText, After: 3 * time.Second, Attach: "c0"}},
				Want: Want{Root: "LiveOS_rootfs overlay", Timers: true, RootOptions: []string{"rw", "upperdir=/run/initramfs/overlayfs/kept"},
					Mounts: []string{"/run/initramfs/overlayfs /dev/vdb ext4 rw,.*", "/run/rootfsbase /dev/vda2 ext4 ro,.*"}}}}},
		over("overlayroot-tmpfs", "overlayroot=tmpfs root=LABEL=several", several, Want{Root: "overlayroot overlay", RootOptions: []string{"rw", "lowerdir=/media/root-ro"}, Timers: true,
			Mounts: []string{"/media/root-ro /dev/vda1 ext4 ro,.*", "/media/root-rw tmpfs-root tmpfs rw,.*", "/early /dev/vda3 ext4 ro,.*", "/srv /dev/vda3 ext4 ro,.*"}}),
		{Name: "overlayroot-device", Full: true, For: small("ext4", "overlay"), Layouts: on(plain, changes), Append: "rw overlayroot=device:dev=LABEL=CHANGES,timeout=30,recurse=0 " + root,
			Boots: once(Want{Root: "overlayroot overlay", Mounts: []string{"/media/root-ro /dev/vda2 ext4 ro,.*", "/media/root-rw /dev/vdb ext4 rw,.*"}})},
		over("volatile-overlay", "systemd.volatile=overlay "+root, plain, Want{Root: "overlay overlay"}),
		over("volatile-yes", "systemd.volatile=yes "+root, plain, Want{Root: "volatile tmpfs", Usr: "/dev/vda2 ext4", Mounts: []string{"/usr /dev/vda2 ext4 ro,.*"}}),
		{Name: "tmpfs-root", Full: true, For: &Target{FS: "ext4", Layers: []string{"overlay"}, Needs: []string{"usr"}}, Layouts: on(usr), Unchanged: true,
			Append: "ro root=tmpfs rootflags=size=30m mount.usr=UUID=" + usr.FSUUID("usr"),
			Boots:  once(Want{Root: "volatile tmpfs", RootOptions: []string{"size=30720k"}, Usr: "/dev/vda2 ext4"})},
		{Name: "volatile-yes-usr", Full: true, For: &Target{FS: "ext4", Layers: []string{"overlay"}, Needs: []string{"usr"}}, Layouts: on(usr), Unchanged: true,
			Append: "rw systemd.volatile=yes " + uuid(usr.FSUUID("root")), Boots: once(Want{Root: "volatile tmpfs", Usr: "/dev/vda2 ext4"})},
		// An image that cannot cover the root does not use it uncovered.
		{Name: "overlay-not-in-image", For: small("ext4"), Layouts: on(plain), Append: "rw rd.overlay " + root + off, Unchanged: true,
			Boots: once(Want{NoBoot: true, Console: []Seen{see("covered by an overlay"), see("overlay-root")}})},

		{Name: "loop-file", For: small("ext4", "loop"), Layouts: on(loop), Append: "rw loop=/images/root.img root=LABEL=outer",
			Boots: once(Want{Root: "/dev/loop0 ext4", RootOptions: []string{"rw"}, Mounts: []string{"/run/initramfs/host /dev/vda ext4 rw,.*"}})},
		{Name: "loop-file-covered", For: small("ext4", "loop", "overlay"), Layouts: on(loop), Append: "rw rd.overlay loop=/images/root.img root=LABEL=outer", Unchanged: true,
			Boots: once(Want{Root: "LiveOS_rootfs overlay", Mounts: []string{"/run/rootfsbase /dev/loop0 ext4 ro,.*", "/run/initramfs/host /dev/vda ext4 ro,.*"}})},
		{Name: "loop-file-missing", Full: true, For: small("ext4", "loop"), Layouts: on(loop), Append: "ro loop=/images/other.img root=LABEL=outer" + off,
			Boots: once(Want{NoBoot: true, Console: []Seen{see("/images/other.img"), see("no such file")}})},

		// What the root's fstab wants: an option of the mount, a directory in
		// another place, a disk that may be missing.
		{Name: "initrd-mounts", For: small("ext4"), Layouts: on(several), Append: "ro root=LABEL=several",
			Boots: once(Want{Root: "/dev/vda1 ext4", Timers: true, Mounts: []string{"/early /dev/vda3 ext4 ro,noatime,.*", "/srv /dev/vda3 ext4 .*"}})},

		// The newer of two systems, by the type and the name of its partition.
		{Name: "gpt-auto-newest", For: &Target{FS: "ext4", Needs: []string{"gpt-auto"}}, Layouts: on(disks.Slots), Append: "ro root=gpt-auto", Unchanged: true,
			Boots: once(Want{Root: "/dev/vda2 ext4"})},
		{Name: "gpt-auto-two-disks", Full: true, For: &Target{FS: "ext4", Needs: []string{"gpt-auto"}}, Layouts: on(disks.Slots, disks.SlotsCopy), Append: "ro root=gpt-auto" + off, Unchanged: true,
			Boots: once(Want{NoBoot: true, Console: []Seen{see("2 disks may be it")}})},

		// The image is behind a passphrase, and in a logical volume.
		{Name: "hibernate-lvm-on-luks", Full: true, Packed: true, For: &Target{FS: "ext4", Layers: []string{"luks", "lvm"}, Needs: []string{"resume"}}, Layouts: on(hib),
			Append: "ro rd.luks.uuid=" + hib.UUID("crypt") + " root=/dev/hib/root resume=/dev/hib/swap fltest.do=hibernate fltest.swap=/dev/hib/swap", Boots: []Boot{
				{Do: answer, Want: Want{Hibernates: true, Timers: true, Prompts: 1}},
				{Do: answer, Want: Want{Resumed: true, Prompts: 1}},
			}},

		// A disk that refuses to be written is mounted as it is, and that is said
		// where it means that something may be missing.
		{Name: "protected", For: small("ext4"), Layouts: on(plain), Protected: []string{"d0"}, Append: "rw " + root, Unchanged: true,
			Boots: once(Want{Root: "/dev/vda2 ext4", RootOptions: []string{"ro"}})},
		{Name: "protected-unclean", For: small("ext4"), Layouts: on(unclean), Protected: []string{"d0"}, Append: "ro " + uuid(unclean.FSUUID("d0")), Unchanged: true,
			Boots: once(Want{Root: "/dev/vda ext4", RootOptions: []string{"ro"}, Mounts: []string{"/ /dev/vda ext4 ro,.*(norecovery|noload).*"}, Console: []Seen{see("cannot be written")}})},
	}
}
