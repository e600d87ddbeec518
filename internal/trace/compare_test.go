package trace

import (
	"slices"
	"strings"
	"testing"
	"time"

	"firstlight/internal/journal"
)

// The differences of the critical paths add up to that of the totals, and
// every operation is in one list or unchanged.
func TestComparisonAddsUp(t *testing.T) {
	for _, a := range fixtures {
		for _, b := range fixtures {
			x, y := fixture(t, a), fixture(t, b)
			c := Compare(x, y)
			var sum time.Duration
			for _, p := range c.Path {
				sum += p.Delta()
			}
			if want := y.CriticalPath().Total - x.CriticalPath().Total; sum != want || c.B.Total-c.A.Total != want {
				t.Errorf("%s %s: the parts differ by %v, the boots by %v", a, b, sum, want)
			}
			pairs := match(x, y)
			both, seen := 0, map[*Operation]bool{}
			for _, p := range pairs {
				if p.a != nil && p.b != nil {
					both++
				}
				for _, o := range []*Operation{p.a, p.b} {
					if o != nil && seen[o] {
						t.Errorf("%s %s: %q is matched twice", a, b, o.What)
					}
					seen[o] = o != nil
				}
			}
			if 2*both+len(c.New)+len(c.Missing) != len(x.Operations)+len(y.Operations) {
				t.Errorf("%s %s: %d matched, %d new, %d missing of %d and %d", a, b, both, len(c.New), len(c.Missing), len(x.Operations), len(y.Operations))
			}
			if a == b && (len(c.Operations)+len(c.New)+len(c.Missing)+len(c.Joined)+len(c.Left) != 0 || !strings.Contains(c.Text(Style{}, 20, a, b), "Both took the same time.")) {
				t.Errorf("%s differs from itself: %+v", a, c)
			}
		}
	}
	golden(t, "testdata/compare.want", Compare(fixture(t, "stack"), fixture(t, "raid-lvm-luks")).Text(Style{Width: 100}, 8, "before", "after"))
}

// twoDisks is a boot in which one disk is slow to read. The kernel may call
// the disks by either name.
func twoDisks(first, second string, slow time.Duration, extra bool) []journal.Record {
	m := &maker{}
	s := m.add(100, 0, "start", "firstlight 1", "6.1")
	type disk struct {
		pci, name, uuid string
		took            int
	}
	disks := []disk{{"01.0", first, "aaaa", 10}, {"02.0", second, "bbbb", 20 + int(slow/time.Millisecond)}}
	if extra {
		disks = slices.Insert(disks, 1, disk{"03.0", "sdz", "cccc", 15})
	}
	path := func(d disk) string {
		return "dev /devices/pci0000:00/0000:00:" + d.pci + "/ata" + d.name[2:] + "/block/" + d.name
	}
	var reading []uint64
	for _, d := range disks {
		reading = append(reading, m.add(100, m.add(100, s, "queue", path(d), "add /dev/"+d.name), "do", path(d), "read /dev/"+d.name))
	}
	for i, d := range disks {
		r := m.add(100+d.took, reading[i], "result", path(d), "ok")
		c := m.add(100+d.took, r, "content", path(d), "ext4", "device=/dev/"+d.name, "uuid="+d.uuid)
		if i == len(disks)-1 {
			m.add(100+d.took, c, "switch-root", "boot", "/sbin/init")
		}
	}
	return m.records
}

func TestRenumberedDevicesAreTheSame(t *testing.T) {
	c := Compare(New(twoDisks("sda", "sdb", 0, false)), New(twoDisks("sdb", "sda", 50*time.Millisecond, true)))
	if len(c.Operations) != 1 || c.Operations[0].Delta() != 50*time.Millisecond || c.Operations[0].What != "read /dev/sda" {
		t.Errorf("changed: %+v", c.Operations)
	}
	if len(c.New) != 1 || c.New[0].What != "read /dev/sdz" || len(c.Missing) != 0 {
		t.Errorf("new %+v, missing %+v", c.New, c.Missing)
	}
	if len(c.Path) == 0 || c.Path[0].Delta() != 50*time.Millisecond || !c.Path[0].InA || !c.Path[0].InB || len(c.Joined)+len(c.Left) != 0 {
		t.Errorf("path: %+v, joined %v, left %v", c.Path, c.Joined, c.Left)
	}
}

func TestStableNames(t *testing.T) {
	for in, want := range map[string]string{
		"/devices/pci0000:00/0000:00:02.0/virtio1/block/vdb/vdb1":                   "/devices/pci0000:00/0000:00:02.0/virtio#/block/disk/part1",
		"/devices/pci0000:00/0000:00:1f.2/ata3/host2/target2:0:0/2:0:0:0/block/sda": "/devices/pci0000:00/0000:00:1f.2/ata#/host#/target2:0:0/2:0:0:0/block/disk",
		"/devices/virtual/block/dm-12":                                              "/devices/virtual/block/disk",
		"/devices/pci0000:00/0000:00:04.0/nvme/nvme0/nvme0n1/nvme0n1p2":             "/devices/pci0000:00/0000:00:04.0/nvme/nvme#/nvme#n#/nvme#n#p#",
		"": "",
	} {
		if got := place(in); got != want {
			t.Errorf("place(%q) = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{
		"read /dev/vda":                   "read",
		"read the LVM metadata of /dev/x": "read the LVM metadata of",
		"load pci:v00001AF4":              "load",
		"look at the devices in sysfs":    "look at the devices in sysfs",
		"/dev/x":                          "/dev/x",
		"":                                "",
		"a ":                              "a ",
	} {
		if got := deed(in); got != want || !strings.HasPrefix(in, got) {
			t.Errorf("deed(%q) = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{"vda1": "vda#", "13e535fd-c136-45c5": "#-#-#", "cafe": "cafe", "load dm-mod 3x2": "load dm-mod #x#", "md127": "md#"} {
		if got := collapse(in); got != want {
			t.Errorf("collapse(%q) = %q, want %q", in, got, want)
		}
	}
}
