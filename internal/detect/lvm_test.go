package detect

import "testing"

// What a volume is made of says which feature its image needs: an image
// without it would stop at the volume.
func TestKindsOfLogicalVolumes(t *testing.T) {
	for _, c := range []struct{ below, want string }{
		{"vg-root_rimage_0", "layer:lvm-raid"},
		{"vg-root_mimage_1", "layer:lvm-mirror"},
		{"vg-pool-tpool", "layer:lvm-thin"},
		{"vg-root-real", "layer:lvm-snapshot"},
		{"vg-root-cow", "layer:lvm-snapshot"},
		{"vg-root_corig", "layer:lvm-cache"},
		{"vg-root_wcorig", "layer:lvm-writecache"},
		{"vg-vpool0-vpool", "layer:lvm-vdo"},
		{"vg-something", ""},
	} {
		n := needs(t, disk("vda", "1")+`
			sys/devices/virtual/block/dm-0/dm/uuid: LVM-xyz
			sys/devices/virtual/block/dm-0/dm/name: vg-root
			sys/devices/virtual/block/dm-0/slaves/dm-1 -> ../../dm-1
			sys/devices/virtual/block/dm-1/dm/uuid: LVM-abc
			sys/devices/virtual/block/dm-1/dm/name: `+c.below+`
			sys/devices/virtual/block/dm-1/slaves/vda1 -> ../../../../pci0000:00/0000:00:01.0/virtio1/block/vda/vda1
			sys/class/block/dm-1 -> ../../devices/virtual/block/dm-1
			sys/dev/block/253:0 -> ../../devices/virtual/block/dm-0
			proc/self/mountinfo: 22 1 253:0 / / rw - xfs /dev/mapper/vg-root rw`)
		want := "fstype:xfs layer:dm layer:lvm"
		if c.want != "" {
			want += " " + c.want
		}
		if got := facts(n); got != want {
			t.Errorf("on %s: %s, want %s", c.below, got, want)
		}
		if (c.want == "") != (len(n.Notes) == 1) {
			t.Errorf("on %s: notes %v", c.below, n.Notes)
		}
	}
}
