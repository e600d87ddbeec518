package uevent

import (
	"errors"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"firstlight/internal/fmt"
)

// Socket is the kernel's uevent socket. Open it before Walk, so that nothing
// falls between the two.
type Socket struct {
	fd      int
	dropped atomic.Int64
	buf     []byte
	oob     []byte
}

// receiveBuffer is what is asked for, in bytes: a coldplug of thousands of
// devices fits.
const receiveBuffer = 16 << 20

// kernelGroup is the multicast group of the kernel's own messages; udevd's
// are in group 2.
const kernelGroup = 1

// Open opens the socket: netlink(7), NETLINK_KOBJECT_UEVENT.
func Open() (*Socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return nil, fmt.Errorf("uevent: socket: %w", err)
	}
	// SO_RCVBUFFORCE passes the system's limit but needs CAP_NET_ADMIN.
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer); err != nil {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("uevent: SO_PASSCRED: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: kernelGroup}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("uevent: bind: %w", err)
	}
	return &Socket{fd: fd, buf: make([]byte, MaxMessage), oob: make([]byte, unix.CmsgSpace(unix.SizeofUcred))}, nil
}

// FD is the descriptor to poll for reading.
func (s *Socket) FD() int { return s.fd }

// Dropped counts the messages that were not the kernel's or not whole. It may
// be called while another goroutine receives.
func (s *Socket) Dropped() int { return int(s.dropped.Load()) }

// Close closes the socket.
func (s *Socket) Close() error { return unix.Close(s.fd) }

// ErrOverflow says that the kernel had to drop messages: whoever listens must
// look at sysfs again.
var ErrOverflow = errors.New("uevent messages were lost")

// ErrEmpty says that no message is waiting.
var ErrEmpty = errors.New("no uevent is waiting")

// Receive returns the next message without blocking. Messages that do not
// come from the kernel, or are malformed, are counted and passed over.
func (s *Socket) Receive() (*Message, error) {
	for {
		// recvmsg(2) without package unix, which would allocate for each
		// message and know the addresses of every family.
		var from unix.RawSockaddrNetlink
		part := unix.Iovec{Base: &s.buf[0]}
		part.SetLen(len(s.buf))
		msg := unix.Msghdr{Name: (*byte)(unsafe.Pointer(&from)), Namelen: unix.SizeofSockaddrNetlink,
			Iov: &part, Iovlen: 1, Control: &s.oob[0]}
		msg.SetControllen(len(s.oob))
		n, _, errno := unix.Syscall(unix.SYS_RECVMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&msg)), 0)
		switch errno {
		case 0:
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return nil, ErrEmpty
		case unix.ENOBUFS:
			return nil, ErrOverflow
		default:
			return nil, fmt.Errorf("uevent: receive: %w", errno)
		}
		if msg.Flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 || msg.Namelen != unix.SizeofSockaddrNetlink ||
			!fromKernel(&from, s.oob[:msg.Controllen]) {
			s.dropped.Add(1)
			continue
		}
		m, err := Parse(s.buf[:n])
		if err != nil {
			s.dropped.Add(1)
			continue
		}
		return m, nil
	}
}

// fromKernel checks that the sender is the kernel: port 0, the kernel's
// multicast group, and credentials of the superuser.
func fromKernel(from *unix.RawSockaddrNetlink, oob []byte) bool {
	if from.Family != unix.AF_NETLINK || from.Pid != 0 || from.Groups != kernelGroup {
		return false
	}
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return false
	}
	for i := range msgs {
		if cred, err := unix.ParseUnixCredentials(&msgs[i]); err == nil {
			return cred.Uid == 0 && cred.Pid == 0
		}
	}
	return false
}
