package mount

import (
	"errors"
	"io/fs"
	"sort"
	"strings"

	"firstlight/internal/devspec"
	"firstlight/internal/filter"
	"firstlight/internal/fstab"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/machine"
	"firstlight/internal/udevd"
	"firstlight/internal/ueventd"
)

// TableFeature is the feature with which an image has a table of its own of what
// is mounted before the real system starts: dracut's /etc/fstab.sys, and what is
// below /sysroot in the image's /etc/fstab.
const TableFeature = "fstab-sys"

// Files of such tables. The root's own fstab.sys counts instead of the image's.
const (
	sysTable   = "/etc/fstab.sys"
	imageTable = "/etc/fstab"
)

// queueTable is that of the tables, topicTable is notified once they are known.
const (
	queueTable = "fstab of the image"
	topicTable = "fstab of the image"
)

// tables are those of the image.
type tables struct {
	h       *Handler
	known   bool // the image's are read
	entries []fstab.Entry
	wanted  bool // they are goals
	whose   string
	line    *fstab.Entry // of the root itself
	options string       // its mount options, as they are written
}

// root has root=fstab mean the root of the image's own fstab, as systemd has it
// (systemd-fstab-generator(8)). What else the command line says of it counts.
func (x *tables) root() {
	w := x.h.w
	r := &w.Config.Root
	if r.Device.Kind != devspec.Other || r.Device.Scheme != "fstab" {
		return
	}
	fact := goal.Fact{Subject: "root=fstab", Condition: goal.Blocked, Text: "and " + imageTable + " of the image has no line for " + handler.SysRoot,
		Try: "name the root with root=, or put its line into that file"}
	if x.line != nil {
		spec, err := x.line.Device()
		if err == nil && spec.IsDevice() {
			r.Device = spec
			if len(r.FSTypes) == 0 {
				r.FSTypes = x.line.FSTypes
			}
			if r.Flags == "" {
				r.Flags = x.options
			}
			if !r.ReadOnlySet {
				r.ReadOnly = x.line.Options.Set&fstab.ReadOnly != 0
			}
			w.DropFact(RootGoal)
			w.Sched.Push(ueventd.Event{Queue: filter.Root, Kind: filter.Add})
			return
		}
		fact.Text = "and the line of " + handler.SysRoot + " in " + imageTable + " of the image names no device"
	}
	w.SetFact(RootGoal, fact)
}

// key is the name of the goal of a mount point, and that of its queue: not the
// name that the root's own fstab gives it.
func (x *tables) key(file string) string { return filter.Mount + " " + file + " (" + x.whose + ")" }

// Tables has the tables of the image used. Nothing of the root is mounted before
// they are read.
func (h *Handler) Tables() (start func()) {
	x := &tables{h: h, whose: "the image's table"}
	w := h.w
	w.Sched.Route(queueTable, x.handle)
	w.Gates = append(w.Gates, func(*udevd.Entry) (topic, why, options string) {
		if !x.known {
			return topicTable, "the image's table of what is to be mounted comes first", ""
		}
		return "", "", ""
	})
	return func() { w.Sched.Push(ueventd.Event{Queue: queueTable, Kind: filter.Add}) }
}

// handle reads the tables, and once the root is mounted has them mounted.
func (x *tables) handle(t *ueventd.Task, _ ueventd.Event) ueventd.Outcome {
	w := x.h.w
	if w.Config.RootOnly || !w.Config.UseFstab {
		x.known = true
		w.Sched.Notify(topicTable)
		return ueventd.Outcome{}
	}
	if !x.known {
		sys, err := x.read(t, "/", sysTable, "")
		own, err2 := x.read(t, "/", imageTable, handler.SysRoot)
		if err = errors.Join(err, err2); err != nil { // nothing starts without what may stand there
			w.SetFact(queueTable, goal.Fact{Subject: "the image's table of mounts", Condition: goal.Blocked, Text: err.Error(), Try: "boot with rd.fstab=0"})
			return ueventd.WaitFor("the image's table of mounts can be read", handler.TopicRetry, udevd.TopicDevice)
		}
		w.DropFact(queueTable)
		x.entries = append(sys, own...)
		x.root()
		for _, e := range x.entries { // so that what they are on is assembled and unlocked
			if spec, err := e.Device(); err == nil {
				w.Want(spec)
			}
		}
		x.known = true
		w.Sched.Notify(topicTable)
	}
	// The goals stand before the root counts as mounted, so that nothing starts
	// without them.
	if !x.wanted {
		x.goals()
	}
	if g := w.Goals.Get(RootGoal); g == nil || g.State != goal.Met {
		return ueventd.WaitFor("the root, in which the image's table mounts something", handler.TopicRootMounted)
	}
	return x.mount(t)
}

// read reads a table; below is what its mount points have to begin with.
func (x *tables) read(t *ueventd.Task, root, file, below string) ([]fstab.Entry, error) {
	w := x.h.w
	text, err := ueventd.Do(t, "read "+file+" in "+root, func(m machine.Machine) ([]byte, error) { return m.ReadInRoot(root, file, maxFstab) })
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	entries, errs := fstab.Parse(file, string(text))
	for _, err := range errs {
		w.Say(handler.Loud, err.Error())
	}
	var out []fstab.Entry
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.File, below)
		switch {
		case e.IsSwap() || e.Options.NoAuto() || e.File == "none":
			continue
		case below != "" && e.File == below: // the root itself, for root=fstab
			x.line = &e
			if f := strings.Fields(strings.Split(string(text), "\n")[e.Line-1]); len(f) > 3 {
				x.options = f[3]
			}
			continue
		case !ok || !strings.HasPrefix(rest, "/") || rest == "/":
			w.Say(handler.Loud, file+": "+e.File+" is no directory of the real root, and is not mounted")
			continue
		}
		e.File = rest
		out = append(out, e)
	}
	sort.SliceStable(out, func(i, j int) bool { return len(out[i].File) < len(out[j].File) })
	return out, nil
}

// goals makes each line a goal of the boot.
func (x *tables) goals() {
	w := x.h.w
	x.wanted = true
	if x.h.extras == nil {
		x.h.extras = map[string]*extra{}
	}
	for _, e := range x.entries {
		key := x.key(e.File)
		if x.h.extras[key] != nil {
			continue
		}
		spec, err := e.Device()
		if e.Options.Set&fstab.Bind != 0 {
			spec, err = devspec.Spec{}, nil
		}
		if err != nil {
			w.Say(handler.Loud, err.Error())
			continue
		}
		what := spec.Describe()
		if !spec.IsDevice() {
			what = e.Spec
		}
		now, wait := w.Sched.Now(), w.Config.Wait.Deadline
		if d, ok := e.Options.DeviceTimeout(); ok && d > 0 {
			wait = d
		}
		x.h.extras[key] = &extra{entry: e, spec: spec}
		w.Goals.Add(goal.Goal{Name: key, Want: what + " mounted on " + e.File, Since: now, Deadline: handler.DeadlineAt(now, wait), OnExpiry: "given up"})
	}
}

// mount has the lines mounted, but for those of mount points that the root's
// fstab wants itself, which are its own.
func (x *tables) mount(t *ueventd.Task) ueventd.Outcome {
	w := x.h.w
	own, err := x.read(t, handler.SysRoot, sysTable, "")
	if err != nil {
		w.SetFact(queueTable, goal.Fact{Subject: "the root's table of mounts", Condition: goal.Blocked, Text: err.Error(), Try: "boot with rd.fstab=0"})
		return ueventd.WaitFor("the root's table of mounts can be read", handler.TopicRetry, udevd.TopicDevice)
	}
	w.DropFact(queueTable)
	if len(own) > 0 {
		t.Record("decision", "the root's "+sysTable+" counts instead of the image's")
		x.drop(func(string) bool { return true })
		x.entries, x.whose = own, sysTable+" of the root"
		x.goals()
	}
	wanted := map[string]bool{}
	for _, e := range x.h.wantedByFstab(t) {
		wanted[e.File] = true
	}
	x.drop(func(file string) bool { return wanted[file] })
	for _, e := range x.entries {
		if key := x.key(e.File); !wanted[e.File] && x.h.extras[key] != nil {
			w.Sched.Push(ueventd.Event{Queue: key, Kind: filter.Add, Name: x.h.extras[key].spec.String()})
		}
	}
	return ueventd.Outcome{}
}

// drop gives goals up again.
func (x *tables) drop(which func(file string) bool) {
	for _, e := range x.entries {
		key := x.key(e.File)
		if g := x.h.w.Goals.Get(key); g != nil && which(e.File) && x.h.extras[key] != nil {
			g.State = goal.Met
			x.h.w.DropFact(key)
			delete(x.h.extras, key)
		}
	}
	x.h.w.Sched.Notify(handler.TopicGoals)
	x.h.w.Sched.Push(ueventd.Event{Queue: filter.Root, Kind: kindInit})
}
