package sim_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"firstlight/internal/netup/netuptest"
	"firstlight/internal/sim"
)

// Roots that are reached by links made of others.
func TestRootsOverLinks(t *testing.T) {
	for _, cmdline := range []string{
		"root=dhcp vlan=eth0.5:eth0 ip=eth0.5:dhcp",
		"root=dhcp bond=bond0:eth0,eth1:mode=active-backup,primary=eth1 ip=bond0:dhcp",
		"root=nfs:10.0.0.1:/srv/root bridge=br0:eth0 ip=10.0.0.9:::24::br0:none",
		"root=dhcp team=team0:eth0,eth1:lacp",
		"root=dhcp bridge=br0:bond0.7 vlan=bond0.7:bond0 bond=bond0:eth0,eth1",
	} {
		m := onNetwork("ro rd.emergency=poweroff "+cmdline, &netuptest.Card{}, &netuptest.Card{Appears: time.Second})
		m.Record = true
		boot(t, m)
		onServer(t, m, "10.0.0.1:/srv/root")
		replays(t, m)
	}
}

func TestLinkThatCannotBeMadeIsExplained(t *testing.T) {
	m := onNetwork("root=dhcp rd.emergency=poweroff bond=bond0:eth7,eth8 ip=bond0:dhcp")
	boot(t, m)
	text := strings.Join(strings.Fields(m.SaidText()), " ")
	for _, want := range []string{"network link bond0: it is made of one of eth7, eth8, which is not there", "network link eth0"} {
		if m.Started != nil || !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, m.SaidText())
		}
	}
}

// A family of stacks of links: members that come late, go, come back or never
// come, dead cables, lost messages and names that change places. A machine with a
// card that leads to the server and stays boots.
func TestManyLinks(t *testing.T) {
	stacks := []struct {
		args string
		bond bool // one card that leads to nobody takes the other one's messages
	}{
		{"vlan=eth0.5:eth0 vlan=eth1.5:eth1 ip=eth0.5:dhcp ip=eth1.5:dhcp", false},
		{"bond=bond0:eth0,eth1:mode=active-backup ip=bond0:dhcp", true},
		{"bond=bond0:eth0,eth1 vlan=vlan12:bond0 ip=vlan12:dhcp", true},
		{"vlan=vlan12:bond0 bridge=br0:vlan12 ip=dhcp bond=bond0:eth0,eth1:mode=6", true},
		{"bridge=br0:eth0,eth1 ip=br0:dhcp", false},
		{"ifname=eth0:02:00:00:00:01:01 ifname=eth1:02:00:00:00:01:00 vlan=eth0.5:eth0 vlan=eth1.5:eth1 ip=dhcp", false},
	}
	netFamily{stream: 61, usual: 1000, least: 70, why: []string{"a root from a server"}, root: []string{"10.0.0.1:/srv/root"}, make: func(rng *rand.Rand) (*sim.Machine, int) {
		s := stacks[rng.IntN(len(stacks))]
		cards, can, settle := []*netuptest.Card{{}, {}}, perhaps, time.Duration(0)
		for _, c := range cards {
			c.Appears, c.Carrier = span(rng, 4*time.Second), span(rng, 6*time.Second)
			there := c.Appears + c.Carrier
			switch rng.IntN(6) {
			case 0:
				c.Appears = -1
			case 1:
				c.Carrier = -1
			case 2:
				c.Apart = !s.bond
			case 3:
				c.Leaves = c.Appears + 1 + span(rng, 10*time.Second)
				if rng.IntN(2) == 0 {
					c.Back = c.Leaves + 1 + span(rng, 20*time.Second)
					there = c.Back + c.Carrier
				}
			}
			if c.Appears >= 0 && c.Carrier >= 0 && !c.Apart && (c.Leaves == 0 || c.Back > 0) {
				can, settle = always, max(settle, there)
			}
		}
		if settle >= 50*time.Second {
			can = perhaps
		}
		m := onNetwork("root=dhcp rd.emergency=poweroff "+s.args, cards...)
		if rng.IntN(4) == 0 {
			m.Network.Server.Lose = 1 + rng.IntN(2)
		}
		return m, can
	}}.boot(t)
}
