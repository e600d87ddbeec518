package fetchplan

import (
	"path"
	"strconv"
	"strings"
)

// MaxURL bounds a URL, in bytes.
const MaxURL = 2048

// URL is one of the schemes that an image can be fetched by (RFC 3986).
type URL struct {
	Scheme         string // "http", "https", "tftp"; "ftp" is known and cannot be fetched by
	User, Password string // as they are sent, without percent signs
	Host           string // a name or an address, without brackets
	Port           uint16 // that of the scheme where none is written
	// Path begins with "/", and has the query behind it, as it was written.
	Path string
}

// wrong is an error of a URL. It is a constant, and package net/netip is not used
// here, so that a program that has no use for this package has nothing of it.
type wrong string

// Error implements error.
func (w wrong) Error() string { return string(w) }

const (
	errURL  = wrong("not a URL such as https://server/root.squashfs")
	errHost = wrong("the URL has no server, or one that cannot be")
	errPort = wrong("the URL has a port that is none")
)

// portOf is the port of a scheme, 0 for none that is known.
func portOf(scheme string) uint16 {
	switch scheme {
	case "http":
		return 80
	case "https":
		return 443
	case "ftp":
		return 21
	case "tftp":
		return 69
	}
	return 0
}

// ParseURL reads one. No error repeats any of it: there may be a password.
func ParseURL(text string) (u URL, err error) {
	scheme, rest, ok := strings.Cut(text, "://")
	u.Scheme = strings.ToLower(scheme)
	u.Port = portOf(u.Scheme)
	if !ok || u.Port == 0 || len(text) > MaxURL || !visible(text) {
		return URL{}, errURL
	}
	rest, _, _ = strings.Cut(rest, "#")
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	host := rest[:end]
	u.Path = rest[end:]
	if !strings.HasPrefix(u.Path, "/") {
		u.Path = "/" + u.Path
	}
	if at := strings.LastIndexByte(host, '@'); at >= 0 {
		user, password, _ := strings.Cut(host[:at], ":")
		var ok1, ok2 bool
		u.User, ok1 = Unescape(user)
		u.Password, ok2 = Unescape(password)
		if !ok1 || !ok2 || strings.ContainsAny(u.User+u.Password, "\r\n\x00") {
			return URL{}, errURL
		}
		host = host[at+1:]
	}
	return u, u.setHost(host)
}

// setHost reads HOST, HOST:PORT, [ADDRESS] and [ADDRESS]:PORT.
func (u *URL) setHost(s string) error {
	name, port := s, ""
	if t, ok := strings.CutPrefix(s, "["); ok {
		if name, port, ok = strings.Cut(t, "]"); !ok {
			return errHost
		}
		if strings.Count(name, ":") < 2 || strings.Trim(name, "0123456789abcdefABCDEF:.") != "" || len(name) > 45 {
			return errHost
		}
		if rest, has := strings.CutPrefix(port, ":"); has {
			port = rest
		} else if port != "" {
			return errHost
		}
	} else {
		name, port, _ = strings.Cut(s, ":")
		if !validHost(name) {
			return errHost
		}
	}
	u.Host = strings.ToLower(name)
	if port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return errPort
		}
		u.Port = uint16(n)
	}
	return nil
}

func validHost(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20
		if !(c >= 'a' && c <= 'z' || s[i] >= '0' && s[i] <= '9' || strings.IndexByte("-._", s[i]) >= 0) {
			return false
		}
	}
	return s != "" && len(s) <= 253 && s[0] != '-' && s[0] != '.'
}

func visible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// Unescape replaces %XX.
func Unescape(s string) (string, bool) {
	if !strings.Contains(s, "%") {
		return s, true
	}
	var b []byte
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b = append(b, s[i])
			continue
		}
		if i+3 > len(s) {
			return "", false
		}
		n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return "", false
		}
		b = append(b, byte(n))
		i += 2
	}
	return string(b), true
}

// Authority is the server as it stands in a URL: the port where it is none of
// the usual.
func (u URL) Authority() string {
	host := u.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if u.Port != portOf(u.Scheme) {
		host += ":" + strconv.Itoa(int(u.Port))
	}
	return host
}

// String is the URL without user and password: for a person.
func (u URL) String() string { return u.Scheme + "://" + u.Authority() + u.Path }

// Resolve is what a reference stands for that was read at u (RFC 3986, 5.2).
// User and password stay only where scheme, server and port stay.
func (u URL) Resolve(ref string) (URL, error) {
	ref, _, _ = strings.Cut(ref, "#")
	if !visible(ref) || ref == "" || len(ref) > MaxURL {
		return URL{}, errURL
	}
	same := u
	switch scheme, _, ok := strings.Cut(ref, ":"); {
	case ok && !strings.ContainsAny(scheme, "/?"):
		to, err := ParseURL(ref)
		if err == nil && to.User == "" && to.Scheme == u.Scheme && to.Host == u.Host && to.Port == u.Port {
			to.User, to.Password = u.User, u.Password
		}
		return to, err
	case strings.HasPrefix(ref, "//"):
		return u.Resolve(u.Scheme + ":" + ref)
	case ref[0] == '/':
		same.Path = ref
	case ref[0] == '?':
		same.Path, _, _ = strings.Cut(u.Path, "?")
		same.Path += ref
	default:
		dir, _, _ := strings.Cut(u.Path, "?")
		file, query, has := strings.Cut(ref, "?")
		same.Path = path.Join("/", path.Dir(dir), file)
		if has {
			same.Path += "?" + query
		}
	}
	return same, nil
}

// Behind is a URL, or the path of one, with something put behind its path and before
// its query.
func Behind(u, end string) string {
	at, query, has := strings.Cut(u, "?")
	if at += end; has {
		at += "?" + query
	}
	return at
}

// Below is a URL, or the path of one, of something in the directory that u is.
func Below(u, name string) string {
	at, query, has := strings.Cut(u, "?")
	if at = strings.TrimSuffix(at, "/") + "/" + name; has {
		at += "?" + query
	}
	return at
}

// maxName bounds the name of a file, in bytes.
const maxName = 128

// File is the name under which what is fetched is kept: the last part of the
// path, with nothing in it that a name of a file could not have.
func (u URL) File() string {
	p, _, _ := strings.Cut(u.Path, "?")
	p, ok := Unescape(p)
	base := path.Base(p)
	if !ok || base == "/" || base == "." || base == ".." {
		return "image"
	}
	if len(base) > maxName { // the end says what it is
		base = base[len(base)-maxName:]
	}
	b := []byte(base)
	for i, c := range b {
		l := c | 0x20
		if !(l >= 'a' && l <= 'z' || c >= '0' && c <= '9' || c == '_' || c == '+' || (c == '.' || c == '-') && i > 0) {
			b[i] = '_'
		}
	}
	return string(b)
}
