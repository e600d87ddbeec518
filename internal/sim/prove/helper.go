package prove

import (
	"time"

	"firstlight/internal/machine"
	"firstlight/internal/sim"
	"firstlight/internal/sim/gen"
)

// checker is the helper that checks filesystems.
const checker = "/sbin/fsck.ext4"

// check is the checker: it finds nothing unless it is told to.
func (t *trial) check(m *sim.Machine, args []string) machine.Exit {
	node := args[len(args)-1]
	for _, f := range t.d.Faults {
		if f.Trouble != gen.Checker {
			continue
		}
		switch f.What {
		case gen.Mends:
			m.Wrote(node, checker)
			return machine.Exit{Code: 1, Output: node + ": recovering journal"}
		case gen.Undecided:
			return machine.Exit{Code: 4, Output: node + ": Inode 12 is not to be mended by itself"}
		}
	}
	return machine.Exit{Output: node + ": clean"}
}

// cards puts network cards into the machine. Nothing of a boot from disks has
// need of them; their links come and go meanwhile.
func (t *trial) cards() {
	for i := range t.d.Cards {
		card := sim.NIC(250 + i)
		t.sim.Attach(card)
		for n := range 3 {
			at := time.Duration(1+n*(7+i*13)) * 40 * time.Millisecond
			t.sim.At(at, func() { t.sim.LinkChanged(card, n%2 == 0) })
		}
	}
}
