package sim_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"firstlight/internal/iscsiup"
	"firstlight/internal/netup/netuptest"
	"firstlight/internal/sim"
)

const (
	target      = "iqn.2026-01.example:disk"
	otherTarget = "iqn.2026-01.example:other"
	me          = " rd.iscsi.initiator=iqn.2026-01.example:machine"
)

// onISCSI is a machine whose root a target of iSCSI has, at two portals.
func onISCSI(cmdline string, cards ...*netuptest.Card) *sim.Machine {
	m := onNetwork(cmdline, cards...)
	d := rootDisk()
	m.Network.ISCSI = []*sim.Exporter{{Addr: "10.0.0.1", Port: 3260, Exports: map[string]*sim.Disk{target: d, otherTarget: changesDisk()}},
		{Addr: "10.0.0.1", Port: 3261, Exports: map[string]*sim.Disk{target: d}}}
	return m
}

func TestRootsOnISCSI(t *testing.T) {
	for _, cmdline := range []string{
		"ro root=iscsi:10.0.0.1:::1:" + target,
		"root=iscsi:10.0.0.1:6:3260:1:" + target + " ip=dhcp",
		"root=iscsi:nfs.example::3261:1:" + target,
		"netroot=iscsi:10.0.0.1:::1:" + target + " root=UUID=" + rootUUID,
		"netroot=iscsi:10.0.0.1:::1:" + otherTarget + " netroot=iscsi:10.0.0.1:::1:" + target + " root=UUID=" + rootUUID,
		"netroot=iscsi:10.0.0.1:::1:iqn.2026-01.example:gone netroot=iscsi:10.0.0.1:::1:" + target + " root=LABEL=root",
		"rd.iscsi.target.name=" + target + " rd.iscsi.target.ip=10.0.0.1 root=UUID=" + rootUUID,
		"iscsi_target_name=" + target + " iscsi_target_ip=10.0.0.1 iscsi_target_port=3261 root=UUID=" + rootUUID,
	} {
		t.Run(cmdline, func(t *testing.T) {
			m := onISCSI(cmdline + me)
			m.Record = true
			boot(t, m)
			onServer(t, m, "/dev/sd")
			onServer(t, m, " ext4")
			if s := m.Core.Stats(); s.Fired != 0 {
				t.Errorf("%d deadlines passed", s.Fired)
			}
			replays(t, m)
		})
	}
	m := onISCSI("root=dhcp" + me)
	m.Network.Server.Root = "iscsi:10.0.0.1:::1:" + target
	boot(t, m)
	onServer(t, m, "/dev/sda ext4")
	m = onISCSI("root=iscsi:10.0.0.1:::1:" + target)
	m.Network.ISCSIFiles = map[string]string{iscsiup.FileInitiator: "InitiatorName=iqn.2026-01.example:image\n"}
	boot(t, m)
	onServer(t, m, "/dev/sda ext4")
}

// Passwords come from where the target is named, or stand alone; a lease's target
// gets those of the command line. They are in no line of the journal.
func TestPasswordsOfISCSI(t *testing.T) {
	for _, cmdline := range []string{
		"root=iscsi:" + sim.ISCSIUser + ":" + sim.ISCSIPassword + "@10.0.0.1:::1:" + target,
		"root=dhcp rd.iscsi.username=" + sim.ISCSIUser + " rd.iscsi.password=" + sim.ISCSIPassword,
	} {
		m := onISCSI(cmdline + me)
		m.Record = true
		m.Network.ISCSI[0].Secret, m.Network.Server.Root = true, "iscsi:10.0.0.1:::1:"+target
		boot(t, m)
		onServer(t, m, "/dev/sda ext4")
		for line := range strings.Lines(string(m.Journal)) {
			if strings.Contains(line, sim.ISCSIPassword) && !strings.Contains(line, "cmdline") {
				t.Errorf("%s: the journal has %q", cmdline, line)
			}
		}
	}
}

func TestLUKSOnISCSI(t *testing.T) {
	m := onISCSI("netroot=iscsi:10.0.0.1:::1:" + otherTarget + " rd.luks.uuid=" + luksUUID + " root=UUID=" + rootUUID + me)
	m.Network.ISCSI[0].Exports[otherTarget] = encryptedDisk(t)
	m.Answer = types(passphrase, time.Second)
	boot(t, m)
	onServer(t, m, "/dev/dm-0 ext4")
}

func TestISCSIThatDoesNotComeIsExplained(t *testing.T) {
	const root = "root=iscsi:10.0.0.1:::1:" + target
	for _, c := range []struct {
		name, cmdline string
		make          func(m *sim.Machine)
		lines         []string
	}{
		{"no target machine", root + me, func(m *sim.Machine) { m.Network.ISCSI = nil }, []string{"cannot be reached", "look whether an iSCSI target listens there"}},
		{"refuses", root + me, func(m *sim.Machine) { m.Network.ISCSI[0].Away = [][2]time.Duration{{0, time.Hour}} }, []string{"cannot be reached"}},
		{"no such target", root + "x" + me, nil, []string{"refuses the login"}},
		{"wants a password", root + me, func(m *sim.Machine) { m.Network.ISCSI[0].Secret = true }, []string{"wants this machine to prove who it is"}},
		{"wrong password", "root=iscsi:" + sim.ISCSIUser + ":wrong@10.0.0.1:::1:" + target + me, func(m *sim.Machine) { m.Network.ISCSI[0].Secret = true },
			[]string{"does not accept the name and the password"}},
		{"no such unit", "root=iscsi:10.0.0.1:::2:" + target + me, nil, []string{"has no unit 2; it has 0, 1"}},
		{"no name", root, nil, []string{"the helper program has ended (exit 1)"}},
		{"no network", root + me, func(m *sim.Machine) { m.Network.Server = nil }, []string{"DHCP: no answer"}},
		{"the helper crashes", root + me, func(m *sim.Machine) {
			m.Faults = []sim.Fault{{Kind: sim.HelperCrashes, Target: "/usr/lib/firstlight/iscsi"}}
		}, []string{"the helper program has ended (exit 139)"}},
	} {
		m := onISCSI(c.cmdline + " rd.emergency=poweroff")
		if c.make != nil {
			c.make(m)
		}
		givesUp(t, m, c.name, c.lines)
	}
}

// A family of targets that come late, go away, refuse, want a password, or have one
// portal of two.
func TestManyISCSITargets(t *testing.T) {
	const login = sim.ISCSIUser + ":" + sim.ISCSIPassword + "@10.0.0.1:::1:"
	const second = " netroot=iscsi:10.0.0.1::3261:1:" + otherTarget
	netFamily{stream: 3260, usual: 1000, least: 95, why: []string{"the iSCSI target ", noLease}, root: []string{"/dev/sd"}, make: func(rng *rand.Rand) (*sim.Machine, int) {
		m := onISCSI([]string{"root=iscsi:" + login + target, "netroot=iscsi:" + login + target + second + " root=UUID=" + rootUUID,
			"root=dhcp rd.iscsi.username=" + sim.ISCSIUser + " rd.iscsi.password=" + sim.ISCSIPassword,
			"netroot=iscsi:" + login + otherTarget + " netroot=iscsi:" + login + target + " root=UUID=" + rootUUID}[rng.IntN(4)]+
			me+" rd.emergency=poweroff", &netuptest.Card{Appears: span(rng, 2*time.Second), Carrier: span(rng, 3*time.Second)})
		n, can := m.Network, always
		n.ISCSI[1].Exports = map[string]*sim.Disk{otherTarget: changesDisk()}
		n.Server.Root = "iscsi:10.0.0.1:::1:" + target
		n.ISCSI[0].Secret = rng.IntN(2) == 0
		for _, s := range n.ISCSI {
			if rng.IntN(2) == 0 {
				at := span(rng, 8*time.Second)
				s.Away = append(s.Away, [2]time.Duration{at, at + span(rng, 20*time.Second)})
			}
		}
		switch rng.IntN(8) {
		case 0:
			for _, s := range n.ISCSI {
				s.Dark = true
			}
			can = never
		case 1:
			delete(n.ISCSI[0].Exports, target)
			n.ISCSI[1].Exports = nil
			can = never
		case 2:
			n.ISCSI[1].Dark = true
		case 3:
			n.Server.Lose = 1 + rng.IntN(2)
		}
		if rng.IntN(2) == 0 && noisy(rng, n) > 0 {
			can = min(can, perhaps)
		}
		return m, can
	}}.boot(t)
}

// An image that could log in, on a machine that has nothing to log in to, starts
// from its own disk without waiting.
func TestISCSIFeatureOnAMachineWithoutTargets(t *testing.T) {
	m := onNetwork("ro root=UUID=" + rootUUID)
	m.Image.Features = []string{"iscsi", "network"}
	m.Plug(rootDisk())
	boot(t, m)
	started(t, m, "/dev/vda")
	noTimer(t, m)
}
