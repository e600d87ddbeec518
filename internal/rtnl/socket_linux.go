package rtnl

import (
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"

	"firstlight/internal/fmt"
)

// Groups of events (linux/rtnetlink.h, RTMGRP_*).
const groups = unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR

// ErrLost says that the kernel dropped events because they were not read in
// time: everything has to be looked at again.
var ErrLost = errors.New("events of the network were lost")

// Events is a socket on which the kernel tells of every change of a link or an
// address. It does not block; poll its FD.
type Events struct{ fd int }

// Listen opens one.
func Listen() (*Events, error) {
	fd, err := open(unix.NETLINK_ROUTE, groups, unix.SOCK_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("listen for events of the network: %w", err)
	}
	return &Events{fd}, nil
}

// FD is the file descriptor to poll.
func (e *Events) FD() int { return e.fd }

// Read returns what has come in, nil if nothing has. ErrLost says that there
// was more.
func (e *Events) Read() ([]Event, error) {
	buf := make([]byte, 32<<10)
	n, from, err := unix.Recvfrom(e.fd, buf, 0)
	switch {
	case err == unix.EAGAIN, err == unix.EINTR:
		return nil, nil
	case err == unix.ENOBUFS:
		return nil, ErrLost
	case err != nil:
		return nil, fmt.Errorf("read events of the network: %w", err)
	case !kernel(from):
		return nil, nil
	}
	return Parse(buf[:n]), nil
}

// kernel says whether a message comes from the kernel, as processes can send
// some too.
func kernel(from unix.Sockaddr) bool {
	a, ok := from.(*unix.SockaddrNetlink)
	return ok && a.Pid == 0
}

func open(protocol int, groups uint32, flags int) (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|flags, protocol)
	if err != nil {
		return -1, err
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// Socket asks the kernel to change something. It is for one goroutine.
type Socket struct {
	fd  int
	seq uint32
}

// Open opens one.
func Open() (*Socket, error) {
	return openSocket(unix.NETLINK_ROUTE)
}

func openSocket(protocol int) (*Socket, error) {
	fd, err := open(protocol, 0, 0)
	if err != nil {
		return nil, fmt.Errorf("open a socket to the network's kernel side: %w", err)
	}
	// Kernels since 4.12 say in words what is wrong.
	unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1)
	unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_EXT_ACK, 1)
	return &Socket{fd: fd}, nil
}

// Close closes it.
func (s *Socket) Close() error { return unix.Close(s.fd) }

// maxDump bounds an answer, in messages.
const maxDump = 1 << 16

// do sends a request and reads up to its acknowledgement, which is the errno of
// what went wrong. What comes before is handed to each.
func (s *Socket) do(r *request, each func([]byte)) error {
	s.seq++
	if err := unix.Sendto(s.fd, r.bytes(s.seq), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	buf := make([]byte, 32<<10)
	for range maxDump {
		n, from, err := unix.Recvfrom(s.fd, buf, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		if !kernel(from) {
			continue
		}
		for m := range messages(buf[:n]) {
			if m.seq != s.seq {
				continue
			}
			switch m.typ {
			case typeDone:
				return nil
			case typeError:
				if len(m.body) < 4 {
					return unix.EBADMSG
				}
				e := unix.Errno(-int32(native.Uint32(m.body)))
				if e == 0 {
					return nil
				}
				if why := explanation(m); why != "" {
					return fmt.Errorf("%w (%s)", e, why)
				}
				return e
			}
		}
		if each != nil {
			each(buf[:n])
		}
	}
	return unix.EMSGSIZE
}

// All returns the links and addresses that there are.
func (s *Socket) All() ([]Event, error) {
	var out []Event
	for _, typ := range [...]uint16{typeGetLink, typeGetAddr} {
		r := newRequest(typ, flagDump)
		r.fixed(make([]byte, linkSize)...)
		if err := s.do(r, func(b []byte) { out = append(out, Parse(b)...) }); err != nil {
			return nil, fmt.Errorf("list the links: %w", err)
		}
	}
	return out, nil
}

// SetUp sets a link up or down.
func (s *Socket) SetUp(index int, up bool) error { return s.do(setUp(index, up), nil) }

// SetMTU sets the largest size of a link's packets, in bytes.
func (s *Socket) SetMTU(index int, mtu uint32) error { return s.do(setMTU(index, mtu), nil) }

// SetName gives a link another name. It has to be down for that, except with
// recent kernels.
func (s *Socket) SetName(index int, name string) error {
	if !ValidName(name) {
		return fmt.Errorf("%q cannot be the name of an interface", name)
	}
	return s.do(setName(index, name), nil)
}

// SetHardware gives a link another hardware address.
func (s *Socket) SetHardware(index int, address []byte) error {
	return s.do(setHardware(index, address), nil)
}

// SetAlias gives a link a text of up to 255 bytes for people.
func (s *Socket) SetAlias(index int, text string) error {
	return s.do(setAlias(index, text[:min(len(text), 255)]), nil)
}

// AddAddress gives a link an address for so many seconds, 0 for ever. One that
// it has already gets the new time.
func (s *Socket) AddAddress(index int, a netip.Prefix, peer, broadcast netip.Addr, valid uint32) error {
	return s.do(address(typeNewAddr, flagCreate|flagReplace, index, a, peer, broadcast, valid), nil)
}

// DelAddress takes an address away from a link.
func (s *Socket) DelAddress(index int, a netip.Prefix) error {
	return s.do(address(typeDelAddr, 0, index, a, netip.Addr{}, netip.Addr{}, 0), nil)
}

// AddRoute adds a route, or replaces the one to the same network with the same
// metric.
func (s *Socket) AddRoute(r Route) error {
	return s.do(route(typeNewRoute, flagCreate|flagReplace, r), nil)
}

// DelRoute removes a route.
func (s *Socket) DelRoute(r Route) error { return s.do(route(typeDelRoute, 0, r), nil) }

// MakeLink makes a link. One of the same name is an error.
func (s *Socket) MakeLink(n NewLink) error {
	if !ValidName(n.Name) {
		return fmt.Errorf("%q cannot be the name of an interface", n.Name)
	}
	return s.do(makeLink(n), nil)
}

// ChangeLink changes attributes of a link that software has made.
func (s *Socket) ChangeLink(index int, kind string, data []Attr) error {
	return s.do(changeLink(index, kind, data), nil)
}

// SetMaster puts a link into a bond or a bridge; master 0 takes it out.
func (s *Socket) SetMaster(index, master int) error { return s.do(setMaster(index, master), nil) }

// SetWireGuard gives a WireGuard link its key and its peers.
func (s *Socket) SetWireGuard(index int, w *WireGuard) error {
	g, err := openSocket(unix.NETLINK_GENERIC)
	if err != nil {
		return err
	}
	defer g.Close()
	var family uint16
	if err := g.do(getFamily("wireguard"), func(b []byte) { family = familyID(b) }); err != nil {
		return fmt.Errorf("ask for WireGuard: %w", err)
	}
	return g.do(wireGuard(family, index, w), nil)
}
