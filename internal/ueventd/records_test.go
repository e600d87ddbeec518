package ueventd

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// lines is a Recorder that keeps each record as a line.
type lines []string

func (l *lines) Record(cause uint64, kind, subject, text string, fields ...string) uint64 {
	n := len(*l) + 1
	*l = append(*l, strings.TrimRight(fmt.Sprintf("%d<%d %s %s: %s %s", n, cause, kind, subject, text, strings.Join(fields, " ")), " "))
	return uint64(n)
}

func (l *lines) want(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(*l, want) {
		t.Errorf("recorded\n\t%s\nwant\n\t%s", strings.Join(*l, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func TestQuietEventLeavesOneRecord(t *testing.T) {
	var rec lines
	s := New(&rec)
	s.Route("dev", func(*Task, Event) Outcome { return Outcome{} })
	s.Push(Event{Queue: "dev a", Kind: "add", Name: "sda"})
	s.Run()
	rec.want(t, "1<0 queue dev a: add sda")
}

func TestWakeNamesTheWakerAndTheWait(t *testing.T) {
	var rec lines
	s := New(&rec)
	s.Route("a", func(t *Task, _ Event) Outcome {
		t.Wait("b to come", "b", "c")
		t.Record("decision", "on")
		return Outcome{}
	})
	s.Route("b", func(t *Task, _ Event) Outcome { t.Scheduler().Notify("b"); return Outcome{} })
	s.Push(Event{Queue: "a", Kind: "add"})
	s.Run()
	s.Push(Event{Queue: "b", Kind: "add"})
	s.Run()
	rec.want(t, "1<0 queue a: add", "2<1 wait a: b to come topic=b topic=c", "3<0 queue b: add",
		"4<3 wake a: b wait=2", "5<4 decision a: on", "6<5 outcome a: done")
}

// An event that is put aside and looked at again on every device is recorded
// when that changes something, not each time.
func TestWaitingOnIsNotRecordedAgain(t *testing.T) {
	var rec lines
	s := New(&rec)
	there := false
	s.Route("mount", func(*Task, Event) Outcome {
		if !there {
			return WaitFor("the disk", "device")
		}
		return Outcome{}
	})
	s.Push(Event{Queue: "mount", Kind: "add"})
	s.Run()
	for range 100 {
		s.Notify("device")
		s.Run()
	}
	there = true
	s.Notify("device")
	s.Run()
	rec.want(t, "1<0 queue mount: add", "2<1 outcome mount: wait-for: the disk topic=device",
		"3<2 wake mount: device wait=2", "4<3 outcome mount: done")
}

func TestDeadlineEndsTheWait(t *testing.T) {
	var rec lines
	s := New(&rec)
	s.Route("a", func(t *Task, _ Event) Outcome {
		if t.WaitUntil(2*time.Second, "b", "b") {
			t.Record("decision", "without")
		}
		return Outcome{}
	})
	s.Push(Event{Queue: "a", Kind: "add"})
	s.Run()
	s.Advance(2 * time.Second)
	s.Run()
	rec.want(t, "1<0 queue a: add", "2<1 wait a: b topic=b until=2000000", "3<1 deadline wait a: passed wait=2",
		"4<3 decision a: without", "5<4 outcome a: done")
}

// What a passed deadline leads to, and what is pushed while an input is taken
// in, names it as the cause.
func TestCausesOfInputs(t *testing.T) {
	var rec lines
	s := New(&rec)
	s.Route("a", func(*Task, Event) Outcome { return Outcome{} })
	s.Caused(s.Note("mounts", "", "/"), func() {
		s.Push(Event{Queue: "a", Kind: "now"})
		s.Deadline("late", time.Second, Event{Queue: "a", Kind: "then"})
	})
	s.Push(Event{Queue: "a", Kind: "free"})
	s.Advance(time.Second)
	s.Run()
	rec.want(t, "1<0 mounts : /", "2<1 queue a: now", "3<0 queue a: free", "4<1 deadline late: passed", "5<4 queue a: then")
}
