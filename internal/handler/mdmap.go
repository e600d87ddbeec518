package handler

import "firstlight/internal/ueventd"

// topicMap is notified when the map of arrays may be written by the next one.
const topicMap = "md map"

// LockMap waits until nobody else writes the map of arrays, which mdadm does
// as well as Firstlight, and keeps others from it until UnlockMap.
func (w *World) LockMap(t *ueventd.Task) {
	for w.mapped {
		t.Wait("the map of arrays to be written", topicMap)
	}
	w.mapped = true
}

// UnlockMap lets the next one write the map.
func (w *World) UnlockMap() {
	w.mapped = false
	w.Sched.Notify(topicMap)
}
