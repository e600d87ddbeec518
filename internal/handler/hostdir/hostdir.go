// Package hostdir mounts a root that is a directory of a virtual machine's host:
// virtiofs, and 9p over virtio.
//
// The root has a tag and no device. The kernel says when a device of the host has
// its driver, and not in every version which tag that has; so the mount is tried
// when the kernel reports a device, and the kernel knows the tag or not.
package hostdir

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"

	"firstlight/internal/bootcmd"
	"firstlight/internal/devspec"
	"firstlight/internal/filter"
	"firstlight/internal/fmt"
	"firstlight/internal/fstab"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/handler/mount"
	"firstlight/internal/machine"
	"firstlight/internal/udevd"
	"firstlight/internal/ueventd"
)

// Handler mounts the root.
type Handler struct {
	w           *handler.World
	fstype, tag string
}

// New registers the handler. Where the root is nothing of the host's it does
// nothing.
func New(w *handler.World) *Handler {
	h := &Handler{w: w}
	d := w.Config.Root.Device
	if d.Kind != devspec.Other || d.Scheme != "virtiofs" && d.Scheme != "9p" {
		return h
	}
	h.fstype = d.Scheme
	h.tag = strings.TrimPrefix(d.Value, d.Scheme+":")
	w.MountRoot = h.mountRoot
	return h
}

// Start sets out.
func (h *Handler) Start() {
	if h.fstype == "" {
		return
	}
	if g := h.w.Goals.Get(mount.RootGoal); g != nil {
		g.Want = "a root that the machine's host has (" + h.fstype + ", tag " + h.tag + ")"
	}
	h.w.Sched.Push(ueventd.Event{Queue: filter.Root, Kind: filter.Add})
}

// drivers are what a filesystem needs.
func (h *Handler) drivers() []string {
	if h.fstype == "9p" {
		return []string{"9p", "9pnet_virtio"}
	}
	return []string{"virtiofs"}
}

// options are those of the command line. 9p is over virtio unless they say
// otherwise, in the version that has what a root needs.
func (h *Handler) options(o *fstab.Options) string {
	if h.fstype != "9p" {
		return o.Data
	}
	var more []string
	for _, d := range [...]struct{ name, option string }{{"trans=", "trans=virtio"}, {"version=", "version=9p2000.L"}} {
		if !strings.HasPrefix(o.Data, d.name) && !strings.Contains(o.Data, ","+d.name) {
			more = append(more, d.option)
		}
	}
	if o.Data != "" {
		more = append(more, o.Data)
	}
	return strings.Join(more, ",")
}

// mountRoot is handler.World's MountRoot.
func (h *Handler) mountRoot(t *ueventd.Task, readOnly bool) (ueventd.Outcome, bool) {
	w := h.w
	o := fstab.ParseOptions(w.Config.Root.Flags)
	flags := uintptr(o.Set &^ fstab.ReadOnly)
	if readOnly {
		flags |= fstab.ReadOnly
	}
	if err := w.LoadModules(t, h.drivers()...); err != nil {
		text := err.Error()
		if errors.Is(err, machine.ErrNoModule) {
			text = "the driver for it is not in this image: " + text
		}
		return h.needs(goal.Blocked, text, "rebuild the image with --feature virtiofs")
	}
	w.Break(t, bootcmd.StagePreMount)
	w.Break(t, bootcmd.StageMount)
	m := machine.Mount{Source: h.tag, Target: handler.SysRoot, FSType: h.fstype, Flags: flags, Data: h.options(&o)}
	err := ueventd.Act(t, fmt.Sprintf("mount %s on %s as %s, flags %#x, options %q", m.Source, m.Target, m.FSType, m.Flags, m.Data), func(x machine.Machine) error { return x.Mount(m) })
	switch {
	case err == nil:
		w.Say(handler.Detail, "mounted "+h.tag+" ("+h.fstype+") on "+handler.SysRoot)
		return ueventd.Outcome{}, true
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENODEV):
		// What the kernel says of a tag that no device has (fs/fuse/virtio_fs.c,
		// net/9p/trans_virtio.c), and of a wrong option.
		return h.needs(goal.Incomplete, "the host offers no such tag, or not yet: "+err.Error(), "look whether the machine's host shares a directory with the tag "+h.tag+", and at rootflags=")
	case errors.Is(err, unix.EBUSY):
		return h.needs(goal.Blocked, "is in use already", "")
	}
	return h.needs(goal.Blocked, err.Error(), "")
}

// needs says what keeps the root from being mounted, until a device comes.
func (h *Handler) needs(c goal.Condition, text, try string) (ueventd.Outcome, bool) {
	h.w.SetFact(mount.RootGoal, goal.Fact{Subject: h.fstype + " " + h.tag, Condition: c, Text: text, Try: try})
	return ueventd.WaitFor("the root of the host: "+text, udevd.TopicDevice, handler.TopicRetry), false
}
