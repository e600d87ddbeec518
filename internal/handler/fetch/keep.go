package fetch

import (
	"errors"
	"time"

	"firstlight/internal/devspec"
	"firstlight/internal/fetch/fetchplan"
	"firstlight/internal/fstab"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/handler/fsck"
	"firstlight/internal/handler/mount"
	"firstlight/internal/machine"
	"firstlight/internal/udevd"
	"firstlight/internal/ueventd"
)

// An image can be kept on a disk (rd.firstlight.keep=), by a helper program that has
// what is missing of it fetched. What is kept is looked at before the network is up,
// and is all that a boot needs where it is the right one.

// keepProgram is the helper in the image.
const keepProgram = "/usr/lib/firstlight/imagecache"

// topicOnline is notified when the network is up and leads to the image.
const topicOnline = "the network has the image"

// online goes on with what waits for the network.
func (h *Handler) online() {
	h.reached = true
	h.w.Sched.Notify(topicOnline)
}

// bind and remount change how one place shows a filesystem (linux/mount.h).
const (
	remount = 1 << 5
	bind    = 1 << 12
)

// calm are the flags of a filesystem that holds nothing but images.
const calm = fstab.NoSuid | fstab.NoDev | fstab.NoExec

// keep mounts the disk that the image is kept on, and fills in the plan; ok is false
// where that has to wait.
func (h *Handler) keep(t *ueventd.Task, plan *fetchplan.Plan) (out ueventd.Outcome, ok bool) {
	k := plan.Keep
	if !h.mounted {
		if out, ok = h.keeper(t, k.Disk); !ok {
			return out, false
		}
		h.mounted = true
	}
	k.Disk, k.Offline = h.keptOn, !h.reached
	if h.reached || k.Newer == 0 {
		return out, true
	}
	until := time.Duration(k.Newer) * time.Second
	if g := h.w.Goals.Get(mount.RootGoal); g != nil {
		until += g.Since
	}
	for !h.reached && t.Now() < until {
		h.w.SetFact(mount.RootGoal, goal.Fact{Subject: h.subject(), Condition: goal.Incomplete, Text: "needs the network, which is not up yet, to ask whether there is a newer one than is kept on " + h.keptOn})
		t.WaitUntil(until, "the network", topicOnline)
	}
	k.Offline = !h.reached
	return out, true
}

// keeper mounts the disk. The command line asks for it to be written to, which is
// not done before it is known that nothing is resumed.
func (h *Handler) keeper(t *ueventd.Task, disk string) (ueventd.Outcome, bool) {
	w := h.w
	device, _ := devspec.Parse(disk) // which was done before
	subject := "the disk that the image is to be kept on (" + disk + ")"
	blocked := func(text, try string) (ueventd.Outcome, bool) {
		w.SetFact(mount.RootGoal, goal.Fact{Subject: subject, Condition: goal.Blocked, Text: text, Try: try})
		return ueventd.WaitFor(text, handler.TopicRetry, udevd.TopicDevice), false
	}
	if !w.ResumeSettled {
		return ueventd.WaitFor("resume comes before any mount", handler.TopicResumeSettled), false
	}
	w.Want(device)
	if len(w.Find(device)) > 0 {
		w.Identified(t)
	}
	devs := w.Find(device)
	switch {
	case len(devs) == 0:
		w.SetFact(mount.RootGoal, goal.Fact{Subject: subject, Condition: goal.Incomplete, Text: "has not appeared", Try: "connect it, or boot without rd.firstlight.keep="})
		return ueventd.WaitFor(device.Describe(), udevd.TopicDevice), false
	case len(devs) > 1:
		return blocked("more than one device is called so", "unplug the copy")
	}
	e := devs[0]
	typ := mount.KernelType(e.Property("ID_FS_TYPE"))
	if protected, _ := e.Attr("ro"); protected == "1" {
		return blocked(e.Devname()+" cannot be written", "switch its write protection off, or name another one")
	}
	switch typ {
	case "iso9660", "udf", "squashfs", "erofs":
		return blocked(e.Devname()+" has a filesystem that is written once ("+typ+")", "name one that can be written")
	}
	if e.Property("ID_FS_USAGE") != "filesystem" {
		return blocked(e.Devname()+" holds no filesystem", "make one on it; what is on it is not overwritten otherwise")
	}
	data := ""
	for _, gate := range w.Gates {
		topic, why, options := gate(e)
		if topic != "" {
			return ueventd.WaitFor(why, topic, handler.TopicRetry), false
		}
		if options != "" {
			data = options
		}
	}
	if r := fsck.Check(t, w, e, typ, fetchplan.KeptDir, 2); r.Verdict != fsck.Mountable {
		return blocked(r.Text, r.Try)
	}
	err := w.LoadModules(t, "fs-"+typ)
	if err == nil || errors.Is(err, machine.ErrNoModule) {
		err = ueventd.Act(t, "mount "+e.Devname()+" on "+fetchplan.KeptDir+" as "+typ, func(m machine.Machine) error {
			return m.Mount(machine.Mount{Source: e.Devname(), Target: fetchplan.KeptDir, FSType: typ, Flags: calm, Data: data})
		})
	}
	if err != nil {
		return blocked(err.Error(), "look at the kernel's messages (dmesg)")
	}
	h.keptOn = e.Devname()
	return ueventd.Outcome{}, true
}

// kept protects what is kept from being written to by the place where it is.
func (h *Handler) kept(t *ueventd.Task) {
	err := ueventd.Act(t, "show "+fetchplan.KeptDir+" read-only", func(m machine.Machine) error {
		return m.Mount(machine.Mount{Target: fetchplan.KeptDir, Flags: remount | bind | fstab.ReadOnly | calm})
	})
	if err != nil {
		t.Record("decision", "the disk with the image stays writable: "+err.Error())
	}
}
