package prove

import (
	"time"

	"firstlight/internal/sim/gen"
	"firstlight/internal/udevd"
)

// sights is what of the devices was known to the core, and since when.
type sights struct {
	twins map[string]time.Duration // identities that are there twice, since when
	// members is how many members of an array, group or filesystem are known,
	// since when as many.
	members map[string]int
	since   map[string]time.Duration
	// before is since when there were as many as before the last change, and
	// had how many that was.
	before map[string]time.Duration
	had    map[string]int

	ever map[string]bool // identities that were there once

	last   uint64          // the core's revision when it was last looked
	listed []*udevd.Entry  // the block devices then
	count  map[string]int  // of them, by identity
	was    map[string]int  // members before the look that goes on
	moved  map[string]bool // identities that came or went in that look
}

func newSights() sights {
	return sights{twins: map[string]time.Duration{}, members: map[string]int{}, since: map[string]time.Duration{}, before: map[string]time.Duration{}, had: map[string]int{}, ever: map[string]bool{},
		count: map[string]int{}, was: map[string]int{}, moved: map[string]bool{}}
}

// identity is what a device claims to be, one of its kind.
func identity(e *udevd.Entry) string {
	typ, uuid := e.Property("ID_FS_TYPE"), e.Property("ID_FS_UUID")
	if typ == "" || uuid == "" {
		return ""
	}
	return typ + " " + uuid + " " + e.Property("ID_FS_UUID_SUB")
}

// look keeps up with what the core knows of the devices: both lists of them
// are sorted, and an entry that is in both has not changed.
func (t *trial) look() {
	w := t.sim.Core.World()
	if w.Revision == t.seen.last {
		return
	}
	t.seen.last = w.Revision
	old, now := t.seen.listed, w.Devices.Block()
	t.seen.listed = now
	for len(old) > 0 || len(now) > 0 {
		switch {
		case len(old) > 0 && len(now) > 0 && old[0] == now[0]:
			old, now = old[1:], now[1:]
		case len(now) == 0 || len(old) > 0 && old[0].Devpath() < now[0].Devpath():
			t.counted(old[0], -1)
			old = old[1:]
		case len(old) == 0 || now[0].Devpath() < old[0].Devpath():
			t.counted(now[0], 1)
			now = now[1:]
		default:
			t.counted(old[0], -1)
			t.counted(now[0], 1)
			old, now = old[1:], now[1:]
		}
	}
	s := &t.seen
	at := t.sim.Now()
	for id := range s.moved {
		if _, known := s.twins[id]; s.count[id] < 2 {
			delete(s.twins, id)
		} else if !known {
			s.twins[id] = at
		}
	}
	clear(s.moved)
	for set, n := range s.was {
		if s.members[set] == n {
			continue
		}
		if since, known := s.since[set]; !known {
			s.before[set], s.had[set] = at, 0
		} else if since != at {
			s.before[set], s.had[set] = since, n
		}
		s.since[set] = at
	}
	clear(s.was)
}

// waited is how long the members of a set have been as many. Of what has come
// at this very moment it cannot be told whether it came before what was decided
// then: the time until it came counts. A clock that jumps says nothing of it.
func (t *trial) waited(set string) time.Duration {
	if t.d.Has(gen.Jump) {
		return time.Hour
	}
	now, since := t.sim.Now(), t.seen.since[set]
	if since == now {
		since = t.seen.before[set]
	}
	return now - since
}

// known is how many members of a set there are, or were until this moment.
func (t *trial) known(set string) int {
	n := t.seen.members[set]
	if t.seen.since[set] == t.sim.Now() {
		n = max(n, t.seen.had[set])
	}
	return n
}

// counted notes that a device has come or gone.
func (t *trial) counted(e *udevd.Entry, by int) {
	id := identity(e)
	if id == "" {
		return
	}
	s := &t.seen
	had := s.count[id]
	s.count[id] = had + by
	s.moved[id], s.ever[id] = true, true
	set := e.Property("ID_FS_UUID")
	switch e.Property("ID_FS_TYPE") {
	case "linux_raid_member", "btrfs":
	case "LVM2_member":
		if set = t.built.groups[set]; set == "" || min(had, had+by) > 0 {
			return // of a volume that is there twice one counts
		}
	default:
		return
	}
	if _, looked := s.was[set]; !looked {
		s.was[set] = s.members[set]
	}
	s.members[set] += by
}
