package trace

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"firstlight/internal/journal"
)

// fixtures are journals of real boots: stack and raid-lvm-luks a root on LUKS
// on LVM on RAID1, plain a plain disk, late a disk that was plugged in after
// the deadline, lost one that never came.
var fixtures = []string{"stack", "raid-lvm-luks", "plain", "late", "lost"}

func fixture(t testing.TB, name string) *Boot {
	t.Helper()
	f, err := os.Open("testdata/" + name + ".journal")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	records, err := journal.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	return New(records)
}

// Nobody has to ask where the rest of the time is: the steps follow on each
// other from the start of the kernel, and add up.
func TestCriticalPathAddsUp(t *testing.T) {
	for _, name := range fixtures {
		b := fixture(t, name)
		p := b.CriticalPath()
		var at, classes time.Duration
		for _, s := range p.Steps {
			if s.Begin != at {
				t.Errorf("%s: %q begins at %v, the step before ends at %v", name, s.What, s.Begin, at)
			}
			at = s.End()
		}
		for _, d := range p.Classes {
			classes += d
		}
		if want := b.Record(p.End).Time; p.Total != want || at != want || classes != want {
			t.Errorf("%s: total %v, last end %v, classes %v; want %v", name, p.Total, at, classes, want)
		}
		if p.Switched != (name != "lost") || p.Switched && p.End != b.Switched {
			t.Errorf("%s: switched %v, end %d", name, p.Switched, p.End)
		}
	}
}

// What is printed adds up as well, with the shorter steps together.
func TestCriticalPathText(t *testing.T) {
	golden(t, "testdata/critical-path.want", fixture(t, "raid-lvm-luks").CriticalPath().Text(Style{Width: 100}, false))
	for _, name := range fixtures {
		for _, w := range []int{0, 40, 80, 200} {
			for l := range strings.SplitSeq(fixture(t, name).CriticalPath().Text(Style{Width: w}, false), "\n") {
				if w >= 100 && width(l) > w {
					t.Errorf("%s: %d columns: %s", name, width(l), l)
				}
			}
		}
	}
}

// An array's queue that still reads the first member when the second comes:
// only a faster reading of the first would have made the boot shorter.
func TestCriticalPathGoesThroughTheBusyQueue(t *testing.T) {
	m := &maker{}
	s := m.add(0, 0, "start", "firstlight 1", "6.1")
	a := m.add(10, s, "queue", "md x", "add /dev/sda")
	do := m.add(10, a, "do", "md x", "read sda")
	slow := m.add(10, s, "do", "dev /devices/sdb", "read sdb")
	found := m.add(60, slow, "result", "dev /devices/sdb", "ok")
	q := m.add(60, found, "queue", "md x", "add /dev/sdb")
	done := m.add(100, do, "result", "md x", "ok")
	out := m.add(100, done, "outcome", "md x", "done")
	do2 := m.add(101, q, "do", "md x", "read sdb's superblock")
	r := m.add(120, do2, "result", "md x", "ok")
	m.add(120, r, "switch-root", "boot", "/sbin/init")
	b := New(m.records)
	type row struct {
		What  string
		Class Class
		Took  time.Duration
		Held  time.Duration
	}
	var got []row
	for _, s := range b.CriticalPath().Steps {
		x := row{s.What, s.Class, s.Took, 0}
		if s.Held != nil {
			x.Held = s.Held.Took
		}
		got = append(got, x)
	}
	want := []row{
		{"add /dev/sda", ClassEvent, 10e6, 0},
		{"read sda", ClassWork, 90e6, 0},
		{"turn of the queue: read sdb's superblock", ClassQueue, 1e6, 41e6},
		{"read sdb's superblock", ClassWork, 19e6, 0},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if busy := b.keptBusy(b.Record(do2)); busy == nil || busy.Number != out {
		t.Errorf("kept busy by %v", busy)
	}
	// The plain chain of causes is another.
	if c, _ := b.Cause(b.Record(do2)); c.Number != q {
		t.Errorf("its cause is %v", c)
	}
}

func TestStepsSayWhatWasWaitedFor(t *testing.T) {
	m := &maker{}
	s := m.add(100, 0, "start", "firstlight 1", "6.1")
	a := m.add(100, s, "queue", "root", "add /dev/sda")
	w := m.add(110, a, "outcome", "root", "wait-for: resume comes first", "topic=resume settled")
	d := m.add(110, s, "do", "resume", "read swap")
	r := m.add(400, d, "result", "resume", "ok")
	wake := m.add(400, r, "wake", "root", "resume settled", fmt.Sprint("wait=", w))
	ask := m.add(400, wake, "ask", "root", "which one?")
	said := m.add(700, ask, "result", "root", "ok")
	wt := m.add(700, said, "wait", "root", "a miracle", "until=900000")
	dl := m.add(900, wt, "deadline", "wait root", "passed", fmt.Sprint("wait=", wt))
	m.add(900, dl, "switch-root", "boot", "/sbin/init")
	b := New(m.records)
	var got []string
	for _, s := range b.CriticalPath().Steps {
		x := fmt.Sprintf("%s %s %v", s.Class, s.What, s.Took)
		if s.Held != nil {
			x += fmt.Sprintf(" held %v by %s", s.Held.Took, s.Held.For)
		}
		got = append(got, x)
	}
	want := []string{"kernel from its start to /init 100ms", "queue turn of the queue: read swap 10ms", "work read swap 290ms",
		"person which one? 300ms held 290ms by resume comes first", "deadline until its deadline, for: a miracle 200ms"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// The sums of blame are those of the operations, however they are added up,
// and what is critical adds up to the work of the critical path.
func TestBlameAddsUp(t *testing.T) {
	for _, name := range fixtures {
		b := fixture(t, name)
		p := b.CriticalPath()
		var all, wait time.Duration
		for _, o := range b.Operations {
			all += o.Took()
		}
		for _, w := range b.Waits {
			if !b.Idle(w) {
				wait += w.Took()
			}
		}
		for _, by := range Bys() {
			m := b.Blame(by)
			var took, critical, waits time.Duration
			count := 0
			for _, x := range m.Work {
				took, critical, count = took+x.Took, critical+x.Critical, count+x.Count
				if x.Critical > x.Took || x.Longest > x.Took {
					t.Errorf("%s by %s: %+v", name, by, x)
				}
			}
			for _, x := range m.Waits {
				waits += x.Took
			}
			if took != all || waits != wait || count != len(b.Operations) || critical != p.Classes[ClassWork]+p.Classes[ClassPerson] {
				t.Errorf("%s by %s: %v in %d, critical %v, waits %v; want %v, %v, %v", name, by, took, count, critical, waits, all, p.Classes, wait)
			}
			if !slices.IsSortedFunc(m.Work, func(x, y Blamed) int { return int(y.Took - x.Took) }) {
				t.Errorf("%s by %s: not in order", name, by)
			}
		}
	}
	golden(t, "testdata/blame.want", fixture(t, "raid-lvm-luks").Blame(ByKind).Text(Style{Width: 100}, 8))
}
