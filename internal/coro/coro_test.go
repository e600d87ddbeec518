package coro

import (
	"slices"
	"testing"
)

func TestWorkGoesOnWhereItPaused(t *testing.T) {
	var s Stock
	defer s.Close()
	var log []string
	var a *Coroutine
	a = s.Get(func() {
		log = append(log, "a1")
		a.Pause()
		log = append(log, "a2")
	})
	b := s.Get(func() { log = append(log, "b") })
	for range 2 {
		log = append(log, "step")
		if a.Resume() != (len(log) > 3) {
			t.Errorf("after %v", log)
		}
		if len(log) == 2 && !b.Resume() {
			t.Error("b has not ended")
		}
	}
	if want := []string{"step", "a1", "b", "step", "a2"}; !slices.Equal(log, want) {
		t.Errorf("%v, want %v", log, want)
	}
	if c := s.Get(func() {}); c != a || !c.Resume() {
		t.Error("the coroutine that ended last does not do the next work")
	}
}
