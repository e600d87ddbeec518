package sim_test

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"firstlight/internal/netup/netuptest"
	"firstlight/internal/sim"
)

// source6 is the root of the tests' server by IPv6.
const source6 = "[fd00:7::1]:/srv/root"

// onNetwork6 is a machine whose root a server has that is reached by IPv6.
func onNetwork6(cmdline string, cards ...*netuptest.Card) *sim.Machine {
	m := onNetwork(cmdline, cards...)
	n := m.Network
	n.NFS[0].Addr, n.Server = "fd00:7::1", nil
	n.Router = &netuptest.Router{Addr: netip.MustParseAddr("fe80::1"), Prefixes: []netip.Prefix{netip.MustParsePrefix("fd00:7::/64")}, DNS: []netip.Addr{netip.MustParseAddr("fd00:7::1")}}
	n.Server6 = &netuptest.Server6{BootURL: "nfs://[fd00:7::1]/srv/root", DNS: n.Router.DNS}
	for i := range 20 {
		n.Server6.Pool = append(n.Server6.Pool, netip.AddrFrom16([16]byte{0xfd, 0, 0, 7, 15: byte(0x50 + i)}))
	}
	n.Hosts = map[string]netip.Addr{"nfs.example": netip.MustParseAddr("fd00:7::1")}
	return m
}

// ways6 are command lines that lead to the root by IPv6.
var ways6 = []string{
	"ip=auto6 root=nfs:" + source6, "ip=dhcp6 root=dhcp6", "ip=either6 root=nfs:" + source6, "ip=dhcp root=nfs:" + source6, "root=nfs:" + source6,
	"ip=auto6 root=nfs:nfs.example:/srv/root", "ip=dhcp root=nfs:nfs.example:/srv/root", "ip=[fd00:7::9]:::64::eth0:none root=nfs:" + source6,
}

func TestRootsOnServersOfIPv6(t *testing.T) {
	for _, way := range ways6 {
		m := onNetwork6("ro " + way)
		m.Record = true
		boot(t, m)
		onServer(t, m, "vers=4.2,addr=fd00:7::1 0x1")
		replays(t, m)
		if s := m.Core.Stats(); s.Fired != 0 {
			t.Errorf("%s: %d deadlines passed", way, s.Fired)
		}
	}
}

// The root's server is on the link itself, by its link-local address.
func TestRootOnAServerOfTheLink(t *testing.T) {
	m := onNetwork6("ro ip=link6 root=nfs:[fe80::1]:/srv/root")
	m.Network.NFS[0].Addr = "fe80::1%eth0"
	boot(t, m)
	onServer(t, m, "[fe80::1%eth0]:/srv/root")
}

func TestNetworkOfIPv6ThatDoesNotComeIsExplained(t *testing.T) {
	for _, c := range []struct {
		name  string
		make  func(m *sim.Machine)
		lines []string
	}{
		{"no router", func(m *sim.Machine) { m.Network.Router, m.Network.Server6 = nil, nil }, []string{"eth0: carrier since 0.", "IPv6: no router has answered", "a router serves the network at eth0"}},
		{"no DHCPv6 server", func(m *sim.Machine) {
			m.Network.Server6, m.Network.Router.Managed, m.Network.Router.Prefixes = nil, true, nil
		}, []string{"the router leaves addresses to DHCPv6; DHCPv6: no answer after"}},
		{"no prefix", func(m *sim.Machine) { m.Network.Router.Prefixes = nil }, []string{"the router gives no prefix for addresses"}},
		{"no IPv6", func(m *sim.Machine) { m.Network.NoIPv6 = true }, []string{"the kernel has no IPv6"}},
		{"another machine's", func(m *sim.Machine) { m.Network.Taken = []netip.Addr{netuptest.LocalOf(m.Network.Cards[0].MAC)} }, []string{"another machine has its link-local address"}},
	} {
		m := onNetwork6("rd.emergency=poweroff ip=auto6 root=nfs:" + source6)
		c.make(m)
		givesUp(t, m, c.name, c.lines)
	}
}

// A family of networks of both families with noise on the wire: frames are lost,
// doubled and late, so that they overtake each other; routers and servers are
// late, slow, lossy or hostile, and addresses are others'. Each boot ends with the
// root of the server, or says why not.
func TestManyNoisyNetworks(t *testing.T) {
	netFamily{stream: 11, usual: 10000, least: 90, why: []string{"a root from a server"}, root: []string{"10.0.0.1:/srv/root", source6, "nfs.example:/srv/root"}, make: noisyNetwork}.boot(t)
}

// noisyNetwork is a machine on a random network with noise.
func noisyNetwork(rng *rand.Rand) (m *sim.Machine, can int) {
	span := func(most time.Duration) time.Duration { return span(rng, most) }
	oneIn := func(n int) bool { return rng.IntN(n) == 0 }
	cards := []*netuptest.Card{{Carrier: span(3 * time.Second)}}
	for range rng.IntN(3) {
		c := &netuptest.Card{Appears: span(3 * time.Second), Carrier: span(5 * time.Second), Apart: oneIn(3)}
		if oneIn(3) {
			c.Carrier = -1
		}
		cards = append(cards, c)
	}
	way := rng.IntN(len(ways6) + 2)
	const quiet = "rd.emergency=poweroff "
	if way >= len(ways6) { // IPv4, with the same noise
		m = onNetwork(quiet+[]string{"root=dhcp", "ip=single-dhcp root=dhcp"}[rng.IntN(2)], cards...)
	} else {
		m = onNetwork6(quiet+ways6[way], cards...)
	}
	n := m.Network
	if can = perhaps; noisy(rng, n) == 0 {
		can = always
	}
	spoil := func(_ int, b []byte) []byte {
		b = slices.Clone(b)
		b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
		return b
	}
	if n.Router == nil {
		if oneIn(8) {
			n.Server.Hostile, can = spoil, perhaps
		}
		if oneIn(20) {
			n.Server, can = nil, never
		}
		return m, can
	}
	n.Router.Managed, n.Router.Other = oneIn(3), oneIn(3)
	switch rng.IntN(10) {
	case 0:
		n.Router.From, n.Server6.From = span(15*time.Second), span(15*time.Second)
	case 1:
		n.Router.Lose, n.Server6.Lose = rng.IntN(3), rng.IntN(3)
	case 2:
		n.Server6.Slow = span(2 * time.Second)
	case 3:
		n.Taken = []netip.Addr{n.Server6.Pool[0]}
	case 4:
		n.Router.Hostile, n.Server6.Hostile, can = spoil, spoil, perhaps
	case 5:
		if strings.Contains(ways6[way], "none") {
			break
		}
		n.Router, n.Server6, can = nil, nil, never
	}
	return m, can
}
