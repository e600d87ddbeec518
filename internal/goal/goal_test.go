package goal

import (
	"slices"
	"strings"
	"testing"
	"time"
)

const second = time.Second

func TestClockStandsWhileAPersonIsAsked(t *testing.T) {
	s := NewSet()
	root := s.Add(Goal{Name: "root", Since: 0, Deadline: 90 * second})
	forever := s.Add(Goal{Name: "init", Since: 0})
	s.Pause(10 * second)
	s.Pause(20 * second) // a second question does not count twice
	if s.Next() != nil {
		t.Error("a deadline can pass")
	}
	late := s.Add(Goal{Name: "usr", Since: 30 * second, Deadline: 120 * second})
	s.Resume(70 * second)
	s.Resume(80 * second)
	if root.Deadline != 150*second || late.Deadline != 160*second || forever.Deadline != 0 {
		t.Errorf("%v %v %v", root.Deadline, late.Deadline, forever.Deadline)
	}
	if s.Next() != root {
		t.Error("the clock does not run again")
	}
}

func TestOnlyUnmetGoalsRunOutOfTime(t *testing.T) {
	s := NewSet()
	a := s.Add(Goal{Name: "a", Deadline: second})
	b := s.Add(Goal{Name: "b", Deadline: 2 * second})
	a.State = GivenUp
	if s.Next() != b || s.Met() {
		t.Error("a goal is given up twice")
	}
	a.State, b.State = Met, Met // met after all
	if s.Next() != nil || !s.Met() || s.Get("b") != b || s.Get("c") != nil {
		t.Error("not met")
	}
}

func situation() Situation {
	s := NewSet()
	s.Add(Goal{Name: "init", Want: "an init in the real root"})
	s.Add(Goal{Name: "root", Want: "UUID=1 mounted as the root", Deadline: 90 * second, OnExpiry: "given up"})
	return Situation{Now: 12 * second, Set: s,
		Facts: []Fact{{Subject: "disk a", Condition: Present, Text: "there"},
			{Subject: "RAID md0", Condition: Incomplete, Text: "1 of 2 members", Since: 2 * second, Until: 20 * second, AtExpiry: "starts degraded", Try: "connect it"}},
		Devices: []Device{{Name: "/dev/sda", Type: "ext4", UUID: "2"}, {Name: "/dev/sdb"}},
		Try:     []string{"connect it"}, Drivers: []string{"nvme: not in this image"}, Doing: []string{"read /dev/sdc"}}
}

func TestScreenSaysWhatIsWantedThereMissingSinceWhenAndWhatToTry(t *testing.T) {
	got := situation().Explain()
	want := []string{
		"Wanted:  an init in the real root",
		"         since 12 s",
		"Wanted:  UUID=1 mounted as the root",
		"         since 12 s; given up in 78 s",
		"Needs:   RAID md0: 1 of 2 members, since 10 s; starts degraded in 8.0 s",
		"         disk a: there",
		"There:   /dev/sda       ext4 UUID=2",
		"         /dev/sdb       nothing recognised on it",
		"Drivers: nvme: not in this image",
		"Doing:   read /dev/sdc",
		"Try:     connect it",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestScreenDoesNotScrollAwayWithAHundredDisks(t *testing.T) {
	s := situation()
	s.Devices = make([]Device, 100)
	if got := s.Explain(); len(got) > 30 || !slices.ContainsFunc(got, func(l string) bool { return strings.Contains(l, "and 84 more") }) {
		t.Errorf("%d lines", len(got))
	}
	s.Devices = nil
	if !strings.Contains(strings.Join(s.Explain(), "\n"), "no block device at all") {
		t.Error("an empty machine is not named")
	}
}

func TestLineOfProgressNamesTheWorstAndWhatHappensThen(t *testing.T) {
	s := situation()
	if got, want := s.Progress(), "waiting for UUID=1 mounted as the root: RAID md0: 1 of 2 members (for 12 s; starts degraded in 8.0 s)"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	s.Facts = nil
	if got, want := s.Progress(), "waiting for UUID=1 mounted as the root: read /dev/sdc (for 12 s; given up in 78 s)"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestSeconds(t *testing.T) {
	for d, want := range map[time.Duration]string{-second: "0.0 s", 400 * time.Millisecond: "0.4 s", 12 * second: "12 s", 185 * second: "3 min 5 s"} {
		if got := Seconds(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}
