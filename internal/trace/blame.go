package trace

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// By is what Blame adds up by.
type By string

// What Blame can add up by.
const (
	ByOperation By = "operation" // each operation for itself
	ByKind      By = "kind"      // operations of a handler that do the same to different things
	ByQueue     By = "queue"     // the subject
	ByHandler   By = "handler"   // the first word of the subject
)

// Bys lists what Blame can add up by.
func Bys() []By { return []By{ByOperation, ByKind, ByQueue, ByHandler} }

// Blamed is an operation, or several, or waits, with the time that they took.
type Blamed struct {
	Name     string        `json:"name"`
	What     string        `json:"what,omitempty"`
	Took     time.Duration `json:"took_ns"`          // the sum; of operations that run at the same time more than what passed
	Critical time.Duration `json:"critical_ns"`      // how much of it was on the critical path
	Count    int           `json:"count"`            // operations or waits
	Failed   int           `json:"failed,omitempty"` // operations with an error
	Longest  time.Duration `json:"longest_ns"`
	Record   uint64        `json:"record"`           // of the longest
	Person   bool          `json:"person,omitempty"` // a person was asked
}

// Blame says what took how long: work apart from waits, because what waits
// costs nothing itself.
type Blame struct {
	By     By            `json:"by"`
	Total  time.Duration `json:"total_ns"`  // from the start of the kernel to the end of the critical path
	Kernel time.Duration `json:"kernel_ns"` // before /init
	Work   []Blamed      `json:"work"`      // longest first
	Waits  []Blamed      `json:"waits"`     // longest first
}

// Blame adds up operations and waits. Waits that nothing depended on at the
// end of the boot are left out.
func (b *Boot) Blame(by By) *Blame {
	p := b.CriticalPath()
	out := &Blame{By: by, Total: p.Total, Kernel: b.Started}
	critical, heldUp := map[uint64]time.Duration{}, map[string]time.Duration{}
	for _, s := range p.Steps {
		switch {
		case s.Operation != 0:
			critical[s.Operation] += s.Took
		case s.Class == ClassWait:
			heldUp[s.Subject] += s.Took
		}
	}
	var work, waits tally
	for _, o := range b.Operations {
		one := Blamed{Name: b.Title(o.Subject), What: o.What, Took: max(o.Took(), 0), Critical: critical[o.Record], Count: 1, Record: o.Record, Person: o.Person}
		if o.Error != "" {
			one.Failed = 1
		}
		key := fmt.Sprint(o.Record)
		switch by {
		case ByKind:
			one.Name, one.What = Handler(o.Subject), deed(o.What)
			key = one.Name + "\x00" + one.What
		case ByQueue:
			one.What, key = "", o.Subject
		case ByHandler:
			one.Name, one.What = Handler(o.Subject), ""
			key = one.Name
		}
		work.add(key, one)
	}
	for _, w := range b.Waits {
		if b.Idle(w) || w.Took() <= 0 {
			continue
		}
		one := Blamed{Name: b.Title(w.Subject), What: b.readable(w.Reason), Took: w.Took(), Count: 1, Record: w.Record}
		key := fmt.Sprint(w.Record)
		switch by {
		case ByKind:
			one.Name, one.What = Handler(w.Subject), deed(w.Reason)
			key = one.Name + "\x00" + one.What
		case ByQueue:
			one.What, key = "", w.Subject
		case ByHandler:
			one.Name, one.What = Handler(w.Subject), ""
			key = one.Name
		}
		waits.add(key, one)
	}
	out.Work, out.Waits = work.sorted(), waits.sorted()
	return out
}

// tally adds up by key.
type tally struct {
	at   map[string]int
	list []Blamed
}

func (t *tally) add(key string, one Blamed) {
	if t.at == nil {
		t.at = map[string]int{}
	}
	one.Longest = one.Took
	i, ok := t.at[key]
	if !ok {
		t.at[key] = len(t.list)
		t.list = append(t.list, one)
		return
	}
	sum := &t.list[i]
	if one.Took > sum.Longest {
		sum.Longest, sum.Record = one.Took, one.Record
	}
	sum.Took += one.Took
	sum.Critical += one.Critical
	sum.Count++
	sum.Failed += one.Failed
	sum.Person = sum.Person && one.Person
}

func (t *tally) sorted() []Blamed {
	slices.SortStableFunc(t.list, func(a, b Blamed) int { return cmp.Compare(b.Took, a.Took) })
	if t.list == nil {
		return []Blamed{}
	}
	return t.list
}

// Text writes the table; lines bounds each of its two parts, 0 is all.
func (m *Blame) Text(s Style, lines int) string {
	var b strings.Builder
	work := map[By]string{ByOperation: ", each operation", ByKind: " by kind of operation", ByQueue: " by queue or device", ByHandler: " by handler"}[m.By]
	waits := map[By]string{ByOperation: ", each wait", ByKind: " by reason", ByQueue: " by queue or device", ByHandler: " by handler"}[m.By]
	fmt.Fprintf(&b, "%s in all, of it %s the kernel before /init\n\n", span(m.Total), span(m.Kernel))
	m.table(&b, s, lines, "Work"+work, "critical: what was on the critical path; the rest ran beside it", m.Work)
	b.WriteByte('\n')
	m.table(&b, s, lines, "Waits"+waits, "the time of a wait is the work of something else", m.Waits)
	return b.String()
}

func (m *Blame) table(b *strings.Builder, s Style, lines int, head, remark string, list []Blamed) {
	isWork := strings.HasPrefix(head, "Work")
	if remark = "(" + remark + ")"; s.Width > 0 {
		remark = cut(remark, max(s.Width-width(head)-2, 24))
	}
	fmt.Fprintf(b, "%s  %s\n", s.paint(strong, head), s.paint(faint, remark))
	if len(list) == 0 {
		b.WriteString("      none\n")
		return
	}
	many := m.By != ByOperation
	columns := fmt.Sprintf("%10s", "took")
	if isWork {
		columns += fmt.Sprintf("  %10s", "critical")
	}
	if many {
		columns += fmt.Sprintf("  %6s  %10s", "times", "longest")
	}
	fmt.Fprintf(b, "%s\n", s.paint(faint, columns))
	shown := list
	if lines > 0 && len(list) > lines {
		shown = list[:lines]
	}
	for _, x := range shown {
		line := fmt.Sprintf("%10s", span(x.Took))
		if isWork {
			c := "-"
			if x.Critical > 0 {
				c = span(x.Critical)
			}
			line += fmt.Sprintf("  %10s", c)
		}
		if many {
			line += fmt.Sprintf("  %6d  %10s", x.Count, span(x.Longest))
		}
		name := clean(x.Name)
		if x.What != "" {
			name += ": " + clean(x.What)
		}
		if x.Failed > 0 && many {
			name += fmt.Sprintf(" (%d failed)", x.Failed)
		} else if x.Failed > 0 {
			name += " (failed)"
		}
		if s.Width > 0 {
			name = cut(name, max(s.Width-width(line)-2, 24))
		}
		color := ""
		switch {
		case x.Person:
			color = magenta
		case x.Failed > 0:
			color = red
		case x.Critical >= m.Total/20 && x.Critical > 0:
			color = strong
		}
		fmt.Fprintf(b, "%s  %s\n", line, s.paint(color, name))
	}
	if n := len(list) - len(shown); n > 0 {
		var rest time.Duration
		for _, x := range list[len(shown):] {
			rest += x.Took
		}
		fmt.Fprintf(b, "%10s  in %d more\n", span(rest), n)
	}
}
