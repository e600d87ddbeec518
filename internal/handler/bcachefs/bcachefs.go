// Package bcachefs mounts a root that is a bcachefs on several devices: the
// kernel wants all of them named when it is mounted. It belongs to the full
// /init. One on a single device is mounted like any other filesystem; one whose
// key a passphrase opens is not, and that is said.
package bcachefs

import (
	"strconv"
	"strings"
	"time"

	"firstlight/internal/bcachefsfmt"
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

// queue is the one queue of this handler.
const queue, kindOverdue = "bcachefs", "overdue"

// topicRead is notified when members were looked at.
const topicRead = "bcachefs read"

// Handler mounts a root on several devices.
type Handler struct {
	w       *handler.World
	members map[string]*member // by node
	root    string             // UUID of the root that is mounted here
	there   int                // how many of its members were
	overdue bool               // those that are missing were waited for
}

// member is a device that was read.
type member struct {
	entry *udevd.Entry
	super *bcachefsfmt.Super
	err   error
}

// New registers the handler.
func New(w *handler.World) *Handler {
	h := &Handler{w: w, members: map[string]*member{}}
	w.Sched.Route(queue, h.handle)
	w.Gates = append(w.Gates, h.gate)
	// mount(8) of bcachefs names the members one after the other.
	if first, rest, ok := strings.Cut(w.Config.Root.Device.Value, ":"); ok && strings.HasPrefix(rest, "/dev/") {
		if spec, err := devspec.Parse(first); err == nil && spec.IsDevice() {
			w.Config.Root.Device = spec
		}
	}
	return h
}

// Start begins to look for the root.
func (h *Handler) Start() {
	if h.w.Image.Has("bcachefs") && h.w.Config.Root.Device.IsDevice() {
		h.w.Sched.Push(ueventd.Event{Queue: queue, Kind: filter.Add})
	}
}

func is(e *udevd.Entry) bool { return e.Property("ID_FS_TYPE") == "bcachefs" }

// gate holds a root back until it is known on how many devices it is, and leaves
// one on several to mountRoot.
func (h *Handler) gate(e *udevd.Entry) (topic, why, options string) {
	if !is(e) || !h.w.Image.Has("bcachefs") || !h.w.Config.Root.Device.Matches(e) {
		return "", "", ""
	}
	if m := h.members[e.Devname()]; m != nil && m.entry == e && (m.err != nil || m.super.Count() == 1 && !m.super.Locked) {
		return "", "", ""
	}
	return topicRead, "the members of the bcachefs on " + e.Devname(), ""
}

func (h *Handler) handle(t *ueventd.Task, ev ueventd.Event) ueventd.Outcome {
	w := h.w
	if ev.Kind == kindOverdue {
		// What is missing may be what is being unlocked.
		h.overdue = !w.Sched.Asking() && !w.Sched.Active(filter.LUKS)
		w.Sched.Push(ueventd.Event{Queue: filter.Root, Kind: filter.Add})
		return ueventd.Outcome{}
	}
	for _, e := range w.Find(w.Config.Root.Device) {
		if !is(e) {
			continue
		}
		m := h.read(t, e)
		if m.err == nil && (m.super.Count() > 1 || m.super.Locked) && h.root == "" && w.MountRoot == nil {
			h.root = e.Property("ID_FS_UUID")
			w.MountRoot = h.mountRoot
			w.DropFact(mount.RootGoal)
			w.Sched.Push(ueventd.Event{Queue: filter.Root, Kind: filter.Add, Name: e.Devname()})
		}
	}
	w.Sched.Notify(topicRead)
	return ueventd.WaitFor("a device with bcachefs", udevd.TopicDevice)
}

// read reads a device, once for each event of it.
func (h *Handler) read(t *ueventd.Task, e *udevd.Entry) *member {
	name := e.Devname()
	if m := h.members[name]; m != nil && m.entry == e {
		return m
	}
	m := &member{entry: e}
	m.super, m.err = ueventd.Do(t, "read the bcachefs superblock of "+name, func(x machine.Machine) (*bcachefsfmt.Super, error) {
		b, err := x.OpenBlock(name)
		if err != nil {
			return nil, err
		}
		defer b.Close()
		return bcachefsfmt.Read(b)
	})
	h.members[name] = m
	return m
}

// needs says why the root is not mounted yet.
func (h *Handler) needs(c goal.Condition, text, try string, topics ...string) (ueventd.Outcome, bool) {
	h.w.SetFact(mount.RootGoal, goal.Fact{Subject: "bcachefs " + h.root, Condition: c, Text: text, Try: try})
	return ueventd.WaitFor(text, append(topics, udevd.TopicDevice, handler.TopicRetry)...), false
}

// mountRoot is World.MountRoot.
func (h *Handler) mountRoot(t *ueventd.Task, readOnly bool) (ueventd.Outcome, bool) {
	w := h.w
	w.Identified(t)
	var newest *member
	by := map[int]*member{}
	for _, e := range w.Devices.Block() {
		if !is(e) || e.Property("ID_FS_UUID") != h.root || !filter.Usable(e.Device) {
			continue
		}
		m := h.read(t, e)
		if m.err != nil {
			continue
		}
		if o := by[m.super.Index]; o != nil {
			return h.needs(goal.Blocked, e.Devname()+" and "+o.entry.Devname()+" are the same member", "unplug the copy")
		}
		by[m.super.Index] = m
		if newest == nil || m.super.Seq > newest.super.Seq {
			newest = m
		}
		if protected, _ := e.Attr("ro"); protected == "1" {
			readOnly = true
		}
	}
	if newest == nil {
		return h.needs(goal.Incomplete, "none of its devices is there", "connect them")
	}
	switch o := &w.Config.Overlay; {
	case newest.super.Locked:
		return h.needs(goal.Blocked, "it is encrypted, and Firstlight cannot open it", "unlock it with bcachefs unlock in a shell of an image that has bcachefs-tools, or use LUKS below it")
	case o.Cannot != "" || w.CoverAsked() != "" && w.Cover == nil:
		return h.needs(goal.Blocked, "it is to be covered by an overlay, which this image has not", "rebuild the image with --feature overlay-root")
	}
	var nodes, missing []string
	for i, there := range newest.super.Members {
		if m := by[i]; m != nil && there {
			nodes = append(nodes, m.entry.Devname())
		} else if there {
			missing = append(missing, strconv.Itoa(i))
		}
	}
	options := fstab.ParseOptions(w.Config.Root.Flags)
	data := options.Data
	if len(missing) == 0 {
		w.Sched.CancelDeadline(queue)
	} else if out, wait := h.await(nodes, missing); wait {
		return out, false
	} else {
		data = strings.TrimPrefix(data+",degraded", ",")
	}
	w.Break(t, bootcmd.StagePreMount)
	w.Break(t, bootcmd.StageMount)
	flags := uintptr(options.Set &^ fstab.ReadOnly)
	if readOnly {
		flags |= fstab.ReadOnly
	}
	err := w.LoadModules(t, "fs-bcachefs")
	if err == nil {
		source := strings.Join(nodes, ":")
		w.SetFact(mount.RootGoal, goal.Fact{Subject: source, Condition: goal.Working, Text: "is being mounted"})
		err = ueventd.Act(t, fmt.Sprintf("mount %s on %s as bcachefs, flags %#x, options %q", source, handler.SysRoot, flags, data), func(m machine.Machine) error {
			return m.Mount(machine.Mount{Source: source, Target: handler.SysRoot, FSType: "bcachefs", Flags: flags, Data: data})
		})
	}
	if err != nil {
		return h.needs(goal.Blocked, "cannot be mounted: "+err.Error(), "look at the kernel's messages (dmesg) for the reason")
	}
	return ueventd.Outcome{}, true
}

// await waits for members that are missing; wait is false when that was done for
// long enough.
func (h *Handler) await(nodes, missing []string) (out ueventd.Outcome, wait bool) {
	w := h.w
	if h.there != len(nodes) { // who has come may not be the last, and who has gone may come back
		h.there, h.overdue = len(nodes), false
		w.Sched.CancelDeadline(queue)
	}
	text := strconv.Itoa(len(nodes)) + " of " + strconv.Itoa(len(nodes)+len(missing)) + " devices; missing: " + strings.Join(missing, ", ")
	if h.overdue {
		w.Say(handler.Loud, "bcachefs "+h.root+" is mounted degraded: "+text)
		return out, false
	}
	f := goal.Fact{Subject: "bcachefs " + h.root, Condition: goal.Incomplete, Text: text, Try: "connect the missing devices"}
	var at time.Duration
	if at = handler.DeadlineAt(w.Sched.Now(), w.Config.Wait.Degraded); at != 0 {
		if _, set := w.Sched.DeadlineOf(queue); !set {
			w.Sched.Deadline(queue, at, ueventd.Event{Queue: queue, Kind: kindOverdue})
		}
		f.Until, f.AtExpiry = at, "mounted degraded, if the kernel can do without them"
	}
	w.SetFact(mount.RootGoal, f)
	return ueventd.WaitFor(text, udevd.TopicDevice, topicRead), true
}
