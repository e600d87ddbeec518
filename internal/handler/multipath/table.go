package multipath

import (
	"slices"
	"strconv"
	"strings"

	"firstlight/internal/devmapper"
	"firstlight/internal/mpathconf"
	"firstlight/internal/udevd"
)

// description is what is to be made of the paths of a disk.
type description struct {
	list    string // the paths, for a person
	made    string // the same in a form that changes when a path comes back
	modules []string
	// line is the table while the disk is looked at, queuing that of later, nil if
	// it is no other.
	line, queuing devmapper.Target
	readOnly      bool
	cookie        uint16
}

// path is one way to a disk.
type path struct {
	number   string // MAJOR:MINOR
	serial   string
	priority int
}

// describe says what to make of paths; wrong is why nothing can be.
func (h *Handler) describe(id string, entries []*udevd.Entry) (d description, wrong string) {
	var paths []path
	size, _ := entries[0].Attr("size")
	sectors, err := strconv.ParseUint(size, 10, 54)
	if err != nil || sectors == 0 {
		return d, entries[0].Devname() + " has no size"
	}
	attached, prioritized := "", true
	for i, e := range entries {
		if s, _ := e.Attr("size"); s != size {
			return d, entries[0].Devname() + " and " + e.Devname() + " say that they are one disk, and have different sizes"
		}
		major, minor, _ := e.Devnum()
		p := path{number: devmapper.Devnum{Major: major, Minor: minor}.String(), serial: e.Property("ID_SCSI_SERIAL"), priority: 1}
		if state, ok := e.Attr("device/access_state"); ok && state != "" {
			p.priority = priority(state)
			if preferred, _ := e.Attr("device/preferred_path"); preferred == "1" {
				p.priority += 80
			}
		} else {
			prioritized = false
		}
		paths = append(paths, p)
		if ro, _ := e.Attr("ro"); ro == "1" {
			d.readOnly = true
		}
		if i > 0 {
			d.list += ", "
		}
		d.list += e.Devname()
		// One that has come back is another device to the kernel.
		d.made += e.Devname() + " " + p.number + " " + e.Since.String() + "\n"
		handler, _ := e.Attr("device/dh_state")
		if handler == "detached" || i > 0 && handler != attached {
			handler = ""
		}
		attached = handler
	}
	layout := h.conf.Layout(described(entries[0].Device))
	if attached != "" {
		layout.Handler = []string{attached} // the kernel keeps it
	}
	if prioritized && !layout.PolicySaid {
		layout.Policy = mpathconf.ByPriority
	}
	selector, _, _ := strings.Cut(layout.Selector, " ")
	d.modules = []string{"dm-" + selector}
	if len(layout.Handler) > 0 {
		d.modules = append(d.modules, "scsi_dh_"+layout.Handler[0])
	}
	line := func(features []string) devmapper.Target {
		return devmapper.Target{Length: sectors, Type: "multipath", Params: []byte(parameters(layout, features, paths))}
	}
	d.line = line(layout.Features)
	if layout.Queue {
		d.queuing = line(append(slices.Clone(layout.Features), "queue_if_no_path"))
	}
	return d, ""
}

// priority is what an asymmetric state is worth, as multipath-tools have it.
func priority(state string) int {
	switch state {
	case "active/optimized":
		return 50
	case "active/non-optimized":
		return 10
	case "lba-dependent":
		return 5
	case "standby":
		return 1
	}
	return 0
}

// parameters are those of the target: features, the handler of the hardware
// and the groups of paths, of which the first is used first.
func parameters(l mpathconf.Layout, features []string, paths []path) string {
	text := counted(features) + " " + counted(l.Handler)
	groups := grouped(l.Policy, paths)
	text += " " + strconv.Itoa(len(groups)) + " 1"
	for _, group := range groups {
		text += " " + l.Selector + " " + strconv.Itoa(len(group)) + " 1"
		for _, p := range group {
			text += " " + p.number + " 1"
		}
	}
	return text
}

func counted(words []string) string {
	return strings.Join(append([]string{strconv.Itoa(len(words))}, words...), " ")
}

// grouped puts paths into groups, the best first.
func grouped(policy mpathconf.Policy, paths []path) (groups [][]path) {
	together := func(a, b path) bool {
		switch policy {
		case mpathconf.Multibus:
			return true
		case mpathconf.BySerial:
			return a.serial == b.serial
		case mpathconf.ByPriority:
			return a.priority == b.priority
		}
		return false
	}
	for _, p := range paths {
		i := slices.IndexFunc(groups, func(g []path) bool { return together(g[0], p) })
		if i < 0 {
			groups = append(groups, []path{p})
			continue
		}
		groups[i] = append(groups[i], p)
	}
	// The priority of a group is the mean of its paths'.
	sum := func(g []path) (n int) {
		for _, p := range g {
			n += p.priority
		}
		return n
	}
	for i := range groups { // there are few, and equal ones stay in order
		for j := i; j > 0 && sum(groups[j])*len(groups[j-1]) > sum(groups[j-1])*len(groups[j]); j-- {
			groups[j], groups[j-1] = groups[j-1], groups[j]
		}
	}
	return groups
}
