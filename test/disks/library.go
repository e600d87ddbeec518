package disks

// What the tests, the benchmark and `make run` boot from.

// Passphrase opens every encrypted volume that a person unlocks.
const Passphrase = "correct horse"

// Key is the content of every key file. It has bytes that a careless reader
// of key files stops at.
const Key = "k\x00e\ny\xff 0123456789abcdef0123456789abcdef"

// tiny is the content of most roots.
var tiny = Content{Tree: "tiny"}

// blank is disks of one size.
func blank(mib int, names ...string) []Disk {
	var list []Disk
	for _, n := range names {
		list = append(list, Disk{Name: n, MiB: mib})
	}
	return list
}

// one is a single disk called d0, two are d0 and d1.
func one(mib int) []Disk { return blank(mib, "d0") }
func two(mib int) []Disk { return blank(mib, "d0", "d1") }

// Plain is an ext4 in the second partition of a GPT, with a label and a
// partition name.
var Plain = Layout{Name: "plain", Disks: one(160), Steps: []Step{
	GPT{On: "d0", Parts: []Part{{Name: "esp", MiB: 40, Type: "uefi"}, {Name: "root", MiB: 100, Label: "fl root part"}}},
	FS{On: "esp", Type: "vfat", Label: "ESP"},
	FS{On: "root", Type: "ext4", Label: "fl-root", Content: tiny},
}}

// Logical is an MBR with the root in the second logical partition.
var Logical = Layout{Name: "logical", Disks: one(160), Steps: []Step{
	MBR{On: "d0", Parts: []Part{{Name: "boot", MiB: 20}, {Name: "swap", MiB: 20, Type: "82", Logical: true}, {Name: "root", Logical: true}}},
	Swap{On: "swap"},
	FS{On: "root", Type: "ext4", Content: tiny},
}}

// Whole is an ext4 on a disk without a partition table.
var Whole = Layout{Name: "whole", Disks: one(96), Steps: []Step{FS{On: "d0", Type: "ext4", Label: "whole", Content: tiny}}}

// FAT is a root with a volume id instead of a UUID.
var FAT = Layout{Name: "fat", Disks: one(64), Steps: []Step{
	MBR{On: "d0", Parts: []Part{{Name: "root", Type: "c"}}},
	FS{On: "root", Type: "vfat", Label: "FATROOT", Content: Content{Tree: "flat"}},
}}

// XFS is a root of that type.
var XFS = Layout{Name: "xfs", Disks: one(400), Steps: []Step{
	GPT{On: "d0", Parts: []Part{{Name: "root"}}},
	FS{On: "root", Type: "xfs", Content: tiny},
}}

// BtrfsSubvolume has its root in a subvolume that is not the default one.
var BtrfsSubvolume = Layout{Name: "btrfs-subvolume", Disks: one(256), Steps: []Step{
	GPT{On: "d0", Parts: []Part{{Name: "root"}}},
	FS{On: "root", Type: "btrfs", Subvolume: "@root", Content: tiny},
}}

// Squashfs and Erofs are roots that cannot be written.
var (
	Squashfs = Layout{Name: "squashfs", Disks: one(32), Steps: []Step{
		GPT{On: "d0", Parts: []Part{{Name: "root"}}},
		FS{On: "root", Type: "squashfs", Content: tiny},
	}}
	Erofs = Layout{Name: "erofs", Disks: one(32), Steps: []Step{
		GPT{On: "d0", Parts: []Part{{Name: "root"}}},
		FS{On: "root", Type: "erofs", Content: tiny},
	}}
)

// LUKS1 and LUKS2 are encrypted partitions with a passphrase, the one with
// PBKDF2, the other with argon2id.
var (
	LUKS1 = Layout{Name: "luks1", Disks: one(128), Steps: []Step{
		GPT{On: "d0", Parts: []Part{{Name: "part"}}},
		LUKS{Name: "crypt", On: "part", Version: 1, Passphrase: Passphrase, KDF: "pbkdf2"},
		FS{On: "crypt", Type: "ext4", Content: tiny},
	}}
	LUKS2 = Layout{Name: "luks2", Disks: one(160), Steps: []Step{
		GPT{On: "d0", Parts: []Part{{Name: "part"}}},
		LUKS{Name: "crypt", On: "part", Version: 2, Passphrase: Passphrase, KDF: "argon2id", Label: "fl-crypt"},
		FS{On: "crypt", Type: "ext4", Content: tiny},
	}}
	// LUKSKey opens with the key file, which costs nothing to try.
	LUKSKey = Layout{Name: "luks-key", Disks: one(128), Steps: []Step{
		LUKS{Name: "crypt", On: "d0", Version: 2, KeyFile: []byte(Key), KDF: "cheap"},
		FS{On: "crypt", Type: "ext4", Content: tiny},
	}}
	// KeyDisk holds the key file of LUKSKey.
	KeyDisk = Layout{Name: "keydisk", Disks: blank(32, "k0"), Steps: []Step{
		GPT{On: "k0", Parts: []Part{{Name: "keys"}}},
		FS{On: "keys", Type: "ext4", Label: "KEYS", Content: Content{Files: []File{{Path: "keys/root.key", Data: Key, Perm: 0o400}}}},
	}}
)

// LUKSApart and LUKSRawApart have nothing but the data in the encrypted
// partition: the header is a file on another disk, or another partition.
var (
	LUKSApart = Layout{Name: "luks-apart", Disks: []Disk{{Name: "d0", MiB: 128}, {Name: "h0", MiB: 64}}, Steps: []Step{
		GPT{On: "d0", Parts: []Part{{Name: "data"}}},
		GPT{On: "h0", Parts: []Part{{Name: "heads"}}},
		LUKS{Name: "crypt", On: "data", Version: 2, Passphrase: Passphrase, KDF: "cheap", Header: "/tmp/cr.hdr"},
		FS{On: "crypt", Type: "ext4", Content: tiny},
		FS{On: "heads", Type: "ext4", Content: Content{Files: []File{{Path: "boot", Dir: true}}}},
		Tool{Argv: []string{"debugfs", "-w", "-R", "write /tmp/cr.hdr boot/cr.hdr", "{heads}"}},
	}}
	LUKSRawApart = Layout{Name: "luks-raw-apart", Disks: one(128), Steps: []Step{
		GPT{On: "d0", Parts: []Part{{Name: "head", MiB: 8}, {Name: "data"}}},
		LUKS{Name: "crypt", On: "data", Version: 1, Passphrase: Passphrase, KDF: "cheap", Header: "{head}"},
		FS{On: "crypt", Type: "ext4", Content: tiny},
	}}
)

// LVMLinear has a root that begins on one physical volume and ends on the
// other; LVMStriped one that is spread over both; LVMHyphens names that
// device-mapper has to escape.
var (
	LVMLinear = Layout{Name: "lvm-linear", Disks: two(64), Steps: []Step{
		GPT{On: "d0", Parts: []Part{{Name: "pv0", Type: "lvm"}}},
		VG{Name: "vg", On: []string{"pv0", "d1"}},
		LV{VG: "vg", Name: "root", MiB: 96},
		LV{VG: "vg", Name: "other"},
		FS{On: "vg/root", Type: "ext4", Content: tiny},
	}}
	LVMStriped = Layout{Name: "lvm-striped", Disks: two(64), Steps: []Step{
		VG{Name: "vgs", On: []string{"d0", "d1"}},
		LV{VG: "vgs", Name: "root", MiB: 96, Stripes: 2},
		FS{On: "vgs/root", Type: "ext4", Content: tiny},
	}}
	LVMHyphens = Layout{Name: "lvm-hyphens", Disks: one(128), Steps: []Step{
		VG{Name: "my-vg--x", On: []string{"d0"}},
		LV{VG: "my-vg--x", Name: "the-root"},
		FS{On: "my-vg--x/the-root", Type: "ext4", Content: tiny},
	}}
)

// raid is an array over whole disks with an ext4 on it.
func raid(name, level, metadata string, disks []Disk) Layout {
	var names []string
	for _, d := range disks {
		names = append(names, d.Name)
	}
	return Layout{Name: name, Disks: disks, Steps: []Step{
		MD{Name: "array", Level: level, Metadata: metadata, On: names},
		FS{On: "array", Type: "ext4", Content: tiny},
	}}
}

// Arrays of each level and version of metadata.
var (
	RAID1      = raid("raid1", "1", "1.2", two(96))
	RAID1Dirty = Layout{Name: "raid1-dirty", Disks: two(96), Steps: []Step{
		MD{Name: "array", Level: "1", Metadata: "1.2", On: []string{"d0", "d1"}, Dirty: true},
		FS{On: "array", Type: "ext4", Content: tiny},
	}}
	RAID5         = raid("raid5", "5", "1.2", blank(64, "d0", "d1", "d2"))
	RAIDMeta090   = raid("raid-meta-0.90", "1", "0.90", two(96))
	RAIDMeta10    = raid("raid-meta-1.0", "1", "1.0", two(96))
	RAIDMeta11    = raid("raid-meta-1.1", "1", "1.1", two(96))
	RAIDPartition = Layout{Name: "raid-partition", Disks: two(128), Steps: []Step{
		MD{Name: "array", Level: "1", Metadata: "1.2", On: []string{"d0", "d1"}},
		GPT{On: "array", Parts: []Part{{Name: "first", MiB: 16}, {Name: "root"}}},
		FS{On: "root", Type: "ext4", Content: tiny},
	}}
)

// stack is LUKS on LVM on RAID1, over partitions of two disks.
func stack(name string, mib int, luks LUKS, content Content) Layout {
	luks.Name, luks.On = "crypt", "vg/crypt"
	return Layout{Name: name, Disks: two(mib), Steps: []Step{
		GPT{On: "d0", Parts: []Part{{Name: "m0", Type: "raid"}}},
		GPT{On: "d1", Parts: []Part{{Name: "m1", Type: "raid"}}},
		MD{Name: "array", Level: "1", Metadata: "1.2", On: []string{"m0", "m1"}},
		VG{Name: "vg", On: []string{"array"}},
		LV{VG: "vg", Name: "crypt"},
		luks,
		FS{On: "crypt", Type: "ext4", Content: content},
	}}
}

// Stack is LUKS on LVM on RAID1 with a passphrase, StackKey with a key file.
var (
	Stack    = stack("stack", 160, LUKS{Version: 2, Passphrase: Passphrase, KDF: "argon2id"}, tiny)
	StackKey = stack("stack-key", 128, LUKS{Version: 2, KeyFile: []byte(Key), KDF: "cheap"}, tiny)
)

// LVMOnLUKS is a volume group inside an encrypted partition.
var LVMOnLUKS = Layout{Name: "lvm-on-luks", Disks: one(160), Steps: []Step{
	GPT{On: "d0", Parts: []Part{{Name: "part"}}},
	LUKS{Name: "crypt", On: "part", Version: 2, Passphrase: Passphrase, KDF: "cheap"},
	VG{Name: "inner", On: []string{"crypt"}},
	LV{VG: "inner", Name: "swap", MiB: 16},
	LV{VG: "inner", Name: "root"},
	Swap{On: "inner/swap"},
	FS{On: "inner/root", Type: "ext4", Content: tiny},
}}

// BtrfsOnLUKS is a btrfs raid1 on two encrypted disks with one passphrase.
var BtrfsOnLUKS = Layout{Name: "btrfs-on-luks", Disks: two(256), Steps: []Step{
	LUKS{Name: "c0", On: "d0", Version: 2, Passphrase: Passphrase, KDF: "cheap"},
	LUKS{Name: "c1", On: "d1", Version: 2, Passphrase: Passphrase, KDF: "cheap"},
	FS{On: "c0", More: []string{"c1"}, Type: "btrfs", Profile: "raid1", Content: tiny},
}}

// SeparateUsr has init on a filesystem of its own, which the root's fstab
// names.
var SeparateUsr = Layout{Name: "separate-usr", Disks: one(192), Steps: []Step{
	GPT{On: "d0", Parts: []Part{{Name: "root", MiB: 64}, {Name: "usr"}}},
	FS{On: "root", Type: "ext4", Content: Content{Tree: "tiny", Without: "usr", Files: []File{
		{Path: "usr", Dir: true},
		{Path: "etc/fstab", Data: "# <fs> <dir> <type> <options> <dump> <pass>\nUUID=" + FSUUID("separate-usr", "usr") + "\t/usr\text4\tro,nodev 0 2\n"},
	}}},
	FS{On: "usr", Type: "ext4", Content: Content{Tree: "tiny", Only: "usr"}},
}}

// Dirty is a filesystem with faults that e2fsck repairs by itself; Broken has
// one that it asks a person about.
var (
	Dirty = Layout{Name: "dirty", Disks: one(96), Steps: []Step{
		FS{On: "d0", Type: "ext4", Content: tiny},
		Tool{Argv: []string{"debugfs", "-w", "-R", "sif / links_count 9", "{d0}"}},
		Tool{Argv: []string{"debugfs", "-w", "-R", "ssv state 0", "{d0}"}},
	}}
	Broken = Layout{Name: "broken", Disks: one(96), Steps: []Step{
		FS{On: "d0", Type: "ext4", Content: tiny},
		Tool{Argv: []string{"debugfs", "-w", "-R", "sif /usr/lib/os-release mode 0", "{d0}"}},
		Tool{Argv: []string{"debugfs", "-w", "-R", "ssv state 0", "{d0}"}},
	}}
)

// Hibernate has swap that holds the machine's memory.
var Hibernate = Layout{Name: "hibernate", Disks: one(900), Steps: []Step{
	GPT{On: "d0", Parts: []Part{{Name: "root", MiB: 96}, {Name: "swap", Type: "swap"}}},
	FS{On: "root", Type: "ext4", Content: tiny},
	Swap{On: "swap"},
}}

// Twins are two disks whose filesystems claim the same UUID.
var Twins = Layout{Name: "twins", Disks: two(96), Steps: []Step{
	FS{On: "d0", Type: "ext4", UUID: UUID("twins", "both"), Content: tiny},
	FS{On: "d1", Type: "ext4", UUID: UUID("twins", "both"), Content: tiny},
}}

// NoInit is a root without a real init.
var NoInit = Layout{Name: "no-init", Disks: one(64), Steps: []Step{
	FS{On: "d0", Type: "ext4", Content: Content{Files: []File{
		{Path: "etc/os-release", Data: "ID=nothing\n"}, {Path: "etc/fstab"},
		{Path: "proc", Dir: true}, {Path: "sys", Dir: true}, {Path: "dev", Dir: true}, {Path: "run", Dir: true},
	}}},
}}

// All is every layout but those of a whole Debian.
var All = []Layout{Plain, Logical, Whole, FAT, XFS, BtrfsSubvolume, Squashfs, Erofs, LUKS1, LUKS2, LUKSKey, KeyDisk,
	LVMLinear, LVMStriped, LVMHyphens, RAID1, RAID5, RAIDMeta090, RAIDMeta10, RAIDMeta11, RAIDPartition, Stack, StackKey,
	LVMRaid1, LVMRaid0, LVMRaid5, LVMRaid6, LVMRaid10, LVMMirror, LVMThin, LVMSnapshot, LVMMerging, LVMCache, LVMWritecache,
	LVMOnLUKS, BtrfsOnLUKS, SeparateUsr, Dirty, Broken, Hibernate, Twins, NoInit}
