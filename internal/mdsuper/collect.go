package mdsuper

import (
	"slices"
	"sort"
	"strings"

	"firstlight/internal/fmt"
)

// Member is a superblock and the caller's name for the device it is on.
type Member struct {
	// Device is what the caller calls the device. It is given back unread,
	// and stands in explanations.
	Device string
	Super  *Super
}

// State is what can be done with an array now.
type State int

// The states, from bad to good.
const (
	// Refused: starting it would be a guess or lose data; Reasons say why.
	Refused State = iota
	// Incomplete: too few members to start safely; Reasons say what lacks.
	Incomplete
	// Degraded: members are missing, but it may be started without them.
	Degraded
	// Complete: every slot has its member.
	Complete
)

// String is the state in a word.
func (s State) String() string {
	return [...]string{"refused", "incomplete", "degraded", "complete"}[s]
}

// Cause is a kind of reason why an array is refused or a member left out.
type Cause string

// Causes. The first group refuses the array, the second leaves a member out.
const (
	SplitBrain     Cause = "split brain"            // members ran apart from each other
	DuplicateRole  Cause = "duplicate role"         // two members for one slot
	Mismatch       Cause = "mismatch"               // members describe different arrays
	DirtyDegraded  Cause = "dirty degraded"         // parity cannot be trusted
	NoJournal      Cause = "journal missing"        // writes may be in it
	NoBackup       Cause = "reshape needs mdadm"    // what is being moved has a copy that only mdadm can use
	Clustered      Cause = "clustered"              // other hosts use it
	Unsupported    Cause = "unsupported"            // level, version or feature
	TooFew         Cause = "too few members"        // the level needs more
	Stale          Cause = "stale"                  // the array went on without it
	RejectedByRole Cause = "no longer in the array" // its slot has another member
)

// Reason is a cause in words.
type Reason struct {
	Cause Cause
	Text  string
}

// LeftOut is a member that is not used.
type LeftOut struct {
	Member
	Reason Reason
}

// Slot is a place in the array.
type Slot struct {
	// Active holds the slot's data in full; nil if it is missing.
	Active *Member
	// Rebuilding is being filled with the slot's data.
	Rebuilding *Member
	// Replacement is to take Active's place.
	Replacement *Member
}

// Array is the judgement of all members of one array that were seen.
type Array struct {
	UUID UUID
	// Super is the newest superblock, whose description of the array counts.
	Super *Super
	State State
	Slots []Slot
	// Spares and Journal are members without a slot.
	Spares  []Member
	Journal *Member
	// LeftOut are members that must not be added.
	LeftOut []LeftOut
	// Reasons are why the array is refused or incomplete.
	Reasons []Reason
	// Notes are findings that do not stand in the way.
	Notes []string
	// Sides are, with SplitBrain, the members that ran apart: those that are
	// with the newest, and those that are not.
	Sides [2][]string
	// ReadOnly says that the array can only be started read-only.
	ReadOnly bool
}

// Options change what Collect allows.
type Options struct {
	// StartDirtyDegraded starts a RAID4, 5 or 6 that is both dirty and
	// degraded, as md_mod.start_dirty_degraded=1 does: data that was being
	// written may be silently wrong.
	StartDirtyDegraded bool
	// NoJournal starts an array whose journal device is missing, read-only, as
	// mdadm does with --force.
	NoJournal bool
}

// Missing returns the slots without an active member.
func (a *Array) Missing() []int {
	var list []int
	for i := range a.Slots {
		if a.Slots[i].Active == nil {
			list = append(list, i)
		}
	}
	return list
}

// Awaited returns the slots whose member is missing although the newest
// superblock counts on it. A degraded array that awaits none is as whole as
// it was when it was last used, and there is nothing to wait for.
func (a *Array) Awaited() []int {
	return slices.DeleteFunc(a.Missing(), func(i int) bool { return !a.Super.slotAlive(i) })
}

// Members returns the members to be added to the kernel, in the order of
// their slots: active ones, those being rebuilt, replacements, the journal,
// spares.
func (a *Array) Members() []Member {
	var list []Member
	for _, pick := range [...]func(*Slot) *Member{
		func(s *Slot) *Member { return s.Active },
		func(s *Slot) *Member { return s.Rebuilding },
		func(s *Slot) *Member { return s.Replacement },
	} {
		for i := range a.Slots {
			if m := pick(&a.Slots[i]); m != nil {
				list = append(list, *m)
			}
		}
	}
	if a.Journal != nil {
		list = append(list, *a.Journal)
	}
	return append(list, a.Spares...)
}

// Explain says in lines what is there, what is missing and why.
func (a *Array) Explain() []string {
	s := a.Super
	line := fmt.Sprintf("%v array %v (metadata %v", s.Level, a.UUID, s.Version)
	if s.Name != "" {
		line += ", name " + s.Name
	}
	lines := []string{fmt.Sprintf("%s) is %v: %d of %d members", line, a.State, len(a.Slots)-len(a.Missing()), len(a.Slots))}
	for i := range a.Slots {
		sl := &a.Slots[i]
		switch {
		case sl.Active != nil && sl.Replacement != nil:
			lines = append(lines, fmt.Sprintf("slot %d: %s, being replaced by %s", i, sl.Active.Device, sl.Replacement.Device))
		case sl.Active != nil:
			lines = append(lines, fmt.Sprintf("slot %d: %s", i, sl.Active.Device))
		case sl.Rebuilding != nil:
			lines = append(lines, fmt.Sprintf("slot %d: %s, not rebuilt in full", i, sl.Rebuilding.Device))
		case !s.slotAlive(i):
			lines = append(lines, fmt.Sprintf("slot %d: missing, since before the array was last used", i))
		default:
			lines = append(lines, fmt.Sprintf("slot %d: missing", i))
		}
	}
	for _, m := range a.Spares {
		lines = append(lines, m.Device+" is a spare")
	}
	if a.Journal != nil {
		lines = append(lines, a.Journal.Device+" is the journal")
	}
	for _, o := range a.LeftOut {
		lines = append(lines, o.Reason.Text)
	}
	for _, r := range a.Reasons {
		lines = append(lines, r.Text)
	}
	return append(lines, a.Notes...)
}

// Refusal returns the reasons in one line, and whether the array is refused.
func (a *Array) Refusal() (string, bool) {
	list := make([]string, len(a.Reasons))
	for i, r := range a.Reasons {
		list[i] = r.Text
	}
	return strings.Join(list, "; "), a.State == Refused
}

// Group sorts members into arrays by UUID and judges each. The result is
// sorted by UUID.
func Group(members []Member, o Options) []*Array {
	by := map[UUID][]Member{}
	for _, m := range members {
		by[m.Super.UUID] = append(by[m.Super.UUID], m)
	}
	var list []*Array
	for _, ms := range by {
		list = append(list, Collect(ms, o))
	}
	sort.Slice(list, func(i, j int) bool { return string(list[i].UUID[:]) < string(list[j].UUID[:]) })
	return list
}

// Collect judges the members of one array; there must be at least one, and
// all must have one UUID. The order of members does not matter.
//
// The newest superblock (most events) counts. A member whose count is one
// less is as good: the kernel writes superblocks one after another, and
// mdadm accepts as much. Older members are left out. Two members that each
// believe the other to have failed have run apart: which one is right cannot
// be known, and the array is refused.
func Collect(members []Member, o Options) *Array {
	ms := slices.Clone(members)
	sort.Slice(ms, func(i, j int) bool {
		a, b := ms[i], ms[j]
		if a.Super.Events != b.Super.Events {
			return a.Super.Events > b.Super.Events
		}
		// A member with a slot knows more of the array than a spare does.
		if x, y := a.Super.Role >= 0, b.Super.Role >= 0; x != y {
			return x
		}
		return a.Device < b.Device
	})
	best := ms[0].Super
	a := &Array{UUID: best.UUID, Super: best, Slots: make([]Slot, best.slots())}
	a.supported()
	a.place(ms)
	a.sides()
	a.decide(o)
	return a
}

func (a *Array) reason(c Cause, format string, args ...any) {
	a.Reasons = append(a.Reasons, Reason{c, fmt.Sprintf(format, args...)})
}

func (a *Array) leave(m Member, c Cause, format string, args ...any) {
	a.LeftOut = append(a.LeftOut, LeftOut{m, Reason{c, fmt.Sprintf(format, args...)}})
}

// supported refuses what Firstlight must not start.
func (a *Array) supported() {
	s := a.Super
	switch s.Level {
	case Linear, 0, 1, 4, 5, 6, 10:
	default:
		a.reason(Unsupported, "arrays of %v are not started here", s.Level)
	}
	if f := s.Features &^ featuresKnown; f != 0 {
		a.reason(Unsupported, "superblock has unknown features %#x", uint32(f))
	}
	if s.Features&FeatureClustered != 0 {
		a.reason(Clustered, "the array is used by a cluster")
	}
	if s.Reshape != nil {
		a.reshaping()
	}
	if s.Level == 10 {
		near, far := s.Layout&0xff, s.Layout>>8&0xff
		if near == 0 || far == 0 || near*far > uint32(s.RaidDisks) || s.Layout>>19 != 0 {
			a.reason(Unsupported, "RAID10 layout %#x is not valid for %d slots", s.Layout, s.RaidDisks)
		}
	}
}

// place gives each member its slot or leaves it out.
func (a *Array) place(ms []Member) {
	best := a.Super
	for i := range ms {
		m := &ms[i]
		s := m.Super
		if diff := differs(s, best); diff != "" {
			if s.Events+1 < best.Events && s.Version == best.Version {
				// The array was changed after the member left it.
				a.leave(*m, Stale, "%s is out of date: %d events, the newest member has %d, and another %s", m.Device, s.Events, best.Events, diff)
				continue
			}
			a.reason(Mismatch, "%s and %s have another %s", ms[0].Device, m.Device, diff)
			continue
		}
		if i > 0 && a.apart(ms[:i], m) {
			continue
		}
		if s.Role != Spare && s.Events+1 < best.Events {
			a.leave(*m, Stale, "%s is out of date: %d events, the newest member has %d", m.Device, s.Events, best.Events)
			continue
		}
		a.seat(m)
	}
}

// apart says whether an older member and a newer one have run apart, and
// refuses the array then. A member that was thrown out of the array does not
// know of it: it believes that the others are alive.
func (a *Array) apart(newer []Member, m *Member) bool {
	if m.Super.Role < 0 || m.Super.Replacement() {
		return false
	}
	for i := range newer {
		n := &newer[i]
		if n.Super.Role < 0 || n.Super.Role == m.Super.Role || n.Super.Replacement() {
			continue
		}
		if !m.Super.slotAlive(int(n.Super.Role)) && !n.Super.slotAlive(int(m.Super.Role)) {
			a.reason(SplitBrain, "%s and %s were each used without the other (%d and %d events)", n.Device, m.Device, n.Super.Events, m.Super.Events)
			a.Sides[1] = append(a.Sides[1], m.Device)
			return true
		}
		if !m.Super.slotAlive(int(n.Super.Role)) && n.Super.InSync() {
			a.leave(*m, Stale, "%s is left out: it takes the member of slot %d (%s) for failed", m.Device, int(n.Super.Role), n.Device)
			return true
		}
	}
	return false
}

// seat puts a member that is up to date into its slot.
func (a *Array) seat(m *Member) {
	s := m.Super
	switch s.Role {
	case Spare:
		a.Spares = append(a.Spares, *m)
		return
	case Failed:
		a.leave(*m, RejectedByRole, "%s is marked as failed", m.Device)
		return
	case Journal:
		if a.Journal != nil {
			a.reason(DuplicateRole, "%s and %s are both the journal", a.Journal.Device, m.Device)
			return
		}
		a.Journal = m
		return
	}
	if int(s.Role) >= len(a.Slots) {
		a.reason(Mismatch, "%s has slot %d of an array with %d", m.Device, int(s.Role), len(a.Slots))
		return
	}
	slot := &a.Slots[s.Role]
	seat := &slot.Active
	switch {
	case s.Replacement():
		seat = &slot.Replacement
	case !s.InSync():
		seat = &slot.Rebuilding
	}
	if *seat != nil {
		a.reason(DuplicateRole, "%s and %s both have slot %d", (*seat).Device, m.Device, int(s.Role))
		return
	}
	if *seat = m; seat == &slot.Active && !a.Super.slotAlive(int(s.Role)) {
		// An event difference of one: it was being thrown out.
		*seat = nil
		a.leave(*m, RejectedByRole, "%s: the newest member says that slot %d has failed", m.Device, int(s.Role))
	}
}

// differs names the first property of the array in which two superblocks
// contradict each other.
func differs(a, b *Super) string {
	switch {
	case a.Version != b.Version:
		return "metadata version"
	case a.Level != b.Level:
		return "level"
	case a.RaidDisks != b.RaidDisks:
		return "number of slots"
	case a.Layout != b.Layout:
		return "layout"
	case a.ChunkSize != b.ChunkSize:
		return "chunk size"
	case a.Size != b.Size && a.Level != Linear:
		return "size"
	case a.Created != b.Created:
		return "time of creation"
	}
	return ""
}

// decide sums up.
func (a *Array) decide(o Options) {
	s := a.Super
	avail := make([]bool, len(a.Slots))
	count := 0
	for i := range a.Slots {
		sl := &a.Slots[i]
		if sl.Active != nil && sl.Rebuilding != nil {
			a.reason(DuplicateRole, "%s and %s both have slot %d", sl.Active.Device, sl.Rebuilding.Device, i)
		}
		if sl.Active == nil && sl.Replacement != nil && sl.Replacement.Super.RecoveryOffset < 0 {
			sl.Active, sl.Replacement = sl.Replacement, nil
		}
		if avail[i] = sl.Active != nil; avail[i] {
			count++
		}
	}
	clean := s.Clean
	if s.Features&FeatureJournal != 0 {
		switch {
		case a.Journal != nil:
		case o.NoJournal:
			a.ReadOnly = true
			a.Notes = append(a.Notes, "the array is started read-only without its write journal, as was asked for: what was being written may be lost or wrong")
		default:
			a.reason(NoJournal, "the write journal's device is missing or out of date; it may hold writes that the members lack")
		}
		clean = clean || a.Journal != nil
	}
	if s.Features&(FeaturePPL|FeatureMultiplePPLs) != 0 {
		clean = true // the log says what was being written
	}
	a.zones()
	startable := s.enough(avail)
	if !startable {
		a.reason(TooFew, "%d of %d members are not enough for %v", count, len(a.Slots), s.Level)
	}
	if startable && count < len(a.Slots) && s.Level.parity() && !clean {
		onlyParity := s.Level == 4 && count == len(a.Slots)-1 && !avail[len(a.Slots)-1]
		switch {
		case onlyParity:
		case o.StartDirtyDegraded:
			a.Notes = append(a.Notes, "the array is dirty and degraded and is started nevertheless: data that was being written may be wrong")
		default:
			a.reason(DirtyDegraded, "the array is dirty and has only %d of %d members: data that was being written may be wrong (md_mod.start_dirty_degraded=1 starts it nevertheless)", count, len(a.Slots))
			a.wait()
			return
		}
	}
	switch {
	case len(a.Reasons) > 0:
		a.wait()
	case count < len(a.Slots):
		a.State = Degraded
	default:
		a.State = Complete
	}
}

// zones warns of a RAID0 array whose members differ in size and which does
// not say in which of two ways its end is laid out: the kernel starts it only
// when a parameter tells.
func (a *Array) zones() {
	s := a.Super
	if s.Level != 0 || s.Features&FeatureRAID0Layout != 0 || s.Version.Major == 0 && s.Layout != 0 {
		return
	}
	chunk := max(uint64(s.ChunkSize/SectorSize), 1)
	for i := range a.Slots {
		x, y := a.Slots[0].Active, a.Slots[i].Active
		if x != nil && y != nil && x.Super.DataSize/chunk != y.Super.DataSize/chunk {
			a.Notes = append(a.Notes, "the members differ in size and the superblock has no layout: the kernel needs raid0.default_layout=1 (made before Linux 3.14) or 2")
			return
		}
	}
}

// wait sets the state of an array with reasons against it. Those that a
// member yet to come can remove make it incomplete, the others refused.
func (a *Array) wait() {
	a.State = Incomplete
	for _, r := range a.Reasons {
		if r.Cause != DirtyDegraded && r.Cause != NoJournal && r.Cause != TooFew {
			a.State = Refused
		}
	}
}
