package e2e

import (
	"slices"

	"firstlight/test/disks"
	"firstlight/test/vm"
)

// ofThin are lines that say how much of a pool is used: what the real system has
// written.
var ofThin = []string{`dmsetup status: vthin-pool-tpool: \d+ \d+ thin-pool \d+ \d+/\d+ \d+/\d+ - rw discard_passdown queue_if_no_space - \d+`, `dmsetup status: vthin-root: \d+ \d+ thin \d+ \d+`}

// ofPaths are lines that say which of two ways udev was told of last, and when
// multipathd looks at one next.
var ofPaths = []string{`links: /dev/disk/by-id/scsi-\S+ \.\./\.\./sd[ab]`, `multipathd: \S+ [01]:0:0:0 sd[ab] active running ready [X.]+ \d+/\d+ \d+`}

// interopLast are the stacks that need several ways, or volumes of volumes.
func interopLast() []Scenario {
	thin, paths := disks.InteropThin, disks.InteropMultipath
	scsi := same(paths, initramfsTools, small("ext4", "multipath"), "ro "+uuid(paths.FSUUID("root")), nil, slices.Concat(noArrays, ofPaths))
	scsi.Bus, scsi.Paths, scsi.PeerPackages = vm.VirtioSCSI, []Path{{Disk: "d0"}}, []string{"multipath-tools-boot"}
	scsi.Include = []Include{{"/etc/multipath/wwids", disks.WWIDs("d0")}}
	return []Scenario{
		same(thin, initramfsTools, small("ext4", "lvm", "lvm-thin"), "ro root=/dev/mapper/vthin-root", anything, slices.Concat(noArrays, ofThin)),
		scsi,
	}
}
