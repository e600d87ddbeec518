// Package fetchhelper is the edge of package fetch: it has the sockets, the clock
// and the file that the image becomes. It runs in a program of its own, cmd/fetch,
// so that nothing of it is in /init.
package fetchhelper

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/netip"
	"os"
	"strconv"
	"time"

	"syscall"

	"firstlight/internal/fetch"
	"firstlight/internal/fetch/fetchplan"
	"firstlight/internal/fetch/trustfiles"
	"firstlight/internal/netreport"
)

// Helper fetches one image.
type Helper struct {
	// Say reports how it goes.
	Say func(netreport.Report)
	dialer
	plan fetchplan.Plan

	file      *os.File
	sum       hash.Hash    // SHA-256 of what has come
	blake     *fetch.Blake // where a signature may need it
	last      time.Time    // of the last report
	lastBytes int64
}

// dialer connects to servers.
type dialer struct {
	// Root is put before the paths of files of the image, "" but in tests.
	Root  string
	proxy *fetchplan.URL
	tls   tlsConfig
	names func(host string) ([]netip.Addr, error) // nil for lookup
}

// Run fetches what the plan says. How it ended is reported; the error is about
// what nobody could report.
func (h *Helper) Run(text string) error {
	p, err := fetchplan.ParsePlan(text)
	if err != nil {
		return err
	}
	h.plan = p
	err = h.run()
	if err == nil {
		return nil
	}
	if !p.Raw {
		os.Remove(p.Into) // nothing that is not known to be right is left
	}
	r := fetch.Final(err)
	if r == nil {
		r = &fetch.Refusal{Text: err.Error(), Try: "look at the messages above"}
	}
	h.say(fetchplan.StateRefused, "text", r.Text, "try", r.Try)
	return nil
}

func (h *Helper) say(state string, fields ...string) { h.Say(netreport.New(state, fields...)) }

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

func (h *Helper) run() error {
	u, err := fetchplan.ParseURL(h.plan.URL)
	if err != nil {
		return &fetch.Refusal{Text: "it cannot be fetched: " + err.Error(), Try: "correct the URL"}
	}
	if h.plan.Proxy != "" {
		p, err := fetchplan.ParseURL(h.plan.Proxy)
		if err != nil || p.Scheme != "http" {
			return &fetch.Refusal{Text: "proxy= is not the URL of an HTTP proxy", Try: "write proxy=http://SERVER:PORT"}
		}
		h.proxy = &p
	}
	if h.plan.Raw {
		h.tls.any = h.plan.NoVerifyTLS
		h.tls.load(h.Root)
		return h.raw(u)
	}
	keys, rings, sums, err := trustfiles.Read(h.Root)
	if err != nil {
		return err
	}
	t, err := fetch.Choose(h.plan, u, sums, keys, len(rings) > 0)
	if err != nil {
		return err
	}
	h.tls.any = h.plan.NoVerifyTLS
	h.tls.load(h.Root)
	var sig fetch.Signature
	var key fetch.Key
	by := ""
	switch {
	case t.Sum != "":
		by = t.By
	case len(keys) > 0:
		b, err := h.small(u, fetch.MinisignEnd)
		if err != nil {
			return err
		}
		wrong := func(err error) error {
			return &fetch.Refusal{Text: u.String() + fetch.MinisignEnd + " does not say that the image is the right one: " + err.Error(), Try: "sign the image with minisign -S and a key that this image knows (" + fetch.Dir + ")"}
		}
		if sig, err = fetch.ParseSignature(string(b)); err != nil {
			return wrong(err)
		}
		if key, err = sig.Of(keys); err != nil {
			return wrong(err)
		}
		h.blake = fetch.NewBlake()
		by = "a signature of the key " + key.String()
		if sig.Comment != "" {
			by += " (" + sig.Comment + ")"
		}
	case t.GPG:
		b, err := h.small(u, fetch.GPGEnd)
		if err != nil {
			return err
		}
		if err := os.WriteFile(h.plan.Into+fetch.GPGEnd, b, 0o600); err != nil {
			return err
		}
	}
	s := fetch.NewSession(u, h.plan.Limit)
	if err := h.whole(s); err != nil {
		return err
	}
	sum := hex.EncodeToString(h.sum.Sum(nil))
	if err := t.Verified(u, sum); err != nil {
		return err
	}
	if h.blake != nil && !sig.Verify(key, h.blake.Sum()) {
		return &fetch.Refusal{Text: u.String() + " is not what its signature is of", Try: "sign the image that the server has, or put the signed one there"}
	}
	fields := []string{"size", decimal(s.Offset), "sum", sum, "by", by}
	if t.Sum == "" && len(keys) == 0 && t.GPG {
		fields = append(fields, "signature", h.plan.Into+fetch.GPGEnd)
		for _, ring := range rings {
			fields = append(fields, "keyring", ring)
		}
	}
	h.say(fetchplan.StateFetched, fields...)
	return nil
}

// raw fetches a file that somebody else verifies.
func (h *Helper) raw(u fetchplan.URL) error {
	s := fetch.NewSession(u, h.plan.Limit)
	s.Advice = ""
	if s.Known = h.plan.Known; h.plan.From > 0 {
		s.Offset, s.Validator, s.Known = h.plan.From, h.plan.Known, ""
	}
	if err := h.whole(s); err != nil {
		return err
	}
	same := ""
	if s.Same {
		same = "yes"
	}
	h.say(fetchplan.StateFetched, "size", decimal(s.Offset), "known", s.Validator, "same", same)
	return nil
}

// small fetches what lies beside the image, its signature.
func (h *Helper) small(u fetchplan.URL, end string) ([]byte, error) {
	u.Path = fetchplan.Behind(u.Path, end)
	var b []byte
	err := h.fetch(fetch.NewSession(u, fetch.MaxSignature), sink{
		write: func(p []byte) error { b = append(b, p...); return nil },
		reset: func() error { b = nil; return nil },
	}, false)
	return b, err
}

// whole fetches the image.
func (h *Helper) whole(s *fetch.Session) error {
	how := os.O_CREATE | os.O_TRUNC | os.O_WRONLY
	if h.plan.Raw {
		how = os.O_WRONLY
	}
	f, err := os.OpenFile(h.plan.Into, how, 0o600)
	if err != nil {
		return err
	}
	h.file, h.sum = f, sha256.New()
	f.Seek(s.Offset, io.SeekStart)
	err = h.fetch(s, sink{write: h.write, reset: h.reset}, true)
	return errors.Join(err, f.Close())
}

// sink takes what comes.
type sink struct {
	write func([]byte) error
	reset func() error
}

func (h *Helper) write(b []byte) error {
	if _, err := h.file.Write(b); err != nil {
		if h.plan.Raw {
			return &fetch.Refusal{Text: "the image cannot be written: " + err.Error()}
		}
		if errors.Is(err, syscall.ENOSPC) {
			return &fetch.Refusal{Text: "the image does not fit into memory (" + fetch.Mebibytes(h.plan.Limit) + " can be had)", Try: "give the machine more memory, use a smaller image, or leave less with rd.minmem="}
		}
		return &fetch.Refusal{Text: "the image cannot be written to memory: " + err.Error(), Try: "look at the kernel's messages (dmesg)"}
	}
	h.sum.Write(b)
	if h.blake != nil {
		h.blake.Write(b)
	}
	return nil
}

func (h *Helper) reset() error {
	h.sum.Reset()
	if h.blake != nil {
		h.blake.Reset()
	}
	if err := h.file.Truncate(0); err != nil {
		return err
	}
	_, err := h.file.Seek(0, io.SeekStart)
	return err
}

// fetch asks until all of a file has come, or it is refused. What it waits for
// between two tries, no event tells.
func (h *Helper) fetch(s *fetch.Session, to sink, progress bool) error {
	for {
		h.say(fetchplan.StateAsking, "text", "asks "+s.URL.Authority()+" for "+s.URL.File(), "offset", decimal(s.Offset))
		done, err := h.attempt(s, to, progress)
		var pause time.Duration
		if err != nil && fetch.Final(err) == nil {
			pause = s.Pause()
		}
		if s.Offset == 0 { // it is asked for anew
			if err := to.reset(); err != nil {
				return err
			}
		}
		switch {
		case err == nil && done:
			return nil
		case err == nil: // to another place
			continue
		case fetch.Final(err) != nil:
			return err
		}
		h.say(fetchplan.StateTrouble, "text", err.Error(), "done", decimal(s.Offset), "known", s.Validator)
		time.Sleep(pause)
	}
}

// attempt asks once. done says that everything has come.
func (h *Helper) attempt(s *fetch.Session, to sink, progress bool) (done bool, err error) {
	if s.URL.Scheme == "tftp" {
		return true, h.tftp(s, to, progress)
	}
	return h.http(s, to, progress)
}

// keepSize lets a file be as long as what was written to it (FALLOC_FL_KEEP_SIZE).
const keepSize = 1

// take takes in what a reader has, to its end.
func (h *Helper) take(s *fetch.Session, r io.Reader, to sink, progress bool, alive func()) error {
	if h.plan.Raw && s.Total > 0 { // there must be room for all of it before any is written
		if err := syscall.Fallocate(int(h.file.Fd()), keepSize, 0, s.Total); err == syscall.ENOSPC || err == syscall.EFBIG {
			return &fetch.Refusal{Text: "there is no room for the image: " + err.Error()}
		}
	}
	buf := make([]byte, 256<<10)
	for {
		alive()
		n, err := r.Read(buf)
		if n > 0 {
			if werr := h.came(s, buf[:n], to, progress); werr != nil {
				return werr
			}
		}
		switch {
		case err == io.EOF:
			return s.Ended()
		case err != nil:
			return broken(s, err)
		}
	}
}

// came takes in a piece.
func (h *Helper) came(s *fetch.Session, b []byte, to sink, progress bool) error {
	if err := s.Took(len(b)); err != nil {
		return err
	}
	if err := to.write(b); err != nil {
		return err
	}
	now := time.Now()
	if span := now.Sub(h.last); progress && (span >= time.Second || s.Offset == s.Total) {
		total, rate := "", ""
		if s.Total >= 0 {
			total = decimal(s.Total)
		}
		if ms := span.Milliseconds(); !h.last.IsZero() && s.Offset > h.lastBytes && ms > 0 {
			rate = decimal((s.Offset - h.lastBytes) * 1000 / ms)
		}
		h.say(fetchplan.StateProgress, "done", decimal(s.Offset), "total", total, "rate", rate, "known", s.Validator)
		h.last, h.lastBytes = now, s.Offset
	}
	return nil
}
