package trace

import (
	"path"
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
// way at t, or the end of one that has just ended.
func (b *Boot) maker(t time.Duration) uint64 {
	for i := len(b.Operations) - 1; i >= 0; i-- {
		o := b.Operations[i]
		switch {
		case strings.HasPrefix(o.Subject, devPrefix):
		case o.Result == 0:
			return o.Record
		case t-o.End <= kernelLag:
			return o.Result
		}
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
func (b *Boot) Chain(number uint64) []Link {
	var back []Link
	for r := b.Record(number); r != nil; {
		c, inferred := b.Cause(r)
		l := Link{Record: r, Inferred: inferred}
		if c != nil {
			l.After = r.Time - c.Time
		}
		back = append(back, l)
		r = c
	}
	for i, j := 0, len(back)-1; i < j; i, j = i+1, j-1 {
		back[i], back[j] = back[j], back[i]
	}
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

// Critical is the chain of causes that decided when the real system was
// started. Of a boot that did not get there it is the chain to the last
// change of a goal, or to the last record.
func (b *Boot) Critical() []Link {
	if b.Switched != 0 {
		return b.Chain(b.Switched)
	}
	for i := len(b.Records) - 1; i >= 0; i-- {
		if b.Records[i].Kind == kindGoal {
			return b.Chain(b.Records[i].Number)
		}
	}
	if n := len(b.Records); n > 0 {
		return b.Chain(b.Records[n-1].Number)
	}
	return nil
}

// Step is a part of a chain that took time.
type Step struct {
	Record   uint64        `json:"record"` // at its end
	Begin    time.Duration `json:"begin_ns"`
	Took     time.Duration `json:"took_ns"`
	Subject  string        `json:"subject"`
	What     string        `json:"what"`
	Inferred bool          `json:"inferred,omitempty"`
	Person   bool          `json:"person,omitempty"`
}

// Steps says what took the time along a chain: the kernel before /init, then
// each operation, wait or other pause of at least the given length.
func (b *Boot) Steps(chain []Link, least time.Duration) []Step {
	var out []Step
	for _, l := range chain {
		r := l.Record
		s := Step{Record: r.Number, Begin: r.Time - l.After, Took: l.After, Subject: r.Subject, Inferred: l.Inferred}
		switch {
		case r.Kind == kindStart:
			s.Begin, s.Took, s.Subject, s.What = 0, r.Time, "kernel", "from its start to /init"
		case r.Kind == kindResult:
			if o := b.ops[r.Number]; o != nil {
				s.What, s.Person = o.What, o.Person
			}
		case r.Kind == kindQueue && l.Inferred:
			s.What = "the kernel's event: " + r.Text
			if c, _ := b.Cause(r); c != nil && b.ops[c.Number] != nil && b.ops[c.Number].Record == c.Number {
				s.Subject = c.Subject
				s.What = b.ops[c.Number].What + ", until the kernel's event: " + Label(r.Subject) + " " + r.Text
			}
		case r.Kind == kindQueue:
			s.What = r.Text
		case r.Kind == kindWake:
			s.What = "waiting for: " + r.Text
		case r.Kind == kindDeadline:
			s.What = "until the deadline"
		default:
			s.What = "turn of the queue: " + r.Text
		}
		if s.Took >= least {
			out = append(out, s)
		}
	}
	return out
}
