package mount

import (
	"strings"

	"firstlight/internal/bootcmd"
	"firstlight/internal/devspec"
	"firstlight/internal/fmt"
	"firstlight/internal/fstab"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/machine"
	"firstlight/internal/udevd"
	"firstlight/internal/ueventd"
)

// layers are what the root is made of: the filesystem that root= names, one
// in a file of it, and what covers them. Each is done once, since the mount
// table says nothing of what was meant.
type layers struct {
	base, file, covered bool
	loop                devspec.Spec // the block device that the file has become
}

// layRoot makes the root out of its layers; ok is false when one could not be
// laid, and then the outcome says how to go on.
func (h *Handler) layRoot(t *ueventd.Task) (out ueventd.Outcome, ok bool) {
	w, l := h.w, &h.layers
	root, loop := &w.Config.Root, &w.Config.Loop
	if w.NoBase {
		l.base = true
	}
	if !l.base {
		// What a file is in is written to as the file is, and a medium never.
		readOnly := w.CoverAsked() != "" || w.Medium || root.ReadOnly && loop.File == ""
		if out, ok = h.layer(t, "root device", root.Device, root.Flags, root.FSTypes, readOnly); !ok {
			return out, false
		}
		l.base = true
	}
	covered := w.CoverAsked() != "" // also by whoever let the base be mounted
	for w.OnLoop != nil && !l.file {
		if l.loop.IsZero() {
			if l.loop, out, ok = w.OnLoop(t); !ok {
				return out, false
			}
			l.file = l.loop.IsZero()
			continue
		}
		if out, ok = h.layer(t, "loop device", l.loop, loop.Flags, loop.FSTypes, covered || root.ReadOnly); !ok {
			return out, false
		}
		l.loop = devspec.Spec{}
	}
	if covered && !l.covered {
		if out, ok = w.Cover(t); !ok {
			return out, false
		}
		l.covered = true
	}
	return ueventd.Outcome{}, true
}

// layer mounts one filesystem of the root. Its options are those of the command
// line, where ro and rw say whether it is read-only.
func (h *Handler) layer(t *ueventd.Task, what string, spec devspec.Spec, flags string, types []string, readOnly bool) (ueventd.Outcome, bool) {
	if h.w.MountRoot != nil && !h.layers.base {
		return h.w.MountRoot(t, readOnly)
	}
	e, out := h.choose(t, RootGoal, what, spec)
	if e == nil {
		if h.layers.base && out.Verdict == ueventd.Done { // no event of the root's will tell
			out = ueventd.WaitFor(spec.String(), deviceTopic)
		}
		return out, false
	}
	if out, ok := h.able(); !ok {
		return out, false
	}
	h.w.Break(t, bootcmd.StagePreMount)
	o := fstab.ParseOptions(flags)
	return h.mount(t, e, request{goal: RootGoal, spec: spec, target: handler.SysRoot, types: types,
		flags: uintptr(o.Set &^ fstab.ReadOnly), data: o.Data, readOnly: readOnly, pass: h.rootPass()})
}

// rootPass is the root's fs_passno: what a handler wants covered is not to be
// written to, not even to mend it.
func (h *Handler) rootPass() int {
	if h.w.CoverAsked() != "" && h.w.Config.Overlay.Kind == bootcmd.OverlayNone {
		return 0
	}
	return 1
}

// able says whether this image can make the root as it is asked for. One that
// cannot does not start: the root would be written to, or be another one.
func (h *Handler) able() (ueventd.Outcome, bool) {
	w := h.w
	o, file, cover := &w.Config.Overlay, w.Config.Loop.File, w.CoverAsked()
	f := goal.Fact{Subject: "the root", Condition: goal.Blocked, Try: "boot without that parameter, or build the image with --feature "}
	switch {
	case file != "" && w.OnLoop == nil:
		f.Text = "is to be the file " + file + " (loop=), which this image cannot use"
		f.Try += "loop-root"
	case cover != "" && w.Cover == nil:
		f.Text = "is to be covered by an overlay, which this image has not: " + cover
		f.Try += "overlay-root"
	case o.Cannot != "":
		f.Text = "is to be covered in a way that Firstlight has not: " + o.By + " asks for " + o.Cannot
		f.Try = "choose another kind of overlay, or boot without that parameter"
	default:
		return ueventd.Outcome{}, true
	}
	w.SetFact(RootGoal, f)
	return ueventd.WaitFor("the root "+f.Text, handler.TopicRetry), false
}

// skipLog is the option with which a filesystem is mounted as it is, without
// what is in its log. It is for devices that cannot be written alone: anywhere
// else the log has to be replayed.
func skipLog(fstype string) string {
	switch fstype {
	case "ext3", "ext4":
		return "noload"
	case "xfs", "f2fs", "nilfs2":
		return "norecovery"
	case "btrfs":
		return "rescue=nologreplay"
	}
	return ""
}

// logInTheWay says whether a mount failed because a log could not be replayed:
// EROFS, and of btrfs EIO.
func logInTheWay(fstype string, err error) bool {
	return strings.Contains(err.Error(), "read-only file system") || fstype == "btrfs" && strings.Contains(err.Error(), "input/output error")
}

// withoutLog mounts a filesystem on a device that cannot be written without
// replaying its log, since that is what keeps it from being mounted.
func (h *Handler) withoutLog(t *ueventd.Task, e *udevd.Entry, r request, typ string, flags uintptr, data string) bool {
	option := skipLog(typ)
	if option == "" {
		return false
	}
	data = joinOptions(data, option)
	if mountOn(t, e, r.target, typ, flags, data) != nil {
		return false
	}
	h.w.Say(handler.Loud, e.Devname()+" cannot be written, so that the log of its "+typ+
		" is not replayed: it is mounted read-only as it is, and what was written last may be missing")
	return true
}

// mountOn mounts a device.
func mountOn(t *ueventd.Task, e *udevd.Entry, target, typ string, flags uintptr, data string) error {
	return ueventd.Act(t, fmt.Sprintf("mount %s on %s as %s, flags %#x, options %q", e.Devname(), target, typ, flags, data),
		func(m machine.Machine) error {
			return m.Mount(machine.Mount{Source: e.Devname(), Target: target, FSType: typ, Flags: flags, Data: data})
		})
}
