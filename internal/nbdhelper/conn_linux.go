package nbdhelper

import (
	"errors"
	"io"
	"time"

	"golang.org/x/sys/unix"

	"firstlight/internal/fmt"
	"firstlight/internal/nbd"
	"firstlight/internal/nbdup"
)

// Times of a connection: to be made, and of silence while it is negotiated; and
// of silence until it is taken for broken.
const (
	patience = 10 * time.Second
	silence  = 30 * time.Second
)

// Secure encrypts connections. Only the program with TLS has it.
type Secure interface {
	// Client makes a connection over a socket secret, and takes the socket over if
	// it can.
	Client(t nbdup.Target, fd int) (Relay, error)
}

// Relay is an encrypted connection that this process stands between.
type Relay interface {
	io.ReadWriteCloser
	// Start carries what is said from then on: fd is the end of the kernel.
	Start() (fd int, err error)
}

// ErrNoTLS says that this program has no TLS.
var ErrNoTLS = errors.New("the image has no TLS: build it with --feature nbd-tls")

// conn is a connection that was negotiated.
type conn struct {
	fd    int   // what the kernel gets
	relay Relay // what is behind it, nil where it is the server's own
}

func (c *conn) close() {
	unix.Close(c.fd)
	if c.relay != nil {
		c.relay.Close()
	}
}

// socket is a connected one, for negotiating.
type socket int

// Read implements io.Reader.
func (s socket) Read(b []byte) (int, error) {
	for {
		n, err := unix.Read(int(s), b)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return 0, unix.ETIMEDOUT
		case err != nil:
			return 0, err
		case n == 0 && len(b) > 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

// Write implements io.Writer.
func (s socket) Write(b []byte) (int, error) {
	done := 0
	for done < len(b) {
		n, err := unix.SendmsgN(int(s), b[done:], nil, nil, unix.MSG_NOSIGNAL)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return done, unix.ETIMEDOUT
		case err != nil:
			return done, err
		}
		done += n
	}
	return done, nil
}

// dial opens a connection. It waits for its time, and no longer.
func dial(t nbdup.Target) (int, error) {
	domain, to := unix.AF_INET, unix.Sockaddr(nil)
	if a := t.Server; a.Is4() {
		to = &unix.SockaddrInet4{Port: int(t.Port), Addr: a.As4()}
	} else {
		domain, to = unix.AF_INET6, &unix.SockaddrInet6{Port: int(t.Port), Addr: a.As16()}
	}
	fd, err := unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	span := unix.NsecToTimeval(patience.Nanoseconds())
	for _, o := range [...]struct{ level, name, value int }{
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, int(silence.Seconds()) / 3},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, int(silence.Seconds()) / 6},
		{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 4},
		{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
	} {
		if err == nil {
			err = unix.SetsockoptInt(fd, o.level, o.name, o.value)
		}
	}
	if err == nil {
		// The time for sending is that for connecting as well (socket(7)).
		if err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &span); err == nil {
			err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &span)
		}
	}
	if err == nil {
		switch err = unix.Connect(fd, to); err {
		case unix.EINPROGRESS, unix.EAGAIN:
			err = unix.ETIMEDOUT
		case unix.EINTR: // by the runtime; it goes on
			err = connected(fd)
		}
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// connected waits until a socket that is being connected is.
func connected(fd int) error {
	end := time.Now().Add(patience)
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, int(max(time.Until(end), 0).Milliseconds()))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return err
		case n == 0:
			return unix.ETIMEDOUT
		default:
			e, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
			if err == nil && e != 0 {
				err = unix.Errno(e)
			}
			return err
		}
	}
}

// ready makes a socket one for the kernel: it waits as long as it takes, but not
// for what the server has got and does not take.
func ready(fd int) error {
	err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(silence.Milliseconds()))
	for _, name := range [...]int{unix.SO_SNDTIMEO, unix.SO_RCVTIMEO} {
		if err == nil {
			err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, name, &unix.Timeval{})
		}
	}
	return err
}

// connect connects and negotiates.
func connect(t nbdup.Target, secure Secure) (*conn, nbd.Info, error) {
	if t.TLS && secure == nil {
		return nil, nbd.Info{}, &nbdup.TLSError{Err: ErrNoTLS}
	}
	fd, err := dial(t)
	if err != nil {
		return nil, nbd.Info{}, &nbdup.ConnectError{Err: err}
	}
	o := nbd.Options{Export: t.Export}
	var relay Relay
	if t.TLS {
		o.StartTLS = func(io.ReadWriter) (io.ReadWriter, error) {
			if relay, err = secure.Client(t, fd); err != nil {
				return nil, &nbdup.TLSError{Err: err}
			}
			return relay, nil
		}
	}
	info, _, err := nbd.Negotiate(socket(fd), o)
	if err == nil {
		err = ready(fd)
	}
	c := &conn{fd: fd, relay: relay}
	if err == nil && relay != nil {
		unix.Close(fd) // the relay has its own
		if c.fd, err = relay.Start(); err != nil {
			relay.Close()
			return nil, info, fmt.Errorf("stand between the kernel and the server: %w", err)
		}
	}
	if err != nil {
		c.close()
		return nil, info, err
	}
	return c, info, nil
}
