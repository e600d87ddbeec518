package mdsuper

import "firstlight/internal/fmt"

// Reshapes. A change of an array's shape (more or fewer members, another
// layout, another chunk size) copies all data from the old places to new ones,
// from one end to the other. The kernel does so on its own, and goes on by
// itself after the array was stopped, as long as what it writes lies apart from
// what it has yet to read: since the data's start was moved (NewOffset), or
// since with more members the new stripes have fallen behind the old ones.
// Everywhere else mdadm copies each part to a backup file first, and without
// that file, or without mdadm watching, going on would destroy data.

// slots is how many places for members the array has: in a reshape those of
// the larger of its two shapes.
func (s *Super) slots() int { return max(s.RaidDisks, s.oldDisks()) }

// oldDisks is how many members the array has, or had before the reshape that is
// going on.
func (s *Super) oldDisks() int {
	if s.Reshape == nil {
		return s.RaidDisks
	}
	n := s.RaidDisks - int(s.Reshape.DeltaDisks)
	if n < 1 || n > maxDevices {
		return s.RaidDisks // reshaping says that this cannot be
	}
	return n
}

// enough says whether the members that are available hold all data: in a
// reshape in the old shape as well as in the new one.
func (s *Super) enough(avail []bool) bool {
	r := s.Reshape
	if r == nil {
		return Enough(s.Level, s.Layout, avail)
	}
	return Enough(s.Level, s.Layout, avail[:s.oldDisks()]) && Enough(s.Level, r.NewLayout, avail[:s.RaidDisks])
}

// reshaping refuses a reshape that the kernel must not go on with by itself.
func (a *Array) reshaping() {
	s, r := a.Super, a.Super.Reshape
	if n := s.RaidDisks - int(r.DeltaDisks); n < 1 || n > maxDevices {
		a.reason(Unsupported, "it is being reshaped from %d members to %d", n, s.RaidDisks)
		return
	}
	switch {
	case s.Level != 4 && s.Level != 5 && s.Level != 6 && s.Level != 10:
		a.reason(Unsupported, "arrays of %v cannot be reshaped", s.Level)
	case r.NewLevel != s.Level:
		a.reason(NoBackup, "its change from %v to %v is at sector %d, and only mdadm can go on with it", s.Level, r.NewLevel, r.Position)
	case s.Features&FeatureJournal != 0:
		a.reason(Unsupported, "an array with a journal cannot be reshaped")
	case !s.reshapesAlone():
		a.reason(NoBackup, "its reshape from %d to %d members is at sector %d and needs the backup file with which mdadm began it", s.oldDisks(), s.RaidDisks, r.Position)
	default:
		a.Notes = append(a.Notes, fmt.Sprintf("a reshape from %d to %d members is at sector %d; the kernel goes on with it once the array is written to", s.oldDisks(), s.RaidDisks, r.Position))
	}
}

// reshapesAlone says whether the kernel can go on with the reshape without
// anything being lost, whenever it is interrupted.
func (s *Super) reshapesAlone() bool {
	r := s.Reshape
	// Sectors by which the place that is written to keeps behind the place that
	// is read from because the data's start moves.
	ahead := -int64(r.NewOffset)
	if r.Backwards {
		ahead = -ahead
	}
	if ahead < 0 || !r.Backwards && r.DeltaDisks < 0 {
		return false // what is written would catch up with what is read
	}
	if s.Level == 10 {
		return ahead > 0
	}
	oldChunk, newChunk := int64(s.ChunkSize/SectorSize), int64(r.NewChunk/SectorSize)
	if oldChunk == 0 || newChunk == 0 {
		return false
	}
	if r.DeltaDisks == 0 {
		return ahead >= max(oldChunk, newChunk)
	}
	oldData, newData := int64(s.oldDisks()-s.parityDisks()), int64(s.RaidDisks-s.parityDisks())
	if oldData < 1 || newData < 1 || r.Position > 1<<62 {
		return false
	}
	chunk := max(oldChunk, newChunk)
	row := int64(r.Position)
	read, write := row/(chunk*oldData)*chunk, row/(chunk*newData)*chunk
	if r.Backwards {
		// The end of the array lies where nothing has to be kept only if the
		// start of the data has moved.
		return ahead > 0 && write+ahead > read
	}
	return write < read+ahead
}

// parityDisks is how many members' worth of space the level uses for parity.
func (s *Super) parityDisks() int {
	if s.Level == 6 {
		return 2
	}
	return 1
}
