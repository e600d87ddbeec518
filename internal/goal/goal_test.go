package goal

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

const second = time.Second

func TestClockStandsWhileAPersonIsAsked(t *testing.T) {
	s := NewSet()
	root := s.Add(Goal{Name: "root", Since: 0, Deadline: 90 * second})
	forever := s.Add(Goal{Name: "init", Since: 0})
	s.Pause(10 * second)
	s.Pause(20 * second) // a second question does not count twice
	if s.Next() != nil {
		t.Error("a deadline can pass")
	}
	late := s.Add(Goal{Name: "usr", Since: 30 * second, Deadline: 120 * second})
	s.Resume(70 * second)
	s.Resume(80 * second)
	if root.Deadline != 150*second || late.Deadline != 160*second || forever.Deadline != 0 {
		t.Errorf("%v %v %v", root.Deadline, late.Deadline, forever.Deadline)
	}
	if s.Next() != root {
		t.Error("the clock does not run again")
	}
}

func TestOnlyUnmetGoalsRunOutOfTime(t *testing.T) {
	s := NewSet()
	a := s.Add(Goal{Name: "a", Deadline: second})
	b := s.Add(Goal{Name: "b", Deadline: 2 * second})
	a.State = GivenUp
	if s.Next() != b || s.Met() {
		t.Error("a goal is given up twice")
	}
	a.State, b.State = Met, Met // met after all
	if s.Next() != nil || !s.Met() || s.Get("b") != b || s.Get("c") != nil {
		t.Error("not met")
	}
}

func situation() *Situation {
	s := NewSet()
	s.Add(Goal{Name: "init", Want: "an init in the real root", Last: true})
	s.Add(Goal{Name: "root", Want: "UUID=1 mounted as the root", Deadline: 90 * second, OnExpiry: "given up"})
	x := &Situation{Now: 12 * second, Set: s,
		Facts: []Fact{{Subject: "disk a", Condition: Present, Text: "there"},
			{Subject: "RAID md0", Condition: Incomplete, Text: "1 of 2 members", Since: 2 * second, Until: 20 * second, AtExpiry: "starts degraded", Try: "connect it"}}}
	x.Add(Try, "connect it")
	x.Add(Try, "look again")
	x.Add(Seen, "sda ext4 UUID=2")
	x.Add(Drivers, "nvme: not in this image")
	x.Add(Doing, "read /dev/sdc")
	return x
}

func TestScreenSaysWhatIsWantedThereMissingSinceWhenAndWhatToTry(t *testing.T) {
	want := []string{
		"Wanted:  UUID=1 mounted as the root, for 12 s; given up in 78 s",
		"Needs:   RAID md0: 1 of 2 members, for 10 s; starts degraded in 8.0 s",
		"         disk a: there",
		"Seen:    sda ext4 UUID=2",
		"Drivers: nvme: not in this image",
		"Doing:   read /dev/sdc",
		"Try:     connect it",
		"         look again",
	}
	if got := situation().Explain(); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestInitIsSpokenOfOnceItAloneIsMissing(t *testing.T) {
	s := situation()
	s.Set.Get("root").State = Met
	if got := s.Explain()[0]; got != "Wanted:  an init in the real root, for 12 s" {
		t.Error(got)
	}
}

func TestTimelessSituationsAreEqualWhateverTheClockSays(t *testing.T) {
	a, b := situation(), situation()
	a.Timeless, b.Timeless = true, true
	b.Now = 19 * second
	if x, y := a.Explain(), b.Explain(); !slices.Equal(x, y) {
		t.Errorf("%q\n%q", x, y)
	}
	b = situation()
	b.Timeless = true
	b.Facts[1].Text = "0 of 2 members"
	if slices.Equal(situation().Explain(), b.Explain()) {
		t.Error("another fact makes no difference")
	}
}

// Whatever there is to say, the screen is not larger than the smallest
// console, no line is empty, and each part that is cut says so.
func TestScreenFitsTheSmallestConsole(t *testing.T) {
	long := strings.Repeat("a long word and 90 s of it ", 12)
	for _, n := range []int{0, 1, 2, 3, 5, 30} {
		for _, text := range []string{"short", long, strings.Repeat("ä", 300), strings.Repeat("x", 500), "a\nb"} {
			s := situation()
			for i := range n {
				s.Set.Add(Goal{Name: fmt.Sprint(i), Want: text + fmt.Sprint(i)})
				s.Facts = append(s.Facts, Fact{Subject: fmt.Sprint(i), Condition: Blocked, Text: text, Try: text + fmt.Sprint(i)})
				for p := range parts {
					s.Add(p, fmt.Sprint(i, " ", text))
				}
			}
			got := s.Explain()
			if len(got) > Height {
				t.Errorf("%d lines", len(got))
			}
			heads := 0
			for _, l := range got {
				if utf8.RuneCountInString(l) > Width || !utf8.ValidString(l) || strings.TrimSpace(l) == "" || strings.Contains(l, "\n") {
					t.Errorf("line %q", l)
				}
				if l[0] != ' ' {
					heads++
				}
			}
			if n == 30 && (heads < 5 || !strings.Contains(strings.Join(got, "\n"), "more")) {
				t.Errorf("%d parts:\n%s", heads, strings.Join(got, "\n"))
			}
		}
	}
	empty := Situation{Set: NewSet()}
	if got := empty.Explain(); !slices.Equal(got, []string{"Seen:    no block device at all"}) {
		t.Error(got)
	}
}

func TestNumberStaysWithItsUnit(t *testing.T) {
	for pad := range 80 {
		text := strings.Repeat("x", pad) + " for 90 s; starts degraded in 8.0 s, or so"
		for _, l := range wrap(text) {
			if strings.HasPrefix(strings.TrimSpace(l), "s") && !strings.HasPrefix(strings.TrimSpace(l), "starts") {
				t.Errorf("%q in %q", l, text)
			}
		}
	}
}

func TestLineOfProgressNamesTheWorstAndWhatHappensThen(t *testing.T) {
	s := situation()
	if got, want := s.Progress(), "waiting for UUID=1 mounted as the root: RAID md0: 1 of 2 members (for 12 s; starts degraded in 8.0 s)"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	s.Facts = nil
	if got, want := s.Progress(), "waiting for UUID=1 mounted as the root: read /dev/sdc (for 12 s; given up in 78 s)"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 KiB", 1 << 20: "1024 KiB", 64 << 20: "64 MiB", 10239 << 20: "10239 MiB", 20 << 30: "20 GiB", 2000398934016: "1863 GiB", 1 << 54: "16 PiB"} {
		if got := Bytes(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

func TestSeconds(t *testing.T) {
	for d, want := range map[time.Duration]string{-second: "0.0 s", 400 * time.Millisecond: "0.4 s", 12 * second: "12 s", 185 * second: "3 min 5 s"} {
		if got := Seconds(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

// A wait that is begun while the clock stands does not get the pause twice.
func TestDeadlineSetWhileTheClockStands(t *testing.T) {
	s := NewSet()
	g := s.Add(Goal{Name: "root", Since: 0, Deadline: 20 * time.Second})
	s.Pause(2 * time.Second)
	g.Deadline = max(g.Deadline, s.From(g, 45*time.Second)+20*time.Second)
	late := s.Add(Goal{Name: "late", Since: 50 * time.Second})
	late.Deadline = s.From(late, 60*time.Second) + 10*time.Second
	s.Resume(200 * time.Second)
	if want := 220 * time.Second; g.Deadline != want {
		t.Errorf("deadline %v, want %v", g.Deadline, want)
	}
	if want := 210 * time.Second; late.Deadline != want {
		t.Errorf("deadline of a goal that came meanwhile %v, want %v", late.Deadline, want)
	}
	if at := s.From(g, 210*time.Second); at != 210*time.Second {
		t.Errorf("the clock runs, and a wait begins at %v", at)
	}
}
