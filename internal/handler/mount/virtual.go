package mount

import (
	"firstlight/internal/fmt"
	"firstlight/internal/fstab"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/machine"
	"firstlight/internal/ueventd"
)

// remount is MS_REMOUNT of linux/mount.h, which no option of an fstab gives.
const remount = 1 << 5

// virtual mounts what is no block device: tmpfs, overlay, 9p, and directories
// of the real system in another place.
func (h *Handler) virtual(t *ueventd.Task, key string, x *extra) ueventd.Outcome {
	err := h.mountVirtual(t, x)
	switch {
	case err == nil:
	case x.entry.Options.NoFail():
		h.w.Say(handler.Loud, x.entry.File+" could not be mounted: "+err.Error()+"; going on without it, as nofail says")
	default:
		h.w.SetFact(key, goal.Fact{Subject: x.entry.File, Condition: goal.Blocked, Text: err.Error(), Try: "correct its line in the root's /etc/fstab"})
		return ueventd.WaitFor(err.Error(), handler.TopicRetry)
	}
	return h.got(t, key)
}

func (h *Handler) mountVirtual(t *ueventd.Task, x *extra) error {
	o := &x.entry.Options
	m := machine.Mount{Source: x.entry.Spec, Flags: uintptr(o.Set), Data: o.Data}
	var err error
	if m.Target, err = h.target(t, x.entry.File); err != nil {
		return err
	}
	bind := o.Set&fstab.Bind != 0
	switch {
	case bind:
		if m.Source, err = h.target(t, x.entry.Spec); err != nil {
			return err
		}
		// The kernel takes the other options at a second call alone.
		m.Flags, m.Data = uintptr(o.Set&(fstab.Bind|fstab.Rec)), ""
	case len(x.entry.FSTypes) == 0:
		return fmt.Errorf("/etc/fstab:%d: %s needs a filesystem type", x.entry.Line, x.entry.Spec)
	default:
		m.FSType = x.entry.FSTypes[0]
		h.w.LoadModules(t, "fs-"+m.FSType)
	}
	do := func() error {
		return ueventd.Act(t, fmt.Sprintf("mount %s on %s, flags %#x", x.entry.Spec, x.entry.File, m.Flags), func(w machine.Machine) error { return w.Mount(m) })
	}
	if err := do(); err != nil || !bind {
		return err
	}
	if more := o.Set &^ (fstab.Bind | fstab.Rec); more != 0 {
		m.Flags = uintptr(more | fstab.Bind | remount)
		return do()
	}
	return nil
}
