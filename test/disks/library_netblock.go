package disks

// DebianRemote is a Debian of a suite on a disk that a server gives: its networkd
// looks after the link.
func DebianRemote(suite string) Layout {
	name := suite + "-remote"
	return Layout{Name: name, Disks: one(1200), Steps: []Step{
		GPT{On: "d0", Parts: []Part{{Name: "root"}}},
		FS{On: "root", Type: "ext4", Content: Content{Tree: suite, Files: []File{
			{Path: "etc/fstab", Data: "UUID=" + FSUUID(name, "root") + " / ext4 errors=remount-ro 0 1\n"},
			{Path: "etc/systemd/system/multi-user.target.wants/systemd-networkd.service", Link: "/lib/systemd/system/systemd-networkd.service"},
			{Path: "etc/systemd/system/sockets.target.wants/systemd-networkd.socket", Link: "/lib/systemd/system/systemd-networkd.socket"},
		}}},
	}}
}
