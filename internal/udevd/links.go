package udevd

import (
	"cmp"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"firstlight/internal/machine"
	"firstlight/internal/ueventd"
)

// claim is one device's wish for one link.
type claim struct {
	devpath  string
	devname  string
	priority int
	order    uint64 // of two with the same priority the earlier claim stays
}

// updateLinks makes the links of /dev agree with what the device now claims.
func (m *Manager) updateLinks(t *ueventd.Task, e *Entry) {
	want := map[string]bool{}
	if e.Devname() != "" && e.Subsystem() != "net" {
		for _, l := range e.Links() {
			want[l] = true
		}
	}
	var touched []string
	for link, claims := range m.claims {
		if !want[link] && slices.ContainsFunc(claims, func(c *claim) bool { return c.devpath == e.Devpath() }) {
			touched = append(touched, link)
		}
	}
	before := m.owners(append(touched, slices.Collect(maps.Keys(want))...))
	for _, link := range touched {
		m.unclaim(link, e.Devpath())
	}
	for _, link := range e.Links() {
		if want[link] {
			m.claim(link, e)
		}
	}
	m.apply(t, before)
}

// dropLinks takes back every claim of a device that is gone.
func (m *Manager) dropLinks(t *ueventd.Task, devpath string) {
	var touched []string
	for link, claims := range m.claims {
		if slices.ContainsFunc(claims, func(c *claim) bool { return c.devpath == devpath }) {
			touched = append(touched, link)
		}
	}
	before := m.owners(touched)
	for _, link := range touched {
		m.unclaim(link, devpath)
	}
	m.apply(t, before)
}

func (m *Manager) claim(link string, e *Entry) {
	prio := cmp.Or(e.LinkPriority(link), e.Outcome.LinkPriority)
	list := m.claims[link]
	if i := slices.IndexFunc(list, func(c *claim) bool { return c.devpath == e.Devpath() }); i >= 0 {
		list[i].priority, list[i].devname = prio, e.Devname()
	} else {
		m.ordered++
		list = append(list, &claim{e.Devpath(), e.Devname(), prio, m.ordered})
	}
	slices.SortFunc(list, func(a, b *claim) int {
		return cmp.Or(cmp.Compare(b.priority, a.priority), cmp.Compare(a.order, b.order))
	})
	m.claims[link] = list
}

func (m *Manager) unclaim(link, devpath string) {
	list := slices.DeleteFunc(m.claims[link], func(c *claim) bool { return c.devpath == devpath })
	if len(list) == 0 {
		delete(m.claims, link)
		return
	}
	m.claims[link] = list
}

// owners returns which node each link leads to now, "" for none.
func (m *Manager) owners(links []string) map[string]string {
	out := make(map[string]string, len(links))
	for _, l := range links {
		out[l] = m.owner(l)
	}
	return out
}

func (m *Manager) owner(link string) string {
	if c := m.claims[link]; len(c) > 0 {
		return c[0].devname
	}
	return ""
}

// apply changes the links whose owner is no longer what it was before.
func (m *Manager) apply(t *ueventd.Task, before map[string]string) {
	var set, drop []string
	for _, link := range slices.Sorted(maps.Keys(before)) {
		switch now := m.owner(link); {
		case now == before[link]:
		case now == "":
			drop = append(drop, link)
		default:
			set = append(set, link, now)
		}
	}
	if len(set)+len(drop) == 0 {
		return
	}
	err := ueventd.Act(t, "links "+strings.Join(append(slices.Clone(set), drop...), " "), func(w machine.Machine) error {
		var first error
		for i := 0; i < len(set); i += 2 {
			if err := w.Link(relative("/dev/"+set[i], set[i+1]), "/dev/"+set[i]); err != nil && first == nil {
				first = err
			}
		}
		for _, l := range drop {
			if err := w.Unlink("/dev/" + l); err != nil && first == nil {
				first = err
			}
		}
		return first
	})
	if err != nil {
		t.Record("warning", err.Error())
	}
}

// relative returns target as seen from the directory of link; both are
// below /dev.
func relative(link, target string) string {
	from := strings.Split(path.Dir(link), "/")
	to := strings.Split(target, "/")
	n := 0
	for n < len(from) && n < len(to)-1 && from[n] == to[n] {
		n++
	}
	return strings.Repeat("../", len(from)-n) + strings.Join(to[n:], "/")
}

func fileMode(mode *uint32) *fs.FileMode {
	if mode == nil {
		return nil
	}
	m := fs.FileMode(*mode & 0o777)
	return &m
}
