package prove

import (
	"slices"
	"strings"
	"time"

	"firstlight/internal/sim/gen"
)

// has says whether a machine has something of a kind, for which the full /init
// is needed.
func has(d *gen.Machine, k gen.Kind) bool {
	return slices.ContainsFunc(d.Nodes, func(n gen.Node) bool { return n.Kind == k })
}

// spread says whether a machine has a btrfs on several devices, for which an image
// has the full /init.
func spread(d *gen.Machine) bool {
	return slices.ContainsFunc(d.Nodes, func(n gen.Node) bool { return n.Kind == gen.Btrfs && len(n.On) > 1 })
}

// startsCached checks that nothing of bcache is started that is there twice.
func (t *trial) startsCached(what string) {
	for word := range strings.FieldsFuncSeq(what, func(r rune) bool { return strings.ContainsRune(" ()", r) }) {
		if e := t.sim.Core.World().Devices.ByName(word); e != nil && identity(e) != "" {
			t.notTwice(what, identity(e))
		}
	}
}

// uncached checks the disks that were started without their caches.
func (t *trial) uncached() {
	wait, how := t.d.DegradedCaches()
	for _, c := range t.sim.Cached {
		i := slices.IndexFunc(t.d.Nodes, func(n gen.Node) bool { return n.Kind == gen.Cached && n.UUID == c.UUID })
		if i < 0 || !c.Without {
			continue
		}
		n := &t.d.Nodes[i]
		switch {
		case slices.ContainsFunc(t.d.Faults, func(f gen.Fault) bool { return f.Trouble == gen.Dirty && f.Node == n.ID }):
			t.w.broken(uncached, c.At, "%s was started, and its cache has writes that it lacks", c.Name)
		case how != gen.Writable:
			t.w.broken(uncached, c.At, "%s was started without its cache, and the policy is %s", c.Name, how)
		case c.At < wait-time.Millisecond && !t.d.Has(gen.Jump):
			t.w.broken(degraded, c.At, "%s was started without its cache, for which %v are to be waited", c.Name, wait)
		}
	}
}
