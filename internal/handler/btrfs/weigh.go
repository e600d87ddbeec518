package btrfs

import (
	"io"
	"slices"
	"strconv"
	"strings"

	"firstlight/internal/btrfsfmt"
	"firstlight/internal/filter"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/machine"
	"firstlight/internal/order"
	"firstlight/internal/udevd"
	"firstlight/internal/ueventd"
)

// judged is what is known of the members of a filesystem together.
type judged struct {
	members map[string]*udevd.Entry // those that were compared, by node
	stale   map[string]*udevd.Entry // those of them that are out of date
	known   bool                    // all that is missing is there, and out of date
}

// weigh is handle, with members that were compared alone.
func (h *Handler) weigh(t *ueventd.Task, ev ueventd.Event) ueventd.Outcome {
	for range rounds {
		f := h.filesystems[ev.Queue]
		if f == nil && ev.Kind == filter.Add {
			if e := h.w.Devices.ByName(ev.Name); e == nil || !alone(e) {
				f = &filesystem{key: ev.Queue, members: map[string]*udevd.Entry{}}
				h.filesystems[ev.Queue] = f
			}
		}
		if f == nil {
			return h.handle(t, ev)
		}
		h.w.Identified(t)
		if f.refused = h.compare(t, f); f.refused != "" {
			return ueventd.WaitFor(f.refused, handler.TopicRetry)
		}
		out := h.handle(t, ev)
		if h.filesystems[ev.Queue] != f {
			return out
		}
		another := ""
		for node, e := range f.members {
			// What is not in the database any more cannot be compared; an event
			// of what came in its place follows.
			if f.judged.members[node] != e && h.w.Devices.ByName(node) == e && of(f, e) {
				another = node
			}
		}
		if another == "" {
			if at, waits := h.w.Sched.DeadlineOf(f.key); waits && f.judged.known && ev.Kind != kindOverdue && at > h.w.Sched.Now() {
				h.w.Sched.Deadline(f.key, h.w.Sched.Now(), ueventd.Event{Queue: f.key, Kind: kindOverdue})
			}
			return out
		}
		// It came while the others were compared.
		f.refused = "not compared yet"
		ev = ueventd.Event{Queue: ev.Queue, Kind: filter.Add}
	}
	return ueventd.WaitFor("the devices of the filesystem to stay", udevd.TopicDevice)
}

// rounds bounds how often devices are compared for one event, while more come.
const rounds = 32

// of says whether a device is one of a filesystem's.
func of(f *filesystem, e *udevd.Entry) bool {
	return e.Property("ID_FS_TYPE") == "btrfs" && filter.Btrfs+" "+e.Property("ID_FS_UUID") == f.key
}

// compare looks whether the members that are there hold the same. Those that the
// filesystem was used without are left out from here on, and the kernel is made to
// forget them; where each was used without the other, none is mounted. It says
// why the filesystem has to wait, "" if it has not.
func (h *Handler) compare(t *ueventd.Task, f *filesystem) (wait string) {
	w := h.w
	var there []*udevd.Entry // with those that are out of date
	for _, e := range w.Devices.Block() {
		if of(f, e) {
			there = append(there, e)
		}
	}
	known := f.judged.stale
	now := judged{members: map[string]*udevd.Entry{}, stale: map[string]*udevd.Entry{}}
	defer func() {
		for _, e := range there {
			now.members[e.Devname()] = e
			mark := ""
			if now.stale[e.Devname()] != nil {
				mark = "1"
			}
			e.SetProperty(udevd.BtrfsStale, mark)
		}
		for node := range known {
			if now.stale[node] == nil {
				w.DropFact(f.key + " " + node)
			}
		}
		f.judged = now
		w.Sched.Notify(f.key)
		if len(known)+len(now.stale) > 0 {
			w.Sched.Notify(udevd.TopicDevice) // what is out of date is not one of those that are meant
		}
	}()
	// Of two that are the same one nothing can be said.
	if len(there) < 2 || twins(there) != "" {
		return ""
	}
	history, err := ueventd.Do(t, "look for what the devices of "+strings.TrimPrefix(f.key, filter.Btrfs+" ")+" lack", func(m machine.Machine) (btrfsfmt.History, error) {
		var devices []io.ReaderAt
		for _, e := range there {
			b, err := m.OpenBlock(e.Devname())
			if err != nil {
				return btrfsfmt.History{}, err
			}
			defer b.Close()
			devices = append(devices, b)
		}
		return btrfsfmt.Weigh(devices)
	})
	if err != nil {
		return h.unsure(f, there[0], "whether its devices belong together is not known: "+err.Error())
	}
	if len(history.Apart) > 0 {
		return h.split(t, f, there, history)
	}
	var gone []string
	for _, i := range history.Stale {
		gone = append(gone, there[i].Devname())
	}
	if err := h.forget(t, f, gone); err != nil {
		return h.unsure(f, there[0], err.Error())
	}
	counted := len(there) - len(history.Former)
	for _, i := range history.Stale {
		e, newest := there[i], there[history.Current[0]]
		now.stale[e.Devname()] = e
		text := "has missed writes of it (generation " + strconv.FormatUint(history.Generations[i], 10) + ", " + newest.Devname() +
			" has " + strconv.FormatUint(history.Generations[history.Current[0]], 10) + ")"
		if slices.Contains(history.Former, i) {
			text = "is not one of its devices any more"
		} else {
			// All that is missing may be known to be out of date.
			total, _ := strconv.Atoi(newest.Property(udevd.BtrfsDevices))
			now.known = counted+h.seeds(f, []*udevd.Entry{newest}) >= total
		}
		w.SetFact(f.key+" "+e.Devname(), goal.Fact{Subject: e.Devname() + " of " + subject(e), Condition: goal.Blocked, Text: text,
			Try: "name the filesystem by its UUID; btrfs replace in the real system writes the device anew"})
		if known[e.Devname()] != e {
			w.Say(handler.Loud, subject(e)+": "+e.Devname()+" "+text+". It is not used.")
		}
	}
	return ""
}

// unsure holds a filesystem back for a while, and for as long as that is so.
func (h *Handler) unsure(f *filesystem, e *udevd.Entry, text string) string {
	h.await(f) // what could not be read may be readable later
	h.w.SetFact(f.key, goal.Fact{Subject: subject(e), Condition: goal.Blocked, Text: text})
	return text
}

// split refuses a filesystem whose members were each used without the others.
func (h *Handler) split(t *ueventd.Task, f *filesystem, there []*udevd.Entry, history btrfsfmt.History) string {
	var nodes, commands []string
	for _, side := range history.Apart {
		options := "degraded"
		for _, i := range side[1:] {
			options += ",device=" + there[i].Devname()
		}
		nodes = append(nodes, there[side[0]].Devname()+" (generation "+strconv.FormatUint(history.Generations[side[0]], 10)+")")
		commands = append(commands, "mount -o "+options+" "+there[side[0]].Devname()+" "+handler.SysRoot)
	}
	text := strings.Join(nodes, " and ") + " were each used without the other"
	h.w.Sched.CancelDeadline(f.key)
	h.w.SetFact(f.key, goal.Fact{Subject: subject(there[0]), Condition: goal.Blocked, Text: text,
		Try: "choose one in a shell: " + strings.Join(commands, " or ") + "; in the real system wipefs -a for the other, and btrfs replace"})
	h.forget(t, f, order.Keys(f.members)) // what is refused is not mounted anyway
	return text
}

// forget has the kernel forget members that it was told of.
func (h *Handler) forget(t *ueventd.Task, f *filesystem, nodes []string) error {
	nodes = slices.DeleteFunc(nodes, func(n string) bool { return f.members[n] == nil })
	if len(nodes) == 0 {
		return nil
	}
	err := ueventd.Act(t, "have btrfs forget "+strings.Join(nodes, " "), func(m machine.Machine) error {
		for _, n := range nodes {
			if err := m.BtrfsForget(n); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		for _, n := range nodes {
			delete(f.members, n)
		}
	}
	f.ready = false
	return err
}
