package ueventd

// wait is one wait of a task or of a parked event, as the journal has it.
type wait struct {
	record uint64 // began it; 0 for none
	reason string
	over   bool   // the waiter was woken; what follows is not known yet
	topic  string // woke it
	by     uint64 // the record behind the topic, 0 if there is none
}

// sameEvent stands for the topic where an equal event has ended a wait.
const sameEvent = "the same event again"

// woken returns the wait as it is once a topic has ended it.
func (w wait) woken(topic string, by uint64) wait {
	w.over, w.topic, w.by = w.record != 0, topic, by
	return w
}

// cause is the record that ended the wait: the waker's, else its own.
func (w wait) cause() uint64 {
	if w.by != 0 {
		return w.by
	}
	return w.record
}

// topics are the topics of a wait as fields of a record.
func topics(names []string) []string {
	out := make([]string, len(names), len(names)+1)
	for i, n := range names {
		out[i] = "topic=" + n
	}
	return out
}
