package sim_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"firstlight/internal/handler"
	"firstlight/internal/sim"
)

// What lies in pieces on several disks, without anything to make up for one
// (RAID0, linear), is never started without one of them, whatever the command line
// says of degraded arrays. One that comes late is used.
func TestStripedFamily(t *testing.T) {
	var missing int
	var late time.Duration
	family(t, func(_ uint64, rng *rand.Rand) *sim.Machine {
		level := [...]int{0, -1}[rng.IntN(2)]
		disks := ofArray(level, 2+rng.IntN(3), theRoot())
		policy := [...]string{"", " rd.md.degraded=3", " rd.md.degraded=3,ro", " rd.md.degraded=rw", " rd.md.degraded=overlay", " rd.md.degraded=never", " rd.firstlight.degraded=1", " raid-member-delay=2"}[rng.IntN(8)]
		m := full("root=LABEL=root " + [...]string{"ro", "rw"}[rng.IntN(2)] + " rd.timeout=60 rd.emergency=poweroff" + policy)
		missing, late = rng.IntN(len(disks)+1)-1, 0 // -1: they are all there
		if missing >= 0 && rng.IntN(2) == 0 {
			late = time.Duration(rng.Int64N(int64(40*time.Second))) + time.Millisecond
		}
		for i, d := range disks {
			switch {
			case i != missing:
				m.Plug(d)
			case late > 0:
				m.At(late, func() { m.Plug(d) })
			}
		}
		return m
	}, func(m *sim.Machine) string {
		moved := false
		for _, f := range m.Faults {
			moved = moved || f.Kind == sim.DiskLate || f.Kind == sim.DiskVanishes || f.Kind == sim.DiskCopied || f.Kind == sim.DiskAbsent
		}
		here := missing < 0 || late > 0
		switch {
		case !here && m.Mounted(handler.SysRoot) != nil:
			return "mounted without a member"
		case !here && (len(m.Arrays) > 0 || m.Started != nil):
			return fmt.Sprintf("started without a member: %+v", m.Arrays)
		case !here && len(m.Writes) > 0:
			return fmt.Sprintf("written to: %+v", m.Writes)
		case here && !moved && calm(m) && m.Started == nil:
			return "not started"
		}
		return ""
	})
}
