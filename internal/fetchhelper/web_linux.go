package fetchhelper

import (
	"bufio"
	"errors"
	"io"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"firstlight/internal/fetch"
	"firstlight/internal/fetch/fetchplan"
)

// Web asks for parts of a file, over connections that stay. It is for any number
// of goroutines.
//
// What it needs of the initramfs it reads at the beginning, since it is used when
// that is gone: the authorities, and the addresses of names once they were found.
type Web struct {
	h    dialer
	idle chan *wire
	u    fetchplan.URL

	mu    sync.Mutex
	at    fetchplan.URL // after redirections
	known map[string][]netip.Addr
}

// wire is a connection that can be used again.
type wire struct {
	link
	r    *bufio.Reader
	at   fetchplan.URL
	used bool
}

// NewWeb returns one for a URL that keeps up to n connections. root is put before
// the paths of files of the image, "" but in tests.
func NewWeb(u fetchplan.URL, proxy *fetchplan.URL, anyTLS bool, n int, root string) *Web {
	w := &Web{u: u, at: u, idle: make(chan *wire, n), known: map[string][]netip.Addr{}}
	w.h.Root, w.h.proxy, w.h.names = root, proxy, w.remember
	w.h.tls.any = anyTLS
	w.h.tls.load(root)
	return w
}

// remember finds the addresses of a host, which are those of the first time.
func (w *Web) remember(host string) ([]netip.Addr, error) {
	w.mu.Lock()
	list := w.known[host]
	w.mu.Unlock()
	if list != nil {
		return list, nil
	}
	list, err := w.h.lookup(host)
	if err == nil {
		w.mu.Lock()
		w.known[host] = list
		w.mu.Unlock()
	}
	return list, err
}

// Part reads the part of the file from offset on into buf, as much as there is of
// it. Where known is nil, it says which file it is.
func (w *Web) Part(offset int64, buf []byte, known *fetch.File) (f fetch.File, err error) {
	for range fetch.MaxRedirects {
		f, follow, err := w.once(offset, buf, known)
		if err != nil {
			w.mu.Lock()
			w.at = w.u // what it is redirected to may be another place next time
			w.mu.Unlock()
			return f, err
		}
		if follow == nil {
			return f, nil
		}
		w.mu.Lock()
		w.at = *follow
		w.mu.Unlock()
	}
	return f, &fetch.Refusal{Text: w.u.Authority() + " sends to other places again and again", Try: "name where the file is"}
}

// once asks once, and a second time where a connection that was kept has ended.
func (w *Web) once(offset int64, buf []byte, known *fetch.File) (f fetch.File, follow *fetchplan.URL, err error) {
	w.mu.Lock()
	at := w.at
	w.mu.Unlock()
	for {
		c, err := w.take(at)
		if err != nil {
			return f, nil, err
		}
		used := c.used
		f, follow, err, silent := w.ask(c, offset, buf, known)
		if err == nil && follow == nil {
			c.used = true
			select {
			case w.idle <- c:
			default:
				c.tcp.Close()
			}
			return f, nil, nil
		}
		c.tcp.Close()
		if used && silent {
			continue // each of those that were kept once, at most
		}
		return f, follow, err
	}
}

// take is a connection that was kept, or a new one.
func (w *Web) take(at fetchplan.URL) (*wire, error) {
	for {
		select {
		case c := <-w.idle:
			if c.at == at {
				return c, nil
			}
			c.tcp.Close()
			continue
		default:
		}
		l, err := w.h.open(at)
		if err != nil {
			return nil, err
		}
		return &wire{link: l, r: bufio.NewReaderSize(l.c, 64<<10), at: at}, nil
	}
}

// ask asks over a connection. silent says that nothing came back at all.
func (w *Web) ask(c *wire, offset int64, buf []byte, known *fetch.File) (f fetch.File, follow *fetchplan.URL, err error, silent bool) {
	n, validator := int64(len(buf)), ""
	if known != nil {
		n, validator = min(n, known.Size-offset), known.Validator
	}
	c.tcp.SetDeadline(time.Now().Add(stallPatience))
	if _, err := io.WriteString(c.c, fetch.AskPart(c.at, offset, n, validator, c.whole, c.secret)); err != nil {
		return f, nil, w.broken(err), true
	}
	if _, err := c.r.Peek(1); err != nil {
		return f, nil, w.broken(err), true
	}
	head, err := fetch.ReadHead(c.r)
	if err != nil {
		return f, nil, w.broken(err), false
	}
	if f, follow, err = fetch.Part(head, c.at, known, offset, n); err != nil || follow != nil {
		return f, follow, err, false
	}
	got, err := io.ReadFull(c.r, buf[:head.Length]) // which Part has compared
	if err != nil {
		return f, nil, w.broken(err), false
	}
	clear(buf[got:])
	return f, nil, nil, false
}

// broken says for a person why a connection is of no more use.
func (w *Web) broken(err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		return errors.New(w.u.Authority() + " does not answer")
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.EPIPE):
		return errors.New(w.u.Authority() + " broke the connection off")
	}
	return errors.New(w.u.Authority() + ": " + err.Error())
}
