package e2e

import (
	"firstlight/test/disks"
	"firstlight/test/vm"
)

// faulty are disks that answer with errors.
func faulty() []Scenario {
	lin := disks.LVMLinear
	return []Scenario{
		// A physical volume whose metadata cannot be read is none, as for LVM.
		{Name: "read-error-lvm-metadata", For: small("ext4", "lvm"), Layouts: on(lin), Unreadable: map[string][]vm.Sectors{"d1": {{First: 8, Last: 15}}}, Unchanged: true,
			Append: "ro root=/dev/mapper/vg-root rd.timeout=20 rd.emergency=poweroff",
			Boots:  once(Want{NoBoot: true, Ends: poweredOff, Console: []Seen{see(`check the disk vdb`), see(`volume root needs physical`)}})},
	}
}
