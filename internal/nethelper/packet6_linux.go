package nethelper

import (
	"golang.org/x/sys/unix"

	"firstlight/internal/dhcp6"
	"firstlight/internal/fmt"
	"firstlight/internal/netup"
	"firstlight/internal/ra"
)

// typeAdvertisement is ICMPv6's number of a router advertisement.
const typeAdvertisement = 134

// open6 opens a socket of one link for router advertisements, or for DHCPv6. The
// kernel makes and checks the headers.
func open6(link int, kind netup.Kind) (*packets, error) {
	typ, proto, port := unix.SOCK_DGRAM, 0, dhcp6.ClientPort
	if kind == netup.Advertisement {
		typ, proto, port = unix.SOCK_RAW, unix.IPPROTO_ICMPV6, 0
	}
	fd, err := unix.Socket(unix.AF_INET6, typ|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, proto)
	if err != nil {
		return nil, fmt.Errorf("open a socket of IPv6: %w", err)
	}
	if kind == netup.Advertisement { // no message but an advertisement
		var only unix.ICMPv6Filter
		for i := range only.Data {
			only.Data[i] = 1<<32 - 1
		}
		only.Data[typeAdvertisement>>5] &^= 1 << (typeAdvertisement & 31)
		err = unix.SetsockoptICMPv6Filter(fd, unix.IPPROTO_ICMPV6, unix.ICMPV6_FILTER, &only)
	}
	if err == nil && kind == netup.DHCP6 {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
	}
	for _, o := range [...][2]int{{unix.IPV6_RECVHOPLIMIT, 1}, {unix.IPV6_MULTICAST_HOPS, 255}, {unix.IPV6_MULTICAST_IF, link}} {
		if err == nil {
			err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, o[0], o[1])
		}
	}
	if err == nil { // by its number: a name changes
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX, link)
	}
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrInet6{Port: port})
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("open a socket of IPv6: %w", err)
	}
	return &packets{fd: fd, link: link, kind: kind}, nil
}

// send6 sends to all routers, or to all DHCPv6 servers, of the link.
func (p *packets) send6(f netup.Frame) error {
	to := &unix.SockaddrInet6{Addr: ra.AllRouters().As16(), ZoneId: uint32(p.link)}
	if p.kind == netup.DHCP6 {
		to.Addr, to.Port = dhcp6.AllServers().As16(), dhcp6.ServerPort
	}
	if err := unix.Sendto(p.fd, f.Data, 0, to); err != nil {
		return fmt.Errorf("send a packet of IPv6: %w", err)
	}
	return nil
}
