package sim

import (
	"net/netip"
	"time"

	"firstlight/internal/iscsiup"
	"firstlight/internal/machine"
	"firstlight/internal/netreport"
)

// iscsiProgram is the helper's path.
const iscsiProgram = "/usr/lib/firstlight/iscsi"

// The unit that every target has, and the user and password that a target with a
// user wants.
const (
	iscsiUnit     = 1
	ISCSIUser     = "machine"
	ISCSIPassword = "secret"
)

// iscsiLogin is the program that logs in: the real one's core.
type iscsiLogin struct {
	*remote
	core *iscsiup.Core
	t    iscsiup.Target
}

// startISCSI is iscsid, which runs until the real system starts, or a login.
func startISCSI(r *remote, prog machine.Program) {
	fail := func(err error) {
		r.say(err.Error())
		r.end(1)
	}
	if len(prog.Args) > 0 {
		name, _, err := iscsiup.Initiator(string(prog.Input), iscsiup.Sources{Files: r.m.Network.ISCSIFiles})
		if err != nil {
			fail(err)
			return
		}
		// It takes a while until it listens.
		r.m.At(r.m.now+5*time.Millisecond, func() {
			r.m.Network.iscsidRuns = true
			r.say(netreport.Report{State: netreport.StateDisk}.With("subject", "iSCSI").With("condition", "there").With("text", "this machine is "+name).String())
		})
		return
	}
	t, err := iscsiup.Parse(string(prog.Input), iscsiup.Sources{})
	if err != nil {
		fail(err)
		return
	}
	p := &iscsiLogin{remote: r, t: t}
	p.core = iscsiup.New(p, t)
	r.run(p.core)
}

// Login implements iscsiup.Edge.
func (p *iscsiLogin) Login() {
	m, n := p.m, p.m.Network
	wait, code := 20*time.Millisecond, iscsiup.OK
	s := find(n.ISCSI, netip.AddrPortFrom(p.t.Server, p.t.Port))
	switch {
	case !n.iscsidRuns:
		code = iscsiup.CodeNoDaemon
	case n.reach() != nil:
		code = iscsiup.CodeTransport
	case s == nil:
		wait, code = 15*time.Second, iscsiup.CodeTimeout
	}
	m.At(m.now+wait, func() {
		if code == iscsiup.OK {
			code = s.login(m.now, p.t)
		}
		p.core.LoggedIn(m.now, code)
		if code == iscsiup.OK {
			s.Connections++
			d := *s.Exports[p.t.Name]
			name := "sd" + string(rune('a'+n.sessions))
			minor := 16 * n.sessions
			n.sessions++
			m.At(m.now+2*time.Millisecond, func() {
				p.core.Units(m.now, []uint64{0}, 0, "")
			})
			m.At(m.now+10*time.Millisecond, func() {
				m.plugRemote(&d, name, 8, minor)
				wanted := ""
				if p.t.Unit() == iscsiUnit {
					wanted = "/dev/" + name
				}
				p.core.Units(m.now, []uint64{0, iscsiUnit}, 1, wanted)
				p.settle()
			})
		}
		p.settle()
	})
}

// login is what a portal says to one.
func (s *Exporter) login(now time.Duration, t iscsiup.Target) int {
	switch {
	case s.away(now):
		return iscsiup.CodeTransport
	case s.Exports[t.Name] == nil:
		return iscsiup.CodeFatal
	case s.Secret && (t.User != ISCSIUser || t.Password != ISCSIPassword):
		return iscsiup.CodeAuth
	}
	return iscsiup.OK
}
