package lvmmeta

import (
	"errors"
	"strings"

	"firstlight/internal/devmapper"
	"firstlight/internal/fmt"
)

// Activation is what device-mapper is to be told of an LV.
type Activation struct {
	// Name is the device's name: VG-LV with hyphens doubled.
	Name string
	// UUID is "LVM-", the VG's and the LV's UUIDs without hyphens.
	UUID string
	// ReadOnly says that the LV is not to be written.
	ReadOnly bool
	Table    []devmapper.Target
}

// ErrMissingPV is wrapped by Activate's error for an LV that has extents on a
// PV that was not seen or is out of date.
var ErrMissingPV = errors.New("physical volume missing")

// NeedsToolError is returned by Activate for an LV of a kind that only LVM's
// own tool activates.
type NeedsToolError struct {
	VG, LV string
	Kind   string // "mirror", "raid1", "thin", "snapshot", "cache" …
}

// Error implements error.
func (e *NeedsToolError) Error() string {
	return fmt.Sprintf("lvm: %s/%s is %s: activating it needs the lvm tool", e.VG, e.LV, e.Kind)
}

// RefusedError is returned by Activate for a group with refusals.
type RefusedError struct {
	VG   string
	Text string
}

// Error implements error.
func (e *RefusedError) Error() string { return "lvm: " + e.Text }

// DMUUID is the device-mapper UUID of the LV. LVM in the real system
// recognises its devices by it.
func DMUUID(vg *VG, lv *LV) string { return "LVM-" + plainUUID(vg.ID) + plainUUID(lv.ID) }

// Kind names what the LV is made of: "linear", "striped", "error", "zero", or
// the first kind that needs the lvm tool: LVM's segment type, "snapshot
// origin" and the like. simple says that Activate can map it.
func (g *Group) Kind(lv *LV) (kind string, simple bool) {
	kind = "linear"
	for _, s := range lv.Segments {
		switch s.Type {
		case "striped":
			for _, st := range s.Stripes {
				if _, ok := g.index[st.Name]; !ok {
					return "stacked on " + st.Name, false
				}
			}
			if len(s.Stripes) > 1 {
				kind = "striped"
			}
		case "error", "zero":
			if len(lv.Segments) == 1 {
				kind = s.Type
			}
		default:
			return s.Type, false
		}
	}
	if u, ok := g.used[lv.Name]; ok {
		// The LV is part of another: mapped alone it would bypass the
		// other's bookkeeping.
		return "used by " + u.segType + " " + u.lv, false
	}
	for _, word := range lv.Status {
		switch word {
		case "READ", "WRITE", "VISIBLE", "FIXED_MINOR", "LOCKED":
		default:
			// Status words, unlike flags, may not be passed over by a
			// reader that does not know them.
			return "of status " + word, false
		}
	}
	return kind, true
}

// Needs returns the PVs that hold extents of the LV and are missing. A group
// with missing PVs can still have LVs that lie wholly on the others.
func (g *Group) Needs(lv *LV) []PVRef {
	var list []PVRef
	seen := map[int]bool{}
	for _, s := range lv.Segments {
		for _, st := range s.Stripes {
			i, ok := g.index[st.Name]
			if !ok || seen[i] {
				continue
			}
			seen[i] = true
			if m := g.Members[i]; m.Device == "" || m.Stale {
				list = append(list, m.Ref)
			}
		}
	}
	return list
}

// Activate returns what device-mapper is to be told of the LV. dev gives the
// device of a member as it is to stand in the table, "major:minor", from
// Seen.Device; nil takes Seen.Device itself.
//
// It fails with *RefusedError if the group is refused, *NeedsToolError if the
// LV is not made of plain stripes, an error that wraps ErrMissingPV and names
// the PVs if any is missing, and another error if the metadata contradicts
// itself.
func (g *Group) Activate(lv *LV, dev func(device string) string) (Activation, error) {
	vg := g.VG
	if text, ok := g.Refused(); ok {
		return Activation{}, &RefusedError{vg.Name, text}
	}
	if kind, simple := g.Kind(lv); !simple {
		return Activation{}, &NeedsToolError{vg.Name, lv.Name, kind}
	}
	if missing := g.Needs(lv); len(missing) > 0 {
		names := make([]string, len(missing))
		for i, m := range missing {
			names[i] = m.ID + " (last seen as " + m.Device + ")"
		}
		return Activation{}, fmt.Errorf("lvm: %s/%s: %w: %s", vg.Name, lv.Name, ErrMissingPV, strings.Join(names, ", "))
	}
	a := Activation{Name: devmapper.LVName(vg.Name, lv.Name, ""), UUID: DMUUID(vg, lv), ReadOnly: !lv.Writable()}
	for _, s := range lv.Segments {
		t, err := g.target(s, dev)
		if err != nil {
			return Activation{}, fmt.Errorf("lvm: %s/%s: %w", vg.Name, lv.Name, err)
		}
		a.Table = append(a.Table, t)
	}
	if len(a.Table) == 0 {
		return Activation{}, fmt.Errorf("lvm: %s/%s: no segments", vg.Name, lv.Name)
	}
	return a, nil
}

func (g *Group) target(s Segment, dev func(string) string) (devmapper.Target, error) {
	var none devmapper.Target
	size := g.VG.ExtentSize
	// Extents and their size are bounded apart; their product is not.
	if s.Start+s.Extents > (1<<53)/size {
		return none, fmt.Errorf("%d extents of %d sectors are more than any device holds", s.Start+s.Extents, size)
	}
	start, length := s.Start*size, s.Extents*size
	if s.Type != "striped" {
		return devmapper.Simple(start, length, s.Type)
	}
	n := uint64(len(s.Stripes))
	stripes := make([]devmapper.Stripe, n)
	for i, st := range s.Stripes {
		m := &g.Members[g.index[st.Name]]
		if ext := s.Extents / n; ext > m.Ref.PECount || st.Extent > m.Ref.PECount-ext {
			return none, fmt.Errorf("extents %d to %d lie beyond the %d of PV %s", st.Extent, st.Extent+ext, m.Ref.PECount, m.Ref.ID)
		}
		stripes[i] = devmapper.Stripe{Device: m.Device, Offset: m.Ref.PEStart + st.Extent*size}
		if dev != nil {
			stripes[i].Device = dev(m.Device)
		}
	}
	if n == 1 {
		return devmapper.Linear(start, length, stripes[0].Device, stripes[0].Offset)
	}
	return devmapper.Striped(start, length, s.StripeSize, stripes)
}
