package sim

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"firstlight/internal/machine"
	"firstlight/internal/netreport"
	"firstlight/internal/nvmf"
	"firstlight/internal/nvmfup"
)

// nvmfProgram is the program nvmf: the real one's core.
type nvmfProgram struct {
	*remote
	core *nvmfup.Core
}

func startNVMf(r *remote, prog machine.Program) {
	p := &nvmfProgram{remote: r}
	config := nvmf.Parse(nvmf.Sources{Params: strings.Split(string(prog.Input), "\n")})
	for _, text := range config.Problems {
		r.say(netreport.Report{State: netreport.StateProblem}.With("text", text).String())
	}
	p.core = nvmfup.New(p, config.Targets)
	r.run(p.core)
}

// dial reaches a target after its time.
func (p *nvmfProgram) dial(t nvmf.Target, then func(*Exporter, error)) {
	m, n := p.m, p.m.Network
	wait, err := 2*time.Millisecond, n.reach()
	addr, _ := netip.ParseAddr(t.Address)
	port, _ := strconv.ParseUint(t.Service, 10, 16)
	s := find(n.NVMe, netip.AddrPortFrom(addr, uint16(port)))
	switch {
	case err != nil:
	case s == nil:
		wait, err = 3*time.Second, unix.EHOSTUNREACH
	}
	m.At(m.now+wait, func() {
		if err == nil && s.away(m.now) {
			err = unix.ECONNREFUSED
		}
		if err != nil {
			err = fmt.Errorf("%w: %w", nvmfup.ErrUnreachable, err)
		}
		then(s, err)
		p.settle()
	})
}

// Connect implements nvmfup.Edge.
func (p *nvmfProgram) Connect(id int, t nvmf.Target) {
	p.dial(t, func(s *Exporter, err error) {
		name := ""
		if err == nil && s.Exports[t.NQN] == nil {
			err = fmt.Errorf("%w: %w", nvmfup.ErrRefused, unix.EIO)
		}
		if err == nil {
			s.Connections++
			name = p.m.Network.controller(p.m, s.Exports[t.NQN])
		}
		p.core.Connected(p.m.now, id, name, err)
	})
}

// controller connects one; the first to a disk makes it a device, others are
// further ways to it, which the kernel hides.
func (n *Network) controller(m *Machine, d *Disk) string {
	if n.spaces == nil {
		n.spaces = map[*Disk]*Disk{}
	}
	name := "nvme" + strconv.Itoa(n.controllers)
	if n.spaces[d] == nil {
		copied := *d
		n.spaces[d] = &copied
		m.plugRemote(&copied, name+"n1", 259, n.controllers*16)
	}
	n.controllers++
	return name
}

// Discover implements nvmfup.Edge: every target lists what all of them have.
func (p *nvmfProgram) Discover(id int, t nvmf.Target) {
	p.dial(t, func(_ *Exporter, err error) {
		var list []nvmf.Target
		if err == nil {
			for _, s := range p.m.Network.NVMe {
				for _, nqn := range sortedKeys(s.Exports) {
					list = append(list, nvmf.Target{Transport: "tcp", Address: s.Addr, Service: strconv.Itoa(int(s.Port)), NQN: nqn})
				}
			}
		}
		p.core.Discovered(p.m.now, id, list, err)
	})
}
