package ueventd

import (
	"cmp"
	"slices"
	"strconv"
	"time"
)

type timer struct {
	at    time.Duration
	seq   uint64
	key   string
	cause uint64 // the record that was the reason to set it
	fire  func(by uint64)
	taskT *Task
}

// Deadline calls for an event at a point in time unless it is cancelled
// first. A second one under the same key replaces the first. Deadlines are
// the only timers there are.
func (s *Scheduler) Deadline(key string, at time.Duration, ev Event) {
	s.CancelDeadline(key)
	s.addTimer(&timer{at: at, key: key, cause: s.because(), fire: func(by uint64) { ev.Cause = by; s.Push(ev) }})
}

// CancelDeadline forgets the deadline of that key, if there is one.
func (s *Scheduler) CancelDeadline(key string) {
	if i := slices.IndexFunc(s.timers, func(t *timer) bool { return t.key == key }); i >= 0 {
		s.dropTimer(s.timers[i])
	}
}

// DeadlineOf returns when the deadline of that key passes.
func (s *Scheduler) DeadlineOf(key string) (time.Duration, bool) {
	for _, t := range s.timers {
		if t.key == key {
			return t.at, true
		}
	}
	return 0, false
}

func (s *Scheduler) addTimer(t *timer) {
	s.stats.Set++
	s.lastID++
	t.seq = s.lastID
	i, _ := slices.BinarySearchFunc(s.timers, t, func(a, b *timer) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.seq, b.seq))
	})
	s.timers = slices.Insert(s.timers, i, t)
}

func (s *Scheduler) dropTimer(t *timer) {
	if i := slices.Index(s.timers, t); i >= 0 {
		s.timers = slices.Delete(s.timers, i, i+1)
		s.stats.Cancelled++
	}
}

// NextDeadline returns when the scheduler must be called again although
// nothing has happened; ok is false when it need not.
func (s *Scheduler) NextDeadline() (at time.Duration, ok bool) {
	if len(s.timers) == 0 {
		return 0, false
	}
	return s.timers[0].at, true
}

// Advance sets the time and fires the deadlines that have passed. Time never
// goes back: an earlier one is taken as no change.
func (s *Scheduler) Advance(now time.Duration) {
	s.inputs++
	s.now = max(s.now, now)
	for len(s.timers) > 0 && s.timers[0].at <= s.now {
		t := s.timers[0]
		s.timers = s.timers[1:]
		s.stats.Fired++
		if t.taskT == nil {
			t.fire(s.rec.Record(t.cause, "deadline", t.key, "passed"))
			continue
		}
		w := t.taskT
		w.cause = s.rec.Record(t.cause, "deadline", t.key, "passed", "wait="+strconv.FormatUint(w.waits.record, 10))
		w.waits = wait{}
		w.deadline = nil
		s.unwait(w)
		w.timedOut = true
		s.runnable = append(s.runnable, w)
	}
}
