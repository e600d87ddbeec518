package sim_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"firstlight/internal/handler"
	"firstlight/internal/sim"
)

func sharing(cmdline, fstype string) *sim.Machine {
	m := full(cmdline)
	m.Shares = map[string]*sim.Share{"root": {FSType: fstype, Files: map[string]string{"/sbin/init": "#!"}}}
	return m
}

// rootMount is what the root was mounted as, "" if it was not.
func rootMount(m *sim.Machine) string {
	for _, mt := range m.Mounts {
		if mt.Target == handler.SysRoot {
			return mt.Source + " " + mt.FSType + " " + mt.Data
		}
	}
	return ""
}

func TestRootsOfTheHost(t *testing.T) {
	for _, c := range []struct{ cmdline, fstype, want string }{
		{"rw root=virtiofs:root", "virtiofs", "root virtiofs "},
		{"rw root=root rootfstype=virtiofs", "virtiofs", "root virtiofs "},
		{"root=SOURCE=root rootfstype=9p", "9p", "root 9p trans=virtio,version=9p2000.L"},
		{"root=root rootfstype=9p rootflags=version=9p2000.u,msize=65536", "9p", "root 9p trans=virtio,version=9p2000.u,msize=65536"},
		{"root=9p:root rootflags=trans=fd,version=9p2000.L", "9p", "root 9p trans=fd,version=9p2000.L"},
	} {
		for _, at := range []time.Duration{0, 20 * time.Second} {
			m := sharing(c.cmdline, c.fstype)
			m.At(at, func() { m.ShareUp("root") })
			if err := m.Boot(5 * time.Minute); err != nil {
				t.Fatal(err)
			}
			if got := rootMount(m); m.Started == nil || got != c.want {
				t.Errorf("%s, device after %v: mounted %q, want %q\n%s", c.cmdline, at, got, c.want, m.SaidText())
			}
			m.Close()
		}
	}
}

// A tag that the host does not offer is explained when the root's time is over, and
// nothing else is mounted in its place, whatever devices come.
func TestRootThatTheHostDoesNotOffer(t *testing.T) {
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 3))
		m := sharing("rw root=virtiofs:other rd.timeout=30 panic=1", "virtiofs")
		m.Seed = seed
		m.At(time.Duration(rng.Int64N(int64(40*time.Second))), func() { m.ShareUp("root") })
		m.At(time.Duration(rng.Int64N(int64(40*time.Second))), func() { m.Plug(rootDisk()) })
		if err := m.Boot(5 * time.Minute); err != nil {
			t.Fatal(err)
		}
		if got := rootMount(m); got != "" || m.Started != nil || !strings.Contains(m.SaidText(), "other") || !strings.Contains(strings.Join(strings.Fields(m.SaidText()), " "), "offers no such tag") {
			t.Fatalf("seed %d: mounted %q\n%s", seed, got, m.SaidText())
		}
		m.Close()
	}
}
