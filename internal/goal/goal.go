// Package goal holds what a boot wants: goals with their deadlines, the facts
// that handlers know about the way there, and the explanation of what is
// missing. It is pure.
package goal

import (
	"slices"
	"time"
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
	// Last says that nobody is told of this goal while there are others to be
	// met, since nothing can be done about it before.
	Last bool
}

// Condition says of a fact how it stands to the goals.
type Condition uint8

// Conditions of a fact, from good to bad.
const (
	Present    Condition = iota // there, and usable
	LeftAlone                   // there, and not to be used by this boot
	Working                     // something is being done
	Incomplete                  // waits for something that may still come
	Blocked                     // cannot go on as things are
)

func (c Condition) String() string {
	return [...]string{"there", "left alone", "working", "incomplete", "blocked"}[c]
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
func (s *Set) Met() bool {
	return !slices.ContainsFunc(s.goals, func(g *Goal) bool { return g.State != Met })
}

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

// Told returns the goals that are not met and that a person is told of.
func (s *Set) Told() []*Goal {
	open := s.Open()
	var out []*Goal
	for _, g := range open {
		if !g.Last || len(open) == 1 {
			out = append(out, g)
		}
	}
	return out
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

// From is when a wait of a goal begins that is begun now. While the clock stands
// it is when it stopped: the goal's deadline is moved by all of the pause.
func (s *Set) From(g *Goal, now time.Duration) time.Duration {
	if s.paused < 0 {
		return now
	}
	return max(s.paused, g.Since)
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
