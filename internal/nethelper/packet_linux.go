package nethelper

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"

	"firstlight/internal/dhcp4"
	"firstlight/internal/fmt"
	"firstlight/internal/netup"
)

// packets is a packet socket of one link for one protocol: frames without their
// Ethernet header come out and go in.
type packets struct {
	fd   int
	link int
	kind netup.Kind
}

// onlyDHCP lets through what is an unfragmented UDP packet to the client's
// port. The packet begins with IPv4's header.
var onlyDHCP = []unix.SockFilter{
	{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 9},
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 6, K: unix.IPPROTO_UDP},
	{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_ABS, K: 6},
	{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, Jt: 4, K: 0x1fff},
	{Code: unix.BPF_LDX | unix.BPF_B | unix.BPF_MSH, K: 0},
	{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_IND, K: 2},
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: dhcp4.ClientPort},
	{Code: unix.BPF_RET | unix.BPF_K, K: 0xffff},
	{Code: unix.BPF_RET | unix.BPF_K, K: 0},
}

// protocols of the frames, in network order as the kernel wants them.
var protocols = map[netup.Kind]uint16{netup.IPv4: unix.ETH_P_IP, netup.ARP: unix.ETH_P_ARP}

func network(v uint16) uint16 { return v<<8 | v>>8 }

// openPackets opens a packet socket. It takes nothing before its filter is set.
func openPackets(link int, kind netup.Kind) (*packets, error) {
	if kind == netup.Advertisement || kind == netup.DHCP6 {
		return open6(link, kind)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open a packet socket: %w", err)
	}
	p := &packets{fd, link, kind}
	if kind == netup.IPv4 {
		prog := unix.SockFprog{Len: uint16(len(onlyDHCP)), Filter: &onlyDHCP[0]}
		if err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &prog); err == nil {
			err = unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1)
		}
	}
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: network(protocols[kind]), Ifindex: link})
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("open a packet socket: %w", err)
	}
	return p, nil
}

// maxFrame bounds a frame, in bytes.
const maxFrame = 9216

// read returns the next frame, ok is false if there is none.
func (p *packets) read() (f netup.Frame, ok bool) {
	buf, oob := make([]byte, maxFrame), make([]byte, 256)
	n, oobn, _, from, err := unix.Recvmsg(p.fd, buf, oob, 0)
	if err != nil {
		return f, false
	}
	f = netup.Frame{Kind: p.kind, Data: buf[:n]}
	switch a := from.(type) {
	case *unix.SockaddrLinklayer:
		f.Peer = append([]byte(nil), a.Addr[:min(int(a.Halen), len(a.Addr))]...)
	case *unix.SockaddrInet6:
		f.From = netip.AddrFrom16(a.Addr)
	}
	if ms, err := unix.ParseSocketControlMessage(oob[:oobn]); err == nil {
		for _, m := range ms {
			if m.Header.Level == unix.SOL_PACKET && m.Header.Type == unix.PACKET_AUXDATA && len(m.Data) >= 4 {
				f.Unsummed = binary.NativeEndian.Uint32(m.Data)&unix.TP_STATUS_CSUMNOTREADY != 0
			}
			if m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_HOPLIMIT && len(m.Data) >= 4 {
				f.Hops = int(binary.NativeEndian.Uint32(m.Data))
			}
		}
	}
	return f, true
}

// send sends a frame to a hardware address.
func (p *packets) send(f netup.Frame) error {
	if p.kind == netup.Advertisement || p.kind == netup.DHCP6 {
		return p.send6(f)
	}
	to := &unix.SockaddrLinklayer{Protocol: network(protocols[p.kind]), Ifindex: p.link, Halen: uint8(len(f.Peer))}
	if len(f.Peer) > len(to.Addr) {
		return p.sendFar(f)
	}
	copy(to.Addr[:], f.Peer)
	if err := unix.Sendto(p.fd, f.Data, 0, to); err != nil {
		return fmt.Errorf("send a packet: %w", err)
	}
	return nil
}

// sendFar sends a frame to a hardware address that is longer than struct
// sockaddr_ll has place for, as InfiniBand's of 20 bytes: the kernel takes what
// stands behind it (packet(7)).
func (p *packets) sendFar(f netup.Frame) error {
	var to struct {
		unix.RawSockaddrLinklayer
		more [24]byte
	}
	const at = unsafe.Offsetof(unix.RawSockaddrLinklayer{}.Addr)
	if len(f.Peer) > len(to.Addr)+len(to.more) || len(f.Data) == 0 {
		return fmt.Errorf("send to a hardware address of %d bytes: %w", len(f.Peer), unix.EINVAL)
	}
	to.Family, to.Protocol, to.Ifindex, to.Halen = unix.AF_PACKET, network(protocols[p.kind]), int32(p.link), uint8(len(f.Peer))
	copy(to.Addr[:], f.Peer)
	copy(to.more[:], f.Peer[len(to.Addr):])
	_, _, errno := unix.Syscall6(unix.SYS_SENDTO, uintptr(p.fd), uintptr(unsafe.Pointer(&f.Data[0])), uintptr(len(f.Data)), 0,
		uintptr(unsafe.Pointer(&to)), at+uintptr(len(f.Peer)))
	if errno != 0 {
		return fmt.Errorf("send a packet: %w", errno)
	}
	return nil
}

// sendUDP sends a datagram by the kernel, from an address that the machine has:
// it finds the way and the hardware address.
func sendUDP(link string, from, to netip.AddrPort, payload []byte) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("send a datagram: %w", err)
	}
	defer unix.Close(fd)
	sockaddr := func(a netip.AddrPort) unix.Sockaddr {
		return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
	}
	if err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err == nil {
		if err = unix.SetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE, link); err == nil {
			if err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1); err == nil {
				if err = unix.Bind(fd, sockaddr(from)); err == nil {
					err = unix.Sendto(fd, payload, 0, sockaddr(to))
				}
			}
		}
	}
	if err != nil {
		return fmt.Errorf("send a datagram from %s to %s: %w", from, to, err)
	}
	return nil
}

// random are bits of the kernel's generator.
func random() uint32 {
	var b [4]byte
	unix.Getrandom(b[:], unix.GRND_NONBLOCK) // which may have none so early: then the clock does
	v := binary.NativeEndian.Uint32(b[:])
	if v == 0 {
		var ts unix.Timespec
		unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
		v = uint32(ts.Nsec)*2654435761 ^ uint32(uintptr(unsafe.Pointer(&ts))) ^ uint32(unix.Getpid())<<16
	}
	return v
}
