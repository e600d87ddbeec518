package sim_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"firstlight/internal/handler"
	"firstlight/internal/sim"
	"firstlight/internal/sim/content"
)

// commits are generations of a filesystem from first to last, each in the place
// after the one before, as who wrote them calls them.
func commits(by string, first, last uint64) []content.BtrfsCommit {
	var list []content.BtrfsCommit
	for g := first; g <= last; g++ {
		list = append(list, content.BtrfsCommit{Generation: g, Place: int(g % 8), Text: fmt.Sprint(by, " ", g)})
	}
	return list
}

// What becomes of a btrfs whose two devices do not hold the same.
func TestBtrfsWhoseDevicesDiffer(t *testing.T) {
	both := commits("both", 10, 12)
	with := func(more ...content.BtrfsCommit) []content.BtrfsCommit { return append(both[:3:3], more...) }
	for _, tt := range []struct {
		name    string
		sides   [2]sim.BtrfsSide
		cmdline string
		label   string // of what is mounted, "" for nothing
		data    string
		said    string
	}{
		{"the same", [2]sim.BtrfsSide{{Commits: both}, {Commits: both}}, "rw", "both 12", "", ""},
		{"a crash between the superblocks", [2]sim.BtrfsSide{{Commits: both, Behind: 1}, {Commits: both}}, "rw", "both 12", "", ""},
		{"the second missed writes", [2]sim.BtrfsSide{{Commits: with(commits("one", 13, 15)...)}, {Commits: both}}, "rw", "one 15", "degraded",
			"/dev/vdb has missed writes of it (generation 12, /dev/vda has 15). It is not used."},
		{"the first missed writes", [2]sim.BtrfsSide{{Commits: both}, {Commits: with(commits("two", 13, 30)...)}}, "rw", "two 30", "degraded", "/dev/vda has missed writes"},
		{"one missed a single commit", [2]sim.BtrfsSide{{Commits: both}, {Commits: with(commits("two", 13, 13)...)}}, "rw", "two 13", "degraded", "/dev/vda has missed writes"},
		{"read-only without it", [2]sim.BtrfsSide{{Commits: both}, {Commits: with(commits("two", 13, 15)...)}}, "rw rd.btrfs.degraded=5,ro", "two 15", "degraded,rescue=nologreplay", "/dev/vda has missed writes"},
		{"never without it", [2]sim.BtrfsSide{{Commits: both}, {Commits: with(commits("two", 13, 15)...)}}, "rw rd.btrfs.degraded=never", "", "", "/dev/vda has missed writes"},
		{"split, with one generation", [2]sim.BtrfsSide{{Commits: with(commits("one", 13, 15)...)}, {Commits: with(commits("two", 13, 15)...)}}, "rw", "", "",
			"were each used without the other"},
		{"split, one a little further", [2]sim.BtrfsSide{{Commits: with(commits("one", 13, 15)...)}, {Commits: with(commits("two", 13, 14)...)}}, "rw", "", "",
			"/dev/vda (generation 15) and /dev/vdb (generation 14) were each used without the other"},
		{"split, one far further", [2]sim.BtrfsSide{{Commits: with(commits("one", 13, 40)...)}, {Commits: append(with(), content.BtrfsCommit{Generation: 14, Place: 11, Text: "two 14"})}}, "rw", "one 40", "degraded",
			"/dev/vdb has missed writes"}, // nothing of the one shows it
	} {
		m, _ := onBtrfs(tt.cmdline, 2, 1)
		for _, d := range sim.BtrfsSides(rootUUID, "root", 1, tt.sides[:], debian()) {
			m.Plug(d)
		}
		boot(t, m)
		mt, mounted := btrfsMount(m)
		label := ""
		if mounted && m.Mounted(handler.SysRoot) != nil {
			label = strings.TrimPrefix(m.Mounted(handler.SysRoot).Label, "btrfs "+rootUUID+" ")
		}
		if label != tt.label || mt.Data != tt.data || mounted != (m.Started != nil) || len(m.Mixed) > 0 {
			t.Errorf("%s: mounted %q with %q, started %v, mixed %v", tt.name, label, mt.Data, m.Started != nil, m.Mixed)
		}
		if said := strings.Join(strings.Fields(m.SaidText()), " "); !strings.Contains(said, tt.said) {
			t.Errorf("%s: it said:\n%s", tt.name, m.SaidText())
		}
		if tt.label != "" && tt.data != "" && m.Now() > 10*time.Second {
			t.Errorf("%s: it took %v, and nothing was to be waited for", tt.name, m.Now())
		}
	}
}

// Devices that missed writes, that were each used without the other, or that a crash
// left a generation apart: never is what does not belong together mounted together,
// what is out of date is not used, and where each went on alone none is chosen.
func TestBtrfsHistoriesFamily(t *testing.T) {
	var kind, never int
	var late time.Duration
	var newest string
	family(t, func(_ uint64, rng *rand.Rand) *sim.Machine {
		n := 2 + rng.IntN(3)
		kind, never, late = rng.IntN(4), rng.IntN(6), 0
		at := 20 + rng.Uint64N(20)
		both := commits("both", at-3, at)
		sides := make([]sim.BtrfsSide, n)
		for i := range sides {
			sides[i].Commits = both
		}
		newest = both[3].Text
		odd := 1 + rng.IntN(n-1)
		switch kind {
		case 1: // a crash
			sides[odd].Behind = 1
		case 2, 3: // some went on without the odd one
			more := commits("most", at+1, at+1+rng.Uint64N(3))
			newest = more[len(more)-1].Text
			for i := range sides {
				if i != odd {
					sides[i].Commits = append(both[:4:4], more...)
				}
			}
			if kind == 3 { // and so did it
				sides[odd].Commits = append(both[:4:4], commits("odd", at+1, more[len(more)-1].Generation-rng.Uint64N(uint64(len(more))))...)
			}
		}
		policy := ""
		if never == 0 {
			policy = "rd.btrfs.degraded=never"
		}
		m, _ := onBtrfs([...]string{"ro ", "rw "}[rng.IntN(2)]+policy, 2, 1)
		list := sim.BtrfsSides(rootUUID, "root", n-1, sides, debian())
		if rng.IntN(2) == 0 {
			late = time.Duration(rng.Int64N(int64(3 * time.Second)))
		}
		first := rng.IntN(n)
		for i, d := range list {
			if i == first {
				m.At(late, func() { m.Plug(d) })
			} else {
				m.Plug(d)
			}
		}
		return m
	}, func(m *sim.Machine) string {
		mt, mounted := btrfsMount(m)
		moved := false
		for _, f := range m.Faults {
			moved = moved || f.Kind == sim.DiskLate || f.Kind == sim.DiskVanishes || f.Kind == sim.DiskCopied || f.Kind == sim.DiskAbsent
		}
		label := ""
		if m.Started != nil && m.Mounted(handler.SysRoot) != nil {
			label = strings.TrimPrefix(m.Mounted(handler.SysRoot).Label, "btrfs "+rootUUID+" ")
		}
		switch {
		case len(m.Mixed) > 0 && !moved:
			return fmt.Sprintf("mounted with what does not belong to it: %+v", m.Mixed)
		case len(m.Lost) > 0:
			return fmt.Sprintf("mounted without what it cannot do without: %+v", m.Lost)
		case moved || !calm(m):
		case kind == 3 && mounted:
			return "mounted although each was used without the other"
		case kind == 2 && never == 0 && mounted:
			return "mounted degraded, which it is never to be"
		case kind == 3 || kind == 2 && never == 0:
		case m.Started == nil:
			return "not started"
		case label != newest:
			return "started from " + label
		case (kind == 2) != strings.Contains(mt.Data, "degraded") && len(m.Faults) == 0:
			return "mounted with " + mt.Data
		case kind == 2 && !strings.Contains(m.SaidText(), "missed writes"):
			return "nothing was said of what is out of date"
		}
		return ""
	})
}
