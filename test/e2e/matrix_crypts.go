package e2e

import (
	"strings"

	"firstlight/test/disks"
)

// returning are disks that are pulled out once something was made of them, and
// put back, before the root is mounted: until the disk to resume from is there,
// nothing is.
func returning() []Scenario {
	luks, stack, ver, raid, swap := disks.LUKS1, disks.LVMOnLUKS, disks.Verity, disks.RAID0, disks.SwapDisk
	const waits, down = "waiting for a look for a hibernated system", "was taken down: "
	resume := " resume=UUID=" + swap.FSUUID("s0") + " rd.timeout=120"
	with := func(fs string, layers ...string) *Target {
		return &Target{FS: fs, Layers: layers, Needs: []string{"resume"}}
	}
	pulled := func(disk string, first ...Action) []Action {
		return append(first, Action{When: waits, Detach: disk}, Action{When: down, Attach: disk}, Action{Attach: "s0"})
	}
	return []Scenario{
		{Name: "luks-disk-returns", For: with("ext4", "luks"), Features: []string{"mend"}, Layouts: on(luks, swap), Detached: []string{"s0"},
			Append: "ro rd.luks.name=" + luks.UUID("crypt") + "=cr root=/dev/mapper/cr" + resume,
			Boots: []Boot{{Do: pulled("d0", Action{When: promptText, Type: disks.Passphrase + "\r"}),
				Want: Want{Root: "/dev/(dm-0|mapper/cr) ext4", Prompts: 1, Timers: true,
					Mapped: []string{"cr CRYPT-LUKS1-" + strings.ReplaceAll(luks.UUID("crypt"), "-", "") + "-cr"}}}}},
		{Name: "lvm-on-luks-disk-returns", Full: true, For: with("ext4", "luks", "lvm"), Features: []string{"mend"}, Layouts: on(stack, swap), Detached: []string{"s0"},
			Append: "ro rd.luks.uuid=" + stack.UUID("crypt") + " root=/dev/inner/root" + resume,
			Boots: []Boot{{Do: pulled("d0", Action{When: promptText, Type: disks.Passphrase + "\r"}),
				Want: Want{Root: "/dev/(dm-[0-9]+|mapper/inner-root) ext4", Prompts: 1, Timers: true}}}},
		{Name: "verity-disk-returns", For: with("erofs", "verity"), Layouts: on(ver, swap), Detached: []string{"s0"}, Append: "ro roothash=" + rootHash + resume, Unchanged: true,
			Boots: []Boot{{Do: pulled("d0"), Want: Want{Root: "/dev/(dm-0|mapper/root) erofs", Timers: true}}}},
		{Name: "raid0-disk-returns", For: with("ext4", "md-raid0"), Features: []string{"mend"}, Layouts: on(raid, swap), Detached: []string{"s0"},
			Append: "ro " + uuid(raid.FSUUID("array")) + resume,
			Boots:  []Boot{{Do: pulled("d1"), Want: Want{Root: "/dev/md.* ext4", Timers: true}}}},
	}
}
