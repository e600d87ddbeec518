// Package coro keeps coroutines: straight-line code that can stop in the
// middle and go on later, one at a time with whoever runs it.
//
// A coroutine that has ended its work takes the next, on the stack that has
// grown meanwhile. Nothing here runs by itself or at the same time as anything
// else, and so the order of everything is that of the calls.
package coro

import "iter"

// Stock are coroutines that have nothing to do. The zero value is empty. It
// is not safe for concurrent use.
type Stock struct{ idle []*Coroutine }

// Coroutine carries out one piece of work after the other. It belongs to
// whoever got it until its work has ended; then it is back in the Stock.
type Coroutine struct {
	of    *Stock
	work  func()
	next  func() (struct{}, bool)
	stop  func()
	yield func(struct{}) bool
}

// Get returns an idle coroutine that will do work, beginning with the first
// Resume. A panic of work must not leave it.
func (s *Stock) Get(work func()) *Coroutine {
	if n := len(s.idle); n > 0 {
		c := s.idle[n-1]
		s.idle = s.idle[:n-1]
		c.work = work
		return c
	}
	c := &Coroutine{of: s, work: work}
	c.next, c.stop = iter.Pull(func(yield func(struct{}) bool) {
		c.yield = yield
		for goOn := true; goOn; goOn = yield(struct{}{}) {
			c.work()
			c.work = nil
		}
	})
	return c
}

// Close ends the idle coroutines.
func (s *Stock) Close() {
	for _, c := range s.idle {
		c.stop()
	}
	s.idle = nil
}

// Resume lets the work go on until it pauses, and says whether it has ended.
func (c *Coroutine) Resume() (ended bool) {
	c.next()
	if c.work != nil {
		return false
	}
	c.of.idle = append(c.of.idle, c)
	return true
}

// Pause is called by the work: it returns with the next Resume.
func (c *Coroutine) Pause() { c.yield(struct{}{}) }
