package sim

import (
	"errors"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"firstlight/internal/fetch"
	"firstlight/internal/fetch/fetchplan"
	"firstlight/internal/httpdisk"
	"firstlight/internal/machine"
)

// WebDisks is a web server whose files are disks that are read piece by piece. The
// real helper's core decides about them.
type WebDisks struct {
	// Files are what it has, by URL.
	Files map[string]*Disk
	// Away are times during which nobody answers, from and to.
	Away [][2]time.Duration
	// NoRanges: it always sends everything. Nameless: files have neither an ETag nor a
	// date.
	NoRanges, Nameless bool
	// Moved are redirections.
	Moved map[string]string
	// Asked counts the questions.
	Asked int
}

// httpDisk is the program httpdisk.
type httpDisk struct {
	*remote
	core *httpdisk.Core
	t    httpdisk.Target
	disk *Disk
}

func startHTTPDisk(r *remote, prog machine.Program) {
	t, err := httpdisk.Parse(string(prog.Input))
	if err != nil || r.m.Network.Web == nil {
		r.say("not in this image, or no disk")
		r.end(1)
		return
	}
	p := &httpDisk{remote: r, t: t}
	p.core = httpdisk.New(p, t)
	r.run(p.core)
}

// Load implements httpdisk.Edge.
func (p *httpDisk) Load(piece int64, buf []byte, known *fetch.File) {
	m, s := p.m, p.m.Network.Web
	err := m.Network.reach()
	m.At(m.now+webWire, func() {
		s.Asked++
		var f fetch.File
		if err == nil {
			f, err = p.answer(s, p.t.URL, int64(len(buf)), known, 0)
		}
		p.core.Loaded(m.now, piece, f, err)
		p.settle()
	})
}

// answer is what the server says of the beginning of a file.
func (p *httpDisk) answer(s *WebDisks, u fetchplan.URL, n int64, known *fetch.File, hops int) (fetch.File, error) {
	if slices.ContainsFunc(s.Away, func(a [2]time.Duration) bool { return p.m.now >= a[0] && p.m.now < a[1] }) {
		return fetch.File{}, errors.New(u.Authority() + " does not answer")
	}
	d, url := s.Files[u.String()], u.String()
	h := fetch.Head{Code: 404, Reason: "Not Found", Start: -1, Total: -1}
	switch {
	case s.Moved[url] != "":
		h.Code, h.Location = 302, s.Moved[url]
	case d != nil:
		h = fetch.Head{Code: 206, Start: 0, Total: d.size(), Length: min(n, d.size()), ETag: `"` + url + `"`}
		if s.Nameless {
			h.ETag = ""
		}
		if s.NoRanges {
			h.Code, h.Start, h.Total, h.Length = 200, -1, -1, d.size()
		}
	}
	f, follow, err := fetch.Part(h, u, known, 0, n)
	if err == nil && follow != nil {
		if hops == fetch.MaxRedirects {
			return f, &fetch.Refusal{Text: "sends to other places again and again"}
		}
		return p.answer(s, *follow, n, known, hops+1)
	}
	if err == nil {
		p.disk = d
	}
	return f, err
}

// Attach implements httpdisk.Edge.
func (p *httpDisk) Attach(uint64) (int, error) {
	index := p.t.Index
	if p.m.disks["/dev/nbd"+strconv.Itoa(index)] != nil {
		return -1, unix.EBUSY
	}
	d := *p.disk
	d.Attrs = map[string]string{"pid": "7"}
	p.m.plugRemote(&d, "nbd"+strconv.Itoa(index), 43, index*32)
	return index, nil
}

// Answer implements httpdisk.Edge: what is read, the simulator reads by itself.
func (p *httpDisk) Answer(uint64, uint32, ...[]byte) {}
