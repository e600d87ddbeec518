// Package plainnet is what helper programs need of package net, which is several
// hundred kilobytes: connections of TCP as files of the runtime's poller, and the
// addresses of a name by the name servers of /etc/resolv.conf.
package plainnet

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"firstlight/internal/dns"
)

// Conn is a connection. It is a net.Conn for libraries that ask for one.
type Conn struct {
	*os.File
	Peer netip.AddrPort
}

// LocalAddr implements net.Conn; it is not known.
func (c Conn) LocalAddr() net.Addr { return address(netip.AddrPort{}) }

// RemoteAddr implements net.Conn.
func (c Conn) RemoteAddr() net.Addr { return address(c.Peer) }

// address is a net.Addr.
type address netip.AddrPort

func (address) Network() string  { return "tcp" }
func (a address) String() string { return netip.AddrPort(a).String() }

// socket opens one of the family of an address.
func socket(a netip.Addr, kind int) (fd int, err error) {
	domain := syscall.AF_INET
	if a.Is6() {
		domain = syscall.AF_INET6
	}
	return syscall.Socket(domain, kind|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
}

func sockaddr(a netip.AddrPort) syscall.Sockaddr {
	if a.Addr().Is6() {
		zone, _ := strconv.ParseUint(a.Addr().Zone(), 10, 32)
		return &syscall.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16(), ZoneId: uint32(zone)}
	}
	return &syscall.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
}

// Dial connects to an address until the deadline, which holds for the connection
// from then on. The zone of a link-local address is the number of the link.
func Dial(to netip.AddrPort, deadline time.Time) (Conn, error) {
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	fd, err := socket(to.Addr(), syscall.SOCK_STREAM)
	if err != nil {
		return Conn{}, err
	}
	err = syscall.Connect(fd, sockaddr(to))
	if err != nil && err != syscall.EINPROGRESS {
		syscall.Close(fd)
		return Conn{}, err
	}
	c := Conn{os.NewFile(uintptr(fd), to.String()), to}
	c.SetDeadline(deadline)
	if err == nil {
		return c, nil
	}
	raw, err := c.SyscallConn()
	if err == nil {
		var failed int
		err = raw.Write(func(s uintptr) bool {
			if failed, _ = syscall.GetsockoptInt(int(s), syscall.SOL_SOCKET, syscall.SO_ERROR); failed != 0 {
				return true
			}
			_, err := syscall.Getpeername(int(s))
			return err == nil // it is connected
		})
		if err == nil && failed != 0 {
			err = syscall.Errno(failed)
		}
	}
	if err != nil {
		c.Close()
		return Conn{}, err
	}
	return c, nil
}

// ResolvConf is where the name servers are.
const ResolvConf = "/etc/resolv.conf"

// Lookup returns the addresses of a name, which may be an address itself, those of
// IPv4 first.
func Lookup(name string, deadline time.Time) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(name); err == nil {
		return []netip.Addr{a}, nil
	}
	text, _ := os.ReadFile(ResolvConf) // without it nobody is asked
	servers := nameServers(string(text))
	if len(servers) == 0 {
		return nil, fmt.Errorf("no name server is known that could say which address %s has", name)
	}
	var out []netip.Addr
	var last error
	for _, typ := range []dns.Type{dns.A, dns.AAAA} {
		list, err := ask(servers, name, typ, deadline)
		out = append(out, list...)
		if err != nil && last == nil {
			last = err
		}
	}
	if len(out) > 0 {
		return out, nil
	}
	return nil, fmt.Errorf("which address %s has is not known: %w", name, last)
}

func nameServers(text string) (out []netip.Addr) {
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "nameserver" && len(out) < 8 {
			if a, err := netip.ParseAddr(f[1]); err == nil {
				out = append(out, a)
			}
		}
	}
	return out
}

// turn is how long one server is waited for, the first time.
const turn = 2 * time.Second

// ask asks one server after the other.
func ask(servers []netip.Addr, name string, typ dns.Type, deadline time.Time) ([]netip.Addr, error) {
	var last error = errors.New("nobody answers")
	for try := range 2 * len(servers) {
		until := time.Now().Add(turn << (try / len(servers)))
		if until.After(deadline) {
			until = deadline
		}
		list, err := askOne(servers[try%len(servers)], name, typ, until)
		if err == nil || errors.Is(err, dns.ErrNone) {
			return list, err
		}
		last = err
		if !time.Now().Before(deadline) {
			break
		}
	}
	return nil, last
}

func askOne(server netip.Addr, name string, typ dns.Type, until time.Time) ([]netip.Addr, error) {
	var id [2]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, err
	}
	q, err := dns.Query(binary.BigEndian.Uint16(id[:]), name, typ)
	if err != nil {
		return nil, err
	}
	fd, err := socket(server, syscall.SOCK_DGRAM)
	if err != nil {
		return nil, err
	}
	if err := syscall.Connect(fd, sockaddr(netip.AddrPortFrom(server, 53))); err != nil {
		syscall.Close(fd)
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "name server")
	defer f.Close()
	f.SetDeadline(until)
	if _, err := f.Write(q); err != nil {
		return nil, err
	}
	buf := make([]byte, 4096)
	for {
		n, err := f.Read(buf)
		if err != nil {
			return nil, err
		}
		if list, err := dns.Parse(buf[:n], q); !errors.Is(err, dns.ErrOther) {
			return list, err
		}
	}
}
