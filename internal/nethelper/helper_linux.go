// Package nethelper is the edge of the helper program for the network: sockets,
// the clock, and the loop that feeds the core (package netup).
//
// It polls nothing: it waits in epoll_wait(2) for the kernel's events, for
// packets and for the core's next deadline. It ends when it is told to (SIGTERM)
// and leaves every link as it is.
package nethelper

import (
	"io/fs"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"firstlight/internal/fmt"
	"firstlight/internal/netconf"
	"firstlight/internal/netreport"
	"firstlight/internal/netup"
	"firstlight/internal/rtnl"
	"firstlight/internal/sysfile"
)

// Helper is the running program.
type Helper struct {
	events *rtnl.Events
	socket *rtnl.Socket
	core   *netup.Core
	files  *files
	// supplicants let links in, by the descriptors that tell of their end.
	supplicants map[int]supplicant
	epoll       int
	open        map[port]*packets
	byFD        map[int]*packets
	asked       []asking // to name servers, the last one at the end
	ended       int      // a file descriptor that can be read when the boot has ended
	out         int      // file descriptor of the reports
}

// asking is a question to a name server: its socket, and whom it went to.
type asking struct {
	fd     int
	server netip.Addr
}

// maxAsked bounds the questions that wait for an answer.
const maxAsked = 16

// port is what a packet socket is for.
type port struct {
	link int
	kind netup.Kind
}

// Run brings the links up as the parameters in text say, one a line, and reports
// to the file descriptor out. It returns an error alone.
func Run(text string, out int) error {
	initramfs, _ := sysfile.ReadFile("/etc/iscsi/iscsi.initramfs") // open-iscsi's, what the command line says goes before it
	conf, problems := netconf.Parse(append(netconf.ISCSIFile(string(initramfs)), netup.Params(text)...))
	notes := netup.AddFirmware(conf, Firmware())
	plan := netup.FromConfig(conf)
	h := &Helper{supplicants: map[int]supplicant{}, files: readFiles(netup.Params(text)), open: map[port]*packets{}, byFD: map[int]*packets{}, out: out}
	for _, p := range problems {
		kernel{h}.Say(netreport.Report{State: netreport.StateProblem}.With("text", p.String()))
	}
	for _, text := range notes {
		kernel{h}.Say(netreport.Report{State: netreport.StateNote}.With("text", text))
	}
	plan.Made = h.files.made(plan.Made)
	for _, p := range h.files.problems {
		kernel{h}.Say(netreport.Report{State: netreport.StateProblem}.With("text", p))
	}
	var err error
	if h.events, err = rtnl.Listen(); err != nil {
		return err
	}
	if h.socket, err = rtnl.Open(); err != nil {
		return err
	}
	if h.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("wait for events: %w", err)
	}
	if err := h.watch(h.events.FD()); err != nil {
		return err
	}
	if h.ended, err = whenEnded(); err != nil {
		return err
	}
	if err := h.watch(h.ended); err != nil {
		return err
	}
	// Where a link on the way takes smaller packets than its ends, and nobody says
	// so, the kernel is to find out.
	kernel{h}.Sysctl("net/ipv4/tcp_mtu_probing", "1")
	h.core = netup.New(kernel{h}, plan, random)
	// The events are listened to since before, so that no link falls between.
	all, err := h.socket.All()
	if err != nil {
		return err
	}
	for _, ev := range all {
		h.core.Event(now(), ev)
	}
	return h.loop()
}

// now is the time since the machine was started, which no one can set.
func now() time.Duration {
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts)
	return time.Duration(ts.Nano())
}

func (h *Helper) watch(fd int) error {
	if err := unix.EpollCtl(h.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
		return fmt.Errorf("wait for events: %w", err)
	}
	return nil
}

func (h *Helper) loop() error {
	ready := make([]unix.EpollEvent, 16)
	for {
		n, err := unix.EpollWait(h.epoll, ready, timeout(h.core.Next(), now()))
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("wait for events: %w", err)
		}
		for _, ev := range ready[:max(n, 0)] {
			switch fd := int(ev.Fd); {
			case fd == h.events.FD():
				if err := h.kernelSaid(); err != nil {
					return err
				}
			case fd == h.ended:
				h.core.End()
				return nil
			case h.byFD[fd] != nil:
				h.received(h.byFD[fd])
			case h.supplicants[fd].pid > 0:
				h.supplicantEnded(fd)
			default:
				h.answered(fd)
			}
		}
		if t := now(); h.core.Next() <= t {
			h.core.Deadline(t)
		}
	}
}

// timeout is the time until a deadline for epoll_wait(2), in milliseconds
// rounded up; -1 is for ever.
func timeout(at, now time.Duration) int {
	switch {
	case at >= netup.Never:
		return -1
	case at <= now:
		return 0
	}
	return int(min((at-now+time.Millisecond-1)/time.Millisecond, 1<<30))
}

// kernelSaid takes in events of links and addresses.
func (h *Helper) kernelSaid() error {
	list, err := h.events.Read()
	if err == rtnl.ErrLost {
		all, err := h.socket.All()
		if err != nil {
			return err
		}
		h.core.Lost(now(), all)
		return nil
	}
	if err != nil {
		return err
	}
	for _, ev := range list {
		h.core.Event(now(), ev)
	}
	return nil
}

// burst bounds how many frames are taken at a time, so that a flood on one link
// holds up no other.
const burst = 64

func (h *Helper) received(p *packets) {
	for range burst {
		f, ok := p.read()
		if !ok {
			return
		}
		h.core.Frame(now(), p.link, f)
		if h.byFD[p.fd] != p {
			return // it was closed by that
		}
	}
}

// kernel implements netup.Kernel.
type kernel struct{ h *Helper }

// Identify implements netup.Kernel.
func (k kernel) Identify(l rtnl.Link) netup.Identity { return k.h.files.identify(l) }

func (k kernel) SetAlias(link int, text string) error { return k.h.socket.SetAlias(link, text) }

func (k kernel) SetName(link int, name string) error { return k.h.socket.SetName(link, name) }

func (k kernel) SetHardware(link int, a []byte) error { return k.h.socket.SetHardware(link, a) }

func (k kernel) SetMTU(link int, mtu uint32) error { return k.h.socket.SetMTU(link, mtu) }

func (k kernel) SetUp(link int, up bool) error { return k.h.socket.SetUp(link, up) }

func (k kernel) MakeLink(n rtnl.NewLink) error { return k.h.socket.MakeLink(n) }

func (k kernel) ChangeLink(link int, kind string, data []rtnl.Attr) error {
	return k.h.socket.ChangeLink(link, kind, data)
}

func (k kernel) SetMaster(link, master int) error { return k.h.socket.SetMaster(link, master) }

func (k kernel) SetWireGuard(link int, w *rtnl.WireGuard) error {
	return k.h.socket.SetWireGuard(link, w)
}

// networkd is where files for systemd-networkd of the real system are left.
const networkd = "/run/systemd/network"

func (k kernel) Handover(name, text string) error {
	if err := sysfile.MkdirAll(networkd, 0o755); err != nil {
		return err
	}
	return sysfile.WriteFile(networkd+"/"+name, []byte(text), 0o644)
}

func (k kernel) AddAddress(link int, a netip.Prefix, peer, broadcast netip.Addr, valid uint32) error {
	return k.h.socket.AddAddress(link, a, peer, broadcast, valid)
}

func (k kernel) DelAddress(link int, a netip.Prefix) error { return k.h.socket.DelAddress(link, a) }

func (k kernel) AddRoute(r rtnl.Route) error { return k.h.socket.AddRoute(r) }

func (k kernel) DelRoute(r rtnl.Route) error { return k.h.socket.DelRoute(r) }

func (k kernel) Sysctl(name, value string) error {
	return sysfile.WriteFile("/proc/sys/"+name, []byte(value), 0o644)
}

// WriteFile implements netup.Kernel. What the file had before is not lost half way.
func (k kernel) WriteFile(name, text string, mode uint32) error {
	for i := 1; i < len(name); i++ {
		if name[i] == '/' {
			if err := unix.Mkdir(name[:i], 0o755); err != nil && err != unix.EEXIST {
				return fmt.Errorf("make %s: %w", name[:i], err)
			}
		}
	}
	return sysfile.WriteFile(name, []byte(text), fs.FileMode(mode))
}

// Open implements netup.Kernel.
func (k kernel) Open(link int, kind netup.Kind) error {
	p, err := openPackets(link, kind)
	if err != nil {
		return err
	}
	if err := k.h.watch(p.fd); err != nil {
		unix.Close(p.fd)
		return err
	}
	k.h.open[port{link, kind}], k.h.byFD[p.fd] = p, p
	return nil
}

func (k kernel) Close(link int, kind netup.Kind) {
	if p := k.h.open[port{link, kind}]; p != nil {
		delete(k.h.open, port{link, kind})
		delete(k.h.byFD, p.fd)
		unix.Close(p.fd)
	}
}

func (k kernel) Send(link int, f netup.Frame) error {
	p := k.h.open[port{link, f.Kind}]
	if p == nil {
		return unix.ENOTCONN
	}
	return p.send(f)
}

func (k kernel) SendUDP(link string, from, to netip.AddrPort, payload []byte) error {
	return sendUDP(link, from, to, payload)
}

// Ask implements netup.Kernel: each question has a socket of its own, with a port
// that nobody can guess.
func (k kernel) Ask(server netip.AddrPort, question []byte) error {
	h := k.h
	if len(h.asked) == maxAsked { // the oldest has no answer any more
		h.forget(h.asked[0].fd)
	}
	domain, to := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: int(server.Port())})
	if server.Addr().Is6() {
		domain, to = unix.AF_INET6, &unix.SockaddrInet6{Addr: server.Addr().As16(), Port: int(server.Port()), ZoneId: h.index(server.Addr().Zone())}
	} else {
		to.(*unix.SockaddrInet4).Addr = server.Addr().As4()
	}
	fd, err := unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("ask a name server: %w", err)
	}
	if err = unix.Connect(fd, to); err == nil {
		if _, err = unix.Write(fd, question); err == nil {
			err = h.watch(fd)
		}
	}
	if err != nil {
		unix.Close(fd)
		return fmt.Errorf("ask the name server %s: %w", server.Addr(), err)
	}
	h.asked = append(h.asked, asking{fd, server.Addr()})
	return nil
}

// index is the number of a link by its name, 0 if there is none.
func (h *Helper) index(name string) uint32 {
	if name == "" {
		return 0
	}
	return h.core.Index(name)
}

// forget ends the wait for an answer.
func (h *Helper) forget(fd int) {
	for i, q := range h.asked {
		if q.fd == fd {
			unix.Close(fd)
			h.asked = append(h.asked[:i:i], h.asked[i+1:]...)
			return
		}
	}
}

// answered takes in an answer of a name server.
func (h *Helper) answered(fd int) {
	for _, q := range h.asked {
		if q.fd != fd {
			continue
		}
		buf := make([]byte, 4096)
		n, err := unix.Read(fd, buf)
		if err == unix.EAGAIN || err == unix.EINTR {
			return
		}
		h.forget(fd) // where nobody listens, the next question goes elsewhere
		if err == nil {
			h.core.Answer(now(), q.server, buf[:n])
		}
		return
	}
}

func (k kernel) Resolver(text string) error {
	return sysfile.WriteFile("/etc/resolv.conf", []byte(text), 0o644)
}

func (k kernel) Hostname(name string) error { return unix.Sethostname([]byte(name)) }

// Say implements netup.Kernel. Where nobody reads it, the boot has ended.
func (k kernel) Say(r netreport.Report) {
	line := []byte(r.String() + "\n")
	for len(line) > 0 {
		n, err := unix.Write(k.h.out, line)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return
		}
		line = line[n:]
	}
}
