package e2e

import (
	"firstlight/test/disks"
	"firstlight/test/vm"
)

// interopLast are the stacks that need several ways, or volumes of volumes.
func interopLast() []Scenario {
	thin, paths := disks.InteropThin, disks.InteropMultipath
	scsi := same(paths, initramfsTools, small("ext4", "multipath"), "ro "+uuid(paths.FSUUID("root")), nil, noArrays)
	scsi.Bus, scsi.Paths, scsi.PeerPackages = vm.VirtioSCSI, []Path{{Disk: "d0"}}, []string{"multipath-tools-boot"}
	scsi.Include = []Include{{"/etc/multipath/wwids", disks.WWIDs("d0")}}
	return []Scenario{
		same(thin, initramfsTools, small("ext4", "lvm", "lvm-thin"), "ro root=/dev/mapper/vthin-root", anything, noArrays),
		scsi,
	}
}
