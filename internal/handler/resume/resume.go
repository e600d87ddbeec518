// Package resume settles whether a hibernation image is to be resumed. Until
// it has, nothing may write to a disk: a resumed kernel believes that the
// disks are as it left them.
package resume

import (
	"errors"
	"slices"
	"strconv"
	"time"

	"firstlight/internal/devspec"
	"firstlight/internal/filter"
	"firstlight/internal/fmt"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/handler/mount"
	"firstlight/internal/machine"
	"firstlight/internal/udevd"
	"firstlight/internal/ueventd"
)

// GoalName is the name of the goal that the handler owns.
const GoalName = "resume"

// Patience is how long a resume device is waited for when it does not come.
// It is shorter than the root's deadline: a lost swap partition should cost a
// pause, not the boot.
const Patience = 30 * time.Second

// Handler owns the resume goal.
type Handler struct{ w *handler.World }

// New registers the handler and sets its goal.
func New(w *handler.World) *Handler {
	h := &Handler{w}
	w.Sched.Route(filter.Resume, h.handle)
	return h
}

// Start decides at the beginning of the boot whether there is anything to
// wait for.
func (h *Handler) Start() {
	r := h.w.Config.Resume
	switch {
	case r.Disabled:
		h.settle("resuming is switched off on the command line")
		return
	case !r.Device.IsDevice() && h.w.FindResume != nil:
		h.w.Sched.Push(ueventd.Event{Queue: filter.Resume, Kind: kindFirmware})
		return
	case !r.Device.IsDevice():
		h.settle("no resume device is configured")
		return
	}
	h.wait()
}

// kindFirmware is the event that the firmware is to be asked for the device.
const kindFirmware = "firmware"

// wait makes the look for an image a goal.
func (h *Handler) wait() {
	r := h.w.Config.Resume
	if g := h.w.Goals.Get(GoalName); g != nil { // it was not known, and is now
		g.State, g.Owner, g.Deadline = goal.Unmet, filter.Resume, h.w.Goals.From(g, h.w.Sched.Now())+h.patience()
		h.w.DropFact(GoalName)
		return
	}
	// The patience is the goal's deadline and not a timer of its own: it does
	// not run while a passphrase is being typed, behind which the device may
	// well be.
	now := h.w.Sched.Now()
	h.w.Goals.Add(goal.Goal{Name: GoalName, Want: "a look for a hibernated system on " + r.Device.String(), Since: now,
		Deadline: now + h.patience(), OnExpiry: "the boot goes on without resuming", Owner: filter.Resume})
	h.w.SetFact(GoalName, goal.Fact{Subject: "resume device " + r.Device.String(), Condition: goal.Incomplete,
		Text: r.Device.Describe() + " has not appeared"})
}

// patience is how long the resume device of this boot is waited for.
func (h *Handler) patience() time.Duration {
	wait := h.w.Config.Resume.Wait
	if wait == 0 {
		wait = Patience
	}
	return min(wait, h.w.Config.Wait.Deadline, longest)
}

// longest bounds what resumeflags= says.
const longest = 24 * time.Hour

// giveBack leaves a root that is there the time to be mounted in, which it has
// spent waiting for the resume device. Otherwise one that comes late, or never,
// would cost the boot where the root's deadline is no longer than the patience.
func (h *Handler) giveBack() {
	w := h.w
	g := w.Goals.Get(mount.RootGoal)
	if g != nil && g.State == goal.Unmet && g.Deadline > 0 && len(w.Find(w.Config.Root.Device)) > 0 {
		g.Deadline = max(g.Deadline, w.Goals.From(g, w.Sched.Now())+h.patience())
	}
}

func (h *Handler) settle(why string) {
	w := h.w
	if w.ResumeSettled {
		return
	}
	w.ResumeSettled = true
	h.giveBack()
	w.DropFact(GoalName)
	if g := w.Goals.Get(GoalName); g != nil {
		g.State, g.Reason = goal.Met, why
	}
	w.Progress()
	w.Sched.Notify(handler.TopicResumeSettled)
	w.Sched.Notify(handler.TopicGoals)
}

func (h *Handler) handle(t *ueventd.Task, ev ueventd.Event) ueventd.Outcome {
	w := h.w
	if w.ResumeSettled {
		return ueventd.Outcome{}
	}
	spec := w.Config.Resume.Device
	switch ev.Kind {
	case filter.Remove:
		return ueventd.Outcome{}
	case kindFirmware:
		if err := w.FindResume(t); err != nil {
			// There may be one: what is written now would be lost or worse.
			if w.Goals.Get(GoalName) == nil {
				w.Goals.Add(goal.Goal{Name: GoalName, Want: "to know whether a system is hibernated", Since: t.Now(),
					Deadline: t.Now() + min(Patience, w.Config.Wait.Deadline), OnExpiry: "given up"})
			}
			w.SetFact(GoalName, goal.Fact{Subject: "the firmware's word of a hibernated system", Condition: goal.Blocked, Text: "cannot be read: " + err.Error(),
				Try: "name the device with resume=, or boot with noresume, which loses the hibernated session"})
			return ueventd.WaitFor(err.Error(), handler.TopicRetry)
		}
		if spec = w.Config.Resume.Device; !spec.IsDevice() {
			h.settle("no resume device is configured, and the firmware names none")
			return ueventd.Outcome{}
		}
		h.wait()
		w.Sched.Notify(handler.TopicWanted)
	case filter.Deadline:
		devs := w.Find(spec)
		if len(devs) > 1 && h.mayHoldImage(devs) {
			h.refuse(t, devs)
			return ueventd.Outcome{}
		}
		if e := unread(devs); e != nil {
			t.Record("decision", "no resume: "+e.Devname()+" cannot be read")
			w.Say(handler.Loud, fmt.Sprintf("resume device %s cannot be read for %s: starting without resuming", spec, goal.Seconds(Patience)))
			h.settle(e.Devname() + " cannot be read")
			return ueventd.Outcome{}
		}
		t.Record("decision", "no resume: "+spec.Describe()+" has not appeared")
		w.Say(handler.Normal, fmt.Sprintf("resume device %s has not appeared in %s: starting without resuming", spec, goal.Seconds(h.patience())))
		h.settle("the device has not appeared")
		return ueventd.Outcome{}
	}
	w.Identified(t)
	devs := w.Find(spec)
	if len(devs) == 0 {
		w.SetFact(GoalName, goal.Fact{Subject: "resume device " + spec.String(), Condition: goal.Incomplete,
			Text: spec.Describe() + " has not appeared"})
		return ueventd.Outcome{}
	}
	if e := unread(devs); e != nil && (len(devs) == 1 || !h.mayHoldImage(devs)) {
		return h.unreadable(t, spec, e)
	}
	if len(devs) > 1 {
		if !h.mayHoldImage(devs) {
			t.Record("decision", "no resume: none of the devices that are "+spec.String()+" holds a hibernation image")
			h.settle("no hibernation image")
			return ueventd.Outcome{}
		}
		h.ambiguous(t, spec, devs)
		return ueventd.WaitFor("more than one device is "+spec.String(), udevd.TopicDevice, handler.TopicRetry)
	}
	h.try(t, devs[0])
	return ueventd.Outcome{}
}

// unread returns the device of which it is not known what it holds, since it
// could not be read; nil if there is none.
func unread(devs []*udevd.Entry) *udevd.Entry {
	i := slices.IndexFunc(devs, func(e *udevd.Entry) bool { return e.Err != nil && e.Property("ID_FS_TYPE") == "" })
	if i < 0 {
		return nil
	}
	return devs[i]
}

// unreadable waits for a device that cannot be read as for one that is not
// there: it may hold an image, and be readable when it has changed.
func (h *Handler) unreadable(t *ueventd.Task, spec devspec.Spec, e *udevd.Entry) ueventd.Outcome {
	t.Record("decision", "resume: it is not known whether "+e.Devname()+" holds a hibernation image")
	h.w.SetFact(GoalName, goal.Fact{Subject: "resume device " + spec.String(), Condition: goal.Blocked, Text: e.Err.Error(),
		Try: "check the disk and its cable, or boot with noresume, which loses the hibernated session if there is one"})
	return ueventd.WaitFor(e.Devname()+" cannot be read", "changed "+e.Devname(), handler.TopicRetry)
}

// ambiguous refuses to choose: taking the wrong image, or none where there is
// one, destroys data either way.
func (h *Handler) ambiguous(t *ueventd.Task, spec devspec.Spec, devs []*udevd.Entry) {
	text := "is " + strconv.Itoa(len(devs)) + " devices:"
	for _, d := range devs {
		text += " " + d.Devname()
	}
	t.Record("decision", "resume: "+spec.String()+" "+text)
	h.w.SetFact(GoalName, goal.Fact{Subject: "resume device " + spec.String(), Condition: goal.Blocked, Text: text,
		Try: "give resume= a name that only one device has, unplug the copy, or boot with noresume, which loses the hibernated session"})
	if g := h.w.Goals.Get(GoalName); g != nil {
		g.OnExpiry = "given up"
	}
}

// refuse gives the boot up rather than write to disks that a hibernated
// system believes to be as it left them.
func (h *Handler) refuse(t *ueventd.Task, devs []*udevd.Entry) {
	t.Record("decision", "not booted: one of several devices may hold an image of a hibernated system")
	g := h.w.Goals.Get(GoalName)
	g.State, g.Reason = goal.GivenUp, strconv.Itoa(len(devs))+" devices have this name"
	h.w.Sched.Notify(handler.TopicGoals)
}

// mayHoldImage says whether any of the devices holds an image, or may hold
// one in a file.
func (h *Handler) mayHoldImage(devs []*udevd.Entry) bool {
	return h.w.Config.Resume.OffsetSet ||
		slices.ContainsFunc(devs, func(e *udevd.Entry) bool { return e.Property("ID_FS_TYPE") == "swsuspend" })
}

func (h *Handler) try(t *ueventd.Task, e *udevd.Entry) {
	w := h.w
	r := w.Config.Resume
	typ := e.Property("ID_FS_TYPE")
	// With an offset the image is in a file of a filesystem, whose type says
	// nothing; the kernel looks for the signature itself.
	if typ != "swsuspend" && !r.OffsetSet {
		t.Record("decision", fmt.Sprintf("no resume: %s holds %s, no hibernation image", e.Devname(), orNothing(typ)))
		if typ == "swap" {
			h.name(t, e)
		}
		h.settle(e.Devname() + " holds no hibernation image")
		return
	}
	major, minor, ok := e.Devnum()
	if !ok {
		h.settle(e.Devname() + " has no device number")
		return
	}
	w.Say(handler.Normal, "resuming from "+e.Devname())
	err := ueventd.Act(t, "resume from "+e.Devname(), func(m machine.Machine) error {
		return m.Resume(major, minor, r.Offset)
	})
	why := "the kernel did not take the image on " + e.Devname()
	if err != nil && !errors.Is(err, machine.ErrNoImage) {
		why += ": " + err.Error()
		w.Say(handler.Loud, "could not resume from "+e.Devname()+": "+err.Error()+"; starting afresh")
	} else if typ == "swsuspend" {
		// The kernel does not say so to whoever asked.
		w.Say(handler.Loud, "could not resume from "+e.Devname()+": the kernel has refused the image (dmesg has why); starting afresh")
	}
	t.Record("decision", why)
	h.settle(why)
}

// name tells the kernel which swap space is to be resumed from. The real system
// hibernates to the one that the kernel knows: of several it could take another
// one, of which the next boot would know nothing, and without a firmware that
// keeps variables systemd refuses to hibernate. The kernel looks for an image
// itself when it is told, finds none, and writes nothing.
func (h *Handler) name(t *ueventd.Task, e *udevd.Entry) {
	major, minor, ok := e.Devnum()
	if !ok {
		return
	}
	err := ueventd.Act(t, "name "+e.Devname()+" to the kernel as the device to resume from", func(m machine.Machine) error {
		return m.Resume(major, minor, 0)
	})
	if err != nil && !errors.Is(err, machine.ErrNoImage) {
		t.Record("decision", "the kernel does not take "+e.Devname()+" as the device to resume from: "+err.Error())
	}
}

func orNothing(typ string) string {
	if typ == "" {
		return "nothing recognised"
	}
	return typ
}
