// Package fetch decides how an image is fetched from a server by HTTP, HTTPS
// or TFTP: what is asked for next, what is done about what the server says,
// and whether what came is what was meant. It has neither sockets nor a clock;
// package fetchhelper is its edge.
//
// Nothing that a server says is believed further than it was verified: it can
// refuse to serve, and no more.
package fetch

import (
	"errors"
	"strconv"
	"time"

	"firstlight/internal/fetch/fetchplan"
)

// A Refusal is an error that trying again will not change.
type Refusal struct{ Text, Try string }

// Error implements error.
func (r *Refusal) Error() string { return r.Text }

// Final returns the refusal in an error, nil if it is none.
func Final(err error) *Refusal {
	var r *Refusal
	if errors.As(err, &r) {
		return r
	}
	return nil
}

// MaxRedirects is how often a server may say that a file is elsewhere.
const MaxRedirects = 10

// Session fetches one file, over as many connections as that takes.
type Session struct {
	// URL is what to ask for, after redirections; Offset is from where on, in
	// bytes, and Validator what the file must still be, as If-Range has it.
	URL       fetchplan.URL
	Offset    int64
	Validator string
	// Total is the size of the file in bytes, -1 while it is not known.
	Total int64
	// Limit is how large it may be, in bytes, and Advice what to do where it is larger.
	Limit  int64
	Advice string
	// Known is what the server called a file that is there besides, "" for none:
	// Same says that it has no other one, and nothing came.
	Known string
	Same  bool

	start     fetchplan.URL
	redirects int
	tries     int // since something came
}

// NewSession returns one for a file of at most limit bytes.
func NewSession(u fetchplan.URL, limit int64) *Session {
	return &Session{URL: u, start: u, Total: -1, Limit: limit, Advice: "give the machine more memory, use a smaller image, or leave less with rd.minmem="}
}

// Step is what to do with what a server said.
type Step uint8

// The steps.
const (
	// Take takes what follows, at Offset.
	Take Step = iota
	// Restart forgets what has come, and takes what follows from the beginning.
	Restart
	// Follow asks again, at another URL.
	Follow
	// Complete: everything has come.
	Complete
)

// Head takes in what an HTTP server says. An error that is no Refusal is one to
// be tried again after Pause.
func (s *Session) Head(h Head) (Step, error) {
	switch {
	case h.Code == 301 || h.Code == 302 || h.Code == 303 || h.Code == 307 || h.Code == 308:
		return s.redirect(h.Location)
	case h.Code == 416 && s.Offset > 0:
		if h.Total == s.Offset {
			s.Total = s.Offset
			return Complete, nil
		}
		return s.anew()
	case h.Code == 304 && s.Known != "" && s.Offset == 0:
		s.Same = true
		return Complete, nil
	case h.Code == 200, h.Code == 206:
	case h.Code == 401, h.Code == 407:
		return 0, s.says(h, "write the name and the password into the URL: "+s.URL.Scheme+"://USER:PASSWORD@"+s.URL.Authority()+"/…")
	default:
		return 0, s.says(h, "")
	}
	if h.Encoded {
		return 0, &Refusal{s.URL.Authority() + " sends the file compressed on the way, which was not asked for", "let the server send it as it is"}
	}
	step := Take
	if h.Code == 206 {
		if h.Start != s.Offset || s.changed(h) || h.Total >= 0 && s.Total >= 0 && h.Total != s.Total {
			return s.anew()
		}
		if h.Total >= 0 {
			s.Total = h.Total
		}
	} else {
		if s.Offset > 0 {
			step = Restart
		}
		s.Offset, s.Total = 0, h.Length
	}
	s.Validator = validator(h)
	return step, s.fits()
}

// changed says whether a part belongs to another file than what has come.
func (s *Session) changed(h Head) bool {
	return s.Validator != "" && validator(h) != "" && validator(h) != s.Validator
}

// validator is what If-Range can have: a strong ETag, or else the date.
func validator(h Head) string {
	if len(h.ETag) > 2 && h.ETag[0] == '"' {
		return h.ETag
	}
	return h.Modified
}

// anew has the whole file asked for.
func (s *Session) anew() (Step, error) {
	s.Reset()
	return 0, errors.New("the file on the server has changed, and is fetched anew")
}

// Reset forgets what has come: it is asked for from the beginning, at the first
// URL.
func (s *Session) Reset() {
	s.Offset, s.Validator, s.Total, s.URL, s.redirects = 0, "", -1, s.start, 0
}

// says is the error that a server's code is.
func (s *Session) says(h Head, try string) error {
	text := answers(h, s.URL)
	if try != "" {
		return &Refusal{text, try}
	}
	s.URL, s.redirects = s.start, 0
	return errors.New(text)
}

func (s *Session) redirect(to string) (Step, error) {
	u, err := elsewhere(s.URL, to)
	switch {
	case err != nil:
		return 0, err
	case s.redirects == MaxRedirects:
		return 0, &Refusal{s.start.Authority() + " has sent to another place " + strconv.Itoa(MaxRedirects) + " times, at last to " + u.String(), "name where the file is"}
	}
	s.redirects++
	s.URL = u
	return Follow, nil
}

// Size takes in a size that the server said in another way than HTTP's.
func (s *Session) Size(n int64) error {
	s.Total = n
	return s.fits()
}

// fits refuses what is too large.
func (s *Session) fits() error {
	if s.Total > s.Limit || s.Offset > s.Limit {
		size := max(s.Total, s.Offset)
		return &Refusal{s.URL.File() + " has " + Mebibytes(size) + ", and " + Mebibytes(s.Limit) + " can be had", s.Advice}
	}
	return nil
}

// Took counts what has come. An error refuses more.
func (s *Session) Took(n int) error {
	s.Offset += int64(n)
	if n > 0 {
		s.tries, s.redirects = 0, 0
	}
	if s.Total >= 0 && s.Offset > s.Total {
		return &Refusal{s.URL.Authority() + " sends more than the " + strconv.FormatInt(s.Total, 10) + " bytes that it has said", "look at the server"}
	}
	return s.fits()
}

// Ended says whether a transfer that came to its end has brought everything.
func (s *Session) Ended() error {
	if s.Total >= 0 && s.Offset < s.Total {
		return errors.New("the connection ended after " + strconv.FormatInt(s.Offset, 10) + " of " + strconv.FormatInt(s.Total, 10) + " bytes")
	}
	return nil
}

// lastPause is the longest time between two tries.
const lastPause = 8 * time.Second

// Pause is how long to wait before it is tried again: at first not long, since
// what comes next may be all that was missing. Where the server gave no name to
// what has come, it is asked for from the beginning: the rest might be another
// file's.
func (s *Session) Pause() time.Duration {
	if s.Validator == "" && s.Offset > 0 {
		s.Reset()
	}
	d := min(500*time.Millisecond<<min(s.tries, 8), lastPause)
	s.tries++
	return d
}

// Mebibytes is a size for a person.
func Mebibytes(n int64) string {
	const m = 1 << 20
	if n < 10*m {
		return strconv.FormatInt((n+1023)/1024, 10) + " KiB"
	}
	return strconv.FormatInt((n+m-1)/m, 10) + " MiB"
}
