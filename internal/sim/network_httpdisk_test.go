package sim_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"firstlight/internal/sim"
)

const diskURL = "http://10.0.0.1/disk.img"

// onWebDisk is a machine whose root is in a file of a web server that is read as it is
// needed.
func onWebDisk(cmdline string) (m *sim.Machine, inside *sim.Disk) {
	m = onNetwork(cmdline)
	inside = volatileRoot()
	m.Network.Web = &sim.WebDisks{Files: map[string]*sim.Disk{diskURL: inside, "http://10.0.0.1/other": changesDisk()}}
	return m, inside
}

const takesAny = " rd.firstlight.unverified"

func TestDisksOnAWebServer(t *testing.T) {
	for _, c := range []struct{ cmdline, want string }{
		{"netroot=" + diskURL, "/dev/nbd0 ext4"},
		{"netroot=" + diskURL + " root=UUID=" + rootUUID, "/dev/nbd0 ext4"},
		{"netroot=http://10.0.0.1/other netroot=" + diskURL + " root=UUID=" + rootUUID, "/dev/nbd1 ext4"},
		{"netroot=http://user:secret@10.0.0.1/disk.img root=/dev/nbd0 ip=dhcp", "/dev/nbd0 ext4"},
	} {
		t.Run(c.cmdline, func(t *testing.T) {
			m, _ := onWebDisk("ro " + c.cmdline + takesAny)
			m.Record = true
			boot(t, m)
			onServer(t, m, c.want)
			if strings.Contains(m.SaidText()+string(m.Journal), "secret@") {
				t.Error("the password is shown")
			}
			if s := m.Core.Stats(); s.Fired != 0 {
				t.Errorf("%d deadlines passed", s.Fired)
			}
		})
	}
	for _, cmdline := range []string{"root=live:" + diskURL, "root=" + diskURL} {
		m, _ := onWebDisk("ro " + cmdline + " rd.firstlight.ondemand" + takesAny)
		m.Record = true
		boot(t, m)
		if m.Started == nil {
			t.Fatalf("%s: not started; it said:\n%s", cmdline, m.SaidText())
		}
		if d := m.Below("/run/rootfsbase"); d == nil || d.Name != "nbd0" {
			t.Errorf("%s: the root below is not nbd0: %+v", cmdline, m.Mounts)
		}
		replays(t, m)
	}
}

func TestWhatIsNotReadAsADiskSaysWhy(t *testing.T) {
	for _, c := range []struct {
		cmdline, says string
		change        func(*sim.WebDisks)
	}{
		{"netroot=" + diskURL, "nothing verifies what is read from it", nil},
		{"root=live:" + diskURL + " rd.firstlight.ondemand", "nothing verifies what is read from it", nil},
		{"root=live:https://10.0.0.1/disk.img rd.firstlight.ondemand rd.noverifyssl" + takesAny, "nothing at all would be verified", nil},
		{"netroot=" + diskURL + takesAny, "sends all of the file", func(s *sim.WebDisks) { s.NoRanges = true }},
		{"netroot=" + diskURL + takesAny, "which version of the file", func(s *sim.WebDisks) { s.Nameless = true }},
		{"netroot=" + diskURL + "x" + takesAny, "answers 404 (Not Found)", nil},
		{"netroot=" + diskURL + takesAny, "which is not HTTP", func(s *sim.WebDisks) { s.Moved = map[string]string{diskURL: "ftp://x/y"} }},
	} {
		t.Run(c.says, func(t *testing.T) {
			m, _ := onWebDisk(c.cmdline + " rd.timeout=30 rd.emergency=poweroff")
			if c.change != nil {
				c.change(m.Network.Web)
			}
			boot(t, m)
			if m.Started != nil || !strings.Contains(oneLine(m.SaidText()), c.says) {
				t.Errorf("it does not say %q; it said:\n%s", c.says, m.SaidText())
			}
		})
	}
}

// Web servers that come late and go away, by seed: the root is there whenever the
// server is there long enough before the deadline.
func TestManyWebServersWithDisks(t *testing.T) {
	seeds := 60
	if n, err := strconv.Atoi(os.Getenv("FIRSTLIGHT_SEEDS")); err == nil {
		seeds = n
	}
	for seed := range uint64(seeds) {
		r := rand.New(rand.NewPCG(seed, 9))
		form := [...]string{"netroot=" + diskURL + " root=UUID=" + rootUUID, "root=live:" + diskURL + " rd.firstlight.ondemand"}[r.IntN(2)]
		m, _ := onWebDisk(fmt.Sprintf("ro %s%s rd.timeout=90 rd.emergency=poweroff", form, takesAny))
		m.Seed = seed
		w := m.Network.Web
		last := time.Duration(0)
		for range r.IntN(4) {
			from := time.Duration(r.Int64N(int64(30 * time.Second)))
			to := from + time.Duration(r.Int64N(int64(20*time.Second)))
			w.Away, last = append(w.Away, [2]time.Duration{from, to}), max(last, to)
		}
		boot(t, m)
		if m.Started == nil {
			t.Fatalf("seed %d: not started, though the server is there after %v:\n%s", seed, last, m.SaidText())
		}
		m.Close()
	}
}
