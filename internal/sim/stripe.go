package sim

// Stripe is the part that one disk has of something that is spread over
// several.
type Stripe struct {
	Level int   // of RAID: 0, 4, 5, 6 or 10; LVM's stripes are as 0
	Slots int   // of the array
	Slot  int   // of this disk
	Chunk int64 // bytes
}

// data is how many disks of each row of chunks hold data.
func (s *Stripe) data() int64 {
	switch s.Level {
	case 4, 5:
		return int64(s.Slots) - 1
	case 6:
		return int64(s.Slots) - 2
	}
	return int64(s.Slots)
}

// logical is the byte of the whole that a byte of this disk's part is, and
// how many follow it; ok is false for a parity.
func (s *Stripe) logical(off int64) (at, run int64, ok bool) {
	row, in := off/s.Chunk, off%s.Chunk
	run = s.Chunk - in
	n, slot := int64(s.Slots), int64(s.Slot)
	var chunk int64
	switch s.Level {
	case 4:
		if slot == n-1 {
			return 0, run, false
		}
		chunk = row*(n-1) + slot
	case 5: // left-symmetric, the usual layout
		parity := n - 1 - row%n
		if slot == parity {
			return 0, run, false
		}
		chunk = row*(n-1) + (slot-parity-1+n)%n
	case 6:
		parity := n - 1 - row%n
		i := (slot - parity - 2 + 2*n) % n
		if i >= n-2 {
			return 0, run, false
		}
		chunk = row*(n-2) + i
	case 10: // two copies, near each other
		chunk = (row*n + slot) / 2
	default:
		chunk = row*n + slot
	}
	return chunk*s.Chunk + in, run, true
}

// spot is a byte of the part that a slot has.
type spot struct {
	slot int
	off  int64
}

// physical is where a byte of the whole is, in one copy or two, and how many
// bytes follow it there.
func (s *Stripe) physical(at int64) (spots [2]spot, copies int, run int64) {
	chunk, in := at/s.Chunk, at%s.Chunk
	run = s.Chunk - in
	n := int64(s.Slots)
	row, i := chunk/s.data(), chunk%s.data()
	copies = 1
	switch s.Level {
	case 5:
		i = (n - 1 - row%n + 1 + i) % n
	case 6:
		i = (n - 1 - row%n + 2 + i) % n
	case 10:
		// The second of two near copies may be in the next row.
		second := 2*chunk + 1
		spots[1] = spot{int(second % n), second/n*s.Chunk + in}
		row, i = 2*chunk/n, 2*chunk%n
		copies = 2
	}
	spots[0] = spot{int(i), row*s.Chunk + in}
	return spots, copies, run
}
