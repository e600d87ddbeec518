package trace

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"firstlight/internal/journal"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-update writes it):\n%s", name, d)
	}
}

// stack is the journal of a real boot: a root on LUKS on LVM on RAID1.
func stack(t testing.TB) *Boot {
	t.Helper()
	f, err := os.Open("testdata/stack.journal")
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

func TestViewsOfARealBoot(t *testing.T) {
	b := stack(t)
	plain := Style{Width: 100}
	golden(t, "testdata/timeline.want", b.Timeline().Text(plain, DefaultLines))
	golden(t, "testdata/waits.want", b.WaitTable(plain, false))
	golden(t, "testdata/summary.want", b.Summary(5).Text(plain))
	golden(t, "testdata/explain.want", b.Explain(b.Switched, plain))
	golden(t, "testdata/list.want", List(b.Select(Filter{Kinds: []string{"goal", "switch-root", "ask"}}), plain))
}

// The chain leads without a gap from the first record to the decision, and
// the times of its steps add up to the whole.
func TestCriticalPathIsWhole(t *testing.T) {
	b := stack(t)
	chain := b.Critical()
	if first, last := chain[0].Record, chain[len(chain)-1].Record; first.Kind != kindStart || last.Number != b.Switched {
		t.Fatalf("from %v to %v", first, last)
	}
	var sum time.Duration
	for _, s := range b.Steps(chain, 0) {
		sum += s.Took
	}
	if want := b.Record(b.Switched).Time; sum != want {
		t.Errorf("the steps take %v, the boot %v", sum, want)
	}
	var on []string
	for _, l := range chain {
		if name := strings.Fields(Label(l.Record.Subject))[0]; len(on) == 0 || on[len(on)-1] != name {
			on = append(on, name)
		}
	}
	for _, want := range []string{"md", "md127", "pv", "vg", "dm-0", "luks", "dm-1", "root", "boot"} {
		if !contains(on, want) {
			t.Errorf("%s is not on the critical path %v", want, on)
		}
	}
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

// maker builds journals for tests.
type maker struct{ records []journal.Record }

func (m *maker) add(ms int, cause uint64, kind, subject, text string, fields ...string) uint64 {
	n := uint64(len(m.records) + 1)
	m.records = append(m.records, journal.Record{Number: n, Time: time.Duration(ms) * time.Millisecond, Cause: cause,
		Kind: kind, Subject: subject, Text: text, Fields: fields})
	return n
}

// large is a boot of a machine with many devices of which one matters.
func large(devices int) *maker {
	m := &maker{}
	start := m.add(500, 0, "start", "firstlight 1", "6.1")
	m.add(500, start, "goal", "root", "unmet", "want=a root")
	begin := m.add(500, start, "queue", "boot begin", "begin ")
	do := m.add(500, begin, "do", "boot begin", "look at the devices in sysfs")
	found := m.add(520, do, "result", "boot begin", "ok")
	var last uint64
	for i := range devices {
		last = m.add(520, found, "queue", fmt.Sprintf("dev /devices/pci0000:00/dev%04d", i), "add ")
	}
	for i := range devices / 10 { // every tenth loads a driver for a moment
		s := fmt.Sprintf("dev /devices/pci0000:00/dev%04d", i*10)
		m.add(520+i, m.add(520, uint64(6+i*10), "do", s, "load x"), "result", s, "ok")
	}
	s := fmt.Sprintf("dev /devices/pci0000:00/dev%04d", devices-1)
	m.add(900, m.add(600, last, "do", s, "load virtio"), "result", s, "ok")
	disk := m.add(910, 0, "queue", s+"/block/vda", "add /dev/vda")
	r := m.add(950, m.add(910, disk, "do", s+"/block/vda", "read /dev/vda"), "result", s+"/block/vda", "ok")
	met := m.add(950, r, "goal", "root", "met", "want=a root")
	m.add(950, met, "switch-root", "boot", "/sbin/init")
	return m
}

// However many devices there are, the picture stays a page, says what it
// leaves out, and holds what mattered.
func TestTimelineOfALargeMachine(t *testing.T) {
	for _, devices := range []int{20, 2000} {
		b := New(large(devices).records)
		for _, columns := range []int{0, 40, 80, 100, 120, 300} {
			text := b.Timeline().Text(Style{Width: columns}, DefaultLines)
			lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
			if len(lines) > DefaultLines+45 {
				t.Errorf("%d devices: %d lines", devices, len(lines))
			}
			for _, l := range lines {
				if width(l) > maxWidth && !strings.HasPrefix(l, "Not shown") {
					t.Errorf("%d devices, width %d: %d columns: %s", devices, columns, width(l), l)
				}
			}
			if !strings.Contains(text, "* ") || !strings.Contains(text, "vda") || !strings.Contains(text, "load virtio") {
				t.Errorf("%d devices: what mattered is missing:\n%s", devices, text)
			}
		}
		if all := b.Timeline().Text(Style{}, 0); strings.Count(all, "\n") < devices && devices == 2000 {
			t.Error("not all are shown when all are asked for")
		}
	}
	text := New(large(2000).records).Timeline().Text(Style{Width: 120}, DefaultLines)
	if !strings.Contains(text, "Not shown: 1800 devices for which nothing was to be done") {
		t.Errorf("the elided devices are not counted:\n%s", text)
	}
}

// A device that did no more than wait for the one above is not worth a line.
func TestTimelineLeavesOutWhoOnlyWaited(t *testing.T) {
	lanes := []*Lane{
		{Subject: "dev /devices/a/ata1", Waiting: time.Second},
		{Subject: "dev /devices/a", Working: time.Second},
		{Subject: "md a", Waiting: time.Second},
		{Subject: "dev /devices/a/lost", Waiting: time.Second, Error: "it is gone"},
	}
	shown, quiet, brief := choose(lanes, 10, time.Millisecond)
	if len(shown) != 3 || quiet != 1 || brief != 0 || slices.Contains(shown, lanes[0]) {
		t.Errorf("%d shown, %d quiet, %d brief", len(shown), quiet, brief)
	}
}

func TestWaitsNameTheirWakers(t *testing.T) {
	m := &maker{}
	a := m.add(0, 0, "queue", "md a", "add /dev/sda")
	w := m.add(1, a, "wait", "md a", "sdb", "topic=device", "topic=late")
	o := m.add(2, a, "outcome", "root", "wait-for: resume comes first", "topic=resume settled")
	by := m.add(10, 0, "queue", "dev /devices/x/sdb", "add /dev/sdb")
	m.add(12, by, "wake", "md a", "device", fmt.Sprint("wait=", w))
	m.add(20, o, "wake", "root", "resume settled", fmt.Sprint("wait=", o))
	w2 := m.add(21, a, "wait", "md a", "another", "until=40000")
	m.add(40, w2, "deadline", "wait md a", "passed", fmt.Sprint("wait=", w2))
	m.add(50, a, "wait", "luks x", "for ever", "topic=never")
	m.add(60, 0, "say", "", "end")
	got := New(m.records).Waits
	want := []*Wait{
		{Record: w, Subject: "md a", Reason: "sdb", Topics: []string{"device", "late"}, Begin: 1e6, End: 12e6, Ended: 5, Topic: "device", Waker: "dev /devices/x/sdb"},
		{Record: o, Subject: "root", Reason: "resume comes first", Topics: []string{"resume settled"}, Begin: 2e6, End: 20e6, Ended: 6, Topic: "resume settled", Parked: true},
		{Record: w2, Subject: "md a", Reason: "another", Begin: 21e6, End: 40e6, Ended: 8, Expired: true},
		{Record: 9, Subject: "luks x", Reason: "for ever", Topics: []string{"never"}, Begin: 50e6, End: 60e6},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// The kernel's events are put down to what most likely made them.
func TestInference(t *testing.T) {
	m := &maker{}
	pci := m.add(0, 0, "queue", "dev /devices/pci/a", "add ")
	load := m.add(0, pci, "do", "dev /devices/pci/a", "load ahci")
	disk := m.add(50, 0, "queue", "dev /devices/pci/a/ata1/block/sda", "add /dev/sda")
	done := m.add(60, load, "result", "dev /devices/pci/a", "ok")
	bind := m.add(61, 0, "queue", "dev /devices/pci/a", "bind ")
	lq := m.add(70, disk, "queue", "luks x", "add /dev/sda")
	unlock := m.add(70, lq, "do", "luks x", "unlock")
	dm := m.add(90, 0, "queue", "dev /devices/virtual/block/dm-0", "add /dev/dm-0")
	end := m.add(91, unlock, "result", "luks x", "ok")
	change := m.add(95, 0, "queue", "dev /devices/virtual/block/dm-1", "add /dev/dm-1")
	later := m.add(900, 0, "queue", "dev /devices/virtual/block/dm-2", "add /dev/dm-2")
	b := New(m.records)
	for n, want := range map[uint64]uint64{disk: load, bind: done, dm: unlock, change: end, later: 0} {
		c, inferred := b.Cause(b.Record(n))
		switch {
		case want == 0 && c != nil:
			t.Errorf("record %d is put down to %d", n, c.Number)
		case want != 0 && (c == nil || c.Number != want || !inferred):
			t.Errorf("record %d: %v, want %d", n, c, want)
		}
	}
}

// Nothing that stands in a journal may order a terminal about.
func TestTextIsHarmless(t *testing.T) {
	m := &maker{}
	evil := "\x1b]0;x\a\u009b2J\x7f\xff\n"
	q := m.add(0, 0, "queue", "dev /devices/"+evil, evil)
	m.add(5, m.add(1, q, "do", "dev /devices/"+evil, evil), "result", "dev /devices/"+evil, evil, evil+"=1")
	m.add(6, q, "wait", evil, evil, "topic="+evil)
	m.add(6, q, "goal", evil, "given up", "want="+evil, "reason="+evil)
	m.add(7, q, evil, evil, evil)
	b := New(m.records)
	s := Style{Width: 100}
	for name, text := range map[string]string{"list": List(b.Records, s), "timeline": b.Timeline().Text(s, 0), "waits": b.WaitTable(s, true),
		"explain": b.Explain(3, s), "summary": b.Summary(5).Text(s), "critical-path": b.CriticalPath().Text(s, true), "blame": b.Blame(ByOperation).Text(s, 0),
		"why":     b.Why(Target{Subject: evil, Goal: true}).Text(s) + b.Why(Target{Subject: "dev /devices/" + evil}).Text(s),
		"compare": Compare(b, b).Text(s, 0, evil, evil), "plot": b.SVG(0)} {
		if strings.ContainsAny(text, "\x1b\a\x7f\u009b") || !utf8.ValidString(text) {
			t.Errorf("%s: %q", name, text)
		}
	}
}

func TestColourIsAskedFor(t *testing.T) {
	b := stack(t)
	if text := b.Timeline().Text(Style{Width: 100, Color: true}, DefaultLines); !strings.Contains(text, "\x1b[32m") {
		t.Error("no colour")
	}
	if text := List(b.Records, Style{Color: true}); !strings.Contains(text, "\x1b[") {
		t.Error("no colour")
	}
}

func FuzzViews(f *testing.F) {
	b, err := os.ReadFile("testdata/stack.journal")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(b))
	f.Add(journal.Header + "1\t9\t0\tqueue\tdev /devices/a\tadd\n5\t3\t1\twake\tb\tc\twait=1\n")
	f.Fuzz(func(t *testing.T, text string) {
		records, err := journal.Read(strings.NewReader(text))
		if err != nil || len(records) > 1000 {
			return
		}
		b := New(records)
		s := Style{Width: 80}
		if p := b.CriticalPath(); len(p.Steps) > 0 && p.Total != p.Steps[len(p.Steps)-1].End() {
			t.Errorf("the critical path does not add up: %+v", p)
		}
		_ = b.CriticalPath().Text(s, false) + b.Blame(ByKind).Text(s, 5) + b.SVG(20) + Compare(b, b).Text(s, 5, "a", "b")
		if _, err := json.Marshal([]any{b.Export(), b.Perfetto(), b.OTLP(time.Unix(0, 0))}); err != nil {
			t.Error(err)
		}
		for _, r := range records[:min(len(records), 20)] {
			for _, x := range b.Find(r.Subject) {
				_ = b.Why(x).Text(s)
			}
		}
		_ = List(b.Records, s) + b.Timeline().Text(s, 20) + b.WaitTable(s, true) + b.Summary(5).Text(s)
		for _, r := range records[:min(len(records), 20)] {
			if chain := b.Chain(r.Number); len(chain) == 0 || chain[len(chain)-1].Record.Number != r.Number {
				t.Errorf("the chain of %d ends elsewhere", r.Number)
			}
			b.Explain(r.Number, s)
		}
	})
}

// Every view keeps to the width of the terminal; at 80 columns too.
func TestViewsKeepToTheWidth(t *testing.T) {
	for _, name := range fixtures {
		b := fixture(t, name)
		for _, w := range []int{80, 100, 160} {
			s := Style{Width: w}
			for view, text := range map[string]string{"blame": b.Blame(ByOperation).Text(s, 10), "blame by kind": b.Blame(ByKind).Text(s, 10),
				"critical path": b.CriticalPath().Text(s, false), "timeline": b.Timeline().Text(s, 20), "why": b.Why(Target{Subject: "root", Goal: true}).Text(s)} {
				for l := range strings.SplitSeq(text, "\n") {
					// What the console said is shown as it was said.
					if width(l) > w && !strings.HasPrefix(l, "  Wanted:") && !strings.HasPrefix(l, "  Try:") {
						t.Errorf("%s: %s: %d columns of %d: %s", name, view, width(l), w, l)
					}
				}
			}
		}
	}
}
