// Package zfs imports the pool that the root is in, opens its encrypted datasets
// and mounts the root and what lies below it, by ZFS's own tools of the image. It
// belongs to the full /init.
//
// An import writes to the pool: none is done before it is known that nothing is to
// be resumed. What a pool is made of, who used it last and whether its devices
// agree is read from their labels (package zfslabel), and the tool is given these
// devices and no others.
package zfs

import (
	"strconv"
	"strings"
	"time"

	"firstlight/internal/bootcmd"
	"firstlight/internal/devspec"
	"firstlight/internal/filter"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/handler/mount"
	"firstlight/internal/machine"
	"firstlight/internal/order"
	"firstlight/internal/udevd"
	"firstlight/internal/ueventd"
	"firstlight/internal/zfslabel"
)

// queue is the one queue of all pools; topic is notified when their devices have
// been waited for. kindOverdue is the event that no device has come for a time.
const (
	queue       = "zfs"
	topic       = "zfs"
	kindOverdue = "overdue"
	memberType  = "zfs_member" // blkid's name
)

// feature brings the tools into the image.
const feature = "zfs"

// Handler imports the pool of the root.
type Handler struct {
	w       *handler.World
	config  bootcmd.ZFS
	isRoot  bool
	pool    string // name or number of the pool; "" is the one that there is
	dataset string // what is in it, without the pool: "/ROOT/debian@snap"; "" is what bootfs says
	devices map[string]*device
	overdue bool
	hostID  uint64
	knows   bool // hostID has been looked up

	imported string // name of the pool once it is
	readOnly bool   // it is imported so
	failed   error  // why something could not be done, in which round of trying
	round    int
	datasets []dataset // the root and what is mounted with it
	ready    bool      // the root can be mounted
	mounted  bool      // it is
}

// device is one with a label.
type device struct {
	entry *udevd.Entry
	label *zfslabel.Label
	err   error // it could not be read
}

// New registers the handler. Where the root is not in a pool it does nothing.
func New(w *handler.World) *Handler {
	h := &Handler{w: w, devices: map[string]*device{}}
	rare, _ := bootcmd.ReadRare(w.Config, "")
	h.config = rare.ZFS
	root := w.Config.Root.Device
	switch {
	case root.Kind == devspec.Other && root.Scheme == "zfs":
		h.named(root.Value)
	case root.IsZero() && (h.config.Pool != "" || h.config.Dataset != "" || last(w.Config, "boot") == "zfs"):
		h.split(last(w.Config, "root")) // zfs-initramfs takes a dataset without more
	default:
		return h
	}
	h.isRoot = true
	if h.pool == "" && h.dataset == "" {
		if h.split(h.config.Dataset); h.config.Pool != "" {
			h.pool = h.config.Pool
		}
	}
	w.Sched.Route(queue, h.handle)
	w.MountRoot = h.mountRoot
	if cover := w.Cover; cover != nil {
		w.Cover = func(t *ueventd.Task) (ueventd.Outcome, bool) {
			if out, ok := cover(t); !ok {
				return out, false
			}
			return h.mountBelow(t)
		}
	}
	return h
}

// last is the value of a parameter of the command line as it is written.
func last(c *bootcmd.Config, name string) (value string) {
	for _, p := range c.Params {
		if p.Name == name {
			value = p.Value
		}
	}
	return value
}

// named reads root=: "zfs", "zfs:AUTO", "zfs:POOL/NAME", "ZFS=POOL/NAME".
func (h *Handler) named(value string) {
	i := strings.IndexAny(value, ":=")
	if i < 0 {
		return
	}
	switch name := strings.TrimPrefix(value[i+1:], "//"); name {
	case "AUTO", "auto", "bootfs": // the last is mkinitcpio's
	default:
		h.split(name)
	}
}

func (h *Handler) split(name string) {
	if i := strings.IndexAny(name, "/@"); i >= 0 {
		h.pool, h.dataset = name[:i], name[i:]
	} else {
		h.pool = name
	}
}

// Start sets out.
func (h *Handler) Start() {
	if !h.isRoot {
		return
	}
	w := h.w
	_, problems := bootcmd.ReadRare(w.Config, "")
	for _, p := range problems {
		switch p.Param {
		case "rd.bcache", "rd.bcache.degraded": // bcache's
		default:
			w.Say(handler.Loud, p.String())
		}
	}
	if g := w.Goals.Get(mount.RootGoal); g != nil {
		g.Want = h.describe() + " mounted as the root"
	}
	if !h.config.Enabled {
		h.fact(goal.Blocked, "no pool is imported, as rd.zfs=0 says", "take rd.zfs=0 off the command line")
		return
	}
	h.fact(goal.Incomplete, "no device of it has appeared", "")
	w.Sched.Push(ueventd.Event{Queue: queue, Kind: filter.Add})
}

// describe is what a person calls the root.
func (h *Handler) describe() string {
	if h.pool == "" {
		return "the ZFS root"
	}
	return "the ZFS root " + h.pool + h.dataset
}

// fact says how things stand with the root.
func (h *Handler) fact(c goal.Condition, text, try string) {
	h.w.SetFact(mount.RootGoal, goal.Fact{Subject: h.describe(), Condition: c, Text: text, Try: try})
}

func (h *Handler) handle(t *ueventd.Task, ev ueventd.Event) ueventd.Outcome {
	w := h.w
	if h.ready {
		return ueventd.Outcome{}
	}
	if ev.Kind == kindOverdue {
		if _, later := w.Sched.DeadlineOf(queue); later || h.imported != "" {
			return ueventd.Outcome{} // something came before this was its turn
		}
		if w.Sched.Asking() || w.Sched.Active(filter.LUKS) { // what is missing may be what is being unlocked
			h.await()
			return ueventd.Outcome{}
		}
		h.overdue = true
		w.Sched.Notify(topic)
		return ueventd.Outcome{}
	}
	if h.imported == "" {
		out, p := h.collect(t)
		if p == nil {
			return out
		}
		if err := h.importPool(t, p); err != nil {
			return h.fail(err)
		}
	}
	if err := h.prepare(t); err != nil {
		return h.fail(err)
	}
	h.ready = true
	w.Progress()
	w.Sched.Push(ueventd.Event{Queue: filter.Root, Kind: filter.Add})
	return ueventd.Outcome{}
}

// problem is an error with what to try.
type problem struct{ text, try string }

func (p *problem) Error() string { return p.text }

func refuse(text, try string) error { return &problem{text, try} }

// fail notes why it does not go on, until a person has tried something, or, as
// long as the pool is not imported, a device has come or gone.
func (h *Handler) fail(err error) ueventd.Outcome {
	try := "look at the kernel's messages (dmesg) for the reason"
	if p, ok := err.(*problem); ok && p.try != "" {
		try = p.try
	}
	h.failed, h.round = err, h.w.Round
	h.fact(goal.Blocked, err.Error(), try)
	h.w.AddMissingDriver(err)
	h.w.Say(handler.Loud, h.describe()+": "+err.Error())
	if h.imported != "" {
		return ueventd.WaitFor(err.Error(), handler.TopicRetry)
	}
	return ueventd.WaitFor(err.Error(), udevd.TopicDevice, handler.TopicRetry)
}

// collect looks at the devices that there are until the pool can be imported, and
// returns it; nil with how to go on if it cannot be yet.
func (h *Handler) collect(t *ueventd.Task) (ueventd.Outcome, *zfslabel.Pool) {
	for identified := false; ; identified = true {
		changed := h.look(t)
		if h.failed != nil && !changed && h.round == h.w.Round {
			return ueventd.WaitFor(h.failed.Error(), udevd.TopicDevice, handler.TopicRetry), nil
		}
		h.failed = nil
		if changed {
			h.overdue = false // who has come may not be the last, and who has gone may come back
			h.w.Sched.CancelDeadline(queue)
		}
		p, why := h.judge(t)
		switch {
		case p == nil && !h.w.ResumeSettled:
			return ueventd.WaitFor(why, udevd.TopicDevice, handler.TopicRetry, handler.TopicResumeSettled, topic), nil
		case p == nil:
			return ueventd.WaitFor(why, udevd.TopicDevice, handler.TopicRetry, topic), nil
		case identified && !changed:
			return ueventd.Outcome{}, p
		}
		// A copy, or another device of it, may be among those that are being identified.
		h.w.Identified(t)
	}
}

// look brings the devices up to date with the device database; changed says
// whether any came or went.
func (h *Handler) look(t *ueventd.Task) (changed bool) {
	there := map[string]bool{}
	for _, e := range h.w.Devices.Block() {
		node := e.Devname()
		if e.Property("ID_FS_TYPE") != memberType || !filter.Usable(e.Device) || h.w.Devices.ByName(node) != e {
			continue
		}
		there[node] = true
		if d := h.devices[node]; d != nil && d.entry == e {
			continue
		}
		l, err := ueventd.Do(t, "read the ZFS label of "+node, func(m machine.Machine) (*zfslabel.Label, error) {
			b, err := m.OpenBlock(node)
			if err != nil {
				return nil, err
			}
			defer b.Close()
			return zfslabel.Read(b, uint64(b.Size()))
		})
		// An event of the device that changes nothing of what it is does not count
		// as one that has come.
		if d := h.devices[node]; d == nil || d.label == nil || l == nil || d.label.GUID != l.GUID || d.label.PoolGUID != l.PoolGUID {
			changed = true
		}
		h.devices[node] = &device{e, l, err}
		key := "device " + node
		if err != nil {
			h.w.SetFact(key, goal.Fact{Subject: node + " of a ZFS pool", Condition: goal.Blocked, Text: "it cannot be used: " + err.Error(), Try: "look at it in a rescue system (zdb -l " + node + ")"})
		} else {
			h.w.DropFact(key)
		}
	}
	for _, node := range order.Keys(h.devices) {
		if !there[node] {
			changed = true
			delete(h.devices, node)
			h.w.DropFact("device " + node)
		}
	}
	return changed
}

// pools are those that the root may be in, in the order of their numbers.
func (h *Handler) pools() []*zfslabel.Pool {
	members := map[string][]zfslabel.Member{}
	for _, node := range order.Keys(h.devices) {
		l := h.devices[node].label
		if l == nil || l.Tree == nil {
			continue
		}
		id := strconv.FormatUint(l.PoolGUID, 10)
		members[id] = append(members[id], zfslabel.Member{Node: node, Label: l})
	}
	var list []*zfslabel.Pool
	for _, id := range order.Keys(members) {
		p := zfslabel.Assemble(members[id])
		if p.Label.State != zfslabel.Destroyed && (h.pool == "" || h.pool == p.Label.Pool || h.pool == id) {
			list = append(list, p)
		}
	}
	return list
}

// await sets the time at which the pool is imported without what is missing,
// unless it is set; 0 is never.
func (h *Handler) await() (until time.Duration) {
	s := h.w.Sched
	if at, ok := s.DeadlineOf(queue); ok {
		return at
	}
	at := handler.DeadlineAt(s.Now(), h.config.Degraded.Wait)
	if at != 0 {
		s.Deadline(queue, at, ueventd.Event{Queue: queue, Kind: kindOverdue})
	}
	return at
}
