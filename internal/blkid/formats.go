package blkid

// formats are all known formats in libblkid's order, which decides what a
// device is when several tolerant ones match, and which RAID comes first.
// A new format is one row here and one file.
var formats = [...]format{
	{name: "crypto_LUKS", usage: crypto, probe: probeOPAL},

	{name: "linux_raid_member", usage: raid, probe: probeMD},
	{name: "ddf_raid_member", usage: raid, probe: probeDDF},
	{name: "isw_raid_member", usage: raid, minSize: 64 << 10, disk: true, probe: probeIMSM},
	{name: "lsi_mega_raid_member", usage: raid, minSize: 64 << 10, disk: true, magics: []magic{{end: 1, bytes: "$XIDE$"}}},
	{name: "via_raid_member", usage: raid, minSize: 64 << 10, disk: true, magics: []magic{{end: 1, bytes: "\x55\xaa"}}, probe: probeVIA},
	{name: "silicon_medley_raid_member", usage: raid, minSize: 64 << 10, disk: true, magics: []magic{{end: 1, off: 0x60, bytes: "\x00\x00\x00\x2f"}}, probe: probeSilicon},
	{name: "nvidia_raid_member", usage: raid, minSize: 64 << 10, disk: true, magics: []magic{{end: 2, bytes: "NVIDIA"}}, probe: probeNVIDIA},
	{name: "promise_fasttrack_raid_member", usage: raid, minSize: 256 << 10, disk: true, probe: probePromise},
	{name: "hpt45x_raid_member", usage: raid, minSize: 64 << 10, disk: true, magics: hpt45xMagics},
	{name: "hpt37x_raid_member", usage: raid, disk: true, magics: hpt37xMagics},
	{name: "adaptec_raid_member", usage: raid, minSize: 64 << 10, disk: true, magics: []magic{{end: 1, bytes: "\x37\xfc\x4d\x1e"}}, probe: probeAdaptec},
	{name: "jmicron_raid_member", usage: raid, minSize: 64 << 10, disk: true, magics: []magic{{end: 1, bytes: "JM"}}, probe: probeJMicron},
	{name: "bcache", usage: other, minSize: 8192, magics: bcacheMagics, probe: probeBcache},
	{name: "ceph_bluestore", usage: other, magics: []magic{{bytes: "bluestore block device"}}},
	{name: "drbd", usage: raid, probe: probeDRBD},
	{name: "LVM2_member", usage: raid, magics: lvm2Magics, probe: probeLVM2},
	{name: "LVM1_member", usage: raid, magics: []magic{{bytes: "HM"}}, probe: probeLVM1},
	{name: "DM_snapshot_cow", usage: other, magics: []magic{{bytes: "SnAp"}}},
	{name: "DM_verity_hash", usage: crypto, magics: []magic{{bytes: "verity\x00\x00"}}, probe: probeVerity},
	{name: "DM_integrity", usage: crypto, magics: []magic{{bytes: "integrt\x00"}}, probe: probeIntegrity},
	{name: "crypto_LUKS", usage: crypto, far: true, probe: probeLUKS},
	{name: "vdo", usage: other, magics: []magic{{bytes: "dmvdo001"}}, probe: probeVDO},
	{name: "stratis", usage: raid, minSize: stratisArea, magics: stratisMagics, probe: probeStratis},
	{name: "BitLocker", usage: crypto, probe: probeBitLocker},

	{name: "vfat", usage: filesystem, probe: probeFAT},
	{name: "swsuspend", usage: other, minSize: swapMinSize, magics: suspendMagics, probe: probeSuspend},
	{name: "swap", usage: other, minSize: swapMinSize, magics: swapMagics, probe: probeSwap},
	{name: "xfs", usage: filesystem, magics: []magic{{bytes: "XFSB"}}, probe: probeXFS, sum: xfsSum},
	{name: "xfs_external_log", usage: other, minSize: xfsLogMinSize, probe: probeXFSLog},
	{name: "ext4dev", usage: filesystem, magics: extMagics, probe: probeExt4dev, sum: extSum},
	{name: "ext4", usage: filesystem, magics: extMagics, probe: probeExt4, sum: extSum},
	{name: "ext3", usage: filesystem, magics: extMagics, probe: probeExt3, sum: extSum},
	{name: "ext2", usage: filesystem, magics: extMagics, probe: probeExt2, sum: extSum},
	{name: "jbd", usage: other, magics: extMagics, probe: probeJBD, sum: extSum},
	{name: "reiserfs", usage: filesystem, minSize: 128 << 10, magics: reiserMagics, probe: probeReiser},
	{name: "reiser4", usage: filesystem, minSize: 128 << 10, magics: []magic{{base: 64 << 10, bytes: "ReIsEr4"}}, probe: probeReiser4},
	{name: "jfs", usage: filesystem, minSize: 16 << 20, magics: []magic{{base: 32 << 10, bytes: "JFS1"}}, probe: probeJFS},
	{name: "udf", usage: filesystem, tolerant: true, magics: udfMagics, probe: probeUDF},
	{name: "iso9660", usage: filesystem, tolerant: true, magics: isoMagics, probe: probeISO9660},
	{name: "zfs_member", usage: filesystem, minSize: 64 << 20, probe: probeZFS},
	{name: "ntfs", usage: filesystem, probe: probeNTFS},
	{name: "cramfs", usage: filesystem, magics: cramfsMagics, probe: probeCramfs, sum: cramfsSum},
	{name: "romfs", usage: filesystem, magics: []magic{{bytes: "-rom1fs-"}}, probe: probeRomfs, sum: romfsSum},
	{name: "squashfs", usage: filesystem, magics: []magic{{bytes: squashLE}}, probe: probeSquashfs},
	{name: "squashfs3", usage: filesystem, magics: []magic{{bytes: squashBE}, {bytes: squashLE}}, probe: probeSquashfs3},
	{name: "btrfs", usage: filesystem, minSize: 1 << 20, magics: btrfsMagics, probe: probeBtrfs, sum: btrfsSum},
	{name: "nilfs2", usage: filesystem, minSize: 1 << 20, probe: probeNILFS2},
	{name: "exfat", usage: filesystem, magics: []magic{{off: 3, bytes: "EXFAT   "}}, probe: probeExFAT, sum: exfatSum},
	{name: "f2fs", usage: filesystem, magics: []magic{{base: 1024, bytes: "\x10\x20\xf5\xf2"}}, probe: probeF2FS, sum: f2fsSum},
	{name: "erofs", usage: filesystem, magics: []magic{{base: 1024, bytes: "\xe2\xe1\xf5\xe0"}}, probe: probeEROFS, sum: erofsSum},
	// Not in libblkid 2.38; a later one has it in this family.
	{name: "bcachefs", usage: filesystem, far: true, minSize: 256 * 512, magics: bcachefsMagics, probe: probeBcachefs, sum: bcachefsSum},
}

// promiseFar is looked for when no layer of storage was found: then the far
// places have been read for others, but for one.
var promiseFar = format{name: "promise_fasttrack_raid_member", usage: raid, minSize: 256 << 10, disk: true, probe: probePromiseFar}
