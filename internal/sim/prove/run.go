package prove

import (
	"fmt"
	"runtime/debug"
	"sync"

	"firstlight/internal/sim"
	"firstlight/internal/sim/gen"
)

// Failure is a seed whose boot broke a rule.
type Failure struct {
	Seed   uint64
	Result *Result
}

// Seeds boots the machines of n seeds from start on, on as many goroutines as
// workers says, and calls failed with those that break a rule, in the order
// of the seeds. It ends early when failed returns false. It returns the sum of
// all that were booted.
func Seeds(start, n uint64, workers int, failed func(Failure) bool) Tally {
	const batch = 64
	type part struct {
		first    uint64
		failures []Failure
		sum      Tally
	}
	var mu sync.Mutex
	var sum Tally
	next, stop := start, false
	done := map[uint64][]Failure{}
	report := start
	take := func() (uint64, bool) {
		mu.Lock()
		defer mu.Unlock()
		if stop || next-start >= n {
			return 0, false
		}
		first := next
		next += batch
		return first, true
	}
	give := func(p part) {
		mu.Lock()
		defer mu.Unlock()
		done[p.first] = p.failures
		sum.Merge(p.sum)
		for {
			list, ok := done[report]
			if !ok {
				return
			}
			delete(done, report)
			report += batch
			for _, f := range list {
				if !stop && !failed(f) {
					stop = true
				}
			}
		}
	}
	var wait sync.WaitGroup
	for range max(workers, 1) {
		wait.Go(func() {
			var bench Bench
			defer bench.Close()
			for first, ok := take(); ok; first, ok = take() {
				p := part{first: first}
				for seed := first; seed < min(first+batch, start+n); seed++ {
					r := bench.Safe(gen.From(seed))
					p.sum.add(seed, r)
					if len(r.Violations) > 0 {
						p.failures = append(p.failures, Failure{seed, r})
					}
				}
				give(p)
			}
		})
	}
	wait.Wait()
	return sum
}

// One boots the machine of a seed. A panic of the core outside of a task, or
// of the simulated machine, is a violation.
func One(seed uint64) *Result { return Safe(gen.From(seed)) }

// Safe boots a machine whose boot may panic.
func Safe(m *gen.Machine) *Result {
	var b Bench
	defer b.Close()
	return b.Safe(m)
}

// Safe is Boot for a machine whose boot may panic.
func (b *Bench) Safe(m *gen.Machine) (r *Result) {
	defer func() {
		if p := recover(); p != nil {
			b.room = sim.Room{} // who knows what is still going on in it
			r = &Result{Machine: m, Failed: -1, Violations: []Violation{{Rule: "no panic", Text: fmt.Sprintf("%v\n%s", p, debug.Stack())}}}
		}
	}()
	return b.Boot(m)
}
