package sim

import (
	"net/netip"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"firstlight/internal/diskup"
	"firstlight/internal/machine"
	"firstlight/internal/nbd"
	"firstlight/internal/nbdup"
	"firstlight/internal/netreport"
	"fmt"
)

// remote is a helper program that connects disks of servers: what it has said, and
// who listens.
type remote struct {
	m      *Machine
	lines  []string
	ended  bool
	code   int
	waiter *operation
	brain  core          // nil for one that has no deadlines
	due    time.Duration // the deadline that is scheduled
}

// core is what decides in a program, the real one's.
type core interface {
	Start(now time.Duration)
	Next() time.Duration
	Deadline(now time.Duration)
}

// run starts the program's core.
func (r *remote) run(c core) {
	r.brain, r.due = c, diskup.Never
	c.Start(r.m.now)
	r.settle()
}

// settle schedules the core's next deadline, and ends the program when nothing is
// left to do.
func (r *remote) settle() {
	if c, ok := r.brain.(interface{ Done() bool }); ok && c.Done() {
		r.end(0)
		return
	}
	next := r.brain.Next()
	if next == diskup.Never || next == r.due {
		return
	}
	r.due = next
	r.m.At(next, func() {
		if r.due == next {
			r.due = diskup.Never
		}
		if !r.ended && r.brain.Next() <= r.m.now {
			r.brain.Deadline(r.m.now)
			r.settle()
		}
	})
}

// Say implements diskup.Listener.
func (r *remote) Say(report netreport.Report) { r.say(report.String()) }

// say is a line of the program.
func (r *remote) say(line string) {
	r.lines = append(r.lines, line)
	r.wake()
}

// end ends the program.
func (r *remote) end(code int) {
	r.ended, r.code = true, code
	r.wake()
}

func (r *remote) wake() {
	if o := r.waiter; o != nil && !o.woken {
		o.woken = true
		r.m.At(r.m.now, o.step)
	}
}

func (r *remote) listen() machine.Said {
	if len(r.lines) == 0 && !r.ended {
		r.waiter = r.m.current
		r.m.sleep(-1)
		r.waiter = nil
	}
	said := machine.Said{Lines: r.lines, Ended: r.ended, Code: r.code}
	r.lines = nil
	return said
}

// modelOf is what starts the model of a program, nil for one that does something
// else.
func modelOf(path string) func(*remote, machine.Program) {
	switch path {
	case "/usr/lib/firstlight/nbd":
		return startNBD
	case "/usr/lib/firstlight/nvmf":
		return startNVMf
	case iscsiProgram:
		return startISCSI
	case "/usr/lib/firstlight/httpdisk":
		return startHTTPDisk
	case sshfsProgram:
		return startSSHFS
	}
	return nil
}

// startRemote starts a program that connects disks; ok is false for one that does
// something else.
func (m *Machine) startRemote(name string, p machine.Program) bool {
	start := modelOf(p.Path)
	if p.Path == networkProgram && len(p.Args) == 2 && p.Args[0] == "aoe" {
		start = startAoE
	}
	if p.Path == networkProgram && len(p.Args) == 1 && p.Args[0] == "kerberos" {
		start = startKerberos
	}
	if start == nil || m.Network == nil {
		return false
	}
	r := &remote{m: m}
	if m.Network.remotes == nil {
		m.Network.remotes = map[string]*remote{}
	}
	m.Network.remotes[name] = r
	if m.fault(HelperCrashes, p.Path) != nil {
		r.end(128 + 11)
		return true
	}
	start(r, p)
	return true
}

// reach is the way of a packet to a server: nil where it arrives.
func (n *Network) reach() error {
	for _, c := range n.Cards {
		if len(n.Addresses[c.Name]) > 0 && !c.Apart {
			return nil
		}
	}
	return unix.ENETUNREACH
}

// Exporter is a server of block devices: of NBD, of NVMe, or of iSCSI.
type Exporter struct {
	Addr string
	Port uint16
	// Exports are its disks by name. One that is nil is nobody's.
	Exports map[string]*Disk
	// Away are times during which it is not there, from and to: connections break
	// at the beginning, and new ones are refused.
	Away [][2]time.Duration
	// Dark: nobody answers at its address.
	Dark bool
	// Grown are disks whose size differs after the first time that it was away.
	Grown bool
	// Secret: it lets in nobody but ISCSIUser with ISCSIPassword.
	Secret bool
	// Connections counts those that were made.
	Connections int
}

func (s *Exporter) away(now time.Duration) bool {
	return slices.ContainsFunc(s.Away, func(a [2]time.Duration) bool { return now >= a[0] && now < a[1] })
}

// returned says whether it was away before.
func (s *Exporter) returned(now time.Duration) bool {
	return slices.ContainsFunc(s.Away, func(a [2]time.Duration) bool { return now >= a[1] })
}

// find is the server at an address; a wait stands for one that is not there.
func find(list []*Exporter, at netip.AddrPort) *Exporter {
	for _, s := range list {
		if s.Addr == at.Addr().String() && s.Port == at.Port() && !s.Dark {
			return s
		}
	}
	return nil
}

// plugRemote makes a disk of a server a device.
func (m *Machine) plugRemote(d *Disk, name string, major, minor int) {
	d.Name, d.major, d.minor = name, major, minor
	d.devpath = "/devices/virtual/block/" + name
	m.plugged(d)
}

// nbdProgram is the program nbd: the real one's core.
type nbdProgram struct {
	*remote
	core   *nbdup.Core
	t      nbdup.Target
	server *Exporter
	disk   *Disk
	live   int // connections that the kernel has
	broken int
}

func startNBD(r *remote, prog machine.Program) {
	t, _, err := nbdup.Parse(string(prog.Input))
	if err != nil {
		r.say(err.Error())
		r.end(1)
		return
	}
	p := &nbdProgram{remote: r, t: t}
	p.core = nbdup.New(p, t)
	r.run(p.core)
}

// Dial implements nbdup.Edge.
func (p *nbdProgram) Dial(id int) {
	m, n := p.m, p.m.Network
	wait, err := time.Millisecond, n.reach()
	s := find(n.NBD, p.t.Address())
	switch {
	case err != nil:
	case s == nil:
		wait, err = 3*time.Second, unix.EHOSTUNREACH
	}
	m.At(m.now+wait, func() {
		if err == nil && s.away(m.now) {
			err = unix.ECONNREFUSED
		}
		var info nbd.Info
		if err != nil {
			err = &nbdup.ConnectError{Err: err}
		} else if d := s.Exports[p.t.Export]; d == nil {
			refused := &nbd.RefusedError{Code: nbd.CodeUnknown, Export: p.t.Export}
			refused.Exports = sortedKeys(s.Exports)
			err = refused
		} else {
			p.server, p.disk = s, d
			s.Connections++
			info = nbd.Info{Size: uint64(d.size()), Flags: nbd.FlagHas | nbd.FlagMultiConn}
			if s.Grown && s.returned(m.now) {
				info.Size += 1 << 20
			}
		}
		p.core.Dialed(m.now, id, info, err)
		p.settle()
	})
}

// Attach implements nbdup.Edge.
func (p *nbdProgram) Attach(_ nbd.Info, ids []int) (int, error) {
	index := p.t.Index
	if p.m.disks["/dev/nbd"+strconv.Itoa(index)] != nil {
		return -1, unix.EBUSY
	}
	p.live = len(ids)
	p.watch()
	d := *p.disk
	d.Attrs = map[string]string{"pid": "7"}
	p.m.plugRemote(&d, "nbd"+strconv.Itoa(index), 43, index*32)
	return index, nil
}

// watch breaks the connections when the server goes away.
func (p *nbdProgram) watch() {
	for _, a := range p.server.Away {
		if a[0] <= p.m.now {
			continue
		}
		p.m.At(a[0], func() {
			n := p.live
			p.live, p.broken = 0, p.broken+n
			for range n {
				p.core.Dead(p.m.now, p.index())
			}
			p.settle()
		})
	}
}

func (p *nbdProgram) index() int {
	n, _ := strconv.Atoi(p.core.Device()[len("/dev/nbd"):])
	return n
}

// Replace implements nbdup.Edge.
func (p *nbdProgram) Replace(int) error {
	if p.broken == 0 {
		return nbdup.ErrWhole
	}
	p.broken--
	p.live++
	return nil
}

// Drop implements nbdup.Edge.
func (p *nbdProgram) Drop(int) {}

// listenTo is Listen for the programs above.
func (m *Machine) listenTo(name string) (machine.Said, error) {
	if m.Network == nil || m.Network.remotes[name] == nil {
		return machine.Said{}, fmt.Errorf("%s was not started", name)
	}
	return m.Network.remotes[name].listen(), nil
}
