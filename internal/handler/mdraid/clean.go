package mdraid

import (
	"errors"
	"io/fs"

	"firstlight/internal/filter"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/machine"
	"firstlight/internal/ueventd"

	"golang.org/x/sys/unix"
)

// awaitClean makes it a goal that nothing is left to be copied between the
// members of an array (rd.md.waitclean). The goal has no deadline: a resync of
// large disks takes hours, and ends.
func (h *Handler) awaitClean(kernel string) {
	w := h.w
	if !w.Config.MD.WaitClean || w.Goals.Get("clean "+kernel) != nil {
		return
	}
	w.Goals.Add(goal.Goal{Name: "clean " + kernel, Want: "the RAID array " + kernel + " clean (rd.md.waitclean)", Since: w.Sched.Now()})
	w.Sched.Push(ueventd.Event{Queue: filter.Clean + " " + kernel, Name: kernel})
}

// clean waits until an array is clean. A request to recover ends read-auto,
// in which the kernel copies nothing, and shows as "recover" until the kernel
// has looked whether there is anything to do; from then on "idle" means that
// there is not.
func (h *Handler) clean(t *ueventd.Task, ev ueventd.Event) ueventd.Outcome {
	w := h.w
	if !w.ResumeSettled {
		return ueventd.WaitFor("resume comes before any write", handler.TopicResumeSettled)
	}
	w.SetFact(ev.Queue, goal.Fact{Subject: "RAID array " + ev.Name, Condition: goal.Working, Text: "is being brought in sync, as rd.md.waitclean asks for"})
	err := ueventd.Act(t, "wait until "+ev.Name+" is clean", func(m machine.Machine) error {
		action := "/block/" + ev.Name + "/md/sync_action"
		err := m.WriteSysfs(action, "recover")
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a level without redundancy
		}
		if err != nil && !errors.Is(err, unix.EBUSY) { // busy: at it already
			return err
		}
		return m.WaitSysfs(action, "idle")
	})
	g := w.Goals.Get(ev.Queue)
	g.State, g.Reason = goal.Met, "nothing is being copied"
	if err != nil {
		g.Reason = err.Error()
		w.Say(handler.Loud, ev.Name+" cannot be waited for: "+err.Error())
	}
	w.DropFact(ev.Queue)
	w.Progress()
	w.Sched.Notify(handler.TopicGoals)
	return ueventd.Outcome{}
}
