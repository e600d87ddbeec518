// Package looproot makes a root out of a file in another filesystem: loop=, as
// Ubuntu's initramfs-tools and wubi have it. The filesystem of the file stays
// mounted on /run/initramfs/host.
package looproot

import (
	"errors"

	"firstlight/internal/devspec"
	"firstlight/internal/fmt"
	"firstlight/internal/fstab"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/handler/mount"
	"firstlight/internal/machine"
	"firstlight/internal/ueventd"
)

// host is where the filesystem with the file stays.
const host = "/run/initramfs/host"

// move is MS_MOVE of linux/mount.h.
const move = 1 << 13

// Handler makes the file a block device.
type Handler struct {
	w           *handler.World
	moved, made bool
}

// New registers the handler.
func New(w *handler.World) *Handler {
	h := &Handler{w: w}
	if w.Config.Loop.File != "" {
		w.OnLoop = h.attach
	}
	return h
}

// attach is handler.World's OnLoop.
func (h *Handler) attach(t *ueventd.Task) (devspec.Spec, ueventd.Outcome, bool) {
	w, l := h.w, h.w.Config.Loop
	if h.made { // the root is in it, and in no other file
		return devspec.Spec{}, ueventd.Outcome{}, true
	}
	fail := func(text, try string) (devspec.Spec, ueventd.Outcome, bool) {
		w.SetFact(mount.RootGoal, goal.Fact{Subject: "the root in the file " + l.File, Condition: goal.Blocked, Text: text, Try: try})
		return devspec.Spec{}, ueventd.WaitFor(text, handler.TopicRetry), false
	}
	if err := w.LoadModules(t, "loop"); errors.Is(err, machine.ErrNoModule) {
		return fail("the loop driver is not in this image", "rebuild the image with --feature loop-root")
	}
	if !h.moved {
		err := ueventd.Act(t, "move "+handler.SysRoot+" to "+host, func(m machine.Machine) error {
			return m.Mount(machine.Mount{Source: handler.SysRoot, Target: host, Flags: move})
		})
		if err != nil {
			return fail(err.Error(), "look at the kernel's messages (dmesg)")
		}
		h.moved = true
	}
	o := fstab.ParseOptions(l.Flags)
	readOnly := o.Set&fstab.ReadOnly != 0 || w.CoverAsked() != ""
	node, err := ueventd.Do(t, fmt.Sprintf("make %s of %s a block device, from byte %d", l.File, w.Config.Root.Device, l.Offset),
		func(m machine.Machine) (string, error) { return m.Loop(host, l.File, l.Offset, readOnly) })
	if err != nil {
		return fail(err.Error(), "check loop= and that root= names the filesystem with that file")
	}
	h.made = true
	w.Say(handler.Normal, "the root is the file "+l.File+" on "+w.Config.Root.Device.String()+"; that filesystem stays on "+host)
	return devspec.Spec{Kind: devspec.Path, Value: node}, ueventd.Outcome{}, true
}
