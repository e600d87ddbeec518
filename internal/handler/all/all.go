// Package all is the list of what an image can do: every handler is
// one line here. There are two programs for /init: the small one has the
// handlers of Common, which most machines need, and the full one all of them.
package all

import (
	"firstlight/internal/boot"
	"firstlight/internal/handler"
	"firstlight/internal/handler/btrfs"
	"firstlight/internal/handler/integrity"
	"firstlight/internal/handler/luks"
	"firstlight/internal/handler/lvm"
	"firstlight/internal/handler/mdexternal"
	"firstlight/internal/handler/mdraid"
	"firstlight/internal/handler/mount"
	"firstlight/internal/handler/resume"
	"firstlight/internal/handler/verity"
)

// Handlers returns every handler, in the order in which they start. Those that
// only the full /init has do nothing in an image that has the small one, so
// that the simulator, check and replay decide as the image would.
func Handlers() []boot.Register {
	all := usual(func(w *handler.World) func() { return luks.NewFull(w).Start })
	for _, r := range []boot.Register{
		func(w *handler.World) func() { mdexternal.New(w); return nil },
		func(w *handler.World) func() { return verity.New(w).Start },
		func(w *handler.World) func() { return integrity.New(w).Start },
	} {
		all = append(all, full(r))
	}
	return all
}

// Common returns the handlers of the small /init.
func Common() []boot.Register {
	return usual(func(w *handler.World) func() { return luks.New(w).Start })
}

// usual are the handlers of both. What only the full one can do within one of
// them comes with its registration: the linker leaves it out of the other.
func usual(encrypted boot.Register) []boot.Register {
	var gates []mount.Gate
	return []boot.Register{
		func(w *handler.World) func() { return resume.New(w).Start },
		func(w *handler.World) func() { return mdraid.New(w).Start },
		func(w *handler.World) func() { lvm.New(w); return nil },
		func(w *handler.World) func() { gates = append(gates, btrfs.New(w).Gate); return nil },
		encrypted,
		func(w *handler.World) func() {
			gates = append(gates, verity.Gate(w))
			return func() { verity.Absent(w) }
		},
		func(w *handler.World) func() { return mount.New(w, gates...).Start },
	}
}

// full is a handler that only the full /init has.
func full(r boot.Register) boot.Register {
	return func(w *handler.World) func() {
		if !w.Image.Full {
			return nil
		}
		return r(w)
	}
}
