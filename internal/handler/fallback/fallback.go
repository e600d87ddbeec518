// Package fallback starts from another root where the one that root= names does
// not come: rootfallback=, as dracut has it. It belongs to the full /init.
//
// A root that is there and cannot be used is none that does not come: what is
// wrong with it is said, and no other one is taken in its place.
package fallback

import (
	"strings"
	"time"

	"firstlight/internal/bootcmd"
	"firstlight/internal/devspec"
	"firstlight/internal/filter"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/handler/mount"
	"firstlight/internal/timespan"
	"firstlight/internal/udevd"
	"firstlight/internal/ueventd"
)

// Feature is the feature with which an image has it.
const Feature = "root-fallback"

// GoalName is the name of the goal whose deadline says when the root is given up.
const GoalName = "fallback"

const queue = "fallback"

// patience is how long the root is waited for where it has no deadline.
const patience = 60 * time.Second

// Handler owns the goal.
type Handler struct {
	w     *handler.World
	roots []devspec.Spec // in the order of the command line
	late  bool           // the root has not come in time
}

// New registers the handler.
func New(w *handler.World) *Handler {
	h := &Handler{w: w}
	w.Sched.Route(queue, h.handle)
	return h
}

// Start reads what the command line names. Nothing of it is looked for as long as
// the root may come: nobody is asked for the passphrase of a root that is not
// needed.
func (h *Handler) Start() {
	w := h.w
	if !w.Image.Has(Feature) {
		return
	}
	for _, p := range w.Config.Params {
		if p.Name != "rootfallback" {
			continue
		}
		spec, err := devspec.Parse(p.Value)
		switch {
		case err != nil:
			w.Say(handler.Loud, "rootfallback="+p.Value+": "+err.Error())
		case !spec.IsDevice():
			w.Say(handler.Loud, "rootfallback="+p.Value+": not the name of a block device")
		default:
			h.roots = append(h.roots, spec)
		}
	}
	if len(h.roots) == 0 {
		return
	}
	if v := &w.Config.Verity; v.Enabled && v.Root.Asked() {
		w.Say(handler.Loud, "rootfallback= has no effect: a root hash is given, and only the root that it is of is started")
		return
	}
	now, wait := w.Sched.Now(), w.Config.Wait.Deadline/3*2
	if w.Config.Wait.Deadline >= timespan.Forever {
		wait = patience
	}
	w.Goals.Add(goal.Goal{Name: GoalName, Want: "the root, or " + h.names(), Since: now, Deadline: handler.DeadlineAt(now, wait),
		OnExpiry: "another root is started", Owner: queue, Last: true})
	w.Sched.Push(ueventd.Event{Queue: queue, Kind: filter.Add})
}

func (h *Handler) names() string {
	var list []string
	for _, s := range h.roots {
		list = append(list, s.String())
	}
	return strings.Join(list, " or ")
}

func (h *Handler) handle(t *ueventd.Task, ev ueventd.Event) ueventd.Outcome {
	w := h.w
	g := w.Goals.Get(GoalName)
	if root := w.Goals.Get(mount.RootGoal); root == nil || g.State == goal.Met {
		return ueventd.Outcome{}
	} else if root.State == goal.Met {
		return h.settle("the root is mounted")
	}
	if ev.Kind == filter.Deadline && !h.late {
		h.late = true
		t.Record("decision", "the root has not come in time: "+h.names()+" will do")
		for _, s := range h.roots { // what they lie on is assembled and unlocked
			w.Want(s)
		}
	}
	if !h.late {
		return ueventd.WaitFor("the root", handler.TopicRootMounted)
	}
	w.Identified(t)
	if w.ResumeSettled && !h.there() {
		for _, s := range h.roots {
			if len(w.Find(s)) > 0 {
				return h.take(t, s)
			}
		}
	}
	return ueventd.WaitFor("the root, or "+h.names(), handler.TopicRootMounted, udevd.TopicDevice, handler.TopicResumeSettled)
}

// there says whether what root= names has come, though it may not be of any use.
func (h *Handler) there() bool {
	return len(h.w.Find(h.w.Config.Root.Device)) > 0
}

// take makes another device the root. What the command line says of the other one
// besides does not concern it: options, type, a file in it, a server.
func (h *Handler) take(t *ueventd.Task, s devspec.Spec) ueventd.Outcome {
	w := h.w
	old := w.Config.Root.Device
	name := old.String()
	if old.IsZero() {
		name = "the root"
	}
	t.Record("decision", name+" has not come; the root is "+s.String())
	w.Say(handler.Loud, name+" has not appeared: starting from "+s.String()+", as rootfallback= says")
	r := &w.Config.Root
	r.Device, r.Flags, r.FSTypes = s, "", nil
	w.Config.Loop = bootcmd.Loop{}
	w.OnLoop, w.MountRoot, w.Medium, w.NoBase = nil, nil, false, false
	if g := w.Goals.Get(mount.RootGoal); g != nil {
		g.Want = s.Describe() + " mounted as the root"
	}
	w.DropFact(mount.RootGoal)
	w.Sched.Notify(handler.TopicWanted)
	w.Sched.Push(ueventd.Event{Queue: filter.Root, Kind: filter.Add})
	return h.settle(s.String() + " is taken")
}

func (h *Handler) settle(why string) ueventd.Outcome {
	w := h.w
	g := w.Goals.Get(GoalName)
	g.State, g.Reason = goal.Met, why
	w.Progress()
	w.Sched.Notify(handler.TopicGoals)
	return ueventd.Outcome{}
}
