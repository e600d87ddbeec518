// Package tanghelper is the edge of the helper program that asks Tang servers:
// connections, the clock, and random numbers. What is asked and what comes of it
// is decided by package clevis.
package tanghelper

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"firstlight/internal/askwire"
	"firstlight/internal/clevis"
	"firstlight/internal/jose"
	"firstlight/internal/netreport"
	"firstlight/internal/plainnet"
)

// StateAsking and StateFailed are of a server; the field url says of which.
const (
	StateAsking = "asking"
	StateFailed = "failed"
	StateGot    = "answered"
)

// patience is how long a server may take for an answer.
const patience = 15 * time.Second

// Secure makes a connection one by TLS with a host.
type Secure func(c net.Conn, host string) (net.Conn, error)

// Run asks the servers of a binding until enough have answered, and writes what
// opens the volume to out as a line that is for no record. secure is nil in a program
// without TLS.
func Run(text string, out io.Writer, secure Secure) error {
	parse := clevis.Parse
	if secure != nil {
		parse = clevis.ParseTLS
	}
	pin, err := parse(strings.TrimSpace(text))
	if err != nil {
		return err
	}
	if pin.Why != nil {
		return pin.Why
	}
	say := func(state string, p *clevis.Pin, text string, tries int) {
		r := netreport.Report{State: state}.With("url", p.URL).With("text", text)
		if tries > 0 {
			r = r.With("tries", fmt.Sprint(tries))
		}
		io.WriteString(out, r.String()+"\n")
	}
	type result struct {
		pin *clevis.Pin
		err error
	}
	results := make(chan result)
	c := clevis.NewClient(pin)
	start := time.Now()
	for {
		ask, next := c.Ask(time.Since(start))
		for _, p := range ask {
			if c.Tries(p) == 0 {
				say(StateAsking, p, "", 0)
			}
			go func() { results <- result{p, exchange(p, secure)} }()
		}
		var wake <-chan time.Time
		if next >= 0 {
			wake = time.After(max(next-time.Since(start), 0))
		}
		select {
		case <-wake:
		case r := <-results:
			if r.err != nil {
				c.Failed(r.pin, time.Since(start))
				say(StateFailed, r.pin, r.err.Error(), c.Tries(r.pin))
				continue
			}
			say(StateGot, r.pin, "", 0)
			secret, err := c.Answered(r.pin)
			if err != nil {
				return err
			}
			if secret == nil {
				continue
			}
			line := make([]byte, 0, 2*len(secret)+2)
			line = append(hex.AppendEncode(append(line, askwire.SecretMark), secret), '\n')
			_, err = out.Write(line)
			clear(line)
			pin.Wipe()
			return err
		}
	}
}

// exchange asks one server.
func exchange(p *clevis.Pin, secure Secure) error {
	until := time.Now().Add(patience)
	x, err := p.Begin(rand.Reader)
	if err != nil {
		return err
	}
	a, err := request(until, secure, p.URL, "/rec/"+p.KID, x.Ask())
	if err != nil {
		return err
	}
	switch {
	case a.Status == 404:
		return unknownKey(until, p, secure)
	case a.Status != 200:
		return fmt.Errorf("it answers with the status %d", a.Status)
	}
	return p.Finish(x, a.Body)
}

// unknownKey says why a server does not know the key.
func unknownKey(until time.Time, p *clevis.Pin, secure Secure) error {
	a, err := request(until, secure, p.URL, "/adv", "")
	if err != nil || a.Status != 200 {
		return errors.New("it does not know the key that the volume is bound to")
	}
	adv, err := jose.ParseAdvertisement(a.Body)
	switch {
	case err != nil:
		return fmt.Errorf("it does not know the key that the volume is bound to, and what it says of its keys is not right: %w", err)
	case adv.SameServer(p.Known):
		return errors.New("it has other keys for the exchange by now, and has lost the one that the volume is bound to: bind the volume again (clevis luks regen)")
	}
	return errors.New("it is another server, or has other keys by now: none of those that the volume is bound to signs there")
}

// request sends one request and returns the answer.
func request(until time.Time, secure Secure, url, path, body string) (clevis.Answer, error) {
	u, err := clevis.ParseURL(url)
	if err != nil {
		return clevis.Answer{}, err
	}
	c, err := dial(u, until)
	if err != nil {
		return clevis.Answer{}, reason(err)
	}
	defer c.Close()
	if u.TLS {
		if c, err = secure(c, u.Host); err != nil {
			return clevis.Answer{}, reason(err)
		}
	}
	if _, err := c.Write(u.Request(path, body)); err != nil {
		return clevis.Answer{}, reason(err)
	}
	var got []byte
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		got = append(got, buf[:n]...)
		a, whole, perr := clevis.ParseAnswer(got, err != nil)
		if perr != nil || whole {
			return a, perr
		}
		if err != nil {
			return a, reason(err)
		}
		if len(got) > 2*clevis.MaxAnswer {
			return a, errors.New("its answer has no end")
		}
	}
}

// dial connects to the first address of a server that answers.
func dial(u clevis.URL, until time.Time) (net.Conn, error) {
	list, err := plainnet.Lookup(u.Host, until)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(u.Port, 10, 16)
	if err != nil {
		return nil, err
	}
	var c plainnet.Conn
	for _, a := range list {
		if c, err = plainnet.Dial(netip.AddrPortFrom(a, uint16(port)), until); err == nil {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// reason is an error of a connection in few words.
func reason(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("no answer in %v", patience)
	}
	return err
}
