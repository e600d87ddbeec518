package sim

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"firstlight/internal/fetch"
	"firstlight/internal/fetch/fetchplan"
	"firstlight/internal/machine"
	"firstlight/internal/netreport"
)

// fetchProgram is the helper that fetches images, in an image.
const fetchProgram = "/usr/lib/firstlight/fetch"

// ociProgram is the one that unpacks an image of layers; what it fetches counts as one
// file here.
const ociProgram = "/usr/lib/firstlight/oci"

// Web is a server that has images. What it serves is decided about by the real
// helper's core.
type Web struct {
	// Files are what it has, by URL: the content that stands for an image in
	// Machine.Images.
	Files map[string]string
	// Size is that of each in bytes, Rate how many come in a second.
	Size, Rate int64
	// Away are times during which nobody answers, from and to.
	Away [][2]time.Duration
	// Breaks are how many bytes each connection carries before it breaks off,
	// in order; those after the last are not broken.
	Breaks []int64
	// Changes is when the file becomes another one, Other; 0 is never.
	Changes time.Duration
	Other   string
	// NoRanges: it always sends everything. Moved are redirections. Silent
	// says no size.
	// Nameless: files have neither an ETag nor a date.
	NoRanges, Silent, Nameless bool
	Moved                      map[string]string
	// Asked are the offsets that it was asked for.
	Asked []int64

	lines  []string
	ended  bool
	waiter *operation
	run    int // of the helper, which may be started again
}

func (s *Web) away(now time.Duration) bool {
	return slices.ContainsFunc(s.Away, func(a [2]time.Duration) bool { return now >= a[0] && now < a[1] })
}

// download is a running helper.
type download struct {
	m     *Machine
	s     *Web
	plan  fetchplan.Plan
	trust fetch.Trust
	ses   *fetch.Session
	run   int
	parts []string // what came, by the content that it is of

	tree    bool     // it is unpacked
	keeping *keeping // what the image is kept by, nil for memory
}

// startFetch starts the helper.
func (m *Machine) startFetch(p machine.Program) error {
	s := m.Web
	if s == nil {
		return errors.New("execute " + p.Path + ": not in this image")
	}
	s.run++
	s.lines, s.ended = nil, m.fault(HelperCrashes, p.Path) != nil
	d := &download{m: m, s: s, run: s.run}
	if s.ended {
		return nil
	}
	plan, err := fetchplan.ParseKept(string(p.Input))
	if err != nil {
		return err
	}
	d.plan, d.tree = plan, plan.Tree
	u, err := fetchplan.ParseURL(plan.URL)
	if err == nil {
		d.trust, err = fetch.Choose(plan, u, m.Files[fetch.SumsFile], nil, false)
	}
	if err != nil {
		d.refuse(err)
		return nil
	}
	d.ses = fetch.NewSession(u, plan.Limit)
	d.later(0, d.ask)
	return nil
}

// later goes on after a time, unless the helper was started again meanwhile.
func (d *download) later(after time.Duration, f func()) {
	d.m.At(d.m.now+after, func() {
		if d.run == d.s.run {
			f()
		}
	})
}

func (d *download) say(state string, fields ...string) {
	d.s.lines = append(d.s.lines, netreport.New(state, fields...).String())
	d.s.wake(d.m)
}

func (s *Web) wake(m *Machine) {
	if o := s.waiter; o != nil && !o.woken {
		o.woken = true
		m.At(m.now, o.step)
	}
}

func (d *download) refuse(err error) {
	r := fetch.Final(err)
	if r == nil {
		r = &fetch.Refusal{Text: err.Error()}
	}
	d.say(fetchplan.StateRefused, "text", r.Text, "try", r.Try)
	d.s.ended = true
}

// trouble waits, and asks again.
func (d *download) trouble(err error) {
	if fetch.Final(err) != nil && d.keeping != nil && d.keeping.found.Right {
		d.keeping.use()
		return
	}
	if fetch.Final(err) != nil {
		d.refuse(err)
		return
	}
	pause := d.ses.Pause()
	if d.ses.Offset == 0 {
		d.parts = nil
	}
	if d.keeping != nil {
		d.keeping.note()
	}
	d.say(fetchplan.StateTrouble, "text", err.Error(), "done", strconv.FormatInt(d.ses.Offset, 10))
	d.later(pause, d.ask)
}

// content is what a URL has at a time.
func (s *Web) content(url string, now time.Duration) (string, bool) {
	c, ok := s.Files[url]
	if ok && s.Changes != 0 && now >= s.Changes {
		c = s.Other
	}
	return c, ok
}

// webWire is how long an answer takes.
const webWire = 5 * time.Millisecond

// ask asks once.
func (d *download) ask() {
	d.say(fetchplan.StateAsking, "text", "asks "+d.ses.URL.Authority(), "offset", strconv.FormatInt(d.ses.Offset, 10))
	if d.s.away(d.m.now) {
		d.trouble(errors.New(d.ses.URL.Authority() + " does not answer"))
		return
	}
	d.later(webWire, d.answer)
}

// answer takes in the server's head.
func (d *download) answer() {
	s, url := d.s, d.ses.URL.String()
	s.Asked = append(s.Asked, d.ses.Offset)
	content, ok := s.content(url, d.m.now)
	tag := "\"" + content + "\""
	h := fetch.Head{Code: 200, Reason: "OK", Length: s.Size, Start: -1, Total: -1, ETag: tag}
	if s.Nameless {
		h.ETag = ""
	}
	switch {
	case s.Moved[url] != "":
		h = fetch.Head{Code: 302, Location: s.Moved[url], Start: -1, Total: -1}
	case !ok:
		h = fetch.Head{Code: 404, Reason: "Not Found", Start: -1, Total: -1}
	case d.ses.Offset == 0 && d.ses.Known != "" && d.ses.Known == tag:
		h = fetch.Head{Code: 304, Start: -1, Total: -1}
	case d.ses.Offset > 0 && !s.NoRanges && (s.Nameless || d.ses.Validator == tag):
		h.Code, h.Start, h.Total, h.Length = 206, d.ses.Offset, s.Size, s.Size-d.ses.Offset
	}
	if s.Silent && h.Code == 200 {
		h.Length = -1
	}
	step, err := d.ses.Head(h)
	switch {
	case err != nil:
		d.trouble(err)
	case step == fetch.Follow:
		d.ask()
	case step == fetch.Complete && d.ses.Same:
		d.keeping.use()
	case step == fetch.Complete:
		d.finish()
	default:
		if step == fetch.Restart || d.ses.Offset == 0 {
			d.parts = nil
		}
		end := s.Size
		if len(s.Breaks) > 0 {
			end = min(end, d.ses.Offset+s.Breaks[0])
			s.Breaks = s.Breaks[1:]
		}
		d.carry(content, end)
	}
}

// carry takes in what comes in a second, up to end.
func (d *download) carry(content string, end int64) {
	n := min(d.s.Rate, end-d.ses.Offset)
	d.later(time.Duration(n)*time.Second/time.Duration(d.s.Rate), func() {
		if d.s.away(d.m.now) {
			d.trouble(errors.New(d.ses.URL.Authority() + " sends no more"))
			return
		}
		if err := d.ses.Took(int(n)); err != nil {
			d.refuse(err)
			return
		}
		if n > 0 && (len(d.parts) == 0 || d.parts[len(d.parts)-1] != content) {
			d.parts = append(d.parts, content)
		}
		if d.keeping != nil {
			d.keeping.hear()
		}
		total := ""
		if d.ses.Total >= 0 {
			total = strconv.FormatInt(d.ses.Total, 10)
		}
		d.say(fetchplan.StateProgress, "done", strconv.FormatInt(d.ses.Offset, 10), "total", total, "rate", strconv.FormatInt(d.s.Rate, 10))
		switch {
		case d.ses.Offset < end:
			d.carry(content, end)
		case end < d.s.Size:
			d.trouble(errors.New(d.ses.URL.Authority() + " broke the connection off"))
		default:
			d.finish()
		}
	})
}

// finish verifies what came. It is an image only if all of it is of one.
func (d *download) finish() {
	if d.keeping != nil {
		d.keeping.came()
		return
	}
	content := strings.Join(d.parts, "+")
	sum := sha256.Sum256([]byte(content))
	u, _ := fetchplan.ParseURL(d.plan.URL)
	if err := d.trust.Verified(u, hex.EncodeToString(sum[:])); err != nil {
		d.refuse(err)
		return
	}
	x, inside, ok := d.m.below(d.plan.Into)
	if !ok || x.device != nil {
		d.refuse(errors.New(d.plan.Into + " is not in memory"))
		return
	}
	if image := d.m.Images[content]; d.tree && image == nil {
		d.refuse(errors.New("it has no layers"))
		return
	} else if d.tree {
		for p, text := range image.Files {
			x.content.Files[inside+p] = text
		}
	} else {
		x.content.Files[inside] = content
	}
	d.say(fetchplan.StateFetched, "size", strconv.FormatInt(d.ses.Offset, 10), "sum", hex.EncodeToString(sum[:]), "by", d.trust.By)
	d.s.ended = true
}

// listenFetch is Listen for the helper that fetches.
func (m *Machine) listenFetch() (machine.Said, error) {
	s := m.Web
	if s == nil {
		return machine.Said{}, errors.New("fetch was not started")
	}
	if len(s.lines) == 0 && !s.ended {
		s.waiter = m.current
		m.sleep(-1)
		s.waiter = nil
	}
	said := machine.Said{Lines: s.lines, Ended: s.ended}
	s.lines = nil
	return said, nil
}
