// Package lvm activates logical volumes: it reads the physical volumes' own
// metadata, puts the volume groups together and maps the volumes that the
// boot needs. It never writes metadata, and it leaves to LVM's own tool what
// it cannot map with certainty.
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
	"firstlight/internal/udevd"
	"firstlight/internal/ueventd"

	"golang.org/x/sys/unix"
)

// Kinds of events of a volume group's queue.
const (
	kindChanged = "changed" // a physical volume came or went
	kindOverdue = "overdue" // none has come for a time
)

// Handler activates logical volumes.
type Handler struct {
	w       *handler.World
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
	overdue bool
	there   int               // how many of its physical volumes
	active  map[string]uint64 // sequence number of the metadata that a logical volume was mapped by
}

// New registers the handler.
func New(w *handler.World) *Handler {
	h := &Handler{w: w, pvs: map[string]*pv{}, groups: map[string]*group{}}
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
		return ueventd.Outcome{}
	}
	w.DropFact(ev.Queue)
	h.tell(p, ev.Name)
	return ueventd.Outcome{}
}

// tell pushes an event to the groups that a physical volume concerns: its
// own, and every known one that lists it. One without metadata of its own
// may be in any.
func (h *Handler) tell(p *pv, name string) {
	concerned := map[string]bool{}
	if p.seen.PV != nil && p.seen.PV.VG != nil {
		concerned[p.seen.PV.VG.Name] = true
	}
	for _, o := range h.pvs {
		if o.read && o.err == nil && o.seen.PV.VG != nil && p.seen.PV != nil && lists(o.seen.PV.VG, p.seen.PV.UUID) {
			concerned[o.seen.PV.VG.Name] = true
		}
	}
	var names []string
	for vg := range concerned {
		names = append(names, vg)
	}
	slices.Sort(names)
	for _, vg := range names {
		h.w.Sched.Push(ueventd.Event{Queue: filter.VG + " " + vg, Kind: kindChanged, Name: name})
	}
}

func lists(vg *lvmmeta.VG, uuid string) bool {
	return slices.ContainsFunc(vg.PVs, func(r lvmmeta.PVRef) bool { return r.ID == uuid })
}

// read reads a physical volume, once for each event of its device.
func (h *Handler) read(t *ueventd.Task, e *udevd.Entry) *pv {
	name := e.Devname()
	if p := h.pvs[name]; p != nil && p.entry == e {
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

// gather returns every physical volume that there is now.
func (h *Handler) gather(t *ueventd.Task) []lvmmeta.Seen {
	var list []lvmmeta.Seen
	for _, e := range h.w.Devices.Block() {
		if e.Property("ID_FS_TYPE") == "LVM2_member" {
			if p := h.read(t, e); p.err == nil {
				list = append(list, p.seen)
			}
		}
	}
	return list
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
		st = &group{active: map[string]uint64{}}
		h.groups[name] = st
	}
	if ev.Kind == kindOverdue {
		if _, later := w.Sched.DeadlineOf(ev.Queue); later {
			return ueventd.Outcome{} // a volume came before this was its turn
		}
		// The missing volume may be encrypted, and somebody may be typing its
		// passphrase just now; or it has come and is being read.
		if w.Sched.Asking() || w.Sched.Active(filter.LUKS) || w.Sched.Active(filter.PV) {
			h.await(ev.Queue)
			return ueventd.Outcome{}
		}
		st.overdue = true
	}
	// A second device with the same content, or newer metadata, may be among
	// those that are being identified.
	w.Identified(t)
	g := h.assemble(t, name)
	if g == nil {
		w.Sched.CancelDeadline(ev.Queue)
		w.DropFact(ev.Queue)
		return ueventd.Outcome{}
	}
	for _, n := range g.Notes {
		t.Record("note", n)
	}
	if there := len(g.VG.PVs) - len(g.Missing()); there != st.there {
		if there > st.there {
			st.overdue = false // what has come may not be the last
		}
		st.there = there
	}
	p := h.plan(g, st.overdue)
	if len(p.activate) == 0 && len(p.tool) == 0 && p.waits == "" {
		t.Record("decision", "nothing of volume group "+name+" is wanted: "+p.why)
		w.Sched.CancelDeadline(ev.Queue)
		w.SetFact(ev.Queue, goal.Fact{Subject: subject(g), Condition: goal.LeftAlone, Text: "left alone: " + p.why, Try: p.try})
		return ueventd.WaitFor("more of volume group "+name+" to be wanted", handler.TopicWanted)
	}
	if text, refused := g.Refused(); refused {
		w.Sched.CancelDeadline(ev.Queue)
		if rest, ok := strings.CutPrefix(text, "volume group "+strconv.Quote(g.VG.Name)+" "); ok {
			text = "it " + rest // the subject says which
		}
		w.SetFact(ev.Queue, goal.Fact{Subject: subject(g), Condition: goal.Blocked, Text: text, Try: advice(g)})
		return ueventd.Outcome{}
	}
	var failed error
	for _, lv := range p.activate {
		if by, done := st.active[lv.Name]; done {
			if by < g.VG.Seqno {
				st.active[lv.Name] = g.VG.Seqno
				w.Say(handler.Loud, fmt.Sprintf("logical volume %s/%s was mapped by metadata %d, and a disk that came later has the newer %d",
					name, lv.Name, by, g.VG.Seqno))
			}
			continue
		}
		if err := h.activate(t, g, lv); err != nil {
			failed = err
			w.Say(handler.Loud, fmt.Sprintf("logical volume %s/%s cannot be activated: %v", name, lv.Name, err))
			continue
		}
		st.active[lv.Name] = g.VG.Seqno
		if p.partial && st.overdue {
			w.Say(handler.Loud, fmt.Sprintf("%s is incomplete (%s); its volume %s needs nothing of what is missing and is activated",
				subject(g), missing(g.Missing()), lv.Name))
		}
		w.Progress()
	}
	return h.report(ev.Queue, g, p, failed)
}

// report leaves the fact on what could not be activated.
func (h *Handler) report(key string, g *lvmmeta.Group, p plan, failed error) ueventd.Outcome {
	w := h.w
	f := goal.Fact{Subject: subject(g)}
	switch {
	case failed != nil:
		w.Sched.CancelDeadline(key)
		f.Condition, f.Text, f.Try = goal.Blocked, failed.Error(), "look at the kernel's messages (dmesg) for the reason"
		w.SetFact(key, f)
		return ueventd.WaitFor(failed.Error(), handler.TopicRetry)
	case p.waits != "":
		f.Condition, f.Text, f.Try = goal.Incomplete, p.waits, "connect the missing disk"
		if p.timed {
			if f.Until = h.await(key); f.Until != 0 {
				f.AtExpiry = "what lies on the others alone is activated"
			}
		}
		w.SetFact(key, f)
	case len(p.tool) > 0:
		w.Sched.CancelDeadline(key)
		f.Condition, f.Text = goal.Blocked, strings.Join(p.tool, "; ")
		f.Try = "rebuild the image with LVM's own tool in it, or move the root to a linear or striped volume"
		if p.absent {
			f.Try = "correct the name of the volume in root= or rd.lvm.lv="
		}
		w.SetFact(key, f)
	default:
		w.Sched.CancelDeadline(key)
		w.DropFact(key)
	}
	// What the real root's fstab wants is not known yet.
	return ueventd.WaitFor("more of volume group "+g.VG.Name+" to be wanted", handler.TopicWanted)
}

// activate maps one logical volume.
func (h *Handler) activate(t *ueventd.Task, g *lvmmeta.Group, lv *lvmmeta.LV) error {
	readOnly := false
	gone := ""
	act, err := g.Activate(lv, func(device string) string {
		pv := h.pvs[device]
		if pv == nil { // while another volume was mapped
			gone = device
			return ""
		}
		e := pv.entry
		if ro, _ := e.Attr("ro"); ro == "1" {
			readOnly = true
		}
		major, minor, _ := e.Devnum()
		return devmapper.Devnum{Major: major, Minor: minor}.String()
	})
	if gone != "" {
		return fmt.Errorf("the physical volume %s has gone away", gone)
	}
	if err != nil {
		return err
	}
	drivers := []string{"dm-mod"}
	if slices.ContainsFunc(act.Table, func(x devmapper.Target) bool { return x.Type == "zero" }) {
		drivers = append(drivers, "dm-zero")
	}
	h.cookies++
	cookie := devmapper.NewCookie(h.cookies|0x2000, 0)
	err = ueventd.Act(t, "activate logical volume "+g.VG.Name+"/"+lv.Name+" as "+act.Name, func(m machine.Machine) error {
		if err := m.Load(drivers...); err != nil && !errors.Is(err, machine.ErrNoModule) {
			return err
		}
		mapper, err := m.Mapper()
		if err != nil {
			return err
		}
		_, err = devmapper.Activate(mapper, act.Name, act.UUID, act.Table, act.ReadOnly || readOnly, cookie)
		if errors.Is(err, unix.EBUSY) {
			// Somebody, in the shell perhaps, has activated it already.
			if info, ierr := mapper.Info(devmapper.ByUUID(act.UUID)); ierr == nil && info.Live && info.Name == act.Name {
				return nil
			}
		}
		return err
	})
	if err != nil {
		h.w.AddMissingDriver(err)
	}
	return err
}
