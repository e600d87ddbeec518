package sim_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"firstlight/internal/netup/netuptest"
	"firstlight/internal/sim"
)

// onSSH is a machine whose root is had by SSH.
func onSSH(cmdline string, cards ...*netuptest.Card) *sim.Machine {
	m := onNetwork(cmdline, cards...)
	m.Image.Features = append(m.Image.Features, "sshfs")
	m.Network.SSH = []*sim.SSHServer{{Addr: "10.0.0.1", Port: 22, Path: "/srv/root", Starts: 200 * time.Millisecond, Files: map[string]string{"/sbin/init": "#!", "/etc/fstab": ""}}}
	return m
}

const sshMoved = "/run/firstlight/sshfs-root   0x2000"

func TestRootsBySSH(t *testing.T) {
	for _, cmdline := range []string{
		"ro root=sshfs:10.0.0.1:/srv/root", "rw root=sshfs:me@nfs.example:/srv/root ip=dhcp", "root=sshfs:me@10.0.0.1:22:/srv/root sshfsopts=cache=no,Compression=yes rootflags=noatime,max_read=65536",
		"root=/dev/sshfs sshfsroot=me@10.0.0.1:/srv/root", "sshfsroot=10.0.0.1:/srv/root", "root=/dev/sshfs sshfsroot=auto ip=dhcp", "root=dhcp",
	} {
		m := onSSH(cmdline)
		m.Record = true
		m.Network.Server.Root = "sshfs:root@10.0.0.1:/srv/root"
		boot(t, m)
		onServer(t, m, sshMoved)
		replays(t, m)
		if s := m.Core.Stats(); s.Fired != 0 {
			t.Errorf("%s: %d deadlines passed", cmdline, s.Fired)
		}
	}
	m := onSSH("root=/dev/sshfs")
	m.Network.Server.Root = "me@10.0.0.1:/srv/root"
	boot(t, m)
	onServer(t, m, sshMoved)
}

// What keeps the root from being had is said, with what to do.
func TestRootBySSHThatDoesNotComeIsExplained(t *testing.T) {
	const usual = "root=sshfs:10.0.0.1:/srv/root"
	for _, c := range []struct {
		name, cmdline string
		make          func(m *sim.Machine)
		lines         []string
	}{
		{"no server", usual, func(m *sim.Machine) { m.Network.SSH[0].Dark = true }, []string{"10.0.0.1 does not answer", "firewall"}},
		{"refuses", usual, func(m *sim.Machine) { m.Network.SSH[0].Away = [][2]time.Duration{{0, time.Hour}} }, []string{"no SSH server answers at port 22 of 10.0.0.1"}},
		{"another port", "root=sshfs:10.0.0.1:2222:/srv/root", func(m *sim.Machine) { m.Network.SSH[0].Dark = true }, []string{"10.0.0.1 does not answer"}},
		{"another host key", usual, func(m *sim.Machine) {
			m.Network.SSH[0].Refuses = "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @"
		}, []string{"another host key than the one in the image's known_hosts", "ssh-keyscan 10.0.0.1"}},
		{"an unknown host key", usual, func(m *sim.Machine) {
			m.Network.SSH[0].Refuses = "No ED25519 host key is known for 10.0.0.1 and you have requested strict checking."
		}, []string{"the image's known_hosts has no host key of 10.0.0.1"}},
		{"another key", usual, func(m *sim.Machine) { m.Network.SSH[0].Refuses = "root@10.0.0.1: Permission denied (publickey)." }, []string{"10.0.0.1 does not let root in with the image's key", "authorized_keys of root"}},
		{"no such directory", "root=sshfs:10.0.0.1:/srv/other", func(*sim.Machine) {}, []string{"10.0.0.1 has no directory /srv/other", "look at the path"}},
		{"an option of trust", usual + " sshfsopts=StrictHostKeyChecking=no", func(*sim.Machine) {}, []string{"the option StrictHostKeyChecking is none that a root by SSH can have"}},
		{"the feature is missing", usual, func(m *sim.Machine) { m.Image.Features = nil }, []string{"needs sshfs, which this image has not", "--feature sshfs"}},
		{"the driver is missing", usual, func(m *sim.Machine) { m.Faults = []sim.Fault{{Kind: sim.DriverMissing, Target: "fuse"}} }, []string{"the driver fuse is not in this image"}},
		{"no way is said", "root=/dev/sshfs", func(m *sim.Machine) { m.Network.Server.Root = "" }, []string{"root=sshfs:USER@SERVER:/DIRECTORY"}},
		{"the helper crashes", usual, func(m *sim.Machine) {
			m.Faults = []sim.Fault{{Kind: sim.HelperCrashes, Target: "/usr/lib/firstlight/sshfs"}}
		}, []string{"waits for the server"}},
	} {
		m := onSSH(c.cmdline + " rd.emergency=poweroff rd.timeout=60")
		c.make(m)
		givesUp(t, m, c.name, c.lines)
	}
}

// A server that comes late, lets somebody in later, or goes between the mount and the
// start of the real system, which looks for its init again then.
func TestServerBySSHThatComesAndGoes(t *testing.T) {
	for name, change := range map[string]func(s *sim.SSHServer){
		"late":           func(s *sim.SSHServer) { s.Away = [][2]time.Duration{{0, 30 * time.Second}} },
		"a key is added": func(s *sim.SSHServer) { s.Refuses, s.Until = "Permission denied (publickey).", 20*time.Second },
		"while it logs in": func(s *sim.SSHServer) {
			s.Starts, s.Away = 3*time.Second, [][2]time.Duration{{2 * time.Second, 8 * time.Second}}
		},
	} {
		m := onSSH("ro root=sshfs:10.0.0.1:/srv/root")
		m.Record = true
		change(m.Network.SSH[0])
		boot(t, m)
		onServer(t, m, sshMoved)
		replays(t, m)
		if t.Failed() {
			t.Log(name)
		}
	}
	// The connection ends at some moment around that of the mount.
	again := 0
	for at := 400 * time.Millisecond; at < 450*time.Millisecond; at += 200 * time.Microsecond {
		m := onSSH("ro root=sshfs:10.0.0.1:/srv/root rd.fstab=0") // the first that is looked for is the init
		m.Network.SSH[0].Away = [][2]time.Duration{{at, at + 5*time.Second}}
		boot(t, m)
		onServer(t, m, sshMoved)
		if m.Network.SSH[0].Connections > 2 {
			t.Errorf("%v: %d connections", at, m.Network.SSH[0].Connections)
		}
		if m.Network.SSH[0].Connections > 1 {
			again++
		}
		if strings.Contains(m.SaidText(), "cannot be started") {
			t.Errorf("%v: the boot was given up", at)
		}
		m.Close()
	}
	if again == 0 {
		t.Error("no connection was made again: the test shows nothing")
	}
}

// Without sshfs there is no root any more, which is said.
func TestSSHFSThatCrashesIsSaid(t *testing.T) {
	said := 0
	for at := 413 * time.Millisecond; at < 432*time.Millisecond; at += 500 * time.Microsecond {
		m := onSSH("ro root=sshfs:10.0.0.1:/srv/root rd.emergency=poweroff rd.fstab=0")
		m.Network.SSH[0].Crashes = at
		boot(t, m)
		if strings.Contains(m.SaidText(), "nothing can be read of the root any more") {
			said++
		} else if m.Started == nil {
			t.Errorf("%v: neither started nor explained\n%s", at, m.SaidText())
		}
		m.Close()
	}
	if said == 0 {
		t.Error("sshfs never ended while the root was used: the test shows nothing")
	}
}

// A family of machines whose server comes late, goes, does not let them in, or is not
// there.
func TestManyServersBySSH(t *testing.T) {
	netFamily{stream: 22, usual: 600, least: 95, why: []string{"SSH server 10.0.0.1", noLease}, root: []string{"/run/firstlight/sshfs-root"}, make: func(rng *rand.Rand) (*sim.Machine, int) {
		m := onSSH([]string{"root=sshfs:10.0.0.1:/srv/root", "root=/dev/sshfs sshfsroot=me@10.0.0.1:/srv/root", "root=dhcp"}[rng.IntN(3)]+" rd.emergency=poweroff",
			&netuptest.Card{Appears: span(rng, 2*time.Second), Carrier: span(rng, 3*time.Second)})
		m.Network.Server.Root = "sshfs:me@10.0.0.1:/srv/root"
		s, can := m.Network.SSH[0], always
		s.Starts = 1 + span(rng, 2*time.Second)
		for range rng.IntN(3) {
			at := span(rng, 10*time.Second)
			s.Away = append(s.Away, [2]time.Duration{at, at + span(rng, 15*time.Second)})
		}
		switch rng.IntN(10) {
		case 0:
			s.Dark, can = true, never
		case 1:
			s.Refuses, can = "No ED25519 host key is known for 10.0.0.1 and you have requested strict checking.", never
		case 2:
			s.Refuses, s.Until = "Permission denied (publickey).", span(rng, 20*time.Second)
		case 3:
			m.Network.Server.Lose = 1 + rng.IntN(2)
		}
		if rng.IntN(2) == 0 && noisy(rng, m.Network) > 0 {
			can = min(can, perhaps)
		}
		return m, can
	}}.boot(t)
}
