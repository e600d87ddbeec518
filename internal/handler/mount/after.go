package mount

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"sort"
	"strings"

	"firstlight/internal/bootcmd"
	"firstlight/internal/devspec"
	"firstlight/internal/filter"
	"firstlight/internal/fmt"
	"firstlight/internal/fstab"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/machine"
	"firstlight/internal/ueventd"
)

// inits are tried in this order when init= is not given, as the kernel does
// (init/main.c, kernel_init).
var inits = [...]string{"/sbin/init", "/etc/init", "/bin/init", "/bin/sh"}

// maxFstab bounds the real root's fstab, in bytes.
const maxFstab = 1 << 20

// afterRoot looks at the mounted root: which other filesystems does it want,
// and is there an init in it.
func (h *Handler) afterRoot(t *ueventd.Task) ueventd.Outcome {
	w := h.w
	for _, e := range h.wantedByFstab(t) {
		if v := &w.Config.Verity; e.File == "/usr" && v.Enabled && v.Usr.Asked() {
			continue // what the hash is of, and nothing else
		}
		key := "mount " + e.File
		spec, err := e.Device()
		if e.Options.Set&fstab.Bind != 0 { // a directory of the real system
			spec, err = devspec.Spec{}, nil
		}
		if err != nil {
			w.Say(handler.Loud, handler.SysRoot+"/etc/"+err.Error())
			continue
		}
		h.want(key, extra{entry: e, spec: spec})
	}
	if u := w.Config.Usr; u.Device.IsDevice() && h.extras["mount /usr"] == nil {
		h.want("mount /usr", extra{spec: u.Device, entry: fstab.Entry{File: "/usr", FSTypes: u.FSTypes, Options: fstab.ParseOptions(u.Flags), Pass: 2}})
	}
	return h.findInit(t)
}

// wantedByFstab returns the entries of the real root's fstab that are mounted
// before the real system starts: /usr and those with x-initrd.mount.
func (h *Handler) wantedByFstab(t *ueventd.Task) []fstab.Entry {
	cfg := h.w.Config
	if cfg.RootOnly || !cfg.UseFstab {
		return nil
	}
	root := handler.SysRoot
	if h.w.Lower != "" {
		root = h.w.Lower
	}
	text, err := ueventd.Do(t, "read etc/fstab of the root", func(m machine.Machine) ([]byte, error) {
		return m.ReadInRoot(root, "/etc/fstab", maxFstab)
	})
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			// A /usr that it names would be missed without a reason.
			h.w.SetFact("fstab", goal.Fact{Subject: "/etc/fstab of the root", Condition: goal.Blocked, Text: err.Error()})
			h.w.Say(handler.Normal, err.Error())
		}
		return nil
	}
	entries, errs := fstab.Parse("/etc/fstab", string(text))
	for _, err := range errs {
		h.w.Say(handler.Normal, err.Error())
	}
	entries = slices.DeleteFunc(entries, func(e fstab.Entry) bool {
		if e.IsSwap() || e.File == "/" || e.File == "none" {
			return true
		}
		// An empty root that covers the real one has its /usr, and no more.
		return e.File != "/usr" && (!e.Options.Has("x-initrd.mount") || h.w.Lower != "") || e.Options.NoAuto()
	})
	sort.SliceStable(entries, func(i, j int) bool { return len(entries[i].File) < len(entries[j].File) })
	return entries
}

// extra is a filesystem besides the root.
type extra struct {
	entry fstab.Entry
	spec  devspec.Spec
}

// by says what asks for the filesystem.
func (x *extra) by() string {
	if x.entry.Line == 0 {
		return "the command line"
	}
	return "/etc/fstab of the root"
}

// want makes a filesystem a goal of the boot, and looks whether its device is
// there already.
func (h *Handler) want(key string, x extra) {
	w := h.w
	if h.extras == nil {
		h.extras = map[string]*extra{}
	}
	h.extras[key] = &x
	w.Want(x.spec)
	now := w.Sched.Now()
	wait := w.Config.Wait.Deadline
	if d, ok := x.entry.Options.DeviceTimeout(); ok && d > 0 {
		wait = d
	}
	what := x.spec.Describe()
	if !x.spec.IsDevice() {
		what = x.entry.Spec
	}
	w.Goals.Add(goal.Goal{Name: key, Want: what + " mounted on " + x.entry.File, Since: now,
		Deadline: handler.DeadlineAt(now, wait), OnExpiry: "given up"})
	w.Sched.Push(ueventd.Event{Queue: key, Kind: filter.Add, Name: x.spec.String()})
}

// extra mounts one of them.
func (h *Handler) extra(t *ueventd.Task, ev ueventd.Event) ueventd.Outcome {
	w := h.w
	x := h.extras[ev.Queue]
	g := w.Goals.Get(ev.Queue)
	if x == nil || g == nil || g.State == goal.Met {
		return ueventd.Outcome{}
	}
	above := h.above(x.entry.File)
	if above == "" && x.entry.Options.Set&fstab.Bind != 0 {
		above = h.above(x.entry.Spec + "/") // what is shown is to be there
	}
	if above != "" {
		return ueventd.WaitFor(above+" comes first", topicMounted+above)
	}
	if !x.spec.IsDevice() {
		return h.virtual(t, ev.Queue, x)
	}
	if len(w.Find(x.spec)) == 0 && x.entry.Options.NoFail() {
		w.Say(handler.Normal, x.entry.File+": "+x.spec.Describe()+" is not there; going on without it, as nofail says")
		return h.got(t, ev.Queue)
	}
	if len(w.Find(x.spec)) == 0 {
		w.SetFact(ev.Queue, goal.Fact{Subject: x.entry.File, Condition: goal.Incomplete, Text: x.by() + " asks for " + x.spec.String() + ", which has not appeared",
			Try: "connect the disk of " + x.entry.File + ", or correct its line (nofail lets the boot go on without it)"})
		return ueventd.WaitFor(x.spec.Describe(), deviceTopic)
	}
	e, out := h.choose(t, ev.Queue, x.entry.File, x.spec)
	if e == nil {
		if out.Verdict == ueventd.Done { // it went away just now
			return ueventd.WaitFor(x.spec.Describe(), deviceTopic)
		}
		return out
	}
	target, err := h.target(t, x.entry.File)
	if err != nil {
		w.SetFact(ev.Queue, goal.Fact{Subject: x.entry.File, Condition: goal.Blocked, Text: err.Error(), Try: "correct it in the root, or the line in its /etc/fstab"})
		return ueventd.WaitFor(err.Error(), handler.TopicRetry)
	}
	o := x.entry.Options
	req := request{goal: ev.Queue, spec: x.spec, target: target, types: x.entry.FSTypes, flags: uintptr(o.Set),
		data: o.Data, readOnly: w.Config.Root.ReadOnly || o.Set&fstab.ReadOnly != 0, pass: x.entry.Pass}
	if h.layers.covered { // nothing below is written to
		req.readOnly = true
	} else if w.Config.Root.ReadOnlySet && !w.Config.Root.ReadOnly {
		req.readOnly, req.flags = false, req.flags&^fstab.ReadOnly
	}
	if out, ok := h.mount(t, e, req); !ok {
		if o.NoFail() {
			w.Say(handler.Loud, x.entry.File+" could not be mounted: "+out.Reason+"; going on without it, as nofail says")
			return h.got(t, ev.Queue)
		}
		return out
	}
	return h.got(t, ev.Queue)
}

// topicMounted and a mount point are notified when that is mounted.
const topicMounted = "mounted "

// above returns the mount point nearest to the root above file that is still
// to be mounted, or "": what is mounted too early would be hidden by it.
func (h *Handler) above(file string) string {
	found := ""
	for key, x := range h.extras {
		f := x.entry.File
		if strings.HasPrefix(file, f+"/") && h.w.Goals.Get(key).State != goal.Met && (found == "" || len(f) < len(found)) {
			found = f
		}
	}
	return found
}

// target is where a mount point of the real system is. A link on the way
// there means what it means in the real system, not in the image.
func (h *Handler) target(t *ueventd.Task, file string) (string, error) {
	info, err := ueventd.Do(t, "look for "+file+" in the root", func(m machine.Machine) (machine.FileInfo, error) {
		return m.InRoot(handler.SysRoot, file)
	})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return handler.SysRoot + path.Clean("/"+file), nil
	case err != nil:
		return "", err
	case !info.Mode.IsDir():
		return "", fmt.Errorf("%s is not a directory in the root", file)
	}
	return handler.SysRoot + info.Path, nil
}

// got notes that a filesystem is mounted, and has init looked for once all
// are. That is an event of the root's queue: two that are mounted last at the
// same time must not both do it.
func (h *Handler) got(_ *ueventd.Task, key string) ueventd.Outcome {
	w := h.w
	w.Goals.Get(key).State = goal.Met
	w.DropFact(key)
	w.Progress()
	w.Sched.Notify(topicMounted + h.extras[key].entry.File)
	w.Sched.Notify(handler.TopicGoals)
	w.Sched.Push(ueventd.Event{Queue: filter.Root, Kind: kindInit})
	return ueventd.Outcome{}
}

// kindInit is the event that init may be looked for.
const kindInit = "init"

// findInit looks for the program that is to be started, once everything is
// mounted that it may be on.
func (h *Handler) findInit(t *ueventd.Task) ueventd.Outcome {
	w := h.w
	if w.Goals.Get(InitGoal).State == goal.Met {
		return ueventd.Outcome{}
	}
	for _, g := range w.Goals.Open() {
		if h.extras[g.Name] != nil {
			return ueventd.Outcome{}
		}
	}
	candidates := inits[:]
	if w.Config.Init != "" {
		candidates = []string{w.Config.Init}
	}
	var why, broken string
	for _, p := range candidates {
		info, err := ueventd.Do(t, "look for init "+p, func(m machine.Machine) (machine.FileInfo, error) {
			return m.InRoot(handler.SysRoot, p)
		})
		switch {
		case err != nil:
			why = err.Error()
			if errors.Is(err, fs.ErrNotExist) {
				why = "does not exist in the root"
			} else {
				broken = ": " + why
			}
		case !info.Mode.IsRegular():
			why = "is not a regular file"
		case info.Mode.Perm()&0o111 == 0:
			why = "is not executable"
		default:
			w.Init = p
			w.Break(t, bootcmd.StagePrePivot)
			w.Goals.Get(InitGoal).State = goal.Met
			w.DropFact(InitGoal)
			w.Progress()
			w.Sched.Notify(handler.TopicGoals)
			return ueventd.Outcome{}
		}
		t.Record("decision", "init "+p+" "+why)
	}
	g := w.Goals.Get(InitGoal)
	now := w.Sched.Now()
	g.Deadline = w.Goals.From(g, now) + initPatience
	g.OnExpiry = "given up"
	text := "none of /sbin/init, /etc/init, /bin/init, /bin/sh can be executed in the mounted root" + broken
	if w.Config.Init != "" {
		text = w.Config.Init + " (init=) " + why
	}
	w.SetFact(InitGoal, goal.Fact{Subject: "init", Condition: goal.Blocked, Text: text,
		Try: "check that root= names the system's root and not another filesystem, and init= an executable in it"})
	return ueventd.WaitFor("an init in the root", handler.TopicRetry)
}
