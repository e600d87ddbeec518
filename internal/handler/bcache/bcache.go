// Package bcache registers disks that have another disk as their cache, and the
// caches, with the kernel. It belongs to the full /init.
//
// The kernel writes to both as soon as it knows them: nothing is registered
// before it is known that nothing is to be resumed. A disk of which the cache
// has writes that the disk lacks is never started without it; one of which it
// has none is, once the cache was waited for.
package bcache

import (
	"errors"
	"strings"
	"time"

	"firstlight/internal/bcachefmt"
	"firstlight/internal/bootcmd"
	"firstlight/internal/devmapper"
	"firstlight/internal/filter"
	"firstlight/internal/fmt"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/machine"
	"firstlight/internal/order"
	"firstlight/internal/udevd"
	"firstlight/internal/ueventd"
)

// kindOverdue is the event that the cache of a disk has not come for a time; its
// name is the disk's UUID.
const kindOverdue = "overdue"

// register is where the kernel is told of a device.
const register = "/fs/bcache/register"

// Handler registers devices.
type Handler struct {
	w       *handler.World
	config  bootcmd.Bcache
	devices map[string]*device // by node
	overdue map[string]bool    // UUIDs of disks whose caches were waited for
	without map[string]string  // UUIDs of sets -> node of a disk that runs without
	spoken  map[string]bool    // of what was said once
	cookies uint16
}

// device is one that says it belongs to bcache.
type device struct {
	node  string
	entry *udevd.Entry
	super *bcachefmt.Super
	err   error // it could not be read
	// used is how it was started, "" for not yet; failed is why it could not be,
	// in which round of trying.
	used   string
	failed error
	round  int
}

// New registers the handler.
func New(w *handler.World) *Handler {
	h := &Handler{w: w, devices: map[string]*device{}, overdue: map[string]bool{}, without: map[string]string{}, spoken: map[string]bool{}}
	w.Sched.Route(filter.Bcache, h.handle)
	return h
}

// Start reads what the command line says.
func (h *Handler) Start() {
	rare, problems := bootcmd.ReadRare(h.w.Config, "rd.bcache")
	h.config = rare.Bcache
	for _, p := range problems {
		h.w.Say(handler.Loud, p.String())
	}
}

func (h *Handler) handle(t *ueventd.Task, ev ueventd.Event) ueventd.Outcome {
	w := h.w
	if ev.Kind == kindOverdue {
		if _, later := w.Sched.DeadlineOf(key(ev.Name)); later {
			return ueventd.Outcome{} // something came before this was its turn
		}
		if w.Sched.Asking() || w.Sched.Active(filter.LUKS) { // the cache may be what is being unlocked
			h.await(ev.Name)
			return ueventd.Outcome{}
		}
		h.overdue[ev.Name] = true
	}
	h.look(t)
	for settled := false; ; {
		d, act, waits := h.next()
		if d == nil {
			if waits.Verdict != ueventd.Done {
				return waits
			}
			return ueventd.Outcome{}
		}
		// A copy, or the cache, may be among the devices that are being identified.
		if !settled {
			w.Identified(t)
			h.look(t)
			settled = true
			continue
		}
		act(t, d)
		h.look(t)
		settled = false
	}
}

// look brings the devices up to date with the device database.
func (h *Handler) look(t *ueventd.Task) {
	there := map[string]bool{}
	for _, e := range h.w.Devices.Block() {
		node := e.Devname()
		if e.Property("ID_FS_TYPE") != "bcache" || !filter.Usable(e.Device) || h.w.Devices.ByName(node) != e {
			continue
		}
		there[node] = true
		d := h.devices[node]
		if d != nil && (d.entry == e || d.used != "" && d.entry.Since == e.Since) {
			d.entry = e
			continue
		}
		s, err := ueventd.Do(t, "read the bcache superblock of "+node, func(m machine.Machine) (*bcachefmt.Super, error) {
			b, err := m.OpenBlock(node)
			if err != nil {
				return nil, err
			}
			defer b.Close()
			return bcachefmt.Read(b, uint64(b.Size()))
		})
		h.forget(d)
		h.devices[node] = &device{node: node, entry: e, super: s, err: err}
	}
	for node, d := range h.devices {
		if !there[node] {
			h.forget(d)
		}
	}
}

// forget takes a device out that has gone, or is another one now.
func (h *Handler) forget(d *device) {
	if d == nil {
		return
	}
	delete(h.devices, d.node)
	h.w.DropFact(d.fact())
	if d.super != nil {
		h.w.Sched.CancelDeadline(key(d.super.UUID))
		delete(h.overdue, d.super.UUID) // it may come back, and so may its cache
	}
	if d.used != "" && d.super != nil && h.without[d.super.Set] == d.node {
		delete(h.without, d.super.Set)
	}
}

// key is that of a disk's deadline.
func key(uuid string) string { return filter.Bcache + " " + uuid }

// registered says whether the kernel has been told of a device.
func (d *device) registered() bool {
	return !nested(d.entry) && d.entry.Sys().Exists(d.entry.Devpath()+"/bcache")
}

func (d *device) fact() string { return filter.Bcache + " " + d.node }

func (d *device) subject() string {
	switch {
	case d.super == nil:
		return "bcache device " + d.node
	case d.super.Backing:
		return "bcache device " + d.super.UUID + " (" + d.node + ")"
	}
	return "cache " + d.node + " of the set " + d.super.Set
}

// names are the nodes in the order in which their devices are started: caches
// first, so that what they cache finds them.
func (h *Handler) names() []string {
	var caches, disks []string
	for node, d := range h.devices {
		if d.super != nil && !d.super.Backing {
			caches = append(caches, node)
		} else {
			disks = append(disks, node)
		}
	}
	order.Strings(caches)
	order.Strings(disks)
	return append(caches, disks...)
}

// action is something that is to be done with a device.
type action func(*ueventd.Task, *device)

// next says what is known of every device, and returns the first with which
// something is to be done; waits is what is waited for where there is none.
func (h *Handler) next() (found *device, act action, waits ueventd.Outcome) {
	for _, node := range h.names() {
		d := h.devices[node]
		if d.used == "" && d.registered() && d.super != nil && (!d.super.Backing || h.attr(d, "running") == "1") {
			d.used = "runs already" // somebody was quicker
		}
		f, do := h.judge(d)
		f.Subject = d.subject()
		h.w.SetFact(d.fact(), f)
		switch {
		case do != nil && found == nil:
			found, act = d, do
		case f.Text == early:
			waits = ueventd.WaitFor("resume comes before any write", handler.TopicResumeSettled)
		case d.failed != nil && waits.Verdict == ueventd.Done:
			waits = ueventd.WaitFor(d.failed.Error(), handler.TopicRetry)
		}
	}
	return found, act, waits
}

// nested says whether a device is one of bcache's itself: the kernel has no place
// for what it would make of it, and the attributes there are those of the device
// below.
func nested(e *udevd.Entry) bool {
	name, ok := strings.CutPrefix(e.Devname(), "/dev/bcache")
	return ok && name != "" && strings.Trim(name, "0123456789") == ""
}

const early = "it is started once nothing can be resumed any more, for the kernel writes to it then"

// judge decides about one device.
func (h *Handler) judge(d *device) (goal.Fact, action) {
	w := h.w
	blocked := func(text, try string) (goal.Fact, action) {
		if d.super != nil {
			w.Sched.CancelDeadline(key(d.super.UUID))
		}
		return goal.Fact{Condition: goal.Blocked, Text: text, Try: try}, nil
	}
	twin := h.twin(d)
	switch {
	case d.used != "":
		return goal.Fact{Condition: goal.Present, Text: d.used}, nil
	case !h.config.Enabled:
		return goal.Fact{Condition: goal.LeftAlone, Text: "left alone: rd.bcache=0"}, nil
	case twin != "":
		return blocked(d.node+" and "+twin+" are the same bcache device", "disconnect the copy")
	case d.err != nil:
		return blocked("it cannot be used: "+d.err.Error(), "look at it in a rescue system (bcache-super-show)")
	case nested(d.entry):
		return blocked("it lies on a bcache device directly, which the kernel does not support", "put a partition or a volume between the two")
	case d.failed != nil && d.round == w.Round:
		return blocked("cannot be started: "+d.failed.Error(), advice(d.failed))
	case !w.ResumeSettled:
		if d.super.State == bcachefmt.Clean && h.cache(d.super.Set) == nil && !h.overdue[d.super.UUID] {
			h.await(d.super.UUID)
		}
		return goal.Fact{Condition: goal.Incomplete, Text: early}, nil
	case d.super.Backing:
		return h.disk(d)
	case h.without[d.super.Set] != "":
		if !h.spoken[d.node] {
			h.spoken[d.node] = true
			w.Say(handler.Loud, d.subject()+" came when "+h.without[d.super.Set]+" was running without it, and is not used: bcache's tools can attach it in the real system")
		}
		return goal.Fact{Condition: goal.LeftAlone, Text: "left alone: " + h.without[d.super.Set] + " runs without it"}, nil
	}
	return goal.Fact{Condition: goal.Working, Text: "is being started"}, h.start
}

func advice(err error) string {
	if errors.Is(err, machine.ErrNoModule) {
		return "rebuild the image with it: firstlight build --feature bcache"
	}
	return "look at the kernel's messages (dmesg) for the reason"
}

// twin is another device that is the same as this one, or the other cache of
// its set, of which there is only one; "" for none.
func (h *Handler) twin(d *device) string {
	for _, node := range h.names() {
		o := h.devices[node]
		if o == d {
			continue
		}
		id := d.entry.Property("ID_FS_UUID")
		if id != "" && id == o.entry.Property("ID_FS_UUID") ||
			d.super != nil && o.super != nil && (d.super.UUID == o.super.UUID || !d.super.Backing && !o.super.Backing && d.super.Set == o.super.Set) {
			return node
		}
	}
	return ""
}

// disk decides about one that is cached.
func (h *Handler) disk(d *device) (goal.Fact, action) {
	w, s := h.w, d.super
	attached := s.State == bcachefmt.Clean || s.State == bcachefmt.Dirty
	working := goal.Fact{Condition: goal.Working, Text: "is being started"}
	if ro, _ := d.entry.Attr("ro"); ro == "1" {
		if s.State == bcachefmt.Dirty {
			return goal.Fact{Condition: goal.Blocked, Text: d.node + " cannot be written to, and its cache holds writes that it lacks",
				Try: "make it writable: bcache starts nothing that is read-only"}, nil
		}
		return working, h.readOnly
	}
	if !attached || h.running(s.Set) {
		w.Sched.CancelDeadline(key(s.UUID))
		return working, h.start
	}
	f := goal.Fact{Condition: goal.Incomplete, Text: "its cache is missing (set " + s.Set + ")", Try: "connect the cache"}
	if c := h.cache(s.Set); c != nil && c.failed != nil {
		f.Text, f.Try = "its cache "+c.node+" cannot be started: "+c.failed.Error(), advice(c.failed)
	}
	if s.State == bcachefmt.Dirty {
		w.Sched.CancelDeadline(key(s.UUID))
		f.Text += ", which holds writes that " + d.node + " lacks: it is never started without"
		f.Try += "; what only the cache has is lost otherwise"
		return f, nil
	}
	if h.overdue[s.UUID] {
		if h.config.Degraded.Mode == bootcmd.DegradedWritable {
			return working, h.degrade
		}
		return working, h.readOnly
	}
	f.Until = h.await(s.UUID)
	if f.Until == 0 {
		f.Text += "; it is not started without, as rd.bcache.degraded= or raid-member-delay= asks"
		f.Try = "connect the cache, or boot once with rd.bcache.degraded=15"
		return f, nil
	}
	f.AtExpiry = "starts without it"
	return f, nil
}

// cache is the cache of a set, nil if it is not there.
func (h *Handler) cache(set string) *device {
	for _, d := range h.devices {
		if d.super != nil && !d.super.Backing && d.super.Set == set {
			return d
		}
	}
	return nil
}

// running says whether the kernel has a set of caches.
func (h *Handler) running(set string) bool {
	c := h.cache(set)
	return c != nil && c.used != ""
}

// await sets the time at which a disk is started without its cache, unless it is
// set; 0 is never.
func (h *Handler) await(uuid string) (until time.Duration) {
	s := h.w.Sched
	if at, ok := s.DeadlineOf(key(uuid)); ok {
		return at
	}
	at := handler.DeadlineAt(s.Now(), h.config.Degraded.Wait)
	if at != 0 {
		s.Deadline(key(uuid), at, ueventd.Event{Queue: filter.Bcache, Kind: kindOverdue, Name: uuid})
	}
	return at
}

// start registers a device: a cache, or a disk that has its cache or needs none.
func (h *Handler) start(t *ueventd.Task, d *device) {
	err := h.register(t, d)
	if err == nil && d.super.Backing && h.attr(d, "running") != "1" {
		err = errors.New("the kernel does not run it")
	}
	h.ended(d, "runs", err)
}

// degrade starts a disk without its cache, which from then on counts for
// nothing. What the kernel read of it must still say that it may.
func (h *Handler) degrade(t *ueventd.Task, d *device) {
	h.w.Say(handler.Loud, "Starting "+d.subject()+" without its cache: nothing of the set "+d.super.Set+" came for "+
		goal.Seconds(h.config.Degraded.Wait)+". The cache has nothing that the disk lacks; it is not used again.")
	err := h.register(t, d)
	if state := h.attr(d, "state"); err == nil && state != "clean" {
		err = fmt.Errorf("the kernel finds its state to be %q and not clean", state)
	}
	if err == nil {
		err = ueventd.Act(t, "start "+d.node+" without its cache", func(m machine.Machine) error {
			return m.WriteSysfs(d.entry.Devpath()+"/bcache/running", "1")
		})
	}
	if err == nil {
		h.without[d.super.Set] = d.node
	}
	h.ended(d, "runs without its cache", err)
}

// attr reads what the kernel says of a device that is registered.
func (h *Handler) attr(d *device, name string) string {
	v, _ := d.entry.Sys().Read(d.entry.Devpath() + "/bcache/" + name)
	return strings.TrimSpace(v)
}

func (h *Handler) register(t *ueventd.Task, d *device) error {
	h.w.Progress()
	if err := h.w.LoadModules(t, "bcache"); err != nil {
		return err
	}
	if d.registered() {
		return nil // and waits for its cache
	}
	return ueventd.Act(t, "start the "+d.subject(), func(m machine.Machine) error { return m.WriteSysfs(register, d.node) })
}

// readOnly maps the data of a disk without bcache, which cannot be told not to
// write: where the disk cannot be written to, or nothing may be.
func (h *Handler) readOnly(t *ueventd.Task, d *device) {
	w := h.w
	s := *d.super
	if h.overdue[s.UUID] {
		w.Say(handler.Loud, "Starting "+d.subject()+" read-only, without its cache: nothing of the set "+s.Set+" came for "+
			goal.Seconds(h.config.Degraded.Wait)+".")
		if h.config.Degraded.Mode == bootcmd.DegradedOverlay {
			w.CoverRoot(d.subject() + " lacks its cache (rd.bcache.degraded=overlay)")
		}
	}
	major, minor, _ := d.entry.Devnum()
	on, node := fmt.Sprintf("%d:%d", major, minor), d.node
	h.cookies++
	cookie := devmapper.NewCookie(h.cookies|0x2000, 0)
	err := w.LoadModules(t, "dm-mod")
	if err == nil {
		err = ueventd.Act(t, "map the data of "+node+" read-only", func(m machine.Machine) error {
			b, err := m.OpenBlock(node)
			if err != nil {
				return err
			}
			sectors := uint64(b.Size()) / 512
			b.Close()
			line, err := devmapper.Linear(0, sectors-s.Data, on, s.Data)
			if err != nil {
				return err
			}
			mapper, err := m.Mapper()
			if err != nil {
				return err
			}
			_, err = devmapper.Activate(mapper, "bcache-"+s.UUID, "BCACHE-"+s.UUID, []devmapper.Target{line}, true, cookie)
			return err
		})
	}
	if err == nil {
		h.without[s.Set] = node
	}
	h.ended(d, "is mapped read-only as /dev/mapper/bcache-"+s.UUID, err)
}

// ended notes what came of a device.
func (h *Handler) ended(d *device, used string, err error) {
	w := h.w
	w.Sched.CancelDeadline(key(d.super.UUID))
	delete(h.overdue, d.super.UUID)
	if err != nil {
		d.failed, d.round = err, w.Round
		w.AddMissingDriver(err)
		w.Say(handler.Loud, d.subject()+" cannot be started: "+err.Error())
		return
	}
	d.used, d.failed = used, nil
	w.Progress()
}
