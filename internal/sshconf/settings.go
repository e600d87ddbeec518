package sshconf

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Where the files are in an image.
const (
	Dir          = "/etc/firstlight/ssh"
	SettingsFile = Dir + "/settings"
	KeysFile     = Dir + "/authorized_keys"
	HostKeysFile = Dir + "/host_keys" // HostKey.Line, one a line
)

// Settings are what the server is told, besides its keys.
type Settings struct {
	Port   uint16
	Listen []netip.Addr // empty for every address
	Mode   Mode         // of keys without command=
	// Sessions are how many may be open; Logins how many connections may be logging
	// in at a time.
	Sessions, Logins int
	LoginTimeout     time.Duration // from the connection to the login
	IdleTimeout      time.Duration // without a key typed; 0 is for ever
	// PerAddress and InAll are how many connections that do not log in are taken in
	// a minute.
	PerAddress, InAll int
}

// Defaults are the settings where nothing is said.
func Defaults() Settings {
	return Settings{Port: 22, Mode: ModeUnlock, Sessions: 8, Logins: 8, LoginTimeout: time.Minute, IdleTimeout: time.Hour, PerAddress: 10, InAll: 60}
}

// Check says what is wrong with settings.
func (s *Settings) Check() error {
	switch {
	case s.Port == 0:
		return fmt.Errorf("port 0 is no port")
	case s.Mode != ModeUnlock && s.Mode != ModeConsole:
		return fmt.Errorf("command %q: it is unlock or console", clean(string(s.Mode)))
	case s.Sessions < 1 || s.Sessions > 64:
		return fmt.Errorf("%d sessions: from 1 to 64 can be", s.Sessions)
	case s.Logins < 1 || s.Logins > 64:
		return fmt.Errorf("%d logins at a time: from 1 to 64 can be", s.Logins)
	case s.LoginTimeout < time.Second || s.LoginTimeout > time.Hour:
		return fmt.Errorf("a login timeout of %v: from 1 s to an hour can be", s.LoginTimeout)
	case s.IdleTimeout < 0 || s.IdleTimeout > 30*24*time.Hour:
		return fmt.Errorf("an idle timeout of %v: from 0, which is for ever, to 30 days can be", s.IdleTimeout)
	case s.PerAddress < 1 || s.InAll < s.PerAddress || s.InAll > 10000:
		return fmt.Errorf("%d connections a minute from one address, and %d in all: from 1 to 10000 can be, in all no fewer than from one", s.PerAddress, s.InAll)
	case len(s.Listen) > 16:
		return fmt.Errorf("%d addresses to listen at: 16 can be", len(s.Listen))
	}
	return nil
}

// String is the settings as the file that ParseSettings reads.
func (s *Settings) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "port %d\ncommand %s\nsessions %d\nlogins %d\nlogin-timeout %d\nidle-timeout %d\nper-address %d\nin-all %d\n",
		s.Port, s.Mode, s.Sessions, s.Logins, s.LoginTimeout/time.Second, s.IdleTimeout/time.Second, s.PerAddress, s.InAll)
	for _, a := range s.Listen {
		b.WriteString("listen " + a.String() + "\n")
	}
	return b.String()
}

// ParseSettings reads the file that String gives.
func ParseSettings(text string) (Settings, error) {
	s := Defaults()
	if len(text) > MaxFile {
		return s, fmt.Errorf("the settings of the SSH server are larger than 256 KiB")
	}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		n, err := strconv.ParseUint(value, 10, 31)
		switch name {
		case "":
			continue
		case "port":
			if s.Port = uint16(n); n > 65535 {
				s.Port = 0
			}
		case "command":
			s.Mode, err = Mode(value), nil
		case "listen":
			var a netip.Addr
			if a, err = netip.ParseAddr(value); err == nil {
				s.Listen = append(s.Listen, a)
			}
		case "sessions":
			s.Sessions = int(n)
		case "logins":
			s.Logins = int(n)
		case "login-timeout":
			s.LoginTimeout = time.Duration(n) * time.Second
		case "idle-timeout":
			s.IdleTimeout = time.Duration(n) * time.Second
		case "per-address":
			s.PerAddress = int(n)
		case "in-all":
			s.InAll = int(n)
		default:
			return s, fmt.Errorf("the SSH server has no setting %q", clean(name))
		}
		if err != nil {
			return s, fmt.Errorf("the SSH server's setting %q: %q cannot be", name, clean(value))
		}
	}
	return s, s.Check()
}
