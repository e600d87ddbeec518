// Package ueventd orders the work of a boot: queues of events on one subject
// each, tasks that handle them, waits, and deadlines.
//
// It is part of the deciding core: it reads no clock, starts no goroutine
// that runs by itself, and does no I/O. Time comes in with every input; what
// tasks ask of the world leaves as Operations and comes back through Finish.
// The same inputs give the same order of everything.
//
// Rules that hold here: within a queue events are handled in order, one at a
// time; different queues do not wait for each other; an event that cannot be
// handled yet says what it waits for and is woken by exactly that; nothing is
// retried without a wake-up or a back-off; a panic in a handler ends that
// handling alone.
package ueventd

import (
	"slices"
	"sort"
	"time"

	"firstlight/internal/coro"
	"firstlight/internal/fmt"
	"firstlight/internal/machine"
)

// Event is one thing to be handled, on one subject.
type Event struct {
	Queue string // the subject: "md 1a2b…", "luks …", "mount /"; the unit of serialisation
	Kind  string // what happened: "add", "remove", "deadline" …
	Name  string // the device or object it happened to, "/dev/sda2"
	Value any    // what the filter learned, read-only
	Cause uint64 // the journal record that led to it
}

// Handler handles events of some queues. It runs as a task: it may call Do,
// Wait and WaitUntil. It is called again for an event that was not Done.
type Handler func(t *Task, ev Event) Outcome

// Verdict is how the handling of an event ended.
type Verdict uint8

// The four ways to end.
const (
	Done       Verdict = iota // nothing is left to do for this event
	Waiting                   // handle it again when one of Topics is notified
	RetryAfter                // handle it again after Delay; grows with each retry
	Failed                    // given up, for Reason
)

func (v Verdict) String() string {
	return [...]string{"done", "wait-for", "retry-after", "failed"}[v]
}

// Outcome ends the handling of an event.
type Outcome struct {
	Verdict Verdict
	Topics  []string
	Delay   time.Duration
	Reason  string
}

// WaitFor parks the event until one of the topics is notified. Later events
// of the queue go on.
func WaitFor(reason string, topics ...string) Outcome {
	return Outcome{Verdict: Waiting, Topics: topics, Reason: reason}
}

// Retry hands the event in again after a delay. It is for what no event
// announces; each retry of the same event doubles the delay, up to MaxBackoff.
func Retry(after time.Duration, reason string) Outcome {
	return Outcome{Verdict: RetryAfter, Delay: after, Reason: reason}
}

// Fail gives the event up.
func Fail(err error) Outcome { return Outcome{Verdict: Failed, Reason: err.Error()} }

// MaxBackoff bounds the delay of RetryAfter.
const MaxBackoff = 30 * time.Second

// Operation is something that a task asks of the world. The edge calls Run
// outside the core and hands the results to Finish under the same ID.
type Operation struct {
	ID   uint64
	What string // for the journal; never a secret
	Run  func(machine.Machine) (any, error)
	// Value is a nil pointer to the type of the value that Run returns, for a
	// replay, which has the value from a record.
	Value any
}

// Recorder receives every decision. Record returns the record's number, which
// later records may name as their cause. Each of fields is "name=value".
type Recorder interface {
	Record(cause uint64, kind, subject, text string, fields ...string) uint64
}

// Scheduler is the core's only scheduler. It is not safe for concurrent use.
type Scheduler struct {
	rec      Recorder
	now      time.Duration
	handlers []route
	queues   map[string]*queue
	runnable []*Task
	waiting  map[string][]*Task  // tasks by the topic they wait for
	parked   map[string][]*entry // events by topic
	timers   []*timer            // sorted by time, then order of creation
	started  []Operation
	busy     map[uint64]*Task // tasks that wait for an operation
	lastID   uint64
	asking   int
	onAsking func(asking bool)
	notices  map[string]notice // the last notification of each topic
	tick     uint64            // counts runs and notifications
	inputs   uint64            // counts what came in from outside
	stats    Stats
	current  *Task
	closed   bool
	input    uint64 // the record of the input that is being taken in, 0 for none
	after    func()

	coroutines *coro.Stock // on which tasks run
}

// maxSpins is how often one event may be handled again without any input
// between: more is a handler that wakes itself, which would spin for ever.
// A burst of devices may legitimately wake it hundreds of times.
const maxSpins = 2000

// Stats counts what a boot cost.
type Stats struct {
	Events     int // queue events pushed
	Runs       int // handler runs
	Operations int // operations asked of the world
	Set        int // deadlines set
	Fired      int // deadlines that passed; 0 on a boot without trouble
	Cancelled  int // deadlines cancelled because what they guarded happened
	Panics     int // handlers that panicked
}

type route struct {
	prefix  string
	handler Handler
}

type queue struct {
	name    string
	pending []*entry
	running *Task
}

type entry struct {
	ev      Event
	retries int
	topics  []string
	waits   wait
	input   uint64 // the input at which it was last handled
	spins   int    // how often since that
}

// same says whether b asks for nothing that a does not ask for already.
func (a *entry) same(b *entry) bool {
	return a.ev.Value == nil && b.ev.Value == nil &&
		a.ev.Queue == b.ev.Queue && a.ev.Kind == b.ev.Kind && a.ev.Name == b.ev.Name
}

// New returns an empty scheduler.
func New(rec Recorder) *Scheduler {
	return &Scheduler{rec: rec, queues: map[string]*queue{}, waiting: map[string][]*Task{},
		parked: map[string][]*entry{}, busy: map[uint64]*Task{},
		notices: map[string]notice{}, coroutines: &coro.Stock{}}
}

// RunOn has tasks run on the coroutines of a stock that others use too, one
// after the other.
func (s *Scheduler) RunOn(stock *coro.Stock) { s.coroutines = stock }

// OnAsking sets what is called when the first question to a person is asked,
// and when the last one is answered.
func (s *Scheduler) OnAsking(f func(asking bool)) { s.onAsking = f }

func (s *Scheduler) ask(d int) {
	before := s.asking > 0
	s.asking += d
	if now := s.asking > 0; now != before && s.onAsking != nil {
		s.onAsking(now)
	}
}

// Route sends the events of every queue whose name is prefix, or begins with
// prefix and a space, to h.
func (s *Scheduler) Route(prefix string, h Handler) {
	s.handlers = append(s.handlers, route{prefix, h})
}

// Now is the monotonic time of the input that is being handled, counted from
// the start of the kernel.
func (s *Scheduler) Now() time.Duration { return s.now }

// Stats returns the counts so far.
func (s *Scheduler) Stats() Stats { return s.stats }

// Asking says whether a person is being asked something now.
func (s *Scheduler) Asking() bool { return s.asking > 0 }

// Idle says whether nothing runs, nothing is outstanding and no event waits
// to be handled; parked events and deadlines do not count.
func (s *Scheduler) Idle() bool { return len(s.runnable) == 0 && len(s.busy) == 0 }

// Busy returns what the operations under way are, sorted by their start.
func (s *Scheduler) Busy() []string {
	ids := make([]uint64, 0, len(s.busy))
	for id := range s.busy {
		ids = append(ids, id)
	}
	sort.Slice(ids, func(i, j int) bool { return ids[i] < ids[j] })
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = s.busy[id].doing
	}
	return out
}

// Active says whether any queue whose name begins with prefix has work in
// hand: a running task or events to handle (parked ones do not count).
func (s *Scheduler) Active(prefix string) bool {
	for name, q := range s.queues {
		if len(name) >= len(prefix) && name[:len(prefix)] == prefix && (q.running != nil || len(q.pending) > 0) {
			return true
		}
	}
	return false
}

// Note records something that is caused by what runs now, and returns the
// number of the record.
func (s *Scheduler) Note(kind, subject, text string, fields ...string) uint64 {
	return s.rec.Record(s.because(), kind, subject, text, fields...)
}

// because is the record that causes what is recorded now: what the running
// task last learned, or the input that is being taken in.
func (s *Scheduler) because() uint64 {
	if s.current != nil {
		return s.current.because()
	}
	return s.input
}

// Caused calls f; what is recorded in it outside of a task is caused by the
// record by.
func (s *Scheduler) Caused(by uint64, f func()) {
	defer func(old uint64) { s.input = old }(s.input)
	s.input = by
	f()
}

// AfterStep has f called whenever a task has run, while what f notes is still
// caused by that task. It is for looking at state that any task may change.
func (s *Scheduler) AfterStep(f func()) { s.after = f }

// Push puts an event at the end of its queue. One that no handler of this
// image is for is recorded and dropped; one that already waits in the queue
// is not put there twice, and one that is parked is taken up again.
func (s *Scheduler) Push(ev Event) {
	s.stats.Events++
	if ev.Cause == 0 {
		ev.Cause = s.because()
	}
	ev.Cause = s.rec.Record(ev.Cause, "queue", ev.Queue, ev.Kind+" "+ev.Name)
	if s.handlerOf(ev.Queue) == nil {
		s.rec.Record(ev.Cause, "outcome", ev.Queue, "dropped: nothing in this image handles it")
		return
	}
	e := &entry{ev: ev}
	if s.isPending(e) {
		return
	}
	for _, topic := range s.parkedAt(e) {
		for _, p := range slices.Clone(s.parked[topic]) {
			if p.same(e) {
				s.unpark(p)
				p.ev.Cause = ev.Cause
				p.waits = p.waits.woken(sameEvent, ev.Cause)
				e = p
			}
		}
	}
	s.push(e)
}

// isPending says whether an equal event is in its queue and not yet begun.
func (s *Scheduler) isPending(e *entry) bool {
	q := s.queues[e.ev.Queue]
	return q != nil && slices.ContainsFunc(q.pending, e.same)
}

func (s *Scheduler) push(e *entry) {
	q := s.queues[e.ev.Queue]
	if q == nil {
		q = &queue{name: e.ev.Queue}
		s.queues[e.ev.Queue] = q
	}
	q.pending = append(q.pending, e)
	s.next(q)
}

// next starts the next event of a queue that has no task.
func (s *Scheduler) next(q *queue) {
	if q.running != nil {
		return
	}
	if len(q.pending) == 0 {
		delete(s.queues, q.name)
		return
	}
	e := q.pending[0]
	q.pending = q.pending[1:]
	if e.input != s.inputs {
		e.input, e.spins = s.inputs, 0
	}
	e.spins++
	t := newTask(s, q, e, s.handlerOf(q.name))
	q.running = t
	s.stats.Runs++
	s.runnable = append(s.runnable, t)
}

func (s *Scheduler) handlerOf(queue string) Handler {
	for _, r := range s.handlers {
		if queue == r.prefix || len(queue) > len(r.prefix) && queue[:len(r.prefix)] == r.prefix && queue[len(r.prefix)] == ' ' {
			return r.handler
		}
	}
	return nil
}

// Run runs tasks until none can go on.
func (s *Scheduler) Run() {
	for len(s.runnable) > 0 {
		t := s.runnable[0]
		s.runnable = s.runnable[1:]
		s.step(t)
	}
}

// Started returns the operations that tasks have asked for since the last
// call, in order.
func (s *Scheduler) Started() []Operation {
	ops := s.started
	s.started = nil
	return ops
}

// Finish hands in the result of an operation.
func (s *Scheduler) Finish(id uint64, value any, err error) {
	t := s.busy[id]
	if t == nil {
		panic(fmt.Sprintf("ueventd: operation %d finished twice or was never started", id))
	}
	s.inputs++
	delete(s.busy, id)
	text := "ok"
	if err != nil {
		text = err.Error()
	}
	t.cause = s.rec.Record(t.opRec, "result", t.q.name, text)
	t.value, t.err = value, err
	s.runnable = append(s.runnable, t)
}
