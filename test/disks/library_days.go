package disks

// HibernateFile and HibernateBtrfs have room for a swap file in the root.
var (
	HibernateFile = Layout{Name: "hibernate-file", Disks: one(640), Steps: []Step{
		GPT{On: "d0", Parts: []Part{{Name: "root"}}},
		FS{On: "root", Type: "ext4", Content: tiny},
	}}
	HibernateBtrfs = Layout{Name: "hibernate-btrfs", Disks: one(800), Steps: []Step{
		GPT{On: "d0", Parts: []Part{{Name: "root"}}},
		FS{On: "root", Type: "btrfs", Content: tiny},
	}}
)

// HibernateLVM, HibernateCrypt and HibernateOnLVM have the swap space in a
// logical volume, behind a passphrase, and behind one in a logical volume; the
// root is beside it.
var (
	HibernateLVM = Layout{Name: "hibernate-lvm", Disks: one(640), Steps: []Step{
		VG{Name: "hlvm", On: []string{"d0"}},
		LV{VG: "hlvm", Name: "root", MiB: 96},
		LV{VG: "hlvm", Name: "swap"},
		FS{On: "hlvm/root", Type: "ext4", Content: tiny},
		Swap{On: "hlvm/swap"},
	}}
	HibernateCrypt = Layout{Name: "hibernate-crypt", Disks: one(640), Steps: []Step{
		GPT{On: "d0", Parts: []Part{{Name: "root", MiB: 96}, {Name: "part"}}},
		FS{On: "root", Type: "ext4", Content: tiny},
		LUKS{Name: "crypt", On: "part", Version: 2, Passphrase: Passphrase, KDF: "cheap"},
		Swap{On: "crypt"},
	}}
	HibernateOnLVM = Layout{Name: "hibernate-on-lvm", Disks: one(640), Steps: []Step{
		VG{Name: "honl", On: []string{"d0"}},
		LV{VG: "honl", Name: "root", MiB: 96},
		LV{VG: "honl", Name: "hidden"},
		FS{On: "honl/root", Type: "ext4", Content: tiny},
		LUKS{Name: "crypt", On: "honl/hidden", Version: 2, Passphrase: Passphrase, KDF: "cheap"},
		Swap{On: "crypt"},
	}}
)

// HibernateRAID has its root on a mirror, with swap space beside one half.
var HibernateRAID = Layout{Name: "hibernate-raid", Disks: []Disk{{Name: "d0", MiB: 640}, {Name: "d1", MiB: 100}}, Steps: []Step{
	GPT{On: "d0", Parts: []Part{{Name: "half", MiB: 96}, {Name: "swap", Type: "swap"}}},
	MD{Name: "array", Level: "1", Metadata: "1.2", On: []string{"half", "d1"}},
	FS{On: "array", Type: "ext4", Content: tiny},
	Swap{On: "swap"},
}}

// DebianHibernate is a Debian of a suite with swap space for its memory.
func DebianHibernate(suite string) Layout {
	name := suite + "-hibernate"
	return Layout{Name: name, Disks: one(2400), Steps: []Step{
		GPT{On: "d0", Parts: []Part{{Name: "root", MiB: 1300}, {Name: "swap", Type: "swap"}}},
		FS{On: "root", Type: "ext4", Content: Content{Tree: suite, Files: []File{
			{Path: "etc/fstab", Data: "UUID=" + FSUUID(name, "root") + " / ext4 errors=remount-ro 0 1\nUUID=" + FSUUID(name, "swap") + " none swap sw,x-systemd.device-timeout=15min 0 0\n"},
		}}},
		Swap{On: "swap"},
	}}
}
