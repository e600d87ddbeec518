package sim

import (
	"slices"
	"time"

	"firstlight/internal/aoe"
	"firstlight/internal/diskup"
	"firstlight/internal/machine"
)

// AoE is a server of ATA over Ethernet, on the wire of all cards that are not apart.
type AoE struct {
	// Disks are what it has, by name ("e0.0").
	Disks map[string]*Disk
	// Away are times during which it does not answer, from and to.
	Away [][2]time.Duration
	// Asked counts the questions.
	Asked int
}

// aoeSearch is the part of the program network that looks for a disk.
type aoeSearch struct {
	*remote
	core *aoe.Search
}

func startAoE(r *remote, prog machine.Program) {
	d, _, ok := aoe.Parse(prog.Args[1])
	if !ok {
		r.end(1)
		return
	}
	s := &aoeSearch{remote: r}
	s.core = aoe.New(s, d)
	s.step()
}

func (s *aoeSearch) step() {
	s.core.Step(s.m.now)
	if s.core.Next() == diskup.Never {
		s.end(0)
		return
	}
	s.m.At(s.core.Next(), s.step)
}

// Discover implements aoe.Edge: what the server has that nobody knows yet answers.
func (s *aoeSearch) Discover() error {
	m, a := s.m, s.m.Network.AoE
	if a == nil {
		return nil
	}
	a.Asked++
	wire := false
	for _, c := range m.Network.Cards {
		wire = wire || !c.Apart
	}
	away := slices.ContainsFunc(a.Away, func(w [2]time.Duration) bool { return m.now >= w[0] && m.now < w[1] })
	if !wire || away {
		return nil
	}
	m.At(m.now+webWire, func() {
		minor := 0
		for _, name := range sortedKeys(a.Disks) {
			if node := "etherd/" + name; m.disks["/dev/"+node] == nil {
				d := *a.Disks[name]
				d.Name, d.major, d.minor, d.devpath = node, 152, minor, "/devices/virtual/block/etherd!"+name
				m.plugged(&d)
			}
			minor += 16
		}
	})
	return nil
}

// There implements aoe.Edge.
func (s *aoeSearch) There(d aoe.Disk) bool { return s.m.disks[d.Node()] != nil }
