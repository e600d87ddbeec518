package mdsuper

import (
	"slices"
	"strings"
	"testing"
)

// changed are copies of members whose superblocks were changed.
func changed(ms []Member, change func(*Super)) []Member {
	var out []Member
	for _, m := range ms {
		s := *m.Super
		if s.Reshape != nil {
			r := *s.Reshape
			s.Reshape = &r
		}
		change(&s)
		out = append(out, Member{m.Device, &s})
	}
	return out
}

func TestReshapeThatTheKernelGoesOnWith(t *testing.T) {
	for _, v := range []string{"0.90", "1.2"} {
		ms := members(t, arrays(t), "raid5reshape-"+v)
		a := Collect(ms, Options{})
		if a.State != Complete || len(a.Slots) != 4 || len(a.Notes) != 1 {
			t.Errorf("%s: %q", v, a.Explain())
		}
		// Of either shape one member may be missing, and no more.
		for p := uint(1); p < 15; p++ {
			var list []Member
			for i, m := range ms {
				if p>>i&1 != 0 {
					list = append(list, m)
				}
			}
			want := Incomplete
			if bits(p) == 3 {
				want = Degraded
			}
			if a := Collect(list, Options{}); a.State != want {
				t.Errorf("%s with members %04b is %v, want %v: %q", v, p, a.State, want, a.Explain())
			}
		}
	}
}

func TestReshapeThatNeedsABackupIsRefused(t *testing.T) {
	ms := members(t, arrays(t), "raid5reshape-1.2")
	for name, change := range map[string]func(*Super){
		"in its first stripes":    func(s *Super) { s.Reshape.Position, s.Reshape.NewOffset = 0, 0 },
		"in place":                func(s *Super) { s.Reshape.DeltaDisks, s.Reshape.NewOffset, s.Reshape.NewLayout = 0, 0, 3 },
		"moved by half a chunk":   func(s *Super) { s.Reshape.DeltaDisks, s.Reshape.NewOffset = 0, -int32(s.ChunkSize/SectorSize/2) },
		"to fewer members":        func(s *Super) { s.Reshape.DeltaDisks, s.Reshape.Backwards, s.Reshape.NewOffset = -1, true, 0 },
		"to fewer, forwards":      func(s *Super) { s.Reshape.DeltaDisks, s.Reshape.NewOffset = -1, -4096 },
		"moved the wrong way":     func(s *Super) { s.Reshape.NewOffset = 4096 },
		"to another level":        func(s *Super) { s.Reshape.NewLevel = 6 },
		"with a far-off position": func(s *Super) { s.Reshape.Position = 1 << 63 },
	} {
		a := Collect(changed(ms, change), Options{})
		if a.State != Refused || a.Reasons[0].Cause != NoBackup {
			t.Errorf("%s: %q", name, a.Explain())
		}
	}
	for name, change := range map[string]func(*Super){
		"with the data moved": func(s *Super) { s.Reshape.DeltaDisks, s.Reshape.NewOffset = 0, -int32(s.ChunkSize/SectorSize) },
		"begun, data moved":   func(s *Super) { s.Reshape.Position, s.Reshape.NewOffset = 0, -4096 },
		"to fewer, moved":     func(s *Super) { s.Reshape.DeltaDisks, s.Reshape.Backwards, s.Reshape.NewOffset = -1, true, 4096 },
	} {
		if a := Collect(changed(ms, change), Options{}); a.State == Refused {
			t.Errorf("%s: %q", name, a.Explain())
		}
	}
	for name, change := range map[string]func(*Super){
		"from no members":  func(s *Super) { s.Reshape.DeltaDisks = 4 },
		"from a million":   func(s *Super) { s.Reshape.DeltaDisks = -1 << 20 },
		"of a linear one":  func(s *Super) { s.Level, s.Reshape.NewLevel = Linear, Linear },
		"with its journal": func(s *Super) { s.Features |= FeatureJournal },
	} {
		if a := Collect(changed(ms, change), Options{}); a.State != Refused || a.Reasons[0].Cause != Unsupported {
			t.Errorf("%s: %q", name, a.Explain())
		}
	}
}

// RAID10 is reshaped by moving the data alone.
func TestReshapeOfRAID10(t *testing.T) {
	ms := members(t, arrays(t), "raid10-1.2")
	reshape := func(offset int32) func(*Super) {
		return func(s *Super) {
			s.Features |= FeatureReshape
			s.Reshape = &Reshape{NewLevel: 10, NewLayout: s.Layout, NewChunk: s.ChunkSize, NewOffset: offset}
		}
	}
	if a := Collect(changed(ms, reshape(-2048)), Options{}); a.State != Complete {
		t.Errorf("%q", a.Explain())
	}
	if a := Collect(changed(ms, reshape(0)), Options{}); a.State != Refused {
		t.Errorf("%q", a.Explain())
	}
}

func TestArrayWithoutItsJournalOnlyReadOnlyAndOnlyIfAsked(t *testing.T) {
	ms := members(t, arrays(t), "raid5journal-1.2")
	if a := Collect(ms[:3], Options{NoJournal: true}); a.State != Complete || !a.ReadOnly || len(a.Notes) != 1 {
		t.Errorf("%q", a.Explain())
	}
	if a := Collect(ms, Options{NoJournal: true}); a.ReadOnly || a.Journal == nil {
		t.Errorf("with its journal: %q", a.Explain())
	}
	// One that was left behind is as bad as none.
	old := changed(ms[3:], func(s *Super) { s.Events -= 2 })
	if a := Collect(append(slices.Clone(ms[:3]), old...), Options{}); a.State != Incomplete || !strings.Contains(strings.Join(a.Explain(), "\n"), "out of date") {
		t.Errorf("%q", a.Explain())
	}
}

func TestSidesOfASplit(t *testing.T) {
	ms := members(t, arrays(t), "raid1split-1.2")
	for range 2 {
		slices.Reverse(ms)
		a := Collect(ms, Options{})
		if len(a.Sides[0]) != 1 || len(a.Sides[1]) != 1 || a.Sides[0][0] == a.Sides[1][0] {
			t.Errorf("sides %q", a.Sides)
		}
	}
	if a := Collect(ms[:1], Options{}); a.Sides[0] != nil || a.Sides[1] != nil {
		t.Errorf("sides of one: %q", a.Sides)
	}
}
