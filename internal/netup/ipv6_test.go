package netup_test

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"firstlight/internal/netup"
	"firstlight/internal/netup/netuptest"
)

var (
	a6     = netip.MustParseAddr
	home   = netip.MustParsePrefix("fd00:7::/64")
	router = a6("fe80::1")
	pool6  = []netip.Addr{a6("fd00:7::50"), a6("fd00:7::51")}
)

// network6 is one with IPv6 alone.
func network6(cards ...*netuptest.Card) (*netuptest.Net, *clock, *[]string) {
	n, c, lines := network(cards...)
	n.Server = nil
	n.Router = &netuptest.Router{Addr: router, Prefixes: []netip.Prefix{home}, DNS: []netip.Addr{a6("fd00:7::1")}}
	return n, c, lines
}

// made is the address that a card makes of the network's prefix.
func made(c *netuptest.Card) netip.Prefix {
	b, id := home.Addr().As16(), netuptest.LocalOf(c.MAC).As16()
	copy(b[8:], id[8:])
	return netip.PrefixFrom(netip.AddrFrom16(b), 64)
}

func TestAddressAndRouteOfARouter(t *testing.T) {
	n, c, lines := network6()
	n.Router.MTU = 1400
	n.Start("ip=auto6\nroot=nfs:[fd00:7::1]:/srv/root\n")
	c.run(2 * time.Second)
	want := made(n.Cards[0])
	if !slices.Equal(n.Addresses["eth0"], []netip.Prefix{want}) || len(n.Routes) != 1 || n.Routes[0].Gateway != router || n.Routes[0].To.Bits() != 0 ||
		n.Resolv != "nameserver fd00:7::1\n" || n.Sysctls["net/ipv6/conf/eth0/mtu"] != "1400" || n.Sysctls["net/ipv6/conf/eth0/accept_ra"] != "0" {
		t.Errorf("%v %v %q %v", n.Addresses, n.Routes, n.Resolv, n.Sysctls)
	}
	if !has(*lines, "ready eth0", "addr="+want.String(), "proto=auto6", "gateway=fe80::1", "dns=fd00:7::1") ||
		!has(*lines, "root eth0 kind=nfs server=fd00:7::1", "client="+want.Addr().String()) || n.Sent > 0 {
		t.Error(strings.Join(*lines, "\n"))
	}
	// The router goes: it says so, and its route is taken back.
	n.Router.Prefixes = nil
	n.Router.Hostile = func(_ int, b []byte) []byte { b[6], b[7] = 0, 0; return b }
	n.Advertise(n.Cards[0])
	c.run(3 * time.Second)
	if len(n.Routes) > 0 || len(n.Addresses["eth0"]) != 1 {
		t.Errorf("%v %v", n.Routes, n.Addresses)
	}
	// And its prefix ends after its time.
	c.run(2 * time.Hour)
	if len(n.Addresses["eth0"]) > 0 || !has(*lines, "dhcp eth0") {
		t.Errorf("%v\n%s", n.Addresses, strings.Join(*lines, "\n"))
	}
}

func TestEveryWayToAnAddressOfIPv6(t *testing.T) {
	dhcp := netip.PrefixFrom(pool6[0], 128)
	for _, x := range []struct {
		name, params string
		make         func(n *netuptest.Net)
		want         func(c *netuptest.Card) []netip.Prefix
		by           time.Duration
		lines        []string
	}{
		{name: "DHCPv6, whatever routers say", params: "ip=dhcp6", make: func(n *netuptest.Net) {},
			want: func(*netuptest.Card) []netip.Prefix { return []netip.Prefix{dhcp} }, lines: []string{"ready eth0", "proto=dhcp6", "gateway=fe80::1"}},
		{name: "no router at all", params: "ip=dhcp6", make: func(n *netuptest.Net) { n.Router = nil },
			want: func(*netuptest.Card) []netip.Prefix { return []netip.Prefix{dhcp} }},
		{name: "in two packets", params: "ip=dhcp6", make: func(n *netuptest.Net) { n.Server6.Rapid = true },
			want: func(*netuptest.Card) []netip.Prefix { return []netip.Prefix{dhcp} }},
		{name: "the router leaves addresses to DHCPv6", params: "ip=auto6", make: func(n *netuptest.Net) { n.Router.Managed, n.Router.Prefixes = true, nil },
			want: func(*netuptest.Card) []netip.Prefix { return []netip.Prefix{dhcp} }},
		{name: "both", params: "ip=auto6", make: func(n *netuptest.Net) { n.Router.Managed = true },
			want: func(c *netuptest.Card) []netip.Prefix { return []netip.Prefix{made(c), dhcp} }},
		{name: "a router without a prefix", params: "ip=either6", make: func(n *netuptest.Net) { n.Router.Prefixes = nil },
			want: func(*netuptest.Card) []netip.Prefix { return []netip.Prefix{dhcp} }},
		{name: "no router, and DHCPv6 after a while", params: "ip=either6", make: func(n *netuptest.Net) { n.Router = nil }, by: 5 * time.Second,
			want: func(*netuptest.Card) []netip.Prefix { return []netip.Prefix{dhcp} }},
		{name: "the rest from DHCPv6", params: "ip=auto6", make: func(n *netuptest.Net) { n.Router.Other = true; n.Router.DNS = nil },
			want: func(c *netuptest.Card) []netip.Prefix { return []netip.Prefix{made(c)} }, lines: []string{"ready eth0", "dns=fd00:7::2"}},
		{name: "written", params: "ip=[fd00:7::9]::[fd00:7::1]:64::eth0:none", make: func(n *netuptest.Net) { n.Router = nil },
			want: func(*netuptest.Card) []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix("fd00:7::9/64")} }, lines: []string{"ready eth0", "proto=static"}},
		{name: "of the link", params: "ip=link6", make: func(n *netuptest.Net) {},
			want: func(*netuptest.Card) []netip.Prefix { return nil }, lines: []string{"ready eth0", "addr=fe80::", "proto=link-local"}},
		{name: "the first messages are lost", params: "ip=dhcp6", make: func(n *netuptest.Net) { n.Server6.Lose, n.Router.Lose = 1, 1 }, by: 5 * time.Second,
			want: func(*netuptest.Card) []netip.Prefix { return []netip.Prefix{dhcp} }, lines: []string{"DHCPv6:\\x20no\\x20answer\\x20after\\x201\\x20request"}},
		{name: "another machine has the lease", params: "ip=dhcp6", make: func(n *netuptest.Net) { n.Taken = pool6[:1] }, by: 30 * time.Second,
			want: func(*netuptest.Card) []netip.Prefix { return []netip.Prefix{netip.PrefixFrom(pool6[1], 128)} }, lines: []string{"conflict eth0 addr=fd00:7::50"}},
		{name: "IPv4 and IPv6", params: "ip=dhcp", make: func(n *netuptest.Net) { n.Server = &netuptest.Server{Addr: serverAddr, Pool: pool} },
			want: func(c *netuptest.Card) []netip.Prefix { return []netip.Prefix{pool[0], made(c)} }, lines: []string{"ready eth0", "addr=10.0.0.50/24 ", "addr=fd00:7::"}},
		{name: "IPv6 alone is enough", params: "ip=dhcp", make: func(n *netuptest.Net) {},
			want: func(c *netuptest.Card) []netip.Prefix { return []netip.Prefix{made(c)} }, lines: []string{"ready eth0"}},
		{name: "IPv4 alone is enough", params: "ip=dhcp", make: func(n *netuptest.Net) {
			n.NoIPv6, n.Server = true, &netuptest.Server{Addr: serverAddr, Pool: pool}
		}, want: func(c *netuptest.Card) []netip.Prefix { return pool[:1] }, lines: []string{"ready eth0"}},
	} {
		n, c, lines := network6()
		n.Server6 = &netuptest.Server6{Pool: pool6, DNS: []netip.Addr{a6("fd00:7::2")}}
		x.make(n)
		n.Start(x.params + "\nrd.neednet=1\n")
		if x.by == 0 {
			x.by = time.Second
		}
		c.run(x.by)
		got, want := n.Addresses["eth0"], x.want(n.Cards[0])
		slices.SortFunc(got, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
		slices.SortFunc(want, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
		if !slices.Equal(got, want) || !has(*lines, "ready eth0") || x.lines != nil && !has(*lines, x.lines...) {
			t.Errorf("%s: %v, want %v\n%s", x.name, got, want, strings.Join(*lines, "\n"))
		}
	}
}

func TestWhatIPv6WaitsForIsSaid(t *testing.T) {
	for _, x := range []struct {
		params string
		make   func(n *netuptest.Net)
		want   []string
	}{
		{"ip=auto6", func(n *netuptest.Net) { n.Router = nil }, []string{"no\\x20router\\x20has\\x20answered\\x203\\x20solicitations"}},
		{"ip=auto6\nrd.net.timeout.ipv6auto=3", func(n *netuptest.Net) { n.Router = nil }, []string{"late=ipv6auto"}},
		{"ip=dhcp6\nrd.net.timeout.dhcp=2\nrd.net.dhcp.retry=2", func(n *netuptest.Net) { n.Router = nil }, []string{"DHCPv6:\\x20no\\x20answer", "late=dhcp"}},
		{"ip=auto6", func(n *netuptest.Net) { n.NoIPv6 = true }, []string{"failed eth0", "the\\x20kernel\\x20has\\x20no\\x20IPv6"}},
		{"ip=auto6", func(n *netuptest.Net) { n.Taken = []netip.Addr{netuptest.LocalOf(n.Cards[0].MAC)} }, []string{"another\\x20machine\\x20has\\x20its\\x20link-local"}},
		{"ip=auto6", func(n *netuptest.Net) { n.Taken = []netip.Addr{made(n.Cards[0]).Addr()} }, []string{"conflict eth0"}},
		{"ip=[fd00:7::9]:::64::eth0:none", func(n *netuptest.Net) { n.Taken = []netip.Addr{a6("fd00:7::9")} }, []string{"conflict eth0 addr=fd00:7::9"}},
	} {
		n, c, lines := network6()
		x.make(n)
		n.Start(x.params + "\nrd.neednet=1\n")
		c.run(9 * time.Second)
		if !has(*lines, x.want...) || has(*lines, "ready eth0") {
			t.Errorf("%s: %s", x.params, strings.Join(*lines, "\n"))
		}
		if n.Taken == nil || !strings.Contains(x.params, "none") {
			continue
		}
		n.Taken = nil // the other machine goes
		c.run(30 * time.Second)
		if !has(*lines, "ready eth0") {
			t.Errorf("%s: %s", x.params, strings.Join(*lines, "\n"))
		}
	}
}

// Leases are renewed while the boot waits, and given up when nobody renews them.
func TestAddressOfDHCPv6IsRenewed(t *testing.T) {
	n, c, lines := network6()
	n.Server6 = &netuptest.Server6{Pool: pool6, Life: 600}
	n.Start("ip=dhcp6\nrd.neednet=1\n")
	c.run(time.Hour)
	if len(n.Addresses["eth0"]) != 1 || n.Sent < 12 || n.Sent > 20 || has(*lines, "lost") {
		t.Errorf("%v, %d messages\n%s", n.Addresses, n.Sent, strings.Join(*lines, "\n"))
	}
	n.Server6 = nil
	c.run(90 * time.Minute)
	if len(n.Addresses["eth0"]) > 0 || !has(*lines, "note -", "lost") {
		t.Errorf("%v\n%s", n.Addresses, strings.Join(*lines, "\n"))
	}
}

func TestRootOfALeaseOfIPv6(t *testing.T) {
	for url, want := range map[string]string{
		"nfs://[fd00:7::1]/srv/root": "kind=nfs server=fd00:7::1 path=/srv/root", "nfs:[fd00:7::1]:/srv:vers=4.1": "path=/srv options=vers=4.1",
		"": "the\\x20DHCPv6\\x20server\\x20gave\\x20no\\x20path", "grub.efi": "cannot\\x20be\\x20used",
	} {
		n, c, lines := network6()
		n.Server6 = &netuptest.Server6{Pool: pool6, BootURL: url}
		n.Start("ip=dhcp6\nroot=dhcp6\n")
		c.run(time.Second)
		if !has(*lines, "root eth0", want) {
			t.Errorf("%q: %s", url, strings.Join(*lines, "\n"))
		}
	}
}

// A lease that is another machine's takes nothing from a link that has an address
// of IPv6.
func TestConflictOfOneFamilyLeavesTheOther(t *testing.T) {
	n, c, lines := network6()
	n.Server = &netuptest.Server{Addr: serverAddr, Pool: pool, From: 2 * time.Second}
	n.Taken = []netip.Addr{pool[0].Addr()}
	n.Start("ip=dhcp\nrd.neednet=1\n")
	c.run(40 * time.Second)
	got := n.Addresses["eth0"]
	if !has(*lines, "ready eth0") || has(*lines, "conflict eth0") || !slices.Contains(got, pool[1]) || !slices.Contains(got, made(n.Cards[0])) {
		t.Errorf("%v\n%s", got, strings.Join(*lines, "\n"))
	}
}

// The server's family decides: a root on an IPv4 server is not tried before there
// is an address of IPv4.
func TestRootWaitsForAnAddressOfItsServersFamily(t *testing.T) {
	n, c, lines := network6()
	n.Server = &netuptest.Server{Addr: serverAddr, Pool: pool, From: 5 * time.Second}
	n.Start("ip=dhcp\nroot=nfs:10.0.0.1:/srv/root\n")
	c.run(2 * time.Second)
	if !has(*lines, "ready eth0") || has(*lines, "kind=nfs") || !has(*lines, "root eth0 text=no\\x20link\\x20has\\x20an\\x20IPv4\\x20address") {
		t.Error(strings.Join(*lines, "\n"))
	}
	c.run(10 * time.Second)
	if !has(*lines, "root eth0 kind=nfs server=10.0.0.1") {
		t.Error(strings.Join(*lines, "\n"))
	}
}

func TestServerOfTheLinkAndNamesOfIPv6(t *testing.T) {
	n, c, lines := network6()
	n.Start("ip=link6\nroot=nfs:[fe80::1]:/srv/root\n")
	c.run(2 * time.Second)
	if !has(*lines, "root eth0 kind=nfs server=fe80::1%eth0", "client=fe80::") {
		t.Error(strings.Join(*lines, "\n"))
	}
	n, c, lines = network6()
	n.Hosts = map[string]netip.Addr{"nfs.example": a6("fd00:7::7")}
	n.Start("ip=auto6\nroot=nfs:nfs.example:/srv/root\n")
	c.run(2 * time.Second)
	if !has(*lines, "server=fd00:7::7 name=nfs.example") || n.Asked != 1 {
		t.Errorf("asked %d times\n%s", n.Asked, strings.Join(*lines, "\n"))
	}
	n, c, lines = network6()
	n.Server = &netuptest.Server{Addr: serverAddr, Pool: pool}
	n.Hosts = map[string]netip.Addr{"nfs.example": a6("fd00:7::7")}
	n.Start("ip=dhcp\nroot=nfs:nfs.example:/srv/root\n")
	c.run(5 * time.Second)
	if !has(*lines, "server=fd00:7::7 name=nfs.example") {
		t.Errorf("asked %d times\n%s", n.Asked, strings.Join(*lines, "\n"))
	}
}

func TestLinkLocalAddressOfIPv4(t *testing.T) {
	n, c, lines := network()
	n.Server, n.NoIPv6 = nil, true
	n.Start("ip=eth0:link-local\nrd.neednet=1\n")
	c.run(15 * time.Second)
	if got := n.Addresses["eth0"]; len(got) != 1 || !got[0].Addr().IsLinkLocalUnicast() || got[0].Bits() != 16 || !has(*lines, "ready eth0", "addr=169.254.") {
		t.Fatalf("%v\n%s", got, strings.Join(*lines, "\n"))
	}
	// It stands in for a lease, and gives way to one.
	n, c, lines = network()
	n.NoIPv6, n.Server.From = true, time.Minute
	n.Start("ip=eth0:dhcp4\nip=eth0:link-local\nrd.neednet=1\n")
	c.run(50 * time.Second)
	if got := n.Addresses["eth0"]; len(got) != 1 || !got[0].Addr().IsLinkLocalUnicast() {
		t.Errorf("%v\n%s", got, strings.Join(*lines, "\n"))
	}
	c.run(3 * time.Minute)
	if !slices.Equal(n.Addresses["eth0"], pool[:1]) {
		t.Errorf("%v\n%s", n.Addresses, strings.Join(*lines, "\n"))
	}
}

func TestOneInterfaceOfSeveral(t *testing.T) {
	n, c, lines := network(&netuptest.Card{Carrier: 3 * time.Second}, &netuptest.Card{}, &netuptest.Card{Carrier: -1})
	n.Start("ip=single-dhcp\nroot=dhcp\n")
	c.run(10 * time.Second)
	if !has(*lines, "ready eth1") || has(*lines, "ready eth0") || !has(*lines, "unused eth0") || !has(*lines, "unused eth2") || len(n.Addresses["eth0"]) > 0 {
		t.Error(strings.Join(*lines, "\n"))
	}
}

// At the end of the boot the links that nobody named and that the root is not on
// are as they were; those that it is on keep what they have.
func TestLinksThatTheRootDoesNotNeedAreLeftAsFound(t *testing.T) {
	n, c, lines := network(&netuptest.Card{}, &netuptest.Card{Apart: true}, &netuptest.Card{})
	n.Start("root=dhcp\nip=dhcp\nip=eth2:dhcp\n")
	c.run(5 * time.Second)
	n.Core.End()
	if len(n.Addresses["eth0"]) != 1 || n.Files["/run/net-eth0.conf"] == "" || n.Files["/run/net-eth2.conf"] == "" || n.Files["/run/net-eth1.conf"] != "" {
		t.Errorf("%v %v\n%s", n.Addresses, n.Files, strings.Join(*lines, "\n"))
	}
	if up := n.Up(); !slices.Equal(up, []string{"eth0", "eth2"}) {
		t.Errorf("%v are up", up)
	}
}

func TestFilesForTheRealSystem(t *testing.T) {
	n, c, _ := network6()
	n.Start("ip=auto6\nroot=nfs:[fd00:7::1]:/srv\n")
	c.run(2 * time.Second)
	unit, conf := n.Files["/run/systemd/network/zzzz-firstlight-eth0.network"], n.Files["/run/net-eth0.conf"]
	for _, want := range []string{"KeepConfiguration=yes", "IPv6AcceptRA=yes", "DNS=fd00:7::1", "DHCPv6Client=no"} {
		if !strings.Contains(unit, want+"\n") {
			t.Errorf("no %s in\n%s", want, unit)
		}
	}
	if !strings.Contains(conf, "IPV4ADDR=''\n") || !strings.Contains(conf, "IPV6ADDR='"+made(n.Cards[0]).Addr().String()+"'\n") {
		t.Error(conf)
	}
}

// A cable that is pulled and put back, and routers and servers that lie: the
// machine has addresses that it made of a prefix of 64 bits or was given, or none,
// and asks without hurry.
func TestHostileNetworkOfIPv6CanAtMostRefuse(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 2))
		n, c, lines := network6()
		n.Server6 = &netuptest.Server6{Pool: pool6, DNS: []netip.Addr{a6("fd00:7::2")}, BootURL: "nfs://[fd00:7::1]/srv"}
		n.Router.Managed = rng.IntN(2) == 0
		spoil := func(_ int, b []byte) []byte {
			b = slices.Clone(b)
			for range rng.IntN(6) {
				switch rng.IntN(3) {
				case 0:
					b[rng.IntN(len(b))] = byte(rng.Uint32())
				case 1:
					b = b[:rng.IntN(len(b))+1]
				case 2:
					b = append(b, make([]byte, rng.IntN(500))...)
				}
			}
			return b
		}
		n.Router.Hostile, n.Server6.Hostile = spoil, spoil
		n.Start([]string{"root=dhcp6\nip=dhcp6\n", "root=dhcp\nip=auto6\n", "root=dhcp\n"}[rng.IntN(3)])
		for i := range 10 {
			c.run(time.Duration(i+1) * time.Minute)
			n.Advertise(n.Cards[0])
			n.Pull(n.Cards[0], rng.IntN(2) == 0)
		}
		if n.Sent > 600 || len(*lines) > 4000 {
			t.Fatalf("seed %d: %d messages, %d reports", seed, n.Sent, len(*lines))
		}
		for _, a := range n.Addresses["eth0"] {
			if a.Addr().IsLoopback() || a.Addr().IsMulticast() || a.Addr().IsUnspecified() || a.Bits() != 64 && a.Bits() != 128 {
				t.Fatalf("seed %d: has %v", seed, a)
			}
		}
	}
}

// Whatever comes over a link from routers and servers of IPv6, at whatever
// moment, nothing but addresses of 64-bit prefixes comes of it.
func FuzzFrame6(f *testing.F) {
	f.Add(uint16(500), false, []byte{134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add(uint16(500), true, []byte{7, 0, 0, 1, 0, 1, 0, 2, 1, 2})
	f.Fuzz(func(t *testing.T, at uint16, dhcp bool, frame []byte) {
		n, c, _ := network6()
		n.Start("root=dhcp\n")
		c.run(time.Duration(at) * time.Millisecond)
		kind := netup.Advertisement
		if dhcp {
			kind = netup.DHCP6
		}
		n.Core.Frame(c.now, 2, netup.Frame{Kind: kind, Data: frame, From: router, Hops: 255})
		c.run(c.now + time.Minute)
		for _, a := range n.Addresses["eth0"] {
			if a.Bits() != 64 && a.Bits() != 128 || a.Addr().IsMulticast() || a.Addr().IsLoopback() {
				t.Fatalf("has %v", a)
			}
		}
	})
}

func TestInterfaceThatIsNotThereIsSaid(t *testing.T) {
	n, c, lines := network()
	n.Start("ip=eth7:dhcp\nrd.net.timeout.iflink=2\nroot=dhcp\n")
	c.run(5 * time.Second)
	if !has(*lines, "2s missing eth7") || has(*lines, "missing eth0") {
		t.Error(strings.Join(*lines, "\n"))
	}
}
