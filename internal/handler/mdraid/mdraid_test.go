package mdraid

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/handler/handlertest"
	"firstlight/internal/mdsuper"
	fixtures "firstlight/test/fixtures/lvmmd"
)

func register(w *handler.World) func() { return New(w).Start }

// disk is a member of an array that mdadm made: number i of a case, plugged
// in under a name.
func disk(t *testing.T, name string, i int, node string) handlertest.Disk {
	t.Helper()
	c := fixtures.Open(t, "../../mdsuper/testdata/arrays.tar.zst")
	d, ok := c.Device(t, name, i)
	if !ok {
		t.Fatalf("%s has no member %d", name, i)
	}
	return handlertest.Disk{Name: node, Content: d, Size: d.Size}
}

func super(t *testing.T, d handlertest.Disk) *mdsuper.Super {
	t.Helper()
	s, err := mdsuper.Read(d.Content, d.Size)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// started lists the arrays that the kernel was told to run.
func started(b *handlertest.Boot) []string {
	var list []string
	for _, w := range b.Machine.Writes {
		if name, ok := strings.CutPrefix(w, "read-auto > /block/"); ok {
			name, _, _ = strings.Cut(name, "/")
			list = append(list, name)
		}
	}
	return list
}

func boot(t *testing.T, cmdline, conf string) *handlertest.Boot {
	t.Helper()
	b := handlertest.New(t, cmdline, handler.Image{MdadmConf: conf, Hostname: "ironwood"}, register)
	t.Cleanup(func() {
		if t.Failed() {
			b.Dump()
		}
	})
	return b
}

func TestCompleteArrayIsStartedAtOnceWithoutAnyTimer(t *testing.T) {
	for _, name := range []string{"raid1-1.2", "raid1-1.0", "raid1-0.90", "raid1spare-1.2", "raid1bitmap-1.2"} {
		t.Run(name, func(t *testing.T) {
			b := boot(t, "", "")
			b.Add(disk(t, name, 1, "vdb"))
			if got := started(b); len(got) != 0 {
				t.Fatalf("started with one member: %v", got)
			}
			if f := b.Fact("RAID array"); f.Condition != goal.Incomplete || !strings.Contains(f.Text, "1 of 2 members (/dev/vdb); missing: slot") ||
				f.Until != handlertest.Start+15*time.Second || f.AtExpiry == "" {
				t.Errorf("fact %+v", f)
			}
			b.Add(disk(t, name, 0, "vda"))
			if got := started(b); len(got) != 1 {
				t.Fatalf("started: %v", got)
			}
			if s := b.Core.Stats(); s.Fired != 0 {
				t.Errorf("%d deadlines fired", s.Fired)
			}
			if !slices.Contains(b.Machine.Loaded, "md-level-1") || !slices.Contains(b.Machine.Loaded, "md_mod") {
				t.Errorf("loaded %v", b.Machine.Loaded)
			}
			if f := b.Fact("RAID array"); f.Condition != goal.Present {
				t.Errorf("fact %+v", f)
			}
		})
	}
}

// The names are what the rules make the links of: they come from the map
// through the builtin md_export.
func TestArrayGetsItsLinks(t *testing.T) {
	b := boot(t, "", "ARRAY /dev/md/tree devices=/dev/vda,/dev/vdb\n")
	d := disk(t, "raid1-1.2", 0, "vda")
	b.Add(d, disk(t, "raid1-1.2", 1, "vdb"))
	e := b.World().Devices.ByName("/dev/md/tree")
	if e == nil || e.Devname() != "/dev/md127" {
		t.Fatalf("/dev/md/tree is %v", e)
	}
	uuid := super(t, d).UUID.String()
	for k, want := range map[string]string{"MD_LEVEL": "raid1", "MD_DEVICES": "2", "MD_METADATA": "1.2", "MD_UUID": uuid, "MD_DEVNAME": "tree"} {
		if got := e.Property(k); got != want {
			t.Errorf("%s is %q, want %q", k, got, want)
		}
	}
	if !e.HasLink("disk/by-id/md-uuid-" + uuid) {
		t.Errorf("links %v", e.Links())
	}
	if m := b.Machine.Files[MapFile]; !strings.HasPrefix(m, "md127 1.2 ") || !strings.HasSuffix(m, " /dev/md/tree\n") {
		t.Errorf("map %q", m)
	}
}

func TestTwoArraysAtOnceGetDifferentNames(t *testing.T) {
	b := boot(t, "", "")
	b.Add(disk(t, "raid1-1.2", 0, "vda"), disk(t, "raid5-1.2", 0, "vdc"), disk(t, "raid1-1.2", 1, "vdb"),
		disk(t, "raid5-1.2", 1, "vdd"), disk(t, "raid5-1.2", 2, "vde"))
	got := started(b)
	slices.Sort(got)
	if len(slices.Compact(got)) != 2 || len(strings.Split(strings.TrimSpace(b.Machine.Files[MapFile]), "\n")) != 2 {
		t.Errorf("started %v, map %q", got, b.Machine.Files[MapFile])
	}
}

func TestArrayStartsDegradedAfterTheQuietPeriod(t *testing.T) {
	b := boot(t, "", "")
	b.Add(disk(t, "raid5-1.2", 0, "vda"))
	if f := b.Fact("RAID array"); f.Until != 0 || !strings.Contains(f.Text, "not enough for raid5") {
		t.Errorf("one of three: %+v", f)
	}
	b.Pass(20 * time.Second)
	if got := started(b); len(got) != 0 {
		t.Fatalf("started too few members: %v", got)
	}
	b.Add(disk(t, "raid5-1.2", 2, "vdc"))
	b.Pass(14 * time.Second)
	if got := started(b); len(got) != 0 {
		t.Fatal("started before its time")
	}
	b.Pass(2 * time.Second)
	if got := started(b); len(got) != 1 {
		t.Fatalf("started %v", got)
	}
	if !b.Said("degraded as /dev/md127: 2 of 3 members (/dev/vda, /dev/vdc); missing: slot 1") {
		t.Error("it was not said what is missing")
	}
	// Taking it in again is a write, and the real system's decision.
	writes := len(b.Machine.Writes)
	b.Add(disk(t, "raid5-1.2", 1, "vdb"))
	if len(b.Machine.Writes) != writes || !b.Said("/dev/vdb (slot 1) came when its RAID array md127 was running already") {
		t.Errorf("late member: writes %v", b.Machine.Writes[writes:])
	}
}

func TestEachMemberStartsTheQuietPeriodAnew(t *testing.T) {
	b := boot(t, "rd.firstlight.degraded=10", "")
	b.Add(disk(t, "raid6-1.2", 0, "vda"), disk(t, "raid6-1.2", 1, "vdb"))
	b.Pass(9 * time.Second)
	b.Add(disk(t, "raid6-1.2", 2, "vdc"))
	b.Pass(9 * time.Second)
	if got := started(b); len(got) != 0 {
		t.Fatal("started before its time")
	}
	b.Pass(time.Second)
	if got := started(b); len(got) != 1 {
		t.Fatalf("started %v", got)
	}
}

func TestMemberThatIsPulledOutIsForgotten(t *testing.T) {
	b := boot(t, "", "")
	b.Add(disk(t, "raid5-1.2", 0, "vda"), disk(t, "raid5-1.2", 1, "vdb"))
	b.Remove("vdb")
	b.Pass(time.Minute)
	if got := started(b); len(got) != 0 {
		t.Fatalf("started %v", got)
	}
	b.Remove("vda")
	if f := b.Fact("RAID array"); f.Subject != "" {
		t.Errorf("fact %+v", f)
	}
}

func TestContradictionsAreNeverChosenFrom(t *testing.T) {
	t.Run("split brain", func(t *testing.T) {
		b := boot(t, "", "")
		b.Add(disk(t, "raid1split-1.2", 0, "vda"), disk(t, "raid1split-1.2", 1, "vdb"))
		b.Pass(time.Minute)
		f := b.Fact("RAID array")
		if got := started(b); len(got) != 0 || f.Condition != goal.Blocked || !strings.Contains(f.Text, "were each used without the other") || f.Try == "" {
			t.Errorf("started %v, fact %+v", got, f)
		}
	})
	t.Run("duplicate", func(t *testing.T) {
		b := boot(t, "", "")
		b.Add(disk(t, "raid1-1.2", 0, "vda"), disk(t, "raid1-1.2", 0, "vdc"), disk(t, "raid1-1.2", 1, "vdb"))
		b.Pass(time.Minute)
		f := b.Fact("RAID array")
		if got := started(b); len(got) != 0 || f.Condition != goal.Blocked || !strings.Contains(f.Text, "/dev/vda and /dev/vdc both have slot 0") {
			t.Errorf("started %v, fact %+v", got, f)
		}
		b.Remove("vdc")
		if got := started(b); len(got) != 1 {
			t.Errorf("without the copy: started %v", got)
		}
	})
	t.Run("stale member", func(t *testing.T) {
		b := boot(t, "", "")
		b.Add(disk(t, "raid1stale-1.2", 0, "vda"), disk(t, "raid1stale-1.2", 1, "vdb"))
		b.Pass(time.Minute)
		if got := started(b); len(got) != 1 || !b.Said("out of date") && !b.Said("left out") {
			t.Errorf("started %v", got)
		}
		n := 0
		for _, w := range b.Machine.Writes {
			if strings.HasSuffix(w, "/md/new_dev") {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d members were added", n)
		}
	})
}

func TestDirtyDegradedParityNeedsTheKernelsWord(t *testing.T) {
	b := boot(t, "", "")
	b.Add(disk(t, "raid5dirty-1.2", 0, "vda"), disk(t, "raid5dirty-1.2", 1, "vdb"))
	b.Pass(time.Minute)
	if f := b.Fact("RAID array"); len(started(b)) != 0 || !strings.Contains(f.Try, "md_mod.start_dirty_degraded=1") {
		t.Errorf("started %v, fact %+v", started(b), f)
	}
	b = boot(t, "md_mod.start_dirty_degraded=1", "")
	b.Add(disk(t, "raid5dirty-1.2", 0, "vda"), disk(t, "raid5dirty-1.2", 1, "vdb"))
	b.Pass(time.Minute)
	if len(started(b)) != 1 || !slices.Contains(b.Machine.Writes, "0 > /module/md_mod/parameters/start_dirty_degraded") {
		t.Errorf("allowed: %v", b.Machine.Writes)
	}
}

func TestWhatMayBeAssembled(t *testing.T) {
	uuid := super(t, disk(t, "raid1-1.2", 0, "vda")).UUID.String()
	for _, c := range []struct {
		cmdline, conf string
		want          bool
	}{
		{"", "", true},
		{"rd.md=0", "", false},
		{"rd.md.uuid=" + uuid, "", true},
		{"rd.md.uuid=00000000:00000000:00000000:00000001", "", false},
		{"rd.md.uuid=00000000:00000000:00000000:00000001 rd.md.uuid=" + uuid, "", true},
		{"", "AUTO -all\n", false},
		{"", "AUTO -all\nARRAY /dev/md7 uuid=" + uuid + "\n", true},
		{"", "ARRAY <ignore> uuid=" + uuid + "\n", false},
		{"rd.md.conf=0", "AUTO -all\n", true},
		{"rd.hostonly=0", "AUTO -all\n", true},
		{"", "DEVICE /dev/sd*\n", false},
		{"", "DEVICE /dev/vd[ab]\n", true},
	} {
		b := boot(t, c.cmdline, c.conf)
		b.Add(disk(t, "raid1-1.2", 0, "vda"), disk(t, "raid1-1.2", 1, "vdb"))
		if got := len(started(b)) == 1; got != c.want {
			t.Errorf("%q with %q: started %v, want %v", c.cmdline, c.conf, got, c.want)
		}
		b.Pass(time.Minute)
		if f := b.Fact("RAID array"); !c.want && f.Subject != "" && f.Condition != goal.LeftAlone {
			t.Errorf("%q with %q: fact %+v on what is not to be started", c.cmdline, c.conf, f)
		}
	}
}

func TestFailedStartIsTakenApartAndTriedAgain(t *testing.T) {
	b := boot(t, "", "")
	fail := true
	b.Machine.WriteError = func(path, value string) error {
		if fail && strings.HasSuffix(path, "array_state") && value == "read-auto" {
			return errors.New("invalid argument")
		}
		return nil
	}
	b.Add(disk(t, "raid1-1.2", 0, "vda"), disk(t, "raid1-1.2", 1, "vdb"))
	if f := b.Fact("RAID array"); f.Condition != goal.Blocked || !strings.Contains(f.Text, "invalid argument") {
		t.Errorf("fact %+v", f)
	}
	if !slices.Contains(b.Machine.Writes, "clear > /block/md127/md/array_state") || b.Machine.Files[MapFile] != "" {
		t.Errorf("not taken apart: %v, map %q", b.Machine.Writes, b.Machine.Files[MapFile])
	}
	fail = false
	b.World().Sched.Notify(handler.TopicRetry)
	b.Run()
	if f := b.Fact("RAID array"); f.Condition != goal.Present {
		t.Errorf("fact after the second try %+v", f)
	}
}

func TestMissingDriverIsNamed(t *testing.T) {
	b := boot(t, "", "")
	b.Machine.Lacks["md-level-1"] = true
	b.Add(disk(t, "raid1-1.2", 0, "vda"), disk(t, "raid1-1.2", 1, "vdb"))
	if len(b.World().Missing) != 1 || !strings.Contains(b.World().Missing[0], "md-level-1") {
		t.Errorf("missing drivers %v", b.World().Missing)
	}
}

func TestArrayThatTheKernelHasIsLeftToIt(t *testing.T) {
	b := boot(t, "", "")
	a := disk(t, "raid1-1.2", 0, "vda")
	a.Attrs = map[string]string{"holders/md0/x": ""}
	b.Add(a, disk(t, "raid1-1.2", 1, "vdb"))
	if len(b.Machine.Writes) != 0 {
		t.Errorf("wrote %v", b.Machine.Writes)
	}
}

// states lists what the arrays were told to be.
func states(b *handlertest.Boot) []string {
	var list []string
	for _, w := range b.Machine.Writes {
		if value, path, ok := strings.Cut(w, " > /block/"); ok && strings.HasSuffix(path, "/md/array_state") {
			list = append(list, value)
		}
	}
	return list
}

func TestPolicyForAMissingMember(t *testing.T) {
	for _, c := range []struct {
		cmdline string
		after   time.Duration // 0: never
		state   string
		said    string
	}{
		{"", 15 * time.Second, "read-auto", "degraded as /dev/md127"},
		{"rd.md.degraded=4", 4 * time.Second, "read-auto", "Nothing of it came for 4.0 s"},
		{"rd.md.degraded=4,ro", 4 * time.Second, "readonly", "degraded and read-only as /dev/md127"},
		{"rd.md.degraded=overlay", 15 * time.Second, "readonly", "degraded and read-only as /dev/md127"},
		{"rd.md.degraded=never", 0, "", ""},
		{"raid-member-delay=0", 0, "", ""},
		{"raid-member-delay=0 rd.md.degraded=2", 2 * time.Second, "read-auto", ""},
		{"rd.retry=9", 6 * time.Second, "read-auto", ""},
	} {
		t.Run(c.cmdline, func(t *testing.T) {
			b := boot(t, c.cmdline, "")
			b.Add(disk(t, "raid5-1.2", 0, "vda"), disk(t, "raid5-1.2", 2, "vdc"))
			f := b.Fact("RAID array")
			if c.after == 0 {
				b.Pass(10 * time.Minute)
				if len(states(b)) != 0 || f.Until != 0 || !strings.Contains(f.Text, "not started without") || !strings.Contains(f.Try, "rd.md.degraded=15") {
					t.Errorf("states %v, fact %+v", states(b), f)
				}
				b.Add(disk(t, "raid5-1.2", 1, "vdb"))
				if got := states(b); !slices.Equal(got, []string{"read-auto"}) {
					t.Errorf("once whole: %v", got)
				}
				return
			}
			if f.Until != handlertest.Start+c.after || strings.Contains(f.AtExpiry, "read-only") != (c.state == "readonly") {
				t.Errorf("fact %+v", f)
			}
			b.Pass(c.after - time.Millisecond)
			if len(states(b)) != 0 {
				t.Fatal("started before its time")
			}
			b.Pass(time.Millisecond)
			if got := states(b); !slices.Equal(got, []string{c.state}) {
				t.Errorf("states %v, want %s", got, c.state)
			}
			if !b.Said(c.said) {
				t.Errorf("nothing like %q was said", c.said)
			}
		})
	}
}

// One that had lost its member before it was last used is as it was.
func TestArrayThatWasDegradedIsStartedAsItWas(t *testing.T) {
	for _, cmdline := range []string{"", "rd.md.degraded=ro", "rd.md.degraded=never"} {
		b := boot(t, cmdline, "")
		b.Add(disk(t, "raid1stale-1.2", 0, "vda"))
		if got := states(b); !slices.Equal(got, []string{"read-auto"}) {
			t.Errorf("%q: states %v", cmdline, got)
		}
	}
}

func TestArrayWithoutItsJournal(t *testing.T) {
	three := []handlertest.Disk{disk(t, "raid5journal-1.2", 0, "vda"), disk(t, "raid5journal-1.2", 1, "vdb"), disk(t, "raid5journal-1.2", 2, "vdc")}
	b := boot(t, "", "")
	b.World().ResumeSettled = true
	b.Add(three...)
	b.Pass(time.Minute)
	if f := b.Fact("RAID array"); len(states(b)) != 0 || !strings.Contains(f.Text, "write journal's device is missing") || !strings.Contains(f.Try, "rd.md.nojournal") {
		t.Errorf("states %v, fact %+v", states(b), f)
	}
	b.Add(disk(t, "raid5journal-1.2", 3, "vdd"))
	if got := states(b); !slices.Equal(got, []string{"read-auto"}) {
		t.Errorf("with it: %v", got)
	}
	b = boot(t, "rd.md.nojournal", "")
	b.World().ResumeSettled = true
	b.Add(three...)
	if f := b.Fact("RAID array"); len(states(b)) != 0 || f.Until == 0 || f.AtExpiry != "starts read-only without its journal" {
		t.Errorf("the journal may still come: %v, %+v", states(b), f)
	}
	b.Pass(15 * time.Second)
	if got := states(b); !slices.Equal(got, []string{"readonly"}) || !b.Said("started read-only without its write journal") {
		t.Errorf("states %v", got)
	}
}

// The kernel writes to a log as it starts the array, even read-auto.
func TestArrayWithALogWaitsForResume(t *testing.T) {
	for name, n := range map[string]int{"raid5journal-1.2": 4, "raid5ppl-1.2": 3} {
		b := boot(t, "", "")
		for i := range n {
			b.Add(disk(t, name, i, "vd"+string(rune('a'+i))))
		}
		if f := b.Fact("RAID array"); len(states(b)) != 0 || !strings.Contains(f.Text, "writes to its log") {
			t.Errorf("%s: states %v, fact %+v", name, states(b), f)
		}
		b.World().ResumeSettled = true
		b.World().Sched.Notify(handler.TopicResumeSettled)
		b.Run()
		if got := states(b); !slices.Equal(got, []string{"read-auto"}) {
			t.Errorf("%s, then: %v", name, got)
		}
	}
}

func TestBothWaysOutOfASplitAreNamed(t *testing.T) {
	b := boot(t, "", "")
	b.Add(disk(t, "raid1split-1.2", 0, "vda"), disk(t, "raid1split-1.2", 1, "vdb"))
	try := b.Fact("RAID array").Try
	for _, command := range []string{"mdadm -A --run /dev/md/", " /dev/vda", " /dev/vdb"} {
		if !strings.Contains(try, command) {
			t.Errorf("%q does not name %q", try, command)
		}
	}
}

func TestReshapeGoesOn(t *testing.T) {
	b := boot(t, "", "")
	for i := range 4 {
		b.Add(disk(t, "raid5reshape-1.2", i, "vd"+string(rune('a'+i))))
	}
	if got := states(b); !slices.Equal(got, []string{"read-auto"}) || !b.Said("a reshape from 3 to 4 members") {
		t.Errorf("states %v", got)
	}
}

// Without a driver an array is tried once, however many of its members come, and
// again when a person has left the shell.
func TestAnArrayWithoutADriverIsTriedOnce(t *testing.T) {
	b := boot(t, "", "")
	b.Machine.Lacks["md-raid1"], b.Machine.Lacks["md-level-1"], b.Machine.Lacks["raid1"] = true, true, true
	b.Add(disk(t, "raid1spare-1.2", 0, "vda"), disk(t, "raid1spare-1.2", 1, "vdb"))
	b.Add(disk(t, "raid1spare-1.2", 2, "vdc"))
	b.Change(disk(t, "raid1spare-1.2", 0, "vda"))
	if n := len(b.Did("start RAID array")); n != 1 {
		t.Errorf("tried %d times", n)
	}
	if f := b.Fact("RAID array"); f.Condition != goal.Blocked || !strings.Contains(f.Text, "has no driver in this image") {
		t.Errorf("%+v", f)
	}
	clear(b.Machine.Lacks)
	b.World().Round++
	b.World().Sched.Notify(handler.TopicRetry)
	b.Run()
	if got := started(b); len(got) != 1 {
		t.Errorf("started: %v", got)
	}
}
