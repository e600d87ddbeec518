package trace

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Change is something that two boots did, with what it took in each.
type Change struct {
	Title  string        `json:"title"`
	What   string        `json:"what"`
	Class  Class         `json:"class"`
	A      time.Duration `json:"a_ns"`
	B      time.Duration `json:"b_ns"`
	InA    bool          `json:"in_a"`
	InB    bool          `json:"in_b"`
	RecA   uint64        `json:"record_a,omitempty"` // that began it, of an operation
	RecB   uint64        `json:"record_b,omitempty"`
	Failed string        `json:"failed,omitempty"` // "a", "b" or "both": the operation ended with an error
}

// Delta is how much longer it took in the second boot.
func (c *Change) Delta() time.Duration { return c.B - c.A }

// Comparison is what changed between two boots.
type Comparison struct {
	A Compared `json:"a"`
	B Compared `json:"b"`
	// Path says why the time to the decision changed: what each thing
	// contributes to the two critical paths. The differences add up to that
	// of the totals. The largest change comes first.
	Path []Change `json:"path"`
	// Operations that are in both and took another time, the largest change
	// first; those in one boot only are New and Missing, the longest first.
	Operations []Change `json:"operations"`
	New        []Change `json:"new"`
	Missing    []Change `json:"missing"`
	// Subjects that are on the critical path of the second boot only, and of
	// the first only.
	Joined []string `json:"joined"`
	Left   []string `json:"left"`
}

// Compared is one of two boots.
type Compared struct {
	Version  string        `json:"version"`
	Kernel   string        `json:"kernel"`
	Switched bool          `json:"switched"`
	Total    time.Duration `json:"total_ns"`
	Started  time.Duration `json:"started_ns"`
}

// Compare matches the operations of two boots and says what became slower or
// faster. Operations are the same if they do the same to the same thing; a
// device is known by the identity of its content or by where it is plugged
// in, so that another numbering changes nothing. What is left is matched by
// what is done to what kind of thing, in order of time.
func Compare(a, b *Boot) *Comparison {
	pa, pb := a.CriticalPath(), b.CriticalPath()
	c := &Comparison{A: compared(a, pa), B: compared(b, pb)}
	pairs := match(a, b)
	group := map[*Operation]int{} // pairs by their operations
	for i, p := range pairs {
		if p.a != nil {
			group[p.a] = i
		}
		if p.b != nil {
			group[p.b] = i
		}
		ch := Change{Class: ClassWork}
		if p.a != nil {
			ch.Title, ch.What, ch.InA, ch.A, ch.RecA = a.Title(p.a.Subject), p.a.What, true, p.a.Took(), p.a.Record
			if p.a.Error != "" {
				ch.Failed = "a"
			}
		}
		if p.b != nil {
			ch.Title, ch.What, ch.InB, ch.B, ch.RecB = b.Title(p.b.Subject), p.b.What, true, p.b.Took(), p.b.Record
			if p.b.Error != "" {
				ch.Failed = map[string]string{"": "b", "a": "both"}[ch.Failed]
			}
		}
		if p.a != nil && p.a.Person || p.b != nil && p.b.Person {
			ch.Class = ClassPerson
		}
		switch {
		case !ch.InA:
			c.New = append(c.New, ch)
		case !ch.InB:
			c.Missing = append(c.Missing, ch)
		case ch.A != ch.B || ch.Failed == "a" || ch.Failed == "b":
			c.Operations = append(c.Operations, ch)
		}
	}
	for _, l := range []*[]Change{&c.Operations, &c.New, &c.Missing} {
		if *l == nil {
			*l = []Change{} // of JSON: a list
		}
	}
	c.path(a, b, pa, pb, pairs, group)
	for _, l := range []*[]Change{&c.Path, &c.Operations, &c.New, &c.Missing} {
		slices.SortStableFunc(*l, func(x, y Change) int { return cmp.Compare(y.Delta().Abs(), x.Delta().Abs()) })
	}
	return c
}

func compared(b *Boot, p *Path) Compared {
	s := b.Summary(0)
	return Compared{Version: s.Version, Kernel: s.Kernel, Switched: s.Switched, Total: p.Total, Started: b.Started}
}

// path adds up what each thing contributes to the two critical paths.
func (c *Comparison) path(a, b *Boot, pa, pb *Path, pairs []pair, group map[*Operation]int) {
	at := map[string]int{}
	add := func(boot *Boot, s *Step, second bool) {
		title, what := s.Title, s.What
		key := fmt.Sprintf("%s\x00%s\x00%s", s.Class, Handler(s.Subject), collapse(deed(s.What)))
		if o := boot.ops[s.Operation]; o != nil {
			key = fmt.Sprint("operation ", group[o])
			if p := pairs[group[o]]; p.b != nil {
				title, what = b.Title(p.b.Subject), p.b.What
			} else {
				what = o.What
			}
		}
		i, ok := at[key]
		if !ok {
			i = len(c.Path)
			at[key] = i
			c.Path = append(c.Path, Change{Title: title, What: what, Class: s.Class})
		}
		x := &c.Path[i]
		if second {
			x.InB, x.B, x.RecB = true, x.B+s.Took, s.Operation
		} else {
			x.InA, x.A, x.RecA = true, x.A+s.Took, s.Operation
		}
	}
	for i := range pa.Steps {
		add(a, &pa.Steps[i], false)
	}
	for i := range pb.Steps {
		add(b, &pb.Steps[i], true)
	}
	// A subject is the same where an operation on it is.
	inA, inB := a.onPath(pa, pairs, group, false), b.onPath(pb, pairs, group, true)
	c.Left, c.Joined = minus(inA, inB), minus(inB, inA)
}

// onPath lists the subjects of a critical path by the names that they have in
// the second boot, where they are there.
func (b *Boot) onPath(p *Path, pairs []pair, group map[*Operation]int, second bool) []string {
	var out []string
	seen := map[string]bool{}
	for i := range p.Steps {
		o := b.ops[p.Steps[i].Operation]
		if o == nil {
			continue
		}
		name := o.Subject
		if q := pairs[group[o]]; !second && q.b != nil {
			name = q.b.Subject
		}
		if name = Label(name); !seen[name] {
			seen[name] = true
			out = append(out, name)
		}
	}
	return out
}

func minus(a, b []string) []string {
	in := make(map[string]bool, len(b))
	for _, s := range b {
		in[s] = true
	}
	out := []string{}
	for _, s := range a {
		if !in[s] {
			out = append(out, s)
		}
	}
	return out
}

// pair is an operation of each boot that is the same, or one alone.
type pair struct{ a, b *Operation }

// match pairs the operations of two boots, in order of the second with those
// that only the first has at the end.
func match(a, b *Boot) []pair {
	partner := map[*Operation]*Operation{}
	taken := map[*Operation]bool{}
	ids, idsB := a.identities(), b.identities()
	for _, key := range []func(*Boot, map[string]string, *Operation) string{exactKey, placeKey, looseKey} {
		free := map[string][]*Operation{}
		for _, o := range a.Operations {
			if !taken[o] {
				if k := key(a, ids, o); k != "" {
					free[k] = append(free[k], o)
				}
			}
		}
		for _, o := range b.Operations {
			if partner[o] != nil {
				continue
			}
			k := key(b, idsB, o)
			if l := free[k]; k != "" && len(l) > 0 {
				partner[o], taken[l[0]] = l[0], true
				free[k] = l[1:]
			}
		}
	}
	var out []pair
	for _, o := range b.Operations {
		out = append(out, pair{partner[o], o})
	}
	for _, o := range a.Operations {
		if !taken[o] {
			out = append(out, pair{o, nil})
		}
	}
	return out
}

// exactKey names an operation by the identity of what it is done to; "" if
// that has none.
func exactKey(_ *Boot, ids map[string]string, o *Operation) string {
	if !strings.HasPrefix(o.Subject, devPrefix) {
		return o.Subject + "\x00" + collapse(o.What)
	}
	if id := ids[o.Subject]; id != "" {
		return id + "\x00" + deed(o.What)
	}
	return ""
}

// placeKey names an operation on a device by where that is plugged in, and
// one of another queue by its handler and what it does.
func placeKey(_ *Boot, _ map[string]string, o *Operation) string {
	if p, ok := strings.CutPrefix(o.Subject, devPrefix); ok {
		return place(p) + "\x00" + deed(o.What)
	}
	return Handler(o.Subject) + "\x00" + collapse(o.What)
}

// looseKey names an operation by what it does to what kind of thing.
func looseKey(b *Boot, _ map[string]string, o *Operation) string {
	kind := Handler(o.Subject)
	if d := b.devices[o.Subject]; d != nil {
		kind += " " + d.Content
	}
	what := deed(o.What)
	// A driver is known by its bus at least.
	if bus, _, ok := strings.Cut(strings.TrimPrefix(o.What[len(what):], " "), ":"); ok && !strings.ContainsAny(bus, " /") {
		what += " " + bus
	}
	return kind + "\x00" + what
}

// Text writes the comparison; lines bounds each list, 0 is all.
func (c *Comparison) Text(s Style, lines int, nameA, nameB string) string {
	var b strings.Builder
	label := max(width(clean(nameA)), width(clean(nameB)))
	for _, x := range []struct {
		name string
		boot *Compared
		mark string
	}{{nameA, &c.A, "A"}, {nameB, &c.B, "B"}} {
		end := "to the real system"
		if !x.boot.Switched {
			end = "and the real system was not started"
		}
		fmt.Fprintf(&b, "%s  %s  %10s %s  (%s, kernel %s)\n", x.mark, pad(clean(x.name), label), span(x.boot.Total), end, clean(x.boot.Version), clean(x.boot.Kernel))
	}
	d := c.B.Total - c.A.Total
	switch {
	case d > 0:
		fmt.Fprintf(&b, "%s\n", s.paint(red, fmt.Sprintf("B took %s longer (%+.1f %%).", span(d), percent(d, c.A.Total))))
	case d < 0:
		fmt.Fprintf(&b, "%s\n", s.paint(green, fmt.Sprintf("B was %s faster (%+.1f %%).", span(-d), percent(d, c.A.Total))))
	default:
		b.WriteString("Both took the same time.\n")
	}
	c.table(&b, s, lines, "Why: what the two critical paths were made of", c.Path, true)
	for _, x := range []struct {
		list []string
		say  string
	}{{c.Joined, "On the critical path of B only: "}, {c.Left, "On the critical path of A only: "}} {
		if len(x.list) > 0 {
			for _, l := range wrap(x.say+clean(strings.Join(x.list, ", ")), max(s.Width, minWidth)) {
				b.WriteString(l + "\n")
			}
		}
	}
	c.table(&b, s, lines, "Operations of both, by how much they changed", c.Operations, false)
	c.table(&b, s, lines, "Only in B", c.New, false)
	c.table(&b, s, lines, "Only in A", c.Missing, false)
	return b.String()
}

func percent(part, whole time.Duration) float64 {
	if whole <= 0 {
		return 0
	}
	return 100 * float64(part) / float64(whole)
}

func (c *Comparison) table(b *strings.Builder, s Style, lines int, head string, list []Change, total bool) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s\n%s\n", s.paint(strong, head), s.paint(faint, fmt.Sprintf("%10s  %10s  %11s", "A", "B", "change")))
	time := func(d time.Duration, there bool) string {
		if !there {
			return "-"
		}
		return span(d)
	}
	least := max(c.A.Total, c.B.Total) / 2000
	shown := 0
	var rest Change
	restCount := 0
	for _, x := range list {
		if lines > 0 && (shown == lines || shown >= 3 && x.Delta().Abs() < least && x.Failed == "") {
			rest.A, rest.B = rest.A+x.A, rest.B+x.B
			rest.InA, rest.InB = rest.InA || x.InA, rest.InB || x.InB
			restCount++
			continue
		}
		shown++
		text := clean(x.Title) + ": " + clean(x.What)
		if x.Failed != "" {
			text = fmt.Sprintf("%s (failed in %s)", text, map[string]string{"a": "A", "b": "B", "both": "both"}[x.Failed])
		}
		if s.Width > 0 {
			text = cut(text, max(s.Width-37, 24))
		}
		fmt.Fprintf(b, "%10s  %10s  %s  %s\n", time(x.A, x.InA), time(x.B, x.InB), s.paint(deltaColor(x.Delta(), least), fmt.Sprintf("%11s", signed(x.Delta()))), text)
	}
	if restCount > 0 {
		fmt.Fprintf(b, "%10s  %10s  %11s  in %d that changed less\n", time(rest.A, rest.InA), time(rest.B, rest.InB), signed(rest.Delta()), restCount)
	}
	if total {
		fmt.Fprintf(b, "%10s  %10s  %11s  in all\n", span(c.A.Total), span(c.B.Total), signed(c.B.Total-c.A.Total))
	}
}

func deltaColor(d, least time.Duration) string {
	switch {
	case d >= least:
		return red
	case d <= -least:
		return green
	}
	return ""
}

func signed(d time.Duration) string {
	switch {
	case d > 0:
		return "+" + span(d)
	case d < 0:
		return "-" + span(-d)
	}
	return "0"
}
