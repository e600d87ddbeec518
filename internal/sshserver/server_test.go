package sshserver

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"firstlight/internal/askwire"
	"firstlight/internal/netreport"
	"firstlight/internal/sshconf"
	"firstlight/internal/testtool"
)

// place is a running server with its keys, seen from /init's end of the socket.
type place struct {
	t    *testing.T
	dir  string
	port uint16
	fd   int
	s    *Server

	mu   sync.Mutex
	said []string
}

// start starts a server whose authorized_keys are lines in which KEY stands for the
// client's key.
func start(t *testing.T, lines string, change func(*sshconf.Settings)) *place {
	testtool.Need(t, "ssh", "ssh-keygen")
	p := &place{t: t, dir: t.TempDir()}
	dir := keys(t)
	for _, name := range []string{"client", "client.pub", "other", "other.pub", "host_ed25519", "host_rsa", "host_ecdsa"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		p.write(name, string(b))
	}
	var host strings.Builder
	for _, typ := range []string{"ed25519", "rsa", "ecdsa"} {
		key, err := ssh.ParseRawPrivateKey(p.read("host_" + typ))
		if err != nil {
			t.Fatal(err)
		}
		line, err := HostKeyLine(key)
		if err != nil {
			t.Fatal(err)
		}
		host.WriteString(line + "\n")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.port = uint16(l.Addr().(*net.TCPAddr).Port)
	l.Close()
	settings := sshconf.Defaults()
	settings.Port, settings.Listen = p.port, []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	if change != nil {
		change(&settings)
	}
	p.write("settings", settings.String())
	p.write("host_keys", host.String())
	p.write("authorized_keys", strings.ReplaceAll(lines, "KEY", strings.TrimSpace(string(p.read("client.pub"))))+"\n")
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	p.fd = fds[0]
	p.s, err = Load(Files{p.file("settings"), p.file("authorized_keys"), p.file("host_keys")}, fds[1], func(r netreport.Report) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.said = append(p.said, r.String())
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- p.s.Run() }()
	for {
		if c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", p.port)); err == nil {
			c.Close()
			break
		}
	}
	t.Cleanup(func() {
		unix.Close(p.fd)
		<-done
	})
	return p
}

func (p *place) file(name string) string { return filepath.Join(p.dir, name) }

func (p *place) read(name string) []byte {
	b, err := os.ReadFile(p.file(name))
	if err != nil {
		p.t.Fatal(err)
	}
	return b
}

func (p *place) write(name, text string) {
	if err := os.WriteFile(p.file(name), []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// keys makes the keys of all tests once: RSA takes seconds.
func keys(t *testing.T) string {
	made.once.Do(func() {
		if made.dir, made.err = os.MkdirTemp("", "flssh"); made.err != nil {
			return
		}
		for name, typ := range map[string]string{"client": "ed25519", "other": "ed25519", "host_ed25519": "ed25519", "host_rsa": "rsa", "host_ecdsa": "ecdsa"} {
			if out, err := exec.Command("ssh-keygen", "-q", "-t", typ, "-N", "", "-f", filepath.Join(made.dir, name)).CombinedOutput(); err != nil {
				made.err = fmt.Errorf("%w: %s", err, out)
				return
			}
		}
	})
	if made.err != nil {
		t.Fatal(made.err)
	}
	return made.dir
}

var made struct {
	once sync.Once
	dir  string
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if made.dir != "" {
		os.RemoveAll(made.dir)
	}
	os.Exit(code)
}

func (p *place) send(m askwire.Message) { unix.Write(p.fd, m.Append(nil)) }

// answer waits for what the server sends.
func (p *place) answer() askwire.Message {
	b := make([]byte, askwire.MaxSize)
	unix.SetsockoptTimeval(p.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 20})
	n, err := unix.Read(p.fd, b)
	if err != nil {
		p.t.Fatalf("nothing came: %v; it said %q", err, p.said)
	}
	m, err := askwire.Parse(b[:n])
	if err != nil {
		p.t.Fatal(err)
	}
	return m
}

// client runs OpenSSH's client.
func (p *place) client(key, typed string, args ...string) (out *output, wait func() int) {
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	argv := append([]string{"-F", "none", "-i", p.file(key), "-p", fmt.Sprint(p.port), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=" + p.file("known"),
		"-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"}, args...)
	cmd := exec.CommandContext(ctx, "ssh", append(argv, "root@127.0.0.1")...)
	out = &output{}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(typed), out, out
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	return out, func() int {
		defer cancel()
		cmd.Wait()
		return cmd.ProcessState.ExitCode()
	}
}

var question = askwire.Message{Kind: askwire.Ask, ID: "luks 1", Text: "Passphrase for /dev/sda2"}

// A script pipes the passphrase in, and ends well when the real system starts.
func TestScriptUnlocks(t *testing.T) {
	for _, typ := range []string{"ssh-ed25519", "rsa-sha2-512", "ecdsa-sha2-nistp256"} {
		t.Run(typ, func(t *testing.T) {
			p := start(t, "KEY", nil)
			p.send(question)
			out, wait := p.client("client", "hunter2\n", "-o", "HostKeyAlgorithms="+typ)
			m := p.answer()
			if m.Kind != askwire.Answer || m.ID != "luks 1" || string(m.Secret) != "hunter2" || !strings.HasPrefix(m.By, "ssh 127.0.0.1:") {
				t.Fatalf("%+v", m)
			}
			p.send(askwire.Message{Kind: askwire.End, ID: m.ID, By: m.By})
			p.s.leave()
			if code := wait(); code != 0 || !strings.Contains(out.String(), "The initramfs is left") {
				t.Errorf("exit %d: %s", code, out)
			}
		})
	}
}

// A wrong passphrase is told, and a script that has no other ends with a failure.
func TestScriptWithAWrongPassphraseFails(t *testing.T) {
	p := start(t, "KEY", nil)
	p.send(question)
	out, wait := p.client("client", "wrong", "-T")
	m := p.answer()
	p.send(askwire.Message{Kind: askwire.End, ID: m.ID, By: m.By})
	p.send(askwire.Message{Kind: askwire.Told, Text: "This passphrase does not open /dev/sda2. Try again."})
	p.send(question)
	if code := wait(); code != 1 || !strings.Contains(out.String(), "does not open") || !strings.Contains(out.String(), "No answer was given") {
		t.Errorf("exit %d: %s", code, out)
	}
}

// Of two sessions the first answer counts, and the second is told by whom.
func TestSecondSessionIsTold(t *testing.T) {
	p := start(t, "KEY", nil)
	p.send(question)
	first, wait1 := p.client("client", "one\n", "-tt")
	m := p.answer()
	p.send(askwire.Message{Kind: askwire.End, ID: m.ID, By: "/dev/ttyS0"}) // a console was quicker
	for !strings.Contains(first.String(), "ttyS0") && !t.Failed() {
		time.Sleep(10 * time.Millisecond)
	}
	p.s.leave()
	if code := wait1(); code != 0 || !strings.Contains(first.String(), "answered at ttyS0") {
		t.Errorf("exit %d: %s", code, first)
	}
}

func TestWhoMayNotLogIn(t *testing.T) {
	for _, tt := range []struct {
		name, keys, key string
		args            []string
		want            string
	}{
		{"another key", "KEY", "other", nil, "Permission denied"},
		{"from elsewhere", `from="10.0.0.0/8" KEY`, "client", nil, "Permission denied"},
		{"another user", "KEY", "client", []string{"-l", "nobody"}, "Permission denied"},
		{"another command", "KEY", "client", nil, "no such command"},
		{"a console where there is unlocking alone", "KEY", "client", nil, "for unlocking only"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := start(t, tt.keys, nil)
			p.send(question)
			args := tt.args
			code := 0
			var out *output
			var wait func() int
			switch tt.want {
			case "no such command", "for unlocking only":
				command := "cat /etc/shadow"
				if tt.want != "no such command" {
					command = "console"
				}
				p.write("config", "Host *\nRemoteCommand "+command+"\n")
				out, wait = p.client(tt.key, "", "-F", p.file("config"))
			default:
				out, wait = p.client(tt.key, "x\n", args...)
			}
			if code = wait(); code == 0 || !strings.Contains(out.String(), tt.want) {
				t.Errorf("exit %d: %s", code, out)
			}
		})
	}
}

func TestKeyWithoutTerminalGetsNone(t *testing.T) {
	p := start(t, `no-pty,command="console" KEY`, nil)
	p.send(askwire.Message{Kind: askwire.Ask, ID: "emergency", Text: "Press Enter for a shell"})
	out, wait := p.client("client", "\n", "-tt")
	if code := wait(); code == 0 {
		t.Errorf("exit %d: %s", code, out)
	}
}

// Whoever tries too often is not heard, also with the right key.
func TestTooManyConnectionsAreRefused(t *testing.T) {
	p := start(t, "KEY", func(s *sshconf.Settings) { s.PerAddress = 3 })
	for range 3 {
		if c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", p.port)); err == nil {
			c.Close()
		}
	}
	out, wait := p.client("client", "x\n")
	if code := wait(); code != 255 {
		t.Errorf("exit %d: %s", code, out)
	}
}

// The session that wants the emergency shell gets it, on a terminal, and nothing
// that is typed there is an answer.
func TestEmergencyShellInASession(t *testing.T) {
	if _, err := os.Stat("/dev/pts/ptmx"); err != nil {
		t.Skip(err)
	}
	p := start(t, `command="console" KEY`, nil)
	p.send(askwire.Message{Kind: askwire.Ask, ID: "emergency", Text: "Press Enter for a shell"})
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ssh", "-F", "none", "-tt", "-i", p.file("client"), "-p", fmt.Sprint(p.port), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile="+p.file("known"), "-o", "IdentitiesOnly=yes", "-o", "LogLevel=ERROR", "root@127.0.0.1")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for p.waiting() == 0 {
		time.Sleep(10 * time.Millisecond)
	}
	in.Write([]byte("\r"))
	m := p.answer()
	p.send(askwire.Message{Kind: askwire.End, ID: m.ID, By: m.By})
	p.send(askwire.Message{Kind: askwire.Shell, ID: m.ID, Text: "/bin/sh"})
	for !p.heard("shell - ") {
		time.Sleep(10 * time.Millisecond)
	}
	in.Write([]byte("echo it is $((6*7)); exit\r"))
	if m := p.answer(); m.Kind != askwire.ShellEnded || m.Text != "" {
		t.Errorf("%+v", m)
	}
	p.s.leave()
	cmd.Wait()
	if !strings.Contains(out.String(), "it is 42") || cmd.ProcessState.ExitCode() != 0 {
		t.Errorf("exit %d: %s", cmd.ProcessState.ExitCode(), out.String())
	}
}

// waiting is how many sessions are open.
func (p *place) waiting() int {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	return len(p.s.sessions)
}

// heard says whether a report begins with text.
func (p *place) heard(text string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.said {
		if strings.HasPrefix(l, text) {
			return true
		}
	}
	return false
}

// output is what a client has said so far.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}
