package udevd

import (
	"cmp"
	"errors"
	"io/fs"
	"path"
	"slices"
	"sort"
	"strings"

	"firstlight/internal/machine"
	"firstlight/internal/order"
	"firstlight/internal/ueventd"
)

// claim is one device's wish for one link.
type claim struct {
	devpath  string
	devname  string
	priority int
	order    uint64 // of two with the same priority the earlier claim stays
}

// topicLinks is notified when a change of links is done.
const topicLinks = "links changed"

// updateLinks makes the links of /dev agree with what the device now claims.
func (m *Manager) updateLinks(t *ueventd.Task, e *Entry) {
	var want []string
	if e.Devname() != "" && e.Subsystem() != "net" {
		want = e.Links()
	}
	touched := m.claimed(e.Devpath())
	for _, link := range touched {
		if !slices.Contains(want, link) {
			m.unclaim(link, e.Devpath())
		}
	}
	for _, link := range want {
		m.claim(link, e)
	}
	m.settle(t, append(touched, want...))
}

// dropLinks takes back every claim of a device that is gone.
func (m *Manager) dropLinks(t *ueventd.Task, devpath string) {
	touched := m.claimed(devpath)
	for _, link := range touched {
		m.unclaim(link, devpath)
	}
	m.settle(t, touched)
}

// claimed returns the links that a device claims, in the order in which it
// began to.
func (m *Manager) claimed(devpath string) []string { return slices.Clone(m.claimsOf[devpath]) }

func (m *Manager) claim(link string, e *Entry) {
	prio := cmp.Or(e.LinkPriority(link), e.Outcome.LinkPriority)
	list := m.claims[link]
	if i := slices.IndexFunc(list, func(c *claim) bool { return c.devpath == e.Devpath() }); i >= 0 {
		list[i].priority, list[i].devname = prio, e.Devname()
	} else {
		m.ordered++
		m.claimsOf[e.Devpath()] = append(m.claimsOf[e.Devpath()], link)
		list = append(list, &claim{e.Devpath(), e.Devname(), prio, m.ordered})
	}
	sort.Slice(list, func(i, j int) bool {
		a, b := list[i], list[j]
		if a.priority != b.priority {
			return a.priority > b.priority
		}
		return a.order < b.order
	})
	m.claims[link] = list
}

func (m *Manager) unclaim(link, devpath string) {
	if left := slices.DeleteFunc(m.claimsOf[devpath], func(l string) bool { return l == link }); len(left) > 0 {
		m.claimsOf[devpath] = left
	} else {
		delete(m.claimsOf, devpath)
	}
	list := slices.DeleteFunc(m.claims[link], func(c *claim) bool { return c.devpath == devpath })
	if len(list) == 0 {
		delete(m.claims, link)
		return
	}
	m.claims[link] = list
}

// owner is the node that a link is to lead to, "" for none.
func (m *Manager) owner(link string) string {
	if c := m.claims[link]; len(c) > 0 {
		return c[0].devname
	}
	return ""
}

// settle makes the links lead where their claims say. Operations may end in
// any order, so of one link only one change is under way at a time; a device
// that wants it changed meanwhile waits, and looks again.
func (m *Manager) settle(t *ueventd.Task, links []string) {
	order.Strings(links)
	links = slices.Compact(links)
	for {
		var set, drop []string
		busy := false
		for _, l := range links {
			switch now := m.owner(l); {
			case now == m.leads[l]:
			case m.changing[l]:
				busy = true
			case now == "":
				drop = append(drop, l)
			default:
				set = append(set, l, now)
			}
		}
		if len(set)+len(drop) > 0 {
			m.change(t, set, drop)
			continue
		}
		if !busy {
			return
		}
		t.Wait("links that are being changed", topicLinks)
	}
}

// change makes links, given as pairs of link and node, and takes others away.
func (m *Manager) change(t *ueventd.Task, set, drop []string) {
	for i := 0; i < len(set); i += 2 {
		m.changing[set[i]] = true
		m.leads[set[i]] = set[i+1]
	}
	for _, l := range drop {
		m.changing[l] = true
		delete(m.leads, l)
	}
	err := ueventd.Act(t, "links "+strings.Join(append(slices.Clone(set), drop...), " "), func(w machine.Machine) error {
		var errs []error
		for i := 0; i < len(set); i += 2 {
			errs = append(errs, w.Link(relative("/dev/"+set[i], set[i+1]), "/dev/"+set[i]))
		}
		for _, l := range drop {
			errs = append(errs, w.Unlink("/dev/"+l))
		}
		return errors.Join(errs...)
	})
	for i := 0; i < len(set); i += 2 {
		delete(m.changing, set[i])
	}
	for _, l := range drop {
		delete(m.changing, l)
	}
	m.sched.Notify(topicLinks)
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
