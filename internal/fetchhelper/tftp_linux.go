package fetchhelper

import (
	"errors"
	"net/netip"
	"os"
	"strings"
	"time"

	"syscall"

	"firstlight/internal/fetch"
	"firstlight/internal/fetch/fetchplan"
)

// tftpPatience is how long is waited for a packet, for the first time; it
// doubles.
const tftpPatience = 250 * time.Millisecond

// tftp fetches a whole file by TFTP, which can only begin at its beginning.
func (h *Helper) tftp(s *fetch.Session, to sink, progress bool) error {
	if s.Offset > 0 {
		s.Reset()
		if err := to.reset(); err != nil {
			return err
		}
	}
	name, ok := fetchplan.Unescape(strings.TrimPrefix(s.URL.Path, "/"))
	if !ok {
		return &fetch.Refusal{Text: "the path of the URL has a percent sign with no two digits behind it", Try: "correct the URL"}
	}
	question, err := fetch.ReadRequest(name)
	if err != nil {
		return err
	}
	list, err := h.lookup(s.URL.Host)
	if err != nil {
		return err
	}
	server := netip.AddrPortFrom(list[0], s.URL.Port)
	f, err := socket(server.Addr(), syscall.SOCK_DGRAM)
	if err != nil {
		return err
	}
	defer f.Close()
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	syscall.SetsockoptInt(int(f.Fd()), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 1<<20)
	syscall.SetNonblock(int(f.Fd()), true)
	send := func(b []byte) (err error) {
		werr := raw.Write(func(fd uintptr) bool {
			err = syscall.Sendto(int(fd), b, 0, sockaddr(server))
			return err != syscall.EAGAIN
		})
		return errors.Join(err, werr)
	}
	if err := send(question); err != nil {
		return errors.New(s.URL.Host + why(err))
	}
	r := fetch.NewReceiver()
	buf := make([]byte, fetch.MaxPacket+1)
	known := false // the server's port, which is of its own choice
	for unasked := 0; ; {
		f.SetReadDeadline(time.Now().Add(tftpPatience << min(unasked, 5)))
		var n int
		var from syscall.Sockaddr
		rerr := raw.Read(func(fd uintptr) bool {
			n, from, err = syscall.Recvfrom(int(fd), buf, 0)
			return err != syscall.EAGAIN
		})
		if errors.Is(rerr, os.ErrDeadlineExceeded) {
			if unasked++; unasked > fetch.MaxUnasked {
				return errors.New(s.URL.Host + " does not answer by TFTP")
			}
			again := r.Again()
			if again == nil {
				again = question
			}
			if err := send(again); err != nil {
				return errors.New(s.URL.Host + why(err))
			}
			continue
		}
		if err == nil {
			err = rerr
		}
		if err != nil {
			return errors.New(s.URL.Host + why(err))
		}
		a := address(from)
		if a.Addr() != server.Addr() || known && a.Port() != server.Port() {
			continue // somebody else's
		}
		if !known {
			server, known = a, true
		}
		before := r.Total
		data, reply, err := r.Packet(buf[:n])
		if reply != nil {
			if serr := send(reply); serr != nil && err == nil {
				err = serr
			}
		}
		if err != nil {
			return err
		}
		if r.Total != before {
			if err := s.Size(r.Total); err != nil {
				send(fetch.TFTPError(3, "it is too large"))
				return err
			}
		}
		if len(data) > 0 || r.Done {
			unasked = 0
			if err := h.came(s, data, to, progress); err != nil {
				return err
			}
		}
		if r.Done {
			return s.Ended()
		}
	}
}

func address(s syscall.Sockaddr) netip.AddrPort {
	switch a := s.(type) {
	case *syscall.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *syscall.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port))
	}
	return netip.AddrPort{}
}
