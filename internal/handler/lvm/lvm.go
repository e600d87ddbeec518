// Package lvm activates logical volumes: it reads the physical volumes' own
// metadata, puts the volume groups together and maps the volumes that the
// boot needs. It never writes metadata, and it leaves to LVM's own tool what
// it cannot map with certainty. Volumes that are made of other volumes are
// mapped by what New is given for them.
package lvm

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"firstlight/internal/devmapper"
	"firstlight/internal/filter"
	"firstlight/internal/fmt"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/lvmmeta"
	"firstlight/internal/machine"
	"firstlight/internal/order"
	"firstlight/internal/udevd"
	"firstlight/internal/ueventd"

	"golang.org/x/sys/unix"
)

// Kinds of events of a volume group's queue.
const (
	kindChanged = "changed" // a physical volume came or went
	kindOverdue = "overdue" // none has come for a time
	kindDegrade = "degrade" // the same, for volumes that can do without
)

// Handler activates logical volumes.
type Handler struct {
	w       *handler.World
	kinds   *Kinds            // nil in the small /init
	pvs     map[string]*pv    // by node
	groups  map[string]*group // by name
	cookies uint16
}

// pv is a physical volume that was read, or is being read.
type pv struct {
	entry *udevd.Entry
	read  bool
	seen  lvmmeta.Seen
	err   error
}

// group is what this boot has done with a volume group.
type group struct {
	overdue bool              // what is missing has been waited for
	degrade bool              // the same, for volumes that can do without
	there   int               // how many of its physical volumes
	active  map[string]uint64 // sequence number of the metadata that a logical volume was mapped by
	mapped  map[string]*mapped
	without map[string]int // volumes that were activated degraded: how many physical volumes were there
}

// New registers the handler. kinds may be nil: volumes that are made of others
// are then not activated, with the reason.
func New(w *handler.World, kinds *Kinds) *Handler {
	h := &Handler{w: w, kinds: kinds, pvs: map[string]*pv{}, groups: map[string]*group{}}
	w.Sched.Route(filter.PV, h.handlePV)
	w.Sched.Route(filter.VG, h.handleVG)
	return h
}

// handlePV reads a physical volume and tells the groups that it concerns.
func (h *Handler) handlePV(t *ueventd.Task, ev ueventd.Event) ueventd.Outcome {
	w := h.w
	if !w.Config.LVM.Enabled {
		t.Record("decision", ev.Name+" is left alone: rd.lvm=0")
		return ueventd.Outcome{}
	}
	e := w.Devices.ByName(ev.Name)
	if ev.Kind == filter.Remove || e == nil || e.Property("ID_FS_TYPE") != "LVM2_member" {
		old := h.pvs[ev.Name]
		delete(h.pvs, ev.Name)
		w.DropFact(ev.Queue)
		if old != nil && old.read {
			h.tell(old, ev.Name)
		}
		return ueventd.Outcome{}
	}
	p := h.read(t, e)
	if p.err != nil {
		w.SetFact(ev.Queue, goal.Fact{Subject: "physical volume " + ev.Name, Condition: goal.Blocked, Text: p.err.Error()})
		h.tell(p, ev.Name)
		return ueventd.Outcome{}
	}
	if !h.mayUse(p.seen.PV) {
		t.Record("decision", ev.Name+" is left alone: the devices file of LVM does not list it")
		w.SetFact(ev.Queue, goal.Fact{Subject: "physical volume " + ev.Name, Condition: goal.LeftAlone, Text: "left alone: the devices file of LVM does not list it",
			Try: "add it (lvmdevices --adddev) and rebuild the image, or boot with rd.lvm.conf=0"})
		return ueventd.Outcome{}
	}
	w.DropFact(ev.Queue)
	h.tell(p, ev.Name)
	return ueventd.Outcome{}
}

// mayUse says whether the devices file of LVM, where this machine has one,
// lists a physical volume.
func (h *Handler) mayUse(pv *lvmmeta.PV) bool {
	i := &h.w.Image
	return !i.DevicesFile || !h.w.Config.HostOnly || !h.w.Config.LVM.Conf || pv.ListedIn(i.PVIDs)
}

// tell pushes an event to the groups that a physical volume concerns: its
// own, and every known one that lists it. One without metadata of its own, or
// whose metadata cannot be read, may be in any.
func (h *Handler) tell(p *pv, name string) {
	concerned := map[string]bool{}
	id := p.entry.Property("ID_FS_UUID")
	if p.seen.PV != nil {
		id = p.seen.PV.UUID
	}
	if p.seen.PV != nil && p.seen.PV.VG != nil {
		concerned[p.seen.PV.VG.Name] = true
	}
	for _, o := range h.pvs {
		if o.read && o.err == nil && o.seen.PV.VG != nil && lists(o.seen.PV.VG, id) {
			concerned[o.seen.PV.VG.Name] = true
		}
	}
	var names []string
	for vg := range concerned {
		names = append(names, vg)
	}
	order.Strings(names)
	for _, vg := range names {
		h.w.Sched.Push(ueventd.Event{Queue: filter.VG + " " + vg, Kind: kindChanged, Name: name})
	}
}

func lists(vg *lvmmeta.VG, uuid string) bool {
	return slices.ContainsFunc(vg.PVs, func(r lvmmeta.PVRef) bool { return r.ID == uuid })
}

// known is what was read of a device as it is now, nil if nothing was.
func (h *Handler) known(e *udevd.Entry) *pv {
	if p := h.pvs[e.Devname()]; p != nil && p.entry == e {
		return p
	}
	return nil
}

// read reads a physical volume, once for each event of its device.
func (h *Handler) read(t *ueventd.Task, e *udevd.Entry) *pv {
	name := e.Devname()
	if p := h.known(e); p != nil {
		for !p.read {
			t.Wait("the metadata of "+name, topicRead(name))
		}
		return p
	}
	p := &pv{entry: e}
	h.pvs[name] = p
	p.seen, p.err = ueventd.Do(t, "read the LVM metadata of "+name, func(m machine.Machine) (lvmmeta.Seen, error) {
		b, err := m.OpenBlock(name)
		if err != nil {
			return lvmmeta.Seen{}, err
		}
		defer b.Close()
		v, err := lvmmeta.ReadPV(b, uint64(b.Size()))
		return lvmmeta.Seen{Device: name, PV: v, Size: uint64(b.Size()) / lvmmeta.SectorSize}, err
	})
	p.read = true
	h.w.Sched.Notify(topicRead(name))
	return p
}

func topicRead(devname string) string { return "pv read " + devname }

// volumes returns the devices that say that they are physical volumes. Of two
// with one node the older is gone, and the message that says so is still to
// come.
func (h *Handler) volumes() []*udevd.Entry {
	var list []*udevd.Entry
	for _, e := range h.w.Devices.Block() {
		if e.Property("ID_FS_TYPE") == "LVM2_member" && h.w.Devices.ByName(e.Devname()) == e {
			list = append(list, e)
		}
	}
	return list
}

// unchanged says whether two entries are of the same device, which was there all
// the time.
func unchanged(a, b *udevd.Entry) bool { return a.Devpath() == b.Devpath() && a.Since == b.Since }

// gather returns every physical volume that there is now: those that come or
// go while others are read count too. A second device with the same content,
// or newer metadata, may be among those that are being identified.
func (h *Handler) gather(t *ueventd.Task) []lvmmeta.Seen {
	for {
		h.w.Identified(t)
		there := h.volumes()
		unread := func(e *udevd.Entry) bool { p := h.known(e); return p == nil || !p.read }
		if !slices.ContainsFunc(there, unread) {
			var list []lvmmeta.Seen
			for _, e := range there {
				if p := h.known(e); p.err == nil && h.mayUse(p.seen.PV) {
					list = append(list, p.seen)
				}
			}
			return list
		}
		for _, e := range there {
			if h.w.Devices.At(e.Devpath()) == e {
				h.read(t, e)
			}
		}
	}
}

// unreadTwin says which physical volume of a group is there a second time, on a
// device whose metadata could not be read: which one is the right one cannot be
// known; "" for none.
func (h *Handler) unreadTwin(g *lvmmeta.Group) string {
	for _, e := range h.volumes() {
		p := h.known(e)
		if p == nil || p.err == nil {
			continue
		}
		for _, m := range g.Members {
			if m.Device != "" && m.Ref.ID == e.Property("ID_FS_UUID") {
				return e.Devname() + " and " + m.Device + " are the same physical volume, and " + e.Devname() + " cannot be read: " + p.err.Error()
			}
		}
	}
	return ""
}

// assemble puts the volume groups together and returns the one of that name.
func (h *Handler) assemble(t *ueventd.Task, name string) *lvmmeta.Group {
	host := lvmmeta.Host{}
	if i := h.w.Image; h.w.Config.HostOnly && h.w.Config.LVM.Conf {
		host = lvmmeta.Host{SystemID: i.SystemID, Extra: i.ExtraSystemIDs}
	}
	return lvmmeta.Assemble(h.gather(t), host).Group(name)
}

// handleVG looks at a volume group and activates what the boot needs of it.
func (h *Handler) handleVG(t *ueventd.Task, ev ueventd.Event) ueventd.Outcome {
	w := h.w
	name := strings.TrimPrefix(ev.Queue, filter.VG+" ")
	st := h.groups[name]
	if st == nil {
		st = &group{active: map[string]uint64{}, mapped: map[string]*mapped{}, without: map[string]int{}}
		h.groups[name] = st
	}
	if ev.Kind == kindOverdue || ev.Kind == kindDegrade {
		key := ev.Queue
		if ev.Kind == kindDegrade {
			key += legsKey
		}
		if _, later := w.Sched.DeadlineOf(key); later {
			return ueventd.Outcome{} // a volume came before this was its turn
		}
		// The missing volume may be encrypted, and somebody may be typing its
		// passphrase just now; or it has come and is being read.
		if w.Sched.Asking() || w.Sched.Active(filter.LUKS) || w.Sched.Active(filter.PV) {
			if ev.Kind == kindDegrade {
				h.kinds.awaitLegs(h, ev.Queue, true)
			} else {
				h.await(ev.Queue)
			}
			return ueventd.Outcome{}
		}
		if ev.Kind == kindDegrade {
			st.degrade = true
		} else {
			st.overdue = true
		}
	}
	g := h.assemble(t, name)
	if h.mend(t, name, st) {
		g = h.assemble(t, name) // what there is may be something else by now
	}
	if g == nil {
		st.there, st.overdue, st.degrade = 0, false, false
		h.rest(ev.Queue)
		w.DropFact(ev.Queue)
		return ueventd.Outcome{}
	}
	for _, n := range g.Notes {
		t.Record("note", n)
	}
	there := len(g.VG.PVs) - len(g.Missing())
	fresh := there != st.there
	if fresh { // what has come may not be the last, and what has gone may come back
		st.overdue, st.degrade = false, false
	}
	st.there = there
	if h.kinds != nil {
		h.kinds.late(h, g, st)
	}
	p := h.plan(g, st)
	if p.nothing() {
		t.Record("decision", "nothing of volume group "+name+" is wanted: "+p.why)
		h.rest(ev.Queue)
		w.SetFact(ev.Queue, goal.Fact{Subject: subject(g), Condition: goal.LeftAlone, Text: "left alone: " + p.why, Try: p.try})
		return ueventd.WaitFor("more of volume group "+name+" to be wanted", handler.TopicWanted)
	}
	if text, refused := g.Refused(); refused {
		h.rest(ev.Queue)
		if rest, ok := strings.CutPrefix(text, "volume group "+strconv.Quote(g.VG.Name)+" "); ok {
			text = "it " + rest // the subject says which
		}
		w.SetFact(ev.Queue, goal.Fact{Subject: subject(g), Condition: goal.Blocked, Text: text, Try: advice(g)})
		return ueventd.Outcome{}
	}
	if text := h.unreadTwin(g); text != "" {
		h.rest(ev.Queue)
		w.SetFact(ev.Queue, goal.Fact{Subject: subject(g), Condition: goal.Blocked, Text: text, Try: "disconnect the copy"})
		return ueventd.Outcome{}
	}
	var failed error
	topics := []string{handler.TopicWanted} // what the real root's fstab wants is not known yet
	pvs := h.volumes()
	for _, x := range p.activate {
		name := name + "/" + x.lv.Name
		if by, done := st.active[x.lv.Name]; done {
			if by < g.VG.Seqno {
				st.active[x.lv.Name] = g.VG.Seqno
				w.Say(handler.Loud, fmt.Sprintf("logical volume %s was mapped by metadata %d, and a disk that came later has the newer %d",
					name, by, g.VG.Seqno))
			}
			continue
		}
		if h.kinds != nil && h.kinds.postpone(h, t, g.VG, x) {
			topics = append(topics, handler.TopicResumeSettled)
			continue
		}
		if !slices.EqualFunc(pvs, h.volumes(), unchanged) { // while another volume was mapped
			return h.handleVG(t, ueventd.Event{Queue: ev.Queue, Kind: kindChanged, Name: ev.Name})
		}
		m, err := h.activate(t, g, x)
		if err != nil {
			failed = err
			w.Say(handler.Loud, fmt.Sprintf("logical volume %s cannot be activated: %v", name, err))
			continue
		}
		st.active[x.lv.Name], st.mapped[x.lv.Name] = g.VG.Seqno, m
		switch {
		case x.degraded:
			st.without[x.lv.Name] = st.there
		case p.partial && st.overdue:
			w.Say(handler.Loud, fmt.Sprintf("%s is incomplete (%s); its volume %s needs nothing of what is missing and is activated",
				subject(g), missing(g.Missing()), x.lv.Name))
		}
		w.Progress()
	}
	return h.report(ev.Queue, g, p, failed, fresh, topics)
}

// rest cancels the deadlines of a group.
func (h *Handler) rest(queue string) {
	h.w.Sched.CancelDeadline(queue)
	h.w.Sched.CancelDeadline(queue + legsKey)
}

// report leaves the fact on what could not be activated.
func (h *Handler) report(key string, g *lvmmeta.Group, p plan, failed error, fresh bool, topics []string) ueventd.Outcome {
	w := h.w
	f := goal.Fact{Subject: subject(g)}
	if !p.degradable {
		w.Sched.CancelDeadline(key + legsKey)
	}
	if !p.timed {
		w.Sched.CancelDeadline(key)
	}
	switch {
	case failed != nil:
		h.rest(key)
		f.Condition, f.Text, f.Try = goal.Blocked, failed.Error(), "look at the kernel's messages (dmesg) for the reason"
		if errors.Is(failed, machine.ErrNoModule) && p.kind != "" {
			f.Try = "rebuild the image with it: firstlight build --feature " + feature(p.kind)
		}
		w.SetFact(key, f)
		return ueventd.WaitFor(failed.Error(), append(topics, handler.TopicRetry)...)
	case p.waits != "":
		f.Condition, f.Text, f.Try = goal.Incomplete, p.waits, "connect the missing disk"
		if p.degradable {
			if f.Until = h.kinds.awaitLegs(h, key, fresh); f.Until != 0 {
				f.AtExpiry = "activated degraded"
			}
		}
		if p.timed {
			if at := h.await(key); f.Until == 0 && at != 0 {
				f.Until, f.AtExpiry = at, "what lies on the others alone is activated"
			}
		}
		w.SetFact(key, f)
	case len(p.broken)+len(p.tool) > 0:
		h.rest(key)
		f.Condition, f.Text = goal.Blocked, strings.Join(append(p.broken, p.tool...), "; ")
		switch {
		case p.absent:
			f.Try = "correct the name of the volume in root= or rd.lvm.lv="
		case len(p.broken) > 0:
			f.Try = "look at the group with vgck in a rescue system"
		default:
			f.Try = "rebuild the image with it: firstlight build --feature " + p.feature
		}
		w.SetFact(key, f)
	default:
		h.rest(key)
		w.DropFact(key)
	}
	return ueventd.WaitFor("more of volume group "+g.VG.Name+" to be wanted", topics...)
}

// activate maps one logical volume.
func (h *Handler) activate(t *ueventd.Task, g *lvmmeta.Group, x todo) (m *mapped, err error) {
	if x.tree != nil || x.tool {
		m, err = h.kinds.compose(h, t, g, x, x.degraded && h.w.Config.LVM.Degraded.ReadOnly)
	} else {
		m, err = h.plain(t, g, x.lv)
	}
	if err != nil {
		h.w.AddMissingDriver(err)
	}
	return m, err
}

// plain maps a volume that lies on physical volumes alone.
func (h *Handler) plain(t *ueventd.Task, g *lvmmeta.Group, lv *lvmmeta.LV) (*mapped, error) {
	n := &numbers{h: h}
	act, err := g.Activate(lv, n.of)
	if n.gone != "" {
		return nil, fmt.Errorf("the physical volume %s has gone away", n.gone)
	}
	if err != nil {
		return nil, err
	}
	drivers := []string{"dm-mod"}
	if slices.ContainsFunc(act.Table, func(x devmapper.Target) bool { return x.Type == "zero" }) {
		drivers = append(drivers, "dm-zero")
	}
	h.cookies++
	cookie := devmapper.NewCookie(h.cookies|0x2000, 0)
	return &mapped{devices: []string{act.Name}, on: n.on}, ueventd.Act(t, "activate logical volume "+g.VG.Name+"/"+lv.Name+" as "+act.Name, func(m machine.Machine) error {
		if err := m.Load(drivers...); err != nil && !errors.Is(err, machine.ErrNoModule) {
			return err
		}
		mapper, err := m.Mapper()
		if err != nil {
			return err
		}
		_, err = devmapper.Activate(mapper, act.Name, act.UUID, act.Table, act.ReadOnly || n.readOnly, cookie)
		if errors.Is(err, unix.EBUSY) {
			// Somebody, in the shell perhaps, has activated it already.
			if info, ierr := mapper.Info(devmapper.ByUUID(act.UUID)); ierr == nil && info.Live && info.Name == act.Name {
				return nil
			}
		}
		return err
	})
}
