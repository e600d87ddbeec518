package prove

import (
	"bytes"
	"fmt"
	"strconv"
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

	busy    map[string]uint64 // the operation under way of each queue
	queueOf map[uint64]string // of operations under way, by their record
	pushed  map[uint64]string // events that were put into a queue
	begun   map[string]uint64 // the newest event of a queue that was begun

	second   int64 // of the window
	same     map[string]int
	inWindow int // operations begun in the window
	devices  int // events of devices in the window
	nodes    int // how large the machine is

	asking     int
	askRecords map[uint64]bool
	askedFrom  time.Duration
	asked      time.Duration // how long a person was asked, all in all

	givenUp map[string]time.Duration // goals, and the clock without questions
	fired   map[string]int           // deadlines that passed, by kind
}

func newWatch(nodes int) *watch {
	return &watch{nodes: nodes, busy: map[string]uint64{}, queueOf: map[uint64]string{}, pushed: map[uint64]string{},
		begun: map[string]uint64{}, same: map[string]int{}, askRecords: map[uint64]bool{}, givenUp: map[string]time.Duration{}, fired: map[string]int{}}
}

// break notes that a rule does not hold.
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

func (w *watch) record(line []byte) {
	f := bytes.SplitN(line, []byte{'\t'}, 7)
	if len(f) < 6 {
		w.broken("journal", 0, "%q is no record", line)
		return
	}
	number, err1 := strconv.ParseUint(string(f[0]), 10, 64)
	us, err2 := strconv.ParseInt(string(f[1]), 10, 64)
	cause, err3 := strconv.ParseUint(string(f[2]), 10, 64)
	if err1 != nil || err2 != nil || err3 != nil || cause >= number {
		w.broken("journal", 0, "%q is no record", line)
		return
	}
	at := time.Duration(us) * time.Microsecond
	kind, subject, text := string(f[3]), string(f[4]), string(f[5])
	if kind != "queue" {
		w.order(number, cause, subject, kind, at)
	}
	switch kind {
	case "queue":
		w.pushed[number] = subject
		if strings.HasPrefix(subject, "dev ") {
			w.devices++
		}
	case "do", "ask":
		w.operation(number, subject, text, at)
		if kind == "ask" {
			w.askRecords[number] = true
			if w.asking++; w.asking == 1 {
				w.askedFrom = at
			}
		}
	case "result":
		q, ok := w.queueOf[cause]
		if !ok || q != subject {
			w.broken("one worker for each queue", at, "the result %d belongs to no operation of %s", number, subject)
		}
		delete(w.queueOf, cause)
		delete(w.busy, subject)
		if w.askRecords[cause] {
			if w.asking--; w.asking == 0 {
				w.asked += at - w.askedFrom
			}
		}
	case "deadline":
		w.deadline(subject, at)
	case "goal":
		if text == "given up" {
			if _, known := w.givenUp[subject]; !known {
				w.givenUp[subject] = at - w.asked
			}
		}
	case "panic":
		if w.crashes--; w.crashes < 0 {
			w.broken("no panic", at, "%s: %.300s", subject, text)
		}
	case "full":
		w.broken("the journal is bounded", at, "it is full")
	}
}

// order checks that the events of a queue are begun in the order in which
// they came. The first record of a handling has the event as its cause.
func (w *watch) order(number, cause uint64, subject, kind string, at time.Duration) {
	if q, ok := w.pushed[cause]; !ok || q != subject || kind == "goal" || kind == "fact" || kind == "say" || kind == "deadline" {
		return
	}
	if last := w.begun[subject]; last > cause {
		w.broken("order within a queue", at, "%s: record %d handles event %d after event %d was begun", subject, number, cause, last)
	}
	w.begun[subject] = cause
}

// operation checks that a queue has one operation under way at most, and that
// nothing is done over and over.
func (w *watch) operation(number uint64, queue, what string, at time.Duration) {
	if other, ok := w.busy[queue]; ok {
		w.broken("one worker for each queue", at, "%s begins %d (%s) while %d is under way", queue, number, what, other)
	}
	w.busy[queue] = number
	w.queueOf[number] = queue
	if s := int64(at / time.Second); s != w.second {
		w.second, w.devices, w.inWindow = s, 0, 0
		clear(w.same)
	}
	w.inWindow++
	key := queue + "\x00" + what
	w.same[key]++
	if n := w.same[key]; n == 12+4*w.devices {
		w.hot = true
		w.broken("no hot loop", at, "%s: %q was done %d times in a second with %d events of devices", queue, what, n, w.devices)
	}
	if w.inWindow == 400+60*w.nodes {
		w.broken("no hot loop", at, "%d operations in a second", w.inWindow)
	}
}

// timers are the deadlines that there are, by the beginning of their names.
var timers = [...]string{"goal ", "wait ", "md ", "vg ", "btrfs "}

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
