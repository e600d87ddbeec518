// Package trace reads meaning into the journal of a boot: which operations
// ran and for how long, what waited for what and who woke it, which chain of
// causes led to the real system.
//
// It is pure: records come in, values and text come out. It goes by kinds,
// causes and fields (docs/journal.md). Only where operations of two boots are
// matched, or like ones are added up, does it look at the words of a text.
package trace

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"firstlight/internal/journal"
)

// Kinds of records that the analysis knows by name.
const (
	kindStart     = "start"
	kindQueue     = "queue"
	kindDo        = "do"
	kindAsk       = "ask"
	kindResult    = "result"
	kindOutcome   = "outcome"
	kindWait      = "wait"
	kindWake      = "wake"
	kindDeadline  = "deadline"
	kindGoal      = "goal"
	kindContent   = "content"
	kindSwitch    = "switch-root"
	kindPanic     = "panic"
	kindSay       = "say"
	kindFact      = "fact"
	kindDecision  = "decision"
	kindNote      = "note"
	kindParameter = "parameter"
)

// Operation is one thing that the boot asked of the machine, or of a person.
type Operation struct {
	Record  uint64        `json:"record"` // that began it; also its id
	Subject string        `json:"subject"`
	What    string        `json:"what"`
	Begin   time.Duration `json:"begin_ns"`
	End     time.Duration `json:"end_ns"`           // that of the journal if it did not end
	Result  uint64        `json:"result,omitempty"` // the record of its end, 0 if there is none
	Error   string        `json:"error,omitempty"`
	Person  bool          `json:"person"` // it waited for a person
}

// Took is how long the operation ran.
func (o *Operation) Took() time.Duration { return o.End - o.Begin }

// Wait is one time that something could not go on by itself.
type Wait struct {
	Record  uint64        `json:"record"`
	Subject string        `json:"subject"`
	Reason  string        `json:"reason"`
	Topics  []string      `json:"topics"` // any of them ends it
	Begin   time.Duration `json:"begin_ns"`
	End     time.Duration `json:"end_ns"`            // that of the journal if it did not end
	Ended   uint64        `json:"ended,omitempty"`   // the record of its end, 0 if there is none
	Topic   string        `json:"topic,omitempty"`   // which topic ended it
	Waker   string        `json:"waker,omitempty"`   // the subject that notified it
	Expired bool          `json:"expired,omitempty"` // a deadline ended it
	Parked  bool          `json:"parked,omitempty"`  // the queue went on with other events meanwhile
}

// Idle says that the boot had no need of what was waited for: the event was
// put aside, and what ended was the boot.
func (b *Boot) Idle(w *Wait) bool { return w.Parked && w.Ended == 0 && b.Switched != 0 }

// Took is how long it waited.
func (w *Wait) Took() time.Duration { return w.End - w.Begin }

// Boot is a journal with its relations.
type Boot struct {
	Records    []journal.Record
	Operations []*Operation  // in order of their begin
	Waits      []*Wait       // in order of their begin
	Started    time.Duration // when /init began to record
	Ended      time.Duration // the last record
	Switched   uint64        // the record of the decision to start the real system, 0 if there is none

	ops      map[uint64]*Operation // by the record of begin and of end
	latest   map[string][]int      // indices of the records of each subject
	inferred map[uint64]uint64
	makers   []*Operation       // those of queues that are no device's, as far as they can still be the cause of an event
	waits    map[uint64]*Wait   // by the record of begin and of end
	devices  map[string]*Device // by subject
	subjects *subjects
}

// subjects holds operations and waits by subject.
type subjects struct {
	operations map[string][]*Operation
	waits      map[string][]*Wait
}

func (b *Boot) bySubject() *subjects {
	if b.subjects != nil {
		return b.subjects
	}
	s := &subjects{map[string][]*Operation{}, map[string][]*Wait{}}
	for _, o := range b.Operations {
		s.operations[o.Subject] = append(s.operations[o.Subject], o)
	}
	for _, w := range b.Waits {
		s.waits[w.Subject] = append(s.waits[w.Subject], w)
	}
	b.subjects = s
	return s
}

// New relates the records of one boot, which are in order of their numbers.
// A time before that of an earlier record, which no clock of a kernel gives,
// counts as that one.
func New(records []journal.Record) *Boot {
	records = inOrder(records)
	b := &Boot{Records: records, ops: map[uint64]*Operation{}, latest: map[string][]int{}, inferred: map[uint64]uint64{},
		waits: map[uint64]*Wait{}, devices: map[string]*Device{}}
	if n := len(records); n > 0 {
		b.Started, b.Ended = records[0].Time, records[n-1].Time
	}
	for i := range records {
		r := &records[i]
		switch r.Kind {
		case kindStart:
			b.Started = r.Time
		case kindDo, kindAsk:
			o := &Operation{Record: r.Number, Subject: r.Subject, What: r.Text, Begin: r.Time, End: b.Ended, Person: r.Kind == kindAsk}
			b.Operations, b.ops[r.Number] = append(b.Operations, o), o
			if !strings.HasPrefix(r.Subject, devPrefix) {
				b.makers = append(b.makers, o)
			}
		case kindResult:
			if o := b.ops[r.Cause]; o != nil {
				o.End, o.Result = r.Time, r.Number
				b.ops[r.Number] = o
				if r.Text != "ok" {
					o.Error = r.Text
				}
			}
		case kindWait, kindOutcome:
			topics := r.All("topic")
			verdict, reason, _ := strings.Cut(r.Text, ": ")
			if r.Kind == kindOutcome && verdict != "wait-for" {
				break
			}
			w := &Wait{Record: r.Number, Subject: r.Subject, Reason: r.Text, Topics: topics, Begin: r.Time, End: b.Ended}
			if r.Kind == kindOutcome {
				w.Reason, w.Parked = reason, true
			}
			b.Waits, b.waits[r.Number] = append(b.Waits, w), w
		case kindWake, kindDeadline:
			n, _ := strconv.ParseUint(r.Field("wait"), 10, 64)
			if w := b.waits[n]; w != nil && w.Ended == 0 {
				b.waits[r.Number] = w
				w.End, w.Ended, w.Topic, w.Expired = r.Time, r.Number, r.Text, r.Kind == kindDeadline
				if w.Expired {
					w.Topic = ""
				} else if by := b.Record(r.Cause); by != nil && by.Number != w.Record {
					w.Waker = by.Subject
				}
			}
		case kindSwitch:
			b.Switched = r.Number
		}
		b.learn(r)
		b.infer(i)
		b.latest[r.Subject] = append(b.latest[r.Subject], i)
	}
	return b
}

// inOrder returns the records with times that never go back.
func inOrder(records []journal.Record) []journal.Record {
	byTime := func(a, b journal.Record) int { return cmp.Compare(a.Time, b.Time) }
	if slices.IsSortedFunc(records, byTime) {
		return records
	}
	records = slices.Clone(records)
	for i := range records[1:] {
		records[i+1].Time = max(records[i+1].Time, records[i].Time)
	}
	return records
}

// Record returns the record of that number, or nil.
func (b *Boot) Record(number uint64) *journal.Record {
	i, ok := slices.BinarySearchFunc(b.Records, number, func(r journal.Record, n uint64) int { return cmp.Compare(r.Number, n) })
	if !ok {
		return nil
	}
	return &b.Records[i]
}

// Label is the short name of a subject for a person: of a device the last
// part of its path, of a UUID the beginning.
func Label(subject string) string {
	if p, ok := strings.CutPrefix(subject, "dev /devices/"); ok {
		return p[strings.LastIndexByte(p, '/')+1:]
	}
	if kind, id, ok := strings.Cut(subject, " "); ok && len(id) == 36 && strings.Count(id, "-") == 4 {
		return kind + " " + id[:8] + "…"
	}
	return subject
}

// Filter chooses records.
type Filter struct {
	Kinds    []string      // any of these, all if empty
	Subjects []string      // the subject contains any of these, all if empty
	Since    time.Duration // since the start of the kernel
}

// Select returns the records that pass.
func (b *Boot) Select(f Filter) []journal.Record {
	var out []journal.Record
	for _, r := range b.Records {
		if r.Time < f.Since || len(f.Kinds) > 0 && !slices.Contains(f.Kinds, r.Kind) {
			continue
		}
		if len(f.Subjects) > 0 && !slices.ContainsFunc(f.Subjects, func(s string) bool { return strings.Contains(r.Subject, s) }) {
			continue
		}
		out = append(out, r)
	}
	return out
}
