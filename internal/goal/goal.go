// Package goal holds what a boot wants: goals with their deadlines, the facts
// that handlers know about the way there, and the explanation of what is
// missing. It is pure.
package goal

import (
	"slices"
	"sort"
	"strings"
	"time"

	"firstlight/internal/fmt"
)

// State is how far a goal has come.
type State uint8

// States of a goal.
const (
	Unmet State = iota
	Met
	GivenUp
)

func (s State) String() string { return [...]string{"unmet", "met", "given up"}[s] }

// Goal is one thing that must hold before the real system starts.
type Goal struct {
	Name     string        // "root", "usr", "resume", "init"
	Want     string        // "the filesystem with UUID … mounted as root"
	Since    time.Duration // when it was set
	Deadline time.Duration // when it is given up; 0 is never
	OnExpiry string        // what happens then, for the person: "boot is given up"
	State    State
	Reason   string // why it is given up, or how it was met
	// Owner is the queue that is told when the deadline passes, instead of
	// the goal being given up: "" for none.
	Owner string
}

// Condition says of a fact how it stands to the goals.
type Condition uint8

// Conditions of a fact, from good to bad.
const (
	Present    Condition = iota // there, and usable
	Working                     // something is being done
	Incomplete                  // waits for something that may still come
	Blocked                     // cannot go on as things are
)

func (c Condition) String() string {
	return [...]string{"there", "working", "incomplete", "blocked"}[c]
}

// Fact is what a handler knows of one object on the way to a goal.
type Fact struct {
	Subject   string // "RAID array md0 (1a2b…)"
	Condition Condition
	Text      string        // "1 of 2 members; missing: slot 1"
	Since     time.Duration // when it came to this
	Until     time.Duration // its own deadline, 0 for none
	AtExpiry  string        // what happens at Until: "starts degraded"
	Try       string        // what a person can do about it
}

// Set is all goals of a boot, in the order in which they were added.
type Set struct {
	goals  []*Goal
	paused time.Duration // when the clock was stopped; -1 while it runs
}

// NewSet returns an empty set.
func NewSet() *Set { return &Set{paused: -1} }

// Add adds a goal.
func (s *Set) Add(g Goal) *Goal {
	s.goals = append(s.goals, &g)
	return &g
}

// Get returns the goal of that name, or nil.
func (s *Set) Get(name string) *Goal {
	for _, g := range s.goals {
		if g.Name == name {
			return g
		}
	}
	return nil
}

// All returns every goal, in the order in which they were added.
func (s *Set) All() []*Goal { return s.goals }

// Met says whether every goal is met.
func (s *Set) Met() bool { return len(s.Open()) == 0 }

// Open returns the goals that are not met.
func (s *Set) Open() []*Goal {
	var open []*Goal
	for _, g := range s.goals {
		if g.State != Met {
			open = append(open, g)
		}
	}
	return open
}

// Pause stops the clocks of all goals, because a person is being asked.
func (s *Set) Pause(now time.Duration) {
	if s.paused < 0 {
		s.paused = now
	}
}

// Resume lets the clocks run again: every deadline is later by the pause.
func (s *Set) Resume(now time.Duration) {
	if s.paused < 0 {
		return
	}
	for _, g := range s.goals {
		if g.Deadline > 0 && g.State == Unmet {
			g.Deadline += now - max(s.paused, g.Since)
		}
	}
	s.paused = -1
}

// Next returns the goal whose deadline comes first; nil when the clocks stand
// or no unmet goal has one.
func (s *Set) Next() *Goal {
	if s.paused >= 0 {
		return nil
	}
	var first *Goal
	for _, g := range s.goals {
		if g.State == Unmet && g.Deadline > 0 && (first == nil || g.Deadline < first.Deadline) {
			first = g
		}
	}
	return first
}

// Device is a block device as an explanation shows it.
type Device struct {
	Name, Type, UUID, Label string
	Note                    string // "in use", "no answer for 8 s"
}

// Situation is all that an explanation is made from.
type Situation struct {
	Now     time.Duration
	Set     *Set
	Facts   []Fact
	Devices []Device
	Try     []string // advice that belongs to no single fact
	Drivers []string // what could not be loaded
	Doing   []string // operations under way
}

// maxDevices bounds the list of devices on a screen.
const maxDevices = 16

// Explain writes the one screen that says what was wanted, what it needs,
// what of that is there, what is missing, since when, and what to try.
func (s Situation) Explain() []string {
	var out []string
	line := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	for _, g := range s.Set.Open() {
		line("Wanted:  %s", g.Want)
		switch {
		case g.State == GivenUp:
			line("         given up after %s: %s", Seconds(s.Now-g.Since), g.Reason)
		case g.Deadline > 0:
			line("         since %s; %s in %s", Seconds(s.Now-g.Since), g.OnExpiry, Seconds(g.Deadline-s.Now))
		default:
			line("         since %s", Seconds(s.Now-g.Since))
		}
	}
	facts := slices.Clone(s.Facts)
	sort.SliceStable(facts, func(i, j int) bool { return facts[i].Condition > facts[j].Condition })
	for i, f := range facts {
		head := "         "
		if i == 0 {
			head = "Needs:   "
		}
		text := fmt.Sprintf("%s%s: %s", head, f.Subject, f.Text)
		if f.Since > 0 && f.Condition != Present {
			text += ", since " + Seconds(s.Now-f.Since)
		}
		if f.Until > s.Now {
			text += fmt.Sprintf("; %s in %s", f.AtExpiry, Seconds(f.Until-s.Now))
		}
		out = append(out, text)
	}
	if len(s.Devices) == 0 {
		line("There:   no block device at all")
	}
	for i, d := range s.Devices {
		head := "         "
		if i == 0 {
			head = "There:   "
		}
		if i == maxDevices {
			line("%s… and %d more", head, len(s.Devices)-i)
			break
		}
		var parts []string
		for _, p := range [...]string{d.Type, prefixed("UUID=", d.UUID), prefixed("LABEL=", d.Label), d.Note} {
			if p != "" {
				parts = append(parts, p)
			}
		}
		if len(parts) == 0 {
			parts = []string{"nothing recognised on it"}
		}
		line("%s%-14s %s", head, d.Name, strings.Join(parts, " "))
	}
	for i, d := range s.Drivers {
		head := "         "
		if i == 0 {
			head = "Drivers: "
		}
		line("%s%s", head, d)
	}
	for i, d := range s.Doing {
		head := "         "
		if i == 0 {
			head = "Doing:   "
		}
		line("%s%s", head, d)
	}
	tries := slices.Clone(s.Try)
	for _, f := range facts {
		if f.Try != "" && !slices.Contains(tries, f.Try) {
			tries = append(tries, f.Try)
		}
	}
	for i, t := range tries {
		head := "         "
		if i == 0 {
			head = "Try:     "
		}
		line("%s%s", head, t)
	}
	return out
}

// Progress writes the one line that is shown while the boot waits.
func (s Situation) Progress() string {
	open := s.Set.Open()
	if len(open) == 0 {
		return ""
	}
	g := open[0]
	for _, o := range open { // one that stands still is waited for; the others follow from it
		if o.State == Unmet && o.Deadline > 0 {
			g = o
			break
		}
	}
	text := "waiting for " + g.Want
	worst := -1
	for i, f := range s.Facts {
		if f.Condition != Present && (worst < 0 || f.Condition > s.Facts[worst].Condition) {
			worst = i
		}
	}
	if worst >= 0 {
		f := s.Facts[worst]
		text += ": " + f.Subject + ": " + f.Text
		if f.Until > s.Now {
			return text + fmt.Sprintf(" (for %s; %s in %s)", Seconds(s.Now-g.Since), f.AtExpiry, Seconds(f.Until-s.Now))
		}
	}
	if worst < 0 && len(s.Doing) > 0 {
		text += ": " + s.Doing[0]
	}
	text += " (for " + Seconds(s.Now-g.Since)
	if g.Deadline > s.Now {
		text += "; " + g.OnExpiry + " in " + Seconds(g.Deadline-s.Now)
	}
	return text + ")"
}

func prefixed(prefix, v string) string {
	if v == "" {
		return ""
	}
	return prefix + v
}

// Seconds writes a duration the way it is shown to people: "0.4 s", "12 s",
// "3 min 5 s".
func Seconds(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < 10*time.Second:
		const tenth = 100 * time.Millisecond
		n := d.Round(tenth) / tenth
		return fmt.Sprintf("%d.%d s", int64(n/10), int64(n%10))
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()+0.5))
	}
	s := int(d.Seconds() + 0.5)
	return fmt.Sprintf("%d min %d s", s/60, s%60)
}
