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

// Target is something that can be asked about.
type Target struct {
	Subject string `json:"subject"`
	Title   string `json:"title"`
	Goal    bool   `json:"goal,omitempty"`
}

// Find returns what a name may mean: a goal, a queue, a device by its node,
// its name, its identity or its path, the number of a record. Exact meanings
// come alone; otherwise every queue of the handler of that name, otherwise
// every subject that contains it.
func (b *Boot) Find(name string) []Target {
	if n, err := strconv.ParseUint(strings.TrimPrefix(name, "#"), 10, 64); err == nil {
		if r := b.Record(n); r != nil {
			return []Target{b.target(r.Subject, r.Kind == kindGoal)}
		}
	}
	goal := strings.TrimPrefix(name, "goal ")
	var subjects, goals []string // in order of their first record
	seen := map[string]bool{}
	for i := range b.Records {
		r := &b.Records[i]
		switch {
		case r.Kind == kindGoal && !seen["goal "+r.Subject]:
			seen["goal "+r.Subject] = true
			goals = append(goals, r.Subject)
		case r.Kind == kindQueue && !seen[r.Subject]:
			seen[r.Subject] = true
			subjects = append(subjects, r.Subject)
		}
	}
	if slices.Contains(goals, goal) {
		return []Target{b.target(goal, true)}
	}
	var exact, handled, part []Target
	for _, s := range subjects {
		switch {
		case b.means(s, name):
			exact = append(exact, b.target(s, false))
		case Handler(s) == name:
			handled = append(handled, b.target(s, false))
		case strings.Contains(strings.ToLower(s+" "+b.Title(s)), strings.ToLower(name)):
			part = append(part, b.target(s, false))
		}
	}
	switch {
	case len(exact) > 0:
		return exact
	case len(handled) > 0:
		return handled
	}
	return part
}

func (b *Boot) target(subject string, goal bool) Target {
	return Target{Subject: subject, Title: b.Title(subject), Goal: goal}
}

// means says whether a name is one of the names of a subject.
func (b *Boot) means(subject, name string) bool {
	if subject == name || strings.TrimPrefix(subject, devPrefix) == strings.TrimPrefix(name, "/sys") || Label(subject) == name {
		return true
	}
	d := b.devices[subject]
	if d == nil {
		return false
	}
	key, value, tagged := strings.Cut(name, "=")
	switch {
	case tagged && strings.EqualFold(key, "UUID"):
		return d.UUID != "" && strings.EqualFold(d.UUID, strings.Trim(value, `"`))
	case tagged && strings.EqualFold(key, "LABEL"):
		return d.Label != "" && d.Label == strings.Trim(value, `"`)
	case name == "":
		return false
	}
	return name == d.Node || name == strings.TrimPrefix(d.Node, "/dev/") || name == d.Name || name == "/dev/mapper/"+d.Name || name == d.UUID
}

// Hop is what one subject did on the way to what is explained.
type Hop struct {
	Subject  string        `json:"subject"`
	Title    string        `json:"title"`
	From     time.Duration `json:"from_ns"`
	To       time.Duration `json:"to_ns"`
	Event    string        `json:"event,omitempty"` // that it handled
	Record   uint64        `json:"record"`          // of that event, or of the first that it did
	Inferred bool          `json:"inferred"`        // what led to it is not named in the journal
	Did      []*Operation  `json:"did,omitempty"`
	Held     []Held        `json:"held,omitempty"`    // what it waited for
	Expired  bool          `json:"expired,omitempty"` // a deadline passed
	Said     []string      `json:"said,omitempty"`    // decisions and findings on the way
}

// Reason is why something came about, or did not.
type Reason struct {
	Target   Target           `json:"target"`
	Want     string           `json:"want,omitempty"` // of a goal
	State    string           `json:"state"`
	Detail   string           `json:"detail,omitempty"` // the journal's own words on the state
	At       time.Duration    `json:"at_ns"`            // of the last change
	Since    time.Duration    `json:"since_ns"`         // the first time that the journal speaks of it
	Waiting  []*Wait          `json:"waiting"`          // what had not ended at the end of the journal
	Lacking  []journal.Record `json:"lacking"`          // facts on objects that are not complete at the end
	Said     string           `json:"said,omitempty"`   // the last explanation on the console, of several lines
	SaidAt   time.Duration    `json:"said_at_ns,omitempty"`
	Causes   []Hop            `json:"causes"`   // from the target back to an input
	Input    string           `json:"input"`    // what the chain began with
	Complete bool             `json:"complete"` // the target was reached
}

// Why explains a target by the causes of its last change.
func (b *Boot) Why(t Target) *Reason {
	r := &Reason{Target: t, Waiting: []*Wait{}, Lacking: []journal.Record{}}
	var last *journal.Record
	first := true
	for i := range b.Records {
		x := &b.Records[i]
		if x.Subject != t.Subject || (x.Kind == kindGoal) != t.Goal {
			continue
		}
		if first {
			r.Since, first = x.Time, false
		}
		switch {
		case t.Goal:
			r.State, r.Want, r.Detail, r.At, last = x.Text, x.Field("want"), x.Field("reason"), x.Time, x
		case last == nil || x.Kind != kindQueue:
			// Messages that led to nothing explain nothing.
			r.At, last = x.Time, x
		}
	}
	if last == nil {
		return r
	}
	if t.Goal {
		r.Complete = r.State == "met"
		if r.Complete {
			r.Detail = ""
		}
	} else {
		r.State, r.Complete = b.stateOf(last)
	}
	if !r.Complete {
		b.missing(r)
	}
	chain := b.Chain(last.Number)
	r.Causes = b.hops(chain)
	r.Input = b.input(chain[0].Record)
	return r
}

// stateOf says in words what the last record of a queue means.
func (b *Boot) stateOf(r *journal.Record) (state string, complete bool) {
	switch r.Kind {
	case kindOutcome:
		return r.Text, r.Text == "done" || strings.HasPrefix(r.Text, "done:")
	case kindQueue:
		return "nothing was to be done: " + r.Text, true
	case kindDo, kindAsk:
		return "still under way: " + r.Text, false
	case kindWait:
		return "still waiting for: " + b.readable(r.Text), false
	case kindSwitch:
		return "starts the real system: " + r.Text, true
	}
	return r.Kind + ": " + r.Text, true
}

// missing adds what was still waited for and what was incomplete at the end.
func (b *Boot) missing(r *Reason) {
	for _, w := range b.Waits {
		if w.Ended == 0 && !b.Idle(w) && (r.Target.Goal || w.Subject == r.Target.Subject) {
			r.Waiting = append(r.Waiting, w)
		}
	}
	facts := map[string]*journal.Record{}
	for i := range b.Records {
		switch x := &b.Records[i]; {
		case x.Kind == kindFact:
			facts[x.Subject] = x
		case x.Kind == kindSay && r.Target.Goal && strings.Contains(x.Text, "\n"):
			r.Said, r.SaidAt = x.Text, x.Time
		}
	}
	for _, x := range facts {
		if !strings.HasPrefix(x.Text, "there") {
			r.Lacking = append(r.Lacking, *x)
		}
	}
	slices.SortFunc(r.Lacking, func(a, b journal.Record) int { return cmp.Compare(a.Number, b.Number) })
}

// hops groups a chain of causes by subject, the latest first.
func (b *Boot) hops(chain []Link) []Hop {
	var out []Hop
	for _, l := range chain {
		r := l.Record
		if r.Kind == kindStart || r.Kind == kindParameter {
			continue
		}
		n := len(out) - 1
		if n < 0 || out[n].Subject != r.Subject || r.Kind == kindQueue && l.Inferred {
			out = append(out, Hop{Subject: r.Subject, Title: b.Title(r.Subject), From: r.Time, Record: r.Number, Inferred: l.Inferred})
			n++
			switch r.Kind {
			case kindGoal:
				out[n].Title = "goal " + r.Subject
			case kindDeadline:
				out[n].Title = "the deadline of " + r.Subject
			}
		}
		h := &out[n]
		h.To = r.Time
		switch r.Kind {
		case kindQueue:
			h.Event = r.Text
		case kindResult:
			if o := b.ops[r.Number]; o != nil {
				h.Did = append(h.Did, o)
			}
		case kindWake, kindDeadline:
			h.Expired = h.Expired || r.Kind == kindDeadline
			if w := b.waits[r.Number]; w != nil {
				h.Held = append(h.Held, Held{For: b.readable(w.Reason), Since: w.Begin, Took: w.Took()})
			}
		case kindGoal:
			said := r.Text
			if h.Title != "goal "+r.Subject {
				said = "goal " + r.Subject + ": " + r.Text
			}
			h.Said = append(h.Said, said)
		case kindContent:
			h.Said = append(h.Said, "it holds "+r.Text)
		case kindDecision, kindNote:
			h.Said = append(h.Said, r.Text)
		}
	}
	// What was done and caused something before its end belongs to its queue.
	for i, l := range chain {
		r := l.Record
		if o := b.ops[r.Number]; o != nil && o.Record == r.Number && (i+1 == len(chain) || chain[i+1].Record.Number != o.Result) {
			for j := range out {
				if out[j].Subject == o.Subject && out[j].From <= o.Begin && o.Begin <= out[j].To {
					out[j].Did = append(out[j].Did, o)
					break
				}
			}
		}
	}
	slices.Reverse(out)
	return out
}

// input says what the first record of a chain is.
func (b *Boot) input(r *journal.Record) string {
	switch r.Kind {
	case kindStart:
		return fmt.Sprintf("the start of /init at %s s", seconds(r.Time))
	case kindQueue:
		return fmt.Sprintf("the kernel's message on %s at %s s: %s", b.Title(r.Subject), seconds(r.Time), strings.TrimSpace(r.Text))
	case kindDeadline:
		return fmt.Sprintf("the deadline of %s at %s s", r.Subject, seconds(r.Time))
	case "mounts":
		return fmt.Sprintf("a change of the mount table at %s s", seconds(r.Time))
	}
	return fmt.Sprintf("record %d at %s s (%s: %s)", r.Number, seconds(r.Time), r.Kind, r.Text)
}

// Text writes the reason as sentences.
func (r *Reason) Text(s Style) string {
	var b strings.Builder
	w := s.Width
	if w == 0 {
		w = maxWidth
	}
	line := func(color, indent, text string) {
		for _, l := range wrap(clean(text), max(w-len(indent), 30)) {
			b.WriteString(indent + s.paint(color, l) + "\n")
		}
	}
	name := r.Target.Title
	if r.Target.Goal {
		name = "goal " + r.Target.Subject
	}
	color := green
	if !r.Complete {
		color = red
	}
	line(color, "", fmt.Sprintf("%s: %s at %s s%s", name, r.State, seconds(r.At), after(r.At-r.Since)))
	if r.Want != "" {
		line("", "  ", "wanted: "+r.Want)
	}
	if r.Detail != "" {
		line("", "  ", "because: "+r.Detail)
	}
	if len(r.Lacking)+len(r.Waiting) > 0 {
		b.WriteString("\nMissing at the end of the journal:\n")
	}
	for i := range r.Lacking {
		line(red, "  ", fmt.Sprintf("%s: %s", r.Lacking[i].Subject, r.Lacking[i].Text))
	}
	const most = 8
	for i, x := range r.Waiting {
		if i == most {
			fmt.Fprintf(&b, "  … and %d more that waited\n", len(r.Waiting)-most)
			break
		}
		line(yellow, "  ", fmt.Sprintf("%s waited for: %s (since %s s)", Label(x.Subject), x.Reason, seconds(x.Begin)))
	}
	if r.Said != "" {
		fmt.Fprintf(&b, "\nWhat the console said of it at %s s:\n", seconds(r.SaidAt))
		for l := range strings.SplitSeq(r.Said, "\n") {
			b.WriteString("  " + clean(l) + "\n")
		}
	}
	if len(r.Causes) > 0 {
		b.WriteString("\nHow it came about, from the last cause back to the first:\n\n")
	}
	for i := range r.Causes {
		r.Causes[i].text(line, w)
	}
	b.WriteByte('\n')
	line(faint, "  ", "It began with "+r.Input+".")
	if slices.ContainsFunc(r.Causes, func(h Hop) bool { return h.Inferred }) {
		line(faint, "  ", "~ the kernel does not say why it sent a message; what stands below is the likely cause")
	}
	return b.String()
}

func after(d time.Duration) string {
	if d <= 0 {
		return ""
	}
	return ", " + span(d) + " after it was first heard of"
}

func (h *Hop) text(line func(color, indent, text string), columns int) {
	text := h.Title
	if h.Event != "" {
		text += fmt.Sprintf(" was told %q", strings.TrimSpace(h.Event))
	}
	switch {
	case h.To > h.From && h.Event != "":
		text += fmt.Sprintf(" and took %s", span(h.To-h.From))
	case h.To > h.From:
		text += fmt.Sprintf(" took %s", span(h.To-h.From))
	}
	mark := " "
	if h.Inferred {
		mark = "~"
	}
	line(strong, fmt.Sprintf("%10s %s ", seconds(h.From), mark), text)
	const in = "               "
	for _, x := range h.Held {
		if x.Took > 0 {
			line(yellow, in, fmt.Sprintf("had waited %s for: %s", span(x.Took), x.For))
		}
	}
	if h.Expired {
		line(red, in, "its deadline passed")
	}
	for _, o := range h.Did {
		tail := fmt.Sprintf(" (%s)", span(o.Took()))
		if o.Result == 0 {
			tail = " (had not ended)"
		}
		line("", in, cut(o.What, max(columns-len(in)-width(tail), 30))+tail)
		if o.Error != "" {
			line(red, in+"  ", "failed: "+o.Error)
		}
	}
	for _, x := range h.Said {
		line("", in, cut(x, 160))
	}
}

// prose is text in lines of at most so many columns; 0 is one line.
func prose(text string, columns int) string {
	if columns <= 0 {
		return text + "\n"
	}
	return strings.Join(wrap(text, columns), "\n") + "\n"
}

// wrap breaks text into lines at blanks.
func wrap(text string, columns int) []string {
	var out []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case width(line)+1+width(word) <= columns:
			line += " " + word
		default:
			out = append(out, line)
			line = word
		}
		for width(line) > columns {
			r := []rune(line)
			out = append(out, string(r[:columns]))
			line = string(r[columns:])
		}
	}
	return append(out, line)
}
