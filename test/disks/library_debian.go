package disks

// DebianPlain is a Debian of a suite on an ext4 partition.
func DebianPlain(suite string) Layout {
	name := suite + "-plain"
	return Layout{Name: name, Disks: one(1200), Steps: []Step{
		GPT{On: "d0", Parts: []Part{{Name: "root"}}},
		FS{On: "root", Type: "ext4", Content: Content{Tree: suite, Files: []File{
			{Path: "etc/fstab", Data: "UUID=" + FSUUID(name, "root") + " / ext4 errors=remount-ro 0 1\n"},
		}}},
	}}
}

// DebianStack is a Debian of a suite on LUKS2 on LVM on RAID1 across two
// disks, with the configuration that an installation would have left.
func DebianStack(suite string) Layout {
	name := suite + "-stack"
	l := Layout{Name: name}
	return stack(name, 1200, LUKS{Version: 2, Passphrase: Passphrase, KDF: "argon2id"}, Content{Tree: suite, Files: []File{
		{Path: "etc/fstab", Data: "UUID=" + FSUUID(name, "crypt") + " / ext4 errors=remount-ro 0 1\n"},
		{Path: "etc/crypttab", Data: "cryptroot UUID=" + l.UUID("crypt") + " none luks,x-initrd.attach\n"},
		{Path: "etc/mdadm/mdadm.conf", Data: "HOMEHOST <ignore>\nMAILADDR root\nARRAY /dev/md/array metadata=1.2 UUID=" + l.MDUUID("array") + "\n"},
	}})
}
