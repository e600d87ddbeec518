// Package netreal lets the parts of the network that know neither sockets nor a
// clock talk to the field's own servers over a virtual cable between two network
// namespaces. Nothing of the machine's own network is touched.
package netreal

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"firstlight/internal/dhcp4"
	"firstlight/internal/dhcp6"
	"firstlight/internal/duid"
	"firstlight/internal/ra"
	"firstlight/internal/testtool"
)

// inside marks the process that has a network namespace of its own.
const inside = "FIRSTLIGHT_NETREAL"

// patience is how long a server may take for anything.
const patience = 30 * time.Second

// inNamespace runs the test in a namespace of its own, and is true there.
func inNamespace(t *testing.T, programs ...string) bool {
	t.Helper()
	if os.Getenv(inside) != "" {
		return true
	}
	testtool.Root(t)
	if os.Getenv("FIRSTLIGHT_FULL") == "" {
		t.Skip("network namespaces and servers in them, which not every place allows: make test-full")
	}
	testtool.Need(t, append(programs, "ip", "unshare")...)
	cmd := exec.Command("unshare", "-n", "-m", os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), inside+"=1", "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
	return false
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}

// dnsmasq starts it at the other end of the cable, and gives our end.
func dnsmasq(t *testing.T, options string) *net.Interface {
	t.Helper()
	return serve(t, "dnsmasq -k -C /dev/null -u root --pid-file --log-facility=- --log-dhcp --port=0 --interface=far --dhcp-leasefile="+
		filepath.Join(t.TempDir(), "leases")+options)
}

// serve starts a server at the other end of the cable, which has 10.9.0.1 and
// fd00:9::1, and gives our end.
func serve(t *testing.T, command string) *net.Interface {
	t.Helper()
	script := "read go && ip link set lo up && echo 0 >/proc/sys/net/ipv6/conf/far/accept_dad && ip link set far up && " +
		"ip addr add 10.9.0.1/24 dev far && ip addr add fd00:9::1/64 dev far nodad && exec " + command
	cmd := exec.Command("unshare", "-n", "sh", "-c", script)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("the server:\n%s", log.Bytes())
		}
	})
	// The namespace is there when unshare has become the shell.
	exe := fmt.Sprintf("/proc/%d/ns/net", cmd.Process.Pid)
	ours, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if ns, err := os.Readlink(exe); err == nil && ns != ours {
			break
		}
		if time.Now().After(end) {
			t.Fatal("no namespace for the server")
		}
	}
	run(t, "ip", "link", "add", "near", "address", "52:54:00:12:34:56", "type", "veth", "peer", "name", "far", "netns", strconv.Itoa(cmd.Process.Pid))
	for name, value := range map[string]string{"accept_dad": "0", "accept_ra": "0"} {
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/near/"+name, []byte(value), 0); err != nil {
			t.Fatal(err)
		}
	}
	run(t, "ip", "link", "set", "near", "up")
	if _, err := io.WriteString(in, "go\n"); err != nil {
		t.Fatal(err)
	}
	i, err := net.InterfaceByName("near")
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// port is one socket with the state machine that uses it.
type port struct {
	fd       int
	packet   func(now time.Duration, b []byte, from netip.Addr, hops int)
	next     func() time.Duration
	deadline func(now time.Duration)
}

// loop runs until done says so.
func loop(t *testing.T, start time.Time, p port, done func() bool, explain func() string) {
	t.Helper()
	buf, oob := make([]byte, 4096), make([]byte, 256)
	for !done() {
		now := time.Since(start)
		if now > patience {
			t.Fatalf("after %v: %s", now, explain())
		}
		if p.next() <= now {
			p.deadline(now)
			continue
		}
		wait := min(p.next()-now, time.Second)
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}, int(wait/time.Millisecond)+1)
		if n <= 0 || err != nil {
			continue
		}
		n, oobn, _, sa, err := unix.Recvmsg(p.fd, buf, oob, 0)
		if err != nil {
			continue
		}
		from, hops := netip.IPv4Unspecified(), 0
		if sa6, ok := sa.(*unix.SockaddrInet6); ok {
			from = netip.AddrFrom16(sa6.Addr)
		}
		if msgs, err := unix.ParseSocketControlMessage(oob[:oobn]); err == nil {
			for _, m := range msgs {
				if m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_HOPLIMIT {
					hops = int(binary.NativeEndian.Uint32(m.Data))
				}
			}
		}
		p.packet(time.Since(start), buf[:n], from, hops)
	}
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func rand32() uint32 { return uint32(time.Now().UnixNano() >> 3) }

// lease4 asks for a lease on the interface.
func lease4(t *testing.T, i *net.Interface, rapid bool) *dhcp4.Lease {
	t.Helper()
	sent := 0
	fd := must[int](t)(unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM, int(htons(unix.ETH_P_IP))))
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_IP), Ifindex: i.Index}); err != nil {
		t.Fatal(err)
	}
	c := dhcp4.New(dhcp4.Config{HWType: 1, HWAddr: i.HardwareAddr, HostName: "node", RapidCommit: rapid, Rand: rand32})
	do := func(out dhcp4.Output) {
		if out.Send == nil {
			return
		}
		sent++
		b := dhcp4.AppendFrame(nil, netip.AddrPortFrom(out.Send.From, dhcp4.ClientPort), netip.AddrPortFrom(out.Send.To, dhcp4.ServerPort), out.Send.Data)
		to := &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_IP), Ifindex: i.Index, Halen: 6, Addr: [8]byte{255, 255, 255, 255, 255, 255}}
		if err := unix.Sendto(fd, b, 0, to); err != nil {
			t.Fatal(err)
		}
	}
	start := time.Now()
	do(c.Carrier(0, true))
	loop(t, start, port{fd: fd, next: c.Next, deadline: func(now time.Duration) { do(c.Deadline(now)) },
		packet: func(now time.Duration, b []byte, _ netip.Addr, _ int) {
			_, to, payload, err := dhcp4.ParseFrame(b, true)
			if err == nil && to.Port() == dhcp4.ClientPort {
				do(c.Packet(now, payload, netip.IPv4Unspecified()))
			}
		}}, func() bool { return c.Lease() != nil }, c.Explain)
	t.Logf("%+v after %d packets", c.Lease(), sent)
	return c.Lease()
}

const dhcp4Options = " --dhcp-range=10.9.0.50,10.9.0.60,255.255.255.0,2m --dhcp-option=3,10.9.0.1 --dhcp-option=6,10.9.0.53" +
	" --dhcp-option=17,10.9.0.1:/srv/root,ro --dhcp-option=121,10.1.0.0/16,10.9.0.7,0.0.0.0/0,10.9.0.1 --dhcp-option=119,a.example.org,b.example.org" +
	" --dhcp-option=26,1400 --domain=example.org --dhcp-option=42,10.9.0.9 --dhcp-boot=pxelinux.0,boot,10.9.0.2 --dhcp-authoritative"

func TestALeaseOfDnsmasq(t *testing.T) {
	if !inNamespace(t, "dnsmasq") {
		return
	}
	for _, rapid := range []bool{false, true} {
		t.Run(fmt.Sprintf("rapid=%t", rapid), func(t *testing.T) {
			options := dhcp4Options
			if rapid {
				options += " --dhcp-rapid-commit"
			}
			i := dnsmasq(t, options)
			defer run(t, "ip", "link", "del", "near")
			l := lease4(t, i, rapid)
			a := netip.MustParseAddr
			if !netip.MustParsePrefix("10.9.0.0/24").Contains(l.Addr.Addr()) || l.Addr.Bits() != 24 || l.Server != a("10.9.0.1") || l.MTU != 1400 ||
				!slices.Equal(l.DNS, []netip.Addr{a("10.9.0.53")}) || !slices.Equal(l.NTP, []netip.Addr{a("10.9.0.9")}) || l.Domain != "example.org" ||
				!slices.Equal(l.Search, []string{"a.example.org", "b.example.org"}) || l.RootPath != "10.9.0.1:/srv/root,ro" ||
				l.BootFile != "pxelinux.0" || l.TFTPServer != "boot" || l.NextServer != a("10.9.0.2") || l.Lifetime != 2*time.Minute || l.Renew != time.Minute {
				t.Errorf("%+v", l)
			}
			if len(l.Routes) != 2 || l.Routes[0].Dst.String() != "10.1.0.0/16" || l.Routes[0].Via != a("10.9.0.7") || l.Routes[1].Via != a("10.9.0.1") || len(l.Notes) > 0 {
				t.Errorf("%+v %q", l.Routes, l.Notes)
			}
		})
	}
}

func htons(n uint16) uint16 { return n<<8 | n>>8 }

// socket6 is a socket for IPv6 on the interface that tells hop limits.
func socket6(t *testing.T, i *net.Interface, kind, proto, port int) int {
	t.Helper()
	fd := must[int](t)(unix.Socket(unix.AF_INET6, kind, proto))
	t.Cleanup(func() { unix.Close(fd) })
	for _, o := range [][3]int{
		{unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, 1}, {unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 255},
		{unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF, i.Index},
	} {
		if err := unix.SetsockoptInt(fd, o[0], o[1], o[2]); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.BindToDevice(fd, i.Name); err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet6{Port: port}); err != nil {
		t.Fatal(err)
	}
	return fd
}

// linkLocal waits for the interface's address of its own.
func linkLocal(t *testing.T, i *net.Interface) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if list, err := i.Addrs(); err == nil && len(list) > 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatal("no link-local address")
		}
	}
}

const v6Options = " --enable-ra --ra-param=far,mtu:1400,0,1800 --dhcp-option=option6:dns-server,[fd00:9::53]" +
	" --dhcp-option=option6:domain-search,example.org,lan.example.org --dhcp-option=option6:59,tftp://[fd00:9::1]/boot.efi"

func TestAnAddressOfDnsmasqForIPv6(t *testing.T) {
	if !inNamespace(t, "dnsmasq") {
		return
	}
	for _, test := range []struct {
		name, options    string
		rapid, stateless bool
	}{
		{"four packets", " --dhcp-range=fd00:9::50,fd00:9::60,64,5m", false, false},
		{"two packets", " --dhcp-range=fd00:9::50,fd00:9::60,64,5m --dhcp-rapid-commit", true, false},
		{"only the rest", " --dhcp-range=fd00:9::,ra-stateless,64,5m", false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			i := dnsmasq(t, v6Options+test.options)
			defer run(t, "ip", "link", "del", "near")
			linkLocal(t, i)
			fd := socket6(t, i, unix.SOCK_DGRAM, 0, dhcp6.ClientPort)
			c := dhcp6.New(dhcp6.Config{DUID: duid.LL(1, i.HardwareAddr), IAID: duid.IAID(i.HardwareAddr), FQDN: "node",
				RapidCommit: test.rapid, Stateless: test.stateless, Rand: rand32})
			do := func(out dhcp6.Output) {
				if out.Send != nil {
					to := &unix.SockaddrInet6{Port: dhcp6.ServerPort, Addr: dhcp6.AllServers().As16(), ZoneId: uint32(i.Index)}
					if err := unix.Sendto(fd, out.Send, 0, to); err != nil {
						t.Fatal(err)
					}
				}
			}
			start := time.Now()
			do(c.Link(0, true))
			loop(t, start, port{fd: fd, next: c.Next, deadline: func(now time.Duration) { do(c.Deadline(now)) },
				packet: func(now time.Duration, b []byte, from netip.Addr, _ int) { do(c.Packet(now, b, from)) }},
				func() bool { return c.Lease() != nil }, c.Explain)
			l := c.Lease()
			t.Logf("%+v", l)
			if !slices.Equal(l.DNS, []netip.Addr{netip.MustParseAddr("fd00:9::53")}) || !slices.Equal(l.Search, []string{"example.org", "lan.example.org"}) ||
				l.BootURL != "tftp://[fd00:9::1]/boot.efi" || len(l.Notes) > 0 {
				t.Errorf("%+v", l)
			}
			if test.stateless != (len(l.Addrs) == 0) || !test.stateless && (!netip.MustParsePrefix("fd00:9::/64").Contains(l.Addrs[0].Addr) || l.Addrs[0].Valid != 5*time.Minute) {
				t.Errorf("%+v", l.Addrs)
			}
			if test.stateless {
				return
			}
			// It holds when the link has been away.
			now := time.Since(start)
			c.Link(now, false)
			do(c.Link(now, true))
			if c.State() != dhcp6.Confirming {
				t.Fatalf("%v", c.State())
			}
			loop(t, start, port{fd: fd, next: c.Next, deadline: func(now time.Duration) { do(c.Deadline(now)) },
				packet: func(now time.Duration, b []byte, from netip.Addr, _ int) { do(c.Packet(now, b, from)) }},
				func() bool { return c.State() == dhcp6.Bound }, c.Explain)
			if time.Since(start)-now > time.Second {
				t.Errorf("not confirmed: %s", c.Explain())
			}
		})
	}
}

func TestAnAdvertisementOfDnsmasq(t *testing.T) {
	if !inNamespace(t, "dnsmasq") {
		return
	}
	i := dnsmasq(t, v6Options+" --dhcp-range=fd00:9::,ra-stateless,64,5m")
	s := settings(t, i)
	if len(s.Addrs) != 1 || s.Addrs[0].Addr.String() != "fd00:9::5054:ff:fe12:3456/64" || s.MTU != 1400 || s.Managed || !s.Other ||
		!slices.Equal(s.DNS, []netip.Addr{netip.MustParseAddr("fd00:9::53")}) || !slices.Equal(s.Search, []string{"example.org", "lan.example.org"}) {
		t.Errorf("%+v", s)
	}
	if len(s.Routes) != 2 || s.Routes[0].Dst.String() != "fd00:9::/64" || s.Routes[1].Dst.Bits() != 0 || !s.Routes[1].Via.IsLinkLocalUnicast() {
		t.Errorf("%+v", s.Routes)
	}
}

// settings asks the routers of the interface's link.
func settings(t *testing.T, i *net.Interface) ra.Settings {
	t.Helper()
	linkLocal(t, i)
	fd := socket6(t, i, unix.SOCK_RAW, unix.IPPROTO_ICMPV6, 0)
	c := ra.New(ra.Config{MAC: i.HardwareAddr, ID: ra.EUI64(i.HardwareAddr), Rand: rand32})
	do := func(out ra.Output) {
		if out.Send != nil {
			if err := unix.Sendto(fd, out.Send, 0, &unix.SockaddrInet6{Addr: ra.AllRouters().As16(), ZoneId: uint32(i.Index)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	start := time.Now()
	do(c.Link(0, true))
	loop(t, start, port{fd: fd, next: c.Next, deadline: func(now time.Duration) { do(c.Deadline(now)) },
		packet: func(now time.Duration, b []byte, from netip.Addr, hops int) { do(c.Packet(now, b, from, hops)) }},
		c.Heard, c.Explain)
	s := c.Settings()
	t.Logf("%+v", s)
	return s
}
