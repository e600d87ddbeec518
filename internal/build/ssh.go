package build

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"firstlight/internal/image"
	"firstlight/internal/image/cpio"
	"firstlight/internal/sshconf"
	"firstlight/internal/sshserver"
)

// SSH is the server for unlocking and rescue. Every key has a default; an image
// has the server where there is the table, or the feature is asked for.
type SSH struct {
	AuthorizedKeys string   `toml:"authorized_keys"`
	HostKeys       []string `toml:"host_keys"`
	// SystemHostKeys allows host keys of the system itself: whoever reads the image
	// can then pass for it.
	SystemHostKeys bool     `toml:"system_host_keys"`
	Port           int      `toml:"port"`
	Listen         List     `toml:"listen"`
	Command        string   `toml:"command"`
	Sessions       int      `toml:"sessions"`
	Logins         int      `toml:"logins"`
	LoginTimeout   *Seconds `toml:"login_timeout"`
	IdleTimeout    *Seconds `toml:"idle_timeout"`
	PerAddress     int      `toml:"per_address"`
	InAll          int      `toml:"in_all"`
}

// Seconds is a span of time.
type Seconds int

// sshFeature is the name of the feature.
const sshFeature = "ssh"

// Where keys are looked for.
const (
	defaultAuthorizedKeys = "/etc/firstlight/ssh/authorized_keys"
	defaultHostKeys       = "/etc/firstlight/ssh/ssh_host_*_key"
	systemSSH             = "/etc/ssh"
)

// settings are the table as the server reads it.
func (c *SSH) settings() (sshconf.Settings, error) {
	s := sshconf.Defaults()
	for _, n := range []struct {
		to    *int
		value int
		name  string
	}{{&s.Sessions, c.Sessions, "sessions"}, {&s.Logins, c.Logins, "logins"}, {&s.PerAddress, c.PerAddress, "per_address"}, {&s.InAll, c.InAll, "in_all"}} {
		if n.value < 0 {
			return s, fmt.Errorf("ssh.%s: %d is less than nothing", n.name, n.value)
		}
		if n.value != 0 {
			*n.to = n.value
		}
	}
	if c.PerAddress > s.InAll && c.InAll == 0 {
		s.InAll = c.PerAddress
	}
	if c.Port < 0 || c.Port > 65535 {
		return s, fmt.Errorf("ssh.port: %d is no port", c.Port)
	}
	if c.Port != 0 {
		s.Port = uint16(c.Port)
	}
	if c.Command != "" {
		s.Mode = sshconf.Mode(c.Command)
	}
	if c.LoginTimeout != nil {
		s.LoginTimeout = time.Duration(*c.LoginTimeout) * time.Second
	}
	if c.IdleTimeout != nil {
		s.IdleTimeout = time.Duration(*c.IdleTimeout) * time.Second
	}
	for _, text := range c.Listen {
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" {
			return s, fmt.Errorf("ssh.listen: %q is no address", text)
		}
		s.Listen = append(s.Listen, a)
	}
	if err := s.Check(); err != nil {
		return s, fmt.Errorf("ssh: %w", err)
	}
	return s, nil
}

// check says what is wrong with the table by itself.
func (c *SSH) check() error {
	if c == nil {
		return nil
	}
	for _, p := range append([]string{c.AuthorizedKeys}, c.HostKeys...) {
		if p != "" && !path.IsAbs(p) {
			return fmt.Errorf("ssh: the path %q must be absolute", p)
		}
	}
	_, err := c.settings()
	return err
}

// ssh puts the server's files into an image that has it.
func (b *builder) ssh() error {
	has := false
	for _, f := range b.report.Features {
		has = has || f.Name == sshFeature
	}
	if !has {
		return nil
	}
	c := b.o.Config.SSH
	if c == nil {
		c = &SSH{}
	}
	s, err := c.settings()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	const why = "the SSH server"
	if err := b.tree.File(sshconf.SettingsFile, 0o600, []byte(s.String()), why); err != nil {
		return err
	}
	if err := b.authorizedKeys(c, s, why); err != nil {
		return err
	}
	return b.hostKeys(c, why)
}

func (b *builder) authorizedKeys(c *SSH, s sshconf.Settings, why string) error {
	name := c.AuthorizedKeys
	if name == "" {
		name = defaultAuthorizedKeys
	}
	src, err := b.o.Sysroot.Source(name)
	var text []byte
	if err == nil {
		text, err = os.ReadFile(src)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: the SSH server needs the keys that may log in: there is no %s (authorized_keys in [ssh])", ErrConfig, name)
	}
	if err != nil {
		return fmt.Errorf("the SSH server's authorized_keys: %w", err)
	}
	keys, problems := sshconf.ParseKeys(string(text))
	for _, p := range problems {
		b.note("%s: %v; this key will not log in", name, p)
	}
	if len(keys) == 0 {
		return fmt.Errorf("%w: no key of %s can log in to the SSH server", ErrConfig, name)
	}
	console := false
	for _, k := range keys {
		console = console || !k.NoPTY && (k.Mode == sshconf.ModeConsole || k.Mode == "" && s.Mode == sshconf.ModeConsole)
	}
	if console && b.tree.Get("/bin/sh") == nil && b.tree.Get("/bin/bash") == nil && b.tree.Get("/bin/busybox") == nil {
		b.note("a console by SSH has no emergency shell: the image has none (--feature shell)")
	}
	return b.tree.Add(image.Entry{Path: sshconf.KeysFile, Mode: cpio.TypeRegular | 0o600, Data: text, From: b.from(src), Why: why})
}

// hostKeys converts the host keys: the server reads one form alone. They are
// secrets, and so the image is readable by its owner only.
func (b *builder) hostKeys(c *SSH, why string) error {
	names := c.HostKeys
	if len(names) == 0 {
		var err error
		if names, err = b.o.Sysroot.Glob(defaultHostKeys); err != nil {
			return err
		}
	}
	if len(names) == 0 {
		return fmt.Errorf("%w: the SSH server needs a host key of its own; make one: ssh-keygen -t ed25519 -N '' -C initramfs -f /etc/firstlight/ssh/ssh_host_ed25519_key", ErrConfig)
	}
	var lines strings.Builder
	for _, name := range names {
		src, err := b.o.Sysroot.Source(name)
		if err != nil {
			return fmt.Errorf("the SSH server's host key: %w", err)
		}
		text, err := os.ReadFile(src)
		if err != nil {
			return fmt.Errorf("the SSH server's host key: %w", err)
		}
		if !c.SystemHostKeys {
			if err := b.apart(name, text); err != nil {
				return err
			}
		}
		line, err := hostKeyLine(text)
		if err != nil {
			return fmt.Errorf("%w: the host key %s: %w", ErrConfig, name, err)
		}
		lines.WriteString(line + "\n")
	}
	return b.tree.Add(image.Entry{Path: sshconf.HostKeysFile, Mode: cpio.TypeRegular | 0o600, Data: []byte(lines.String()), From: strings.Join(names, ", "), Secret: true, Why: why})
}

// apart refuses the host keys of the system itself: what an image holds, whoever
// has the disk can read, as /boot is seldom encrypted.
func (b *builder) apart(name string, text []byte) error {
	refuse := fmt.Errorf("%w: %s is a host key of the system itself, and whoever can read the image could pass for the system; make another one (ssh-keygen), or say system_host_keys = true in [ssh]", ErrConfig, name)
	if path.Dir(path.Clean(name)) == systemSSH {
		return refuse
	}
	own, err := b.o.Sysroot.Glob(systemSSH + "/ssh_host_*_key")
	if err != nil {
		return err
	}
	for _, p := range own {
		src, err := b.o.Sysroot.Source(p)
		if err != nil {
			continue
		}
		if other, err := os.ReadFile(src); err == nil && string(other) == string(text) {
			return refuse
		}
	}
	return nil
}

func hostKeyLine(text []byte) (string, error) {
	key, err := ssh.ParseRawPrivateKey(text)
	var locked *ssh.PassphraseMissingError
	switch {
	case errors.As(err, &locked):
		return "", errors.New("it is locked with a passphrase, which nobody could give at boot; take it away: ssh-keygen -p")
	case err != nil:
		if line, ok := dropbearKey(text); ok {
			return line, nil
		}
		return "", errors.New("it is no private key that can be read (OpenSSH, PEM, or Dropbear with ed25519)")
	}
	return sshserver.HostKeyLine(key)
}

// dropbearKey reads Dropbear's form of an ed25519 key: two strings of SSH's wire
// format, the type and the 64 bytes of the private key.
func dropbearKey(b []byte) (string, bool) {
	const head = "\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x40"
	if len(b) != len(head)+64 || string(b[:len(head)]) != head {
		return "", false
	}
	return fmt.Sprintf("ed25519 %x", b[len(head):len(head)+32]), true
}
