package e2e

import "firstlight/test/disks"

// forms are the rarer forms of a root: live media of which something is kept,
// or that have several images.
func forms() []Scenario {
	const off = " rd.timeout=20 rd.emergency=poweroff"
	kept := small("iso9660", "live", "live-persistence")
	const below = "lowerdir=/run/live/rootfs/filesystem.squashfs"
	everything := Want{Argv: []string{"persistence"}, Root: "overlay overlay", RootOptions: []string{"rw", below, "upperdir=/run/live/persistence/vdb/rw"},
		Mounts: []string{"/run/live/persistence/vdb /dev/vdb ext4 rw,.*", "/run/live/medium /dev/vda iso9660 ro,.*"}}
	answer := []Action{{When: promptText, Type: disks.Passphrase + "\r"}}
	return []Scenario{
		// Everything is kept, from one boot to the next.
		{Name: "live-keep", Trixie: true, For: kept, Layouts: on(disks.LiveBoot, disks.Keep), Append: "boot=live persistence", Boots: []Boot{{Want: everything}, {Want: everything}}},
		{Name: "live-keep-read-only", Full: true, For: kept, Layouts: on(disks.LiveBoot, disks.Keep), Append: "boot=live persistence persistence-read-only",
			Boots: once(Want{Argv: []string{"persistence", "persistence-read-only"}, Root: "overlay overlay", RootOptions: []string{"lowerdir=/run/live/persistence/vdb/rw:/run/live/rootfs/filesystem.squashfs"},
				Mounts: []string{"/run/live/persistence/vdb /dev/vdb ext4 ro,.*"}})},
		// Some directories, each in another way. What is kept of /home is a copy of
		// what the image has.
		{Name: "live-keep-parts", For: kept, Layouts: on(disks.LiveBoot, disks.KeepParts), Append: "boot=live persistence", Boots: once(Want{Argv: []string{"persistence"}, Root: "overlay overlay",
			Mounts: []string{"/home /dev/vdb ext4 rw,.*", "/etc overlay overlay rw,.*" + below + "/etc,upperdir=/run/live/persistence/vdb/config/rw.*"}})},
		{Name: "live-keep-luks", For: kept, Layouts: on(disks.LiveBoot, disks.KeepLUKS), Append: "boot=live persistence persistence-encryption=luks",
			Boots: []Boot{{Do: answer, Want: Want{Argv: []string{"persistence"}, Root: "overlay overlay", Prompts: 1, Timers: true, Mounts: []string{"/run/live/persistence/dm-0 /dev/dm-0 ext4 rw,.*"}}}}},
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
	}
}
