package sim_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"firstlight/internal/netup/netuptest"
	"firstlight/internal/sim"
)

// onNBD is a machine whose root an NBD server has.
func onNBD(cmdline string, cards ...*netuptest.Card) *sim.Machine {
	m := onNetwork(cmdline, cards...)
	m.Network.NBD = []*sim.Exporter{{Addr: "10.0.0.1", Port: 10809, Exports: map[string]*sim.Disk{"root": rootDisk(), "other": changesDisk()}}}
	return m
}

func TestRootsOnNBD(t *testing.T) {
	for _, c := range []struct{ cmdline, want string }{
		{"ro root=nbd:10.0.0.1:root", "/dev/nbd0 ext4"},
		{"root=nbd:10.0.0.1:root:ext4:noatime ip=dhcp", "/dev/nbd0 ext4  0x401"},
		{"root=nbd:10.0.0.1:root::ro:-C,3", "/dev/nbd0 ext4"},
		{"root=nbd:nfs.example:root ip=dhcp", "/dev/nbd0 ext4"},
		{"netroot=nbd:10.0.0.1:root root=UUID=" + rootUUID, "/dev/nbd0 ext4"},
		{"netroot=nbd:10.0.0.1:root root=LABEL=root", "/dev/nbd0 ext4"},
		{"netroot=nbd:10.0.0.1:other netroot=nbd:10.0.0.1:root root=UUID=" + rootUUID, "/dev/nbd1 ext4"},
		{"netroot=nbd:10.0.0.1:other netroot=nbd:10.0.0.1:root root=/dev/nbd1", "/dev/nbd1 ext4"},
		{"nbdroot=10.0.0.1,root,nbd0 root=/dev/nbd0 ip=dhcp", "/dev/nbd0 ext4"},
		{"nbdroot=10.0.0.1,root,nbd2 root=/dev/nbd3 ip=dhcp", "/dev/nbd3 ext4"},
		{"nbdroot=10.0.0.1,root,nbd2 ip=dhcp", "/dev/nbd2 ext4"},
	} {
		t.Run(c.cmdline, func(t *testing.T) {
			m := onNBD(c.cmdline)
			m.Record = true
			boot(t, m)
			onServer(t, m, c.want)
			if s := m.Core.Stats(); s.Fired != 0 {
				t.Errorf("%d deadlines passed", s.Fired)
			}
		})
	}
	m := onNBD("root=dhcp")
	m.Network.Server.Root = "nbd:10.0.0.1:root:ext4"
	boot(t, m)
	onServer(t, m, "/dev/nbd0 ext4")
}

func TestLUKSOnNBD(t *testing.T) {
	m := onNBD("netroot=nbd:10.0.0.1:crypt rd.luks.uuid=" + luksUUID + " root=UUID=" + rootUUID)
	m.Network.NBD[0].Exports["crypt"] = encryptedDisk(t)
	m.Answer = types(passphrase, time.Second)
	boot(t, m)
	onServer(t, m, "/dev/dm-0 ext4")
}

func TestNBDThatDoesNotComeIsExplained(t *testing.T) {
	for _, c := range []struct {
		name  string
		make  func(m *sim.Machine)
		lines []string
	}{
		{"no server", func(m *sim.Machine) { m.Network.NBD[0].Dark = true }, []string{"it cannot be reached: no route to host", "look whether an NBD server listens at 10.0.0.1:10809"}},
		{"refuses", func(m *sim.Machine) { m.Network.NBD[0].Away = [][2]time.Duration{{0, time.Hour}} }, []string{"it cannot be reached: connection refused"}},
		{"no such export", func(m *sim.Machine) { delete(m.Network.NBD[0].Exports, "root") }, []string{"the server has not the export root", "name one that it has: other"}},
		{"not a root", func(m *sim.Machine) { m.Network.NBD[0].Exports["root"] = &sim.Disk{} }, []string{"/dev/nbd0", "nothing recognised"}},
		{"the helper crashes", func(m *sim.Machine) {
			m.Faults = []sim.Fault{{Kind: sim.HelperCrashes, Target: "/usr/lib/firstlight/nbd"}}
		}, []string{"the helper program has ended (exit 139)"}},
	} {
		m := onNBD("root=nbd:10.0.0.1:root rd.emergency=poweroff")
		c.make(m)
		givesUp(t, m, c.name, c.lines)
	}
}

// A family of machines on servers of block devices that come late, go away once or
// twice, do not come at all, or come back with another disk.
func TestManyNBDServers(t *testing.T) {
	netFamily{stream: 10809, usual: 1000, least: 95, why: []string{"the NBD export root of 10.0.0.1:10809", noLease}, root: []string{"/dev/nbd"}, make: func(rng *rand.Rand) (*sim.Machine, int) {
		m := onNBD([]string{"root=nbd:10.0.0.1:root", "root=nbd:10.0.0.1:root:ext4::-C,4", "netroot=nbd:10.0.0.1:root root=UUID=" + rootUUID,
			"netroot=nbd:10.0.0.1:other netroot=nbd:10.0.0.1:root root=LABEL=root"}[rng.IntN(4)]+" rd.emergency=poweroff",
			&netuptest.Card{Appears: span(rng, 2*time.Second), Carrier: span(rng, 3*time.Second)})
		s, can := m.Network.NBD[0], always
		for range rng.IntN(3) {
			at := span(rng, 8*time.Second)
			s.Away = append(s.Away, [2]time.Duration{at, at + span(rng, 20*time.Second)})
		}
		switch rng.IntN(10) {
		case 0:
			s.Dark, can = true, never
		case 1:
			delete(s.Exports, "root")
			can = never
		case 2:
			s.Grown = true
		case 3:
			m.Network.Server.Lose = 1 + rng.IntN(2)
		}
		if rng.IntN(2) == 0 && noisy(rng, m.Network) > 0 {
			can = min(can, perhaps)
		}
		return m, can
	}}.boot(t)
}
