package gen

import (
	"slices"
	"strings"
	"time"
)

// enough says whether an array of a level and size does without some members;
// maybe where it depends on which.
func enough(level, slots, lost int) state {
	can := map[int]int{0: 0, 1: slots - 1, 5: 1, 6: 2, 10: 1}[level]
	switch {
	case lost <= can:
		return yes
	case level == 10 && lost <= slots/2:
		return maybe
	}
	return no
}

func (j judge) array(n *Node) standing {
	m := j.m
	out := standing{state: yes}
	if j.off(Array) {
		return standing{state: no, asks: j.anyAsks(n.On)}
	}
	lost, unsure, there := 0, 0, 0
	stale := m.StaleSlots(n)
	awaited := false
	asked := time.Duration(0) // when the last question comes up
	fates := make([]state, len(n.On))
	for slot, on := range n.On {
		s := j.device(on)
		old := slices.Contains(stale, slot)
		out.by, out.asks, out.seen = max(out.by, s.by), out.asks || s.asks && !old, out.seen || j.inTime(s)
		out.names = append(out.names, s.names...)
		if s.asks {
			asked = max(asked, s.by)
		}
		if m.has(on, Signature) {
			s.state = min(s.state, maybe)
		}
		fates[slot] = s.state
		switch {
		case s.state == maybe:
			unsure++
		case s.state == no:
			lost++
			awaited = true
		case old:
			lost++
			there++
		default:
			there++
		}
		if s.state != no && j.copied(on) {
			if !j.together(on) || old {
				unsure++ // one that is not used is no matter
			} else {
				return j.refused(n, out)
			}
		}
	}
	if m.has(n.ID, Split) && len(n.On) > 1 {
		switch {
		case fates[0] == yes && fates[1] == yes && unsure == 0 && j.atOnce(n):
			return j.refused(n, out)
		case fates[0] != no && fates[1] != no:
			unsure++
		default:
			unsure++ // what is left believes that the other one is lost
		}
	}
	if len(stale) > 0 && (awaited || !j.atOnce(n)) {
		// The newest members may be those that are missing, or late.
		unsure++
	}
	can := enough(n.Level, len(n.On), lost)
	dirty := m.has(n.ID, Dirty) && n.Level >= 4 && n.Level <= 6
	switch {
	case unsure > 0:
		out.state = maybe
	case can == no || lost > 0 && dirty:
		out.state = no
		if there > 0 {
			out.names = append(out.names, n.Name, n.UUID)
		}
	case can == maybe:
		out.state = maybe
	}
	if wait, how := m.DegradedArrays(); awaited {
		out.by += wait + j.patience() - m.Degraded()
		if how == Never && unsure == 0 {
			out.state = no
			out.names = append(out.names, n.Name, n.UUID)
		}
	}
	switch {
	case unsure > 0:
	case out.asks && lost > 0 && asked+m.Margin() >= m.Degraded():
		out.state = min(out.state, maybe) // it may have been started by then
	case out.asks && lost > 0:
		// A member may come out of the question that stands: it is waited for.
		out.state = no
	default:
		out.asks = false
		if awaited {
			out = j.without(n, out)
		}
	}
	return out
}

// StaleSlots are the slots of an array whose members have missed writes: one at
// least has not.
func (m *Machine) StaleSlots(n *Node) []int {
	var slots []int
	for _, f := range m.faults(n.ID, Stale) {
		if f.N < len(n.On) && len(slots) < len(n.On)-1 && !slices.Contains(slots, f.N) {
			slots = append(slots, f.N)
		}
	}
	return slots
}

// anyAsks says whether a person is asked about one of some devices.
func (j judge) anyAsks(ids []int) bool {
	return slices.ContainsFunc(ids, func(id int) bool { return j.device(id).asks })
}

// isNamed says whether the command line names a volume, so that it need not
// wait for the rest of its group: if it lists what is to be activated, then in
// that list, otherwise as what it wants.
func (j judge) isNamed(n *Node) bool {
	listed, wanted, list := false, false, false
	for _, p := range j.m.Params {
		on := j.m.Node(p.Node)
		switch {
		case on == nil:
		case on.Kind == LV || on.Kind == Group:
			list = true
			listed = listed || on.ID == n.ID
		case p.By == "path" && len(on.On) > 0 && on.On[0] == n.ID:
			wanted = true
		}
	}
	return listed || wanted && !list
}

// unwanted says whether nothing on the command line makes it worth while to
// look into a volume: a volume of another group is named as the root, and
// nothing is to be unlocked. Below the root it is one that nobody has thought
// of. What is to be resumed from may lie in any, until it is found.
func (j judge) unwanted(n *Node) state {
	answer := yes
	for _, p := range j.m.Params {
		on := j.m.Node(p.Node)
		switch {
		case on == nil:
		case on.Kind == LV || on.Kind == Group || p.Subject == Unlock && !j.off(LUKS):
			return no
		case p.Subject == Root || p.Subject == Resume || p.Subject == Usr:
			v := (*Node)(nil)
			if p.By == "path" && !strings.Contains(p.Text, "/dev/mapper/") && len(on.On) > 0 {
				v = j.m.Node(on.On[0])
			}
			switch {
			case v != nil && v.Kind == LV && v.On[0] != n.On[0]:
			case v != nil && v.Kind == LV || p.Subject != Resume:
				return no
			default:
				answer = maybe
			}
		}
	}
	return answer
}

func (j judge) refused(n *Node, s standing) standing {
	return standing{state: no, by: s.by, seen: true, names: []string{n.Name, n.UUID}}
}

func (j judge) volume(n *Node) standing {
	m := j.m
	g := m.Node(n.On[0])
	if len(n.On) < 2 || g == nil {
		return standing{state: maybe} // no volume at all
	}
	if j.off(LV) {
		return standing{state: no, asks: j.anyAsks(n.On[1:])}
	}
	named := j.isNamed(n)
	out := standing{state: yes}
	partial, missing := false, false
	var others []time.Duration // when those come that are waited for
	for _, pv := range g.On {
		s := j.device(pv)
		uses := slices.Contains(n.On[1:], pv)
		if m.has(pv, Signature) {
			s.state = min(s.state, maybe)
		}
		out.seen = out.seen || j.inTime(s)
		if s.state != no && j.copied(pv) {
			if !j.together(pv) {
				out.state = min(out.state, maybe)
			} else {
				return standing{state: no, by: s.by, seen: true, names: []string{g.Name}}
			}
		}
		switch {
		case !uses && named: // it does without
		case !uses && s.state == no:
			partial = true
			if s.asks {
				out.state, out.asks = no, true
				if s.by+m.Margin() >= m.Degraded() {
					out.state = maybe // it may have been activated by then
				}
			}
		case !uses && s.state == maybe:
			partial = true
			out.state = min(out.state, maybe)
		case !uses:
			others = append(others, s.by)
		case s.state != yes:
			out.state = min(out.state, s.state)
			missing = missing || s.state == no
		}
		if uses {
			out.by, out.asks = max(out.by, s.by), out.asks || s.asks
			out.names = append(out.names, s.names...)
		}
	}
	// The rest of the group is waited for, as long as some of it comes again and
	// again before the wait is over.
	slices.Sort(others)
	for _, by := range others {
		out.by = max(out.by, min(by, out.by+j.patience()))
	}
	if missing {
		out.state = no
		if out.seen {
			out.names = append(out.names, g.Name)
		}
	}
	if partial {
		out.by += j.patience()
		unsure := out.state
		out = j.without(n, out)
		never := func(pv int) bool { return !slices.Contains(n.On[1:], pv) && j.device(pv).state == no }
		if !slices.ContainsFunc(g.On, never) {
			out.state = unsure // it may not have to do without
		}
	}
	return out
}

func (j judge) locked(n *Node) standing {
	m := j.m
	s := j.device(n.On[0])
	if s.state == no {
		return s
	}
	if m.has(n.On[0], Signature) {
		return standing{state: maybe, by: s.by}
	}
	asked := slices.ContainsFunc(m.Params, func(p Param) bool { return p.Subject == Unlock && p.Node == n.ID })
	if !asked || j.off(LUKS) {
		return j.closed(n, s)
	}
	if j.copied(n.On[0]) {
		if !j.together(n.On[0]) {
			return standing{state: maybe, by: s.by}
		}
		return standing{state: no, by: s.by, seen: true, names: []string{"have the same LUKS header", n.UUID}}
	}
	switch {
	case m.Person.After < 0:
		if s.state == maybe {
			return standing{state: maybe, by: s.by, asks: true}
		}
		return standing{state: no, by: s.by, seen: true, asks: true, names: []string{n.UUID}}
	case m.Person.Refuses || m.Person.Wrong >= 3:
		return j.closed(n, s)
	}
	s.seen = true
	return s
}

// closed is an encrypted device that stays so. If it comes at all, it is named.
func (j judge) closed(n *Node, under standing) standing {
	s := standing{state: no, by: under.by, seen: true}
	if under.state == yes {
		s.names = []string{n.UUID}
		if j.off(LUKS) {
			s.names = append(s.names, "rd.luks=0")
		}
		for _, b := range j.m.Below(n.ID) {
			if b.Kind != LV {
				continue
			}
			switch j.unwanted(b) {
			case yes: // it is not even seen
				s.names = []string{j.m.Node(b.On[0]).Name}
			case maybe:
				s.names = append(s.names, j.m.Node(b.On[0]).Name)
			}
		}
	}
	return s
}
