// Package sshfs says how the distribution's sshfs is to be run for a root that is had by
// SSH, and what it means by what it says.
//
// It is pure. Nobody types anything: the key is in the image, and a server counts only
// if its key is there too. No option of the command line changes that.
package sshfs

import (
	"errors"
	"strconv"
	"strings"

	"firstlight/internal/fmt"
)

// Files of the image: what it is about, the keys of servers, the machine's own keys, and
// further settings of ssh's.
const (
	Dir        = "/etc/firstlight/sshfs"
	KnownHosts = Dir + "/known_hosts"
	Keys       = Dir + "/keys"
	Settings   = Dir + "/config"
)

// Conf is the file with what ssh is told, in the root that sshfs has for itself.
const Conf = Dir + "/ssh.conf"

// Mounted is where the root is before it is moved to its place: there is nothing in it
// that is not served.
const Mounted = "/run/firstlight/sshfs-root"

// Names by which the programs go on in the real system, and are found by each other
// (systemd.io/ROOT_STORAGE_DAEMONS).
const (
	Program = "@sshfs"
	Client  = "@ssh"
	Connect = "@connect"
)

// defaultPort is that of SSH.
const defaultPort = 22

// Target is a directory of a server.
type Target struct {
	User   string
	Server string // its address; as text, since /init would have all of net/netip for it
	Name   string // of the server, as it is written; "" for its address
	Port   uint16 // 0 for the usual one
	Path   string // absolute, or from the user's home
	// Options are for sshfs, each by itself; Data is for the kernel, and Flags are
	// those of mount(2).
	Options []string
	Data    string
	Flags   uintptr
}

// Number is the port.
func (t *Target) Number() uint16 {
	if t.Port == 0 {
		return defaultPort
	}
	return t.Port
}

// host is what the server is called.
func (t *Target) host() string {
	if t.Name != "" {
		return t.Name
	}
	return t.Server
}

// Source is what the mount table shows.
func (t *Target) Source() string {
	host := t.host()
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return t.User + "@" + host + ":" + t.Path
}

// Subject is what a person calls the server.
func (t *Target) Subject() string { return "SSH server " + t.host() }

// String is the target for Parse: one thing a line.
func (t *Target) String() string {
	var b strings.Builder
	line := func(name, value string) { b.WriteString(name + "=" + value + "\n") }
	line("user", t.User)
	line("server", t.Server)
	line("name", t.Name)
	line("port", strconv.Itoa(int(t.Port)))
	line("path", t.Path)
	line("data", t.Data)
	line("flags", strconv.FormatUint(uint64(t.Flags), 10))
	for _, o := range t.Options {
		line("option", o)
	}
	return b.String()
}

// Parse reads what String has written.
func Parse(text string) (t Target, err error) {
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if !ok {
			return t, fmt.Errorf("%q is no line of a target", name)
		}
		switch name {
		case "user":
			t.User = value
		case "server":
			t.Server = value
		case "name":
			t.Name = value
		case "port":
			var n uint64
			n, err = strconv.ParseUint(value, 10, 16)
			t.Port = uint16(n)
		case "path":
			t.Path = value
		case "data":
			t.Data = value
		case "flags":
			var n uint64
			n, err = strconv.ParseUint(value, 10, 32)
			t.Flags = uintptr(n)
		case "option":
			t.Options = append(t.Options, value)
		default:
			err = fmt.Errorf("%q is nothing of a target", name)
		}
		if err != nil {
			return Target{}, err
		}
	}
	if t.User == "" || t.Path == "" || t.Server == "" {
		return Target{}, errors.New("a target has a user, a server and a path")
	}
	return t, nil
}

// fresh is for how many seconds the kernel takes what it knows of a file for true: as
// long as sshfs itself does (dcache_timeout). Its own second would have it ask sshfs
// again for each library of each program.
const fresh = "20"

// Args are sshfs's arguments, its name first. Options of the root come behind those that
// every root has, and so count more. fd is the descriptor of /dev/fuse whose
// filesystem is mounted already. Links are given as they are on the server, which some
// builds of sshfs (raw) do only when they are asked to: outside of a root there is
// nothing that a link could lead to.
func (t *Target) Args(fd int, raw bool) []string {
	options := append([]string{"reconnect", "ssh_command=" + Connect + " " + t.Server + " " + strconv.Itoa(int(t.Number())), "auto_cache", "entry_timeout=" + fresh, "attr_timeout=" + fresh}, t.Options...)
	if raw {
		options = append(options, "no_contain_symlinks")
	}
	args := []string{Program, "-f", "-F", Conf}
	for _, o := range options {
		args = append(args, "-o", o)
	}
	return append(args, t.Source(), "/dev/fd/"+strconv.Itoa(fd))
}

// Config is what ssh is told. What comes first counts, so that neither the settings of
// the image behind it nor a default of the distribution has a server believed that is
// not known, or a person asked. keys are the machine's own.
func (t *Target) Config(keys []string, settings bool) string {
	var b strings.Builder
	for _, l := range []string{
		"IgnoreUnknown KnownHostsCommand", "KnownHostsCommand none", "StrictHostKeyChecking yes", "UserKnownHostsFile " + KnownHosts, "GlobalKnownHostsFile " + KnownHosts,
		"UpdateHostKeys no", "VerifyHostKeyDNS no", "NoHostAuthenticationForLocalhost no", "CheckHostIP no", "BatchMode yes", "PreferredAuthentications publickey",
		"PasswordAuthentication no", "KbdInteractiveAuthentication no", "HostbasedAuthentication no", "GSSAPIAuthentication no", "IdentitiesOnly yes", "IdentityAgent none",
		"ForwardAgent no", "PermitLocalCommand no", "ControlMaster no", "ControlPath none",
		"Match originalhost " + t.host(), "HostName " + strings.ReplaceAll(t.Server, "%", "%%"), "HostKeyAlias " + t.alias(), "Port " + strconv.Itoa(int(t.Number())),
		"Match all",
	} {
		b.WriteString(l + "\n")
	}
	for _, k := range keys {
		b.WriteString("IdentityFile " + k + "\n")
	}
	if settings {
		b.WriteString("Include " + Settings + "\n")
	}
	for _, l := range []string{"ConnectTimeout 30", "ServerAliveInterval 15", "ServerAliveCountMax 8", "TCPKeepAlive yes"} {
		b.WriteString(l + "\n")
	}
	return b.String()
}

// alias is what known_hosts calls the server: its name, with the port where that is not
// the usual one (sshd(8)).
func (t *Target) alias() string {
	if n := t.Number(); n != defaultPort {
		return "[" + t.host() + "]:" + strconv.Itoa(int(n))
	}
	return t.host()
}
