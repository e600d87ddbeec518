package mdraid

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"firstlight/internal/devmapper"
	"firstlight/internal/fmt"
	"firstlight/internal/goal"
	"firstlight/internal/machine"
	"firstlight/internal/md"
	"firstlight/internal/mdsuper"
	"firstlight/internal/sysfs"
	"firstlight/internal/udevd"
	"firstlight/internal/ueventd"
)

// allowed says whether the command line and mdadm.conf let the array be
// started; why is the reason if not. line is its ARRAY line, or nil.
func (h *Handler) allowed(v *mdsuper.Array) (line *mdsuper.ArrayLine, why string) {
	if want := h.w.Config.MD.UUIDs; len(want) > 0 {
		named := slices.ContainsFunc(want, func(s string) bool {
			u, err := mdsuper.ParseUUID(s)
			return err == nil && u == v.UUID
		})
		if !named {
			return nil, "rd.md.uuid= names other arrays"
		}
	}
	home, _ := h.conf.Home(h.hostname)
	for _, d := range everyDevice(v) {
		for _, name := range h.pathsOf(d) {
			if l := h.conf.Match(v.Super, name, home); l != nil && (line == nil || l.Line < line.Line) {
				line = l
			}
		}
	}
	switch {
	case line != nil && line.Ignored():
		return nil, "mdadm.conf says so, line " + strconv.Itoa(line.Line)
	case line == nil && !h.conf.MayAssemble(v.Super, v.Super.Local(home)):
		return nil, "AUTO in mdadm.conf does not allow it"
	}
	return line, ""
}

// everyDevice lists the devices of all members, used or not.
func everyDevice(v *mdsuper.Array) []string {
	list := devices(v)
	for _, o := range v.LeftOut {
		list = append(list, o.Device)
	}
	return list
}

func devices(v *mdsuper.Array) []string {
	var list []string
	for _, m := range v.Members() {
		list = append(list, m.Device)
	}
	return list
}

// pathsOf gives a node and the links that lead to it: mdadm.conf may use any.
func (h *Handler) pathsOf(devname string) []string {
	list := []string{devname}
	if e := h.w.Devices.ByName(devname); e != nil {
		for _, l := range e.Links() {
			list = append(list, "/dev/"+l)
		}
	}
	return list
}

// mayUse says whether the DEVICE lines of mdadm.conf admit a device. None at
// all admit every one.
func (h *Handler) mayUse(e *udevd.Entry) bool {
	words := h.conf.Devices
	if len(words) == 0 || slices.Contains(words, "partitions") {
		return true
	}
	return slices.ContainsFunc(h.pathsOf(e.Devname()), func(p string) bool {
		return slices.ContainsFunc(words, func(pattern string) bool {
			ok, err := path.Match(pattern, p)
			return ok && err == nil
		})
	})
}

// taken says which names are in use.
func (h *Handler) taken(sys sysfs.FS) mdsuper.Taken {
	exists := md.Exists(sys)
	return mdsuper.Taken{
		Kernel: func(name string) bool {
			return exists(name) || slices.ContainsFunc(h.given, func(g given) bool { return g.name.Kernel == name })
		},
		Link: func(name string) bool {
			return h.w.Devices.ByName("/dev/md/"+name) != nil ||
				slices.ContainsFunc(h.given, func(g given) bool { return g.name.Link == name })
		},
	}
}

// devnum gives the number of a member's device as the kernel wants it.
func (h *Handler) devnum(a *array) func(string) (string, error) {
	return func(name string) (string, error) {
		major, minor, ok := a.members[name].entry.Devnum()
		if !ok {
			return "", fmt.Errorf("%s has no device number", name)
		}
		return devmapper.Devnum{Major: major, Minor: minor}.String(), nil
	}
}

// heldBy returns the array of the kernel that has one of the members already:
// one that the kernel has started itself, or a person in the shell.
func heldBy(a *array) string {
	for _, name := range a.names() {
		e := a.members[name].entry
		holders, _ := e.Sys().List(e.Devpath() + "/holders")
		for _, holder := range holders {
			if strings.HasPrefix(holder, "md") {
				return holder
			}
		}
	}
	return ""
}

// writeMap writes the names that were given, for the rules, which make the
// links of them, and for mdadm in the real system.
func (h *Handler) writeMap(t *ueventd.Task) {
	h.w.LockMap(t)
	var text strings.Builder
	for _, g := range h.given {
		text.WriteString(g.line)
	}
	err := ueventd.Act(t, "write "+MapFile, func(m machine.Machine) error {
		lines := text.String()
		if h.w.Image.Full {
			lines += foreign(m)
		}
		return m.WriteFile(MapFile, []byte(lines), 0o600)
	})
	h.w.UnlockMap()
	if err != nil {
		// Whoever names an array by it waits for a link that nobody makes.
		h.w.SetFact(MapFile, goal.Fact{Subject: MapFile, Condition: goal.Blocked, Text: err.Error()})
		t.Record("warning", err.Error())
	}
}

// foreign are the lines of arrays of firmware RAID, which mdadm writes: their
// metadata is a name or a place in a container.
func foreign(m machine.Machine) string {
	old, _ := m.ReadFile(MapFile, 1<<20)
	var keep strings.Builder
	for line := range strings.Lines(string(old)) {
		if f := strings.Fields(line); len(f) >= 3 && (f[1][0] < '0' || f[1][0] > '9') {
			keep.WriteString(line)
		}
	}
	return keep.String()
}

// MapFile is where mdadm keeps the names of running arrays.
const MapFile = "/run/mdadm/map"

// subject is how a person knows the array.
func subject(v *mdsuper.Array) string {
	if v.Super.Name == "" {
		return "RAID array " + v.UUID.String()
	}
	return "RAID array " + v.Super.Name + " (" + v.UUID.String() + ")"
}

// describe says what of the array is there, what is missing, and what stands
// in its way.
func describe(v *mdsuper.Array) string {
	missing := v.Missing()
	var there []string
	for _, m := range v.Members() {
		there = append(there, m.Device)
	}
	text := fmt.Sprintf("%d of %d members", len(v.Slots)-len(missing), len(v.Slots))
	if len(there) > 0 {
		text += " (" + strings.Join(there, ", ") + ")"
	}
	for i, slot := range missing {
		sep := ", slot "
		if i == 0 {
			sep = "; missing: slot "
		}
		text += sep + strconv.Itoa(slot)
	}
	if v.ReadOnly {
		text += "; its journal device is missing"
	}
	for _, o := range v.LeftOut {
		text += "; " + o.Reason.Text
	}
	for _, r := range v.Reasons {
		text += "; " + r.Text
	}
	return text
}

// advice is what a person can do about an array that is not started.
func advice(v *mdsuper.Array) string {
	for _, r := range v.Reasons {
		switch r.Cause {
		case mdsuper.SplitBrain:
			return choice(v)
		case mdsuper.DuplicateRole:
			return "disconnect the copy; if both are one disk on two ways, it needs multipath"
		case mdsuper.Mismatch:
			return "disconnect the member that does not belong to the array"
		case mdsuper.NoBackup:
			return "go on with it in a rescue system: mdadm --assemble --backup-file=FILE /dev/md/" + shortName(v) + " " + strings.Join(devices(v), " ")
		case mdsuper.NoJournal:
			return "connect the journal device, or, if it is lost, boot with rd.md.nojournal, which starts the array read-only"
		case mdsuper.Unsupported, mdsuper.Clustered:
			return "assemble the array with mdadm in a rescue system"
		case mdsuper.DirtyDegraded:
			return "connect the missing member, or boot with md_mod.start_dirty_degraded=1 if it is lost"
		}
	}
	return "connect the missing members"
}

// choice names the two commands between which a person has to choose. Either
// starts the array with the members of one side, and the boot goes on from a
// shell in which it was given; the other members are not touched.
func choice(v *mdsuper.Array) string {
	name := "/dev/md/" + shortName(v)
	text := "choose in a shell that has mdadm: "
	for i, side := range v.Sides {
		if i > 0 {
			text += "; or "
		}
		text += "mdadm -A --run " + name + " " + strings.Join(side, " ")
	}
	return text + ". Then give the array the other members anew with mdadm --add, which overwrites them"
}

// shortName is what an array may be called in /dev/md.
func shortName(v *mdsuper.Array) string {
	_, name := v.Super.Host()
	if name == "" || strings.ContainsAny(name, " /") {
		return "md127"
	}
	return name
}

// unreadable is the fact on an array none of whose superblocks can be used.
func (h *Handler) unreadable(a *array) goal.Fact {
	return goal.Fact{Subject: "RAID array " + strings.TrimPrefix(a.key, "md "), Condition: goal.Blocked, Text: strings.TrimPrefix(a.unread(), "; ")}
}

// unread says which members' superblocks cannot be read, and why.
func (a *array) unread() string {
	text := ""
	for _, name := range a.names() {
		if err := a.members[name].err; err != nil {
			text += "; " + name + ": " + err.Error()
		}
	}
	return text
}
