package sim_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"firstlight/internal/devmapper"
	"firstlight/internal/handler"
	"firstlight/internal/handler/all"
	"firstlight/internal/sim"
	"firstlight/internal/sim/content"
)

func rootFS() *sim.Disk {
	d := sim.Filesystem("ext4", rootUUID, "root", debian())
	d.Size = 48 << 20
	return d
}

func locked(version int, inside *sim.Disk) *sim.Disk {
	return sim.Encrypt(content.LUKS{Version: version, UUID: luksUUID, Passphrases: []string{passphrase}}, inside)
}

// members are those of an array of so many slots.
func members(level, slots int, inside *sim.Disk) []*sim.Disk {
	md := content.MD{Version: "1.2", UUID: arrayUUID, Name: "host:0", Level: level, Slots: slots, Events: 40, Made: 1700000000}
	switch level {
	case 10:
		md.Layout, md.Chunk = 0x102, 64<<10
	case 5, 6:
		md.Layout, md.Chunk = 2, 64<<10
	case 0, 4:
		md.Chunk = 64 << 10
	}
	return sim.Members(md, inside, 0)
}

func simple(d *sim.Disk) []*sim.Disk { return []*sim.Disk{d} }

func part(d *sim.Disk) sim.Part { return sim.Part{Disk: d, UUID: partUUID} }

// striped is a group with a root that is striped over two physical volumes,
// and goes on linear on the second.
func striped(inside *sim.Disk) []*sim.Disk {
	vg := volumeGroup(2)
	vg.LVs[0].Segments = []content.Segment{
		{Extents: 12, Stripe: 64 << 10, Areas: []content.Area{{PV: 1, Extent: 3}, {PV: 0, Extent: 1}}},
		{Extents: 5, Areas: []content.Area{{PV: 1, Extent: 10}}},
	}
	return sim.Volumes(vg, map[string]*sim.Disk{"root": inside})
}

func volumes(pvs int, inside *sim.Disk) []*sim.Disk {
	return sim.Volumes(volumeGroup(pvs), map[string]*sim.Disk{"root": inside})
}

// stacks are layouts with what the command line has to say besides root=.
var stacks = []struct {
	name, cmdline string
	disks         func(root *sim.Disk) []*sim.Disk
}{
	{"plain", "", simple},
	{"GPT", "", func(r *sim.Disk) []*sim.Disk { return simple(sim.WithGPT(diskUUID, part(r))) }},
	{"MBR, logical", "", func(r *sim.Disk) []*sim.Disk {
		small := func() sim.Part { return sim.Part{Disk: &sim.Disk{Size: 4 << 20}} }
		return simple(sim.WithMBR(7, small(), small(), small(), small(), sim.Part{Disk: r}))
	}},
	{"LUKS1", "rd.luks.uuid=" + luksUUID, func(r *sim.Disk) []*sim.Disk { return simple(locked(1, r)) }},
	{"LUKS2 in a partition", "rd.luks.uuid=" + luksUUID, func(r *sim.Disk) []*sim.Disk { return simple(sim.WithGPT(diskUUID, part(locked(2, r)))) }},
	{"RAID0", "", func(r *sim.Disk) []*sim.Disk { return members(0, 3, r) }},
	{"RAID1", "", func(r *sim.Disk) []*sim.Disk { return members(1, 2, r) }},
	{"RAID4", "", func(r *sim.Disk) []*sim.Disk { return members(4, 3, r) }},
	{"RAID5", "", func(r *sim.Disk) []*sim.Disk { return members(5, 3, r) }},
	{"RAID6", "", func(r *sim.Disk) []*sim.Disk { return members(6, 5, r) }},
	{"RAID10", "", func(r *sim.Disk) []*sim.Disk { return members(10, 4, r) }},
	{"RAID1 with partitions in it", "", func(r *sim.Disk) []*sim.Disk { return members(1, 2, sim.WithGPT(diskUUID, part(r))) }},
	{"LVM", "", func(r *sim.Disk) []*sim.Disk { return volumes(1, r) }},
	{"LVM over three disks", "", func(r *sim.Disk) []*sim.Disk { return volumes(2, r) }},
	{"LVM striped", "", striped},
	{"LUKS on LVM", "rd.luks.uuid=" + luksUUID, func(r *sim.Disk) []*sim.Disk { return volumes(1, locked(2, r)) }},
	{"LVM on LUKS", "rd.luks.uuid=" + luksUUID, func(r *sim.Disk) []*sim.Disk { return simple(locked(2, volumes(1, r)[0])) }},
	{"LUKS on LVM on RAID1 in partitions", "rd.luks.uuid=" + luksUUID, func(r *sim.Disk) []*sim.Disk {
		md := members(1, 2, volumes(1, locked(1, r))[0])
		return []*sim.Disk{sim.WithGPT(diskUUID, part(md[0])), sim.WithGPT(usrUUID, part(md[1]))}
	}},
	{"LVM striped on LUKS on RAID5, and RAID1", "rd.luks.uuid=" + luksUUID, func(r *sim.Disk) []*sim.Disk {
		pvs := striped(r)
		other := sim.Members(content.MD{Version: "1.0", UUID: keyUUID, Name: "host:1", Level: 1, Slots: 2, Events: 3}, pvs[1], 0)
		return append(members(5, 3, locked(2, pvs[0])), other...)
	}},
	{"btrfs of two devices", "", func(r *sim.Disk) []*sim.Disk {
		d := sim.Btrfs(rootUUID, "root", 2, 1, r.Files)
		*r = *d[0].Pool.Filesystem
		d[0].Pool.Filesystem = r
		return d
	}},
}

// on makes a machine of disks that are attached by the way that i says.
func on(i int, cmdline string, disks ...*sim.Disk) *sim.Machine {
	m := &sim.Machine{Record: true, Cmdline: cmdline, Handlers: all.Handlers(), Image: handler.Image{Version: "test"}, Modules: sim.Debian(),
		Person: &sim.Person{Knows: map[string]string{"": passphrase}, After: 3 * time.Second}}
	for n, d := range disks {
		d.Label = fmt.Sprint("disk ", n)
		switch (i + n) % 5 {
		case 0:
			m.Attach(sim.Virtio(n, d))
		case 1:
			m.Attach(sim.NVMe(n, d))
		case 2:
			m.Attach(sim.SATA(n, d))
		case 3:
			m.Attach(sim.VirtioSCSI(n, d))
		case 4:
			m.Attach(sim.USB(n, d))
		}
	}
	return m
}

// rightRoot fails unless what was started is all of the wanted root.
func rightRoot(t *testing.T, m *sim.Machine, root *sim.Disk) {
	t.Helper()
	if m.Started == nil {
		t.Fatalf("not started at %v; it said:\n%s\njournal:\n%s", m.Now(), m.SaidText(), tail(m.Journal))
	}
	if got := m.Mounted(handler.SysRoot); got != root {
		t.Fatalf("the root is %v", got.Label)
	}
	if !m.MountedWhole(handler.SysRoot) {
		t.Fatal("not all of the root is there")
	}
}

func TestEveryStackBootsOnEveryBus(t *testing.T) {
	for i, s := range stacks {
		t.Run(s.name, func(t *testing.T) {
			for bus := range 5 {
				root := rootFS()
				m := on(bus, "root=UUID="+rootUUID+" "+s.cmdline, s.disks(root)...)
				m.Seed = uint64(i)
				boot(t, m)
				rightRoot(t, m, root)
				noTimer(t, m)
				if len(m.Loaded) < 2 {
					t.Errorf("loaded %v", m.Loaded)
				}
			}
		})
	}
}

func TestDegradedArraysShowTheRightContent(t *testing.T) {
	for _, level := range []int{1, 4, 5, 6, 10} {
		for gone := range 4 {
			root := rootFS()
			disks := members(level, 4, root)
			m := on(0, "root=UUID="+rootUUID+" rd.firstlight.degraded=5", disks...)
			m.Faults = []sim.Fault{{Kind: sim.DiskAbsent, Target: fmt.Sprint("disk ", gone)}}
			boot(t, m)
			rightRoot(t, m, root)
			if len(m.Arrays) != 1 || m.Arrays[0].Missing != 1 || m.Arrays[0].At < 5*time.Second {
				t.Errorf("level %d: started %+v", level, m.Arrays)
			}
		}
	}
}

func TestStaleMemberIsLeftOut(t *testing.T) {
	for stale := range 2 {
		root := rootFS()
		m := on(0, "root=UUID="+rootUUID, members(1, 2, root)...)
		m.Faults = []sim.Fault{{Kind: sim.DiskStale, Target: fmt.Sprint("disk ", stale)}}
		boot(t, m)
		rightRoot(t, m, root)
		if len(m.Arrays) != 1 || len(m.Arrays[0].Members) != 1 {
			t.Errorf("started %+v", m.Arrays)
		}
	}
}

func TestSplitArrayIsNotStarted(t *testing.T) {
	disks := members(1, 2, rootFS())
	m := machineWith("root=UUID="+rootUUID+" rd.shell=0 panic=1", disks...)
	m.Faults = []sim.Fault{{Kind: sim.DiskSplit, Target: "vdb"}}
	boot(t, m)
	if m.Started != nil || len(m.Arrays) != 0 || !strings.Contains(m.SaidText(), "without the other") {
		t.Errorf("started %+v; said:\n%s", m.Arrays, m.SaidText())
	}
}

func TestCopyOfADiskIsNotChosen(t *testing.T) {
	for _, s := range stacks {
		disks := s.disks(rootFS())
		disks[0].Label = "disk"
		m := machineWith("root=UUID="+rootUUID+" rd.shell=0 panic=1 "+s.cmdline, disks...)
		m.Person = &sim.Person{Knows: map[string]string{"": passphrase}}
		m.Faults = []sim.Fault{{Kind: sim.DiskCopied, Target: "disk"}}
		boot(t, m)
		if m.Started != nil {
			t.Errorf("%s: started from one of two", s.name)
		}
	}
}

// mapDevice activates a device with one line of a table and says what it
// shows.
func mapDevice(t *testing.T, m *sim.Machine, line devmapper.Target) (*sim.Disk, bool) {
	t.Helper()
	mapper, err := m.Mapper()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := devmapper.Activate(mapper, "x", "", []devmapper.Target{line}, false, 0); err != nil {
		t.Fatal(err)
	}
	defer mapper.Remove(devmapper.ByName("x"), devmapper.RemoveOptions{})
	return m.Shows("/dev/dm-0")
}

func TestOnlyTheRightMappingShowsTheContent(t *testing.T) {
	root := rootFS()
	root.Size = 48 << 20
	l := content.LUKS{Version: 1, UUID: luksUUID, Passphrases: []string{passphrase}}
	m := &sim.Machine{}
	m.Plug(sim.Encrypt(l, root))
	other := rootFS()
	pvs := striped(other)
	m.Plug(pvs[0])
	m.Plug(pvs[1])
	crypt := func(key []byte, offset uint64) devmapper.Target {
		line, err := devmapper.Crypt{Cipher: "aes-cbc-plain64", Key: devmapper.KeyRef{Size: 32, Bytes: key}, Device: "254:16", Offset: offset}.Target(0, 48<<11)
		if err != nil {
			t.Fatal(err)
		}
		return line
	}
	wrong := append([]byte{1}, l.Key()[1:]...)
	offset := uint64(l.DataOffset() / 512)
	stripe := func(a, b devmapper.Stripe, chunk uint64) devmapper.Target {
		line, err := devmapper.Striped(0, 48<<11, chunk, []devmapper.Stripe{a, b})
		if err != nil {
			t.Fatal(err)
		}
		return line
	}
	first := devmapper.Stripe{Device: "254:48", Offset: 2048 + 3*8192}
	second := devmapper.Stripe{Device: "254:32", Offset: 2048 + 8192}
	for _, tt := range []struct {
		name  string
		line  devmapper.Target
		shows *sim.Disk
		whole bool
	}{
		{"right key", crypt(l.Key(), offset), root, true},
		{"wrong key", crypt(wrong, offset), nil, false},
		{"wrong offset", crypt(l.Key(), offset-8), nil, false},
		{"right stripes", stripe(first, second, 128), other, true},
		{"stripes swapped", stripe(second, first, 128), other, false},
		{"wrong chunk", stripe(first, second, 64), other, false},
	} {
		got, whole := mapDevice(t, m, tt.line)
		if got != tt.shows || whole != tt.whole {
			t.Errorf("%s: shows the right thing: %v, whole %v", tt.name, got == tt.shows, whole)
		}
	}
}
