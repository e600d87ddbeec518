package sim

import "testing"

func TestEveryByteOfAStripedThingIsFoundWhereItWasPut(t *testing.T) {
	const chunk = 16
	for _, s := range []Stripe{{Level: 0, Slots: 3}, {Level: 4, Slots: 3}, {Level: 5, Slots: 4}, {Level: 6, Slots: 5}, {Level: 10, Slots: 4}, {Level: 10, Slots: 5}} {
		s.Chunk = chunk
		used := map[spot]bool{}
		for at := int64(0); at < 60*chunk; at += 8 {
			spots, copies, run := s.physical(at)
			if s.Level == 10 != (copies == 2) {
				t.Fatalf("level %d has %d copies", s.Level, copies)
			}
			for _, where := range spots[:copies] {
				part := s
				part.Slot = where.slot
				got, n, ok := part.logical(where.off)
				if !ok || got != at || n != run {
					t.Fatalf("level %d of %d: byte %d is in slot %d at %d, where byte %d is (%v, %d follow, not %d)", s.Level, s.Slots, at, where.slot, where.off, got, ok, n, run)
				}
				if used[where] {
					t.Fatalf("level %d has two things at %+v", s.Level, where)
				}
				used[where] = true
			}
		}
	}
}
