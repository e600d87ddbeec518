// Package all is the list of what an image can do: every handler is
// one line here.
package all

import (
	"firstlight/internal/boot"
	"firstlight/internal/handler"
	"firstlight/internal/handler/btrfs"
	"firstlight/internal/handler/luks"
	"firstlight/internal/handler/lvm"
	"firstlight/internal/handler/mdraid"
	"firstlight/internal/handler/mount"
	"firstlight/internal/handler/resume"
)

// Handlers returns the handlers in the order in which they start.
func Handlers() []boot.Register {
	var gates []mount.Gate
	return []boot.Register{
		func(w *handler.World) func() { return resume.New(w).Start },
		func(w *handler.World) func() { return mdraid.New(w).Start },
		func(w *handler.World) func() { lvm.New(w); return nil },
		func(w *handler.World) func() { gates = append(gates, btrfs.New(w).Gate); return nil },
		func(w *handler.World) func() { return luks.New(w).Start },
		func(w *handler.World) func() { return mount.New(w, gates...).Start },
	}
}
