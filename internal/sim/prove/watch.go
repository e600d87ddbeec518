package prove

import (
	"bytes"
	"fmt"
	"iter"
	"strings"
	"time"
)

// watch reads the journal of a boot while it grows and checks what must hold
// at every step of any boot.
type watch struct {
	read    int // bytes of the journal that were looked at
	found   []Violation
	crashes int  // panics that were injected
	hot     bool // something is done over and over

	queues  map[string]*queue
	words   map[string]string // what operations are called
	records []origin          // by number, from 1

	second   int64 // of the window
	previous int64 // of the one before
	same     map[deed]int
	inWindow int // operations begun in the window
	devices  int // events of devices in the window
	earlier  int // and in the one before: they may be handled in this one
	nodes    int // how large the machine is

	asking    int
	askedFrom time.Duration
	asked     time.Duration // how long a person was asked, all in all

	givenUp map[string]time.Duration // goals, and the clock without questions
	fired   map[string]int           // deadlines that passed, by kind
}

// queue is what is known of one queue.
type queue struct {
	name  string
	busy  uint64 // the operation under way, 0 for none
	doing string // what that is
	begun uint64 // the newest of its events that was begun
}

// origin is what a record may be the cause of: an event that was put into a
// queue, or an operation that is under way there.
type origin struct {
	of    *queue
	event bool
	asks  bool  // the operation is a question
	since int64 // the second in which the event was put there
}

// deed is an operation of a queue.
type deed struct {
	of   *queue
	what string
}

func newWatch(nodes int) *watch {
	return &watch{nodes: nodes, queues: map[string]*queue{}, words: map[string]string{}, same: map[deed]int{},
		givenUp: map[string]time.Duration{}, fired: map[string]int{}}
}

// broken notes that a rule does not hold.
func (w *watch) broken(rule string, at time.Duration, format string, args ...any) {
	if len(w.found) < 20 {
		w.found = append(w.found, Violation{rule, at, fmt.Sprintf(format, args...)})
	}
}

// step looks at the records that were added since the last one.
func (w *watch) step(journal []byte) {
	for {
		rest := journal[w.read:]
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			return
		}
		w.read += end + 1
		if w.read > len("firstlight-journal 1\n") {
			w.record(rest[:end])
		}
	}
}

// number reads a decimal number that is a whole field.
func number(field []byte) (n int64, ok bool) {
	for _, c := range field {
		if c < '0' || c > '9' || n > 1<<58 {
			return 0, false
		}
		n = 10*n + int64(c-'0')
	}
	return n, len(field) > 0
}

func (w *watch) record(line []byte) {
	var f [6][]byte
	rest, more := line, true
	for i := range f {
		if !more {
			w.broken("journal", 0, "%q is no record", line)
			return
		}
		f[i], rest, more = bytes.Cut(rest, []byte{'\t'})
	}
	n, ok1 := number(f[0])
	us, ok2 := number(f[1])
	c, ok3 := number(f[2])
	if !ok1 || !ok2 || !ok3 || c >= n || n < int64(len(w.records)) {
		w.broken("journal", 0, "%q is no record", line)
		return
	}
	record, cause := uint64(n), uint64(c)
	for len(w.records) <= int(n) {
		w.records = append(w.records, origin{})
	}
	at := time.Duration(us) * time.Microsecond
	if string(f[3]) != "queue" {
		w.order(record, cause, f[4], f[3], at)
	}
	switch string(f[3]) {
	case "queue":
		w.window(at)
		w.records[record] = origin{of: w.queue(f[4]), event: true, since: w.second}
		if bytes.HasPrefix(f[4], []byte("dev ")) {
			w.devices++
		}
	case "do":
		w.operation(record, w.queue(f[4]), f[5], at)
	case "ask":
		w.operation(record, w.queue(f[4]), f[5], at)
		w.records[record].asks = true
		if w.asking++; w.asking == 1 {
			w.askedFrom = at
		}
	case "result":
		w.result(record, cause, f[4], at)
	case "deadline":
		w.deadline(string(f[4]), at)
	case "goal":
		if string(f[5]) == "given up" {
			if _, known := w.givenUp[string(f[4])]; !known {
				w.givenUp[string(f[4])] = at - w.asked
			}
		}
	case "panic":
		if w.crashes--; w.crashes < 0 {
			w.broken("no panic", at, "%s: %.300s", f[4], f[5])
		}
	case "full":
		w.broken("the journal is bounded", at, "it is full")
	}
}

// queue is the queue of that name.
func (w *watch) queue(name []byte) *queue {
	q := w.queues[string(name)]
	if q == nil {
		q = &queue{name: string(name)}
		w.queues[q.name] = q
	}
	return q
}

// order checks that the events of a queue are begun in the order in which
// they came. The first record of a handling has the event as its cause.
func (w *watch) order(record, cause uint64, subject, kind []byte, at time.Duration) {
	o := w.records[cause]
	if !o.event || o.of.name != string(subject) {
		return
	}
	switch string(kind) {
	case "goal", "fact", "say", "deadline":
		return
	}
	if o.of.begun > cause {
		w.broken("order within a queue", at, "%s: record %d handles event %d after event %d was begun", subject, record, cause, o.of.begun)
	}
	// What had to wait, for the driver of a bus perhaps, counts when its turn has
	// come: that is when it makes work.
	w.window(at)
	if o.of.begun != cause && o.since < w.previous && strings.HasPrefix(o.of.name, "dev ") {
		w.devices++
	}
	o.of.begun = cause
}

// window begins a new second when it is time.
func (w *watch) window(at time.Duration) {
	if s := int64(at / time.Second); s != w.second {
		w.earlier, w.previous = w.devices, w.second
		w.second, w.devices, w.inWindow = s, 0, 0
		clear(w.same)
	}
}

// operation checks that a queue has one operation under way at most, and that
// nothing is done over and over.
func (w *watch) operation(record uint64, q *queue, what []byte, at time.Duration) {
	if q.busy != 0 {
		w.broken("one worker for each queue", at, "%s begins %d (%s) while %d is under way", q.name, record, what, q.busy)
	}
	q.busy = record
	w.records[record] = origin{of: q}
	w.window(at)
	w.inWindow++
	word, known := w.words[string(what)]
	if !known {
		word = string(what)
		w.words[word] = word
	}
	q.doing = word
	key := deed{q, word}
	w.same[key]++
	if n := w.same[key]; n == 12+4*(w.devices+w.earlier) {
		w.hot = true
		w.broken("no hot loop", at, "%s: %q was done %d times in a second with %d events of devices", q.name, what, n, w.devices+w.earlier)
	}
	if w.inWindow == 400+60*w.nodes {
		w.broken("no hot loop", at, "%d operations in a second", w.inWindow)
	}
}

// underWay are the operations under way.
func (w *watch) underWay() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, q := range w.queues {
			if q.busy != 0 && !yield(q.doing) {
				return
			}
		}
	}
}

// result ends an operation.
func (w *watch) result(record, cause uint64, subject []byte, at time.Duration) {
	o := w.records[cause]
	if o.of == nil || o.event || o.of.name != string(subject) {
		w.broken("one worker for each queue", at, "the result %d belongs to no operation of %s", record, subject)
		return
	}
	w.records[cause] = origin{}
	o.of.busy = 0
	if o.asks {
		if w.asking--; w.asking == 0 {
			w.asked += at - w.askedFrom
		}
	}
}

// timers are the deadlines that there are, by the beginning of their names.
var timers = [...]string{"goal ", "wait ", "md ", "fwraid", "vg ", "btrfs ", "bcache "}

func (w *watch) deadline(name string, at time.Duration) {
	known := ""
	for _, t := range timers {
		if strings.HasPrefix(name, t) {
			known = t
		}
	}
	w.fired[known]++
	if known == "" {
		w.broken("no timer that is not a deadline", at, "%q passed", name)
	}
	if known == "goal " && w.asking > 0 {
		w.broken("clocks stand while a person is asked", at, "the deadline of the %s passed", name)
	}
}

// clock is the time of the goals: that in which a person is asked left out.
func (w *watch) clock(now time.Duration) time.Duration {
	if w.asking > 0 {
		now = w.askedFrom
	}
	return now - w.asked
}
