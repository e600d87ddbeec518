package netup_test

import (
	"bytes"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"firstlight/internal/dhcp4"
	"firstlight/internal/netup/netuptest"
)

// lies lets the server add options to each answer, in place of its own.
func lies(options ...dhcp4.Option) func(int, []byte) []byte {
	return func(_ int, answer []byte) []byte {
		m, err := dhcp4.Parse(answer)
		if err != nil {
			return answer
		}
		for _, o := range options {
			m.Options = slices.DeleteFunc(m.Options, func(have dhcp4.Option) bool { return have.Code == o.Code })
			m.Options = append(m.Options, o)
		}
		return m.Append(nil)
	}
}

func opt(c dhcp4.Code, text string) dhcp4.Option { return dhcp4.Option{Code: c, Data: []byte(text)} }

// What may stand in a list of name servers.
var resolv = regexp.MustCompile(`^(search( [A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*)+\n)?(nameserver [0-9a-f:.]+(%eth0)?\n){0,3}$`)

// names of which each would do something in a shell, a terminal or a file.
func hostileNames() []string {
	return []string{"$(touch canary)", "`touch canary`", "a;touch canary", "a'\ntouch canary\n'", "a\" touch canary \"", "a\nnameserver 10.6.6.6", "a\x1b[2Jb",
		"a\x00b", "-rf", "..", "../../etc", "a b", "a\\", "größe", "\u202egnp.sh", strings.Repeat("a", 300), strings.Repeat("a.", 200), "%s%n", "~root", "*"}
}

// Whatever a server sends as a name or a path: the machine's name and the list of
// name servers are such, no report has what a terminal obeys, and what scripts of the
// real system read as shell assignments does nothing in a shell but assign.
func TestNamesOfAServerDoNothing(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range hostileNames() {
		for _, code := range []dhcp4.Code{dhcp4.OptHostName, dhcp4.OptDomain, dhcp4.OptRootPath, dhcp4.OptTFTPServer, dhcp4.OptBootFile, dhcp4.OptSearch, dhcp4.OptMessage, dhcp4.OptVendor} {
			n, c, lines := network()
			n.Server.Hostile = lies(opt(code, bad))
			n.Start("root=nfs:10.0.0.1:/srv/root\nip=dhcp\n")
			c.run(5 * time.Second)
			if !slices.Equal(n.Addresses["eth0"], pool[:1]) || !has(*lines, "root eth0 kind=nfs server=10.0.0.1", "path=/srv/root") {
				t.Fatalf("%q as option %d keeps the machine from its root:\n%s", bad, code, strings.Join(*lines, "\n"))
			}
			if n.Host != "" && !dhcp4.ValidHostName(n.Host) {
				t.Errorf("%q as option %d: the machine is %q", bad, code, n.Host)
			}
			if !resolv.MatchString(n.Resolv) || strings.Contains(n.Resolv, "10.6.6.6") {
				t.Errorf("%q as option %d: name servers %q", bad, code, n.Resolv)
			}
			for _, l := range *lines {
				if i := strings.IndexFunc(l, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\u202e' }); i >= 0 {
					t.Errorf("%q as option %d is reported as it is: %q", bad, code, l)
				}
			}
			for name, text := range n.Files {
				if strings.HasSuffix(name, ".conf") {
					assigns(t, sh, text)
				} else if strings.Contains(text, "canary") || strings.Contains(text, "6.6.6") {
					t.Errorf("%q as option %d is in %s:\n%s", bad, code, name, text)
				}
			}
		}
	}
}

// assigns fails if a file does something in a shell, but for assigning.
func assigns(t *testing.T, sh, text string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "conf"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(sh, "-euc", `. ./conf; test "$DEVICE" = eth0 && test "$IPV4ADDR" = 10.0.0.50 && echo same`)
	cmd.Dir = dir
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil || string(out) != "same\n" || errs.Len() > 0 {
		t.Errorf("a shell makes of it: %q, %v, %s\n%s", out, err, &errs, text)
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 1 {
		t.Errorf("a shell has made files of it: %v %v\n%s", list, err, text)
	}
}

// What a server sends as a number or a list is used as far as it makes sense.
func TestNumbersOfAServerAreBounded(t *testing.T) {
	many := func(k int) (b []byte) {
		for i := range k {
			b = append(b, 10, 9, byte(i>>8), byte(i)|1)
		}
		return b
	}
	routes := func(k int) (b []byte) {
		for i := range k {
			b = append(b, 32, 10, 8, byte(i>>8), byte(i), 10, 0, 0, 1)
		}
		return b
	}
	for _, x := range []struct {
		name   string
		option dhcp4.Option
		ok     func(n *netuptest.Net) bool
		said   string
	}{
		{"MTU 68", dhcp4.Option{Code: dhcp4.OptMTU, Data: []byte{0, 68}}, func(n *netuptest.Net) bool { return len(n.Addresses["eth0"]) == 1 }, `MTU\x2068`},
		{"no lease", dhcp4.Option{Code: dhcp4.OptLeaseTime, Data: []byte{0, 0, 0, 0}}, func(n *netuptest.Net) bool { return len(n.Addresses["eth0"]) == 0 }, `a\x20lease\x20of\x200\x20s`},
		{"a lease without end", dhcp4.Option{Code: dhcp4.OptLeaseTime, Data: []byte{255, 255, 255, 255}}, func(n *netuptest.Net) bool { return len(n.Addresses["eth0"]) == 1 && n.Sent == 2 }, "ready eth0"},
		{"1,000 name servers", dhcp4.Option{Code: dhcp4.OptDNS, Data: many(1000)}, func(n *netuptest.Net) bool { return strings.Count(n.Resolv, "nameserver") == 3 }, "ready eth0"},
		{"1,000 routers", dhcp4.Option{Code: dhcp4.OptRouter, Data: many(1000)}, func(n *netuptest.Net) bool { return len(n.Routes) == 1 }, "ready eth0"},
		{"100 routes", dhcp4.Option{Code: dhcp4.OptRoutes, Data: routes(100)}, func(n *netuptest.Net) bool { return len(n.Routes) == 64 }, `more\x20than\x2064\x20routes`},
		{"routes to nowhere", dhcp4.Option{Code: dhcp4.OptRoutes, Data: []byte{8, 127, 10, 0, 0, 1, 4, 224, 10, 0, 0, 1, 33, 1, 2, 3, 4, 5, 10, 0, 0, 1}}, func(n *netuptest.Net) bool { return len(n.Routes) == 1 && n.Routes[0].To.Bits() == 0 }, "cannot\\x20be\\x20read"},
		{"itself as the router", dhcp4.Option{Code: dhcp4.OptRouter, Data: []byte{10, 0, 0, 50}}, func(n *netuptest.Net) bool { return len(n.Routes) == 0 }, `cannot\x20be\x20a\x20router`},
		{"no netmask", dhcp4.Option{Code: dhcp4.OptNetmask, Data: []byte{0, 0, 0, 0}}, func(n *netuptest.Net) bool { return len(n.Addresses["eth0"]) == 0 }, "netmask"},
	} {
		n, c, lines := network()
		n.Server.Hostile = lies(x.option)
		n.Start("root=dhcp\n")
		c.run(90 * time.Second)
		if !x.ok(n) || !has(*lines, x.said) || n.Sent > 20 {
			t.Errorf("%s: %v, %v, %q, %d messages\n%s", x.name, n.Addresses, n.Routes, n.Resolv, n.Sent, strings.Join(*lines, "\n"))
		}
	}
}

// Options that say that they go on elsewhere end, whatever they say.
func TestOptionsThatGoOnInThemselves(t *testing.T) {
	n, c, lines := network()
	n.Server.Hostile = func(_ int, answer []byte) []byte {
		answer = slices.Clone(answer)
		end := slices.Index(answer[240:], 255) + 240
		answer = append(answer[:end], 52, 1, 3, 255)
		for at := 44; at < 236; at += 3 { // sname and file: each says again that both hold options
			copy(answer[at:236], []byte{52, 1, 3})
		}
		return answer
	}
	n.Start("root=dhcp\n")
	c.run(time.Minute)
	if n.Sent > 20 || !slices.Equal(n.Addresses["eth0"], pool[:1]) && !has(*lines, "cannot") && !has(*lines, "dhcp eth0") {
		t.Errorf("%d messages, %v\n%s", n.Sent, n.Addresses, strings.Join(*lines, "\n"))
	}
}

// way is the link by which the kernel sends to an address: the longest prefix, then
// the least metric, then who came first.
func way(n *netuptest.Net, to netip.Addr) string {
	best, link, metric := -1, "", uint32(0)
	for _, c := range n.Cards {
		for _, a := range n.Addresses[c.Name] {
			if a.Masked().Contains(to) && (a.Bits() > best || a.Bits() == best && metric > 0) {
				best, link, metric = a.Bits(), c.Name, 0
			}
		}
	}
	for _, r := range n.Routes {
		if r.To.Contains(to) && (r.To.Bits() > best || r.To.Bits() == best && r.Metric < metric) {
			best, link, metric = r.To.Bits(), n.Cards[r.Link-2].Name, r.Metric
		}
	}
	return link
}

// A server that answers on one cable does not become the one that the command line
// has on another: the root's server is reached by the link that was written for it,
// whichever comes first.
func TestNoLeaseLeadsTheRootAway(t *testing.T) {
	server, beyond := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.7.0.1")
	const near, far = "root=nfs:10.0.0.1:/srv\nip=10.0.0.9::10.0.0.254:255.255.255.0::eth1:none\nip=eth0:dhcp\n",
		"root=nfs:10.7.0.1:/srv\nip=10.0.0.9::10.0.0.254:255.255.255.0::eth1:none\nip=eth0:dhcp\n"
	const routed = "root=nfs:10.7.0.1:/srv\nip=10.0.0.9:::255.255.255.0::eth1:none\nrd.route=10.7.0.0/16:10.0.0.254:eth1\nip=eth0:dhcp\n"
	route := func(b ...byte) dhcp4.Option { return dhcp4.Option{Code: dhcp4.OptRoutes, Data: b} }
	mask := func(b ...byte) dhcp4.Option { return dhcp4.Option{Code: dhcp4.OptNetmask, Data: b} }
	for _, x := range []struct {
		name, args string
		to         netip.Addr
		pool       string
		options    []dhcp4.Option
	}{
		{"the same network", near, server, "10.0.0.50/24", nil},
		{"a part of it", near, server, "10.0.0.5/29", []dhcp4.Option{mask(255, 255, 255, 248)}},
		{"a route to the server", near, server, "10.9.0.50/24", []dhcp4.Option{route(32, 10, 0, 0, 1, 10, 9, 0, 1)}},
		{"routes to both halves", near, server, "10.9.0.50/24", []dhcp4.Option{route(25, 10, 0, 0, 0, 10, 9, 0, 1, 25, 10, 0, 0, 128, 10, 9, 0, 1)}},
		{"a router of everything", far, beyond, "10.9.0.50/24", []dhcp4.Option{{Code: dhcp4.OptRouter, Data: []byte{10, 9, 0, 1}}}},
		{"a route to what a route is written to", routed, beyond, "10.9.0.50/24", []dhcp4.Option{route(24, 10, 7, 0, 10, 9, 0, 1)}},
		{"the network that a route is written to", routed, beyond, "10.7.0.50/24", nil},
	} {
		for _, late := range []int{0, 1} {
			n, c, lines := network(&netuptest.Card{}, &netuptest.Card{Apart: true})
			n.Cards[late].Appears = 3 * time.Second
			n.Server.Pool, n.Server.Hostile = []netip.Prefix{netip.MustParsePrefix(x.pool)}, lies(x.options...)
			n.Start(x.args)
			c.run(20 * time.Second)
			if len(n.Addresses["eth0"]) != 1 || len(n.Addresses["eth1"]) != 1 {
				t.Fatalf("%s: %v\n%s", x.name, n.Addresses, strings.Join(*lines, "\n"))
			}
			if got := way(n, x.to); got != "eth1" {
				t.Errorf("%s, eth%d is late: %s is reached by %s: %v %v", x.name, late, x.to, got, n.Addresses, n.Routes)
			}
		}
	}
	// Where nothing is in its way, a lease is used as it is.
	n, c, _ := network(&netuptest.Card{}, &netuptest.Card{Apart: true})
	n.Server.Pool = []netip.Prefix{netip.MustParsePrefix("10.9.0.50/24")}
	n.Server.Hostile = lies(route(8, 11, 10, 9, 0, 1), dhcp4.Option{Code: dhcp4.OptRouter, Data: []byte{10, 9, 0, 1}})
	n.Start(near)
	c.run(20 * time.Second)
	if !slices.Equal(n.Addresses["eth0"], n.Server.Pool) || way(n, netip.MustParseAddr("11.0.0.1")) != "eth0" {
		t.Errorf("%v %v", n.Addresses, n.Routes)
	}
}

// The same of routers of IPv6.
func TestNoRouterLeadsTheRootAway(t *testing.T) {
	for _, args := range []string{
		"root=nfs:[fd00:7::1]:/srv\nip=[fd00:7::9]:::64::eth1:none\nip=eth0:auto6\n",
		"root=nfs:[fd00:9::1]:/srv\nip=[fd00:8::9]::[fd00:8::1]:64::eth1:none\nip=eth0:auto6\n",
	} {
		for _, late := range []int{0, 1} {
			n, c, lines := network6(&netuptest.Card{}, &netuptest.Card{Apart: true})
			n.Cards[late].Appears = 3 * time.Second
			n.Start(args)
			c.run(20 * time.Second)
			to := a6("fd00:7::1")
			if strings.Contains(args, "fd00:9::1") {
				to = a6("fd00:9::1")
			}
			if len(n.Addresses["eth0"]) != 1 || len(n.Addresses["eth1"]) != 1 {
				t.Fatalf("%v\n%s", n.Addresses, strings.Join(*lines, "\n"))
			}
			if got := way(n, to); got != "eth1" {
				t.Errorf("%s, eth%d is late: %s is reached by %s: %v %v", args, late, to, got, n.Addresses, n.Routes)
			}
		}
	}
}

// A router that floods the link with prefixes, routes and numbers gives the machine
// a few addresses, and no numbers that the link does not have.
func TestARogueRouterIsBounded(t *testing.T) {
	n, c, lines := network6()
	said := 0
	n.Router.Hostile = func(int, []byte) []byte {
		b := []byte{134, 0, 0, 0, 1, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0} // hop limit 1
		for i := range 40 {
			said++
			p := [16]byte{0xfd, 0, byte(said >> 8), byte(said), byte(i)}
			b = append(b, 3, 4, 64, 0xc0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0)
			b = append(b, p[:]...)
		}
		return append(b, 5, 1, 0, 0, 0, 0, 0, 68) // MTU 68
	}
	n.Start("root=nfs:[fd00:7::1]:/srv\nip=auto6\n")
	for i := range 50 {
		c.run(time.Duration(i+1) * time.Second)
		n.Advertise(n.Cards[0])
	}
	c.run(2 * time.Minute)
	if k := len(n.Addresses["eth0"]); k == 0 || k > 17 || len(n.Routes) > 64 || len(*lines) > 1000 {
		t.Errorf("%d addresses, %d routes, %d reports", k, len(n.Routes), len(*lines))
	}
	if mtu := n.Sysctls["net/ipv6/conf/eth0/mtu"]; mtu != "" {
		t.Errorf("MTU %s", mtu)
	}
	// One that says that it is a router no more is none.
	n, c, _ = network6()
	n.Start("root=nfs:[fd00:9::1]:/srv\nip=auto6\n")
	c.run(5 * time.Second)
	if way(n, a6("fd00:9::1")) != "eth0" {
		t.Fatalf("%v", n.Routes)
	}
	n.Router.Hostile = func(_ int, b []byte) []byte {
		b = slices.Clone(b)
		b[6], b[7] = 0, 0
		return b
	}
	n.Advertise(n.Cards[0])
	c.run(10 * time.Second)
	if way(n, a6("fd00:9::1")) != "" || len(n.Addresses["eth0"]) != 1 {
		t.Errorf("%v %v", n.Routes, n.Addresses)
	}
}

// What a lease says of the root counts only where the command line leaves it to the
// lease.
func TestALeaseDoesNotMoveTheRoot(t *testing.T) {
	for _, path := range []string{"10.6.6.6:/evil", "nfs:10.6.6.6:/evil:vers=3", "http://10.6.6.6/evil.squashfs", "iscsi:10.6.6.6:::1:iqn.evil", "nbd:10.6.6.6:evil", "/../../etc"} {
		n, c, lines := network()
		n.Server.Root = path
		n.Start("root=nfs:10.0.0.1:/srv/root\nip=dhcp\n")
		c.run(5 * time.Second)
		if !has(*lines, "root eth0 kind=nfs server=10.0.0.1", "path=/srv/root") || has(*lines, "root eth0", "evil") || has(*lines, "root eth0", "etc") {
			t.Errorf("%s: %s", path, strings.Join(*lines, "\n"))
		}
	}
}
