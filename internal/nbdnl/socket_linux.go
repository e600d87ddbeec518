package nbdnl

import (
	"errors"
	"strconv"

	"syscall"
)

// ErrNoDriver says that the kernel has no driver for network block devices.
var ErrNoDriver = errors.New("the kernel has no driver for network block devices (nbd)")

// ErrLost says that the kernel dropped messages: connections may have broken
// that were not told of.
var ErrLost = errors.New("messages about broken connections were lost")

// solNetlink is the level of netlink's options (SOL_NETLINK, linux/socket.h).
const solNetlink = 270

// Error is what could not be done with the driver, and why.
type Error struct {
	What string
	Err  error
}

// Error implements error.
func (e *Error) Error() string { return e.What + ": " + e.Err.Error() }

// Unwrap is the reason.
func (e *Error) Unwrap() error { return e.Err }

// Kernel is an open socket to the driver. It is for one goroutine; Dead is for
// another.
type Kernel struct {
	fd, events int
	id         uint16
	seq        uint32
}

// Open finds the driver and begins to listen for broken connections.
func Open() (*Kernel, error) {
	k := &Kernel{fd: -1, events: -1}
	var err error
	if k.fd, err = open(); err != nil {
		return nil, err
	}
	var mcast uint32
	err = k.do(askFamily(), func(m received) {
		if m.typ == typeControl {
			k.id, mcast = parseFamily(m.body)
		}
	})
	switch {
	case errors.Is(err, syscall.ENOENT) || err == nil && k.id == 0:
		err = ErrNoDriver
	case err == nil:
		if k.events, err = open(); err == nil && mcast != 0 {
			err = syscall.SetsockoptInt(k.events, solNetlink, syscall.NETLINK_ADD_MEMBERSHIP, int(mcast))
		}
	}
	if err != nil {
		k.Close()
		return nil, err
	}
	return k, nil
}

func open() (int, error) {
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, syscall.NETLINK_GENERIC)
	if err != nil {
		return -1, &Error{"open a socket to the kernel's drivers", err}
	}
	if err := syscall.Bind(fd, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		syscall.Close(fd)
		return -1, &Error{"open a socket to the kernel's drivers", err}
	}
	return fd, nil
}

// Close closes the sockets. The device stays.
func (k *Kernel) Close() {
	for _, fd := range []int{k.fd, k.events} {
		if fd >= 0 {
			syscall.Close(fd)
		}
	}
}

// do sends a request and reads up to its acknowledgement.
func (k *Kernel) do(m *message, each func(received)) error {
	k.seq++
	if err := syscall.Sendto(k.fd, m.bytes(k.seq), 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		return err
	}
	buf := make([]byte, 32<<10)
	for {
		n, from, err := syscall.Recvfrom(k.fd, buf, 0)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		if a, ok := from.(*syscall.SockaddrNetlink); !ok || a.Pid != 0 {
			continue
		}
		for m := range messages(buf[:n]) {
			switch {
			case m.seq != k.seq:
			case m.typ == typeError:
				if len(m.body) < 4 {
					return syscall.EBADMSG
				}
				if e := -int32(native.Uint32(m.body)); e != 0 {
					return syscall.Errno(e)
				}
				return nil
			case each != nil:
				each(m)
			}
		}
	}
}

// Connect makes a device of connections and returns its index.
func (k *Kernel) Connect(d Device) (int, error) {
	n, found := -1, false
	err := k.do(connect(k.id, d), func(m received) {
		if i, ok := index(m.body); ok && m.typ == k.id {
			n, found = i, true
		}
	})
	if err == nil && !found {
		if n = d.Index; n < 0 {
			err = syscall.EBADMSG
		}
	}
	if err != nil {
		return -1, &Error{"hand the connection to the kernel", err}
	}
	return n, nil
}

// Replace gives a device connections in the place of broken ones. syscall.ENOSPC
// says that none is broken.
func (k *Kernel) Replace(d Device) error {
	if err := k.do(reconfigure(k.id, d), nil); err != nil {
		return &Error{"hand the new connection to the kernel", err}
	}
	return nil
}

// Disconnect takes a device down.
func (k *Kernel) Disconnect(n int) error {
	if err := k.do(disconnect(k.id, n), nil); err != nil {
		return &Error{"disconnect nbd" + strconv.Itoa(n), err}
	}
	return nil
}

// Dead waits until the kernel says that connections have broken, and returns
// the devices, one for each connection.
func (k *Kernel) Dead() ([]int, error) {
	buf := make([]byte, 32<<10)
	for {
		n, from, err := syscall.Recvfrom(k.events, buf, 0)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.ENOBUFS:
			return nil, ErrLost
		case err != nil:
			return nil, &Error{"listen to the driver", err}
		}
		if a, ok := from.(*syscall.SockaddrNetlink); !ok || a.Pid != 0 {
			continue
		}
		if list := dead(buf[:n], k.id); list != nil {
			return list, nil
		}
	}
}
