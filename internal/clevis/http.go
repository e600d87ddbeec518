package clevis

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// URL is where a server is.
type URL struct {
	TLS  bool
	Host string // a name or an address, of IPv6 without brackets
	Port string
	Path string // "" or "/…", without a slash at the end
}

// ParseURL reads the URL of a Tang server: http or https, no user, no query.
// Without a scheme it is http, as curl takes it.
func ParseURL(s string) (u URL, err error) {
	bad := fmt.Errorf("%w: tang: %q is no URL of a server", ErrPin, clean(s))
	rest := s
	if scheme, after, ok := strings.Cut(s, "://"); ok {
		switch strings.ToLower(scheme) {
		case "http":
		case "https":
			u.TLS = true
		default:
			return u, bad
		}
		rest = after
	}
	host, path, slash := strings.Cut(rest, "/")
	if slash {
		u.Path = "/" + strings.TrimRight(path, "/")
	}
	if u.Path == "/" {
		u.Path = ""
	}
	u.Port = "80"
	if u.TLS {
		u.Port = "443"
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		addr, port, closed := strings.Cut(inner, "]")
		if !closed || port != "" && !strings.HasPrefix(port, ":") {
			return u, bad
		}
		u.Host = addr
		if port != "" {
			u.Port = port[1:]
		}
		if strings.Trim(u.Host, "0123456789abcdefABCDEF:.") != "" {
			return u, bad
		}
	} else {
		h, port, ok := strings.Cut(host, ":")
		if u.Host = h; ok {
			u.Port = port
		}
		if strings.Trim(strings.ToLower(u.Host), "abcdefghijklmnopqrstuvwxyz0123456789.-_") != "" {
			return u, bad
		}
	}
	n, err := strconv.ParseUint(u.Port, 10, 16)
	if u.Host == "" || len(u.Host) > 255 || err != nil || n == 0 {
		return u, bad
	}
	for _, c := range []byte(u.Path) {
		if c <= ' ' || c >= 0x7f || c == '?' || c == '#' {
			return u, bad
		}
	}
	return u, nil
}

func clean(s string) string {
	if len(s) > 80 {
		s = s[:80] + "…"
	}
	b := []byte(s)
	for i, c := range b {
		if c < ' ' || c == 0x7f {
			b[i] = '?'
		}
	}
	return string(b)
}

// Request is a request of HTTP/1.1 whose answer ends the connection; with body ""
// it is a GET.
func (u URL) Request(path, body string) []byte {
	host := u.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if u.Port != "80" && !u.TLS || u.Port != "443" && u.TLS {
		host += ":" + u.Port
	}
	head := "GET " + u.Path + path + " HTTP/1.1\r\n"
	if body != "" {
		head = "POST " + u.Path + path + " HTTP/1.1\r\nContent-Type: application/jwk+json\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n"
	}
	return []byte(head + "Host: " + host + "\r\nUser-Agent: firstlight\r\nAccept: */*\r\nConnection: close\r\n\r\n" + body)
}

// MaxAnswer bounds an answer in bytes.
const MaxAnswer = 64 << 10

// Answer is what a server has answered.
type Answer struct {
	Status int
	Body   []byte
}

// errIncomplete says that an answer is not whole.
var errIncomplete = fmt.Errorf("%w: the answer of the server is not whole", ErrPin)

// ParseAnswer reads what came on a connection until it ended. whole is false so
// long as more is to come; at the end of the connection ended is true.
func ParseAnswer(b []byte, ended bool) (a Answer, whole bool, err error) {
	bad := fmt.Errorf("%w: the answer is not one of HTTP", ErrPin)
	head, body, ok := bytes.Cut(b, []byte("\r\n\r\n"))
	if !ok {
		if ended {
			return a, false, errIncomplete
		}
		if len(b) > MaxAnswer {
			return a, false, bad
		}
		return a, false, nil
	}
	lines := strings.Split(string(head), "\r\n")
	f := strings.SplitN(lines[0], " ", 3)
	if len(f) < 2 || f[0] != "HTTP/1.1" && f[0] != "HTTP/1.0" {
		return a, false, bad
	}
	if a.Status, err = strconv.Atoi(f[1]); err != nil || a.Status < 100 || a.Status > 599 {
		return a, false, bad
	}
	if a.Status < 200 { // an interim one: the other follows
		return ParseAnswer(body, ended)
	}
	length, chunked := -1, false
	for _, l := range lines[1:] {
		name, value, _ := strings.Cut(l, ":")
		value = strings.TrimSpace(value)
		switch strings.ToLower(name) {
		case "content-length":
			n, err := strconv.Atoi(value)
			if err != nil || n < 0 || length >= 0 && n != length {
				return a, false, bad
			}
			length = n
		case "transfer-encoding":
			if !strings.EqualFold(value, "chunked") {
				return a, false, bad
			}
			chunked = true
		}
	}
	if length > MaxAnswer || len(body) > MaxAnswer {
		return a, false, fmt.Errorf("%w: the answer is larger than 64 KiB", ErrPin)
	}
	switch {
	case chunked:
		a.Body, whole, err = chunks(body)
		if err != nil {
			return a, false, err
		}
	case length >= 0:
		if whole = len(body) >= length; whole {
			a.Body = body[:length]
		}
	default:
		a.Body, whole = body, ended
	}
	if !whole && ended {
		return a, false, errIncomplete
	}
	return a, whole, nil
}

// chunks joins the chunks of a body (RFC 9112 section 7.1).
func chunks(b []byte) (out []byte, whole bool, err error) {
	bad := fmt.Errorf("%w: the answer is not one of HTTP", ErrPin)
	for {
		line, rest, ok := bytes.Cut(b, []byte("\r\n"))
		if !ok {
			return nil, false, nil
		}
		size, _, _ := bytes.Cut(line, []byte(";"))
		n, err := strconv.ParseUint(strings.TrimSpace(string(size)), 16, 31)
		if err != nil || n > MaxAnswer {
			return nil, false, bad
		}
		if n == 0 {
			return out, true, nil
		}
		if uint64(len(rest)) < n+2 {
			return nil, false, nil
		}
		out = append(out, rest[:n]...)
		if string(rest[n:n+2]) != "\r\n" {
			return nil, false, bad
		}
		b = rest[n+2:]
	}
}
