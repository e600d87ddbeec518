package netup_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"firstlight/internal/netup/netuptest"
)

// kinds are the links that were made, as "kind name".
func kinds(n *netuptest.Net) (list []string) {
	for _, m := range n.Made {
		list = append(list, m.Kind+" "+m.Name)
	}
	return list
}

func TestLinksAreMadeOfOthersAsTheyCome(t *testing.T) {
	for _, c := range []struct {
		name, args string
		cards      []*netuptest.Card
		made       []string
		has        string // the link with the address
		within     time.Duration
	}{
		{"a VLAN", "ip=eth0.5:dhcp vlan=eth0.5:eth0", []*netuptest.Card{{}}, []string{"vlan eth0.5"}, "eth0.5", time.Second},
		{"a VLAN without its name in ip=", "ip=dhcp vlan=vlan0005:eth0", []*netuptest.Card{{}}, []string{"vlan vlan0005"}, "vlan0005", time.Second},
		{"a bond", "ip=bond0:dhcp bond=bond0:eth0,eth1:mode=active-backup", []*netuptest.Card{{}, {}}, []string{"bond bond0"}, "bond0", time.Second},
		{"a bond with a dead card", "ip=bond0:dhcp bond=bond0:eth0,eth1:mode=active-backup", []*netuptest.Card{{Carrier: -1}, {}}, []string{"bond bond0"}, "bond0", time.Second},
		{"a bond with a card that comes late", "ip=bond0:dhcp bond=bond0:eth0,eth1:mode=1", []*netuptest.Card{{Carrier: -1}, {Appears: 9 * time.Second}}, []string{"bond bond0"}, "bond0", 10 * time.Second},
		{"a team", "ip=dhcp team=team0:eth0,eth1", []*netuptest.Card{{}, {}}, []string{"bond team0"}, "team0", time.Second},
		{"a bridge", "ip=br0:dhcp bridge=br0:eth0", []*netuptest.Card{{}}, []string{"bridge br0"}, "br0", time.Second},
		{"a bridge over a VLAN on a bond of two", "bridge=br0:bond0.7 vlan=bond0.7:bond0 bond=bond0:eth0,eth1 ip=br0:dhcp",
			[]*netuptest.Card{{Appears: time.Second}, {Carrier: -1}}, []string{"bond bond0", "vlan bond0.7", "bridge br0"}, "br0", 3 * time.Second},
		{"BOOTIF of a member", "BOOTIF=01-02-00-00-00-01-01 ip=dhcp bond=bond0:eth0,eth1", []*netuptest.Card{{}, {}}, []string{"bond bond0"}, "bond0", time.Second},
		{"a card that comes back", "ip=eth0.5:dhcp vlan=eth0.5:eth0", []*netuptest.Card{{Leaves: 5 * time.Second, Back: 9 * time.Second}}, []string{"vlan eth0.5", "vlan eth0.5"}, "eth0.5", 11 * time.Second},
	} {
		n, clock, lines := network(c.cards...)
		n.Start(strings.ReplaceAll(c.args, " ", "\n"))
		clock.run(c.within)
		if got := kinds(n); !slices.Equal(got, c.made) {
			t.Errorf("%s: made %q", c.name, got)
		}
		if len(n.Addresses) != 1 || len(n.Addresses[c.has]) != 1 {
			t.Errorf("%s: addresses %v\n%s", c.name, n.Addresses, strings.Join(*lines, "\n"))
		}
	}
}

// A bridge has a carrier by its first port, which leads to nobody. When another port
// comes, nobody waits until it is time for the next question.
func TestALaterMemberIsAskedByAtOnce(t *testing.T) {
	n, c, lines := network(&netuptest.Card{Apart: true}, &netuptest.Card{Appears: 40 * time.Second})
	n.Server.Lose = 2
	n.Start("bridge=br0:eth0,eth1\nvlan=br0.7:br0\nip=br0.7:dhcp\n")
	c.run(44 * time.Second)
	if len(n.Addresses["br0.7"]) != 1 {
		t.Errorf("%v\n%s", n.Addresses, strings.Join(*lines, "\n"))
	}
}

func TestWhatALinkIsMadeOfAndIsMissingIsSaid(t *testing.T) {
	n, c, lines := network()
	n.Start("ip=bond0:dhcp\nbond=bond0:eth7,eth8:mode=1\nvlan=eth0.5:eth0\nteam=team3:eth9:random\n")
	c.run(time.Second)
	if !has(*lines, "waits bond0", `made\x20of\x20one\x20of\x20eth7,\x20eth8,\x20which\x20is\x20not\x20there`) || !has(*lines, "failed team3", "runner") || !has(*lines, "link eth0 part=eth0.5 carrier=yes") {
		t.Error(strings.Join(*lines, "\n"))
	}
}

// udev of the real system changes the address of a bridge that has none of its
// own, and machines are known by theirs.
func TestBridgeHasTheAddressOfItsPort(t *testing.T) {
	n, c, _ := network()
	n.Start("ip=br0:dhcp\nbridge=br0:eth0\n")
	c.run(time.Second)
	for _, x := range n.Cards {
		if x.Name == "br0" && !bytes.Equal(x.MAC, n.Cards[0].MAC) {
			t.Errorf("%x", x.MAC)
		}
	}
	if f := n.Files["zzzz-firstlight-br0.netdev"]; !strings.Contains(f, "Kind=bridge\n") || !strings.Contains(n.Files["zzzz-firstlight-eth0.network"], "Bridge=br0\n") {
		t.Errorf("%q", n.Files)
	}
}

// A bond or bridge without an address is set up all the same.
func TestLinkThatNobodyAsksForIsSetUp(t *testing.T) {
	n, c, lines := network()
	n.Start("ip=eth5:dhcp\nbridge=br0:eth0\n")
	c.run(time.Second)
	if !has(*lines, "unused br0") || !n.IsUp("br0") || !n.IsUp("eth0") {
		t.Error(strings.Join(*lines, "\n"))
	}
}

func TestHardwareAddressOfIP(t *testing.T) {
	for args, want := range map[string]string{
		"ip=bond0:dhcp::52:54:00:00:00:09\nbond=bond0:eth0": "\x52\x54\x00\x00\x00\x09", // a bond has none of its own
		"ip=eth0:dhcp::02:00:00:00:00:09":                   "\x02\x00\x00\x00\x00\x09", // a card's is none like it
		"ip=eth0:dhcp::50:54:00:00:00:09":                   "\x02\x00\x00\x00\x01\x00", // another card, which is not there
	} {
		n, c, lines := network()
		n.Start(args)
		c.run(time.Second)
		if got := string(n.Cards[len(n.Cards)-1].MAC); got != want {
			t.Errorf("%s: %x\n%s", args, got, strings.Join(*lines, "\n"))
		}
	}
}

// Two cards whose drivers came in the other order have each other's names.
func TestNamesAreExchanged(t *testing.T) {
	for _, late := range []time.Duration{0, time.Second} {
		n, c, lines := network(&netuptest.Card{}, &netuptest.Card{Appears: late}, &netuptest.Card{})
		n.Start("ifname=eth1:02:00:00:00:01:00\nifname=eth2:02:00:00:00:01:01\nifname=eth0:02:00:00:00:01:02\nip=eth1:dhcp\n")
		c.run(3 * time.Second)
		for i, want := range []string{"eth1", "eth2", "eth0"} {
			if n.Cards[i].Name != want {
				t.Errorf("card %d is %s", i, n.Cards[i].Name)
			}
		}
		if len(n.Addresses["eth1"]) != 1 {
			t.Errorf("%v\n%s", n.Addresses, strings.Join(*lines, "\n"))
		}
	}
	// The name is another's, which no event tells of.
	n, c, lines := network(&netuptest.Card{})
	n.Reserved = "lan0"
	n.Start("ifname=lan0:02:00:00:00:01:00\nip=eth0:dhcp\n")
	c.run(3 * time.Second)
	if n.Cards[0].Name != "eth0" || len(n.Addresses["eth0"]) != 1 {
		t.Errorf("%v\n%s", n.Addresses, strings.Join(*lines, "\n"))
	}
	n, c, lines = network(&netuptest.Card{}, &netuptest.Card{})
	n.Start("ifname=eth1:02:00:00:00:01:00\nip=eth0:dhcp\n")
	c.run(3 * time.Second)
	if n.Cards[0].Name != "eth0" || len(n.Addresses["eth0"]) != 1 || !has(*lines, "note", `another\x20link\x20has\x20it`) {
		t.Errorf("%v\n%s", n.Addresses, strings.Join(*lines, "\n"))
	}
}

// Whatever cards come when, and go and come back, the link on top has an address
// once a card with somebody at its other end is there to stay.
func TestStacksOfLinksComeUpInAnyOrder(t *testing.T) {
	stacks := []struct{ args, top string }{
		{"bond=bond0:eth0,eth1:mode=active-backup ip=bond0:dhcp", "bond0"},
		{"bond=bond0:eth0,eth1 vlan=bond0.7:bond0 ip=bond0.7:dhcp", "bond0.7"},
		{"vlan=bond0.7:bond0 bond=bond0:eth0,eth1 bridge=br0:bond0.7 ip=dhcp", "br0"},
		{"bridge=br0:eth0,eth1 vlan=vlan9:br0 ip=vlan9:dhcp", "vlan9"},
		{"bridge=br0:eth0.5,eth1.5 vlan=eth0.5:eth0 vlan=eth1.5:eth1 ip=br0:dhcp", "br0"},
		{"ifname=eth0:02:00:00:00:01:01 ifname=eth1:02:00:00:00:01:00 bond=bond0:eth0 ip=bond0:dhcp bond=bond1:eth1", "bond0"},
	}
	for seed := range uint64(3000) {
		rng := rand.New(rand.NewPCG(seed, 6))
		span := func(max int) time.Duration { return time.Duration(rng.IntN(max)) * time.Millisecond }
		cards := []*netuptest.Card{{}, {}}
		alive := rng.IntN(2)
		s := stacks[rng.IntN(len(stacks))]
		if strings.HasPrefix(s.args, "ifname") {
			alive = 1 // which becomes eth0
		}
		for i, c := range cards {
			c.Appears, c.Carrier = span(5000), span(3000)
			if rng.IntN(3) == 0 {
				c.Leaves = c.Appears + 1 + span(10000)
				c.Back = c.Leaves + 1 + span(10000)
			}
			if i != alive {
				switch rng.IntN(4) {
				case 0:
					c.Carrier = -1
				case 1:
					c.Apart = strings.Contains(s.args, "bridge") // a bond would send there
				case 2:
					c.Appears = -1
				}
			}
		}
		n, c, lines := network(cards...)
		n.Start(strings.ReplaceAll(s.args, " ", "\n"))
		c.run(80 * time.Second)
		if len(n.Addresses[s.top]) == 0 {
			t.Fatalf("seed %d: %s: %v, cards %+v %+v\n%s", seed, s.args, n.Addresses, *cards[0], *cards[1], strings.Join(*lines, "\n"))
		}
		if len(*lines) > 300 {
			t.Fatalf("seed %d: %d reports", seed, len(*lines))
		}
	}
}

// A link that has to be let in says by whom it waits, and what that said when it
// has ended.
func TestLinkThatIsLetIn(t *testing.T) {
	n, c, lines := network(&netuptest.Card{Carrier: 2 * time.Second})
	n.LetIn = "wpa_supplicant with /etc/x.conf"
	n.Start("ip=eth0:dhcp\n")
	c.run(time.Second)
	if !has(*lines, "link eth0 carrier=no", `by=wpa_supplicant\x20with\x20/etc/x.conf`) {
		t.Error(strings.Join(*lines, "\n"))
	}
	c.run(4 * time.Second)
	if len(n.Addresses["eth0"]) != 1 {
		t.Error(strings.Join(*lines, "\n"))
	}
	n.Core.Unauthenticated(5*time.Second, 2, "Failed to initialize driver")
	if !has(*lines, "failed eth0", `has\x20ended:\x20Failed\x20to\x20initialize`) {
		t.Error(strings.Join(*lines, "\n"))
	}
}
