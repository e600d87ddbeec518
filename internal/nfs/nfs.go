// Package nfs says how the kernel is to be asked for a filesystem of an NFS
// server: mount(2) with options as text, as nfs(5) and the kernel's
// fs/nfs/fs_context.c have them. The kernel itself talks to the server, also by
// the mount protocol of version 3, and no helper program is needed.
//
// It is pure. Versions are tried as mount.nfs tries them: from the newest that
// is allowed, going on where the server does not know one.
package nfs

import (
	"errors"
	"strings"
)

// Source is a filesystem of a server.
type Source struct {
	Server string // its address
	// Name is what the server was called, "" for its address: it is what the
	// mount table shows.
	Name    string
	Path    string // absolute
	Options string // of nfs(5), separated by commas; what is for mount(8) is taken out
	// Only4 allows no version below 4: root=nfs4:, fstype nfs4.
	Only4 bool
	// Below: an overlay will lie over it.
	Below bool
}

// Try is one mount(2).
type Try struct {
	Version string // "4.2", "3"
	Source  string // "10.0.0.1:/srv/root"
	Type    string // of the filesystem
	Data    string
	Module  string // the driver of the version
}

// Errors are made where they occur: a package variable would be work at the start
// of every /init.
func errServer() error { return errors.New("the server of the NFS root is not an IP address") }

func errPath() error { return errors.New("the path of the NFS root is not absolute") }

func errOption() error { return errors.New("an option of the NFS root is not well formed") }

func errVersion() error {
	return errors.New("the NFS root asks for a version that is none: 3, 4, 4.0, 4.1 or 4.2")
}

// MaxLen bounds path and options, in bytes: mount(2) takes a page.
const MaxLen = 1024

// versions are those that are tried where none is asked for, in order.
var versions = [...]string{"4.2", "4.1", "4.0", "3"}

// Tries returns the calls to try in order. client is this machine's address on
// the way to the server, "" if that is not known.
func (s Source) Tries(client string) ([]Try, error) {
	if !address(s.Server) || client != "" && !address(client) {
		return nil, errServer()
	}
	if !strings.HasPrefix(s.Path, "/") || len(s.Path) > MaxLen || strings.ContainsRune(s.Path, 0) {
		return nil, errPath()
	}
	asked, rest, err := s.options()
	if err != nil {
		return nil, err
	}
	allowed, err := allowedVersions(asked, s.Only4)
	if err != nil {
		return nil, err
	}
	name := s.Name
	if name == "" {
		name = s.Server
	}
	if strings.Contains(name, ":") {
		name = "[" + name + "]"
	}
	var out []Try
	for _, v := range allowed {
		t := Try{Version: v, Source: name + ":" + s.Path, Type: "nfs", Module: "nfsv" + v[:1]}
		data := []string{"vers=" + v, "addr=" + s.Server}
		if v == "4.0" && client != "" {
			data = append(data, "clientaddr="+client) // where the server calls back
		}
		if v == "3" {
			data = append(data, three(rest, strings.Contains(s.Server, ":"))...)
		}
		data = append(append(data, rest...), s.kept(rest)...)
		t.Data = strings.Join(data, ",")
		out = append(out, t)
	}
	return out, nil
}

// keptFor is how long attributes are kept for which nobody has tickets, in seconds:
// 23 days. The kernel counts in 32 bits, with up to a thousand ticks a second.
const keptFor = "2000000"

// kept are the options for a root below an overlay that is had with tickets. The overlay
// reads it as who has mounted it, whoever asks, but has whoever asks look whether what is
// known is still so, at each opening (cto) and when it is too old, and a user has no
// tickets. What lies below an overlay must not be changed by others, so it is.
func (s Source) kept(given []string) []string {
	if !s.Below || Kerberos(s.Options) == "" {
		return nil
	}
	opening, age := []string{"nocto"}, []string{"actimeo=" + keptFor}
	for _, g := range given {
		name, _, _ := strings.Cut(g, "=")
		switch {
		case name == "cto" || name == "nocto":
			opening = nil
		case name == "noac" || name == "ac" || name == "actimeo" || strings.HasPrefix(name, "acreg") || strings.HasPrefix(name, "acdir"):
			age = nil
		}
	}
	return append(opening, age...)
}

// address says whether a text can be an IP address, and nothing that an option
// could follow.
func address(s string) bool {
	return s != "" && len(s) < 64 && strings.Trim(s, "0123456789abcdefABCDEF.:%ghijklmnopqrstuvwxyz") == "" && strings.ContainsAny(s, ".:")
}

// three are the defaults of version 3: there is no daemon for locks in an
// initramfs, and the mount protocol goes the way of the rest.
func three(given []string, six bool) []string {
	var out []string
	tcp := "tcp"
	if six { // the kernel takes the protocol's name for the family too
		tcp = "tcp6"
	}
	has := func(names ...string) bool {
		for _, g := range given {
			name, _, _ := strings.Cut(g, "=")
			for _, n := range names {
				if n == name {
					return true
				}
			}
		}
		return false
	}
	if !has("lock", "nolock", "local_lock") {
		out = append(out, "nolock")
	}
	if !has("proto", "udp", "tcp") {
		out = append(out, "proto="+tcp)
		if !has("mountproto") {
			out = append(out, "mountproto="+tcp)
		}
	}
	return out
}

// options sorts out what says the version, and what is not for the kernel.
func (s Source) options() (version string, rest []string, err error) {
	if len(s.Options) > MaxLen {
		return "", nil, errOption()
	}
	minor := ""
	for o := range strings.SplitSeq(s.Options, ",") {
		name, value, has := strings.Cut(o, "=")
		switch {
		case o == "":
		case strings.ContainsAny(o, "\x00\n\"\\ \t"):
			return "", nil, errOption()
		case name == "vers" || name == "nfsvers":
			version = value
		case name == "minorversion":
			minor = value
		case !has && len(name) > 1 && name[0] == 'v' && name[1] >= '2' && name[1] <= '4':
			version = name[1:]
		case name == "addr" || name == "clientaddr" && value == "":
			// The server's address is known better.
		case o == "ro" || o == "rw" || o == "defaults" || o == "auto" || o == "noauto" || name == "_netdev" || o == "nofail" || o == "bg" || o == "fg" || name == "retry" || strings.HasPrefix(o, "x-"):
		default:
			rest = append(rest, o)
		}
	}
	if minor != "" && (version == "" || version == "4") {
		version = "4." + minor
	}
	return version, rest, nil
}

// Kerberos is the way to prove who asks that options (nfs(5)) want, where it takes
// tickets of Kerberos: krb5, krb5i or krb5p. It is "" where they want none.
func Kerberos(options string) (security string) {
	for o := range strings.SplitSeq(options, ",") {
		value, ok := strings.CutPrefix(o, "sec=")
		if !ok {
			continue
		}
		security = ""
		for s := range strings.SplitSeq(value, ":") {
			if security == "" && strings.HasPrefix(s, "krb5") {
				security = s
			}
		}
	}
	return security
}

// RDMA says whether options (nfs(5)) ask for RDMA, whose driver is no part of that of
// NFS.
func RDMA(options string) (asked bool) {
	for o := range strings.SplitSeq(options, ",") {
		switch {
		case o == "rdma":
			asked = true
		case o == "tcp" || o == "udp":
			asked = false
		case strings.HasPrefix(o, "proto="):
			asked = strings.HasPrefix(o, "proto=rdma")
		}
	}
	return asked
}

// allowedVersions are those that an option allows.
func allowedVersions(asked string, only4 bool) ([]string, error) {
	var out []string
	for _, v := range versions {
		if only4 && v == "3" || asked != "" && asked != v && !(asked == "4" && v[0] == '4') {
			continue
		}
		out = append(out, v)
	}
	if len(out) == 0 {
		return nil, errVersion()
	}
	return out, nil
}

// Final says whether a failed mount makes further versions needless: the server
// is not there, or refuses this machine.
func Final(err error) bool {
	for _, text := range [...]string{"connection refused", "connection timed out", "no route to host", "network is unreachable", "host is down", "timed out"} {
		if strings.Contains(err.Error(), text) {
			return true
		}
	}
	return false
}

// OtherVersion says whether a failed mount means that the server does not know that
// version.
func OtherVersion(err error) bool { return strings.Contains(err.Error(), "not supported") }

// Explain says why a mount failed and what to try.
func Explain(err error, s Source) (text, try string) {
	server := s.Server
	has := func(part string) bool { return strings.Contains(err.Error(), part) }
	switch {
	case has("connection refused"):
		return server + " has no NFS server: it refuses the connection", "start the NFS server on " + server + ", or name another one"
	case has("timed out"), has("host is down"):
		return server + " does not answer", "look whether " + server + " runs and can be reached from here, also through firewalls"
	case has("no route to host"), has("network is unreachable"):
		return "there is no way to " + server, "look at address, netmask and gateway of this machine"
	case Kerberos(s.Options) != "" && (has("permission denied") || has("operation not permitted") || has("key has expired") || has("key was rejected") || has("required key")):
		return "there is no ticket for " + server + ", or it does not let this machine mount " + s.Path + " with sec=" + Kerberos(s.Options),
			"look at what is said of Kerberos, and export " + s.Path + " with sec=" + Kerberos(s.Options) + " on " + server + " (exports(5))"
	case has("permission denied"), has("operation not permitted"):
		return server + " does not let this machine mount " + s.Path, "export " + s.Path + " to this machine on " + server + " (exports(5))"
	case has("no such file"):
		return server + " has no " + s.Path, "correct the path, or export it on " + server
	case has("protocol not supported"), has("not supported"):
		return server + " knows none of the versions of NFS that may be used", "allow another version with vers="
	}
	return "cannot be mounted: " + err.Error(), "look at the kernel's messages (dmesg) and at those of " + server
}
