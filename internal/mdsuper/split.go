package mdsuper

// sides completes Sides once every member has its place: on the first side are
// those that go with the newest, on the second those that ran apart from it.
func (a *Array) sides() {
	if a.Sides[1] == nil {
		return
	}
	for i := range a.Slots {
		if m := a.Slots[i].Active; m != nil {
			a.Sides[0] = append(a.Sides[0], m.Device)
		}
	}
}
