package trace

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"firstlight/internal/journal"
)

// Class says what kind of time a step of the critical path is.
type Class string

// The classes of steps.
const (
	ClassKernel   Class = "kernel"   // before /init
	ClassWork     Class = "work"     // an operation ran
	ClassPerson   Class = "person"   // a person was asked
	ClassWait     Class = "wait"     // for something that another queue did
	ClassQueue    Class = "queue"    // for the turn in its queue
	ClassEvent    Class = "event"    // for a message of the kernel
	ClassDeadline Class = "deadline" // until a deadline passed
)

// Classes lists the classes in the order in which they are shown.
func Classes() []Class {
	return []Class{ClassKernel, ClassWork, ClassPerson, ClassWait, ClassQueue, ClassEvent, ClassDeadline}
}

// Critical is the chain that decided when the real system was started. Of a
// boot that did not get there it is the chain to the last change of a goal, or
// to the last record.
//
// It is the chain of causes with one difference: where an event had to wait
// because its queue was still busy with an earlier one, the chain goes on with
// what kept the queue busy. Had the event come sooner, nothing would have
// been won.
func (b *Boot) Critical() []Link {
	end := b.criticalEnd()
	if end == nil {
		return nil
	}
	return b.chain(end.Number, func(r *journal.Record) (*journal.Record, bool) {
		if busy := b.keptBusy(r); busy != nil {
			return busy, false
		}
		return b.Cause(r)
	})
}

func (b *Boot) criticalEnd() *journal.Record {
	if r := b.Record(b.Switched); r != nil {
		return r
	}
	for i := len(b.Records) - 1; i >= 0; i-- {
		if b.Records[i].Kind == kindGoal {
			return &b.Records[i]
		}
	}
	if n := len(b.Records); n > 0 {
		return &b.Records[n-1]
	}
	return nil
}

// keptBusy returns the last record of what the queue of r did between the
// time at which the event that r handles was put into it and the time at
// which its handling began; nil if the queue was free.
func (b *Boot) keptBusy(r *journal.Record) *journal.Record {
	switch r.Kind {
	case kindQueue, kindResult, kindWake, kindDeadline, kindGoal:
		return nil
	}
	c := b.Record(r.Cause)
	if c == nil || c.Subject != r.Subject || c.Time >= r.Time || c.Kind != kindQueue && c.Kind != kindWake {
		return nil
	}
	list := b.latest[r.Subject]
	at, _ := slices.BinarySearchFunc(list, r.Number, func(i int, n uint64) int { return cmp.Compare(b.Records[i].Number, n) })
	const most = 1000 // messages to a busy queue that are passed over
	for n := 0; at > 0 && n < most; n++ {
		at--
		p := &b.Records[list[at]]
		switch {
		case p.Number <= c.Number || p.Cause == c.Number || p.Time > r.Time:
			return nil
		case p.Kind != kindQueue:
			return p
		}
	}
	return nil
}

// Step is a part of a chain that took time.
type Step struct {
	Record    uint64        `json:"record"` // at its end
	Begin     time.Duration `json:"begin_ns"`
	Took      time.Duration `json:"took_ns"`
	Class     Class         `json:"class"`
	Subject   string        `json:"subject"`
	Title     string        `json:"title"` // the subject for a person
	What      string        `json:"what"`
	Operation uint64        `json:"operation,omitempty"` // the record that began the operation, of one that is work or a person's
	Inferred  bool          `json:"inferred,omitempty"`
	Person    bool          `json:"person,omitempty"`
	// Held is what held up the subject until this step, if it had to wait.
	// What happened meanwhile is told by the steps before.
	Held *Held `json:"held,omitempty"`
}

// Held is a wait that ended on the critical path.
type Held struct {
	For   string        `json:"for"`
	Since time.Duration `json:"since_ns"`
	Took  time.Duration `json:"took_ns"`
}

// End is the time at which the step ended.
func (s *Step) End() time.Duration { return s.Begin + s.Took }

// Steps says what took the time along a chain: the kernel before /init, then
// each operation, wait or other pause of at least the given length. With
// least 0 the steps follow on each other and add up to the time of the last
// record.
func (b *Boot) Steps(chain []Link, least time.Duration) []Step {
	var out []Step
	var held *Held
	for i, l := range chain {
		s := b.step(l)
		if i == 0 && s.Class != ClassKernel {
			// A chain that begins with an input in the middle of the boot.
			s.Begin, s.Took, s.Class = 0, l.Record.Time, ClassEvent
		}
		if s.Held != nil {
			held = s.Held
		}
		if i > 0 && chain[i-1].Record.Subject != l.Record.Subject && l.Record.Kind != kindWake && s.Held == nil {
			held = nil
		}
		if s.Took < least {
			continue
		}
		s.Held = held
		if held != nil && held.Took < max(least, time.Microsecond) {
			s.Held = nil
		}
		held = nil
		out = append(out, s)
	}
	return out
}

// step classifies one link.
func (b *Boot) step(l Link) Step {
	r := l.Record
	s := Step{Record: r.Number, Begin: r.Time - l.After, Took: l.After, Subject: r.Subject, Inferred: l.Inferred}
	switch r.Kind {
	case kindStart:
		s.Begin, s.Took, s.Class, s.Subject, s.What = 0, r.Time, ClassKernel, "kernel", "from its start to /init"
	case kindResult:
		s.Class, s.What = ClassWork, "an operation"
		if o := b.ops[r.Number]; o != nil {
			s.operation(o)
		}
	case kindQueue:
		s.Class, s.What = ClassEvent, r.Text
		if !l.Inferred {
			break
		}
		s.What = "the kernel's event: " + r.Text
		if c, _ := b.Cause(r); c != nil && b.ops[c.Number] != nil && b.ops[c.Number].Record == c.Number {
			s.Subject = c.Subject
			s.operation(b.ops[c.Number])
			s.What += ", until the kernel's event: " + Label(r.Subject) + " " + r.Text
		}
	case kindWake:
		s.Class, s.What = ClassWait, "waiting for: "+b.readable(r.Text)
		if w := b.waits[r.Number]; w != nil {
			s.Held = &Held{For: b.readable(w.Reason), Since: w.Begin, Took: w.Took()}
		}
	case kindDeadline:
		s.Class, s.What = ClassDeadline, "until the deadline of: "+r.Subject
		if n, err := strconv.ParseUint(r.Field("wait"), 10, 64); err == nil && b.waits[n] != nil {
			s.What = "until its deadline, for: " + b.readable(b.waits[n].Reason)
		}
	default:
		s.Class, s.What = ClassQueue, "turn of the queue: "+r.Text
		if busy := b.keptBusy(r); busy != nil {
			c := b.Record(r.Cause)
			s.Held = &Held{For: "an earlier event in its own queue", Since: c.Time, Took: r.Time - c.Time}
		}
	}
	s.Title = b.Title(s.Subject)
	return s
}

func (s *Step) operation(o *Operation) {
	s.Class, s.What, s.Person, s.Operation = ClassWork, o.What, o.Person, o.Record
	if o.Person {
		s.Class = ClassPerson
	}
}

// Path is the critical path with its total.
type Path struct {
	Switched bool                    `json:"switched"` // it ends with the decision to start the real system
	End      uint64                  `json:"end"`      // the record that it leads to
	Total    time.Duration           `json:"total_ns"` // from the start of the kernel to that record
	Classes  map[Class]time.Duration `json:"by_class_ns"`
	Steps    []Step                  `json:"steps"` // without a gap; their times add up to the total
}

// CriticalPath returns the critical path in steps that add up to the total.
// Steps that took no time are left out.
func (b *Boot) CriticalPath() *Path {
	p := &Path{Switched: b.Switched != 0, Classes: map[Class]time.Duration{}, Steps: b.Steps(b.Critical(), 1)}
	if r := b.criticalEnd(); r != nil {
		p.End = r.Number
	}
	for _, s := range p.Steps {
		p.Total += s.Took
		p.Classes[s.Class] += s.Took
	}
	return p
}

// Text writes the path, a step a line; steps shorter than a five hundredth
// of the whole are put together unless all are asked for.
func (p *Path) Text(s Style, all bool) string {
	var b strings.Builder
	end := "the decision to start the real system"
	if !p.Switched {
		end = "the last change of a goal; the real system was not started"
	}
	b.WriteString(prose(fmt.Sprintf("%s from the start of the kernel to %s (record %d)", span(p.Total), end, p.End), s.Width) + "\n")
	least := max(p.Total/500, time.Millisecond)
	if all {
		least = 0
	}
	who, widest := 6, 30
	if s.Width > 0 {
		widest = min(max(s.Width/5, 12), 30)
	}
	for i := range p.Steps {
		who = max(who, min(width(clean(p.Steps[i].Title)), widest))
	}
	fmt.Fprintf(&b, "%s\n", s.paint(faint, fmt.Sprintf("%10s  %10s  %6s  %s  what", "from", "took", "share", pad("who", who))))
	left := 0
	if s.Width > 0 {
		left = max(s.Width-34-who, 24)
	}
	for i := 0; i < len(p.Steps); i++ {
		st := &p.Steps[i]
		if st.Took < least && i+1 < len(p.Steps) && p.Steps[i+1].Took < least {
			j, rest, names := i, time.Duration(0), []string{}
			for ; j < len(p.Steps) && p.Steps[j].Took < least; j++ {
				rest += p.Steps[j].Took
				if n := clean(p.Steps[j].Title); len(names) < 10 && !slices.Contains(names, n) {
					names = append(names, n)
				}
			}
			text := fmt.Sprintf("%s of %s", number(j-i, "shorter step"), strings.Join(names, ", "))
			b.WriteString(s.paint(faint, fmt.Sprintf("%10s  %10s  %6s  %s  %s", seconds(st.Begin), span(rest), share(rest, p.Total), pad("…", who), cut(text, left))) + "\n")
			i = j - 1
			continue
		}
		about := " "
		if st.Inferred {
			about = "~"
		}
		line := fmt.Sprintf("%10s %s%10s  %6s  %s  %s", seconds(st.Begin), about, span(st.Took), share(st.Took, p.Total),
			pad(cut(clean(st.Title), who), who), cut(clean(st.What), left))
		b.WriteString(s.paint(stepColor(st, p.Total), line) + "\n")
		if st.Held != nil {
			b.WriteString(strings.Repeat(" ", 34) + s.paint(yellow, cut(fmt.Sprintf("↳ after %s of waiting for: %s", span(st.Held.Took), clean(st.Held.For)), left+who)) + "\n")
		}
	}
	fmt.Fprintf(&b, "%10s  %10s  %6s  in all\n\n", "", span(p.Total), share(p.Total, p.Total))
	var parts []string
	for _, c := range Classes() {
		if d := p.Classes[c]; d != 0 {
			parts = append(parts, fmt.Sprintf("%s %s", c, span(d)))
		}
	}
	b.WriteString(prose(fmt.Sprintf("By class: %s.", strings.Join(parts, ", ")), s.Width))
	if slices.ContainsFunc(p.Steps, func(st Step) bool { return st.Inferred && st.Took >= least }) {
		b.WriteString(prose("~ the kernel does not say why it sent an event; what is named is the likely cause", s.Width))
	}
	return b.String()
}

func stepColor(st *Step, total time.Duration) string {
	switch {
	case st.Class == ClassDeadline:
		return red
	case st.Class == ClassPerson:
		return magenta
	case st.Took >= total/20:
		return strong
	}
	return ""
}

// share is a part of a whole for a person.
func share(part, whole time.Duration) string {
	if whole <= 0 {
		return ""
	}
	return fmt.Sprintf("%.1f %%", 100*float64(part)/float64(whole))
}

// number writes a count and what is counted.
func number(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
