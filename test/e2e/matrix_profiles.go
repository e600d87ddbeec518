package e2e

import (
	"firstlight/test/disks"
	"firstlight/test/vm"
)

// profiled boots the images of the profiles.
func profiled() []Scenario {
	plain, stack := disks.Plain, disks.StackKey
	return []Scenario{
		{Name: "profile-vm", Profile: "vm", Bus: vm.VirtioSCSI, Layouts: on(stack), Secret: true,
			Include: []Include{{"/etc/cryptsetup-keys.d/cr.key", disks.Key}}, Append: "ro rd.luks.name=" + stack.UUID("crypt") + "=cr root=/dev/mapper/cr",
			Boots: once(Want{Mapped: []string{"cr CRYPT-LUKS2-.*", "vg-crypt LVM-.*"}, Arrays: []string{`md\S* raid1 .* 0`}})},
		{Name: "profile-cloud", Profile: "cloud", Bus: vm.NVMe, Full: true, Layouts: on(plain), Append: "ro root=UUID=" + plain.FSUUID("root"), Trixie: true,
			Boots: once(Want{Root: "/dev/nvme0n1p2 ext4"})},
		// Its checker mends what the last mount left, as it is to.
		{Name: "profile-rescue", Profile: "rescue", Writes: []string{`d0 WS? [0-9+]+ by fsck\.ext4 .*`}, Bus: vm.AHCI, Full: true, Layouts: on(plain), Append: "ro root=UUID=" + plain.FSUUID("root"),
			Boots: once(Want{Root: "/dev/sda2 ext4"})},
	}
}
