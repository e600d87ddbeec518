package ueventd

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"firstlight/internal/machine"
)

// records keeps what was recorded, one line each.
type records []string

func (r *records) Record(_ uint64, kind, subject, text string, _ ...string) uint64 {
	*r = append(*r, kind+" "+subject+": "+text)
	return uint64(len(*r))
}

func (r records) count(prefix string) (n int) {
	for _, l := range r {
		if strings.HasPrefix(l, prefix) {
			n++
		}
	}
	return n
}

func newScheduler() (*Scheduler, *records) {
	rec := &records{}
	return New(rec), rec
}

func act(t *Task, what string) error {
	return Act(t, what, func(machine.Machine) error { return nil })
}

// finish ends the operation of that name.
func finish(t *testing.T, s *Scheduler, ops *[]Operation, what string, err error) {
	t.Helper()
	*ops = append(*ops, s.Started()...)
	i := slices.IndexFunc(*ops, func(o Operation) bool { return o.What == what })
	if i < 0 {
		t.Fatalf("no operation %q in %v", what, *ops)
	}
	id := (*ops)[i].ID
	*ops = slices.Delete(*ops, i, i+1)
	s.Finish(id, nil, err)
	s.Run()
}

func TestOneWorkerForEachQueueAndItsEventsInOrder(t *testing.T) {
	s, _ := newScheduler()
	running, most := map[string]int{}, 0
	var done []string
	s.Route("q", func(t *Task, ev Event) Outcome {
		running[ev.Queue]++
		most = max(most, running[ev.Queue])
		act(t, ev.Queue+ev.Name)
		running[ev.Queue]--
		done = append(done, ev.Queue+ev.Name)
		return Outcome{}
	})
	for _, name := range []string{"1", "2", "3"} {
		s.Push(Event{Queue: "q a", Name: name})
		s.Push(Event{Queue: "q b", Name: name})
	}
	s.Run()
	var ops []Operation
	// Queue b gets through while a is stuck at its first event.
	for _, w := range []string{"q b1", "q b2", "q b3", "q a1", "q a2", "q a3"} {
		finish(t, s, &ops, w, nil)
	}
	if most != 1 || !slices.Equal(done, []string{"q b1", "q b2", "q b3", "q a1", "q a2", "q a3"}) {
		t.Errorf("at most %d at a time, order %v", most, done)
	}
	if !s.Idle() {
		t.Error("not idle")
	}
}

func TestParkedEventLetsTheNextOneGo(t *testing.T) {
	s, _ := newScheduler()
	var got []string
	open := false
	s.Route("q", func(_ *Task, ev Event) Outcome {
		got = append(got, ev.Name)
		if ev.Name == "blocked" && !open {
			return WaitFor("the gate", "gate")
		}
		return Outcome{}
	})
	s.Push(Event{Queue: "q", Name: "blocked"})
	s.Push(Event{Queue: "q", Name: "free"})
	s.Run()
	s.Notify("another gate")
	s.Run()
	open = true
	s.Notify("gate")
	s.Run()
	if want := []string{"blocked", "free", "blocked"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestNotificationWhileTheHandlingRunsIsNotLost(t *testing.T) {
	s, _ := newScheduler()
	there, runs := false, 0
	s.Route("q", func(t *Task, _ Event) Outcome {
		runs++
		seen := there
		act(t, "look") // meanwhile it comes
		if !seen {
			return WaitFor("it", "it")
		}
		return Outcome{}
	})
	s.Route("other", func(*Task, Event) Outcome {
		there = true
		s.Notify("it")
		return Outcome{}
	})
	s.Push(Event{Queue: "q"})
	s.Run()
	s.Push(Event{Queue: "other"})
	s.Run()
	var ops []Operation
	finish(t, s, &ops, "look", nil)
	finish(t, s, &ops, "look", nil)
	if runs != 2 || !s.Idle() {
		t.Errorf("%d runs", runs)
	}
}

func TestHandlerThatNotifiesWhatItWaitsForIsParked(t *testing.T) {
	s, _ := newScheduler()
	runs := 0
	s.Route("q", func(*Task, Event) Outcome {
		runs++
		s.Notify("goals")
		return WaitFor("itself", "goals")
	})
	s.Push(Event{Queue: "q"})
	s.Run()
	if runs != 1 {
		t.Errorf("%d runs", runs)
	}
}

func TestTwoHandlersThatWakeEachOtherAreStopped(t *testing.T) {
	s, rec := newScheduler()
	s.Route("q", func(_ *Task, ev Event) Outcome {
		s.Notify(ev.Name)
		return WaitFor("the other", map[string]string{"a": "b", "b": "a"}[ev.Name])
	})
	s.Push(Event{Queue: "q a", Name: "a"})
	s.Push(Event{Queue: "q b", Name: "b"})
	s.Run() // comes back
	if s.Stats().Panics == 0 || rec.count("panic") == 0 {
		t.Error("nobody was told")
	}
}

func TestEqualEventsThatWaitAreOne(t *testing.T) {
	s, _ := newScheduler()
	runs := 0
	s.Route("q", func(*Task, Event) Outcome { runs++; return WaitFor("ever", "topic", "topic", "other") })
	for range 100 {
		s.Push(Event{Queue: "q", Kind: "add", Name: "/dev/sda"})
		s.Run()
	}
	if runs != 100 || len(s.parked["topic"]) != 1 || len(s.parked["other"]) != 1 {
		t.Errorf("%d runs, %d parked", runs, len(s.parked["topic"]))
	}
	s.Notify("topic")
	s.Run()
	if runs != 101 {
		t.Errorf("%d runs after one notification", runs)
	}
	// What carries a value of its own is never thrown away.
	s.Push(Event{Queue: "q", Kind: "add", Name: "/dev/sda", Value: 1})
	s.Push(Event{Queue: "q", Kind: "add", Name: "/dev/sda", Value: 2})
	s.Run()
	if runs != 103 {
		t.Errorf("%d runs", runs)
	}
}

func TestDeadlinesFireInOrderAndOnlyUnlessCancelled(t *testing.T) {
	s, _ := newScheduler()
	var got []string
	s.Route("q", func(_ *Task, ev Event) Outcome { got = append(got, ev.Name); return Outcome{} })
	for _, d := range []struct {
		key string
		at  time.Duration
	}{{"late", 30}, {"early", 10}, {"same", 10}, {"gone", 5}, {"moved", 1}} {
		s.Deadline(d.key, d.at, Event{Queue: "q", Name: d.key})
	}
	s.CancelDeadline("gone")
	s.Deadline("moved", 20, Event{Queue: "q", Name: "moved"})
	if at, ok := s.NextDeadline(); !ok || at != 10 {
		t.Errorf("next at %v", at)
	}
	s.Advance(20)
	s.Advance(15) // never back
	s.Run()
	if s.Now() != 20 || !slices.Equal(got, []string{"early", "same", "moved"}) {
		t.Errorf("at %v: %v", s.Now(), got)
	}
	if st := s.Stats(); st.Fired != 3 || st.Cancelled != 2 {
		t.Errorf("%+v", st)
	}
}

func TestWaitUntilIsEndedByTheTopicOrTheDeadline(t *testing.T) {
	for _, notify := range []bool{true, false} {
		s, _ := newScheduler()
		var late bool
		s.Route("q", func(t *Task, _ Event) Outcome {
			late = t.WaitUntil(100, "either", "a", "b")
			return Outcome{}
		})
		s.Push(Event{Queue: "q"})
		s.Run()
		if notify {
			s.Notify("b")
		}
		s.Advance(100)
		s.Run()
		if late == notify || len(s.timers) != 0 || len(s.waiting) != 0 || !s.Idle() {
			t.Errorf("notified %v: late %v, timers %v, waiting %v", notify, late, s.timers, s.waiting)
		}
	}
}

func TestRetryBacksOffToABound(t *testing.T) {
	s, _ := newScheduler()
	runs := 0
	s.Route("q", func(*Task, Event) Outcome { runs++; return Retry(time.Second, "not yet") })
	s.Push(Event{Queue: "q"})
	s.Run()
	var gaps []time.Duration
	for range 8 {
		at, _ := s.NextDeadline()
		gaps = append(gaps, (at-s.Now())/time.Second)
		s.Advance(at)
		s.Run()
	}
	if want := []time.Duration{1, 2, 4, 8, 16, 30, 30, 30}; !slices.Equal(gaps, want) {
		t.Errorf("%v, want %v", gaps, want)
	}
}

func TestPanicEndsOneHandlingAlone(t *testing.T) {
	s, rec := newScheduler()
	var got []string
	s.Route("q", func(t *Task, ev Event) Outcome {
		got = append(got, ev.Name)
		if ev.Name == "bad" {
			act(t, "something")
			panic("index out of range")
		}
		return Outcome{}
	})
	s.Push(Event{Queue: "q", Name: "bad"})
	s.Push(Event{Queue: "q", Name: "good"})
	s.Run()
	var ops []Operation
	finish(t, s, &ops, "something", nil)
	if !slices.Equal(got, []string{"bad", "good"}) || s.Stats().Panics != 1 {
		t.Errorf("%v, %+v", got, s.Stats())
	}
	if rec.count("panic q: index out of range") != 1 || rec.count("outcome q: failed: internal error") != 1 {
		t.Error(strings.Join(*rec, "\n"))
	}
}

func TestEventThatNothingHandlesIsDroppedAndSaid(t *testing.T) {
	s, rec := newScheduler()
	s.Push(Event{Queue: "zfs pool", Kind: "add"})
	s.Run()
	if rec.count("outcome zfs pool: dropped") != 1 || !s.Idle() || s.Active("zfs") {
		t.Error(strings.Join(*rec, "\n"))
	}
}

func TestAskingIsToldOnceHoweverManyAsk(t *testing.T) {
	s, _ := newScheduler()
	var told []string
	s.OnAsking(func(on bool) { told = append(told, fmt.Sprint(on, s.Now())) })
	s.Route("q", func(t *Task, ev Event) Outcome {
		_, err := Ask(t, "ask "+ev.Name, func(machine.Machine) (int, error) { return 0, nil })
		return map[bool]Outcome{true: {}, false: Fail(errors.New("no"))}[err == nil]
	})
	s.Push(Event{Queue: "q a", Name: "a"})
	s.Push(Event{Queue: "q b", Name: "b"})
	s.Run()
	var ops []Operation
	s.Advance(7)
	finish(t, s, &ops, "ask a", nil)
	if !s.Asking() {
		t.Error("one still asks")
	}
	s.Advance(9)
	finish(t, s, &ops, "ask b", errors.New("hung up"))
	if s.Asking() || !slices.Equal(told, []string{"true 0s", "false 9ns"}) {
		t.Errorf("%v", told)
	}
}
