package filter

import (
	"slices"
	"testing"

	"firstlight/internal/device"
	"firstlight/internal/ueventd"
)

// block is a device with some properties, which are written "NAME", "value".
func block(props ...string) *device.Device {
	p := map[string]string{"SUBSYSTEM": "block", "DEVNAME": "/dev/sda"}
	for i := 0; i < len(props); i += 2 {
		p[props[i]] = props[i+1]
	}
	return device.New(nil, "/devices/sda", p)
}

// An array, a group or a filesystem on several devices is told when one of
// them is none of its any more. A question for an encrypted device stands as
// long as the device is there.
func TestWhoIsNoMemberAnyMoreHasLeft(t *testing.T) {
	left := func(queue string) []ueventd.Event {
		return []ueventd.Event{{Queue: queue, Kind: Remove, Name: "/dev/sda"}}
	}
	array := block("ID_FS_TYPE", "linux_raid_member", "ID_FS_UUID", "a")
	volume := block("ID_FS_TYPE", "LVM2_member", "ID_FS_UUID", "v")
	for _, c := range []struct {
		name     string
		old, now *device.Device
		want     []ueventd.Event
	}{
		{"still a member", array, block("ID_FS_TYPE", "linux_raid_member", "ID_FS_UUID", "a"), nil},
		{"still one, and not to be used now", volume, block("ID_FS_TYPE", "LVM2_member", "DM_SUSPENDED", "1"), nil},
		{"of another array", array, block("ID_FS_TYPE", "linux_raid_member", "ID_FS_UUID", "b"), left("md a")},
		{"cannot be read", array, block(), left("md a")},
		{"a physical volume no more", volume, block("ID_FS_TYPE", "ext4"), left("pv /dev/sda")},
		{"a member of btrfs no more", block("ID_FS_TYPE", "btrfs", "ID_FS_UUID", "f"), block(), left("btrfs f")},
		{"encrypted, and cannot be read", block("ID_FS_TYPE", "crypto_LUKS", "ID_FS_UUID", "l"), block(), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Left(c.old, c.now); !slices.Equal(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}
