package fetch

import (
	"bufio"
	"encoding/base64"
	"errors"
	"io"
	"strconv"
	"strings"

	"firstlight/internal/fetch/fetchplan"
)

// Head is what an HTTP server says before what it sends (RFC 9112, RFC 9110).
type Head struct {
	Code   int
	Reason string
	// Length is how much follows, in bytes; -1 is that the end of the
	// connection, or of the chunks, ends it.
	Length  int64
	Chunked bool
	// Start and Total are those of Content-Range, in bytes; -1 where it is not
	// there, or the total not known.
	Start, Total int64
	// ETag and Modified are the validators, as they came.
	ETag, Modified string
	Location       string
	Encoded        bool // what follows is not the file itself
}

// Bounds of what a server may say before it sends anything, in bytes, and of the
// lines of it.
const (
	MaxHead  = 32 << 10
	maxLines = 128
)

// ReadHead reads a head off the connection, skipping those that only say that
// another follows.
func ReadHead(r *bufio.Reader) (Head, error) {
	for range 5 {
		var b []byte
		for {
			line, err := r.ReadSlice('\n')
			if err != nil && err != bufio.ErrBufferFull {
				if err == io.EOF {
					err = io.ErrUnexpectedEOF
				}
				return Head{}, err
			}
			b = append(b, line...)
			if len(b) > MaxHead {
				return Head{}, errors.New("the server says more about the file than can be read")
			}
			if s := string(line); err == nil && (s == "\n" || s == "\r\n") {
				break
			}
		}
		h, err := ParseHead(string(b))
		if err != nil || h.Code >= 200 {
			return h, err
		}
	}
	return Head{}, errors.New("the server only says that it will say more")
}

// ParseHead reads a head.
func ParseHead(text string) (Head, error) {
	h := Head{Length: -1, Start: -1, Total: -1}
	lines := strings.Split(text, "\n")
	if len(text) > MaxHead || len(lines) > maxLines {
		return h, errors.New("the server says more about the file than can be read")
	}
	status := strings.SplitN(strings.TrimRight(lines[0], "\r"), " ", 3)
	if len(status) < 2 || !strings.HasPrefix(status[0], "HTTP/1.") || len(status[1]) != 3 {
		return h, errors.New("what answers is no HTTP server")
	}
	code, err := strconv.ParseUint(status[1], 10, 16)
	if err != nil || code < 100 {
		return h, errors.New("what answers is no HTTP server")
	}
	h.Code = int(code)
	if len(status) == 3 {
		h.Reason = printable(status[2])
	}
	lengths := ""
	for _, line := range lines[1:] {
		name, value, ok := strings.Cut(strings.TrimRight(line, "\r"), ":")
		if !ok {
			continue
		}
		value = strings.Trim(value, " \t")
		switch strings.ToLower(name) {
		case "content-length":
			n, ok := number(value)
			if !ok || lengths != "" && lengths != value {
				return h, errors.New("the server does not say one length of the file")
			}
			h.Length, lengths = n, value
		case "transfer-encoding":
			if !strings.EqualFold(value, "chunked") {
				return h, errors.New("the server sends it in a way that is not known (" + printable(value) + ")")
			}
			h.Chunked = true
		case "content-encoding":
			h.Encoded = value != "" && !strings.EqualFold(value, "identity")
		case "content-range":
			if err := h.contentRange(value); err != nil {
				return h, err
			}
		case "etag":
			h.ETag = value
		case "last-modified":
			h.Modified = value
		case "location":
			h.Location = value
		}
	}
	if h.Chunked {
		h.Length = -1
	}
	for _, s := range [...]*string{&h.ETag, &h.Modified} {
		if printable(*s) != *s { // it is sent back
			*s = ""
		}
	}
	return h, nil
}

// number reads a count of bytes: digits alone.
func number(s string) (int64, bool) {
	n, err := strconv.ParseUint(s, 10, 63)
	return int64(n), err == nil
}

// contentRange reads "bytes 100-199/1000", "bytes 100-199/*", "bytes */1000".
func (h *Head) contentRange(s string) error {
	bad := errors.New("the server says a part of the file that is none")
	rest, ok := strings.CutPrefix(s, "bytes ")
	part, total, ok2 := strings.Cut(rest, "/")
	if !ok || !ok2 {
		return bad
	}
	if total != "*" {
		if h.Total, ok = number(total); !ok {
			return bad
		}
	}
	if part == "*" {
		return nil
	}
	from, to, _ := strings.Cut(part, "-")
	a, ok1 := number(from)
	b, ok2 := number(to)
	if !ok1 || !ok2 || b < a || h.Total >= 0 && b >= h.Total {
		return bad
	}
	h.Start = a
	return nil
}

// printable replaces what is not to be shown.
func printable(s string) string {
	if len(s) > 200 {
		s = s[:200]
	}
	b := []byte(s)
	for i, c := range b {
		if c < ' ' || c >= 0x7f {
			b[i] = '?'
		}
	}
	return string(b)
}

// Ask is the question for a file, from offset on. Where that is not the
// beginning, validator says which one is meant; where it is, known says of which
// nothing is to be sent. whole has the URL in it, as a proxy wants it; secret is
// the proxy's user and password, "USER:PASSWORD".
func Ask(u fetchplan.URL, offset int64, validator, known string, whole bool, secret string) string {
	text := request(u, whole, secret) + "Connection: close\r\n"
	if offset == 0 && known != "" {
		if known[0] == '"' {
			text += "If-None-Match: "
		} else {
			text += "If-Modified-Since: "
		}
		text += known + "\r\n"
	}
	if offset > 0 {
		text += "Range: bytes=" + strconv.FormatInt(offset, 10) + "-\r\n"
		if validator != "" {
			text += "If-Range: " + validator + "\r\n"
		}
	}
	return text + "\r\n"
}

// request is what every question begins with.
func request(u fetchplan.URL, whole bool, secret string) string {
	target := u.Path
	if whole {
		target = u.String()
	}
	text := "GET " + target + " HTTP/1.1\r\nHost: " + u.Authority() + "\r\nUser-Agent: firstlight\r\nAccept: */*\r\nAccept-Encoding: identity\r\n"
	if u.User != "" || u.Password != "" {
		text += "Authorization: " + basic(u.User+":"+u.Password)
	}
	if secret != "" {
		text += "Proxy-Authorization: " + basic(secret)
	}
	return text
}

// Tunnel asks a proxy for a connection to a server (RFC 9110, 9.3.6).
func Tunnel(host, secret string) string {
	text := "CONNECT " + host + " HTTP/1.1\r\nHost: " + host + "\r\nUser-Agent: firstlight\r\n"
	if secret != "" {
		text += "Proxy-Authorization: " + basic(secret)
	}
	return text + "\r\n"
}

func basic(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) + "\r\n" }

// Body is what follows a head, without what only says how it is sent. It ends
// with io.EOF where the file's part ends, and with io.ErrUnexpectedEOF where it
// was broken off, so far as that can be known.
func Body(h Head, r *bufio.Reader) io.Reader {
	switch {
	case h.Chunked:
		return &chunks{r: r}
	case h.Length >= 0:
		return &counted{r: r, left: h.Length}
	}
	return r
}

// counted is a body of a length that was said.
type counted struct {
	r    io.Reader
	left int64
}

func (c *counted) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > c.left {
		p = p[:c.left]
	}
	n, err := c.r.Read(p)
	c.left -= int64(n)
	if err == io.EOF && c.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// chunks is a body in pieces (RFC 9112, 7.1).
type chunks struct {
	r    *bufio.Reader
	left int64
	some bool // the end of a piece is to be read
	end  bool
}

var errChunks = errors.New("the server sends pieces whose sizes cannot be read")

func (c *chunks) line() (string, error) {
	line, err := c.r.ReadSlice('\n')
	switch {
	case err == io.EOF:
		return "", io.ErrUnexpectedEOF
	case err == bufio.ErrBufferFull:
		return "", errChunks
	case err != nil:
		return "", err
	}
	return strings.TrimRight(string(line), "\r\n"), nil
}

func (c *chunks) Read(p []byte) (int, error) {
	if c.end {
		return 0, io.EOF
	}
	if c.left == 0 {
		if c.some {
			if s, err := c.line(); err != nil || s != "" {
				return 0, or(err, errChunks)
			}
		}
		s, err := c.line()
		if err != nil {
			return 0, err
		}
		s, _, _ = strings.Cut(s, ";")
		n, err := strconv.ParseUint(strings.Trim(s, " \t"), 16, 62)
		if err != nil {
			return 0, errChunks
		}
		c.left, c.some = int64(n), true
		if n == 0 { // what follows is of no use, and the connection ends
			c.end = true
			return 0, io.EOF
		}
	}
	if int64(len(p)) > c.left {
		p = p[:c.left]
	}
	n, err := c.r.Read(p)
	c.left -= int64(n)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func or(err, other error) error {
	if err != nil {
		return err
	}
	return other
}
