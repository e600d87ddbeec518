package gen

import (
	"slices"
	"time"
)

// Verdict is what a boot must come to.
type Verdict string

// Verdicts.
const (
	Boots   Verdict = "boots"    // into the root
	Resumes Verdict = "resumes"  // the hibernated system
	GivesUp Verdict = "gives up" // inside the deadline, with a reason
	Asks    Verdict = "asks"     // a question stands that nobody answers
	May     Verdict = "may"      // any of these
)

// Truth is what is true of a machine, whatever a boot finds out.
type Truth struct {
	Verdict Verdict
	Root    int // the filesystem to start from
	Resume  int // the swap to resume from, 0 for none
	// By is until when the boot has come to its end at the latest, without
	// the time in which a person was asked.
	By time.Duration
	// Names are words of which one at least is in the explanation of a
	// failure. None: there is no telling.
	Names []string
	// Quiet: nothing is wrong with this machine, and no timer fires.
	Quiet bool
	// MayResume: the image may be resumed from, although it need not.
	MayResume bool
}

// state says whether something comes to be.
type state int8

const (
	no state = iota
	maybe
	yes
)

// standing is what is known of a node.
type standing struct {
	state state
	by    time.Duration
	seen  bool     // something of it comes, whole or not
	asks  bool     // a person that does not answer is asked on the way
	names []string // what explains that it does not come
}

// judge works out what becomes of the nodes.
type judge struct {
	m    *Machine
	memo map[int]standing
}

// Truth works out what a boot of the machine must come to.
func (m *Machine) Truth() Truth {
	j := judge{m, map[int]standing{}}
	root := m.root()
	if root == nil {
		return Truth{Verdict: May}
	}
	t := Truth{Verdict: Boots, Root: root.ID}
	deadline := m.Deadline()
	r := j.mount(root, m.Param(Root))
	t.By, t.Names = r.by, r.names
	margin := m.Margin()
	late := deadline > 0 && r.by+margin >= deadline
	resume := j.resume(&t)
	longest := deadline
	if p := m.Param(Resume); p != nil && m.Param(NoResume) == nil {
		// A root that is there has as much time again when it is known that
		// nothing is to be resumed.
		settled := t.By
		if resume == maybe || m.Has(Fails) || m.Has(Jump) {
			settled = max(settled, m.patience())
		}
		longest = max(deadline, settled+m.patience())
		if t.By >= m.patience() && r.by+margin < m.patience() {
			deadline = longest
		}
	}
	if u := m.usr(); u != nil && r.state == yes {
		s := j.mount(u, &Param{By: "uuid"})
		switch {
		case s.state == no:
			r.state, t.Names = no, append(s.names, u.UUID, u.Label)
			deadline += t.By
		case s.state == maybe:
			r.state = maybe
		}
		r.asks = r.asks || s.asks
		t.By = max(t.By, s.by)
		r.by = t.By
	}
	late = late || max(t.By, r.by)+margin >= deadline
	switch {
	case m.Has(Fails) || m.Has(Jump):
		t.Verdict = May
	case resume == yes:
		t.Verdict = Resumes
		return t
	case resume == maybe:
		t.Verdict = May
	case r.asks:
		t.Verdict = Asks
		if r.state != no {
			t.Verdict = May
		}
	case r.state == no && deadline > 0:
		// While a question stands the clocks do, whatever it is about.
		q, _ := j.questions(nil)
		t.Verdict = map[state]Verdict{no: GivesUp, maybe: May, yes: Asks}[q]
	case r.state == maybe || late || deadline == 0:
		t.Verdict = May
	}
	if t.Verdict == GivesUp || t.Verdict == May {
		t.By = max(longest, deadline, t.By) + margin
		if m.usr() != nil && t.Verdict == May {
			t.By += m.Deadline()
		}
	}
	if late {
		t.Names = append(t.Names, j.spelled(root, m.Param(Root))...)
		if u := m.usr(); u != nil {
			t.Names = append(t.Names, u.UUID, u.Label)
		}
	}
	if m.Has(Fails) {
		t.Names = append(t.Names, Broken)
	}
	if m.Has(Copy) {
		t.Names = append(t.Names, "have this name", "the same LUKS header", "both have slot", "the same member", "the same bcache device", " is on /dev/")
	}
	if t.Verdict == May && (m.Has(Jump) || resume != no || r.state == maybe || r.state == yes && !m.Has(Fails)) {
		t.Names = nil
	}
	t.Quiet = t.Verdict == Boots && len(m.Faults) == 0 && t.By == 0 && m.Latency <= 20 && m.Gap <= 30 && len(m.Order) < 30 && (m.Param(Unlock) == nil || m.Person == Person{})
	return t
}

// questions says whether a question comes up that nobody answers, and when;
// those about what lies on a node are left out.
func (j judge) questions(below *Node) (comes state, by time.Duration) {
	if j.m.Person.After >= 0 || j.off(LUKS) {
		return no, 0
	}
	for _, p := range j.m.Params {
		n := j.m.Node(p.Node)
		if p.Subject != Unlock || n == nil || below != nil && slices.Contains(j.m.Below(n.ID), below) {
			continue
		}
		s := j.device(n.On[0])
		if s.state != no && (j.copied(n.On[0]) || j.m.has(n.On[0], Signature)) {
			s.state = maybe
		}
		if s.state > comes || s.state == comes && s.by < by {
			comes, by = s.state, s.by
		}
	}
	return comes, by
}

// without is what comes of something that has to do without a part of it:
// as long as a question stands, what it is about is waited for.
func (j judge) without(n *Node, s standing) standing {
	q, by := j.questions(n)
	switch {
	case q == no || s.state == no:
	case q == maybe || by+j.m.Margin() >= j.m.Degraded():
		s.state = min(s.state, maybe)
	default:
		s.state, s.asks = no, true
	}
	return s
}

// inTime says whether something comes to be before the boot is given up.
func (j judge) inTime(s standing) bool {
	d := j.m.Deadline()
	return s.state == yes && (d == 0 || s.by+j.m.Margin() < d)
}

// resume settles whether the image is resumed.
func (j judge) resume(t *Truth) state {
	m := j.m
	p := m.Param(Resume)
	if p == nil || m.Param(NoResume) != nil {
		return no
	}
	swap := m.Node(p.Node)
	if swap == nil {
		return no
	}
	patience := m.patience()
	s := j.device(swap.On[0])
	if m.onCache(swap) && s.state == yes {
		s.state = no // it is started only when the resume is settled
		if s.asks {
			s.state = maybe
		}
	}
	ambiguous := j.copied(swap.On[0]) && p.By != "path"
	if s.state == yes && m.has(swap.On[0], Signature) {
		s.state = maybe
	}
	if s.asks {
		// What may come although nobody answers, may be resumed from.
		// Nobody is asked where what is asked about cannot be read.
		t.Verdict, t.MayResume = May, swap.Image && (s.state != no || m.Has(Fails))
		return maybe
	}
	if s.state == yes && !ambiguous && s.by+m.Margin() < patience {
		t.By = max(t.By, s.by)
		if swap.Image {
			t.Resume, t.MayResume = swap.ID, true
			return yes
		}
		return no
	}
	if q, _ := j.questions(nil); q != no && (s.state != yes || ambiguous) {
		// The wait for it does not end while a question stands that nobody
		// answers, whatever that is about.
		t.Verdict, t.MayResume = May, swap.Image && s.state != no
		return maybe
	}
	t.By = max(t.By, patience)
	if !swap.Image {
		return no
	}
	// A copy that cannot be read is not known to be one.
	t.MayResume = s.state != no || m.Has(Fails)
	if s.state == no && !ambiguous {
		return no
	}
	return maybe
}

// mount says whether a filesystem comes to be mounted.
func (j judge) mount(n *Node, p *Param) standing {
	m := j.m
	if n.Kind == Btrfs && len(n.On) > 1 {
		return j.named(n, p, j.members(n))
	}
	s := j.device(n.On[0])
	if s.state != no && j.copied(n.On[0]) && p.By != "path" && !m.has(n.On[0], Signature) {
		s.state = maybe
		if j.together(n.On[0]) {
			s.state, s.names = no, []string{"have this name"}
		}
	}
	if s.state != no && m.has(n.On[0], Signature) {
		s.state, s.names = no, append(j.spelled(n, p), "more than one signature", "which cannot be mounted")
	}
	return j.named(n, p, j.checked(n, s))
}

// checked says what the check of a filesystem comes to before it is mounted.
func (j judge) checked(n *Node, s standing) standing {
	m := j.m
	if s.state == no || !m.Check || n.Kind != Ext4 || m.Param(NoCheck) != nil {
		return s
	}
	for _, f := range m.Faults {
		if f.Trouble != Checker {
			continue
		}
		names := []string(nil)
		switch f.What {
		case Hangs:
			names = []string{"/sbin/fsck.ext4"}
		case Crashes:
			names = []string{"could not be checked"}
		case Undecided:
			names = []string{"need a decision"}
		case Takes:
			s.by += ms(f.Until)
		}
		if names != nil {
			if s.state == yes {
				s.state = no
			}
			s.names = append(s.names, names...)
		}
	}
	return s
}

// named adds what the goal itself says: the name under which it is wanted.
func (j judge) named(n *Node, p *Param, s standing) standing {
	if s.state == no && len(s.names) == 0 {
		s.names = j.spelled(n, p)
	}
	return s
}

// spelled are the words by which a parameter names a filesystem.
func (j judge) spelled(n *Node, p *Param) []string {
	on := j.m.Node(n.On[0])
	switch p.By {
	case "path":
		names := []string{j.m.Path(on), on.Name}
		if on.Kind == LUKS {
			names = append(names, j.m.MappingName(on))
		}
		return names
	case "partuuid", "partlabel":
		return []string{on.UUID, on.Name}
	}
	return []string{n.UUID, n.Label}
}

// members sums up a btrfs filesystem on several devices.
func (j judge) members(n *Node) standing {
	m := j.m
	out := standing{state: yes}
	up, down := 0, 0
	for _, on := range n.On {
		s := j.device(on)
		out.by, out.asks = max(out.by, s.by), out.asks || s.asks
		out.names = append(out.names, s.names...)
		if m.has(on, Signature) {
			s.state = min(s.state, maybe)
		}
		switch {
		case s.state == no:
			down++
		case s.state == maybe:
			out.state = maybe
		default:
			up++
			out.seen = out.seen || j.inTime(s)
		}
		if j.copied(on) && s.state != no {
			out.state = min(out.state, maybe)
		}
	}
	if out.state == maybe {
		return out
	}
	for _, on := range n.On {
		if j.copied(on) && j.together(on) {
			return standing{state: no, by: out.by, seen: true, names: []string{n.UUID, "the same member"}}
		}
	}
	switch {
	case down == 0:
	case up == 0:
		out.state = no
	case n.Profile == "raid1" && down == 1:
		out.by += j.patience()
		out = j.without(n, out)
	default:
		out.state = no
		out.names = append(out.names, n.UUID)
	}
	return out
}

// patience is how long members are waited for at most: what is typed
// meanwhile and changes of the members that are there begin it anew.
func (j judge) patience() time.Duration {
	wait := j.m.Degraded()
	for _, n := range j.m.Nodes {
		if n.Kind == LUKS {
			wait += j.m.Degraded()
		}
	}
	return wait
}

func (j judge) off(k Kind) bool {
	return slices.ContainsFunc(j.m.Params, func(p Param) bool { return p.Subject == Off && p.Kind == k })
}

// device says whether a block device comes to be.
func (j judge) device(id int) standing {
	if s, ok := j.memo[id]; ok {
		return s
	}
	n := j.m.Node(id)
	var s standing
	if n != nil {
		j.memo[id] = standing{state: maybe} // for a question that goes in a circle
		s = j.work(n)
	}
	j.memo[id] = s
	return s
}

func (j judge) work(n *Node) standing {
	switch n.Kind {
	case Disk:
		return j.disk(n)
	case Part:
		return j.device(n.On[0])
	case Array:
		return j.array(n)
	case LV:
		return j.volume(n)
	case LUKS:
		return j.locked(n)
	case Cached:
		return j.cached(n)
	}
	return standing{}
}

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

func (j judge) disk(n *Node) standing {
	s := standing{state: yes, seen: true}
	if j.m.has(n.ID, Missing) {
		if j.m.has(n.ID, Copy) {
			s.state = maybe
			return s
		}
		return standing{}
	}
	for _, f := range j.m.Faults {
		if f.Trouble == NoDriver && f.What == n.Bus {
			return standing{}
		}
		if f.Node != n.ID {
			continue
		}
		switch f.Trouble {
		case Unread:
			if j.m.has(n.ID, Copy) {
				return standing{state: maybe}
			}
			if j.m.has(n.ID, Late) || j.m.has(n.ID, Flaps) || j.m.Has(NoDriver) {
				return standing{} // it may not even be seen
			}
			return standing{names: []string{"input/output error"}}
		case Late:
			s.by = max(s.by, ms(f.At))
		case Flaps:
			s.state, s.by = maybe, max(s.by, ms(f.Until))
		case Changes:
			s.by = max(s.by, ms(f.At+100*f.N))
		}
	}
	return s
}

// copied says whether the bytes on a device are there a second time: they lie
// on a disk, through partitions alone, that has a copy.
func (j judge) copied(id int) bool {
	n := j.m.Node(id)
	if n != nil && n.Kind == Part {
		n = j.m.Node(n.On[0])
	}
	return n != nil && n.Kind == Disk && j.m.has(n.ID, Copy)
}

// together says whether the copy is there from the start, as the original is,
// so that nothing is done before both are seen.
func (j judge) together(id int) bool {
	n := j.m.Node(id)
	if n.Kind == Part {
		n = j.m.Node(n.On[0])
	}
	if j.m.Gap > 0 || j.m.Drivers || j.m.Has(Slow) || j.m.Has(Overflow) || j.m.Has(Shuffle) {
		return false
	}
	for _, f := range j.m.Faults {
		if f.Trouble == NoDriver && f.What == n.Bus {
			return false
		}
		if f.Node == n.ID && (f.Trouble == Copy && f.At > 0 || f.Trouble == Late || f.Trouble == Flaps || f.Trouble == Missing || f.Trouble == Unread) {
			return false
		}
	}
	return true
}

// atOnce says whether all that a node lies on is there from the start.
func (j judge) atOnce(n *Node) bool {
	for _, b := range j.m.Below(n.ID) {
		if b.Kind == LUKS || b.Kind == Disk && !j.together(b.ID) {
			return false
		}
	}
	return true
}
