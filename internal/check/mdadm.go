package check

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"firstlight/internal/machine"
)

// mdadm models what mdadm does with the disks of a firmware's RAID: it puts each
// into its container and starts the arrays in it once their members are there,
// or with --run without those that are missing. Which disks belong together,
// and to what, is what mdadm made of them when the snapshot was taken.
func (w *world) mdadm(args []string) machine.Exit {
	run, node := false, ""
	for _, a := range args {
		switch {
		case a == "--run":
			run = true
		case strings.HasPrefix(a, "/") && node == "":
			node = a
		}
	}
	fail := func(format string, a ...any) machine.Exit {
		return machine.Exit{Code: 1, Output: "mdadm: " + fmt.Sprintf(format, a...)}
	}
	d := w.disk(node)
	switch {
	case len(args) == 0 || d == nil:
		return fail("cannot open %s", node)
	case args[0] == "--examine" && slices.Contains(args, "--brief"):
		w.unknown = addOnce(w.unknown, "which arrays "+node+" belongs to is known to mdadm alone")
		return machine.Exit{}
	case args[0] == "--examine":
		return machine.Exit{Output: w.examined(d)}
	case !w.modules.there("md_mod"):
		return fail("no md device could be created for %s", node)
	case run:
		return w.startContained(d.name, true)
	}
	origin := w.container(d)
	if origin == "" {
		w.unknown = addOnce(w.unknown, "what mdadm makes of "+node+" is not known: it was in no array when the snapshot was taken")
		return fail("%s is not known", node)
	}
	c := w.arrays[origin]
	if c == nil {
		minor, err := strconv.ParseUint(strings.TrimPrefix(origin, "md"), 10, 20)
		if err != nil {
			return fail("%s has no number", origin)
		}
		c = &array{disk: &disk{w: w, name: origin, devpath: "/devices/virtual/block/" + origin, major: arrayMajor, minor: uint32(minor), why: "it is a container"}}
		w.arrays[origin] = c
		w.stack(c.disk, map[string]string{"md/array_state": "inactive", "md/raid_disks": "0", "md/level": "container"})
		w.live.Set(c.disk.devpath+"/md/metadata_version", w.md(origin, "metadata_version"))
		w.uevent("add", c.disk.devpath)
	}
	if !slices.Contains(c.members, d) {
		c.join(w, d)
		w.uevent("change", c.disk.devpath)
	}
	return w.startContained(origin, false)
}

// md is an attribute of an array of the snapshot.
func (w *world) md(name, attr string) string {
	v, _ := w.snap.Sys.Read("/class/block/" + name + "/md/" + attr)
	return v
}

// container finds the container of the snapshot that a disk is in.
func (w *world) container(d *disk) string {
	names, _ := w.snap.Sys.List("/class/block")
	for _, n := range names {
		kind, ok := strings.CutPrefix(w.md(n, "metadata_version"), "external:")
		under, _ := w.snap.Sys.List("/class/block/" + n + "/slaves")
		if ok && kind != "" && kind[0] != '/' && kind[0] != '-' && d.origin != "" && slices.Contains(under, d.origin) {
			return n
		}
	}
	return ""
}

// inContainer are the arrays of the snapshot in a container.
func (w *world) inContainer(container string) []string {
	var out []string
	names, _ := w.snap.Sys.List("/class/block")
	for _, n := range names {
		in, ok := strings.CutPrefix(w.md(n, "metadata_version"), "external:")
		if ok && in != "" && (in[0] == '/' || in[0] == '-') && strings.HasPrefix(in[1:]+"/", container+"/") {
			out = append(out, n)
		}
	}
	return out
}

// join makes a disk a member.
func (a *array) join(w *world, d *disk) {
	a.members = append(a.members, d)
	w.live.Link(d.devpath+"/holders/"+a.disk.name, a.disk.devpath)
	w.live.Link(a.disk.devpath+"/slaves/"+d.name, d.devpath)
}

// least is how many members an array of a level needs, of all that it has.
func least(level string, all int) int {
	switch level {
	case "raid1":
		return 1
	case "raid4", "raid5":
		return all - 1
	case "raid6":
		return all - 2
	}
	return all
}

// startContained starts the arrays of a container whose members are there;
// with run those too that can do without the others.
func (w *world) startContained(container string, run bool) machine.Exit {
	c := w.arrays[container]
	if c == nil {
		return machine.Exit{Code: 1, Output: "mdadm: " + container + " is no container"}
	}
	for _, origin := range w.inContainer(container) {
		if w.arrays[origin] != nil {
			continue
		}
		under, _ := w.snap.Sys.List("/class/block/" + origin + "/slaves")
		a := &array{}
		for _, m := range c.members {
			if slices.Contains(under, m.origin) {
				a.members = append(a.members, m)
			}
		}
		level := w.md(origin, "level")
		all, err := strconv.Atoi(w.md(origin, "raid_disks"))
		if err != nil || len(a.members) == 0 {
			continue
		}
		// With what it ran with it runs again.
		enough := len(a.members) >= min(least(level, all), len(under))
		if len(a.members) < all && !(run && enough) {
			continue
		}
		if exit := w.startOne(origin, level, all, a); exit.Code != 0 {
			return exit
		}
	}
	return machine.Exit{}
}

// startOne starts an array of a container.
func (w *world) startOne(origin, level string, all int, a *array) machine.Exit {
	personality := level
	switch level {
	case "raid4", "raid5", "raid6":
		personality = "raid456"
	}
	if !w.request(personality) && !w.request("md-"+level) {
		return machine.Exit{Code: 1, Output: "mdadm: the kernel has no " + level}
	}
	minor, err := strconv.ParseUint(strings.TrimPrefix(origin, "md"), 10, 20)
	if err != nil {
		return machine.Exit{Code: 1, Output: "mdadm: " + origin + " has no number"}
	}
	a.disk = &disk{w: w, name: origin, devpath: "/devices/virtual/block/" + origin, major: arrayMajor, minor: uint32(minor)}
	a.running = true
	w.arrays[origin] = a
	w.stack(a.disk, nil)
	w.uevent("add", a.disk.devpath)
	members := a.members
	a.members = nil
	for _, m := range members {
		a.join(w, m)
	}
	w.show(a, origin)
	w.live.Set(a.disk.devpath+"/md/degraded", strconv.Itoa(all-len(a.members)))
	return machine.Exit{}
}

// examined is what mdadm --examine says of a disk, as far as a boot reads it.
func (w *world) examined(d *disk) string {
	for _, n := range w.inContainer(w.container(d)) {
		if w.md(n, "consistency_policy") == "ppl" {
			return "     RWH Policy : PPL\n"
		}
	}
	return ""
}

// show makes an array look as it did in the snapshot, under its name there, with
// its partitions.
func (w *world) show(a *array, origin string) {
	d := a.disk
	parts := w.graft("/devices/virtual/block/"+origin, d.devpath)
	d.holding(origin)
	d.read(w.live)
	for _, p := range parts {
		w.live.Link("/class/block/"+path.Base(p), p)
		part := w.plug(p)
		part.holding(origin + strings.TrimPrefix(part.name, d.name))
	}
	w.uevent("change", d.devpath)
	slices.Sort(parts)
	for _, p := range parts {
		w.uevent("add", p)
	}
}
