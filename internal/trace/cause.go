package trace

import (
	"path"
	"slices"
	"strings"
	"time"

	"firstlight/internal/journal"
)

// devPrefix begins the subject of a device.
const devPrefix = "dev "

// kernelLag is how long after the end of an operation the kernel's event on
// what it made may come in.
const kernelLag = 100 * time.Millisecond

// infer finds what most likely made the kernel send an event: the journal
// cannot know, because the kernel does not say. A device's add follows what
// was last done to the device above it; another action of a device follows
// what was last done to the device itself; a virtual device (dm-0, md0)
// follows the operation that a volume's queue has under way.
func (b *Boot) infer(i int) {
	r := &b.Records[i]
	devpath, isDev := strings.CutPrefix(r.Subject, devPrefix)
	if r.Kind != kindQueue || r.Cause != 0 || !isDev {
		return
	}
	action, _, _ := strings.Cut(r.Text, " ")
	if action != "add" {
		if n := b.lastOf(r.Subject); n != 0 {
			b.inferred[r.Number] = n
			return
		}
	}
	if strings.HasPrefix(devpath, "/devices/virtual/") {
		if n := b.maker(r.Time); n != 0 {
			b.inferred[r.Number] = n
			return
		}
	}
	for p := path.Dir(devpath); len(p) > len("/devices"); p = path.Dir(p) {
		if n := b.lastOf(devPrefix + p); n != 0 {
			b.inferred[r.Number] = n
			return
		}
	}
}

// lastOf returns the last record of a subject.
func (b *Boot) lastOf(subject string) uint64 {
	if l := b.latest[subject]; len(l) > 0 {
		return b.Records[l[len(l)-1]].Number
	}
	return 0
}

// maker returns the operation of a queue that is no device's which is under
// way at t, or the end of one that has just ended. Those that ended long ago
// are forgotten, so that a long journal is not walked for each device.
func (b *Boot) maker(t time.Duration) uint64 {
	for n := len(b.makers); n > 0; n = len(b.makers) {
		switch o := b.makers[n-1]; {
		case o.Result == 0:
			return o.Record
		case t-o.End <= kernelLag:
			return o.Result
		}
		b.makers = b.makers[:n-1]
	}
	return 0
}

// Cause returns the record that led to r, or nil; inferred says that the
// journal does not name it.
func (b *Boot) Cause(r *journal.Record) (cause *journal.Record, inferred bool) {
	if c := b.Record(r.Cause); c != nil {
		return c, false
	}
	if n, ok := b.inferred[r.Number]; ok {
		return b.Record(n), true
	}
	return nil, false
}

// Link is one record of a chain of causes.
type Link struct {
	Record   *journal.Record `json:"record"`
	After    time.Duration   `json:"after_ns"` // time since the record before it in the chain
	Inferred bool            `json:"inferred"` // its cause is not named in the journal
}

// Chain returns the causes of a record from the first to the record itself.
// Causes have lower numbers, so that it ends.
func (b *Boot) Chain(number uint64) []Link { return b.chain(number, b.Cause) }

func (b *Boot) chain(number uint64, cause func(*journal.Record) (*journal.Record, bool)) []Link {
	var back []Link
	for r := b.Record(number); r != nil; {
		c, inferred := cause(r)
		l := Link{Record: r, Inferred: inferred}
		if c != nil {
			l.After = r.Time - c.Time
		}
		back = append(back, l)
		r = c
	}
	slices.Reverse(back)
	return back
}

// Effects returns the records that name the record as their cause.
func (b *Boot) Effects(number uint64) []*journal.Record {
	var out []*journal.Record
	for i := range b.Records {
		if c, _ := b.Cause(&b.Records[i]); c != nil && c.Number == number {
			out = append(out, &b.Records[i])
		}
	}
	return out
}
