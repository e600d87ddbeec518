package detect

import (
	"errors"
	"strings"
	"testing"
)

// All devices of the pool count, and none of another pool.
func TestRootInAZFSPool(t *testing.T) {
	udev := func(number, pool string) string {
		return "run/udev/data/b" + number + `: I:1\nE:ID_FS_TYPE=zfs_member\nE:ID_FS_LABEL=` + pool + "\n"
	}
	dev := func(name, number string) string {
		return "sys/devices/pci0000:00/0000:00:0" + number + ".0/virtio" + number + "/block/" + name + "/" + name + "1/dev: 254:" + number + "1\n"
	}
	desc := disk("vda", "1") + disk("vdb", "2") + disk("vdc", "3") + dev("vda", "1") + dev("vdb", "2") + dev("vdc", "3") +
		udev("254:11", "rpool") + udev("254:21", "rpool") + udev("254:31", "rpool2")
	const root = "proc/self/mountinfo: 22 1 0:25 / / rw,relatime - zfs rpool/ROOT/debian rw,xattr\n"
	n := needs(t, desc+root)
	if got := facts(n); !strings.Contains(got, "fstype:zfs") || !strings.Contains(got, "bus:virtio_blk") && len(n.Modules) == 0 || len(n.Notes) != 1 {
		t.Errorf("%s, %v, notes %v", got, n.Modules, n.Notes)
	}
	text := ""
	for _, m := range n.Modules {
		text += m.Why + "\n"
	}
	for _, f := range n.Facts {
		text += f.Why + "\n"
	}
	if !strings.Contains(text, "vda1") && !strings.Contains(text, "vda") || strings.Contains(text, "vdc") {
		t.Errorf("%s", text)
	}
	if _, err := Needs(machine(t, disk("vda", "1")+root)); !errors.Is(err, ErrUndecided) {
		t.Errorf("without udev's database: %v", err)
	}
}
