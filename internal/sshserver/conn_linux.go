package sshserver

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// conn is a connection as a file of the runtime's poller: package net would bring
// its resolver along. It is the net.Conn that the SSH library asks for.
type conn struct {
	*os.File
	from netip.AddrPort
}

func (c conn) LocalAddr() net.Addr  { return address(netip.AddrPort{}) }
func (c conn) RemoteAddr() net.Addr { return address(c.from) }

// address is a net.Addr.
type address netip.AddrPort

func (address) Network() string  { return "tcp" }
func (a address) String() string { return netip.AddrPort(a).String() }

// listen listens at an address of this machine, which need not be there yet.
func listen(at netip.AddrPort) (*os.File, error) {
	domain := unix.AF_INET
	var to unix.Sockaddr = &unix.SockaddrInet4{Port: int(at.Port())}
	if at.Addr().Is6() {
		domain = unix.AF_INET6
		to = &unix.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()}
	} else {
		to.(*unix.SockaddrInet4).Addr = at.Addr().As4()
	}
	fd, err := unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err == nil {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
		unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_FREEBIND, 1)
		if domain == unix.AF_INET6 && at.Addr().IsUnspecified() {
			unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0)
		}
		if err = unix.Bind(fd, to); err == nil {
			err = unix.Listen(fd, 16)
		}
		if err != nil {
			unix.Close(fd)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("listen at %s: %w", at, err)
	}
	return os.NewFile(uintptr(fd), "listener"), nil
}

// accept waits for a connection.
func accept(l *os.File) (conn, error) {
	raw, err := l.SyscallConn()
	if err != nil {
		return conn{}, err
	}
	var fd int
	var sa unix.Sockaddr
	var failed error
	err = raw.Read(func(s uintptr) bool {
		for {
			fd, sa, failed = unix.Accept4(int(s), unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
			if failed != unix.EINTR && failed != unix.ECONNABORTED {
				return failed != unix.EAGAIN
			}
		}
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return conn{}, err
	}
	// Who is cut off without a word is found out in two minutes.
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 60)
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 15)
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 4)
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	var from netip.AddrPort
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		from = netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		from = netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port))
	}
	return conn{os.NewFile(uintptr(fd), from.String()), from}, nil
}

// now is the time since the machine was started, which no one can set.
func now() time.Duration {
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts)
	return time.Duration(ts.Nano())
}
