package mdsuper

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	fixtures "firstlight/test/fixtures/lvmmd"

	"firstlight/internal/testtool"
)

// arrays opens the superblocks that mdadm made in a Debian guest.
func arrays(t testing.TB) fixtures.Cases { return fixtures.Open(t, "testdata/arrays.tar.zst") }

func members(t testing.TB, c fixtures.Cases, name string) []Member {
	t.Helper()
	var list []Member
	for i := 0; ; i++ {
		d, ok := c.Device(t, name, i)
		if !ok {
			return list
		}
		s, err := Read(d, d.Size)
		if err != nil {
			t.Fatalf("%s: member %d: %v", name, i, err)
		}
		list = append(list, Member{fmt.Sprintf("/dev/ram%d", i), s})
	}
}

// examine turns mdadm --examine into a map.
func examine(b []byte) map[string]string {
	m := map[string]string{}
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(line, " : "); ok {
			m[strings.TrimSpace(k)] = strings.TrimSpace(v)
		}
	}
	return m
}

func first(s string) string {
	f := strings.Fields(s)
	if len(f) == 0 {
		return ""
	}
	return f[0]
}

// same compares one member with what mdadm --examine says of it.
func same(t *testing.T, what string, s *Super, m map[string]string) {
	t.Helper()
	check := func(key, got string, value func(string) string) {
		t.Helper()
		want, ok := m[key]
		if ok && value(want) != got {
			t.Errorf("%s: %s is %q, mdadm says %q", what, key, got, want)
		}
	}
	all := func(s string) string { return s }
	sectors := func(n uint64) string { return strconv.FormatUint(n, 10) }
	check("Version", map[bool]string{true: "0.91", false: s.Version.String()}[s.Version.Major == 0 && s.Reshape != nil], func(v string) string {
		return strings.TrimPrefix(strings.TrimSuffix(v, ".00"), "")
	})
	check("Raid Level", s.Level.String(), all)
	check("Raid Devices", strconv.Itoa(s.RaidDisks), all)
	check("Data Offset", sectors(s.DataOffset), first)
	check("Avail Dev Size", sectors(s.DataSize), first)
	check("Device UUID", s.DeviceUUID.String(), all)
	check("State", map[bool]string{true: "clean", false: "active"}[s.Clean], first)
	if s.Version.Major == 1 {
		check("Events", sectors(s.Events), all)
		check("Array UUID", s.UUID.String(), all)
		check("Feature Map", fmt.Sprintf("0x%x", uint32(s.Features)), all)
		check("Super Offset", sectors(s.Offset/SectorSize), first)
		check("Name", s.Name, func(v string) string { v, _, _ = strings.Cut(v, "  (local"); return v })
		if s.Level != Linear && s.Level != 0 {
			check("Used Dev Size", sectors(s.Size), first)
		}
		check("Internal Bitmap", strconv.Itoa(int(s.BitmapOffset)), first)
		role := "Active device " + s.Role.String()
		switch {
		case s.Role < 0:
			role = s.Role.String()
		case s.Replacement():
			role = "Replacement device " + s.Role.String()
		}
		check("Device Role", strings.ToLower(role), strings.ToLower)
		if want, ok := m["Recovery Offset"]; ok && first(want) != strconv.FormatInt(s.RecoveryOffset, 10) {
			t.Errorf("%s: recovery offset %d, mdadm says %s", what, s.RecoveryOffset, want)
		} else if !ok && s.RecoveryOffset >= 0 {
			t.Errorf("%s: recovery offset %d, mdadm says none", what, s.RecoveryOffset)
		}
		if want, ok := m["Reshape pos'n"]; ok != (s.Reshape != nil) {
			t.Errorf("%s: reshape %+v, mdadm says %q", what, s.Reshape, want)
		} else if ok && first(want) != sectors(s.Reshape.Position/2) {
			t.Errorf("%s: reshape at %d, mdadm says %s", what, s.Reshape.Position, want)
		}
	} else {
		check("Events", sectors(s.Events), all)
		check("UUID", s.UUID.String(), first)
		check("Preferred Minor", sectors(uint64(s.PreferredMinor)), all)
		if want, ok := m["Used Dev Size"]; ok && s.Level > 0 && first(want) != sectors(s.Size/2) {
			t.Errorf("%s: size %d, mdadm says %s KiB", what, s.Size, want)
		}
	}
	if s.ChunkSize != 0 {
		check("Chunk Size", sectors(uint64(s.ChunkSize>>10))+"K", all)
	}
}

func TestEverySuperblockIsWhatMdadmSays(t *testing.T) {
	cases := arrays(t)
	n := 0
	for _, name := range cases.Names() {
		for i, m := range members(t, cases, name) {
			what := fmt.Sprintf("%s/%d", name, i)
			text := examine(cases[name][fmt.Sprintf("%d.examine", i)])
			if text["Magic"] == "" {
				t.Fatalf("%s: no examination", what)
			}
			same(t, what, m.Super, text)
			n++
		}
	}
	if n < 120 {
		t.Fatalf("only %d superblocks compared", n)
	}
}

// The members are examined once more by the mdadm of the machine that runs
// the tests, so that a newer one is compared too.
func TestMdadmHereAgrees(t *testing.T) {
	testtool.Need(t, "mdadm")
	cases := arrays(t)
	for _, name := range []string{"raid1-0.90", "raid10f2-1.2", "raid5-1.0", "raid6-1.1", "raid5rebuild-1.2"} {
		d, _ := cases.Device(t, name, 1)
		path := filepath.Join(t.TempDir(), "member")
		d.WriteFile(t, path)
		out, err := exec.Command(testtool.Path("mdadm"), "--examine", path).Output()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		same(t, name, members(t, cases, name)[1].Super, examine(out))
	}
}

func TestStateIsTheArraysOwn(t *testing.T) {
	cases := arrays(t)
	for _, name := range cases.Names() {
		a := Collect(members(t, cases, name), Options{})
		want := Complete
		kind, _, _ := strings.Cut(name, "-")
		var cause Cause
		switch kind {
		case "raid1missing", "raid1stale", "raid5rebuild":
			want = Degraded
		case "raid1split":
			want, cause = Refused, SplitBrain
		}
		if a.State != want {
			t.Errorf("%s is %v, want %v:\n%s", name, a.State, want, strings.Join(a.Explain(), "\n"))
		}
		if cause != "" && a.Reasons[0].Cause != cause {
			t.Errorf("%s: %v, want %s", name, a.Reasons, cause)
		}
	}
}

// Every subset of every array's members is judged as the rules of its level
// say, and never depends on the order in which the members came.
func TestSubsetsOfMembers(t *testing.T) {
	cases := arrays(t)
	for _, c := range []struct {
		name string
		// startable says whether the present slots, as a bit set, suffice.
		startable func(present uint) bool
	}{
		{"linear-1.2", func(p uint) bool { return p == 7 }},
		{"linear-0.90", func(p uint) bool { return p == 7 }},
		{"raid0-1.0", func(p uint) bool { return p == 7 }},
		{"raid1-1.1", func(p uint) bool { return p != 0 }},
		{"raid4-1.2", func(p uint) bool { return bits(p) >= 2 }},
		{"raid5-0.90", func(p uint) bool { return bits(p) >= 2 }},
		{"raid5-1.2", func(p uint) bool { return bits(p) >= 2 }},
		{"raid6-1.2", func(p uint) bool { return bits(p) >= 2 }},
		// near=2: pairs 0,1 and 2,3
		{"raid10-1.2", func(p uint) bool { return p&3 != 0 && p&12 != 0 }},
		{"raid10-0.90", func(p uint) bool { return p&3 != 0 && p&12 != 0 }},
		// far=2 and offset=2: no two neighbours may be missing
		{"raid10f2-1.2", noNeighboursMissing}, {"raid10f2-0.90", noNeighboursMissing}, {"raid10o2-1.2", noNeighboursMissing},
		// near=3 over 4: any three in a row, wrapping
		{"raid10n3-1.2", func(p uint) bool { return bits(p) >= 2 }},
		{"raid1dirty-1.2", func(p uint) bool { return p != 0 }},
		{"raid5dirty-1.2", func(p uint) bool { return p == 7 }},
		{"raid5ppl-1.2", func(p uint) bool { return bits(p) >= 2 }},
	} {
		ms := members(t, cases, c.name)
		for p := uint(1); p < 1<<len(ms); p++ {
			var list []Member
			for i, m := range ms {
				if p>>i&1 != 0 {
					list = append(list, m)
				}
			}
			a := Collect(list, Options{})
			want := Incomplete
			if c.startable(p) {
				want = Degraded
			}
			if len(list) == len(ms) {
				want = Complete
			}
			if a.State != want {
				t.Errorf("%s with members %04b is %v, want %v: %v", c.name, p, a.State, want, a.Reasons)
			}
			slices.Reverse(list)
			b := Collect(list, Options{})
			if x, y := strings.Join(a.Explain(), "\n"), strings.Join(b.Explain(), "\n"); x != y {
				t.Errorf("%s: the order of the members matters:\n%s\n\n%s", c.name, x, y)
			}
			if got := len(a.Awaited()); got != len(ms)-len(list) {
				t.Errorf("%s with members %04b awaits %d", c.name, p, got)
			}
		}
	}
}

func bits(p uint) (n int) {
	for ; p != 0; p &= p - 1 {
		n++
	}
	return n
}

func noNeighboursMissing(p uint) bool {
	for i := range 4 {
		if p>>i&1 == 0 && p>>((i+1)%4)&1 == 0 {
			return false
		}
	}
	return true
}

func TestAStaleMemberIsLeftOut(t *testing.T) {
	cases := arrays(t)
	for _, v := range []string{"0.90", "1.0", "1.2"} {
		ms := members(t, cases, "raid1stale-"+v)
		a := Collect(ms, Options{})
		if a.State != Degraded || len(a.LeftOut) != 1 || a.LeftOut[0].Device != "/dev/ram1" || a.Slots[0].Active == nil {
			t.Errorf("%s: %q", v, a.Explain())
		}
		if len(a.Awaited()) != 0 {
			t.Errorf("%s: awaits %v although the array itself has given them up", v, a.Awaited())
		}
		// Alone it cannot know that it is stale.
		a = Collect(ms[1:], Options{})
		if a.State != Degraded || len(a.Awaited()) != 1 {
			t.Errorf("%s alone: %q", v, a.Explain())
		}
	}
}

func TestSplitBrainIsRefusedAndExplained(t *testing.T) {
	ms := members(t, arrays(t), "raid1split-1.2")
	for range 2 {
		slices.Reverse(ms)
		a := Collect(ms, Options{})
		text, refused := a.Refusal()
		if !refused || !strings.Contains(text, "/dev/ram0") || !strings.Contains(text, "/dev/ram1") {
			t.Errorf("%v: %s", a.State, text)
		}
	}
}

func TestADuplicateMemberIsNeverChosen(t *testing.T) {
	ms := members(t, arrays(t), "raid5-1.2")
	ms = append(ms, Member{"/dev/copy", ms[1].Super})
	a := Collect(ms, Options{})
	text, refused := a.Refusal()
	if !refused || a.Reasons[0].Cause != DuplicateRole || !strings.Contains(text, "/dev/copy") {
		t.Errorf("%v: %s", a.State, text)
	}
}

func TestSparesJournalsRebuildsAndReplacements(t *testing.T) {
	cases := arrays(t)
	for _, v := range []string{"0.90", "1.2"} {
		a := Collect(members(t, cases, "raid1spare-"+v), Options{})
		if len(a.Spares) != 1 || a.Spares[0].Device != "/dev/ram2" {
			t.Errorf("spares %v", a.Spares)
		}
	}
	ms := members(t, cases, "raid5journal-1.2")
	if a := Collect(ms, Options{}); a.Journal == nil || a.Journal.Device != "/dev/ram3" {
		t.Errorf("journal: %q", a.Explain())
	}
	if a := Collect(ms[:3], Options{}); a.State != Incomplete || a.Reasons[0].Cause != NoJournal {
		t.Errorf("without its journal: %q", a.Explain())
	}
	a := Collect(members(t, cases, "raid5rebuild-1.2"), Options{})
	if s := a.Slots[2]; s.Active != nil || s.Rebuilding == nil || s.Rebuilding.Super.RecoveryOffset == 0 {
		t.Errorf("rebuild: %q", a.Explain())
	}
	a = Collect(members(t, cases, "raid5replace-1.2"), Options{})
	if s := a.Slots[0]; s.Active == nil || s.Active.Device != "/dev/ram0" || s.Replacement == nil || s.Replacement.Device != "/dev/ram3" {
		t.Errorf("replacement: %q", a.Explain())
	}
	if n := len(a.Members()); n != 4 {
		t.Errorf("%d members to add", n)
	}
}

func TestDirtyDegradedNeedsToBeAllowed(t *testing.T) {
	ms := members(t, arrays(t), "raid5dirty-1.2")[:2]
	a := Collect(ms, Options{})
	if a.State != Incomplete || a.Reasons[0].Cause != DirtyDegraded {
		t.Errorf("%q", a.Explain())
	}
	if a = Collect(ms, Options{StartDirtyDegraded: true}); a.State != Degraded || len(a.Notes) != 1 {
		t.Errorf("%q", a.Explain())
	}
}

func TestEventCountsMayDifferByOne(t *testing.T) {
	ms := members(t, arrays(t), "raid5-1.2")
	for diff, want := range map[uint64]State{0: Complete, 1: Complete, 2: Degraded} {
		list := slices.Clone(ms)
		newer := *list[0].Super
		other := *list[2].Super
		newer.Events += diff
		other.Events += diff
		list[0].Super, list[2].Super = &newer, &other
		if a := Collect(list, Options{}); a.State != want {
			t.Errorf("difference of %d: %q", diff, a.Explain())
		}
	}
}

func TestMembersThatContradictEachOtherAreRefused(t *testing.T) {
	ms := members(t, arrays(t), "raid5-1.2")
	for want, change := range map[string]func(*Super){
		"level":           func(s *Super) { s.Level = 4 },
		"number of slots": func(s *Super) { s.RaidDisks = 4 },
		"chunk size":      func(s *Super) { s.ChunkSize *= 2 },
		"layout":          func(s *Super) { s.Layout++ },
		"size":            func(s *Super) { s.Size-- },
	} {
		list := slices.Clone(ms)
		s := *list[1].Super
		change(&s)
		list[1].Super = &s
		a := Collect(list, Options{})
		if text, refused := a.Refusal(); !refused || !strings.Contains(text, want) {
			t.Errorf("%s: %v, %q", want, a.State, text)
		}
	}
}

func TestGroupsAreSortedByUUID(t *testing.T) {
	cases := arrays(t)
	var all []Member
	for _, name := range []string{"raid5-1.2", "raid1-0.90", "linear-1.1"} {
		all = append(all, members(t, cases, name)...)
	}
	list := Group(all, Options{})
	if len(list) != 3 {
		t.Fatalf("%d arrays", len(list))
	}
	for i, a := range list {
		if a.State != Complete || i > 0 && a.UUID.String() < list[i-1].UUID.String() {
			t.Errorf("%q", a.Explain())
		}
	}
}

func TestRAID0OfUnknownLayoutIsExplained(t *testing.T) {
	ms := members(t, arrays(t), "raid0-1.2")
	if a := Collect(ms, Options{}); len(a.Notes) != 0 {
		t.Errorf("members of one size: %q", a.Notes)
	}
	for i := range ms {
		s := *ms[i].Super
		s.Features &^= FeatureRAID0Layout
		s.DataSize -= 4096 * uint64(i)
		ms[i].Super = &s
	}
	if a := Collect(ms, Options{}); len(a.Notes) != 1 || !strings.Contains(a.Notes[0], "raid0.default_layout") {
		t.Errorf("members of several sizes: %q", a.Notes)
	}
}
