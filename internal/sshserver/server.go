// Package sshserver is the edge of the helper program for SSH: sockets, the
// protocol (golang.org/x/crypto/ssh), terminals and the clock. What a session sees
// and does is decided by package sshdesk, who may log in and how often by sshconf.
//
// There are no passwords, no forwarding, no files and no commands but those of
// sshconf.Command. It runs until it is told to end (SIGTERM), and then ends every
// session first.
package sshserver

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"firstlight/internal/askwire"
	"firstlight/internal/netreport"
	"firstlight/internal/sshconf"
	"firstlight/internal/sshdesk"
)

// Files are where the server's files are.
type Files struct{ Settings, Keys, HostKeys string }

// Server is the running program.
type Server struct {
	settings sshconf.Settings
	keys     []sshconf.Key
	config   *ssh.ServerConfig
	asks     int // the socket to /init

	mu       sync.Mutex // of what follows
	gate     *sshconf.Gate
	desk     sshdesk.Desk
	sessions map[*sshdesk.Session]*session
	say      func(netreport.Report)
	leaving  bool
	pts      bool // /dev/pts was mounted here
}

// algorithms are those that have been good for ten years; what only older clients
// need is left out.
func algorithms() ssh.Config {
	return ssh.Config{
		KeyExchanges: []string{ssh.KeyExchangeMLKEM768X25519, ssh.KeyExchangeCurve25519, ssh.KeyExchangeECDHP256, ssh.KeyExchangeECDHP384, ssh.KeyExchangeECDHP521},
		Ciphers:      []string{ssh.CipherChaCha20Poly1305, ssh.CipherAES256GCM, ssh.CipherAES128GCM, ssh.CipherAES256CTR, ssh.CipherAES128CTR},
		MACs:         []string{ssh.HMACSHA256ETM, ssh.HMACSHA512ETM, ssh.HMACSHA256},
	}
}

// keyAlgorithms are those by which keys log in: RSA without SHA-1.
var keyAlgorithms = []string{ssh.KeyAlgoED25519, ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
	ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSASHA512}

// Load reads the files. asks is the socket to /init, and say takes reports.
func Load(f Files, asks int, say func(netreport.Report)) (*Server, error) {
	s := &Server{asks: asks, say: say, sessions: map[*sshdesk.Session]*session{}}
	text, err := os.ReadFile(f.Settings)
	if err != nil {
		return nil, err
	}
	if s.settings, err = sshconf.ParseSettings(string(text)); err != nil {
		return nil, err
	}
	if text, err = os.ReadFile(f.Keys); err != nil {
		return nil, err
	}
	var problems []sshconf.Problem
	s.keys, problems = sshconf.ParseKeys(string(text))
	for _, p := range problems {
		s.note("authorized_keys, " + p.Error())
	}
	if len(s.keys) == 0 {
		return nil, errors.New("no key can log in")
	}
	s.config = &ssh.ServerConfig{Config: algorithms(), PublicKeyAuthAlgorithms: keyAlgorithms, PublicKeyCallback: s.knows, MaxAuthTries: 6, ServerVersion: "SSH-2.0-Firstlight"}
	if text, err = os.ReadFile(f.HostKeys); err != nil {
		return nil, err
	}
	defer clear(text)
	n := 0
	for line := range strings.Lines(string(text)) {
		k, err := parseHostKey(line)
		if err != nil {
			return nil, err
		}
		s.config.AddHostKey(k)
		n++
	}
	if n == 0 {
		return nil, errors.New("it has no host key")
	}
	s.gate = sshconf.NewGate(s.settings)
	return s, nil
}

func (s *Server) note(text string) {
	s.say(netreport.Report{State: netreport.StateNote}.With("text", text))
}

// Run serves until it is told to end.
func (s *Server) Run() error {
	end := make(chan os.Signal, 1)
	signal.Notify(end, unix.SIGTERM)
	signal.Ignore(unix.SIGPIPE, unix.SIGHUP)
	at := s.settings.Listen
	if len(at) == 0 {
		at = []netip.Addr{netip.IPv6Unspecified()}
	}
	listening := 0
	var last error
	for _, a := range at {
		l, err := listen(netip.AddrPortFrom(a, s.settings.Port))
		if err != nil && len(s.settings.Listen) == 0 { // a kernel without IPv6
			l, err = listen(netip.AddrPortFrom(netip.IPv4Unspecified(), s.settings.Port))
		}
		if err != nil {
			last = err
			s.say(netreport.Report{State: netreport.StateProblem}.With("text", "SSH: "+err.Error()))
			continue
		}
		listening++
		go s.serve(l)
	}
	if listening == 0 {
		return last
	}
	s.say(netreport.Report{State: netreport.StateReady}.With("port", fmt.Sprint(s.settings.Port)))
	gone := make(chan struct{})
	go func() { s.hear(); close(gone) }()
	select {
	case <-end:
	case <-gone:
	}
	s.leave()
	return nil
}

// hear takes in what /init says.
func (s *Server) hear() {
	buf := make([]byte, askwire.MaxSize)
	for {
		n, err := unix.Read(s.asks, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return
		}
		if m, err := askwire.Parse(buf[:n]); err == nil {
			s.mu.Lock()
			s.carry(s.desk.Heard(m))
			s.mu.Unlock()
		}
	}
}

// leave ends all sessions, and waits a moment for what was said last to be sent.
func (s *Server) leave() {
	s.mu.Lock()
	s.leaving = true
	var open []*session
	for _, x := range s.sessions {
		open = append(open, x)
	}
	s.carry(s.desk.Leave())
	pts := s.pts
	s.mu.Unlock()
	limit := time.After(time.Second)
	for _, x := range open {
		select {
		case <-x.done:
		case <-limit:
			return
		}
	}
	if pts { // the real system mounts its own
		unix.Unmount("/dev/pts", unix.MNT_DETACH)
	}
}

func (s *Server) serve(l *os.File) {
	for {
		c, err := accept(l)
		if err != nil {
			s.note("accept: " + err.Error())
			if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.ENOMEM) {
				time.Sleep(time.Second) // nothing tells when there is room again
				continue
			}
			return
		}
		s.mu.Lock()
		why := s.gate.Connect(now(), c.from.Addr())
		if s.leaving {
			why = "the initramfs is left"
		}
		s.mu.Unlock()
		if why != "" {
			s.say(netreport.Report{State: "refused"}.With("from", c.from.Addr().String()).With("text", why))
			c.Close()
			continue
		}
		go s.handle(c)
	}
}

// knows is the library's question whether a key may log in.
func (s *Server) knows(c ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	from, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return nil, err
	}
	blob := key.Marshal()
	for i := range s.keys {
		if k := &s.keys[i]; bytes.Equal(k.Blob, blob) {
			if c.User() != "root" {
				return nil, errors.New("there is no user but root")
			}
			if k.Allows(from.Addr()) {
				return &ssh.Permissions{ExtraData: map[any]any{keyIndex{}: i}}, nil
			}
		}
	}
	return nil, errors.New("the key is not authorised")
}

// keyIndex names the authorised key among what is known of a connection.
type keyIndex struct{}

// handle serves one connection.
func (s *Server) handle(c conn) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(s.settings.LoginTimeout))
	sc, channels, requests, err := ssh.NewServerConn(c, s.config)
	s.mu.Lock()
	room := false
	if err != nil {
		s.gate.Leave()
	} else {
		room = s.gate.Login(c.from.Addr())
	}
	s.mu.Unlock()
	from := c.from.Addr().String()
	if err != nil {
		s.say(netreport.Report{State: "refused"}.With("from", from).With("text", printable(err.Error())))
		return
	}
	if !room {
		s.say(netreport.Report{State: "refused"}.With("from", from).With("text", "too many sessions are open"))
		sc.Close()
		return
	}
	defer func() {
		s.mu.Lock()
		s.gate.End()
		s.mu.Unlock()
	}()
	i, _ := sc.Permissions.ExtraData[keyIndex{}].(int)
	key := &s.keys[i]
	s.say(netreport.Report{State: "login"}.With("from", from).With("key", fmt.Sprintf("%s, line %d of authorized_keys", key.Type, key.Line)))
	go ssh.DiscardRequests(requests)
	// Whoever logs in has as long for asking for a session.
	taken := false
	for n := range channels {
		if n.ChannelType() != "session" || taken {
			n.Reject(ssh.Prohibited, "one session, and nothing else")
			continue
		}
		ch, reqs, err := n.Accept()
		if err != nil {
			break
		}
		taken = true
		x := &session{server: s, conn: c, sc: sc, ch: ch, key: key, done: make(chan struct{}), out: make(chan []byte, 256)}
		go x.serve(reqs)
	}
	s.say(netreport.Report{State: "logout"}.With("from", from))
}

// printable leaves out of an error what a client could have put into it.
func printable(text string) string {
	if len(text) > 200 {
		text = text[:200] + "…"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f {
			return '?'
		}
		return r
	}, text)
}

// carry carries effects out. The server is locked.
func (s *Server) carry(effects []sshdesk.Effect) {
	for _, e := range effects {
		x := s.sessions[e.Session]
		switch {
		case e.Send != nil:
			b := e.Send.Append(make([]byte, 0, 16+len(e.Send.ID)+len(e.Send.By)+len(e.Send.Text)+len(e.Send.Secret)))
			unix.Sendto(s.asks, b, unix.MSG_NOSIGNAL, nil)
			clear(b)
			clear(e.Send.Secret)
		case x == nil:
		case e.Shell != "":
			x.shell(e.Shell)
		case e.Close:
			delete(s.sessions, e.Session)
			x.end(e.Exit)
		default:
			text := e.Show
			if e.Session.PTY {
				text = strings.ReplaceAll(text, "\n", "\r\n")
			}
			x.write([]byte(text))
		}
	}
}
