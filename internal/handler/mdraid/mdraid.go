// Package mdraid assembles Linux software RAID. An array is started when it
// is complete, or, if it can do without them, when the missing members have
// not come for a time. What contradicts itself is reported and left alone.
//
// Every array is started read-auto: the kernel writes nothing to its members
// before somebody writes to the array, so that an image of a hibernated
// system on it can still be resumed. Whoever writes (mounts, checks) waits
// for that by himself. Arrays with a log (a write journal, partial parity) are
// the exception: the kernel writes to that at once, and so they are not started
// before it is known that nothing is to be resumed.
package mdraid

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"firstlight/internal/bootcmd"
	"firstlight/internal/filter"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/machine"
	"firstlight/internal/md"
	"firstlight/internal/mdsuper"
	"firstlight/internal/order"
	"firstlight/internal/udevd"
	"firstlight/internal/ueventd"
)

// kindOverdue is the event that no member has come for a time.
const kindOverdue = "overdue"

// Handler assembles arrays.
type Handler struct {
	w        *handler.World
	conf     *mdsuper.Conf
	hostname string
	arrays   map[string]*array // by queue
	given    []given           // names given out, in order
}

// array is what is known of one array.
type array struct {
	key     string
	members map[string]*member       // by node
	overdue bool                     // the missing have been waited for
	first   map[string]time.Duration // of each node that was read: when its device came
	kernel  string                   // its device, "md127", once it runs
	used    map[string]bool          // nodes that it was started with, or spoken of
	idle    int                      // 1 + the World.Round in which it had no driver
}

// member is a device that says it belongs to the array.
type member struct {
	entry *udevd.Entry
	super *mdsuper.Super
	err   error
}

// given is an array's name and what the map says of it.
type given struct {
	name mdsuper.Name
	line string
}

// New registers the handler.
func New(w *handler.World) *Handler {
	h := &Handler{w: w, conf: &mdsuper.Conf{}, arrays: map[string]*array{}}
	w.Sched.Route(filter.MD, h.handle)
	w.Sched.Route(filter.Clean, h.clean)
	return h
}

// Start reads the image's mdadm.conf.
func (h *Handler) Start() {
	w := h.w
	if !w.Config.HostOnly {
		return
	}
	h.hostname = w.Image.Hostname
	if !w.Config.MD.Conf || w.Image.MdadmConf == "" {
		return
	}
	conf, problems := mdsuper.ParseConf("mdadm.conf", w.Image.MdadmConf)
	for _, p := range problems {
		w.Say(handler.Normal, p.Error())
	}
	h.conf = conf
}

func (h *Handler) handle(t *ueventd.Task, ev ueventd.Event) ueventd.Outcome {
	w := h.w
	if !w.Config.MD.Enabled {
		t.Record("decision", ev.Name+" is left alone: rd.md=0")
		return ueventd.Outcome{}
	}
	a := h.arrays[ev.Queue]
	if a == nil {
		a = &array{key: ev.Queue, members: map[string]*member{}, used: map[string]bool{}, first: map[string]time.Duration{}}
		h.arrays[ev.Queue] = a
	}
	if ev.Kind == kindOverdue {
		if _, later := w.Sched.DeadlineOf(a.key); a.kernel != "" || later {
			return ueventd.Outcome{} // a member came before this was its turn
		}
		if h.unlocking() {
			h.await(a)
			return ueventd.Outcome{}
		}
		a.overdue = true
		// What could not be read may be readable now: better than without it.
		maps.DeleteFunc(a.members, func(_ string, m *member) bool { return m.err != nil })
	}
	h.look(t, a)
	return h.judge(t, a)
}

// look brings the members up to date with the device database: those that
// are new or have changed are read, those that are gone forgotten. It says
// whether anything changed.
func (h *Handler) look(t *ueventd.Task, a *array) (changed bool) {
	there := map[string]bool{}
	for _, e := range h.w.Devices.Block() {
		if e.Property("ID_FS_TYPE") != "linux_raid_member" || filter.MD+" "+e.Property("ID_FS_UUID") != a.key {
			continue
		}
		name := e.Devname()
		if h.w.Devices.ByName(name) != e {
			continue // another device has its name by now
		}
		if !h.mayUse(e) {
			t.Record("decision", name+" is left alone: DEVICE in mdadm.conf does not name it")
			continue
		}
		there[name] = true
		if m := a.members[name]; m != nil && m.entry == e {
			continue
		}
		changed = true
		s, err := ueventd.Do(t, "read the RAID superblock of "+name, func(m machine.Machine) (*mdsuper.Super, error) {
			b, err := m.OpenBlock(name)
			if err != nil {
				return nil, err
			}
			defer b.Close()
			return mdsuper.Read(b, uint64(b.Size()))
		})
		if err == nil && filter.MD+" "+s.UUID.Dashed() != a.key {
			// It was written to since it was identified; its next event
			// brings it to the array it belongs to.
			delete(a.members, name)
			delete(there, name)
			continue
		}
		a.members[name] = &member{entry: e, super: s, err: err}
		if a.first[name] != e.Since {
			a.first[name] = e.Since
			a.overdue = false // who has come may not be the last
		}
	}
	for name := range a.members {
		if !there[name] {
			delete(a.members, name)
			delete(a.used, name)
			changed, a.overdue = true, false // who has gone may come back
		}
	}
	return changed
}

// collect judges the members that could be read; nil if there are none.
func (h *Handler) collect(a *array) *mdsuper.Array {
	var list []mdsuper.Member
	for _, name := range a.names() {
		if m := a.members[name]; m.err == nil {
			list = append(list, mdsuper.Member{Device: name, Super: m.super})
		}
	}
	if len(list) == 0 {
		return nil
	}
	return mdsuper.Collect(list, mdsuper.Options{StartDirtyDegraded: h.startDirty(), NoJournal: h.w.Config.MD.NoJournal})
}

func (a *array) names() []string {
	var list []string
	for name := range a.members {
		list = append(list, name)
	}
	order.Strings(list)
	return list
}

// startDirty says whether the person has allowed the start of an array that
// is dirty and degraded, in the kernel's own way.
func (h *Handler) startDirty() bool {
	for _, p := range h.w.Config.Modules.Params["md_mod"] {
		if v, ok := strings.CutPrefix(p, "start_dirty_degraded="); ok {
			return v == "1" || strings.EqualFold(v, "y")
		}
	}
	return false
}

// judge decides what is to be done with an array as it is now.
func (h *Handler) judge(t *ueventd.Task, a *array) ueventd.Outcome {
	w := h.w
	for settled := false; ; settled = true {
		if len(a.members) == 0 {
			h.rest(a)
			w.DropFact(a.key)
			if a.kernel == "" {
				delete(h.arrays, a.key)
			}
			return ueventd.Outcome{}
		}
		if a.kernel != "" {
			h.late(a)
			return ueventd.Outcome{}
		}
		v := h.collect(a)
		if v == nil {
			h.rest(a)
			w.SetFact(a.key, h.unreadable(a))
			return ueventd.Outcome{}
		}
		line, why := h.allowed(v)
		if why != "" {
			t.Record("decision", subject(v)+" is left alone: "+why)
			h.rest(a)
			w.SetFact(a.key, goal.Fact{Subject: subject(v), Condition: goal.LeftAlone, Text: "left alone: " + why, Try: "if the root is on it, add rd.md.uuid=" + v.UUID.String()})
			return ueventd.Outcome{}
		}
		if text := a.unreadTwin(v); text != "" {
			h.rest(a)
			w.SetFact(a.key, goal.Fact{Subject: subject(v), Condition: goal.Blocked, Text: text, Try: "disconnect the copy"})
			return ueventd.Outcome{}
		}
		if !h.ready(a, v) {
			return ueventd.Outcome{}
		}
		// A member that contradicts the others may be among the devices that
		// are being identified.
		if !settled {
			w.Identified(t)
			if h.look(t, a) {
				continue
			}
		}
		if v.Super.Logged() && !w.ResumeSettled {
			w.SetFact(a.key, goal.Fact{Subject: subject(v), Condition: goal.Incomplete, Text: describe(v) +
				"; it is started once nothing can be resumed any more, for the kernel writes to its log then"})
			return ueventd.WaitFor("resume comes before any write", handler.TopicResumeSettled)
		}
		if a.idle > w.Round { // no event of a member brings a driver
			return ueventd.WaitFor("its driver", handler.TopicRetry)
		}
		return h.start(t, a, v, line)
	}
}

// unreadTwin says which member that would be used is there a second time, on a
// device whose superblock could not be read: which one is the right one cannot
// be known; "" for none.
func (a *array) unreadTwin(v *mdsuper.Array) string {
	id := func(name string) string { return a.members[name].entry.Property("ID_FS_UUID_SUB") }
	for _, name := range a.names() {
		if a.members[name].err == nil || id(name) == "" {
			continue
		}
		for _, m := range v.Members() {
			if id(m.Device) == id(name) {
				return name + " and " + m.Device + " are the same member, and " + name + " cannot be read: " + a.members[name].err.Error()
			}
		}
	}
	return ""
}

// ready says whether the array is to be started now; if not, the fact says
// what it waits for.
func (h *Handler) ready(a *array, v *mdsuper.Array) bool {
	w := h.w
	switch v.State {
	case mdsuper.Complete, mdsuper.Degraded:
		if v.State == mdsuper.Complete && !v.ReadOnly || v.State == mdsuper.Degraded && len(v.Awaited()) == 0 && !v.ReadOnly || a.overdue {
			return true
		}
		f := goal.Fact{Subject: subject(v), Condition: goal.Incomplete, Text: describe(v) + a.unread(),
			Try: "connect the missing member"}
		if f.Until = h.await(a); f.Until != 0 {
			f.AtExpiry = "starts degraded" + h.how()
			if v.State == mdsuper.Complete {
				f.AtExpiry = "starts read-only without its journal"
			}
		} else {
			f.Text += "; it is not started without, as rd.md.degraded= or raid-member-delay= asks"
			f.Try = "connect the missing member, or boot once with rd.md.degraded=15"
		}
		w.SetFact(a.key, f)
		return false
	case mdsuper.Incomplete:
		h.rest(a)
		w.SetFact(a.key, goal.Fact{Subject: subject(v), Condition: goal.Incomplete, Text: describe(v) + a.unread(), Try: advice(v)})
		return false
	}
	h.rest(a)
	w.SetFact(a.key, goal.Fact{Subject: subject(v), Condition: goal.Blocked, Text: describe(v), Try: advice(v)})
	return false
}

// await sets the time at which the array is started without the members that
// are missing, and returns it; 0 is never.
func (h *Handler) await(a *array) (until time.Duration) {
	w := h.w
	at := handler.DeadlineAt(w.Sched.Now(), w.Config.MD.Degraded.Wait)
	if at == 0 {
		return 0
	}
	w.Sched.Deadline(a.key, at, ueventd.Event{Queue: a.key, Kind: kindOverdue})
	return at
}

func (h *Handler) rest(a *array) { h.w.Sched.CancelDeadline(a.key) }

// late speaks of members that came when the array was running. Whether such
// a member is taken in again is for the real system to decide.
func (h *Handler) late(a *array) {
	for _, name := range a.names() {
		if a.used[name] {
			continue
		}
		a.used[name] = true
		what := "its superblock cannot be read"
		if s := a.members[name].super; s != nil {
			what = "slot " + s.Role.String()
			if s.Role < 0 {
				what = s.Role.String()
			}
		}
		h.w.Say(handler.Loud, name+" ("+what+") came when its RAID array "+a.kernel+
			" was running already, and is not added: mdadm can do so in the real system")
	}
}

// start starts an array.
func (h *Handler) start(t *ueventd.Task, a *array, v *mdsuper.Array, line *mdsuper.ArrayLine) ueventd.Outcome {
	w := h.w
	w.Progress()
	h.rest(a)
	if kernel := heldBy(a); kernel != "" {
		t.Record("decision", subject(v)+" is in use as "+kernel)
		h.running(a, kernel)
		w.DropFact(a.key)
		return ueventd.Outcome{}
	}
	sys := a.members[v.Members()[0].Device].entry.Sys()
	name := h.conf.NameArray(v.Super, line, h.hostname, h.taken(sys))
	steps, err := md.Plan(v, name.Kernel, h.devnum(a), md.Options{Degraded: true, StartDirtyDegraded: h.startDirty(), ReadOnly: h.readOnly(v)})
	if err != nil {
		return h.failed(a, v, err)
	}
	h.given = append(h.given, given{name, md.MapLine(v.Super, name)})
	h.writeMap(t)
	if h.look(t, a) { // a member came or went while the map was being written
		h.take(t, name)
		return h.judge(t, a)
	}
	if len(v.Awaited()) > 0 && h.unlocking() { // since a moment ago
		h.take(t, name)
		a.overdue = false
		return h.judge(t, a)
	}
	if v.State == mdsuper.Degraded {
		h.sayDegraded(a, v, name)
	}
	w.SetFact(a.key, goal.Fact{Subject: subject(v), Condition: goal.Working, Text: "is being started as /dev/" + name.Kernel})
	notes, err := ueventd.Do(t, "start "+subject(v)+" as "+name.Kernel+" of "+strings.Join(devices(v), " "),
		func(m machine.Machine) ([]error, error) { return md.Execute(m, steps) })
	for _, n := range notes {
		w.Say(handler.Loud, n.Error())
	}
	if err != nil {
		h.take(t, name)
		return h.failed(a, v, err)
	}
	h.running(a, name.Kernel)
	for _, o := range v.LeftOut {
		w.Say(handler.Loud, subject(v)+": "+o.Reason.Text)
	}
	urgency := handler.Normal
	if v.ReadOnly {
		urgency = handler.Loud
	}
	for _, n := range v.Notes {
		w.Say(urgency, subject(v)+": "+n)
	}
	w.SetFact(a.key, goal.Fact{Subject: subject(v), Condition: goal.Present, Text: "runs as /dev/" + name.Kernel + ", " + describe(v)})
	w.Progress()
	// What came while it was being started is in the queue behind this.
	return ueventd.Outcome{}
}

// unlocking says whether a missing member may be encrypted, and somebody typing
// its passphrase just now.
func (h *Handler) unlocking() bool {
	return h.w.Sched.Asking() || h.w.Sched.Active(filter.LUKS)
}

// take takes a name back that was given to an array.
func (h *Handler) take(t *ueventd.Task, name mdsuper.Name) {
	h.given = slices.DeleteFunc(h.given, func(g given) bool { return g.name == name })
	h.writeMap(t)
}

// running notes that the kernel has the array.
func (h *Handler) running(a *array, kernel string) {
	a.kernel = kernel
	h.awaitClean(kernel)
	for name := range a.members {
		a.used[name] = true
	}
}

func (h *Handler) sayDegraded(a *array, v *mdsuper.Array, name mdsuper.Name) {
	how := ""
	if h.readOnly(v) {
		how = h.how()
	}
	text := "Starting " + subject(v) + " degraded" + how + " as /dev/" + name.Kernel + ": " + describe(v)
	if len(v.Awaited()) == 0 {
		h.w.Say(handler.Normal, text+", as when it was last used")
		return
	}
	h.w.Say(handler.Loud, text+". Nothing of it came for "+goal.Seconds(h.w.Config.MD.Degraded.Wait)+".")
	if h.w.Config.MD.Degraded.Mode == bootcmd.DegradedOverlay {
		h.w.CoverRoot(subject(v) + " is degraded (rd.md.degraded=overlay)")
	}
}

// readOnly says whether an array is to be started so that nothing can be
// written to it: one that lacks a member that it had when it was last used,
// where rd.md.degraded= asks for that.
func (h *Handler) readOnly(v *mdsuper.Array) bool {
	return v.State == mdsuper.Degraded && len(v.Awaited()) > 0 && h.w.Config.MD.Degraded.Mode != bootcmd.DegradedWritable
}

// how is how a degraded array is started, as a person is told.
func (h *Handler) how() string {
	if h.w.Config.MD.Degraded.Mode != bootcmd.DegradedWritable {
		return " and read-only"
	}
	return ""
}

// failed reports an array that could not be started. Any event of a member
// tries again, and so does leaving the shell.
func (h *Handler) failed(a *array, v *mdsuper.Array, err error) ueventd.Outcome {
	h.w.AddMissingDriver(err)
	h.w.Say(handler.Loud, subject(v)+" cannot be started: "+err.Error())
	f := goal.Fact{Subject: subject(v), Condition: goal.Blocked, Text: "cannot be started: " + err.Error(),
		Try: "look at the kernel's messages (dmesg) for the reason"}
	if errors.Is(err, machine.ErrNoModule) {
		a.idle = h.w.Round + 1
		f.Text = "cannot be started: " + v.Super.Level.String() + " has no driver in this image"
		f.Try = "rebuild the image with it: firstlight build --feature " + feature(v.Super.Level)
	}
	h.w.SetFact(a.key, f)
	return ueventd.WaitFor(err.Error(), handler.TopicRetry)
}

// feature is what brings the driver of a level into an image.
func feature(l mdsuper.Level) string {
	if l == 4 || l == 5 || l == 6 {
		return "md-raid456" // the kernel has one driver for the three
	}
	return "md-" + l.String()
}
