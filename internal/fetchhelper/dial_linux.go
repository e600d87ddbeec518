package fetchhelper

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"syscall"

	"firstlight/internal/dns"
	"firstlight/internal/fetch"
	"firstlight/internal/fetch/trustfiles"
)

// How long is waited for an answer: to a connection, of a name server, and for
// more of a file.
const (
	connectPatience = 10 * time.Second
	namePatience    = 2 * time.Second
	stallPatience   = 20 * time.Second
)

// conn is a connected socket. Package net's own would bring its way of finding
// names along, which is a tenth of the program.
type conn struct {
	*os.File
	to netip.AddrPort
}

// LocalAddr and RemoteAddr implement net.Conn; nobody asks.
func (c conn) LocalAddr() net.Addr  { return nil }
func (c conn) RemoteAddr() net.Addr { return nil }

// socket opens one that waits by deadlines.
func socket(a netip.Addr, kind int) (*os.File, error) {
	family := syscall.AF_INET
	if a.Is6() {
		family = syscall.AF_INET6
	}
	fd, err := syscall.Socket(family, kind|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), a.String()), nil
}

func sockaddr(a netip.AddrPort) syscall.Sockaddr {
	if a.Addr().Is6() {
		return &syscall.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
	}
	return &syscall.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
}

// connect connects a socket of a kind.
func connect(a netip.AddrPort, kind int) (c conn, err error) {
	f, err := socket(a.Addr(), kind)
	if err != nil {
		return c, err
	}
	f.SetDeadline(time.Now().Add(connectPatience))
	raw, err := f.SyscallConn()
	if err == nil {
		begun := false
		err2 := raw.Write(func(fd uintptr) bool {
			if !begun {
				begun = true
				err = syscall.Connect(int(fd), sockaddr(a))
				return err != syscall.EINPROGRESS
			}
			var n int
			if n, err = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_ERROR); err == nil && n != 0 {
				err = syscall.Errno(n)
			}
			return true
		})
		if err == nil || err == syscall.EINPROGRESS {
			err = err2
		}
	}
	if err != nil {
		f.Close()
		return c, err
	}
	f.SetDeadline(time.Time{})
	return conn{f, a}, nil
}

// reach connects to a server by its name.
func (h *dialer) reach(host string, port uint16) (conn, error) {
	names := h.names
	if names == nil {
		names = h.lookup
	}
	list, err := names(host)
	if err != nil {
		return conn{}, err
	}
	var last error
	for _, a := range list {
		c, err := connect(netip.AddrPortFrom(a, port), syscall.SOCK_STREAM)
		if err == nil {
			return c, nil
		}
		last = errors.New(net1(host, port) + why(err))
	}
	return conn{}, last
}

func net1(host string, port uint16) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + " (port " + strconv.Itoa(int(port)) + ")"
}

// why says for a person what is the matter with a server.
func why(err error) string {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return " is there, and nothing serves at that port"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		return " does not answer"
	case errors.Is(err, syscall.EHOSTUNREACH):
		return " is not there"
	case errors.Is(err, syscall.ENETUNREACH):
		return " cannot be reached: no route leads to it"
	}
	return " cannot be reached: " + err.Error()
}

// broken is the error of a connection that ended before its time.
func broken(s *fetch.Session, err error) error {
	text := ": " + err.Error()
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		text = " sends no more"
	case errors.Is(err, syscall.ECONNRESET), strings.Contains(err.Error(), "unexpected EOF"):
		text = " broke the connection off"
	}
	return errors.New(s.URL.Authority() + text + " after " + strconv.FormatInt(s.Offset, 10) + " bytes")
}

// maxAddresses bounds how many addresses of a name are tried.
const maxAddresses = 8

// lookup finds the addresses of a host, IPv4 first.
func (h *dialer) lookup(host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap()}, nil
	}
	if b, err := trustfiles.ReadFile(h.Root, "/etc/hosts", 1<<20); err == nil {
		for _, line := range strings.Split(string(b), "\n") {
			f := strings.Fields(line)
			for i := 1; i < len(f); i++ {
				if strings.EqualFold(f[i], host) {
					if a, err := netip.ParseAddr(f[0]); err == nil {
						return []netip.Addr{a}, nil
					}
				}
			}
		}
	}
	servers, domains := h.resolver()
	if len(servers) == 0 {
		return nil, errors.New("no name server is known that could say which address " + host + " has")
	}
	names := []string{host}
	if !strings.Contains(host, ".") {
		names = nil
		for _, d := range domains {
			names = append(names, host+"."+d)
		}
		names = append(names, host)
	}
	last := errors.New("no name server says which address " + host + " has")
	var all []netip.Addr
	for _, name := range names {
		for _, typ := range [...]dns.Type{dns.A, dns.AAAA} {
			for _, s := range servers {
				list, err := ask(s, name, typ)
				if err == nil {
					all = append(all, list...)
					break
				}
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					last = errors.New("the name server " + s.String() + " does not know the address of " + host + ": " + err.Error())
				}
			}
		}
		if len(all) > 0 {
			return all[:min(len(all), maxAddresses)], nil
		}
	}
	return nil, last
}

// resolver reads what was written for the network.
func (h *dialer) resolver() (servers []netip.Addr, domains []string) {
	b, err := trustfiles.ReadFile(h.Root, "/etc/resolv.conf", 1<<16)
	if err != nil {
		return nil, nil
	}
	for _, line := range strings.Split(string(b), "\n") {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		switch f[0] {
		case "nameserver":
			if a, err := netip.ParseAddr(f[1]); err == nil && len(servers) < 3 {
				servers = append(servers, a)
			}
		case "search", "domain":
			domains = f[1:min(len(f), 7)]
		}
	}
	return servers, domains
}

// ask asks one name server.
func ask(server netip.Addr, name string, typ dns.Type) ([]netip.Addr, error) {
	var id [2]byte
	rand.Read(id[:])
	q, err := dns.Query(binary.BigEndian.Uint16(id[:]), name, typ)
	if err != nil {
		return nil, err
	}
	c, err := connect(netip.AddrPortFrom(server, 53), syscall.SOCK_DGRAM)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	buf := make([]byte, 4096)
	for range 2 {
		if _, err := c.Write(q); err != nil {
			return nil, err
		}
		c.SetReadDeadline(time.Now().Add(namePatience))
		for {
			n, err := c.Read(buf)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if err != nil {
				return nil, err
			}
			list, err := dns.Parse(buf[:n], q)
			if errors.Is(err, dns.ErrOther) {
				continue
			}
			return list, err
		}
	}
	return nil, os.ErrDeadlineExceeded
}
