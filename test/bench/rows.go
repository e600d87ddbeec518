package bench

import (
	"context"
	"slices"
	"strings"

	"firstlight/test/debian"
	"firstlight/test/disks"
	"firstlight/test/lan"
)

// row is one layout, and what each peer has to be told of it.
type row struct {
	name, what string
	layout     disks.Layout
	on         string // the device of the layout with the root
	fs         string // "" is ext4
	root       string // root= for all; "" is the UUID
	// modules are the kernel's, beyond those that every row needs.
	modules []string
	// layers are what is below the root, as a configuration file names it.
	layers []string
	// args are parameters for a peer, by the beginning of its name; dracut are
	// its modules, packages Debian's that the generators need for it.
	args             map[string]string
	dracut, packages []string
	// paths says that each disk is reached on two ways.
	paths bool
	// without are peers that cannot boot it.
	without []string
	// server has the root, in which case no disk is attached; needs are what the
	// configuration file of an image for it says besides. roots are root= for a
	// peer, by the beginning of its name, where it is not root.
	server *lan.Server
	needs  []string
	roots  map[string]string
}

// rootHash in a parameter is the layout's.
const rootHash = "{roothash}"

var (
	cryptModules = []string{"dm_mod", "dm_crypt", "xts", "aesni_intel", "sha256_generic", "sha256_ssse3"}
	cryptDracut  = []string{"dm", "crypt"}
	lvmDracut    = []string{"dm", "lvm"}
)

// rows are all of them.
var rows = slices.Concat(localRows, remoteRows)

var localRows = []row{
	{name: "a", what: "ext4 by UUID", layout: disks.BenchPlain, on: "root"},
	{name: "b", what: "LUKS2, key file", layout: disks.BenchLUKS, on: "crypt", modules: cryptModules, layers: []string{"luks"}, dracut: cryptDracut},
	{name: "c", what: "LVM", layout: disks.BenchLVM, on: "vgc/root", root: "/dev/mapper/vgc-root", modules: []string{"dm_mod"}, layers: []string{"lvm"},
		dracut: lvmDracut, args: map[string]string{"dracut": "rd.lvm.lv=vgc/root"}},
	{name: "d", what: "RAID1", layout: disks.BenchRAID1, on: "root", modules: []string{"md_mod", "raid1"}, layers: []string{"md-raid1"}, dracut: []string{"mdraid"}},
	{name: "e", what: "LUKS on LVM on RAID1", layout: disks.BenchStack, on: "crypt", modules: append(cryptModules[:len(cryptModules):len(cryptModules)], "md_mod", "raid1"),
		layers: []string{"luks", "lvm", "md-raid1"}, dracut: []string{"dm", "crypt", "lvm", "mdraid"}, args: map[string]string{"dracut": "rd.lvm.lv=vge/crypt"}},
	{name: "f", what: "LVM, thin volume", layout: disks.BenchThin, on: "vgf/root", root: "/dev/mapper/vgf-root", modules: []string{"dm_mod", "dm_thin_pool"},
		layers: []string{"lvm", "lvm-thin"}, dracut: lvmDracut, packages: []string{"thin-provisioning-tools"}, args: map[string]string{"dracut": "rd.lvm.lv=vgf/root"}},
	{name: "g", what: "LVM, RAID1 volume", layout: disks.BenchLVMRaid, on: "vgg/root", root: "/dev/mapper/vgg-root", modules: []string{"dm_mod", "dm_raid", "raid1"},
		layers: []string{"lvm", "lvm-raid"}, dracut: lvmDracut, args: map[string]string{"dracut": "rd.lvm.lv=vgg/root"}},
	{name: "h", what: "RAID5", layout: disks.BenchRAID5, on: "root", modules: []string{"md_mod", "raid456"}, layers: []string{"md-raid5"}, dracut: []string{"mdraid"}},
	{name: "i", what: "RAID10", layout: disks.BenchRAID10, on: "root", modules: []string{"md_mod", "raid10"}, layers: []string{"md-raid10"}, dracut: []string{"mdraid"}},
	{name: "j", what: "LUKS on LVM", layout: disks.BenchLUKSOnLVM, on: "crypt", modules: cryptModules, layers: []string{"luks", "lvm"},
		dracut: []string{"dm", "crypt", "lvm"}, args: map[string]string{"dracut": "rd.lvm.lv=vgj/crypt"}},
	{name: "k", what: "btrfs, RAID1 profile", layout: disks.BenchBtrfs, on: "d0", fs: "btrfs", modules: []string{"btrfs"}, layers: []string{"btrfs-devices"}, dracut: []string{"btrfs"}, packages: []string{"btrfs-progs"}},
	// initramfs-tools have nothing that sets up a verified root.
	{name: "l", what: "dm-verity", layout: disks.BenchVerity, on: "data", root: "/dev/mapper/root", modules: []string{"dm_mod", "dm_verity", "sha256_generic", "sha256_ssse3"}, layers: []string{"verity"},
		dracut: []string{"systemd", "systemd-initrd", "dracut-systemd", "systemd-udevd", "systemd-veritysetup", "dm"}, packages: []string{"systemd"}, without: []string{"irt"},
		args: map[string]string{"": "roothash=" + rootHash}},
	{name: "m", what: "bcache", layout: disks.BenchBcache, on: "cached", modules: []string{"bcache"}, layers: []string{"bcache"}, dracut: []string{"bcache"}, packages: []string{"bcache-tools"}},
	{name: "n", what: "live medium", layout: disks.BenchLive, fs: "iso9660", root: "/dev/disk/by-label/LIVE", roots: map[string]string{"dracut": "live:LABEL=LIVE"},
		modules: []string{"isofs", "loop", "squashfs", "overlay"}, layers: []string{"live"},
		dracut: []string{"dmsquash-live"}, packages: []string{"live-boot", "live-boot-initramfs-tools", "dracut-live"},
		args: map[string]string{"f": "boot=live", "irt": "boot=live", "dracut": "rd.live.image rd.live.dir=live rd.live.squashimg=filesystem.squashfs rd.live.overlay.overlayfs=1"}},
	// zfs-dracut excludes zfs-initramfs, whose image has all of MODULES=most.
	{name: "p", what: "ZFS", layout: disks.BenchZFS, fs: "zfs", root: "ZFS=pbench/ROOT/fl", without: []string{"dracut", "irt-dep"}, args: map[string]string{"irt": "boot=zfs"}},
	{name: "q", what: "ext4 on two paths", layout: disks.BenchPaths, on: "d0", modules: []string{"virtio_scsi", "sd_mod", "dm_mod", "dm_multipath", "dm_service_time"}, layers: []string{"multipath"}, paths: true,
		dracut: []string{"dm", "multipath"}, packages: []string{"btrfs-progs", "thin-provisioning-tools", "bcache-tools", "systemd", "multipath-tools-boot"}}, // as in test/e2e
	{name: "o", what: "overlay over ext4", layout: disks.BenchPlain, on: "root", modules: []string{"overlay"}, layers: []string{"overlay"}, dracut: []string{"overlayfs"}, packages: []string{"overlayroot"},
		args: map[string]string{"f": "overlayroot=tmpfs", "irt": "overlayroot=tmpfs", "dracut": "rd.live.overlay.overlayfs=1"}},
}

// bus is what the row's disks are on, as a configuration file names it.
func (r row) bus() string {
	switch {
	case r.remote():
		return ""
	case r.paths:
		return "virtio_scsi"
	}
	return "virtio_blk"
}

// kernel is the kernel of the row, which has ZFS where it is needed.
func (r row) kernel(ctx context.Context, k debian.Kernel) (debian.Kernel, error) {
	if !r.layout.ZFS {
		return k, nil
	}
	return debian.ZFSKernel(ctx, k)
}

// fsUUID is the UUID of the row's root.
func (r row) fsUUID() string { return r.layout.FSUUID(r.on) }

// fstype is the type of the filesystem on the disk.
func (r row) fstype() string {
	if r.fs == "" {
		return "ext4"
	}
	return r.fs
}

// has says whether a layer is part of the row, or begins so.
func (r row) has(layer string) bool {
	return slices.ContainsFunc(r.layers, func(l string) bool { return strings.HasPrefix(l, layer) })
}

// array is the name of the row's array, "" if it has none.
func (r row) array() string {
	for _, s := range r.layout.Steps {
		if md, ok := s.(disks.MD); ok {
			return md.Name
		}
	}
	return ""
}

// unless says whether a peer cannot boot the row.
func (r row) unless(peer string) bool {
	return slices.ContainsFunc(r.without, func(p string) bool { return strings.HasPrefix(peer, p) })
}

// argsFor are the parameters for a peer beyond root=, each after a space.
func (r row) argsFor(peer string) string {
	var args []string
	for p, a := range r.args {
		if strings.HasPrefix(peer, p) {
			args = append(args, " "+a)
		}
	}
	slices.Sort(args)
	return strings.Join(args, "")
}

// allModules is what the disk and the root need on the row.
func (r row) allModules() []string {
	all := []string{"virtio_pci", "virtio_blk", "crc32c_generic", "crc32c_intel"}
	switch {
	case r.remote():
		all[1] = "virtio_net"
	case r.paths:
		all[1] = "virtio_scsi"
	}
	if r.fstype() == "ext4" {
		all = append(all, "ext4")
	}
	return append(all, r.modules...)
}
