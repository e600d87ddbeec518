package truth

import (
	"fmt"
	"slices"
	"strings"

	"firstlight/test/e2e"
	"firstlight/test/vm"
)

// Reasons that several scenarios have.
const (
	resumed  = "its boots are of a machine that hibernates and of one that is resumed; where the snapshot is taken the root is of another boot than what is in the file"
	addedUp  = "a snapshot has not what all of a medium's bytes add up to"
	enrolled = "whose certificates the kernel takes from the firmware is known only there"
	layered  = "what several layers make together is known only there"
)

// notCompared are scenarios of the matrix in which something happens that no
// check can know beforehand: each with what.
var notCompared = map[string]string{
	"hibernate-file":          resumed,
	"hibernate-btrfs-file":    resumed,
	"trixie-hibernate":        resumed,
	"raid1-split-chosen":      "a person decides in the shell which half of the array is used; the check says that it fails, which it does without that person",
	"live-in-image":           "its root is put into the image by the harness of the boots alone; live-disc has the same root on a medium",
	"live-disc-verified":      addedUp,
	"live-disc-damaged":       addedUp,
	"bitlocker":               "what a BitLocker volume is opened by only cryptsetup knows",
	"overlay-crypt-dracut":    "the boot overwrites the device that it is to find by its label",
	"live-archive":            "what a program makes of an archive is known only after it ran",
	"multipath-vanishes":      "a path goes while a passphrase is asked for",
	"multipath-late":          "a path comes while a passphrase is asked for",
	"verity-signed":           enrolled,
	"verity-signed-wrongly":   enrolled,
	"live-todisk":             "its first boot copies the medium to the disk that the second starts from: a snapshot of the one has the copy already, and the disks of the other have it not yet",
	"luks-german-keyboard":    "its passphrase is typed on the keyboard of the screen, and a snapshot is taken in a shell on the serial line; luks2-argon2id has one that is typed there",
	"btrfs-split-chosen":      "a person decides in the shell which device of the filesystem is used; the check says that it fails, which it does without that person (btrfs-split)",
	"network-beside-the-root": "its network is not needed for the root, and the machines of this comparison have none; that the check judges its disk alone TestNetworkBesideTheRoot of internal/check shows",
}

// untold are scenarios of which a check has to say that it cannot tell, each
// with why. (In fsck-dirty the boot in which the snapshot is taken has mended the
// filesystem.)
var untold = map[string]string{
	"crypts":                 "what keys behind ciphers open that only the kernel has is known only there",
	"verity-signer-unknown":  "whose signatures the kernel takes is known only there",
	"dissect-signer-unknown": "whose signatures the kernel takes is known only there",
	"live-layers":            layered,
	"live-casper":            layered,
	"live-keep-read-only":    layered,
	"zfs-snapshot":           "what a snapshot of ZFS has is known only once it was mounted",
	"zfs-split-new":          "what is in a pool that was not imported is known to ZFS alone",
	"zfs-overlay":            "in an initramfs the dataset below an overlay is not where a snapshot looks",
	"fsck-broken":            "what a checker finds is known only after it ran",
}

// tried are the scenarios in which not the right passphrase is typed, or not at
// once: the check is given what is typed, and tries it.
var tried = map[string]bool{"wrong-passphrase": true, "luks2-wrong-twice": true}

// Paths that changed command lines name as init: one where no root has
// anything, and one of a file that is no program.
const (
	elsewhere = "/sbin/elsewhere"
	noProgram = "/etc/os-release"
)

// asked are parameters of changed command lines that a snapshot looks for: a
// check of the running machine is told its command line as well.
var asked = []string{"init=" + elsewhere, "init=" + noProgram, "rootflags=subvol=@missing"}

// ext4On is an image for an ext4 on layers of block devices.
func ext4On(layers ...string) *e2e.Target { return &e2e.Target{FS: "ext4", Layers: layers} }

// add appends to the command line.
func add(words string) []Edit { return []Edit{{New: words}} }

// swap replaces in the command line.
func swap(old, new string) []Edit { return []Edit{{Old: old, New: new}} }

// changes are the broken images, and some that are not broken by what was
// taken away.
var changes = []Change{
	// The way to the disk.
	{Name: "virtio_blk", Base: "no-partitions", Drop: []string{"virtio_blk.ko"}},
	{Name: "virtio_pci", Base: "no-partitions", Drop: []string{"virtio_pci.ko"}},
	{Name: "virtio_ring", Base: "no-partitions", Drop: []string{"virtio_ring.ko"}},
	{Name: "virtio_pci_modern_dev", Base: "no-partitions", Drop: []string{"virtio_pci_modern_dev.ko"}},
	{Name: "other-bus", Base: "no-partitions", Bus: vm.NVMe},
	{Name: "blacklisted", Base: "no-partitions", Args: add("rd.driver.blacklist=virtio_blk")},
	{Name: "virtio", Base: "no-partitions", Drop: []string{"virtio.ko"}},
	{Name: "virtio_pci_legacy_dev", Base: "no-partitions", Drop: []string{"virtio_pci_legacy_dev.ko"}},
	{Name: "modules-blacklisted", Base: "no-partitions", Args: add("modprobe.blacklist=ext4")},
	{Name: "cut-module", Base: "no-partitions", Cut: map[string]int{"virtio_blk.ko": 20000}},
	{Name: "empty-module", Base: "no-partitions", Cut: map[string]int{"mbcache.ko": 0}},
	{Name: "signature", Base: "no-partitions", Edit: []Edit{{"virtio_blk.ko", "~Module signature appended~\n", ""}}}, // boots: none is asked for
	{Name: "virtio_scsi", Base: "root-uuid", Drop: []string{"virtio_scsi.ko"}},
	{Name: "sd_mod", Base: "root-uuid", Drop: []string{"sd_mod.ko"}},
	{Name: "scsi_mod", Base: "root-uuid", Drop: []string{"scsi_mod.ko"}},
	{Name: "t10-pi", Base: "root-uuid", Drop: []string{"t10-pi.ko"}},
	{Name: "scsi_common", Base: "root-uuid", Drop: []string{"scsi_common.ko"}},
	{Name: "crc-t10dif", Base: "root-uuid", Drop: []string{"crc-t10dif.ko"}},
	{Name: "crct10dif", Base: "root-uuid", Drop: []string{"crct10dif*.ko"}}, // what crc-t10dif has a softdep on
	{Name: "nvme", Base: "bus-nvme", Drop: []string{"nvme.ko"}},
	{Name: "nvme-core", Base: "bus-nvme", Drop: []string{"nvme-core.ko"}},
	{Name: "ahci", Base: "bus-ahci", Drop: []string{"ahci.ko"}},
	{Name: "libata", Base: "bus-ahci", Drop: []string{"libata.ko"}},
	{Name: "libahci", Base: "bus-ahci", Drop: []string{"libahci.ko"}},
	{Name: "other-bus", Base: "bus-ahci", Bus: vm.NVMe},
	{Name: "baked-blacklist", Base: "bus-ahci", Put: map[string]string{"/etc/firstlight/cmdline.d/x.conf": "rd.driver.blacklist=sd_mod\n"}},
	{Name: "xhci-pci", Base: "bus-usb", Drop: []string{"xhci-pci.ko"}},
	{Name: "usb-storage", Base: "bus-usb", Drop: []string{"usb-storage.ko"}},
	{Name: "xhci-hcd", Base: "bus-usb", Drop: []string{"xhci-hcd.ko"}},
	{Name: "usb-common", Base: "bus-usb", Drop: []string{"usb-common.ko"}},
	{Name: "uas", Base: "bus-usb", Drop: []string{"uas.ko"}}, // the disk is driven by usb-storage
	{Name: "other-bus", Base: "bus-usb", Bus: vm.AHCI},
	// The filesystem.
	{Name: "ext4", Base: "no-partitions", Drop: []string{"ext4.ko"}},
	{Name: "jbd2", Base: "no-partitions", Drop: []string{"jbd2.ko"}},
	{Name: "mbcache", Base: "no-partitions", Drop: []string{"mbcache.ko"}},
	{Name: "crc16", Base: "no-partitions", Drop: []string{"crc16.ko"}},
	{Name: "crc32c", Base: "no-partitions", Drop: []string{"crc32c*.ko"}},
	{Name: "crc32c-intel", Base: "no-partitions", Drop: []string{"crc32c-intel.ko"}}, // the generic one remains
	{Name: "other-filesystem", Base: "no-partitions", For: &e2e.Target{FS: "xfs"}},
	{Name: "xfs", Base: "xfs", Drop: []string{"xfs.ko"}},
	{Name: "libcrc32c", Base: "xfs", Drop: []string{"libcrc32c.ko"}},
	{Name: "crc32c", Base: "xfs", Drop: []string{"crc32c*.ko"}},
	{Name: "btrfs", Base: "btrfs-subvolume", Drop: []string{"btrfs.ko"}},
	{Name: "raid6_pq", Base: "btrfs-subvolume", Drop: []string{"raid6_pq.ko"}},
	{Name: "xor", Base: "btrfs-subvolume", Drop: []string{"xor.ko"}},
	{Name: "crc32c", Base: "btrfs-subvolume", Drop: []string{"crc32c*.ko"}},
	{Name: "xxhash", Base: "btrfs-subvolume", Drop: []string{"xxhash_generic.ko"}}, // a softdep that this one does not use
	{Name: "blake2b", Base: "btrfs-subvolume", Drop: []string{"blake2b*.ko"}},      // likewise
	{Name: "squashfs", Base: "squashfs", Drop: []string{"squashfs.ko"}},
	{Name: "erofs", Base: "erofs", Drop: []string{"erofs.ko"}},
	{Name: "vfat", Base: "root-fat-id", Drop: []string{"vfat.ko"}},
	{Name: "fat", Base: "root-fat-id", Drop: []string{"fat.ko"}},
	{Name: "nls_cp437", Base: "root-fat-id", Drop: []string{"nls_cp437.ko"}},
	{Name: "nls_ascii", Base: "root-fat-id", Drop: []string{"nls_ascii.ko"}},
	{Name: "wrong-id", Base: "root-fat-id", Args: add("root=UUID=DEAD-BEEF")},
	{Name: "no-modprobe", Base: "no-partitions", Drop: []string{"/sbin/modprobe"}},
	{Name: "no-modprobe", Base: "root-fat-id", Drop: []string{"/sbin/modprobe"}},
	// What the root is called.
	{Name: "wrong-uuid", Base: "no-partitions", Args: add("root=UUID=deadbeef-0000-4000-8000-000000000001")},
	{Name: "wrong-label", Base: "no-partitions", Args: add("root=LABEL=elsewhere")},
	{Name: "wrong-node", Base: "no-partitions", Args: add("root=/dev/vdb")},
	{Name: "no-root", Base: "no-partitions", Args: swap("root=", "toor=")},
	{Name: "wrong-type", Base: "no-partitions", Args: add("rootfstype=xfs")},
	{Name: "older-type", Base: "no-partitions", Args: add("rootfstype=ext3")},
	{Name: "second-type", Base: "no-partitions", Args: add("rootfstype=xfs,ext4")},
	{Name: "unknown-option", Base: "no-partitions", Args: add("rootflags=nonsense")},
	{Name: "known-option", Base: "no-partitions", Args: add("rootflags=noatime,commit=30,errors=remount-ro")},
	{Name: "wrong-partuuid", Base: "root-partuuid", Args: add("root=PARTUUID=deadbeef-0000-4000-8000-000000000001")},
	{Name: "wrong-offset", Base: "root-partnroff", Args: swap("PARTNROFF=1", "PARTNROFF=2")},
	{Name: "wrong-partlabel", Base: "root-partlabel", Args: add("root=PARTLABEL=elsewhere")},
	{Name: "wrong-number", Base: "root-major-minor", Args: add("root=8:7")},
	{Name: "wrong-id", Base: "root-by-id", Args: swap("_d0-part2", "_d1-part2")},
	{Name: "wrong-path", Base: "root-by-path", Args: swap("0000:00:01.0", "0000:00:09.0")},
	{Name: "wrong-number", Base: "root-mbr-id", Args: swap("-06", "-07")},
	{Name: "swap-as-root", Base: "mbr-logical", Args: add("root=/dev/vda5")},
	{Name: "table-as-root", Base: "mbr-logical", Args: add("root=/dev/vda")},
	{Name: "wrong-subvolume", Base: "btrfs-subvolume", Args: swap("subvol=@root", "subvol=@missing")},
	{Name: "no-subvolume", Base: "btrfs-subvolume", Args: swap("rootflags=subvol=@root", "")},
	{Name: "wrong-partition", Base: "root-path", Args: add("root=/dev/sda1")},
	// The image itself.
	{Name: "other-kernel", Base: "no-partitions", Kernel: "trixie"},
	{Name: "no-index", Base: "no-partitions", Drop: []string{"/etc/firstlight/modules.idx"}},
	{Name: "cut-index", Base: "no-partitions", Cut: map[string]int{"/etc/firstlight/modules.idx": 4096}},
	{Name: "no-rules", Base: "no-partitions", Drop: []string{"/etc/firstlight/rules.tab"}},
	{Name: "cut-rules", Base: "no-partitions", Cut: map[string]int{"/etc/firstlight/rules.tab": 8192}},
	{Name: "rule", Base: "root-by-uuid", Edit: []Edit{{"/etc/firstlight/rules.tab", "disk/by-uuid/", "disk/by-uuix/"}}},
	{Name: "rule", Base: "root-by-id", Edit: []Edit{{"/etc/firstlight/rules.tab", "disk/by-id/", "disk/by-ix/"}}},
	{Name: "other-image", Base: "no-partitions", Drop: []string{"/etc/firstlight/image"}},
	{Name: "baked-blacklist", Base: "no-partitions", Put: map[string]string{"/etc/firstlight/cmdline.d/x.conf": "rd.driver.blacklist=virtio_pci\n"}},
	{Name: "cut-program", Base: "no-partitions", Cut: map[string]int{"/init": 100000}},
	{Name: "no-program", Base: "no-partitions", Drop: []string{"/init"}},
	{Name: "text-program", Base: "no-partitions", Put: map[string]string{"/init": "nothing\n"}},
	{Name: "baked-root", Base: "no-partitions", Args: swap("root=", "toor="), Put: map[string]string{"/etc/firstlight/cmdline.d/x.conf": "root=/dev/vda\n"}},
	// The real system.
	{Name: "no-such-init", Base: "no-partitions", Args: add("init=" + elsewhere)},
	{Name: "directory-as-init", Base: "no-partitions", Args: add("init=/usr")},
	{Name: "text-as-init", Base: "root-rw-flags", Args: swap("init=/usr/sbin/init", "init="+noProgram)},
	{Name: "no-init", Base: "root-rw-flags", Args: swap("init=/usr/sbin/init", "init="+elsewhere)},
	{Name: "usr-driver", Base: "separate-usr", Drop: []string{"ext4.ko"}},
	{Name: "no-resume", Base: "hibernate", Args: swap("resume=UUID=", "resume=UUID=f")},
	{Name: "wrong-usr", Base: "separate-usr", Args: add("mount.usr=UUID=deadbeef-0000-4000-8000-000000000002")}, // boots: fstab counts
	{Name: "late-resume", Base: "no-partitions", Args: add("resume=UUID=deadbeef-0000-4000-8000-000000000003")}, // boots, after a wait
	// Encryption.
	{Name: "no-key", Base: "luks-key-in-image", Without: []string{"/etc/cryptsetup-keys.d/cr.key"}},
	{Name: "wrong-key", Base: "luks-key-in-image", Put: map[string]string{"/etc/cryptsetup-keys.d/cr.key": "not the key"}},
	{Name: "dm-crypt", Base: "luks-key-in-image", Drop: []string{"dm-crypt.ko"}},
	{Name: "dm-mod", Base: "luks-key-in-image", Drop: []string{"dm-mod.ko"}},
	{Name: "xts", Base: "luks-key-in-image", Drop: []string{"xts.ko"}},
	{Name: "aes", Base: "luks-key-in-image", Drop: []string{"aes*.ko"}},
	{Name: "aesni", Base: "luks-key-in-image", Drop: []string{"aesni-intel.ko"}},
	{Name: "cryptd", Base: "luks-key-in-image", Drop: []string{"cryptd.ko"}},
	{Name: "aesni-xts", Base: "luks-key-in-image", Drop: []string{"aesni-intel.ko", "xts.ko"}},
	{Name: "aesni-ecb", Base: "luks-key-in-image", Drop: []string{"aesni-intel.ko", "ecb.ko"}},
	{Name: "algif", Base: "luks-key-in-image", Drop: []string{"algif_skcipher.ko"}},
	{Name: "sha256", Base: "luks-key-in-image", Drop: []string{"sha256*.ko"}},
	{Name: "wrong-uuid", Base: "luks-key-in-image", Args: swap("rd.luks.name=", "rd.luks.name=f")},
	{Name: "other-name", Base: "luks-key-in-image", Args: swap("=cr ", "=elsewhere ")},
	{Name: "wrong-key-path", Base: "luks-key-in-image", Args: swap("/etc/cryptsetup-keys.d/cr.key", "/etc/elsewhere.key")},
	{Name: "short-key", Base: "luks-key-in-image", Cut: map[string]int{"/etc/cryptsetup-keys.d/cr.key": 20}},
	{Name: "crypttab-off", Base: "luks-crypttab-in-image", Args: add("rd.luks.crypttab=0")},
	{Name: "crypttab-key", Base: "luks-crypttab-in-image", Edit: []Edit{{"/etc/crypttab", "cr.key", "rc.key"}}},
	{Name: "dm-crypt", Base: "luks1", Drop: []string{"dm-crypt.ko"}},
	{Name: "wrong-root", Base: "luks2-argon2id", Args: add("root=UUID=deadbeef-0000-4000-8000-000000000004")},
	{Name: "wrong-header", Base: "luks2-header-on-disk", Edit: []Edit{{"/etc/crypttab", "/boot/cr.hdr", "/boot/no.hdr"}}},
	{Name: "wrong-header", Base: "luks1-header-device", Args: swap("header=/dev/disk/by-partuuid/", "header=/dev/disk/by-partuuid/f")},
	{Name: "wrong-key-disk", Base: "luks-key-on-late-disk", Args: swap("/keys/root.key:UUID=", "/keys/root.key:UUID=f")},
	{Name: "off", Base: "luks-key-in-image", Args: add("rd.luks=0")},
	{Name: "not-named", Base: "luks-key-in-image", Args: swap("rd.luks.name=", "rd.nothing.name=")},
	{Name: "no-crypttab", Base: "luks-crypttab-in-image", Without: []string{"/etc/crypttab"}},
	{Name: "wrong-crypttab", Base: "luks-crypttab-in-image", Edit: []Edit{{"/etc/crypttab", "UUID=", "LABEL="}}},
	{Name: "without-layer", Base: "luks1", For: ext4On()},
	// Volumes.
	{Name: "dm-mod", Base: "lvm-linear", Drop: []string{"dm-mod.ko"}},
	{Name: "other-layer", Base: "lvm-linear", For: ext4On("luks")}, // the device mapper is there all the same
	{Name: "not-named", Base: "lvm-by-uuid", Args: add("rd.lvm.lv=vg/other")},
	{Name: "other-group", Base: "lvm-by-uuid", Args: add("rd.lvm.vg=elsewhere")},
	{Name: "wrong-group", Base: "lvm-striped", Args: swap("/dev/vgs/root", "/dev/vgz/root")},
	{Name: "hyphens", Base: "lvm-hyphens", Args: swap("my--vg----x-the--root", "my-vg--x-the-root")},
	{Name: "other-id", Base: "lvm-hyphens", Edit: []Edit{{"/etc/firstlight/image", "version=", "system_id=elsewhere\nversion="}}}, // the group has none
	{Name: "off", Base: "lvm-linear", Args: add("rd.lvm=0")},
	{Name: "wrong-volume", Base: "lvm-linear", Args: []Edit{{Old: "vg/root", New: "vg/missing"}, {Old: "vg-root", New: "vg-missing"}}},
	{Name: "without-layer", Base: "lvm-striped", For: ext4On()},
	// Arrays.
	{Name: "raid1", Base: "raid1", Drop: []string{"raid1.ko"}},
	{Name: "md-mod", Base: "raid1", Drop: []string{"md-mod.ko"}},
	{Name: "off", Base: "raid1", Args: add("rd.md=0")},
	{Name: "without-layer", Base: "raid1", For: ext4On()},
	{Name: "wrong-uuid", Base: "raid1", Args: add("rd.md.uuid=00000000:00000000:00000000:00000000")},
	{Name: "other-array", Base: "raid1", Put: map[string]string{"/etc/mdadm/mdadm.conf": "AUTO -all\nARRAY /dev/md0 UUID=00000000:00000000:00000000:00000000\n"}},
	{Name: "ignored-array", Base: "raid1", Put: map[string]string{"/etc/mdadm/mdadm.conf": "AUTO -all\n"}},
	{Name: "raid1", Base: "raid1-degraded", Drop: []string{"raid1.ko"}},
	{Name: "raid1", Base: "raid-meta-0.90", Drop: []string{"raid1.ko"}},
	{Name: "md-mod", Base: "raid-meta-1.0", Drop: []string{"md-mod.ko"}},
	{Name: "raid456", Base: "raid5", Drop: []string{"raid456.ko"}},
	{Name: "async_pq", Base: "raid5", Drop: []string{"async_pq.ko"}},
	{Name: "other-level", Base: "raid5", For: ext4On("md-raid1")},
	{Name: "wrong-array", Base: "raid-partition", Args: swap("rd.md.uuid=", "rd.md.uuid=00000000:00000000:00000000:00000000 rd.nothing=")},
	// Stacks.
	{Name: "raid1", Base: "stack-key", Drop: []string{"raid1.ko"}},
	{Name: "dm-crypt", Base: "stack-key", Drop: []string{"dm-crypt.ko"}},
	{Name: "dm-multipath", Base: "multipath", Drop: []string{"dm-multipath.ko"}},
	{Name: "dm-service-time", Base: "multipath", Drop: []string{"dm-service-time.ko"}},
	{Name: "scsi_dh_alua", Base: "multipath", Drop: []string{"scsi_dh_alua.ko"}}, // no array that needs it
	{Name: "no-wwids", Base: "multipath", Drop: []string{"/etc/multipath/wwids"}},
	{Name: "no-lvm", Base: "stack-key", For: ext4On("luks", "md-raid1")}, // boots: dm-crypt brings the device mapper
	{Name: "lvm-off", Base: "stack-key", Args: add("rd.lvm=0")},
	{Name: "btrfs", Base: "btrfs-on-two-luks", Drop: []string{"btrfs.ko"}},
	{Name: "wrong-volume", Base: "lvm-on-luks", Args: swap("/dev/inner/root", "/dev/inner/other")},
	{Name: "no-key", Base: "stack-key", Without: []string{"/etc/cryptsetup-keys.d/cr.key"}},
	// What programs, files and memory make.
	{Name: "raid1", Base: "raid-imsm", Drop: []string{"raid1.ko"}},
	{Name: "mdadm", Base: "raid-imsm", Drop: []string{"/usr/sbin/mdadm"}},
	{Name: "off", Base: "raid-ddf", Args: add("rd.md.ddf=0")},
	{Name: "dm-thin-pool", Base: "lvm-thin", Drop: []string{"dm-thin-pool.ko"}},
	{Name: "raid1", Base: "lvm-raid1", Drop: []string{"raid1.ko"}},
	{Name: "dm-snapshot", Base: "lvm-snapshot-by-uuid", Drop: []string{"dm-snapshot.ko"}},
	{Name: "dm-cache-smq", Base: "lvm-cache", Drop: []string{"dm-cache-smq.ko"}},
	{Name: "lvm", Base: "lvm-cache", Drop: []string{"/usr/sbin/lvm"}},
	{Name: "dm-verity", Base: "verity", Drop: []string{"dm-verity.ko"}},
	{Name: "overlay", Base: "overlay-dracut", Drop: []string{"overlay.ko"}},
	{Name: "loop", Base: "loop-file", Drop: []string{"loop.ko"}},
	{Name: "wrong-file", Base: "loop-file", Args: swap("loop=/images/root.img", "loop=/images/none.img")},
}

// leftOut says why a scenario is not compared, "" if it is.
func leftOut(s e2e.Scenario) string {
	switch {
	case notCompared[s.Name] != "":
		return notCompared[s.Name]
	case s.Net != nil && (strings.HasPrefix(s.Name, "ssh-") || strings.HasPrefix(s.Name, "clevis-")):
		return "what opens its volume may come over a network, which no snapshot has; with a passphrase that is typed luks1 and the luks2 ones have the same"
	case s.Net != nil:
		return "what a network gives no check can tell, and it says so (TestRootOnAServerCannotBeTold and TestDisksOfServersCannotBeTold of internal/check)"
	case s.Share != "":
		return "what the machine's host shares is in no snapshot, and the check says that it cannot tell"
	case s.HostBuild:
		return "the guest builds its own image, and checks it while building; its boots fail if that says that it would not boot"
	case s.Unified != nil:
		return "whether the firmware starts a unified image, and what it adds to the command line, is known only there; no-partitions and bookworm-plain have the boots that follow"
	case s.UEFI:
		return "a wrong root and then the right one, as bookworm-plain has them; what it is about is what the firmware keeps"
	case len(s.Unreadable) > 0, slices.ContainsFunc(s.Paths, func(p e2e.Path) bool { return p.Fails }):
		return "its disk answers with errors, which the snapshot of it would have met already"
	case len(s.Boots) > 2:
		return "the same boot again and again; bookworm-plain has it once"
	}
	return ""
}

// boots are the boots of a scenario, each as a scenario of its own where each has
// a command line of its own: otherwise the first, with which the others begin.
func boots(s e2e.Scenario) []e2e.Scenario {
	if s.Boots[0].Append == "" {
		return []e2e.Scenario{s}
	}
	var list []e2e.Scenario
	for i, b := range s.Boots {
		if b.By != "" || s.SameWrites && i > 0 { // another system's, or a person's with a tool
			continue
		}
		one := s
		one.Name, one.Append = fmt.Sprintf("%s-boot%d", s.Name, i+1), strings.TrimSpace(s.Append+" "+b.Append)
		b.Append = ""
		one.Boots = []e2e.Boot{b}
		list = append(list, one)
	}
	return list
}

// Cases are all comparisons: the matrix as it is, and the changed images.
func Cases() ([]Case, error) {
	var list []Case
	matrix := e2e.Matrix()
	for _, s := range matrix {
		if leftOut(s) != "" {
			continue
		}
		for _, one := range boots(s) {
			for _, suite := range s.Suites() {
				list = append(list, Case{Name: one.Name, Base: one, Suite: suite})
			}
		}
	}
	for i := range changes {
		c := &changes[i]
		at := slices.IndexFunc(matrix, func(s e2e.Scenario) bool { return s.Name == c.Base })
		if at < 0 {
			return nil, fmt.Errorf("change %s: the matrix has no scenario %s", c.Name, c.Base)
		}
		list = append(list, Case{Name: c.Base + "-minus-" + c.Name, Base: matrix[at], Suite: "bookworm", Change: c})
	}
	return list, nil
}
