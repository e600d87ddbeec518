package sim_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"firstlight/internal/netup/netuptest"
	"firstlight/internal/sim"
)

const nvmeDisk = "nqn.2026-01.example:disk"

// onNVMe is a machine whose root a target of NVMe over TCP has, by two portals.
func onNVMe(cmdline string, cards ...*netuptest.Card) *sim.Machine {
	m := onNetwork(cmdline, cards...)
	d := rootDisk()
	m.Network.NVMe = []*sim.Exporter{{Addr: "10.0.0.1", Port: 4420, Exports: map[string]*sim.Disk{nvmeDisk: d}},
		{Addr: "10.0.0.1", Port: 4421, Exports: map[string]*sim.Disk{nvmeDisk: d}}, {Addr: "10.0.0.1", Port: 8009}}
	return m
}

func TestRootsOnNVMe(t *testing.T) {
	const root, connect = " ro root=UUID=" + rootUUID, "rd.nvmf.connect=tcp,10.0.0.1," + nvmeDisk
	for _, c := range []struct {
		cmdline     string
		connections int
	}{
		{connect, 1},
		{connect + ",4420 ip=dhcp", 1},
		{connect + " " + connect + ",4421", 2},
		{"rd.nvmf.discover=tcp,10.0.0.1", 2},
		{"nvmf.discover=tcp,10.0.0.1,,8009 " + connect, 2},
		{connect + " rd.nvmf.connect=tcp,10.0.0.1,nqn.2026-01.example:other", 1}, // one that is not there holds nothing up
	} {
		m := onNVMe(c.cmdline + root)
		m.Record = true
		boot(t, m)
		onServer(t, m, "n1 ext4")
		if s := m.Core.Stats(); s.Fired != 0 {
			t.Errorf("%s: %d deadlines passed", c.cmdline, s.Fired)
		}
		n := 0
		for _, s := range m.Network.NVMe {
			n += s.Connections
		}
		if n > c.connections {
			t.Errorf("%s: %d connections", c.cmdline, n)
		}
	}
}

func TestNVMeThatDoesNotComeIsExplained(t *testing.T) {
	for _, c := range []struct {
		name  string
		make  func(m *sim.Machine)
		lines []string
	}{
		{"no target", func(m *sim.Machine) { m.Network.NVMe = nil }, []string{"it cannot be reached: no route to host", "look whether an NVMe target listens at 10.0.0.1:4420"}},
		{"refuses", func(m *sim.Machine) { m.Network.NVMe[0].Away = [][2]time.Duration{{0, time.Hour}} }, []string{"it cannot be reached: connection refused"}},
		{"no such subsystem", func(m *sim.Machine) { m.Network.NVMe[0].Exports = nil }, []string{"it refuses this host, or there is no such subsystem"}},
		{"no network", func(m *sim.Machine) { m.Network.Server = nil }, []string{"NVMe over fabrics: needs the network", "DHCP: no answer"}},
		{"the helper crashes", func(m *sim.Machine) {
			m.Faults = []sim.Fault{{Kind: sim.HelperCrashes, Target: "/usr/lib/firstlight/nvmf"}}
		}, []string{"the helper program has ended (exit 139)"}},
	} {
		m := onNVMe("rd.nvmf.connect=tcp,10.0.0.1," + nvmeDisk + " root=UUID=" + rootUUID + " rd.emergency=poweroff")
		c.make(m)
		givesUp(t, m, c.name, c.lines)
	}
	m := onNVMe("rd.nonvmf rd.nvmf.connect=tcp,10.0.0.1," + nvmeDisk + " root=UUID=" + rootUUID + " rd.emergency=poweroff")
	boot(t, m)
	if m.Started != nil || m.Network.NVMe[0].Connections > 0 {
		t.Error("rd.nonvmf: connected nevertheless")
	}
}

// A family of targets that come late, go away, refuse, or have one portal of two.
func TestManyNVMeTargets(t *testing.T) {
	const connect = "rd.nvmf.connect=tcp,10.0.0.1," + nvmeDisk
	netFamily{stream: 4420, usual: 1000, least: 95, why: []string{"the NVMe ", noLease}, root: []string{"/dev/nvme"}, make: func(rng *rand.Rand) (*sim.Machine, int) {
		m := onNVMe([]string{connect, connect + " " + connect + ",4421", "rd.nvmf.discover=tcp,10.0.0.1", "rd.nvmf.discover=tcp,10.0.0.1 " + connect}[rng.IntN(4)]+
			" root=UUID="+rootUUID+" rd.emergency=poweroff", &netuptest.Card{Appears: span(rng, 2*time.Second), Carrier: span(rng, 3*time.Second)})
		n, can := m.Network, always
		for _, s := range n.NVMe {
			if rng.IntN(2) == 0 {
				at := span(rng, 8*time.Second)
				s.Away = append(s.Away, [2]time.Duration{at, at + span(rng, 20*time.Second)})
			}
		}
		switch rng.IntN(8) {
		case 0:
			for _, s := range n.NVMe {
				s.Dark = true
			}
			can = never
		case 1:
			n.NVMe[0].Exports, n.NVMe[1].Exports = nil, nil
			can = never
		case 2:
			n.NVMe[1].Dark = true
		case 3:
			n.Server.Lose = 1 + rng.IntN(2)
		}
		if rng.IntN(2) == 0 && noisy(rng, n) > 0 {
			can = min(can, perhaps)
		}
		return m, can
	}}.boot(t)
}

// An image that could connect, on a machine that has nothing to connect to, starts
// from its own disk without waiting.
func TestNVMeFeatureOnAMachineWithoutFabrics(t *testing.T) {
	m := onNetwork("ro root=UUID=" + rootUUID)
	m.Image.Features = []string{"nvmf", "network"}
	m.Plug(rootDisk())
	boot(t, m)
	started(t, m, "/dev/vda")
	noTimer(t, m)
}
