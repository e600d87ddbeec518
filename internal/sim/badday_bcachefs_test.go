package sim_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"firstlight/internal/handler"
	"firstlight/internal/sim"
	"firstlight/internal/sim/content"
)

func bcachefsMember(index, count int, locked bool) *sim.Disk {
	c := content.Bcachefs{UUID: rootUUID, Label: "root", Index: index, Count: count, Seq: 9, Locked: locked}
	b := make([]byte, 64<<10)
	for _, p := range c.Pieces() {
		copy(b[p.At:], p.Data)
	}
	return &sim.Disk{Content: b, Files: debian(), FSType: "bcachefs"}
}

func onBcachefs(root string, disks ...*sim.Disk) *sim.Machine {
	m := full("root="+root+" rd.emergency=poweroff rd.timeout=90", disks...)
	m.Image.Features = []string{"bcachefs"}
	return m
}

func TestBcachefsOnSeveralDevicesIsMountedWithAll(t *testing.T) {
	for name, tt := range map[string]struct{ root, want string }{
		"uuid":  {"UUID=" + rootUUID, "/dev/vda:/dev/vdb"},
		"label": {"LABEL=root", "/dev/vda:/dev/vdb"},
		"path":  {"/dev/vdb", "/dev/vda:/dev/vdb"},
		"both":  {"/dev/vda:/dev/vdb", "/dev/vda:/dev/vdb"},
	} {
		t.Run(name, func(t *testing.T) {
			m := onBcachefs(tt.root, bcachefsMember(0, 2, false), bcachefsMember(1, 2, false))
			boot(t, m)
			started(t, m, tt.want)
		})
	}
	m := onBcachefs("UUID="+rootUUID, bcachefsMember(0, 1, false))
	boot(t, m)
	started(t, m, "/dev/vda")
	m = onBcachefs("UUID="+rootUUID, bcachefsMember(0, 2, true), bcachefsMember(1, 2, true))
	boot(t, m)
	if m.Started != nil || !strings.Contains(m.SaidText(), "it is encrypted, and Firstlight cannot open it") {
		t.Errorf("encrypted: %v\n%s", m.Started, m.SaidText())
	}
}

// A member comes late, never, or is there twice: with all of them the root is
// mounted whole, without one degraded once it was waited for, and with a copy not
// at all.
func TestBcachefsFamily(t *testing.T) {
	var late time.Duration
	var copied bool
	family(t, func(_ uint64, rng *rand.Rand) *sim.Machine {
		n := 2 + rng.IntN(3)
		m := onBcachefs([...]string{"UUID=" + rootUUID, "LABEL=root"}[rng.IntN(2)])
		who := rng.IntN(n)
		late, copied = 0, rng.IntN(5) == 0
		if rng.IntN(2) == 0 {
			if late = time.Duration(rng.Int64N(int64(5 * time.Second))); rng.IntN(3) == 0 {
				late = time.Hour
			}
		}
		for i := range n {
			d := bcachefsMember(i, n, false)
			if i == who && copied {
				m.Plug(bcachefsMember(i, n, false))
			}
			if i == who && late > 0 {
				m.At(late, func() { m.Plug(d) })
				continue
			}
			m.Plug(d)
		}
		return m
	}, func(m *sim.Machine) string {
		degraded, source := false, ""
		for _, mt := range m.Mounts {
			if mt.Target == handler.SysRoot {
				degraded, source = strings.Contains(mt.Data, "degraded"), mt.Source
			}
		}
		moved := false
		for _, f := range m.Faults {
			moved = moved || f.Kind == sim.DiskLate || f.Kind == sim.DiskVanishes || f.Kind == sim.DiskCopied
		}
		switch {
		case moved:
		case m.Started == nil && calm(m) && !copied:
			return "not started"
		case degraded && calm(m) && late < time.Minute:
			return "mounted degraded, and the last member came in time: " + source
		case degraded && !strings.Contains(m.SaidText(), "is mounted degraded"):
			return "mounted degraded, which was not said"
		case copied && late == 0 && m.Started != nil && calm(m):
			return "mounted although a member is there twice"
		}
		return ""
	})
}

// A member may lie behind a passphrase: however long it takes to type, nothing is
// mounted without that member meanwhile.
func TestBcachefsWaitsForThePassphrase(t *testing.T) {
	inner := bcachefsMember(1, 2, false)
	m := onBcachefs("UUID="+rootUUID+" rd.luks.name="+luksUUID+"=cr", bcachefsMember(0, 2, false),
		sim.Encrypt(content.LUKS{Version: 2, UUID: luksUUID, Passphrases: []string{passphrase}}, inner))
	m.Answer = types(passphrase, 50*time.Second)
	boot(t, m)
	started(t, m, "/dev/vda:/dev/dm-0")
	if strings.Contains(m.SaidText(), "degraded") {
		t.Errorf("given up while the passphrase was typed:\n%s", m.SaidText())
	}
}
