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

// physical is where a byte of the whole is: on which slots, and at which byte
// of their parts.
func (s *Stripe) physical(at int64) (slots [2]int, copies int, off, run int64) {
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
		first := 2 * chunk
		row, i = first/n, first%n
		copies = 2
		slots[1] = int((first + 1) % n)
	}
	slots[0] = int(i)
	return slots, copies, row*s.Chunk + in, run
}
