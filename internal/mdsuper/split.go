package mdsuper

import "slices"

// sides completes Sides once every member has its place: on the first side are
// those that go with the newest, on the second those that ran apart from them,
// with who took the newest for failed and those not.
func (a *Array) sides(ms []Member) {
	if a.Sides[1] == nil {
		return
	}
	other := map[int]bool{}
	for i := range ms {
		if slices.Contains(a.Sides[1], ms[i].Device) {
			other[int(ms[i].Super.Role)] = true
		}
	}
	for i := range ms {
		m := &ms[i]
		switch {
		case m.Super.Role < 0 || slices.Contains(a.Sides[1], m.Device):
		case a.holds(m.Device):
			a.Sides[0] = append(a.Sides[0], m.Device)
		case a.Super.Role >= 0 && !m.Super.slotAlive(int(a.Super.Role)) && anyAlive(m.Super, other):
			a.Sides[1] = append(a.Sides[1], m.Device)
		}
	}
}

// holds says whether a device is in use in one of the slots.
func (a *Array) holds(device string) bool {
	return slices.ContainsFunc(a.Slots, func(s Slot) bool { return s.Active != nil && s.Active.Device == device })
}

// anyAlive says whether the superblock counts on the member of one of some slots.
func anyAlive(s *Super, slots map[int]bool) bool {
	for slot := range slots {
		if s.slotAlive(slot) {
			return true
		}
	}
	return false
}
