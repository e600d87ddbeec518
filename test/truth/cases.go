package truth

import (
	"fmt"
	"slices"

	"firstlight/test/e2e"
	"firstlight/test/vm"
)

// notCompared are scenarios of the matrix in which something happens that a
// check assumes not to: each with what.
var notCompared = map[string]string{
	"wrong-passphrase": "a person types three wrong passphrases; a check assumes the right one",
	"fsck-broken":      "what a checker finds is known only after it ran: a check cannot tell, and says so",
	"fsck-dirty":       "what a checker finds is known only after it ran: a check cannot tell, and says so",
}

// elsewhere is a path where no root has anything.
const elsewhere = "/sbin/elsewhere"

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
	{Name: "virtio_scsi", Base: "root-uuid", Drop: []string{"virtio_scsi.ko"}},
	{Name: "sd_mod", Base: "root-uuid", Drop: []string{"sd_mod.ko"}},
	{Name: "scsi_mod", Base: "root-uuid", Drop: []string{"scsi_mod.ko"}},
	{Name: "t10-pi", Base: "root-uuid", Drop: []string{"t10-pi.ko"}},
	{Name: "nvme", Base: "bus-nvme", Drop: []string{"nvme.ko"}},
	{Name: "nvme-core", Base: "bus-nvme", Drop: []string{"nvme-core.ko"}},
	{Name: "ahci", Base: "bus-ahci", Drop: []string{"ahci.ko"}},
	{Name: "libata", Base: "bus-ahci", Drop: []string{"libata.ko"}},
	{Name: "xhci-pci", Base: "bus-usb", Drop: []string{"xhci-pci.ko"}},
	{Name: "usb-storage", Base: "bus-usb", Drop: []string{"usb-storage.ko"}},
	// The filesystem.
	{Name: "ext4", Base: "no-partitions", Drop: []string{"ext4.ko"}},
	{Name: "jbd2", Base: "no-partitions", Drop: []string{"jbd2.ko"}},
	{Name: "mbcache", Base: "no-partitions", Drop: []string{"mbcache.ko"}},
	{Name: "crc16", Base: "no-partitions", Drop: []string{"crc16.ko"}},
	{Name: "crc32c", Base: "no-partitions", Drop: []string{"crc32c*.ko"}},
	{Name: "crc32c-intel", Base: "no-partitions", Drop: []string{"crc32c-intel.ko"}}, // the generic one remains
	{Name: "other-filesystem", Base: "no-partitions", For: &e2e.Target{FS: "xfs"}},
	{Name: "xfs", Base: "xfs", Drop: []string{"xfs.ko"}},
	{Name: "btrfs", Base: "btrfs-subvolume", Drop: []string{"btrfs.ko"}},
	{Name: "raid6_pq", Base: "btrfs-subvolume", Drop: []string{"raid6_pq.ko"}},
	{Name: "squashfs", Base: "squashfs", Drop: []string{"squashfs.ko"}},
	{Name: "erofs", Base: "erofs", Drop: []string{"erofs.ko"}},
	{Name: "vfat", Base: "root-fat-id", Drop: []string{"vfat.ko"}},
	// What the root is called.
	{Name: "wrong-uuid", Base: "no-partitions", Args: add("root=UUID=deadbeef-0000-4000-8000-000000000001")},
	{Name: "wrong-label", Base: "no-partitions", Args: add("root=LABEL=elsewhere")},
	{Name: "wrong-node", Base: "no-partitions", Args: add("root=/dev/vdb")},
	{Name: "no-root", Base: "no-partitions", Args: swap("root=", "toor=")},
	{Name: "wrong-type", Base: "no-partitions", Args: add("rootfstype=xfs")},
	{Name: "wrong-partition", Base: "root-path", Args: add("root=/dev/sda1")},
	// The image itself.
	{Name: "other-kernel", Base: "no-partitions", Kernel: "trixie"},
	{Name: "no-index", Base: "no-partitions", Drop: []string{"/etc/firstlight/modules.idx"}},
	{Name: "cut-index", Base: "no-partitions", Cut: map[string]int{"/etc/firstlight/modules.idx": 4096}},
	{Name: "no-rules", Base: "no-partitions", Drop: []string{"/etc/firstlight/rules.tab"}},
	{Name: "no-program", Base: "no-partitions", Drop: []string{"/init"}},
	{Name: "text-program", Base: "no-partitions", Put: map[string]string{"/init": "nothing\n"}},
	{Name: "baked-root", Base: "no-partitions", Args: swap("root=", "toor="), Put: map[string]string{"/etc/firstlight/cmdline.d/x.conf": "root=/dev/vda\n"}},
	// The real system.
	{Name: "no-such-init", Base: "no-partitions", Args: add("init=" + elsewhere)},
	{Name: "directory-as-init", Base: "no-partitions", Args: add("init=/usr")},
	{Name: "wrong-usr", Base: "separate-usr", Args: add("mount.usr=UUID=deadbeef-0000-4000-8000-000000000002")}, // boots: fstab counts
	{Name: "late-resume", Base: "no-partitions", Args: add("resume=UUID=deadbeef-0000-4000-8000-000000000003")}, // boots, after a wait
	// Encryption.
	{Name: "no-key", Base: "luks-key-in-image", Without: []string{"/etc/cryptsetup-keys.d/cr.key"}},
	{Name: "wrong-key", Base: "luks-key-in-image", Put: map[string]string{"/etc/cryptsetup-keys.d/cr.key": "not the key"}},
	{Name: "dm-crypt", Base: "luks-key-in-image", Drop: []string{"dm-crypt.ko"}},
	{Name: "dm-mod", Base: "luks-key-in-image", Drop: []string{"dm-mod.ko"}},
	{Name: "off", Base: "luks-key-in-image", Args: add("rd.luks=0")},
	{Name: "not-named", Base: "luks-key-in-image", Args: swap("rd.luks.name=", "rd.nothing.name=")},
	{Name: "no-crypttab", Base: "luks-crypttab-in-image", Without: []string{"/etc/crypttab"}},
	{Name: "wrong-crypttab", Base: "luks-crypttab-in-image", Edit: []Edit{{"/etc/crypttab", "UUID=", "LABEL="}}},
	{Name: "without-layer", Base: "luks1", For: ext4On()},
	// Volumes.
	{Name: "dm-mod", Base: "lvm-linear", Drop: []string{"dm-mod.ko"}},
	{Name: "off", Base: "lvm-linear", Args: add("rd.lvm=0")},
	{Name: "wrong-volume", Base: "lvm-linear", Args: []Edit{{Old: "vg/root", New: "vg/missing"}, {Old: "vg-root", New: "vg-missing"}}},
	{Name: "without-layer", Base: "lvm-striped", For: ext4On()},
	// Arrays.
	{Name: "raid1", Base: "raid1", Drop: []string{"raid1.ko"}},
	{Name: "md-mod", Base: "raid1", Drop: []string{"md-mod.ko"}},
	{Name: "off", Base: "raid1", Args: add("rd.md=0")},
	{Name: "raid456", Base: "raid5", Drop: []string{"raid456.ko"}},
	{Name: "async_pq", Base: "raid5", Drop: []string{"async_pq.ko"}},
	{Name: "other-level", Base: "raid5", For: ext4On("md-raid1")},
	{Name: "wrong-array", Base: "raid-partition", Args: swap("rd.md.uuid=", "rd.md.uuid=00000000:")},
	// Stacks.
	{Name: "raid1", Base: "stack-key", Drop: []string{"raid1.ko"}},
	{Name: "dm-crypt", Base: "stack-key", Drop: []string{"dm-crypt.ko"}},
	{Name: "no-key", Base: "stack-key", Without: []string{"/etc/cryptsetup-keys.d/cr.key"}},
}

// Cases are all comparisons: the matrix as it is, and the changed images.
func Cases() ([]Case, error) {
	var list []Case
	matrix := e2e.Matrix()
	for _, s := range matrix {
		// A guest that builds its own image checks it while building, and is
		// the machine of another scenario; so is one whose boots have each a
		// command line of its own.
		if notCompared[s.Name] != "" || s.HostBuild || s.Boots[0].Append != "" {
			continue
		}
		for _, suite := range s.Suites() {
			list = append(list, Case{Name: s.Name, Base: s, Suite: suite})
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
