package lvm

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"firstlight/internal/devspec"
	"firstlight/internal/handler"
	"firstlight/internal/lvmmeta"
	"firstlight/internal/udevd"
	"firstlight/internal/ueventd"
)

// plan is what is to be done with a volume group as it is now.
type plan struct {
	activate   []todo
	tool       []string // volumes that the image cannot activate
	feature    string   // what it lacks for one of those
	kind       string   // of one of the volumes that are made of others
	broken     []string // volumes whose metadata contradicts itself
	waits      string   // what is missing, "" for nothing
	timed      bool     // the wait ends: some volumes need nothing of what is missing
	degradable bool     // the wait ends: some volumes can do without what is missing
	partial    bool     // activate although the group is incomplete
	why        string   // nothing is wanted, because
	try        string   // what a person can do if that is wrong
	absent     bool     // of tool, some volumes do not exist
}

func (p *plan) nothing() bool {
	return len(p.activate)+len(p.tool)+len(p.broken) == 0 && p.waits == ""
}

// plan decides which volumes of a group are activated, by what is there and
// what has been waited for.
func (h *Handler) plan(g *lvmmeta.Group, st *group) plan {
	var p plan
	named, all, why := h.wanted(g.VG)
	p.why = why
	if c := h.w.Config.LVM; len(c.VGs)+len(c.LVs) > 0 {
		p.try = "if the root is in it, add rd.lvm.vg=" + g.VG.Name
	}
	lost := g.Missing()
	p.partial = len(lost) > 0
	add := func(lv *lvmmeta.LV, must bool) {
		if kind, simple := g.Kind(lv); !simple {
			if must || !hidden(kind) && (h.kinds != nil || h.mayConcernRoot()) {
				p.kind = kind
				lacking := len(p.tool)
				if h.kinds == nil {
					p.lacks(lv, kind, feature(kind))
				} else {
					h.kinds.plan(h, &p, g, lv, st)
				}
				if !must && !h.mayConcernRoot() {
					p.tool = p.tool[:lacking] // nobody misses it
				}
			}
			return
		}
		switch need := g.Needs(lv); {
		case len(need) > 0:
			p.waitFor("volume " + lv.Name + " needs " + missing(need))
		case must || !p.partial || st.overdue:
			p.activate = append(p.activate, todo{lv: lv})
		default:
			p.timed = true
		}
	}
	for _, name := range named {
		if lv := g.VG.LV(name); lv != nil {
			add(lv, true)
			continue
		}
		// Newer metadata, with the volume in it, may be on what is missing.
		if p.partial {
			p.waits = "it has no volume " + name + "; missing: " + missing(lost)
		} else {
			p.tool = append(p.tool, "it has no volume "+name+", but "+volumes(g.VG))
			p.absent = true
		}
	}
	for i := range g.VG.LVs {
		lv := &g.VG.LVs[i]
		if all && lv.AutoActivate() && !g.VG.NoAutoActivation && !slices.Contains(named, lv.Name) {
			add(lv, false)
		}
	}
	if p.timed && p.waits == "" {
		p.waits = "missing: " + missing(lost)
	}
	if h.kinds != nil {
		h.kinds.sort(p.activate)
	}
	return p
}

// volumes names the volumes of a group.
func volumes(vg *lvmmeta.VG) string {
	var names []string
	for i := range vg.LVs {
		names = append(names, vg.LVs[i].Name)
	}
	return strings.Join(names, ", ")
}

// wanted says which volumes of a group the boot wants: those that are named,
// and, with all, every one that may be activated unasked.
func (h *Handler) wanted(vg *lvmmeta.VG) (named []string, all bool, why string) {
	c := h.w.Config.LVM
	add := func(lv string) {
		if !slices.Contains(named, lv) {
			named = append(named, lv)
		}
	}
	if len(c.VGs)+len(c.LVs) > 0 {
		for _, l := range c.LVs {
			if l.VG == vg.Name {
				add(l.LV)
			}
		}
		return named, slices.Contains(c.VGs, vg.Name), "rd.lvm.lv= and rd.lvm.vg= name others"
	}
	for _, spec := range h.w.Wanted() {
		v, lv, ok := spec.LogicalVolume()
		switch {
		case ok && v == vg.Name && (spec.Kind == devspec.LV || vg.LV(lv) != nil):
			add(lv)
		case !ok || spec.Kind == devspec.Mapper:
			// A UUID says nothing of where it is, and /dev/mapper/luks-root may
			// be an encrypted volume that lies on a logical one.
			all = all || !h.found(spec)
		}
	}
	luks := h.w.Config.Luks
	if luks.Enabled && (h.w.Config.Auto || luks.Restricted() || luks.Crypttab && h.w.Config.HostOnly && h.w.Image.Crypttab != "") {
		all = true
	}
	return named, all || h.w.Config.Auto, "the boot needs none of its volumes"
}

// found says whether what spec names is there, all of it: the rest of a btrfs
// filesystem on several devices may lie on a volume.
func (h *Handler) found(spec devspec.Spec) bool {
	devs := h.w.Find(spec)
	if len(devs) == 0 {
		return false
	}
	total, err := strconv.Atoi(devs[0].Property(udevd.BtrfsDevices))
	if err != nil || total < 2 {
		return true
	}
	for _, e := range h.w.Devices.Block() {
		if e.Property("ID_FS_UUID") == devs[0].Property("ID_FS_UUID") {
			total--
		}
	}
	return total <= 0
}

// hidden says whether volumes of a kind are parts of others only, although
// the metadata lists them among those for users.
func hidden(kind string) bool {
	return kind == "snapshot" || strings.HasPrefix(kind, "thin-pool") || strings.HasPrefix(kind, "cache-pool")
}

// mayConcernRoot says whether something that the boot wants has not been
// found: it may lie on a volume that could not be activated.
func (h *Handler) mayConcernRoot() bool {
	return slices.ContainsFunc(h.w.Wanted(), func(s devspec.Spec) bool { return len(h.w.Find(s)) == 0 })
}

// await sets the time at which the rest of an incomplete group is activated;
// 0 is never.
func (h *Handler) await(queue string) time.Duration {
	w := h.w
	at := handler.DeadlineAt(w.Sched.Now(), w.Config.Wait.Degraded)
	if at != 0 {
		w.Sched.Deadline(queue, at, ueventd.Event{Queue: queue, Kind: kindOverdue})
	}
	return at
}

// subject is how a person knows the group.
func subject(g *lvmmeta.Group) string { return "volume group " + g.VG.Name }

// missing names physical volumes.
func missing(refs []lvmmeta.PVRef) string {
	var list []string
	for _, r := range refs {
		text := "physical volume " + r.ID
		if r.Device != "" {
			text += " (last seen as " + r.Device + ")"
		}
		list = append(list, text)
	}
	return strings.Join(list, ", ")
}

// advice is what a person can do about a group that is refused.
func advice(g *lvmmeta.Group) string {
	for _, r := range g.Refusals {
		switch r.Cause {
		case lvmmeta.Exported:
			return "import the group (vgimport) in a rescue system"
		case lvmmeta.Foreign:
			return "if it is this host's: rebuild the image where lvm.conf or lvmlocal.conf says so, or take the group over (vgchange --systemid) in a rescue system"
		case lvmmeta.DuplicatePV, lvmmeta.Conflict:
			return "disconnect the copy"
		case lvmmeta.DuplicateName:
			return "disconnect one of the groups, or rename it by its UUID (vgrename) in a rescue system"
		}
	}
	return ""
}
