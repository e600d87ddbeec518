// Package btrfs tells the kernel of the members of btrfs filesystems that
// have more than one, and holds their mounts back until all members are
// there. A filesystem on one device needs nothing of it.
package btrfs

import (
	"strconv"
	"strings"
	"time"

	"firstlight/internal/bootcmd"
	"firstlight/internal/filter"
	"firstlight/internal/fmt"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/machine"
	"firstlight/internal/order"
	"firstlight/internal/udevd"
	"firstlight/internal/ueventd"
)

// kindOverdue is the event that no member has come for a time.
const kindOverdue = "overdue"

// Handler knows the filesystems.
type Handler struct {
	w           *handler.World
	filesystems map[string]*filesystem // by queue
	// careful, where it is not nil, is asked in a task why a filesystem cannot be
	// had without what is missing; and without one how it is mounted then, for the
	// person and as options.
	careful func(*ueventd.Task, *filesystem, *udevd.Entry) (text, options string)
}

// filesystem is one of several devices.
type filesystem struct {
	key      string
	members  map[string]*udevd.Entry // by node; those that the kernel was told of
	untold   map[string]*udevd.Entry // those that it did not take
	total    int                     // devices that it has, 0 if not known
	seeds    int                     // devices of seeds that it grew from and that are there
	ready    bool                    // the kernel knows all
	overdue  bool                    // the missing have been waited for
	judged   judged                  // by the full /init
	refused  string                  // why it is not mounted at all
	lost     string                  // why it is not mounted without what is missing
	degraded bool                    // it has been said that it is mounted without some
}

// New registers the handler.
func New(w *handler.World) *Handler {
	h := &Handler{w: w, filesystems: map[string]*filesystem{}}
	w.Sched.Route(filter.Btrfs, h.handle)
	return h
}

// alone says whether a device is all of its filesystem. A seed is not: the
// filesystem that grew from it has another UUID and needs it too.
func alone(e *udevd.Entry) bool {
	return e.Property(udevd.BtrfsDevices) == "1" && e.Property(udevd.BtrfsSeed) == ""
}

// Gate holds back the mount of a filesystem whose members are not all there.
// Once they have been waited for, it asks for the option degraded: whether
// the filesystem can do without them is then the kernel's to say, which knows
// the profiles of its chunks.
func (h *Handler) Gate(e *udevd.Entry) (topic, why, options string) {
	if e.Property("ID_FS_TYPE") != "btrfs" || alone(e) {
		return "", "", ""
	}
	key := filter.Btrfs + " " + e.Property("ID_FS_UUID")
	f := h.filesystems[key]
	switch {
	case f == nil:
		return key, "the members of the btrfs", ""
	case f.refused != "":
		return key, f.refused, ""
	case f.ready:
		return "", "", ""
	case f.overdue && !h.news(f):
		if f.lost != "" {
			return key, f.lost, ""
		}
		how := ""
		options = "degraded"
		if h.careful != nil {
			how, options = h.careful(nil, f, e)
		}
		if !f.degraded {
			f.degraded = true
			h.w.Say(handler.Loud, fmt.Sprintf("%s: %s. Mounting it degraded%s.", subject(e), f.describe(), how))
		}
		return "", "", options
	}
	return key, subject(e) + ": " + f.describe(), ""
}

func (h *Handler) handle(t *ueventd.Task, ev ueventd.Event) ueventd.Outcome {
	w := h.w
	f := h.filesystems[ev.Queue]
	if f == nil {
		if ev.Kind != filter.Add {
			return ueventd.Outcome{}
		}
		if e := w.Devices.ByName(ev.Name); e != nil && alone(e) {
			return ueventd.Outcome{}
		}
		f = &filesystem{key: ev.Queue, members: map[string]*udevd.Entry{}}
		h.filesystems[ev.Queue] = f
	}
	if ev.Kind == kindOverdue {
		return h.late(t, f)
	}
	if f.members[ev.Name] == nil {
		f.overdue = false // who has come may not be the last
	}
	out, _ := h.collect(t, f)
	return out
}

// collect tells the kernel of what there is of a filesystem, and says how to
// go on; ok is false when the kernel does not take it.
func (h *Handler) collect(t *ueventd.Task, f *filesystem) (out ueventd.Outcome, ok bool) {
	w := h.w
	// Two devices that are the same member must both be seen before the
	// kernel is told of one.
	w.Identified(t)
	there := h.there(f)
	if len(there) == 0 {
		h.grown(f) // it may have been a seed
		w.Sched.CancelDeadline(f.key)
		w.DropFact(f.key)
		delete(h.filesystems, f.key)
		return ueventd.Outcome{}, true
	}
	e := there[0]
	f.total, _ = strconv.Atoi(e.Property(udevd.BtrfsDevices))
	if f.refused = twins(there); f.refused != "" {
		w.Sched.CancelDeadline(f.key)
		w.SetFact(f.key, goal.Fact{Subject: subject(e), Condition: goal.Blocked, Text: f.refused, Try: "disconnect the copy"})
		return ueventd.Outcome{}, true
	}
	if err := h.tell(t, f, there); err != nil {
		if len(f.members) > 0 && !f.ready {
			h.await(f) // who has come may not be the last
		}
		w.AddMissingDriver(err)
		w.SetFact(f.key, goal.Fact{Subject: subject(e), Condition: goal.Blocked, Text: err.Error()})
		return ueventd.WaitFor(err.Error(), handler.TopicRetry), false
	}
	if e.Property(udevd.BtrfsSeed) != "" {
		h.grown(f)
	}
	if f.ready {
		w.Sched.CancelDeadline(f.key)
		w.DropFact(f.key)
		w.Progress()
		w.Sched.Notify(f.key)
		return ueventd.Outcome{}, true
	}
	fact := goal.Fact{Subject: subject(e), Condition: goal.Incomplete, Text: f.describe(), Try: "connect the missing device"}
	if fact.Until = h.await(f); fact.Until != 0 {
		fact.AtExpiry = "mounted degraded"
	} else {
		fact.Text += "; never without (rd.btrfs.degraded=)"
	}
	w.SetFact(f.key, fact)
	return ueventd.Outcome{}, true
}

// grown looks again at the filesystems that wait: what they lack may be the
// seed that the kernel was just told of, or the one that went what they need.
func (h *Handler) grown(seed *filesystem) {
	for _, key := range order.Keys(h.filesystems) {
		if f := h.filesystems[key]; f != seed && f.refused == "" && (!f.ready || f.seeds > 0) {
			h.w.Sched.Push(ueventd.Event{Queue: key, Kind: filter.Add})
		}
	}
}

// late lets the mount go on without what is missing.
func (h *Handler) late(t *ueventd.Task, f *filesystem) ueventd.Outcome {
	w := h.w
	w.Identified(t) // what was announced may be a member

	_, later := w.Sched.DeadlineOf(f.key) // a member came before this was its turn
	switch {
	case later || f.ready || f.refused != "":
		return ueventd.Outcome{}
	case w.Sched.Asking() || w.Sched.Active(filter.LUKS):
		// The missing member may be encrypted, and somebody may be typing its
		// passphrase just now.
		h.await(f)
		return ueventd.Outcome{}
	}
	// What the kernel did not take it may take now: better than without it.
	f.untold = nil
	if h.news(f) {
		if out, ok := h.collect(t, f); ok {
			return out
		}
	}
	if h.careful != nil {
		f.lost, _ = h.careful(t, f, nil)
	}
	f.overdue = true
	w.SetFact(f.key, goal.Fact{Subject: "btrfs filesystem " + strings.TrimPrefix(f.key, filter.Btrfs+" "),
		Condition: goal.Incomplete, Text: f.describe() + f.lost, Try: "connect the missing device"})
	w.Sched.Notify(f.key)
	return ueventd.Outcome{}
}

// news says whether there are members that the kernel was not told of.
func (h *Handler) news(f *filesystem) bool {
	for _, e := range h.there(f) {
		if f.members[e.Devname()] == nil && f.untold[e.Devname()] != e {
			return true
		}
	}
	return false
}

// there returns the members that there are, sorted by devpath.
func (h *Handler) there(f *filesystem) []*udevd.Entry {
	var there []*udevd.Entry
	uuid := strings.TrimPrefix(f.key, filter.Btrfs+" ")
	for _, e := range h.w.Devices.Block() {
		if e.Property("ID_FS_TYPE") == "btrfs" && e.Property("ID_FS_UUID") == uuid && e.Property(udevd.BtrfsStale) == "" {
			there = append(there, e)
		}
	}
	return there
}

// twins says which members are there twice: copies, of which the kernel would
// take one or the other.
func twins(there []*udevd.Entry) string {
	seen := map[string]string{}
	for _, e := range there {
		id := e.Property("ID_FS_UUID_SUB")
		if other := seen[id]; id != "" && other != "" {
			return e.Devname() + " and " + other + " are the same member"
		}
		seen[id] = e.Devname()
	}
	return ""
}

// tell tells the kernel of the members that it does not know of yet, and asks
// whether that is all.
func (h *Handler) tell(t *ueventd.Task, f *filesystem, there []*udevd.Entry) error {
	known := f.members
	f.members = map[string]*udevd.Entry{}
	var news []string
	for _, e := range there {
		f.members[e.Devname()] = e
		if known[e.Devname()] == nil {
			news = append(news, e.Devname())
		}
	}
	if len(news) > 0 || len(f.members) < len(known) {
		f.overdue = false // who has come may not be the last, and who has gone may come back
	}
	seeds := h.seeds(f, there)
	if len(news) == 0 && f.ready && len(f.members) == len(known) && seeds == f.seeds {
		return nil
	}
	f.seeds = seeds
	first := there[0].Devname()
	ready, err := ueventd.Do(t, "tell btrfs of "+strings.Join(news, " "), func(m machine.Machine) (bool, error) {
		for _, name := range news {
			if err := m.BtrfsScan(name); err != nil {
				return false, err
			}
		}
		return m.BtrfsReady(first)
	})
	if err != nil {
		f.members, f.untold = known, map[string]*udevd.Entry{}
		for _, e := range there {
			if known[e.Devname()] == nil {
				f.untold[e.Devname()] = e
			}
		}
		return err
	}
	f.untold = nil

	// A member that was pulled out is still in the kernel's list.
	f.ready = f.total > 0 && len(f.members)+seeds >= f.total || ready && len(f.members) >= len(known)
	return nil
}

// seeds is how many devices there are of the seeds that a filesystem grew from.
// They count among its devices, and the kernel, which finds them when it mounts
// the filesystem, does not count them when it is asked whether all are there.
func (h *Handler) seeds(f *filesystem, there []*udevd.Entry) int {
	n := 0
	for id := range strings.FieldsSeq(there[0].Property(udevd.BtrfsSeeds)) {
		seed := h.filesystems[filter.Btrfs+" "+id]
		if seed == nil || seed.refused != "" || !seed.ready { // the kernel may not have been told yet
			continue
		}
		for _, e := range seed.members {
			if e.Property(udevd.BtrfsSeed) != "" {
				n++
			}
		}
	}
	return n
}

// await sets the time at which the filesystem may be mounted without what is
// missing, and returns it; 0 is never.
func (h *Handler) await(f *filesystem) time.Duration {
	w := h.w
	at := handler.DeadlineAt(w.Sched.Now(), w.Config.BtrfsDegraded.Wait)
	if w.Config.BtrfsDegraded.Mode != bootcmd.DegradedWritable && h.careful == nil {
		at = 0
	}
	if at != 0 {
		w.Sched.Deadline(f.key, at, ueventd.Event{Queue: f.key, Kind: kindOverdue})
	}
	return at
}

// describe says what of the filesystem is there.
func (f *filesystem) describe() string {
	var names []string
	for name, e := range f.members {
		if id := e.Property(udevd.BtrfsNumber); id != "" {
			name += " is devid " + id
		}
		names = append(names, name)
	}
	order.Strings(names)
	if f.total == 0 {
		return "not all devices: " + strings.Join(names, ", ")
	}
	return fmt.Sprintf("%d of %d devices (%s)", len(names)+f.seeds, f.total, strings.Join(names, ", "))
}

// subject is how a person knows the filesystem.
func subject(e *udevd.Entry) string {
	text := "btrfs filesystem "
	if l := e.Property("ID_FS_LABEL"); l != "" {
		text += l + " "
	}
	return text + e.Property("ID_FS_UUID")
}
