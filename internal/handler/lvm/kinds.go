package lvm

import (
	"errors"
	"slices"
	"sort"
	"strings"
	"time"

	"firstlight/internal/bootcmd"
	"firstlight/internal/devmapper"
	"firstlight/internal/devspec"
	"firstlight/internal/fmt"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/lvmmeta"
	"firstlight/internal/machine"
	"firstlight/internal/ueventd"
)

// Kinds activate volumes that are made of other volumes: mirrors, RAID, thin
// volumes, snapshots. Only the full /init has them (package lvmtree).
type Kinds struct {
	// Tree gives the devices of a volume; see lvmmeta.Group.Tree.
	Tree func(g *lvmmeta.Group, lv *lvmmeta.LV, dev func(device string) string) (*lvmmeta.Tree, error)
	// Activate makes them, after it has looked at the metadata of thin pools.
	// id is the identifier of the cookies.
	Activate func(m machine.Machine, tree *lvmmeta.Tree, id uint16) error
	// Tool has LVM's own tool activate a volume, "vg/lv".
	Tool func(m machine.Machine, volume string, degraded bool) error

	// What the handler does with them, so that the small /init has none of it.
	plan      func(h *Handler, p *plan, g *lvmmeta.Group, lv *lvmmeta.LV, st *group)
	compose   func(h *Handler, t *ueventd.Task, g *lvmmeta.Group, x todo) (*mapped, error)
	postpone  func(h *Handler, t *ueventd.Task, vg *lvmmeta.VG, x todo) bool
	awaitLegs func(h *Handler, queue string, fresh bool) time.Duration
	late      func(h *Handler, g *lvmmeta.Group, st *group)
	sort      func(list []todo)
}

// Complete is what New is given.
func (k Kinds) Complete() *Kinds {
	k.plan, k.compose, k.postpone = (*Handler).composed, (*Handler).compose, (*Handler).postpone
	k.awaitLegs, k.late, k.sort = (*Handler).awaitLegs, (*Handler).late, originsFirst
	return &k
}

// ToolFeature is the feature that brings LVM's own tool into an image.
const ToolFeature = "lvm-tool"

// todo is a volume that is to be activated.
type todo struct {
	lv       *lvmmeta.LV
	tree     *lvmmeta.Tree // nil: a plain one
	tool     bool          // by LVM's own tool
	degraded bool          // without physical volumes that are missing
}

// writes says whether activating the volume may write to the disks.
func (x todo) writes() bool { return x.tool || x.tree != nil && x.tree.Writes }

// feature names the feature that an image needs for a kind of volume.
func feature(kind string) string {
	kind = strings.TrimPrefix(kind, "used by ")
	for _, f := range [...]struct{ prefix, feature string }{
		{"raid", "lvm-raid"}, {"mirror", "lvm-mirror"}, {"thin", "lvm-thin"}, {"snapshot", "lvm-snapshot"},
	} {
		if strings.HasPrefix(kind, f.prefix) {
			return f.feature
		}
	}
	return ToolFeature
}

// composed decides what is to be done with a volume that is made of others.
func (h *Handler) composed(p *plan, g *lvmmeta.Group, lv *lvmmeta.LV, st *group) {
	tree, err := h.kinds.Tree(g, lv, nil)
	var tool *lvmmeta.NeedsToolError
	switch {
	case errors.As(err, &tool):
		if !h.w.Image.Has(ToolFeature) {
			p.lacks(lv, tool.Kind, ToolFeature)
			return
		}
		// Whether it can do without what is missing, the tool knows.
		if lost := g.Missing(); awaited(lost) && !st.degrade && !st.runs(lv) {
			p.legs(lv, lost)
			return
		}
		p.activate = append(p.activate, todo{lv: lv, tool: true, degraded: len(g.Missing()) > 0})
	case err != nil:
		p.broken = append(p.broken, err.Error())
	case len(tree.Missing) > 0:
		p.waitFor("volume " + lv.Name + " needs " + missing(tree.Missing))
	case awaited(tree.Legs) && !st.degrade && !st.runs(lv):
		p.legs(lv, tree.Legs)
	default:
		p.activate = append(p.activate, todo{lv: lv, tree: tree, degraded: len(tree.Legs) > 0})
	}
}

// awaited says whether any of the missing physical volumes may come: of those
// that the group itself knows to be missing none is of use.
func awaited(lost []lvmmeta.PVRef) bool {
	return slices.ContainsFunc(lost, func(r lvmmeta.PVRef) bool { return !r.Missing() })
}

// runs says whether a volume was activated already.
func (st *group) runs(lv *lvmmeta.LV) bool {
	_, ok := st.active[lv.Name]
	return ok
}

// lacks notes that the image cannot activate a volume.
func (p *plan) lacks(lv *lvmmeta.LV, kind, feature string) {
	p.tool = append(p.tool, "volume "+lv.Name+" is "+kind+", which takes the feature "+feature+", and the image lacks it")
	p.feature = feature
}

// postpone says whether a volume is not to be activated yet: that would write to
// disks that a hibernated system believes to be as it left them.
func (h *Handler) postpone(t *ueventd.Task, vg *lvmmeta.VG, x todo) bool {
	if !x.writes() || h.w.ResumeSettled || h.mayHoldImage(vg, x.lv) {
		return false
	}
	t.Record("decision", "logical volume "+vg.Name+"/"+x.lv.Name+" waits: activating it writes to its disks, and a hibernated system may still be resumed")
	return true
}

// late speaks of physical volumes that came when RAID was running without
// them. Whether it takes them in again is for the real system to decide.
func (h *Handler) late(g *lvmmeta.Group, st *group) {
	for _, lv := range g.VG.LVs {
		if n, ok := st.without[lv.Name]; ok && st.there > n {
			st.without[lv.Name] = st.there
			h.w.Say(handler.Loud, fmt.Sprintf("a disk of %s came when volume %s was running degraded already, and is not taken in: lvchange --refresh can do so in the real system",
				subject(g), lv.Name))
		}
	}
}

// waitFor adds to what is missing.
func (p *plan) waitFor(text string) {
	if p.waits != "" {
		p.waits += "; "
	}
	p.waits += text
}

// legs notes that a volume can do without what is missing, after a time.
func (p *plan) legs(lv *lvmmeta.LV, lost []lvmmeta.PVRef) {
	p.waitFor("volume " + lv.Name + " lacks " + missing(lost))
	p.degradable = true
}

// mayHoldImage says whether a volume may have to be activated for a
// hibernated system to be found: it is the resume device, or that has not been
// found and may lie on it.
func (h *Handler) mayHoldImage(vg *lvmmeta.VG, lv *lvmmeta.LV) bool {
	r := h.w.Config.Resume
	if r.Disabled || !r.Device.IsDevice() {
		return false
	}
	if v, name, ok := r.Device.LogicalVolume(); ok && (r.Device.Kind == devspec.LV || v == vg.Name && vg.LV(name) != nil) {
		return v == vg.Name && name == lv.Name
	}
	return !h.found(r.Device)
}

// compose makes the devices of a volume that is made of others.
func (h *Handler) compose(t *ueventd.Task, g *lvmmeta.Group, x todo) (*mapped, error) {
	name := g.VG.Name + "/" + x.lv.Name
	readOnly := x.degraded && h.w.Config.LVM.Degraded.Mode != bootcmd.DegradedWritable
	if x.tool && readOnly {
		return nil, fmt.Errorf("lvm itself, which has to activate %s, cannot do so read-only, as rd.lvm.degraded= asks while physical volumes are missing", name)
	}
	if x.degraded {
		if h.w.Config.LVM.Degraded.Mode == bootcmd.DegradedOverlay {
			h.w.CoverRoot("volume " + name + " is degraded (rd.lvm.degraded=overlay)")
		}
		why := "Nothing of it came for " + goal.Seconds(h.w.Config.LVM.Degraded.Wait)
		if !awaited(g.Missing()) {
			why = "It was so when the group was last used"
		}
		h.w.Say(handler.Loud, "Activating volume "+name+" degraded: missing are "+missing(g.Missing())+". "+why+".")
	}
	h.cookies++
	id := h.cookies | 0x2000
	if x.tool {
		return &mapped{}, ueventd.Act(t, "have lvm activate logical volume "+name, func(m machine.Machine) error {
			return h.kinds.Tool(m, name, x.degraded)
		})
	}
	n := &numbers{h: h}
	tree, err := h.kinds.Tree(g, x.lv, n.of)
	switch {
	case err != nil:
		return nil, err
	case n.gone != "":
		return nil, fmt.Errorf("the physical volume %s has gone away", n.gone)
	case len(tree.Missing) > 0 || len(tree.Legs) > len(x.tree.Legs):
		return nil, errors.New("physical volumes have gone away")
	}
	m := &mapped{on: n.on, keep: slices.ContainsFunc(tree.Nodes, func(d devmapper.Node) bool { return d.Rank != 0 })}
	for i := range tree.Nodes {
		d := &tree.Nodes[i]
		d.ReadOnly = d.ReadOnly || n.readOnly || readOnly && d.Top
		m.devices = append(m.devices, d.Name)
	}
	for _, c := range tree.Copies {
		h.w.CopyOf(c.UUID, c.Origin, c.Together)
	}
	return m, ueventd.Act(t, "activate logical volume "+name+" and what it is made of", func(m machine.Machine) error {
		if err := m.Load(append([]string{"dm-mod"}, tree.Drivers...)...); err != nil {
			return err
		}
		return h.kinds.Activate(m, tree, id)
	})
}

// awaitLegs sets the time at which RAID volumes are activated without what is
// missing; 0 is never. It runs from when the last physical volume came or went.
func (h *Handler) awaitLegs(queue string, fresh bool) time.Duration {
	w := h.w
	key := queue + legsKey
	if at, set := w.Sched.DeadlineOf(key); set && !fresh {
		return at
	}
	at := handler.DeadlineAt(w.Sched.Now(), h.w.Config.LVM.Degraded.Wait)
	if at != 0 {
		w.Sched.Deadline(key, at, ueventd.Event{Queue: queue, Kind: kindDegrade})
	}
	return at
}

// legsKey ends the name of the deadline of a group's RAID volumes.
const legsKey = " degraded"

// originsFirst puts snapshots behind the others: who looks for their content
// finds that of the origin first.
func originsFirst(list []todo) {
	sort.SliceStable(list, func(i, j int) bool { return list[i].later() < list[j].later() })
}

func (x todo) later() int {
	if x.tree != nil && len(x.tree.Copies) > 0 {
		return 1
	}
	return 0
}
