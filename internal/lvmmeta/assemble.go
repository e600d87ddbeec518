package lvmmeta

import (
	"slices"
	"sort"
	"strings"

	"firstlight/internal/fmt"
)

// Seen is a physical volume and the caller's name for its device.
type Seen struct {
	// Device is what the caller calls the device: a node, or major:minor. It
	// is given back unread, and stands in messages.
	Device string
	PV     *PV
	// Size is the device's size in sectors, or 0 if it is not known.
	Size uint64
}

// Host is what decides whose a volume group is (lvmsystemid(7)).
type Host struct {
	// SystemID is this host's own; "" has no system ID, and then owns only
	// VGs without one.
	SystemID string
	// Extra are lvmlocal.conf's extra_system_ids.
	Extra []string
}

// Cause is a kind of reason for which a volume group is not activated.
type Cause string

// The causes for which Assemble refuses a volume group.
const (
	Exported      Cause = "exported"      // vgexport: another host is to import it
	Foreign       Cause = "foreign"       // another host's system ID
	Shared        Cause = "shared"        // clustered, or a lock manager's
	DuplicatePV   Cause = "duplicate PV"  // two devices with one PV UUID
	Conflict      Cause = "conflict"      // two different texts of one seqno
	DuplicateName Cause = "name conflict" // two VGs of one name
)

// Refusal says why a volume group is not activated.
type Refusal struct {
	Cause Cause
	Text  string
}

// Member is a PV of a group: what the metadata says of it and the device that
// holds it.
type Member struct {
	Ref PVRef
	// Device is Seen.Device, or "" if the PV was not seen.
	Device string
	// Stale says that the device is there but the VG was changed without it,
	// so that it counts as missing.
	Stale bool
}

// Group is a volume group as far as it was seen.
type Group struct {
	VG      *VG
	Members []Member // in the order of the metadata
	// Refusals is empty if nothing but missing PVs stands in the way.
	Refusals []Refusal
	// Notes are findings that do not stand in the way: older metadata on
	// some PV, a damaged area.
	Notes []string

	index map[string]int // of Members, by the text's PV name
	used  map[string]user
}

// user is the segment that makes another LV depend on an LV.
type user struct{ lv, segType string }

// Missing returns the PVs that were not seen or are out of date.
func (g *Group) Missing() []PVRef {
	var list []PVRef
	for _, m := range g.Members {
		if m.Device == "" || m.Stale {
			list = append(list, m.Ref)
		}
	}
	return list
}

// Refused says whether the group must not be activated, and why, in words.
func (g *Group) Refused() (string, bool) {
	if len(g.Refusals) == 0 {
		return "", false
	}
	list := make([]string, len(g.Refusals))
	for i, r := range g.Refusals {
		list[i] = r.Text
	}
	return strings.Join(list, "; "), true
}

// Report is what Assemble makes of all physical volumes.
type Report struct {
	// Groups are sorted by name, then ID.
	Groups []*Group
	// Orphans are PVs of no VG.
	Orphans []Seen
	// Unplaced are PVs that belong to a VG none of whose metadata was seen
	// yet: they have no metadata area of their own in use.
	Unplaced []Seen
}

// Group returns the group with that VG name, or nil. Of several with one name
// (each of them refused) it returns the first by ID.
func (r Report) Group(name string) *Group {
	for _, g := range r.Groups {
		if g.VG.Name == name {
			return g
		}
	}
	return nil
}

// Assemble groups the physical volumes into volume groups. The newest valid
// metadata of a VG counts, wherever it was found. Nothing depends on the
// order of seen.
//
// The caller leaves out devices whose label belongs to something that they
// are part of (members of MD arrays, paths of a multipath device); any two
// devices with one PV UUID make their VG refused.
func Assemble(seen []Seen, host Host) Report {
	seen = slices.Clone(seen)
	sort.SliceStable(seen, func(i, j int) bool {
		if a, b := seen[i].PV.UUID, seen[j].PV.UUID; a != b {
			return a < b
		}
		return seen[i].Device < seen[j].Device
	})
	var rep Report
	byID := map[string]*Group{}
	conflicts := map[string][]string{} // VG ID to the seqno conflict's text
	for _, s := range seen {
		vg := s.PV.VG
		if vg == nil {
			continue
		}
		g := byID[vg.ID]
		switch {
		case g == nil:
			byID[vg.ID] = &Group{VG: vg}
		case vg.Seqno > g.VG.Seqno:
			g.VG = vg
			delete(conflicts, vg.ID)
		case vg.Seqno == g.VG.Seqno && (vg.textCRC != g.VG.textCRC || vg.textSize != g.VG.textSize):
			conflicts[vg.ID] = append(conflicts[vg.ID], s.Device)
		}
	}
	for _, g := range byID {
		rep.Groups = append(rep.Groups, g)
	}
	sort.Slice(rep.Groups, func(i, j int) bool {
		a, b := rep.Groups[i].VG, rep.Groups[j].VG
		if a.Name != b.Name {
			return a.Name < b.Name
		}
		return a.ID < b.ID
	})
	placed := map[string]bool{}
	for i, g := range rep.Groups {
		g.place(seen)
		g.judge(host)
		if list := conflicts[g.VG.ID]; len(list) > 0 {
			g.refuse(Conflict, "volume group %q: %s has other metadata of the same sequence number %d", g.VG.Name, strings.Join(list, ", "), g.VG.Seqno)
		}
		for _, m := range g.Members {
			placed[m.Ref.ID] = true
		}
		for j, o := range rep.Groups {
			if i != j && o.VG.Name == g.VG.Name {
				g.refuse(DuplicateName, "volume group name %q is used by %s and %s", g.VG.Name, g.VG.ID, o.VG.ID)
				break
			}
		}
	}
	for _, s := range seen {
		switch {
		case placed[s.PV.UUID]:
		case s.PV.VG != nil:
			g := byID[s.PV.VG.ID]
			g.Notes = append(g.Notes, fmt.Sprintf("%s (PV %s) was removed from volume group %q", s.Device, s.PV.UUID, g.VG.Name))
		case s.PV.Used:
			rep.Unplaced = append(rep.Unplaced, s)
		default:
			rep.Orphans = append(rep.Orphans, s)
		}
	}
	return rep
}

func (g *Group) refuse(c Cause, format string, args ...any) {
	g.Refusals = append(g.Refusals, Refusal{c, fmt.Sprintf(format, args...)})
}

// place finds the device of each PV of the group.
func (g *Group) place(seen []Seen) {
	g.index = make(map[string]int, len(g.VG.PVs))
	for i, ref := range g.VG.PVs {
		m := Member{Ref: ref, Stale: ref.Missing()}
		for _, s := range seen {
			if s.PV.UUID != ref.ID {
				continue
			}
			if m.Device != "" {
				g.refuse(DuplicatePV, "PV %s of volume group %q is on %s and on %s", ref.ID, g.VG.Name, m.Device, s.Device)
				continue
			}
			m.Device = s.Device
			switch vg := s.PV.VG; {
			case vg == nil:
			case vg.ID != g.VG.ID:
				g.refuse(Conflict, "%s (PV %s) is claimed by volume groups %q and %q", s.Device, ref.ID, g.VG.Name, vg.Name)
			case vg.Seqno < g.VG.Seqno:
				g.Notes = append(g.Notes, fmt.Sprintf("%s has metadata of sequence number %d, the newest is %d", s.Device, vg.Seqno, g.VG.Seqno))
			}
			for _, md := range s.PV.Metadata {
				if md.Err != nil {
					g.Notes = append(g.Notes, fmt.Sprintf("%s: %v", s.Device, md.Err))
				}
			}
			if need := ref.PEStart + ref.PECount*g.VG.ExtentSize; s.Size != 0 && s.Size < need {
				g.Notes = append(g.Notes, fmt.Sprintf("%s has %d sectors, its extents need %d", s.Device, s.Size, need))
			}
		}
		g.index[ref.Name] = i
		g.Members = append(g.Members, m)
	}
	g.used = map[string]user{}
	for i := range g.VG.LVs {
		lv := &g.VG.LVs[i]
		for _, s := range lv.Segments {
			for _, name := range s.refs {
				if _, ok := g.used[name]; !ok {
					g.used[name] = user{lv.Name, s.Type}
				}
			}
		}
	}
}

// judge looks for what the metadata itself says against an activation.
func (g *Group) judge(host Host) {
	vg := g.VG
	if vg.Exported() {
		g.refuse(Exported, "volume group %q is exported", vg.Name)
	}
	if vg.has("CLUSTERED") {
		g.refuse(Shared, "volume group %q is clustered", vg.Name)
	}
	if vg.LockType != "" && vg.LockType != "none" {
		g.refuse(Shared, "volume group %q is shared under %s locks", vg.Name, vg.LockType)
	}
	if vg.SystemID != "" && vg.SystemID != host.SystemID && !slices.Contains(host.Extra, vg.SystemID) {
		own := "this host has none"
		if host.SystemID != "" {
			own = fmt.Sprintf("this host's is %q", host.SystemID)
		}
		g.refuse(Foreign, "volume group %q belongs to system ID %q; %s", vg.Name, vg.SystemID, own)
	}
}
