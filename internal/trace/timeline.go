package trace

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Interval is a stretch of time with one character of a bar.
type Interval struct {
	Begin time.Duration `json:"begin_ns"`
	End   time.Duration `json:"end_ns"`
	Mark  byte          `json:"mark"`
}

// Marks of a bar, the later ones drawn over the earlier.
const (
	MarkIdle   = '-' // between its first and its last record
	MarkWait   = '.' // it waited
	MarkWork   = '=' // an operation ran
	MarkPerson = '?' // a person was asked
)

// Lane is one line of a timeline: what happened to one subject.
type Lane struct {
	Subject   string        `json:"subject"`
	Label     string        `json:"label"`
	Parent    string        `json:"parent,omitempty"` // the subject that led to this one
	Begin     time.Duration `json:"begin_ns"`
	End       time.Duration `json:"end_ns"`
	Working   time.Duration `json:"working_ns"` // in operations
	Person    time.Duration `json:"person_ns"`  // of a person
	Waiting   time.Duration `json:"waiting_ns"`
	Longest   string        `json:"longest,omitempty"` // its longest operation
	Error     string        `json:"error,omitempty"`   // the last operation that failed
	Critical  bool          `json:"critical"`          // on the chain that decided the start
	Intervals []Interval    `json:"intervals"`

	quiet   bool
	longest time.Duration
}

// Timeline is a boot over time.
type Timeline struct {
	Started  time.Duration `json:"started_ns"` // /init
	Ended    time.Duration `json:"ended_ns"`   // the switch to the real system, or the last record
	Switched bool          `json:"switched"`
	Lanes    []*Lane       `json:"lanes"` // in order of their first record
	Goals    []*Lane       `json:"goals"`
	Critical []Step        `json:"critical"`
}

// Timeline arranges a boot by subject.
func (b *Boot) Timeline() *Timeline {
	t := &Timeline{Started: b.Started, Ended: b.Ended, Switched: b.Switched != 0}
	lanes, goals := map[string]*Lane{}, map[string]*Lane{}
	for i := range b.Records {
		r := &b.Records[i]
		switch r.Kind {
		case kindGoal:
			b.goalLane(t, goals, i)
			continue
		case "say", "parameter", "fact", kindStart, kindDeadline, "dropped", "overflow", "mounts", "full":
			continue
		}
		l := lanes[r.Subject]
		if l == nil {
			l = &Lane{Subject: r.Subject, Label: Label(r.Subject), Begin: r.Time, quiet: true}
			if c, _ := b.Cause(r); c != nil && c.Subject != r.Subject {
				l.Parent = c.Subject
			}
			lanes[r.Subject] = l
			t.Lanes = append(t.Lanes, l)
		}
		l.End = r.Time
		l.quiet = l.quiet && r.Kind == kindQueue
		switch r.Kind {
		case kindContent:
			l.name(r.Field("device"), r.Field("name"), r.Text)
		case kindPanic:
			l.Error = r.Text
		}
	}
	for _, w := range b.Waits {
		if l := lanes[w.Subject]; l != nil && !b.Idle(w) {
			l.Waiting += w.Took()
			l.add(w.Begin, w.End, MarkWait)
		}
	}
	for _, o := range b.Operations {
		l := lanes[o.Subject]
		mark := byte(MarkWork)
		if o.Person {
			mark = MarkPerson
			l.Person += o.Took()
		} else {
			l.Working += o.Took()
		}
		if o.Took() > l.longest || l.Longest == "" {
			l.longest, l.Longest = o.Took(), o.What
		}
		if o.Error != "" {
			l.Error = o.Error
		}
		l.add(o.Begin, o.End, mark)
	}
	chain := b.Critical()
	for _, c := range chain {
		if l := lanes[c.Record.Subject]; l != nil && c.Record.Kind != kindGoal {
			l.Critical = true
		}
	}
	t.Critical = b.Steps(chain, time.Millisecond)
	return t
}

func (l *Lane) add(begin, end time.Duration, mark byte) {
	l.End = max(l.End, end)
	l.Intervals = append(l.Intervals, Interval{begin, end, mark})
}

// name makes the label of a device from what was found of it.
func (l *Lane) name(device, name, content string) {
	l.Label = strings.TrimPrefix(device, "/dev/")
	if name != "" {
		l.Label += " " + name
	}
	if content != "" {
		l.Label += " (" + content + ")"
	}
}

// goalLane extends the line of a goal.
func (b *Boot) goalLane(t *Timeline, goals map[string]*Lane, i int) {
	r := &b.Records[i]
	g := goals[r.Subject]
	if g == nil {
		g = &Lane{Subject: r.Subject, Label: "goal " + r.Subject, Begin: r.Time, Longest: r.Field("want")}
		goals[r.Subject] = g
		t.Goals = append(t.Goals, g)
	}
	if r.Text == "unmet" {
		g.Intervals = append(g.Intervals, Interval{r.Time, b.Ended, MarkIdle})
		g.End = b.Ended
	} else {
		n := len(g.Intervals)
		if n == 0 { // the records of its beginning are lost
			g.Begin, n = b.Started, 1
			g.Intervals = append(g.Intervals, Interval{b.Started, 0, MarkIdle})
		}
		g.Intervals[n-1].End = r.Time
		g.End = r.Time
	}
	g.Error = ""
	if r.Text == "given up" {
		g.Error = cmp.Or(r.Field("reason"), "given up")
	}
}

// busy is the time in which something happened to the subject.
func (l *Lane) busy() time.Duration { return l.Working + l.Person + l.Waiting }

// idle says whether nothing was to be done: there are only messages, or it is a
// device that did no more than wait for the one above.
func (l *Lane) idle() bool {
	return l.quiet || strings.HasPrefix(l.Subject, "dev ") && l.Working+l.Person == 0
}

// choose returns the lanes worth a line: those on the critical path, those
// with a failure, and of the rest the busiest, at most limit in all and none
// that took less than least. The order stays.
func choose(lanes []*Lane, limit int, least time.Duration) (shown []*Lane, quiet, brief int) {
	rank := slices.Clone(lanes)
	must := func(l *Lane) bool { return l.Critical || l.Error != "" }
	slices.SortStableFunc(rank, func(a, b *Lane) int {
		switch {
		case must(a) != must(b):
			if must(a) {
				return -1
			}
			return 1
		case a.busy() > b.busy():
			return -1
		case a.busy() < b.busy():
			return 1
		}
		return 0
	})
	keep := map[*Lane]bool{}
	for _, l := range rank {
		if len(keep) < limit && (must(l) || !l.idle() && l.busy() >= least) {
			keep[l] = true
		}
	}
	for _, l := range lanes {
		switch {
		case keep[l]:
			shown = append(shown, l)
		case l.idle():
			quiet++
		default:
			brief++
		}
	}
	return shown, quiet, brief
}

// node is a lane with what it led to.
type node struct {
	*Lane
	children []*node
}

// nest arranges lanes by cause. The parent of a lane is the nearest one that
// is shown among the subjects that led to it.
func nest(all, shown []*Lane) []*node {
	parent := make(map[string]string, len(all))
	for _, l := range all {
		parent[l.Subject] = l.Parent
	}
	nodes := make(map[string]*node, len(shown))
	seen := map[string]bool{}
	var roots []*node
	for _, l := range shown {
		n := &node{Lane: l}
		p := l.Parent
		// A subject's parent came before it, hence no cycle but through
		// subjects without a line; the bound keeps even those finite.
		for i := 0; p != "" && nodes[p] == nil && i < len(all); i++ {
			p = parent[p]
		}
		if at := nodes[p]; at != nil && !seen[l.Subject] {
			at.children = append(at.children, n)
		} else {
			roots = append(roots, n)
		}
		nodes[l.Subject], seen[l.Subject] = n, true
	}
	return roots
}
