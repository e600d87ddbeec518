package trace

import (
	"cmp"
	"slices"
	"time"

	"firstlight/internal/journal"
)

// Count is how many records of a kind there are.
type Count struct {
	Kind  string `json:"kind"`
	Count int    `json:"count"`
}

// Goal is how a goal ended.
type Goal struct {
	Name   string        `json:"name"`
	Want   string        `json:"want"`
	State  string        `json:"state"`
	Reason string        `json:"reason,omitempty"`
	Since  time.Duration `json:"since_ns"`
	At     time.Duration `json:"at_ns"` // of the last change
}

// Summary is a boot in figures.
type Summary struct {
	Version    string           `json:"version"`
	Kernel     string           `json:"kernel"`
	Started    time.Duration    `json:"started_ns"`
	Ended      time.Duration    `json:"ended_ns"`
	Switched   bool             `json:"switched"`
	Records    int              `json:"records"`
	Devices    int              `json:"devices"`
	Operations int              `json:"operations"`
	Failed     int              `json:"failed"`     // operations
	Working    time.Duration    `json:"working_ns"` // some operation ran
	Person     time.Duration    `json:"person_ns"`  // a person was asked
	Deadlines  int              `json:"deadlines"`  // that passed
	Goals      []Goal           `json:"goals"`
	Kinds      []Count          `json:"kinds"`
	Longest    []*Operation     `json:"longest"`
	Trouble    []journal.Record `json:"trouble"` // panics, failures, warnings, lost messages
}

// Summary counts, and finds the longest operations, at most n of them.
func (b *Boot) Summary(n int) *Summary {
	s := &Summary{Started: b.Started, Ended: b.Ended, Switched: b.Switched != 0, Records: len(b.Records),
		Operations: len(b.Operations), Goals: []Goal{}, Trouble: []journal.Record{}}
	kinds, devices, goals := map[string]int{}, map[string]bool{}, map[string]int{}
	for i := range b.Records {
		r := &b.Records[i]
		kinds[r.Kind]++
		switch r.Kind {
		case kindStart:
			s.Version, s.Kernel = r.Subject, r.Text
		case kindDeadline:
			s.Deadlines++
		case kindQueue:
			if Label(r.Subject) != r.Subject {
				devices[r.Subject] = true
			}
		case kindGoal:
			j, ok := goals[r.Subject]
			if !ok {
				j = len(s.Goals)
				goals[r.Subject] = j
				s.Goals = append(s.Goals, Goal{Name: r.Subject, Since: r.Time})
			}
			g := &s.Goals[j]
			g.Want, g.State, g.Reason, g.At = r.Field("want"), r.Text, r.Field("reason"), r.Time
		case kindPanic, "warning", "dropped", "overflow", "full":
			s.Trouble = append(s.Trouble, *r)
		case kindOutcome:
			if len(r.Text) >= 6 && r.Text[:6] == "failed" {
				s.Trouble = append(s.Trouble, *r)
			}
		}
	}
	s.Devices = len(devices)
	for k, c := range kinds {
		s.Kinds = append(s.Kinds, Count{k, c})
	}
	slices.SortFunc(s.Kinds, func(a, b Count) int { return cmp.Or(b.Count-a.Count, cmp.Compare(a.Kind, b.Kind)) })
	var work, person []Interval
	for _, o := range b.Operations {
		if o.Error != "" {
			s.Failed++
		}
		if o.Person {
			person = append(person, Interval{Begin: o.Begin, End: o.End})
		} else {
			work = append(work, Interval{Begin: o.Begin, End: o.End})
		}
	}
	s.Working, s.Person = covered(work), covered(person)
	longest := slices.Clone(b.Operations)
	slices.SortStableFunc(longest, func(a, b *Operation) int { return cmp.Compare(b.Took(), a.Took()) })
	s.Longest = longest[:min(n, len(longest))]
	return s
}

// covered is the time that lies in any of the intervals, which are in order
// of their begin.
func covered(in []Interval) (sum time.Duration) {
	var until time.Duration
	for _, i := range in {
		if from := max(i.Begin, until); i.End > from {
			sum += i.End - from
			until = i.End
		}
	}
	return sum
}
