package udevd

import (
	"bytes"
	"encoding/binary"
	"testing"

	"firstlight/internal/blkid"
	"firstlight/internal/btrfsfmt"
	"firstlight/internal/device"
)

func TestNameOfAnArrayInTheMap(t *testing.T) {
	const text = "md127 1.2 01020304:05060708:090a0b0c:0d0e0f10 /dev/md/root\n" +
		"md12 1.2 11020304:05060708:090a0b0c:0d0e0f10 /dev/md/a name with blanks\n" +
		"md0 0.90 21020304:05060708:090a0b0c:0d0e0f10 /dev/md0\n" +
		"md5 1.2\n"
	for kernel, want := range map[string]string{"md127": "root", "md12": "a name with blanks", "md0": "", "md5": "", "md1": ""} {
		if _, got := mdLink(text, kernel); got != want {
			t.Errorf("%s is %q, want %q", kernel, got, want)
		}
	}
}

// The array on a virtual machine's disk in a logical volume is not assembled
// here: a logical volume is a whole disk to the prober.
func TestKindOfADevice(t *testing.T) {
	for _, c := range []struct {
		sysname, devtype, dmUUID string
		want                     blkid.Kind
	}{
		{"sda", "disk", "", blkid.Disk}, {"sda1", "partition", "", blkid.Partition}, {"sr0", "disk", "", blkid.Optical},
		{"dm-0", "disk", "LVM-abc", blkid.Disk}, {"dm-1", "disk", "part2-mpath-abc", blkid.Partition}, {"md0", "disk", "", blkid.Disk},
	} {
		dev := device.New(none{}, "/devices/virtual/block/"+c.sysname, map[string]string{"DEVTYPE": c.devtype, "DM_UUID": c.dmUUID})
		if got := kindOf(dev); got != c.want {
			t.Errorf("%s: %v, want %v", c.sysname, got, c.want)
		}
	}
}

func TestShapeOfABtrfs(t *testing.T) {
	b := make([]byte, 64<<10+0xd1)
	binary.LittleEndian.PutUint64(b[64<<10+0x88:], 3)
	binary.LittleEndian.PutUint64(b[64<<10+0xc9:], 2)
	for _, c := range []struct {
		content       []byte
		devices, seed string
	}{{b, "3", ""}, {b[:64<<10+0x88], "", ""}, {make([]byte, 128<<10), "", ""}} {
		dev := device.New(nil, "/devices/virtual/block/vda", map[string]string{})
		setBtrfs(btrfsfmt.Read(bytes.NewReader(c.content)), dev)
		if got := dev.Property(BtrfsDevices); got != c.devices || dev.Property(BtrfsSeed) != c.seed {
			t.Errorf("%d bytes: devices %q, seed %q", len(c.content), got, dev.Property(BtrfsSeed))
		}
	}
	b[64<<10+0x38+4] = 1
	dev := device.New(nil, "/devices/virtual/block/vda", map[string]string{})
	setBtrfs(btrfsfmt.Read(bytes.NewReader(b)), dev)
	if dev.Property(BtrfsSeed) != "1" || dev.Property(BtrfsNumber) != "2" {
		t.Errorf("seed %q, number %q", dev.Property(BtrfsSeed), dev.Property(BtrfsNumber))
	}
}
