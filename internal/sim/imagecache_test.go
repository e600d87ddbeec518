package sim_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"firstlight/internal/imagecache"
	"firstlight/internal/sim"
)

// keptFile is where an image is kept on the disk of these machines.
const keptFile = "/firstlight/root.sfs"

// keeps is a machine that keeps the image of a server on a disk.
func keeps(cmdline string) (m *sim.Machine, inside, disk *sim.Disk) {
	m, inside = onWeb("ro root=live:" + imageURL + " rd.firstlight.keep=LABEL=changes " + cmdline)
	disk = changesDisk()
	m.Plug(disk)
	return m, inside, disk
}

// record is one of what is kept.
func record(known string, done int64) string {
	return imagecache.Record{URL: imageURL, Known: known, Sum: imageSum, Done: done}.String()
}

func TestAnImageIsKept(t *testing.T) {
	m, inside, disk := keeps("rd.firstlight.sha256=" + imageSum)
	boot(t, m)
	if m.Started == nil || m.Below("/run/rootfsbase") != inside || disk.Files[keptFile] != "image" {
		t.Fatalf("not started, or %q is kept; it said:\n%s", disk.Files, m.SaidText())
	}
	files := disk.Files
	// Nobody is there in the second boot, neither a server of the image nor of addresses.
	for _, newer := range []string{"", ",newer=5"} {
		m, inside, disk = keeps("rd.firstlight.sha256=" + imageSum)
		m.Cmdline = strings.Replace(m.Cmdline, "LABEL=changes", "LABEL=changes"+newer, 1)
		disk.Files, m.Network.Server = files, nil
		m.Web.Away = [][2]time.Duration{{0, time.Hour}}
		boot(t, m)
		if m.Started == nil || m.Below("/run/rootfsbase") != inside || len(m.Web.Asked) != 0 {
			t.Fatalf("not started, or the server was asked; it said:\n%s", m.SaidText())
		}
		if newer == "" && m.Core.Stats().Fired != 0 {
			t.Errorf("%d deadlines passed", m.Core.Stats().Fired)
		}
	}
}

func TestWhatIsNotKeptSaysWhy(t *testing.T) {
	const sum = "rd.timeout=30 rd.emergency=poweroff rd.firstlight.sha256=" + imageSum
	for says, change := range map[string]func(m *sim.Machine, disk *sim.Disk){
		"is not overwritten": func(m *sim.Machine, disk *sim.Disk) { disk.Files[keptFile] = "mine" },
		"has not appeared": func(m *sim.Machine, disk *sim.Disk) {
			m.Cmdline = strings.Replace(m.Cmdline, "=LABEL=changes", "=LABEL=other", 1)
		},
		"read-only file system": func(m *sim.Machine, disk *sim.Disk) { disk.ReadOnly = true },
		"names no device": func(m *sim.Machine, disk *sim.Disk) {
			m.Cmdline = strings.Replace(m.Cmdline, "=LABEL=changes", "=changes", 1)
		},
		"names no directory": func(m *sim.Machine, disk *sim.Disk) {
			m.Cmdline = strings.Replace(m.Cmdline, "=LABEL=changes", "=LABEL=changes:/../x", 1)
		},
		"neither newer nor": func(m *sim.Machine, disk *sim.Disk) {
			m.Cmdline = strings.Replace(m.Cmdline, "=LABEL=changes", "=LABEL=changes,old", 1)
		},
		"has none fetched": func(m *sim.Machine, disk *sim.Disk) { m.Cmdline += " rd.firstlight.ondemand" },
	} {
		t.Run(says, func(t *testing.T) {
			m, _, disk := keeps(sum)
			change(m, disk)
			boot(t, m)
			if m.Started != nil || !strings.Contains(oneLine(m.SaidText()), says) {
				t.Errorf("it does not say %q; it said:\n%s", says, m.SaidText())
			}
			if got := disk.Files[keptFile]; got != "" && got != "mine" {
				t.Errorf("%q is kept", got)
			}
		})
	}
}

// What is kept may be anything, and the server does what it wants, by seed: the root
// is never anything but the image whose sum was asked for, what others have put on
// the disk stays, and under the name of the image there is a whole one or none.
func TestManyKeptImages(t *testing.T) {
	started, found, resumed := 0, 0, 0
	from, to := seedsOf(300)
	for seed := from; seed < to; seed++ {
		r := rand.New(rand.NewPCG(seed, 66))
		m, inside, disk := keeps("rd.timeout=90 rd.emergency=poweroff rd.firstlight.sha256=" + imageSum)
		m.Seed = seed
		newer := r.IntN(3) == 0
		if newer {
			m.Cmdline = strings.Replace(m.Cmdline, "LABEL=changes", "LABEL=changes,newer=10", 1)
		}
		kept := []string{"", "image", "other", "damaged", "mine"}[r.IntN(5)]
		if kept != "" {
			disk.Files[keptFile] = kept
		}
		if kept != "" && kept != "mine" {
			disk.Files[keptFile+imagecache.RecordEnd] = record(`"`+kept+`"`, m.Web.Size)
		}
		part := []string{"", "image", "other", "damaged"}[r.IntN(4)]
		if part != "" {
			disk.Files[keptFile+imagecache.PartEnd] = part
			disk.Files[keptFile+imagecache.PartEnd+imagecache.RecordEnd] = record([]string{`"image"`, `"other"`, ""}[r.IntN(3)], r.Int64N(m.Web.Size))
		}
		w := m.Web
		w.NoRanges, w.Silent, w.Nameless = r.IntN(4) == 0, r.IntN(6) == 0, r.IntN(6) == 0
		w.Rate = 1<<20 + r.Int64N(100<<20)
		for range r.IntN(4) {
			from := time.Duration(r.Int64N(int64(30 * time.Second)))
			w.Away = append(w.Away, [2]time.Duration{from, from + time.Duration(r.Int64N(int64(20*time.Second)))})
			w.Breaks = append(w.Breaks, r.Int64N(w.Size))
		}
		if r.IntN(3) == 0 {
			w.Changes = time.Duration(r.Int64N(int64(20 * time.Second)))
		}
		boot(t, m)
		fail := func(text string) {
			t.Fatalf("seed %d (kept %q, part %q): %s; it said:\n%s", seed, kept, part, text, m.SaidText())
		}
		now := disk.Files[keptFile]
		switch {
		case m.Started != nil && m.Below("/run/rootfsbase") != inside:
			fail("another root than that of the sum")
		case kept == "mine" && (now != "mine" || m.Started != nil):
			fail("what somebody else has put there was used, or is gone")
		case kept == "image" && (m.Started == nil || now != "image"):
			fail("what is kept was not used")
		case kept == "image" && !newer && len(w.Asked) != 0:
			fail("the server was asked")
		case now != "" && now != kept && now != "image":
			fail(fmt.Sprintf("%q is kept now", now))
		case m.Started != nil && now != "image":
			fail("the image is not kept")
		case m.Started == nil && kept != "mine" && w.Changes == 0:
			fail("not started")
		}
		if m.Started != nil {
			started++
		}
		if strings.Contains(string(m.Journal), "found root.sfs on") {
			found++
		}
		if part != "" && len(w.Asked) > 0 && w.Asked[0] > 0 {
			resumed++
		}
		m.Close()
	}
	all := int(to - from)
	if all >= 300 && (started < all/2 || found < all/10 || resumed < all/10) {
		t.Errorf("of %d boots %d started, %d found it, %d went on with a part", all, started, found, resumed)
	}
	t.Logf("of %d boots %d started, %d found it, %d went on with a part", all, started, found, resumed)
}
