package ueventd

import (
	"slices"

	"firstlight/internal/order"
)

// notice is when a topic was last notified: by one task, and by any other.
type notice struct {
	tick  uint64
	by    *Task // nil: from outside
	other uint64
}

// since says whether anybody but t has notified the topic after the count.
func (n notice) since(count uint64, t *Task) bool {
	if n.by == t {
		return n.other > count
	}
	return n.tick > count
}

// parkedAt returns the topics for which an equal event waits, sorted.
func (s *Scheduler) parkedAt(e *entry) (topics []string) {
	if e.ev.Value != nil {
		return nil // it has no equal
	}
	for topic, list := range s.parked {
		if slices.ContainsFunc(list, e.same) {
			topics = append(topics, topic)
		}
	}
	order.Strings(topics)
	return topics
}

// Notify says that what the topic names may have become true. Tasks and
// parked events that wait for it look again.
func (s *Scheduler) Notify(topic string) {
	s.tick++
	n := s.notices[topic]
	if n.by != s.current {
		n.other, n.by = n.tick, s.current
	}
	n.tick = s.tick
	s.notices[topic] = n
	tasks, parked := s.waiting[topic], s.parked[topic]
	if len(tasks) == 0 && len(parked) == 0 {
		return
	}
	by := s.because()
	for _, t := range slices.Clone(tasks) {
		s.unwait(t)
		t.timedOut = false
		t.waits = t.waits.woken(topic, by)
		s.runnable = append(s.runnable, t)
	}
	for _, e := range slices.Clone(parked) {
		s.unpark(e)
		e.waits = e.waits.woken(topic, by)
		s.push(e)
	}
}

func (s *Scheduler) unwait(t *Task) {
	for _, topic := range t.topics {
		drop(s.waiting, topic, t)
	}
	t.topics = nil
	if t.deadline != nil {
		s.dropTimer(t.deadline)
		t.deadline = nil
	}
}

func (s *Scheduler) unpark(e *entry) {
	for _, topic := range e.topics {
		drop(s.parked, topic, e)
	}
	e.topics = nil
}

// drop removes v from m[key], and the key when nothing is left.
func drop[T comparable](m map[string][]T, key string, v T) {
	left := slices.DeleteFunc(m[key], func(x T) bool { return x == v })
	if len(left) == 0 {
		delete(m, key)
		return
	}
	m[key] = left
}
