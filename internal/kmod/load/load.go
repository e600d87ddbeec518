// Package load gives kernel modules to the kernel.
//
// A Loader takes plans from package kmod and loads their modules several at a
// time, each module once however many plans hold it. It decides nothing about
// what to load. It starts goroutines only while there is something to load
// and waits for nothing but the kernel's answer.
package load

import (
	"errors"
	"strings"
	"sync"
	"time"

	"firstlight/internal/fmt"
	"firstlight/internal/kmod"

	"golang.org/x/sys/unix"
)

// ErrSkipped is returned for modules that the configuration forbids to load.
var ErrSkipped = errors.New("not loaded")

// Kernel is what a Loader needs of the kernel. Its methods are called from
// several goroutines at once.
type Kernel interface {
	// Loaded says whether the module is there and initialised.
	Loaded(name string) bool
	// Load loads the module in a file with the given parameters and returns
	// when it is initialised. A module that is there already gives EEXIST.
	Load(path, params string) error
}

// Event says how the loading of one module ended.
type Event struct {
	Step kmod.Step
	// Already says that the module had been there.
	Already bool
	// Took is how long the kernel needed.
	Took time.Duration
	// Err is an *Error if it failed, also if it could not be tried.
	Err error
}

// Error says which module could not be loaded, and for the lack of which.
type Error struct {
	// Module is the one that was wanted.
	Module string
	// Chain leads from what Module needs to the module that failed. It is
	// empty if that is Module itself.
	Chain []string
	// Err is what the kernel, or the file, said of the last one.
	Err error
}

// Error returns "kmod: load MODULE: needs A, which needs B: reason".
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("kmod: load " + e.Module + ": ")
	for i, m := range e.Chain {
		if i > 0 {
			b.WriteString("which ")
		}
		b.WriteString("needs " + m)
		if i < len(e.Chain)-1 {
			b.WriteString(", ")
		} else {
			b.WriteString(": ")
		}
	}
	b.WriteString(e.Err.Error())
	return b.String()
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Options sets up a Loader.
type Options struct {
	// Kernel is required.
	Kernel Kernel
	// Workers is how many modules are loaded at the same time; below 1 means 4.
	Workers int
	// Observe, if set, is told of each module. It is called from several
	// goroutines and must not block.
	Observe func(Event)
}

// Loader loads modules. It is safe for concurrent use.
type Loader struct {
	index  *kmod.Index
	config kmod.Config
	opts   Options

	mu      sync.Mutex
	jobs    map[kmod.ModuleID]*job // loaded, or on the way; not what failed
	queue   []*job
	running int
}

// job is one module on its way into the kernel, or in it.
type job struct {
	step    kmod.Step
	waits   int  // for so many jobs
	lacks   *job // a needed one that failed
	ended   bool
	err     *Error
	then    []edge
	watched []*run
}

type edge struct {
	job    *job
	needed bool
}

// run is one plan on its way.
type run struct {
	plan kmod.Plan
	jobs []*job // by step
	left int
	done func(error)
}

// New returns a Loader of the modules in index. config is what the kernel
// command line says about modules.
func New(index *kmod.Index, config kmod.Config, opts Options) *Loader {
	if opts.Workers < 1 {
		opts.Workers = 4
	}
	return &Loader{index: index, config: config, opts: opts, jobs: map[kmod.ModuleID]*job{}}
}

// Load loads what a name or an alias stands for ("dm-crypt", "fs-ext4",
// "crypto-xts(aes)", "md-level-1") and returns when it is initialised. Of
// several modules for one alias one is enough. What is built in or loaded is
// a success. It fails with kmod.ErrUnknown, ErrSkipped, or one or several
// *Error.
func (l *Loader) Load(nameOrAlias string) error {
	ended := make(chan error, 1)
	if _, err := l.Want(nameOrAlias, func(err error) { ended <- err }); err != nil {
		return err
	}
	return <-ended
}

// Want is Load without the wait: done is called once, with what Load would
// return. See Start for how. If Want itself fails (kmod.ErrUnknown), done is
// not called. The plan says what is being loaded and what was left out.
func (l *Loader) Want(nameOrAlias string, done func(error)) (kmod.Plan, error) {
	plan, err := l.index.PlanFor(nameOrAlias, l.config)
	if err != nil {
		return kmod.Plan{}, err
	}
	l.Start(plan, done)
	return plan, nil
}

// Start loads what a plan of the Loader's index holds and calls done once
// when the last module of it has ended, well or not: from a goroutine of the
// Loader, or before Start returns if there is nothing left to load. done may
// call any method of the Loader. Its error is nil if everything the plan
// wants is there, or with plan.Any one of it.
func (l *Loader) Start(plan kmod.Plan, done func(error)) {
	r := &run{plan: plan, jobs: make([]*job, len(plan.Steps)), done: done}
	l.mu.Lock()
	for i, s := range plan.Steps {
		j := l.jobs[s.ID]
		if j == nil {
			j = l.add(s, r.jobs)
		}
		r.jobs[i] = j
		if !j.ended {
			j.watched = append(j.watched, r)
			r.left++
		}
	}
	idle := r.left == 0
	l.spawn()
	l.mu.Unlock()
	if idle {
		done(r.result())
	}
}

// add makes the job of a step whose prerequisites are in jobs. A job never
// waits for one that was made after it, so that jobs cannot wait in a circle.
func (l *Loader) add(s kmod.Step, jobs []*job) *job {
	j := &job{step: s}
	l.jobs[s.ID] = j
	for _, n := range s.Needs {
		j.follow(jobs[n], true)
	}
	for _, n := range s.After {
		j.follow(jobs[n], false)
	}
	if j.waits == 0 {
		l.queue = append(l.queue, j)
	}
	return j
}

func (j *job) follow(before *job, needed bool) {
	switch {
	case !before.ended:
		before.then = append(before.then, edge{j, needed})
		j.waits++
	case needed && before.err != nil:
		j.lacks = before
	}
}

// spawn starts as many workers as there is work for. l.mu is held.
func (l *Loader) spawn() {
	for n := len(l.queue); n > 0 && l.running < l.opts.Workers; n-- {
		l.running++
		go l.work()
	}
}

// work loads modules until none is ready.
func (l *Loader) work() {
	l.mu.Lock()
	for len(l.queue) > 0 {
		j := l.queue[0]
		l.queue = l.queue[1:]
		l.mu.Unlock()
		ev, err := l.try(j)
		if l.opts.Observe != nil {
			l.opts.Observe(ev)
		}
		l.mu.Lock()
		ready := l.end(j, err)
		if len(ready) == 0 {
			l.spawn()
			continue
		}
		// Whatever done does, even wait for another module, must not hold up
		// the queue: others take this worker's place.
		l.running--
		l.spawn()
		l.mu.Unlock()
		for _, r := range ready {
			r.done(r.result())
		}
		return
	}
	l.running--
	l.mu.Unlock()
}

// end records how a job ended, queues what has waited only for it, and
// returns the runs that are complete. l.mu is held.
func (l *Loader) end(j *job, err *Error) (ready []*run) {
	j.ended, j.err = true, err
	if err != nil {
		delete(l.jobs, j.step.ID) // the next plan may try again
	}
	for _, e := range j.then {
		if e.needed && err != nil {
			e.job.lacks = j
		}
		if e.job.waits--; e.job.waits == 0 {
			l.queue = append(l.queue, e.job)
		}
	}
	for _, r := range j.watched {
		if r.left--; r.left == 0 {
			ready = append(ready, r)
		}
	}
	j.then, j.watched = nil, nil
	return ready
}

// try loads one module.
func (l *Loader) try(j *job) (ev Event, failed *Error) {
	began := time.Now()
	ev = Event{Step: j.step}
	defer func() {
		if p := recover(); p != nil {
			failed = &Error{Module: j.step.Name, Err: fmt.Errorf("panic: %v", p)}
		}
		ev.Took = time.Since(began)
		if failed != nil {
			ev.Err = failed
		}
	}()
	if before := j.lacks; before != nil {
		chain := append([]string{before.step.Name}, before.err.Chain...)
		return ev, &Error{Module: j.step.Name, Chain: chain, Err: before.err.Err}
	}
	if l.opts.Kernel.Loaded(j.step.Name) {
		ev.Already = true
		return ev, nil
	}
	switch err := l.opts.Kernel.Load(j.step.Path, j.step.Params); {
	case err == nil:
	case errors.Is(err, unix.EEXIST):
		ev.Already = true
	default:
		return ev, &Error{Module: j.step.Name, Err: err}
	}
	return ev, nil
}

// result says how a run ended. All its jobs have.
func (r *run) result() error {
	var errs []error
	for _, w := range r.plan.Want {
		if err := r.jobs[w].err; err != nil {
			errs = append(errs, err)
		}
	}
	there := len(r.plan.Want) - len(errs)
	switch {
	case r.plan.Builtin && r.plan.Any, there > 0 && r.plan.Any:
		return nil
	case len(errs) > 0:
		return errors.Join(errs...)
	case there == 0 && !r.plan.Builtin && len(r.plan.Skipped) > 0:
		s := r.plan.Skipped[0]
		return fmt.Errorf("kmod: load %s: %s: %w", s.Name, s.Reason, ErrSkipped)
	}
	return nil
}
