package ueventd

import (
	"runtime"
	"slices"
	"strconv"
	"time"

	"firstlight/internal/coro"
	"firstlight/internal/fmt"
	"firstlight/internal/machine"
	"firstlight/internal/order"
)

// Task is one handling of one event, as a coroutine: it runs until it calls
// Do, Wait or WaitUntil, and goes on when that has an answer.
type Task struct {
	s        *Scheduler
	q        *queue
	e        *entry
	handler  Handler
	on       *coro.Coroutine // runs it, once it was begun
	outcome  Outcome
	topics   []string
	deadline *timer
	timedOut bool
	value    any
	err      error
	doing    string
	began    uint64 // the scheduler's count when the handling began; 0: it has not
	opRec    uint64
	cause    uint64
	waits    wait // what the task waits for, or has just waited for
}

func newTask(s *Scheduler, q *queue, e *entry, h Handler) *Task {
	return &Task{s: s, q: q, e: e, handler: h, cause: e.ev.Cause, waits: e.waits}
}

// run handles the event. A panic ends the task as a failure: one broken
// handler must not take the machine's only way to boot with it.
func (t *Task) run() {
	defer func() {
		if p := recover(); p != nil && !t.s.closed {
			t.s.stats.Panics++
			t.outcome = Outcome{Verdict: Failed, Reason: fmt.Sprintf("internal error: %v", p)}
			t.s.rec.Record(t.because(), "panic", t.q.name, fmt.Sprintf("%v%s", p, callers()))
		}
	}()
	t.outcome = t.handler(t, t.e.ev)
}

// callers is where a panic came from, innermost first. Unlike the runtime's
// own text it has no addresses, so that equal boots have equal journals.
func callers() (text string) {
	var pcs [24]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(4, pcs[:])])
	for {
		f, more := frames.Next()
		text += "\n" + f.Function + ":" + strconv.Itoa(f.Line)
		if !more {
			return text
		}
	}
}

// Close ends all tasks where they are, after the last input: for who runs many
// boots in one process.
func (s *Scheduler) Close() {
	s.closed = true
	for _, q := range s.queues {
		if t := q.running; t != nil && t.on != nil {
			t.on.Resume() // and its pause panics
		}
	}
}

// step lets a task run until it waits for something or ends.
func (s *Scheduler) step(t *Task) {
	if t.began == 0 {
		s.tick++
		t.began = s.tick
	}
	s.current = t
	defer func() { s.current = nil }()
	more := t.resume()
	if s.after != nil {
		s.after()
	}
	if more {
		return
	}
	t.q.running = nil
	s.conclude(t)
	s.next(t.q)
}

// resume lets the task run and says whether it wants to go on later.
func (t *Task) resume() (more bool) {
	if t.on == nil {
		t.on = t.s.coroutines.Get(t.run)
	}
	return !t.on.Resume()
}

func (s *Scheduler) conclude(t *Task) {
	o := t.outcome
	text := o.Verdict.String()
	if o.Reason != "" {
		text += ": " + o.Reason
	}
	switch {
	case o.Verdict == Waiting && t.waits.over && t.waits.reason == o.Reason:
		// It looked again and waits on: nothing new to record.
		t.e.waits = wait{record: t.waits.record, reason: o.Reason}
	case o.Verdict == Waiting:
		t.e.waits = wait{record: s.rec.Record(t.because(), "outcome", t.q.name, text, topics(o.Topics)...), reason: o.Reason}
	case o.Verdict == Done && o.Reason == "" && !t.waits.over && t.cause == t.e.ev.Cause:
		// Nothing was asked or learned: most devices of a machine end here,
		// and the record of their event says all there is.
	default:
		t.cause = s.rec.Record(t.because(), "outcome", t.q.name, text)
	}
	switch o.Verdict {
	case Waiting:
		s.park(t, o)
	case RetryAfter:
		delay := min(max(o.Delay, time.Millisecond)<<min(t.e.retries, 15), MaxBackoff)
		t.e.retries++
		e := t.e
		e.waits = wait{}
		s.addTimer(&timer{at: s.now + delay, key: "retry " + t.q.name, cause: t.cause,
			fire: func(by uint64) { e.ev.Cause = by; s.push(e) }})
	}
}

// park lets an event wait. A topic that somebody else has notified while the
// event was being handled may be what the handling did not see: then it is
// handled again at once.
func (s *Scheduler) park(t *Task, o Outcome) {
	e := t.e
	if s.isPending(e) {
		return // the one behind it looks again
	}
	missed := slices.IndexFunc(o.Topics, func(topic string) bool { return s.notices[topic].since(t.began, t) })
	if missed >= 0 && e.spins < maxSpins {
		e.waits = e.waits.woken(o.Topics[missed], 0)
		s.push(e)
		return
	}
	if e.spins >= maxSpins {
		s.rec.Record(t.because(), "panic", t.q.name,
			fmt.Sprintf("internal error: handled %d times without any input between: it wakes itself", e.spins))
		s.stats.Panics++
		return
	}
	e.topics = slices.Clone(o.Topics)
	order.Strings(e.topics)
	e.topics = slices.Compact(e.topics)
	for _, topic := range e.topics {
		s.parked[topic] = append(s.parked[topic], e)
	}
}

// Now is the time at which the task was resumed.
func (t *Task) Now() time.Duration { return t.s.now }

// Scheduler returns the scheduler that runs the task.
func (t *Task) Scheduler() *Scheduler { return t.s }

// Cause is the journal record to name as the cause of what the task decides.
func (t *Task) Cause() uint64 { return t.because() }

// because is the record that causes the next one. The end of a wait is
// recorded here, once something follows from it: who looks again and has to
// wait on leaves no trace, however often that is.
func (t *Task) because() uint64 {
	if w := t.waits; w.over {
		t.waits = wait{}
		t.cause = t.s.rec.Record(w.cause(), "wake", t.q.name, w.topic, "wait="+strconv.FormatUint(w.record, 10))
	}
	return t.cause
}

// Record notes a decision in the journal, caused by what the task last
// learned.
func (t *Task) Record(kind, text string, fields ...string) {
	t.cause = t.s.rec.Record(t.because(), kind, t.q.name, text, fields...)
}

func (t *Task) pause() {
	if !t.s.closed {
		t.on.Pause()
	}
	if t.s.closed {
		panic("ueventd: the scheduler was closed")
	}
}

// Wait lets the task sleep until one of the topics is notified. The queue
// stays taken: use it only for short waits inside one handling, and WaitFor
// as an outcome otherwise.
func (t *Task) Wait(reason string, topics ...string) {
	t.wait(reason, topics, 0)
	t.pause()
}

// WaitUntil is Wait with a deadline; it says whether the deadline came first.
func (t *Task) WaitUntil(deadline time.Duration, reason string, topics ...string) (timedOut bool) {
	t.wait(reason, topics, deadline)
	t.deadline = &timer{at: deadline, key: "wait " + t.q.name, cause: t.cause, taskT: t}
	t.s.addTimer(t.deadline)
	t.pause()
	return t.timedOut
}

func (t *Task) wait(reason string, on []string, until time.Duration) {
	if t.waits.over && t.waits.reason == reason {
		t.waits = wait{record: t.waits.record, reason: reason}
	} else {
		fields := topics(on)
		if until > 0 {
			fields = append(fields, "until="+strconv.FormatInt(until.Microseconds(), 10))
		}
		t.waits = wait{record: t.s.rec.Record(t.because(), "wait", t.q.name, reason, fields...), reason: reason}
	}
	t.topics = on
	for _, topic := range on {
		t.s.waiting[topic] = append(t.s.waiting[topic], t)
	}
}

// Do asks something of the world and waits for the answer. f runs outside
// the core and must not touch the core's state; what names the operation for
// the journal and holds no secret.
func Do[T any](t *Task, what string, f func(machine.Machine) (T, error)) (T, error) {
	return do(t, "do", what, f)
}

func do[T any](t *Task, kind, what string, f func(machine.Machine) (T, error)) (T, error) {
	t.start(kind, what, func(m machine.Machine) (any, error) { return f(m) }, (*T)(nil))
	t.pause()
	v, _ := t.value.(T)
	err := t.err
	t.value, t.err = nil, nil
	return v, err
}

// Act is Do for an operation that gives nothing but success or an error.
func Act(t *Task, what string, f func(machine.Machine) error) error {
	_, err := Do(t, what, func(m machine.Machine) (struct{}, error) { return struct{}{}, f(m) })
	return err
}

// Ask is Do for an operation that waits for a person. While any is under way
// the clocks of all goals stand still.
func Ask[T any](t *Task, what string, f func(machine.Machine) (T, error)) (T, error) {
	t.s.ask(1)
	defer t.s.ask(-1)
	return do(t, "ask", what, f)
}

func (t *Task) start(kind, what string, run func(machine.Machine) (any, error), value any) {
	s := t.s
	s.lastID++
	s.stats.Operations++
	t.doing = what
	t.opRec = s.rec.Record(t.because(), kind, t.q.name, what)
	s.busy[s.lastID] = t
	s.started = append(s.started, Operation{ID: s.lastID, What: what, Run: run, Value: value})
}
