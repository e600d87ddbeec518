package sshserver

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"firstlight/internal/netreport"
	"firstlight/internal/sshconf"
	"firstlight/internal/sshdesk"
)

// session is one channel of the protocol.
type session struct {
	server *Server
	conn   conn
	sc     *ssh.ServerConn
	ch     ssh.Channel
	key    *sshconf.Key
	desk   *sshdesk.Session // nil until the client has asked for a command or a shell
	pty    bool
	term   string
	size   unix.Winsize

	out    chan []byte // for its terminal; closed at the end
	exit   uint32
	ended  bool
	done   chan struct{} // everything was sent
	master atomic.Pointer[os.File]
}

// serve takes the client's requests until it has gone.
func (x *session) serve(reqs <-chan *ssh.Request) {
	for r := range reqs {
		ok := false
		switch r.Type {
		case "pty-req":
			ok = x.desk == nil && !x.key.NoPTY && x.terminal(r.Payload)
		case "window-change":
			ok = x.resize(r.Payload)
		case "shell", "exec":
			if x.desk == nil {
				mode, why := x.mode(r)
				if r.WantReply {
					r.Reply(true, nil)
				}
				x.open(mode, why)
				continue
			}
		}
		if r.WantReply {
			r.Reply(ok, nil)
		}
	}
	s := x.server
	s.mu.Lock()
	if x.desk != nil {
		s.carry(s.desk.Closed(x.desk))
		delete(s.sessions, x.desk)
		x.end(1)
	}
	opened := x.desk != nil
	s.mu.Unlock()
	if m := x.master.Load(); m != nil {
		m.Close() // the shell is hung up
	}
	if !opened {
		x.sc.Close()
	}
}

// mode is what a session is for: what the key forces, then what the client asks
// for, then what the settings say.
func (x *session) mode(r *ssh.Request) (sshconf.Mode, string) {
	mode := x.server.settings.Mode
	if x.key.Mode != "" {
		return x.key.Mode, ""
	}
	if r.Type != "exec" {
		return mode, ""
	}
	var p struct{ Command string }
	if ssh.Unmarshal(r.Payload, &p) != nil {
		return mode, "the request is malformed"
	}
	asked, ok := sshconf.Command(p.Command)
	switch {
	case !ok:
		return mode, "there is no such command here; there are unlock and console"
	case asked == sshconf.ModeConsole && mode != sshconf.ModeConsole:
		return mode, "this server is for unlocking only"
	}
	return asked, ""
}

// open begins the session; with why it ends at once.
func (x *session) open(mode sshconf.Mode, why string) {
	s := x.server
	s.mu.Lock()
	defer s.mu.Unlock()
	x.desk = &sshdesk.Session{Name: "ssh " + x.conn.from.String(), Mode: mode, PTY: x.pty}
	s.sessions[x.desk] = x
	go x.send()
	if s.leaving {
		why = "the initramfs is left"
	}
	if why != "" {
		x.write([]byte(why + "\r\n"))
		delete(s.sessions, x.desk)
		x.end(1)
		return
	}
	x.idle()
	s.carry(s.desk.Open(x.desk))
	go x.read()
}

// idle gives the client its time anew.
func (x *session) idle() {
	at := time.Time{}
	if d := x.server.settings.IdleTimeout; d > 0 {
		at = time.Now().Add(d)
	}
	x.conn.SetReadDeadline(at)
	x.conn.SetWriteDeadline(time.Time{})
}

// read takes in what is typed.
func (x *session) read() {
	s := x.server
	buf := make([]byte, 1024)
	defer clear(buf)
	for {
		n, err := x.ch.Read(buf)
		if n > 0 {
			x.idle()
		}
		if m := x.master.Load(); m != nil {
			m.Write(buf[:n])
		} else {
			s.mu.Lock()
			if n > 0 {
				s.carry(s.desk.Typed(x.desk, buf[:n]))
			}
			if err == io.EOF {
				s.carry(s.desk.EOF(x.desk))
			}
			s.mu.Unlock()
		}
		clear(buf[:n])
		if err != nil {
			return
		}
	}
}

// write shows something. A client that takes nothing is cut off, and holds nobody
// up. The server is locked.
func (x *session) write(b []byte) {
	if x.ended {
		return
	}
	select {
	case x.out <- b:
	default:
		x.sc.Close()
	}
}

// end ends the session when everything was shown. The server is locked.
func (x *session) end(exit uint32) {
	if !x.ended {
		x.ended, x.exit = true, exit
		close(x.out)
	}
}

// lastWords is how long a client has for taking what was said at the end.
const lastWords = 5 * time.Second

// send sends what is to be shown, and at the end the status.
func (x *session) send() {
	for b := range x.out {
		if _, err := x.ch.Write(b); err != nil {
			break
		}
	}
	x.conn.SetDeadline(time.Now().Add(lastWords))
	x.ch.SendRequest("exit-status", false, binary.BigEndian.AppendUint32(nil, x.exit))
	x.ch.Close()
	x.sc.Wait() // the client closes, so that nothing that is under way is cut off
	x.sc.Close()
	close(x.done)
}

// terminal takes in pty-req (RFC 4254, 6.2).
func (x *session) terminal(payload []byte) bool {
	var p struct {
		Term                         string
		Columns, Rows, Width, Height uint32
		Modes                        string
	}
	if ssh.Unmarshal(payload, &p) != nil || len(p.Term) > 64 {
		return false
	}
	x.pty, x.term = true, "linux"
	if p.Term != "" && printable(p.Term) == p.Term {
		x.term = p.Term
	}
	x.setSize(p.Columns, p.Rows)
	return true
}

func (x *session) setSize(columns, rows uint32) {
	x.size = unix.Winsize{Col: uint16(min(columns, 1000)), Row: uint16(min(rows, 1000))}
}

func (x *session) resize(payload []byte) bool {
	var p struct{ Columns, Rows, Width, Height uint32 }
	if !x.pty || ssh.Unmarshal(payload, &p) != nil {
		return false
	}
	x.server.mu.Lock()
	defer x.server.mu.Unlock()
	x.setSize(p.Columns, p.Rows)
	if m := x.master.Load(); m != nil {
		x.sized(m)
	}
	return true
}

// sized tells a terminal how large it is. Fd would make it block.
func (x *session) sized(m *os.File) {
	if raw, err := m.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) { unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &x.size) })
	}
}

// shell starts the emergency shell on a terminal of its own. The server is locked.
func (x *session) shell(program string) {
	s := x.server
	master, slave, err := s.openPTY()
	var p *os.Process
	if err == nil {
		x.sized(master)
		p, err = os.StartProcess(program, []string{"sh", "-i"}, &os.ProcAttr{Dir: "/", Files: []*os.File{slave, slave, slave},
			Env: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/", "TERM=" + x.term, "PS1=firstlight# "},
			Sys: shellAttributes()})
		slave.Close()
	}
	if err != nil {
		if master != nil {
			master.Close()
		}
		s.carry(s.desk.ShellEnded(x.desk, "no shell: "+err.Error()))
		return
	}
	s.say(netreport.Report{State: "shell"}.With("from", x.conn.from.Addr().String()))
	x.master.Store(master)
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			if n > 0 {
				if _, werr := x.ch.Write(buf[:n]); werr != nil {
					return
				}
			}
			if err != nil {
				return // EIO: nobody has it open any more
			}
		}
	}()
	go func() {
		p.Wait()
		select {
		case <-copied:
		case <-time.After(time.Second): // something that it has started stays
		}
		x.master.Store(nil)
		master.Close()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.carry(s.desk.ShellEnded(x.desk, ""))
	}()
}

// openPTY opens a pseudo-terminal, and mounts their filesystem first where nobody
// has. The server is locked.
func (s *Server) openPTY() (master, slave *os.File, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		os.Mkdir("/dev/pts", 0o755)
		if err := unix.Mount("devpts", "/dev/pts", "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, "mode=620,ptmxmode=666"); err != nil {
			return nil, nil, fmt.Errorf("mount /dev/pts: %w", err)
		}
		s.pts = true
		if fd, err = unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0); err != nil {
			return nil, nil, fmt.Errorf("open /dev/ptmx: %w", err)
		}
	}
	unix.SetNonblock(fd, true)
	master = os.NewFile(uintptr(fd), "/dev/ptmx")
	if err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return master, nil, fmt.Errorf("unlock a terminal: %w", err)
	}
	n, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		return master, nil, fmt.Errorf("open a terminal: %w", errno)
	}
	return master, os.NewFile(n, "terminal"), nil
}
