package compile

import (
	"slices"

	"firstlight/internal/udevd/rules/tab"
)

// truth is what is known of a condition before there is a device.
type truth uint8

const (
	unknown truth = iota
	holds
	fails
)

// classes writes, for every subsystem that a rule names and every action,
// the list of the lines that may do something: all conditions on SUBSYSTEM
// and ACTION are decided here, and whatever a GOTO then always skips is left
// out. A device of a subsystem that few rules are about meets few rules.
func (c *compiler) classes() {
	// The strings that some condition on SUBSYSTEM names outright. Patterns
	// stay undecided for the class of all others.
	names := map[string]bool{"": true}
	for _, l := range c.lines {
		for _, k := range l.keys {
			if k.Kind != tab.MSubsystem {
				continue
			}
			if k.Match == tab.MatchSubsystem {
				names["subsystem"], names["bus"], names["class"] = true, true, true
			}
			if k.Flags&tab.Fold != 0 {
				continue // stays undecided for subsystems with no name here
			}
			for _, a := range k.Alts {
				if !k.isGlob() || literal(a) == a {
					names[a] = true
				}
			}
		}
	}
	sorted := make([]string, 0, len(names))
	for n := range names {
		sorted = append(sorted, n)
	}
	slices.Sort(sorted)

	known := map[string]uint32{} // lists that are there already
	for i := -1; i < len(sorted); i++ {
		name := uint32(0)
		subsystem := func(k *Key) truth { return decideOther(k) }
		if i >= 0 {
			name = c.str(sorted[i])
			subsystem = func(k *Key) truth { return decide(k, sorted[i]) }
		}
		c.class = appendU32(c.class, name)
		for a := range tab.NumActions {
			action := func(k *Key) truth { return unknown }
			if a < len(tab.ActionNames) {
				action = func(k *Key) truth { return decide(k, tab.ActionNames[a]) }
			}
			c.class = appendU32(c.class, c.list(c.reach(subsystem, action, a == tab.Action("remove")), known))
		}
	}
}

// list writes a list of lines, once.
func (c *compiler) list(lines []int, known map[string]uint32) uint32 {
	var b []byte
	for _, l := range lines {
		b = appendU32(b, uint32(l))
	}
	if i, ok := known[string(b)]; ok {
		return i
	}
	i := uint32(len(known))
	known[string(b)] = i
	c.lists = appendU32(c.lists, uint32(len(c.index)/4), uint32(len(lines)))
	c.index = append(c.index, b...)
	return i
}

// reach gives the lines that may do something, in order.
func (c *compiler) reach(subsystem, action func(*Key) truth, remove bool) []int {
	n := len(c.lines)
	reached := make([]bool, n+1)
	want := make([]bool, n)
	always := make([]bool, n) // all conditions hold
	reached[0] = true
	for i := range c.lines {
		if !reached[i] {
			continue
		}
		l := &c.lines[i]
		t := l.truth(subsystem, action, remove)
		always[i] = t == holds
		want[i] = t != fails
		switch {
		case t == fails || l.target < 0:
			reached[i+1] = true
		case t == holds:
			reached[l.target] = true
		default:
			reached[i+1], reached[l.target] = true, true
		}
	}
	// A line that does nothing but jump is not needed if nothing that it
	// jumps over is.
	for i := n - 1; i >= 0; i-- {
		l := &c.lines[i]
		if !want[i] || l.flags != tab.HasGoto {
			continue
		}
		if !slices.Contains(want[i+1:l.target], true) {
			want[i] = false
		}
	}
	var out []int
	for i, w := range want {
		if w {
			out = append(out, i)
		}
	}
	return out
}

// truth decides the conditions of a line.
func (l *line) truth(subsystem, action func(*Key) truth, remove bool) truth {
	mask := uint16(tab.HasGoto | tab.HasUpdate)
	if !remove {
		mask |= tab.HasDevlink | tab.HasName
	}
	if l.flags&mask == 0 {
		return fails
	}
	t := holds
	if l.flags&(tab.HasGoto|tab.HasUpdate) == 0 {
		t = unknown // depends on whether the device has a node
	}
	for i := range l.keys {
		k := &l.keys[i]
		if !k.Kind.IsMatch() {
			continue
		}
		d := unknown
		switch k.Kind {
		case tab.MSubsystem:
			d = subsystem(k)
		case tab.MAction:
			d = action(k)
		}
		switch d {
		case fails:
			return fails
		case unknown:
			t = unknown
		}
	}
	return t
}

func decide(k *Key, value string) truth {
	if k.matches(value) {
		return holds
	}
	return fails
}

// decideOther decides a condition on SUBSYSTEM for a subsystem that is none
// of those named.
func decideOther(k *Key) truth {
	found := unknown
	switch {
	case k.Match == tab.MatchEmpty:
		found = fails
	case k.Match == tab.MatchSubsystem && k.Flags&tab.Fold == 0:
		found = fails
	case !k.isGlob() && k.Flags&tab.Fold == 0:
		found = fails
	}
	if found == fails && k.Op == tab.NoMatch {
		return holds
	}
	return found
}
