package netup_test

import (
	"cmp"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"firstlight/internal/netreport"
	"firstlight/internal/netup"
	"firstlight/internal/netup/netuptest"
)

// clock calls functions at their times.
type clock struct {
	now   time.Duration
	queue []event
	seq   int
}

type event struct {
	at  time.Duration
	seq int
	f   func()
}

func (c *clock) at(t time.Duration, f func()) {
	c.seq++
	c.queue = append(c.queue, event{t, c.seq, f})
}

func (c *clock) run(until time.Duration) {
	for len(c.queue) > 0 {
		e := slices.MinFunc(c.queue, func(a, b event) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.seq, b.seq)) })
		if e.at > until {
			break
		}
		c.queue = slices.DeleteFunc(c.queue, func(x event) bool { return x.seq == e.seq })
		c.now = max(c.now, e.at)
		e.f()
	}
	c.now = until
}

var (
	serverAddr = netip.MustParseAddr("10.0.0.1")
	pool       = []netip.Prefix{netip.MustParsePrefix("10.0.0.50/24"), netip.MustParsePrefix("10.0.0.51/24")}
)

// network is one with a card and a server, and what was reported.
func network(cards ...*netuptest.Card) (*netuptest.Net, *clock, *[]string) {
	if cards == nil {
		cards = []*netuptest.Card{{}}
	}
	for i, c := range cards {
		c.Name, c.MAC = "eth"+string(rune('0'+i)), []byte{2, 0, 0, 0, 1, byte(i)}
	}
	c, lines := &clock{}, &[]string{}
	n := &netuptest.Net{Cards: cards, Server: &netuptest.Server{Addr: serverAddr, Pool: pool, Root: "10.0.0.1:/srv/root"}, Schedule: c.at, Now: func() time.Duration { return c.now }}
	n.Report = func(r netreport.Report) { *lines = append(*lines, c.now.String()+" "+r.String()) }
	return n, c, lines
}

// has says whether a report that begins so and holds all parts was made.
func has(lines []string, parts ...string) bool {
	return slices.ContainsFunc(lines, func(l string) bool {
		for _, p := range parts {
			if !strings.Contains(l, p) {
				return false
			}
		}
		return true
	})
}

func TestLeaseIsConfiguredWithinItsProbes(t *testing.T) {
	n, c, lines := network()
	n.Start("root=dhcp\n")
	c.run(time.Second)
	if !slices.Equal(n.Addresses["eth0"], pool[:1]) || len(n.Routes) != 1 || n.Routes[0].Gateway != serverAddr || n.Resolv != "nameserver 10.0.0.1\n" {
		t.Fatalf("%v %v %q\n%s", n.Addresses, n.Routes, n.Resolv, strings.Join(*lines, "\n"))
	}
	if !has(*lines, "202ms ready eth0", "addr=10.0.0.50/24", "netmask=255.255.255.0", "broadcast=10.0.0.255", "gateway=10.0.0.1", "proto=dhcp") ||
		!has(*lines, "root eth0", "server=10.0.0.1", "path=/srv/root", "client=10.0.0.50") {
		t.Error(strings.Join(*lines, "\n"))
	}
	if n.Probes != 2 {
		t.Errorf("%d probes", n.Probes)
	}
	c.run(time.Hour) // it is renewed
	if !slices.Equal(n.Addresses["eth0"], pool[:1]) || n.Sent != 3 {
		t.Errorf("%v, %d messages\n%s", n.Addresses, n.Sent, strings.Join(*lines, "\n"))
	}
}

func TestTroubleOnTheWayToALease(t *testing.T) {
	for _, x := range []struct {
		name  string
		make  func(n *netuptest.Net)
		after time.Duration
		want  netip.Prefix
		lines []string
	}{
		{"the first packet is lost", func(n *netuptest.Net) { n.Server.Lose = 1 }, 3 * time.Second, pool[0], []string{"dhcp eth0", "after\\x201\\x20request"}},
		{"the server is late", func(n *netuptest.Net) { n.Server.From = 20 * time.Second }, 60 * time.Second, pool[0], []string{"after\\x204\\x20requests"}},
		{"the server refuses once", func(n *netuptest.Net) { n.Server.Naks = 1 }, 5 * time.Second, pool[0], []string{"refused"}},
		{"another machine has the address", func(n *netuptest.Net) { n.Taken = []netip.Addr{pool[0].Addr()} }, 30 * time.Second, pool[1], []string{"conflict eth0", "addr=10.0.0.50", "by=02:00:00:00:00:ee"}},
		{"the carrier is late", func(n *netuptest.Net) { n.Cards[0].Carrier = 7 * time.Second }, 10 * time.Second, pool[0], []string{"link eth0 carrier=no"}},
		{"the card is late", func(n *netuptest.Net) { n.Cards[0].Appears = 7 * time.Second }, 10 * time.Second, pool[0], nil},
	} {
		n, c, lines := network()
		x.make(n)
		n.Start("ip=dhcp\nrd.neednet=1\n")
		c.run(x.after)
		if !slices.Equal(n.Addresses["eth0"], []netip.Prefix{x.want}) || x.lines != nil && !has(*lines, x.lines...) {
			t.Errorf("%s: %v\n%s", x.name, n.Addresses, strings.Join(*lines, "\n"))
		}
	}
}

func TestLinkWithoutCarrierHoldsUpNoOther(t *testing.T) {
	n, c, lines := network(&netuptest.Card{Carrier: -1}, &netuptest.Card{})
	n.Start("root=dhcp\n")
	c.run(time.Second)
	if !has(*lines, "ready eth1") || !has(*lines, "link eth0 carrier=no") || !has(*lines, "root eth1") {
		t.Error(strings.Join(*lines, "\n"))
	}
}

func TestStaticAddressIsProbedToo(t *testing.T) {
	n, c, lines := network()
	n.Start("ip=10.0.0.9::10.0.0.1:255.255.255.0:box:eth0:none\nroot=nfs:10.0.0.1:/srv/root:vers=3\n")
	c.run(time.Second)
	if !slices.Equal(n.Addresses["eth0"], []netip.Prefix{netip.MustParsePrefix("10.0.0.9/24")}) || n.Host != "box" || len(n.Routes) != 1 {
		t.Errorf("%v %v %q", n.Addresses, n.Routes, n.Host)
	}
	if n.Sent != 0 || !has(*lines, "root eth0", "server=10.0.0.1", "options=vers=3", "client=10.0.0.9") || !has(*lines, "200ms ready eth0", "proto=static") {
		t.Error(strings.Join(*lines, "\n"))
	}
	n, c, lines = network()
	n.Taken = []netip.Addr{netip.MustParseAddr("10.0.0.9")}
	n.Start("ip=10.0.0.9:::255.255.255.0::eth0:none\n")
	c.run(5 * time.Second)
	if len(n.Addresses["eth0"]) > 0 || !has(*lines, "conflict eth0", "addr=10.0.0.9") {
		t.Error(strings.Join(*lines, "\n"))
	}
	n.Taken = nil // the other machine goes, and nobody says so
	c.run(20 * time.Second)
	if !has(*lines, "ready eth0") {
		t.Error(strings.Join(*lines, "\n"))
	}
}

func TestLeaseThatSaysNothingOfTheRootSaysSo(t *testing.T) {
	for root, want := range map[string]string{"": "gave\\x20no\\x20path", "what?": "cannot\\x20be\\x20used"} {
		n, c, lines := network()
		n.Server.Root = root
		n.Start("root=dhcp\n")
		c.run(time.Second)
		if !has(*lines, "root eth0 text=", want) {
			t.Errorf("%q: %s", root, strings.Join(*lines, "\n"))
		}
	}
}

func TestLinkThatGoesIsForgotten(t *testing.T) {
	n, c, lines := network()
	n.Start("root=dhcp\n")
	c.run(time.Second)
	n.Core.Lost(c.now, nil)
	if !has(*lines, "gone eth0") || n.Core.Next() < time.Hour*24*365 {
		t.Errorf("next %v\n%s", n.Core.Next(), strings.Join(*lines, "\n"))
	}
}

// Whatever a server says, the machine has addresses that it was given by a
// well-formed answer, or none; and it asks for ever, without hurry.
func TestHostileServerCanAtMostRefuse(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		n, c, lines := network()
		n.Server.Hostile = func(_ int, answer []byte) []byte {
			answer = slices.Clone(answer)
			for range rng.IntN(6) {
				switch rng.IntN(3) {
				case 0:
					answer[rng.IntN(len(answer))] = byte(rng.Uint32())
				case 1:
					answer = answer[:rng.IntN(len(answer))+1]
				case 2:
					answer = append(answer, make([]byte, rng.IntN(500))...)
				}
			}
			return answer
		}
		n.Start("root=dhcp\n")
		c.run(10 * time.Minute)
		for _, l := range *lines {
			if _, text, _ := strings.Cut(l, " "); len(text) > netreport.MaxLine {
				t.Fatalf("seed %d: a report of %d bytes", seed, len(text))
			}
		}
		if n.Sent > 400 || len(*lines) > 2000 {
			t.Fatalf("seed %d: %d messages, %d reports", seed, n.Sent, len(*lines))
		}
		for _, a := range n.Addresses["eth0"] {
			if a.Addr().IsLoopback() || a.Addr().IsMulticast() || a.Addr().IsUnspecified() || a.Bits() == 0 {
				t.Fatalf("seed %d: has %v", seed, a)
			}
		}
	}
}

// A link that goes down and comes up again keeps what it has.
func TestCarrierThatFlapsKeepsTheAddress(t *testing.T) {
	n, c, lines := network()
	n.Start("root=dhcp\n")
	c.run(time.Second)
	for i := range 5 {
		n.Pull(n.Cards[0], false)
		c.run(time.Duration(2*i+2) * time.Second)
		n.Pull(n.Cards[0], true)
		c.run(time.Duration(2*i+3) * time.Second)
	}
	if !slices.Equal(n.Addresses["eth0"], pool[:1]) || n.Sent > 12 {
		t.Errorf("%v after %d messages\n%s", n.Addresses, n.Sent, strings.Join(*lines, "\n"))
	}
}

func TestRoutesAndNamesOfTheCommandLine(t *testing.T) {
	n, c, lines := network()
	n.Start("ip=dhcp\nrd.route=10.9.0.0/16:10.0.0.2\nrd.route=10.8.0.0/16:192.0.2.1\nnameserver=10.0.0.3\n")
	c.run(time.Second)
	if len(n.Routes) != 2 || n.Routes[1].Gateway != netip.MustParseAddr("10.0.0.2") || n.Resolv != "nameserver 10.0.0.3\nnameserver 10.0.0.1\n" {
		t.Errorf("%v %q\n%s", n.Routes, n.Resolv, strings.Join(*lines, "\n"))
	}
}

func TestServerIsLookedUp(t *testing.T) {
	n, c, lines := network()
	n.Hosts, n.LoseAsked = map[string]netip.Addr{"nfs.example": netip.MustParseAddr("10.0.0.7")}, 1
	n.Start("ip=dhcp\nroot=nfs:nfs.example:/srv\n")
	c.run(10 * time.Second)
	if !has(*lines, "root eth0", "server=10.0.0.7", "name=nfs.example") || n.Asked != 2 {
		t.Errorf("asked %d times\n%s", n.Asked, strings.Join(*lines, "\n"))
	}
	n, c, lines = network()
	n.Start("ip=dhcp\nroot=nfs:nfs.example:/srv\n")
	c.run(30 * time.Second)
	if !has(*lines, "root eth0 text=", "does\\x20not\\x20know\\x20the\\x20address\\x20of\\x20nfs.example") || n.Asked > 8 {
		t.Errorf("asked %d times\n%s", n.Asked, strings.Join(*lines, "\n"))
	}
}

// Each root has a report of its own, and the names of its server are looked up
// beside each other. What a lease says of a root is handed on.
func TestDisksOnSeveralServers(t *testing.T) {
	n, c, lines := network()
	n.Hosts = map[string]netip.Addr{"a.example": netip.MustParseAddr("10.0.0.7"), "b.example": netip.MustParseAddr("10.0.0.8")}
	n.Start("ip=dhcp\nroot=UUID=abcd\nnetroot=iscsi:a.example::::iqn.2009-06.org.example:a\nnetroot=iscsi:u:secret@b.example::::iqn.2009-06.org.example:b\n")
	c.run(10 * time.Second)
	if !has(*lines, "root eth0 kind=iscsi server=10.0.0.7 name=a.example") || !has(*lines, "root eth0 kind=iscsi server=10.0.0.8 name=b.example n=1") ||
		has(*lines, "secret") || n.Asked != 2 {
		t.Errorf("asked %d times\n%s", n.Asked, strings.Join(*lines, "\n"))
	}
	n, c, lines = network()
	n.Server.Root = "nbd:10.0.0.9:disk:ext4"
	n.Start("root=dhcp\n")
	c.run(time.Second)
	if !has(*lines, "root eth0 kind=nbd source=nbd:10.0.0.9:disk:ext4 server=10.0.0.9 export=disk fstype=ext4") {
		t.Error(strings.Join(*lines, "\n"))
	}
	n, c, lines = network()
	n.Start("ip=dhcp\nroot=UUID=abcd\nnetroot=nbd:10.0.0.9:2000:xfs:ro:-C,4\nnbdroot=10.0.0.9,disk,nbd2\n")
	c.run(time.Second)
	if !has(*lines, "root eth0 kind=nbd server=10.0.0.9 port=2000 fstype=xfs options=ro nbd=-C,4") || !has(*lines, "root eth0 kind=nbd server=10.0.0.9 export=disk device=nbd2 n=1") {
		t.Error(strings.Join(*lines, "\n"))
	}
}

// Whatever comes over a link, at whatever moment, nothing but the link's own
// configuration comes of it.
func FuzzFrame(f *testing.F) {
	f.Add(uint16(0), false, []byte{0x45, 0, 0, 28})
	f.Add(uint16(1), true, []byte("\x00\x01\x08\x00\x06\x04\x00\x02\x02\x00\x00\x00\x00\xee\x0a\x00\x00\x32\x02\x00\x00\x00\x01\x00\x0a\x00\x00\x32"))
	f.Fuzz(func(t *testing.T, at uint16, arp bool, frame []byte) {
		n, c, _ := network()
		n.Start("root=dhcp\n")
		c.run(time.Duration(at) * time.Millisecond)
		kind := netup.IPv4
		if arp {
			kind = netup.ARP
		}
		n.Core.Frame(c.now, 2, netup.Frame{Kind: kind, Data: frame})
		c.run(c.now + time.Minute)
		for _, a := range n.Addresses["eth0"] {
			if !slices.Contains(pool, a) {
				t.Fatalf("has %v", a)
			}
		}
	})
}
