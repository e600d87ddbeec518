package sim_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"firstlight/internal/handler"
	"firstlight/internal/netup/netuptest"
	"firstlight/internal/sim"
)

// onNetwork is a machine whose root a server has, with cards that are good
// unless a test changes them.
func onNetwork(cmdline string, cards ...*netuptest.Card) *sim.Machine {
	m := full(cmdline)
	if cards == nil {
		cards = []*netuptest.Card{{}}
	}
	for i, c := range cards {
		c.Name, c.MAC = "eth"+strconv.Itoa(i), []byte{2, 0, 0, 0, 1, byte(i)}
	}
	m.Network = &sim.Network{NFS: []*sim.NFS{{Addr: "10.0.0.1", Path: "/srv/root", Versions: []string{"4.2", "4.1", "4.0", "3"},
		Files: map[string]string{"/sbin/init": "#!"}}}}
	m.Network.Cards = cards
	m.Network.Server = &netuptest.Server{Addr: netip.MustParseAddr("10.0.0.1"), Root: "10.0.0.1:/srv/root"}
	m.Network.Hosts = map[string]netip.Addr{"nfs.example": netip.MustParseAddr("10.0.0.1")}
	for i := range 20 {
		m.Network.Server.Pool = append(m.Network.Server.Pool, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(50 + i)}), 24))
	}
	return m
}

// onServer fails unless the real system started on the server's root.
func onServer(t *testing.T, m *sim.Machine, want string) {
	t.Helper()
	if m.Started == nil {
		t.Fatalf("not started; it said:\n%s\njournal:\n%s", m.SaidText(), m.Journal)
	}
	for _, mt := range m.Mounts {
		if mt.Target == handler.SysRoot && !strings.Contains(fmt.Sprintf("%s %s %s %#x", mt.Source, mt.FSType, mt.Data, mt.Flags), want) {
			t.Errorf("mounted %+v, want %q", mt, want)
		}
	}
}

func TestRootsOnServers(t *testing.T) {
	for _, c := range []struct{ cmdline, want string }{
		{"ro root=dhcp", "10.0.0.1:/srv/root nfs vers=4.2,addr=10.0.0.1 0x1"},
		{"rw root=dhcp", "nfs vers=4.2,addr=10.0.0.1 0x0"},
		{"root=/dev/nfs ip=dhcp", "10.0.0.1:/srv/root"},
		{"root=/dev/nfs nfsroot=10.0.0.1:/srv/root,vers=3 ip=dhcp", "vers=3,addr=10.0.0.1,nolock,proto=tcp,mountproto=tcp"},
		{"root=nfs4:10.0.0.1:/srv/root", "vers=4.2"},
		{"root=nfs:10.0.0.1:/srv/root:vers=4.1,noatime ip=eth0:dhcp", "vers=4.1,addr=10.0.0.1 0x401"},
		{"root=nfs:10.0.0.1:/srv/root ip=10.0.0.9::10.0.0.1:255.255.255.0::eth0:none", "vers=4.2"},
		{"root=10.0.0.1:/srv/root", "vers=4.2"},
		{"root=nfs:nfs.example:/srv/root ip=dhcp", "nfs.example:/srv/root nfs vers=4.2,addr=10.0.0.1"},
		{"boot=nfs", "10.0.0.1:/srv/root"},
		{"nfsroot=10.0.0.1:/srv/root boot=nfs ip=dhcp", "10.0.0.1:/srv/root"},
		{"netroot=nfs:10.0.0.1:/srv/root ip=dhcp", "10.0.0.1:/srv/root"},
	} {
		t.Run(c.cmdline, func(t *testing.T) {
			m := onNetwork(c.cmdline)
			m.Record = true
			boot(t, m)
			onServer(t, m, c.want)
			replays(t, m)
			if s := m.Core.Stats(); s.Fired != 0 {
				t.Errorf("%d deadlines passed", s.Fired)
			}
		})
	}
}

func TestRootIsHandedOverWithItsLease(t *testing.T) {
	m := onNetwork("root=dhcp")
	boot(t, m)
	onServer(t, m, "nfs")
	conf, err := m.ReadFile("/run/net-eth0.conf", 1<<16)
	for _, want := range []string{"DEVICE='eth0'", "IPV4ADDR='10.0.0.50'", "IPV4NETMASK='255.255.255.0'", "IPV4GATEWAY='10.0.0.1'", "ROOTSERVER='10.0.0.1'", "ROOTPATH='10.0.0.1:/srv/root'", "DHCPLEASETIME='3600'"} {
		if err != nil || !strings.Contains(string(conf), want+"\n") {
			t.Errorf("%v, no %s in\n%s", err, want, conf)
		}
	}
	unit, err := m.ReadFile("/run/systemd/network/zzzz-firstlight-eth0.network", 1<<16)
	if err != nil || !strings.Contains(string(unit), "KeepConfiguration=yes\nDHCP=ipv4\nIPv6AcceptRA=yes\n") {
		t.Errorf("%v\n%s", err, unit)
	}
}

func TestOverlayOverARootOnAServer(t *testing.T) {
	m := onNetwork("rw root=dhcp rd.overlay")
	boot(t, m)
	covered(t, m, "LiveOS_rootfs")
}

// What keeps a machine from its root is said.
func TestNetworkThatDoesNotComeIsExplained(t *testing.T) {
	for _, c := range []struct {
		name  string
		make  func(m *sim.Machine)
		lines []string
	}{
		{"no cable", func(m *sim.Machine) { m.Network.Cards[0].Carrier = -1 }, []string{"network link eth0: no carrier", "plug in the cable of eth0"}},
		{"no DHCP server", func(m *sim.Machine) { m.Network.Server = nil }, []string{"eth0: carrier since 0.", "DHCP: no answer after 7 requests"}},
		{"no card", func(m *sim.Machine) { m.Network.Cards[0].Appears = -1 }, []string{"needs the network"}},
		{"no NFS server", func(m *sim.Machine) { m.Network.NFS[0].Away = [][2]time.Duration{{0, time.Hour}} }, []string{"10.0.0.1 has no NFS server: it refuses the connection"}},
		{"no such export", func(m *sim.Machine) { m.Network.NFS[0].Path = "/other" }, []string{"10.0.0.1 has no /srv/root"}},
		{"no root path", func(m *sim.Machine) { m.Network.Server.Root = "" }, []string{"gave no path of a root", "option 17"}},
		{"an old server", func(m *sim.Machine) { m.Network.NFS[0].Versions = []string{"2"} }, []string{"knows none of the versions of NFS"}},
		{"the address is taken", func(m *sim.Machine) {
			for _, p := range m.Network.Server.Pool {
				m.Network.Taken = append(m.Network.Taken, p.Addr())
			}
		}, []string{"is in use by another machine, 02:00:00:00:00:ee"}},
		{"no helper", func(m *sim.Machine) { m.Network = nil }, []string{"the helper program for the network cannot be started", "--feature network"}},
		{"the helper crashes", func(m *sim.Machine) {
			m.Faults = []sim.Fault{{Kind: sim.HelperCrashes, Target: "/usr/lib/firstlight/network"}}
		}, []string{"has ended (exit 139)"}},
	} {
		m := onNetwork("root=dhcp rd.emergency=poweroff")
		c.make(m)
		givesUp(t, m, c.name, c.lines)
	}
}

// A family of networks: cards that come late or never, cables that are plugged
// in late, servers that are late, slow, away for a while, lossy, refusing or
// hostile, and addresses that others have.
func TestManyNetworks(t *testing.T) {
	netFamily{stream: 7, usual: 1000, least: 90, why: []string{"a root from a server"}, root: []string{"10.0.0.1:/srv/root"}, make: randomNetwork}.boot(t)
}

// randomNetwork is a machine on a random network.
func randomNetwork(rng *rand.Rand) (m *sim.Machine, can int) {
	span := func(most time.Duration) time.Duration { return span(rng, most) }
	oneIn := func(n int) bool { return rng.IntN(n) == 0 }
	cards := make([]*netuptest.Card, 1+rng.IntN(3))
	reach := time.Duration(-1) // when the first card is on the wire
	for i := range cards {
		c := &netuptest.Card{Appears: span(3 * time.Second), Carrier: span(5 * time.Second)}
		switch {
		case oneIn(6):
			c.Appears = -1
		case oneIn(5):
			c.Carrier = -1
		case oneIn(6):
			c.Apart = true
		case oneIn(4):
			c.Carrier = span(30 * time.Second)
		}
		cards[i] = c
		if c.Appears >= 0 && c.Carrier >= 0 && !c.Apart && (reach < 0 || c.Appears+c.Carrier < reach) {
			reach = c.Appears + c.Carrier
		}
	}
	m = onNetwork("rd.emergency=poweroff root=dhcp", cards...)
	s, n := m.Network.Server, m.Network
	if can = never; reach >= 0 {
		can = always
	}
	spoiled := func(to int) { can = min(can, to) }
	settle := reach
	switch rng.IntN(8) {
	case 0:
		s.From = span(20 * time.Second)
		settle = max(settle, s.From) + 20*time.Second
	case 1:
		s.Lose = 1 + rng.IntN(2)
		settle += 8 * time.Second
	case 2:
		s.Naks = 1
		settle += 3 * time.Second
	case 3:
		s.Slow = span(2 * time.Second)
		settle += 10 * time.Second
	case 4:
		n.Taken = []netip.Addr{s.Pool[0].Addr()}
		settle += 12 * time.Second
	case 5:
		spoiled(perhaps)
		s.Hostile = func(_ int, answer []byte) []byte {
			answer = slices.Clone(answer)
			answer[rng.IntN(len(answer))] ^= 1 << rng.IntN(8)
			return answer
		}
	case 6:
		if oneIn(2) {
			n.Server = nil
			spoiled(never)
		}
	}
	if oneIn(3) {
		at := span(20 * time.Second)
		n.NFS[0].Away = [][2]time.Duration{{at, at + span(15*time.Second)}}
		settle += 30 * time.Second
	}
	if oneIn(4) {
		n.NFS[0].Versions = []string{[]string{"3", "4.0", "4.1"}[rng.IntN(3)]}
	}
	if oneIn(12) {
		n.NFS[0].Away = [][2]time.Duration{{0, time.Hour}}
		spoiled(never)
	}
	if settle >= 80*time.Second {
		spoiled(perhaps)
	}
	return m, can
}

// givesUp boots a machine whose real system must not start, and that says why.
func givesUp(t *testing.T, m *sim.Machine, name string, lines []string) {
	t.Helper()
	boot(t, m)
	if m.Started != nil {
		t.Errorf("%s: started", name)
	}
	text := strings.Join(strings.Fields(m.SaidText()), " ")
	for _, l := range lines {
		if !strings.Contains(text, l) {
			t.Errorf("%s: no %q in\n%s", name, l, m.SaidText())
		}
	}
}
