package sim_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"firstlight/internal/sim"
	"firstlight/internal/sim/content"
)

// mirrored is a group of two disks with a raid1 volume over both, on which
// root lies; the group knows some of the disks to be missing.
func mirrored(root *sim.Disk, missing ...int) []*sim.Disk {
	vg := content.VG{Name: "vg", UUID: "012345abcdEFGHijklMNOPqrstUVWXYZ", Seqno: 7, Extent: 4 << 20}
	top := content.LV{Name: "root", UUID: "ZYXWVUtsrqPONMlkjiHGFEdcba543210", Type: "raid1", Segments: []content.Segment{{Extents: 16}},
		Made: []string{"device_count = 2", "region_size = 4096", `raids = ["root_rmeta_0", "root_rimage_0", "root_rmeta_1", "root_rimage_1"]`}}
	inside := map[string]*sim.Disk{}
	for i := range 2 {
		vg.PVs = append(vg.PVs, content.PV{UUID: fmt.Sprintf("%032d", i+1), Size: 96 << 20, Device: fmt.Sprintf("/dev/sd%c", 'a'+i), Missing: slices.Contains(missing, i)})
		meta := content.LV{Name: fmt.Sprintf("root_rmeta_%d", i), UUID: fmt.Sprintf("%032d", i+11), Hidden: true,
			Segments: []content.Segment{{Extents: 1, Areas: []content.Area{{PV: i, Extent: 0}}}}}
		image := content.LV{Name: fmt.Sprintf("root_rimage_%d", i), UUID: fmt.Sprintf("%032d", i+21), Hidden: true,
			Segments: []content.Segment{{Extents: 16, Areas: []content.Area{{PV: i, Extent: 1}}}}}
		vg.LVs = append(vg.LVs, meta, image)
		inside[image.Name] = root
	}
	vg.LVs = append(vg.LVs, top)
	return sim.Volumes(vg, inside)
}

// A raid1 volume of two disks that come when they like, one of them perhaps
// never: without it the volume is activated when the time of the policy has
// passed since the last disk came, and not before; with it nothing is
// degraded; as the policy says, never or read-only.
func TestRAIDVolumesWaitForTheirDisks(t *testing.T) {
	seeds := uint64(1000)
	if testing.Short() {
		seeds = 200
	}
	seen := map[string]int{}
	for seed := range seeds {
		r := rand.New(rand.NewPCG(seed, 77))
		wait := time.Duration(1+r.IntN(20)) * time.Second
		policy := []string{"rw", "ro", "never", "default"}[r.IntN(4)]
		args := map[string]string{"rw": fmt.Sprintf(" rd.lvm.degraded=%d", wait/time.Second), "ro": fmt.Sprintf(" rd.lvm.degraded=%d,ro", wait/time.Second),
			"never": " rd.lvm.degraded=never"}[policy]
		if policy == "default" {
			wait = 15 * time.Second
		}
		byUUID := r.IntN(2) == 0
		spec := "root=/dev/vg/root"
		if byUUID {
			spec = "root=UUID=" + rootUUID
		}
		root := rootDisk()
		disks := mirrored(root)
		r.Shuffle(2, func(i, j int) { disks[i], disks[j] = disks[j], disks[i] })
		m := machineWith(spec + args + " panic=5 rd.shell=0 rd.timeout=60")
		m.Record = false
		m.Seed = seed
		m.Image.Full = true
		m.Image.Features = []string{"lvm", "lvm-raid"}
		first := time.Duration(r.IntN(3000)) * time.Millisecond
		second := first + time.Duration(r.IntN(int(2*wait/time.Millisecond)))*time.Millisecond
		absent := r.IntN(3) == 0
		m.At(first, func() { m.Plug(disks[0]) })
		if !absent {
			m.At(second, func() { m.Plug(disks[1]) })
		}
		if err := m.Boot(5 * time.Minute); err != nil {
			t.Fatal(err)
		}
		bad := func(format string, a ...any) {
			t.Fatalf("seed %d (%s, %v; disks at %v and %v, absent %v): %s\n%s\n%s", seed, m.Cmdline, wait, first, second, absent, fmt.Sprintf(format, a...),
				m.SaidText(), grep(m.Journal, "decision"))
		}
		degraded := len(m.Volumes) > 0 && m.Volumes[0].Lost > 0
		switch lost := absent || second > first+wait+time.Second; {
		case policy == "never" && absent:
			if m.Started != nil || len(m.Volumes) > 0 {
				bad("activated without its second disk")
			}
			if !strings.Contains(m.SaidText(), "volume root lacks physical volume") {
				bad("it does not say what is missing")
			}
			seen["never"]++
			m.Close()
			continue
		case m.Started == nil:
			bad("not started")
		case len(m.Volumes) != 1:
			bad("mapped %d times", len(m.Volumes))
		case degraded && m.Volumes[0].At < first+wait:
			bad("degraded at %v", m.Volumes[0].At)
		case degraded && !absent && second+time.Second < first+wait:
			bad("degraded, though the disk was there")
		case degraded && !lost && second < first+wait-time.Second:
			bad("degraded too early")
		case lost && !degraded && policy != "never":
			bad("not degraded without the disk")
		case degraded && !strings.Contains(m.SaidText(), "Activating volume vg/root degraded"):
			bad("it does not say that it is degraded")
		}
		node := ""
		for _, mt := range m.Mounts {
			if mt.Target == "/sysroot" {
				node = mt.Source
			}
		}
		if got, _ := m.Shows(node); got != root {
			bad("the root at %q is not the volume", node)
		}
		if d := m.DiskAt(node); degraded && d.ReadOnly != (policy == "ro") {
			bad("read-only is %v", d.ReadOnly)
		}
		kind := policy
		if degraded {
			kind += " degraded"
		}
		seen[kind]++
		m.Close()
	}
	for _, kind := range []string{"rw", "ro", "never", "default", "rw degraded", "ro degraded", "default degraded"} {
		if seen[kind] < int(seeds)/50 {
			t.Errorf("only %d boots were %q: %v", seen[kind], kind, seen)
		}
	}
}

// A volume whose activation writes to its disks is not touched while a
// hibernated system may still be resumed.
func TestRAIDVolumesWaitForTheResume(t *testing.T) {
	for _, image := range []bool{true, false} {
		root := rootDisk()
		m := machineWith("root=/dev/vg/root resume=UUID=" + swapUUID)
		m.Image.Full, m.Image.Features = true, []string{"lvm", "lvm-raid"}
		for _, d := range mirrored(root) {
			m.Plug(d)
		}
		swap := &sim.Disk{Content: sim.Swap(swapUUID, image)}
		m.Plug(swap)
		if err := m.Boot(5 * time.Minute); err != nil {
			t.Fatal(err)
		}
		if image {
			if m.Resumed == "" || len(m.Volumes) != 0 || len(m.Writes) != 0 {
				t.Errorf("resumed from %q, RAID volumes %v, writes %v", m.Resumed, m.Volumes, m.Writes)
			}
		} else {
			if m.Started == nil || len(m.Volumes) != 1 {
				t.Errorf("not started without an image:\n%s", m.SaidText())
			}
			noTimer(t, m)
		}
	}
}

// A disk that was away when the group was last changed is not waited for, and
// not used: what it holds is out of date.
func TestRAIDVolumesDoWithoutADiskThatTheGroupKnowsToBeMissing(t *testing.T) {
	for _, there := range []bool{false, true} {
		root := rootDisk()
		disks := mirrored(root, 1)
		m := machineWith("root=/dev/vg/root")
		m.Image.Full, m.Image.Features = true, []string{"lvm", "lvm-raid"}
		m.Plug(disks[0])
		if there {
			m.Plug(disks[1])
		}
		if err := m.Boot(5 * time.Minute); err != nil {
			t.Fatal(err)
		}
		if m.Started == nil || len(m.Volumes) != 1 || m.Volumes[0].Lost != 1 {
			t.Errorf("the disk is there: %v; started %v, RAID volumes %v\n%s", there, m.Started, m.Volumes, m.SaidText())
		}
		if !strings.Contains(m.SaidText(), "It was so when the group was last used") {
			t.Errorf("it does not say why:\n%s", m.SaidText())
		}
		noTimer(t, m)
	}
}

// The name of a filesystem means the origin, in whatever order the devices of
// origin and snapshot come up; the snapshot's own name means the snapshot.
func TestSnapshotIsNotTakenForItsOrigin(t *testing.T) {
	passed := 0
	for seed := range uint64(300) {
		root := rootDisk()
		vg := content.VG{Name: "vg", UUID: "012345abcdEFGHijklMNOPqrstUVWXYZ", Seqno: 7, Extent: 4 << 20,
			PVs: []content.PV{{UUID: fmt.Sprintf("%032d", 1), Size: 128 << 20, Device: "/dev/sda"}},
			LVs: []content.LV{
				{Name: "root", UUID: fmt.Sprintf("%032d", 2), Segments: []content.Segment{{Extents: 16, Areas: []content.Area{{Extent: 0}}}}},
				{Name: "snap", UUID: fmt.Sprintf("%032d", 3), Hidden: true, Segments: []content.Segment{{Extents: 4, Areas: []content.Area{{Extent: 16}}}}},
				{Name: "snapshot0", UUID: fmt.Sprintf("%032d", 4), Type: "snapshot", Segments: []content.Segment{{Extents: 16}},
					Made: []string{"chunk_size = 8", `origin = "root"`, `cow_store = "snap"`}},
			}}
		for _, c := range []struct{ spec, name string }{{"UUID=" + rootUUID, "vg-root"}, {"LABEL=root", "vg-root"}, {"/dev/vg/root", "vg-root"}, {"/dev/vg/snap", "vg-snap"}} {
			m := machineWith("root=" + c.spec)
			m.Seed, m.Record = seed, false
			m.Image.Full, m.Image.Features = true, []string{"lvm", "lvm-snapshot"}
			if seed%2 == 0 {
				m.Faults = []sim.Fault{{Kind: sim.EventsShuffled, For: 300 * time.Millisecond}}
			}
			for _, d := range sim.Volumes(vg, map[string]*sim.Disk{"root": root}) {
				m.Plug(d)
			}
			if err := m.Boot(5 * time.Minute); err != nil {
				t.Fatal(err)
			}
			if m.Started == nil {
				t.Fatalf("seed %d, root=%s: not started:\n%s\n%s", seed, c.spec, m.SaidText(), m.Journal)
			}
			node := ""
			for _, mt := range m.Mounts {
				if mt.Target == "/sysroot" {
					node = mt.Source
				}
			}
			if e := m.Core.World().Devices.ByName(node); e == nil || e.Property("DM_NAME") != c.name {
				t.Fatalf("seed %d, root=%s: the root is %s, not %s:\n%s", seed, c.spec, node, c.name, grep(m.Journal, "decision"))
			}
			// The origin may well be mounted before the snapshot is there.
			if strings.Contains(string(m.Journal), "is a snapshot of it") {
				passed++
				if c.spec[0] == '/' {
					t.Fatalf("seed %d, root=%s: a snapshot was passed over", seed, c.spec)
				}
			}
			m.Close()
		}
	}
	if passed < 50 {
		t.Errorf("the snapshot was there in %d boots by the name of the filesystem", passed)
	}
}
