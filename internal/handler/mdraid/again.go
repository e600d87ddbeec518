package mdraid

import (
	"slices"

	"firstlight/internal/filter"
	"firstlight/internal/order"
	"firstlight/internal/ueventd"
)

// Again puts an array together that was stopped because its disks went away,
// from those that are back, as if it had never run. What is missing is waited
// for again.
func (h *Handler) Again(t *ueventd.Task, name, _ string) {
	for _, key := range order.Keys(h.arrays) {
		a := h.arrays[key]
		if a.kernel != name {
			continue
		}
		a.kernel, a.overdue = "", false
		clear(a.used)
		clear(a.members)
		h.w.DropFact(key)
		h.given = slices.DeleteFunc(h.given, func(g given) bool { return g.name.Kernel == name })
		h.writeMap(t)
		h.w.Sched.Push(ueventd.Event{Queue: key, Kind: filter.Add})
	}
}
