package sim_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"firstlight/internal/handler"
	"firstlight/internal/machine"
	"firstlight/internal/sim"
)

// onBtrfs is a machine whose root is on several devices.
func onBtrfs(cmdline string, devices, spare int) (*sim.Machine, []*sim.Disk) {
	m := machineWith("root=LABEL=root rd.emergency=poweroff rd.timeout=60 " + cmdline)
	m.Image.Full, m.Image.Features = true, []string{"overlay-root"}
	return m, sim.Btrfs(rootUUID, "root", devices, spare, debian())
}

// btrfsMount is how the filesystem of the root was mounted, wherever that was.
func btrfsMount(m *sim.Machine) (mt machine.Mount, ok bool) {
	for _, mt := range m.Mounts {
		if mt.FSType == "btrfs" {
			return mt, true
		}
	}
	return mt, false
}

// What becomes of a btrfs that lacks a device.
func TestBtrfsThatLacksADevice(t *testing.T) {
	const readOnly = 1
	for _, tt := range []struct {
		cmdline    string
		spare      int
		data, said string // "": not mounted
		flags      uintptr
	}{
		{"rw", 1, "degraded", "1 of 2 devices (/dev/vda is devid 1). Mounting it degraded.", 0},
		{"ro", 1, "degraded", "Mounting it degraded.", readOnly},
		{"rw rootflags=compress=zstd rd.btrfs.degraded=5,ro", 1, "compress=zstd,degraded,rescue=nologreplay", "degraded and read-only, without replaying its log", readOnly},
		{"rw rd.btrfs.degraded=5,overlay", 1, "degraded,rescue=nologreplay", "degraded and read-only, without replaying its log", readOnly},
		{"rw rd.btrfs.degraded=never", 1, "", "never without (rd.btrfs.degraded=)", 0},
		{"rw btrfs-member-delay=0", 1, "", "never without (rd.btrfs.degraded=)", 0},
		{"rw", 0, "", "it cannot be had without the rest", 0},
		// The kernel would.
		{"ro", 0, "", "it cannot be had without the rest", 0},
		{"rw rd.btrfs.degraded=5,ro", 0, "", "it cannot be had without the rest", 0},
		{"rw rd.btrfs.degraded=5,overlay", 0, "", "it cannot be had without the rest", 0},
	} {
		m, list := onBtrfs(tt.cmdline, 2, tt.spare)
		m.Plug(list[0])
		boot(t, m)
		mt, mounted := btrfsMount(m)
		if mounted != (tt.data != "") || mounted && (mt.Data != tt.data || mt.Flags&readOnly != tt.flags) || mounted != (m.Started != nil) {
			t.Errorf("%s: mounted %v %+v, started %v", tt.cmdline, mounted, mt, m.Started != nil)
		}
		if top := mountedOn(m, handler.SysRoot); strings.HasSuffix(tt.cmdline, "overlay") && mounted && top.FSType != "overlay" {
			t.Errorf("%s: the root is %+v", tt.cmdline, top)
		}
		if said := m.SaidText(); !strings.Contains(strings.Join(strings.Fields(said), " "), strings.Join(strings.Fields(tt.said), " ")) {
			t.Errorf("%s: it said:\n%s", tt.cmdline, said)
		}
		if (strings.Contains(tt.cmdline, ",ro") || strings.Contains(tt.cmdline, ",overlay") || !mounted) && len(m.Writes) > 0 {
			t.Errorf("%s: %v", tt.cmdline, m.Writes)
		}
	}
}

// A device comes late, never, or is there twice: with all of them the root is
// mounted whole, without some as the command line asks, never when some of what is
// on it is nowhere else, and with a copy not at all.
func TestBtrfsFamily(t *testing.T) {
	var late time.Duration
	var copied bool
	var missing, spare int
	var policy string
	family(t, func(_ uint64, rng *rand.Rand) *sim.Machine {
		n := 2 + rng.IntN(3)
		spare, missing, late, copied = rng.IntN(n), rng.IntN(n), 0, rng.IntN(6) == 0
		policy = [...]string{"", "rd.btrfs.degraded=5", "rd.btrfs.degraded=5,ro", "rd.btrfs.degraded=5,overlay", "rd.btrfs.degraded=never", "btrfs-member-delay=5"}[rng.IntN(6)]
		m, list := onBtrfs([...]string{"ro ", "rw "}[rng.IntN(2)]+policy, n, spare)
		if missing > 0 && rng.IntN(3) > 0 {
			late = time.Duration(rng.Int64N(int64(4 * time.Second)))
		}
		rng.Shuffle(n, func(i, j int) { list[i], list[j] = list[j], list[i] })
		if copied {
			twin := *list[missing]
			m.Plug(&twin)
		}
		for i, d := range list {
			switch {
			case i >= missing:
				m.Plug(d)
			case late > 0:
				m.At(late, func() { m.Plug(d) })
			}
		}
		return m
	}, func(m *sim.Machine) string {
		mt, mounted := btrfsMount(m)
		degraded := strings.Contains(mt.Data, "degraded")
		there := missing == 0 || late > 0
		moved := false
		for _, f := range m.Faults {
			moved = moved || f.Kind == sim.DiskLate || f.Kind == sim.DiskVanishes || f.Kind == sim.DiskCopied || f.Kind == sim.DiskAbsent
		}
		switch {
		case len(m.Lost) > 0:
			return fmt.Sprintf("mounted without what it cannot do without: %+v", m.Lost)
		case degraded && strings.Contains(policy, "never"):
			return "mounted degraded, which it is never to be"
		case degraded && !strings.Contains(m.SaidText(), "Mounting it degraded"):
			return "mounted degraded, which was not said"
		case degraded && (strings.Contains(policy, ",")) != strings.HasSuffix(mt.Data, "rescue=nologreplay"):
			return "mounted degraded with " + mt.Data
		case degraded && strings.HasSuffix(policy, "overlay") && m.Started != nil && mountedOn(m, handler.SysRoot).FSType != "overlay":
			return "started uncovered"
		case degraded && strings.Contains(policy, ",") && (mt.Flags&1 == 0 || len(m.Writes) > 0):
			return "written to, against rd.btrfs.degraded="
		case copied && mounted && calm(m) && !moved:
			return "mounted although a device is there twice"
		case moved || !calm(m) || copied:
		case there && degraded && len(m.Faults) == 0:
			return "mounted degraded, and all were there in time"
		case there && m.Started == nil:
			return "not started"
		case !there && missing <= spare && !strings.Contains(policy, "never") && m.Started == nil:
			return "not started without what it can do without"
		case !there && (missing > spare || strings.Contains(policy, "never")) && m.Started != nil:
			return "started without what it needs"
		}
		return ""
	})
}

// A root that grew from a seed is mounted with the seed, whichever of them comes
// first, and never without, nor while the seed is there twice.
func TestSproutFamily(t *testing.T) {
	var late time.Duration
	var copied, here bool
	family(t, func(_ uint64, rng *rand.Rand) *sim.Machine {
		late, copied, here = 0, rng.IntN(6) == 0, rng.IntN(5) > 0
		m, _ := onBtrfs([...]string{"ro ", "rw "}[rng.IntN(2)]+[...]string{"", "rd.btrfs.degraded=5", "rd.btrfs.degraded=5,ro"}[rng.IntN(3)], 2, 0)
		m.Cmdline = strings.ReplaceAll(m.Cmdline, "root=LABEL=root", "root=UUID="+rootUUID) // the label is the seed's too
		seed, grown := sim.Sprout(keyUUID, rootUUID, "root", debian())
		twin := *seed
		if rng.IntN(2) == 0 {
			late = time.Duration(rng.Int64N(int64(4 * time.Second)))
		}
		first, second := seed, grown
		if rng.IntN(2) == 0 || !here {
			first, second = grown, seed
		}
		m.Plug(first)
		if here {
			m.At(late, func() { m.Plug(second) })
		}
		if copied && here {
			m.Plug(&twin)
		}
		return m
	}, func(m *sim.Machine) string {
		mt, mounted := btrfsMount(m)
		moved := false
		for _, f := range m.Faults {
			moved = moved || f.Kind == sim.DiskLate || f.Kind == sim.DiskVanishes || f.Kind == sim.DiskCopied || f.Kind == sim.DiskAbsent
		}
		switch {
		case len(m.Lost) > 0:
			return fmt.Sprintf("mounted without the seed: %+v", m.Lost)
		case m.Started != nil && m.Mounted(handler.SysRoot).Label != "btrfs "+rootUUID:
			return "the root is " + m.Mounted(handler.SysRoot).Label
		case mounted && strings.Contains(mt.Data, "degraded") && !moved && calm(m):
			return "mounted degraded"
		case moved || !calm(m):
		case !here && m.Started != nil:
			return "started without the seed"
		case here && copied && late == 0 && len(m.Faults) == 0 && m.Started != nil:
			return "started although the seed is there twice"
		case here && !copied && m.Started == nil:
			return "not started"
		}
		return ""
	})
}

// What an image without overlays is to cover it leaves alone.
func TestDegradedBtrfsIsNotUsedUncovered(t *testing.T) {
	m, list := onBtrfs("rw rd.btrfs.degraded=5,overlay", 2, 1)
	m.Image.Full, m.Image.Features = false, nil
	m.Plug(list[0])
	boot(t, m)
	if m.Started != nil || m.Mounted(handler.SysRoot) != nil && len(m.Writes) > 0 {
		t.Errorf("started; it said:\n%s", m.SaidText())
	}
}
