package prove

import (
	"slices"

	"firstlight/internal/sim/gen"
)

// Shrink cuts a machine down as far as it still breaks a rule: it takes away
// faults, parameters, what the root does not need, layers, delays, one at a
// time, as long as that goes. tries bounds how many boots that takes.
func Shrink(m *gen.Machine, rule string, tries int) *gen.Machine {
	breaks := func(c *gen.Machine) bool {
		if tries <= 0 {
			return false
		}
		tries--
		return Safe(c).Broke(rule)
	}
	for again := true; again && tries > 0; {
		again = false
		for _, c := range smaller(m) {
			if breaks(c) {
				m, again = c, true
				break
			}
		}
	}
	return m
}

// smaller are the machines that are one step simpler, the largest steps
// first.
func smaller(m *gen.Machine) []*gen.Machine {
	var list []*gen.Machine
	try := func(change func(c *gen.Machine) bool) {
		if c := m.Clone(); change(c) && c.Valid() {
			list = append(list, c)
		}
	}
	// What neither the root nor a parameter has need of goes, all at once and
	// then one by one.
	needed := needs(m)
	try(func(c *gen.Machine) bool {
		before := len(c.Nodes)
		c.Nodes = slices.DeleteFunc(c.Nodes, func(n gen.Node) bool { return !needed[n.ID] })
		tidy(c)
		return len(c.Nodes) < before
	})
	for i := range m.Faults {
		try(func(c *gen.Machine) bool { c.Faults = slices.Delete(c.Faults, i, i+1); return true })
	}
	for i, p := range m.Params {
		if p.Subject != gen.Root {
			try(func(c *gen.Machine) bool { c.Params = slices.Delete(c.Params, i, i+1); return true })
		}
	}
	for _, n := range m.Nodes {
		if !needed[n.ID] && len(m.Above(n.ID)) == 0 {
			try(func(c *gen.Machine) bool {
				c.Nodes = slices.DeleteFunc(c.Nodes, func(x gen.Node) bool { return x.ID == n.ID })
				tidy(c)
				return true
			})
		}
	}
	for _, n := range m.Nodes {
		if len(n.On) > 0 {
			try(func(c *gen.Machine) bool { return without(c, n.ID) })
		}
		if n.Kind == gen.Array && len(n.On) > 2 || n.Kind == gen.Group && len(n.On) > 1 || n.Kind == gen.Btrfs && len(n.On) > 1 {
			try(func(c *gen.Machine) bool { return thinner(c, n.ID) })
		}
	}
	simplest(m, try)
	return list
}

// simplest takes away delays, orders and manners.
func simplest(m *gen.Machine, try func(func(*gen.Machine) bool)) {
	try(func(c *gen.Machine) bool { c.Gap = 0; return m.Gap != 0 })
	try(func(c *gen.Machine) bool { c.Latency = 0; return m.Latency != 0 })
	try(func(c *gen.Machine) bool { c.Latency = 1; return m.Latency > 1 })
	try(func(c *gen.Machine) bool { c.Order = nil; return m.Order != nil })
	try(func(c *gen.Machine) bool { c.Drivers = false; return m.Drivers })
	try(func(c *gen.Machine) bool { c.Person = gen.Person{}; return m.Person != gen.Person{} })
	try(func(c *gen.Machine) bool { c.Person.Wrong = 0; return m.Person.Wrong != 0 })
	try(func(c *gen.Machine) bool { c.Person.After = 0; return m.Person.After != 0 })
	for i, f := range m.Faults {
		try(func(c *gen.Machine) bool { c.Faults[i].At = 0; return f.At != 0 && f.Trouble != gen.Late })
		try(func(c *gen.Machine) bool { c.Faults[i].N = f.N / 2; return f.N > 1 && f.Trouble != gen.Stale })
	}
	for seed := range uint64(3) {
		try(func(c *gen.Machine) bool { c.Seed = seed; return m.Seed > 2 })
	}
}

// needs are the nodes that something on the way to the root, or a parameter,
// has need of.
func needs(m *gen.Machine) map[int]bool {
	needed := map[int]bool{}
	for _, p := range m.Params {
		if p.Node == 0 {
			continue
		}
		for _, n := range m.Below(p.Node) {
			needed[n.ID] = true
		}
	}
	return needed
}

// tidy forgets what is said of nodes that are gone.
func tidy(m *gen.Machine) {
	gone := func(id int) bool { return id != 0 && m.Node(id) == nil }
	m.Faults = slices.DeleteFunc(m.Faults, func(f gen.Fault) bool { return gone(f.Node) })
	m.Params = slices.DeleteFunc(m.Params, func(p gen.Param) bool { return gone(p.Node) })
	m.Order = slices.DeleteFunc(m.Order, gone)
}

// without takes a layer out: what lay on it lies on what it lay on. A group
// goes with its volume.
func without(m *gen.Machine, id int) bool {
	n := *m.Node(id)
	switch n.Kind {
	case gen.Part, gen.LUKS, gen.Array:
	case gen.LV:
		n.On = n.On[1:]
	default:
		return false
	}
	if len(n.On) == 0 {
		return false
	}
	for i := range m.Nodes {
		for j, on := range m.Nodes[i].On {
			if on == id {
				m.Nodes[i].On[j] = n.On[0]
			}
		}
	}
	m.Nodes = slices.DeleteFunc(m.Nodes, func(x gen.Node) bool {
		return x.ID == id || n.Kind == gen.LV && x.Kind == gen.Group && len(m.Above(x.ID)) == 1
	})
	for i := range m.Params {
		p := &m.Params[i]
		if (p.Subject == gen.Root || p.Subject == gen.Resume) && p.By != "uuid" && p.By != "label" && m.Node(p.Node) != nil {
			p.Text, p.By = string(p.Subject)+"=UUID="+m.Node(p.Node).UUID, "uuid"
		}
	}
	tidy(m)
	return true
}

// thinner takes the last member of an array, group or filesystem away.
func thinner(m *gen.Machine, id int) bool {
	n := m.Node(id)
	last := n.On[len(n.On)-1]
	least := map[int]int{5: 3, 6: 4, 10: 4}[n.Level]
	if n.Kind == gen.Array && len(n.On) <= least {
		return false
	}
	for i := range m.Nodes {
		if v := &m.Nodes[i]; v.Kind == gen.LV && v.On[0] == id && slices.Contains(v.On[1:], last) {
			if len(v.On) == 2 {
				return false
			}
			v.On = slices.DeleteFunc(v.On, func(on int) bool { return on == last })
		}
	}
	n.On = n.On[:len(n.On)-1]
	for changed := true; changed; {
		changed = false
		for i := range m.Nodes {
			if x := m.Nodes[i]; x.ID == last && len(m.Above(last)) == 0 {
				m.Nodes = slices.Delete(m.Nodes, i, i+1)
				changed = len(x.On) > 0
				if changed {
					last = x.On[0]
				}
				break
			}
		}
	}
	tidy(m)
	return true
}
