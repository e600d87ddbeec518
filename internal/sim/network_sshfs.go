package sim

import (
	"time"

	"golang.org/x/sys/unix"

	"firstlight/internal/machine"
	"firstlight/internal/sshfs"
)

// sshfsProgram is the helper for a root by SSH in an image.
const sshfsProgram = "/usr/lib/firstlight/sshfs"

// SSHServer is a server that gives a directory by SSH, and what the distribution's
// sshfs and ssh make of it.
type SSHServer struct {
	Addr  string
	Port  uint16
	Path  string
	Files map[string]string
	// Refuses is what ssh says before it ends, "" where it is let in; after Until it is,
	// unless that is 0.
	Refuses string
	Until   time.Duration
	// Away are times during which it is not there, from and to: connections break at
	// the beginning, and new ones are refused.
	Away [][2]time.Duration
	// Dark: nobody answers at its address.
	Dark bool
	// Starts is how long sshfs and ssh take until it answers.
	Starts time.Duration
	// Crashes is when sshfs ends without a reason, 0 for never.
	Crashes time.Duration
	// Connections counts those that were made.
	Connections int
}

func (s *SSHServer) away(now time.Duration) bool {
	for _, a := range s.Away {
		if now >= a[0] && now < a[1] {
			return true
		}
	}
	return false
}

// serving is the running helper, with sshfs and ssh.
type serving struct {
	*remote
	ear     sshfs.Ear
	server  *SSHServer
	content *Disk
	mounted bool
	broken  bool // the next to read learns that the connection has ended
	down    bool
}

// startSSHFS starts the helper.
func startSSHFS(r *remote, p machine.Program) {
	t, err := sshfs.Parse(string(p.Input))
	if err != nil {
		r.say(err.Error())
		r.end(1)
		return
	}
	s := &serving{remote: r, ear: sshfs.Ear{Target: t}}
	r.m.Network.serving = s
	for _, x := range r.m.Network.SSH {
		if x.Addr == t.Server && x.Port == t.Number() && !x.Dark {
			s.server = x
		}
	}
	if s.server != nil {
		s.content = &Disk{Files: s.server.Files}
	}
	s.connect(0)
}

// hear is a line that sshfs or ssh writes.
func (s *serving) hear(line string) {
	if r, ok := s.ear.Hear(line); ok {
		s.Say(r)
	}
}

// connect is the nth try to reach the server.
func (s *serving) connect(n int) {
	m := s.m
	wait, err := time.Millisecond, error(nil)
	switch {
	case m.Network.reach() != nil:
		err = m.Network.reach()
	case s.server == nil:
		wait, err = 20*time.Second, unix.ETIMEDOUT
	case s.server.away(m.now):
		err = unix.ECONNREFUSED
	}
	if err == nil {
		m.At(m.now+s.server.Starts+wait, s.login)
		return
	}
	m.At(m.now+wait, func() {
		s.hear("connect to host " + s.ear.Target.Server + ": " + map[error]string{unix.ETIMEDOUT: "Connection timed out", unix.ECONNREFUSED: "Connection refused", unix.ENETUNREACH: "Network is unreachable"}[err])
		m.At(m.now+250*time.Millisecond<<min(n, 4), func() { s.connect(n + 1) })
	})
}

// login is what follows when a connection is there.
func (s *serving) login() {
	m, t := s.m, &s.ear.Target
	switch {
	case s.server.away(m.now): // it went while it was spoken to
		s.hear("Connection closed by " + s.server.Addr + " port 22")
		s.ends()
		return
	case s.server.Refuses != "" && (s.server.Until == 0 || m.now < s.server.Until):
		s.hear(s.server.Refuses)
		s.ends()
		return
	case t.Path != s.server.Path:
		s.hear(t.Source() + ": No such file or directory")
		s.ends()
		return
	}
	s.server.Connections++
	s.down = false
	if !s.mounted {
		s.mounted = true
		m.mounted[sshfs.Mounted] = mount{content: s.content, whole: true}
		m.tellMounts()
	}
	s.Say(s.ear.There())
	if at := s.server.Crashes; at > m.now {
		m.At(at, func() { s.down, s.broken = true, true; s.end(1) })
	}
	for _, a := range s.server.Away {
		if a[0] > m.now {
			m.At(a[0], s.breaks)
			break
		}
	}
}

// breaks ends a connection: sshfs makes another one.
func (s *serving) breaks() {
	if s.down {
		return
	}
	s.down, s.broken = true, true
	s.hear(sshfs.Lost)
	s.connect(0)
}

// ends is the end of sshfs, which takes the filesystem with it where it was not in use
// yet. Later it asks again.
func (s *serving) ends() {
	if s.mounted {
		s.m.At(s.m.now+time.Second, func() { s.connect(0) })
		return
	}
	if r, ok := s.ear.Ended("exit status 1"); ok {
		s.Say(r)
	}
	s.end(1)
}

// readSSH is what happens to who reads a file: what was asked for when the connection
// ended fails, and what is asked for later waits for the next one.
func (m *Machine) readSSH(root string) error {
	if m.Network == nil || m.Network.serving == nil {
		return nil
	}
	s := m.Network.serving
	if x, ok := m.mounted[root]; !ok || x.content != s.content {
		return nil
	}
	if s.broken || s.ended {
		s.broken = false
		return unix.EIO
	}
	for s.down && !s.ended {
		m.sleep(100 * time.Millisecond)
	}
	return nil
}
