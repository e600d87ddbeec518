// Package mount mounts the real system: its root, then /usr and what else the
// real root's fstab wants mounted before the system starts.
package mount

import (
	"errors"
	"path"
	"slices"
	"strings"
	"time"

	"firstlight/internal/bootcmd"
	"firstlight/internal/devspec"
	"firstlight/internal/filter"
	"firstlight/internal/fmt"
	"firstlight/internal/fstab"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/handler/fsck"
	"firstlight/internal/machine"
	"firstlight/internal/udevd"
	"firstlight/internal/ueventd"
)

// Names of the goals.
const (
	RootGoal = "root"
	InitGoal = "init"
)

// Handler owns the goals root, usr and init.
type Handler struct {
	w      *handler.World
	extras map[string]*extra // by the name of their goal
	layers layers
}

// deviceTopic is notified when any device has changed.
const deviceTopic = udevd.TopicDevice

// initPatience is how long a root without init is put up with: no event will
// mend it, but a person may.
const initPatience = time.Second

// New registers the handler.
func New(w *handler.World) *Handler {
	h := &Handler{w: w}
	w.Sched.Route(filter.Root, h.root)
	w.Sched.Route(filter.Mount, h.extra)
	return h
}

// Start sets the goals.
func (h *Handler) Start() {
	w := h.w
	now := w.Sched.Now()
	root := w.Config.Root.Device
	want := root.Describe() + " mounted as the root"
	if root.IsZero() {
		want = "a root filesystem (no root= is given)"
	}
	wait, ok := fstab.DeviceTimeout(w.Config.Root.Flags)
	if !ok {
		wait = w.Config.Wait.Deadline
	}
	w.Goals.Add(goal.Goal{Name: RootGoal, Want: want, Since: now, Deadline: handler.DeadlineAt(now, wait),
		OnExpiry: "given up"})
	switch root.Kind {
	case devspec.None:
		w.SetFact(RootGoal, goal.Fact{Subject: "root= on the kernel command line", Condition: goal.Blocked, Text: "missing"})
	case devspec.Other:
		w.SetFact(RootGoal, goal.Fact{Subject: "root=" + root.String(), Condition: goal.Blocked,
			Text: "names no local block device, and this image can start from nothing else",
			Try:  "name a local block device with root=, or build the image with --generic or with the feature for such a root (nfs …)"})
	}
	w.Goals.Add(goal.Goal{Name: InitGoal, Want: "an init in the real root", Since: now, Last: true})
}

// root handles events of devices that may be the root.
func (h *Handler) root(t *ueventd.Task, ev ueventd.Event) ueventd.Outcome {
	w := h.w
	g := w.Goals.Get(RootGoal)
	if g.State == goal.Met {
		// Nothing is left to mount here; but leaving the shell, or an init
		// that could not be started, brings us back to look for one.
		if ev.Kind == filter.Add || ev.Kind == kindInit {
			return h.findInit(t)
		}
		return ueventd.Outcome{}
	}
	if ev.Kind == filter.Remove {
		return ueventd.Outcome{}
	}
	if ev.Kind == handler.KindMounts {
		return h.mountedByHand(t, ev.Value.([]string))
	}
	if !w.ResumeSettled {
		return ueventd.WaitFor("resume comes before any mount", handler.TopicResumeSettled)
	}
	if out, ok := h.layRoot(t); !ok {
		return out
	}
	return h.gotRoot(t)
}

// mountedByHand takes a root that a person has mounted in the shell.
func (h *Handler) mountedByHand(t *ueventd.Task, points []string) ueventd.Outcome {
	if h.layers.base || !slices.Contains(points, handler.SysRoot) {
		return ueventd.Outcome{}
	}
	t.Record("decision", "take the root that is mounted on "+handler.SysRoot)
	return h.gotRoot(t)
}

func (h *Handler) gotRoot(t *ueventd.Task) ueventd.Outcome {
	w := h.w
	w.Goals.Get(RootGoal).State = goal.Met
	w.DropFact(RootGoal)
	w.Progress()
	w.Sched.Notify(handler.TopicRootMounted)
	return h.afterRoot(t)
}

// choose finds the one device that spec names, or says how to go on.
func (h *Handler) choose(t *ueventd.Task, key, what string, spec devspec.Spec) (*udevd.Entry, ueventd.Outcome) {
	w := h.w
	if len(w.Find(spec)) == 0 {
		return nil, ueventd.Outcome{}
	}
	w.Identified(t)
	devs := distinct(w.Find(spec))
	if len(devs) == 0 {
		return nil, ueventd.Outcome{}
	}
	if len(devs) > 1 {
		var names []string
		for _, d := range devs {
			names = append(names, d.Devname())
		}
		text := fmt.Sprintf("%d devices have this name: %s", len(devs), strings.Join(names, ", "))
		w.SetFact(key, goal.Fact{Subject: what + " " + spec.String(), Condition: goal.Blocked, Text: text,
			Try: "unplug the copy, or name the device in another way: PARTUUID=, or a link of /dev/disk/by-id or by-path"})
		return nil, ueventd.WaitFor("one device alone to be "+spec.String(), udevd.TopicDevice)
	}
	e := devs[0]
	for _, c := range w.PassedOver(spec) {
		t.Record("decision", what+" "+spec.String()+" is "+e.Devname()+"; "+c.Devname()+" is a snapshot of it")
	}
	if topic, why, _ := h.pass(e, ""); topic != "" {
		return nil, ueventd.WaitFor(why, topic)
	}
	return e, ueventd.Outcome{}
}

// distinct leaves out devices that are the same thing seen twice: members of
// one multi-device btrfs share its UUID.
func distinct(devs []*udevd.Entry) []*udevd.Entry {
	var out []*udevd.Entry
	devs = slices.DeleteFunc(devs, func(d *udevd.Entry) bool { return d.Property(udevd.BtrfsStale) != "" })
	for i, d := range devs {
		another := false
		if sub := d.Property("ID_FS_UUID_SUB"); sub != "" && d.Property("ID_FS_TYPE") == "btrfs" {
			for _, o := range devs[:i] {
				id := o.Property("ID_FS_UUID_SUB")
				if id == "" || o.Property("ID_FS_UUID") != d.Property("ID_FS_UUID") {
					continue
				}
				if another = id != sub; !another { // a copy
					break
				}
			}
		}
		if !another {
			out = append(out, d)
		}
	}
	return out
}

// request is one filesystem to be mounted.
type request struct {
	goal     string
	spec     devspec.Spec // what names it
	target   string
	types    []string
	flags    uintptr
	data     string
	readOnly bool
	pass     int // fs_passno: whether and when to check
}

// mount checks and mounts a filesystem; ok is false when it could not, and
// then the outcome says how to go on.
func (h *Handler) mount(t *ueventd.Task, e *udevd.Entry, r request) (ueventd.Outcome, bool) {
	w := h.w
	types := r.types
	if len(types) == 0 {
		typ := e.Property("ID_FS_TYPE")
		if typ == "" || e.Property("ID_FS_USAGE") != "filesystem" && e.Property("ID_FS_USAGE") != "" {
			return h.blocked(t, r, e, "holds "+content(e)+", which cannot be mounted", instead(e)), false
		}
		types = []string{typ}
	}
	if out, ok := h.check(t, e, r, types[0]); !ok {
		return out, false
	}
	w.Break(t, bootcmd.StageMount)
	flags := r.flags
	protected, _ := e.Attr("ro")
	if r.readOnly || protected == "1" {
		flags |= fstab.ReadOnly
	}
	var last error
	for _, typ := range types {
		typ = KernelType(typ)
		if err := w.LoadModules(t, "fs-"+typ); err != nil && !errors.Is(err, machine.ErrNoModule) {
			last = err
		}
		// A copy may have come while it was checked and its driver loaded.
		if devs := distinct(w.Find(r.spec)); len(devs) != 1 || devs[0].Devname() != e.Devname() {
			return ueventd.WaitFor("one device alone to be "+r.spec.String(), udevd.TopicDevice), false
		}
		topic, why, data := h.pass(e, r.data)
		if topic != "" { // what was ready is not so any more
			return ueventd.WaitFor(why, topic), false
		}
		data, only := strings.CutSuffix(data, ReadOnlyOption)
		if only {
			flags |= fstab.ReadOnly
		}
		if last = mountOn(t, e, r.target, typ, flags, data); last == nil {
			w.Say(handler.Detail, fmt.Sprintf("mounted %s (%s) on %s", e.Devname(), typ, r.target))
			return ueventd.Outcome{}, true
		}
		if protected == "1" && logInTheWay(typ, last) && h.withoutLog(t, e, r, typ, flags, data) {
			return ueventd.Outcome{}, true
		}
	}
	if noDriver(last) {
		return h.blocked(t, r, e, "filesystem type "+strings.Join(types, ", ")+" has no driver in this image",
			"rebuild the image with it: firstlight build --feature "+types[0]), false
	}
	return h.blocked(t, r, e, "cannot be mounted: "+last.Error(),
		"look at the kernel's messages (dmesg) for the reason; check rootflags= and rootfstype="), false
}

// check runs the filesystem's checker where the policy and the image have
// one.
func (h *Handler) check(t *ueventd.Task, e *udevd.Entry, r request, typ string) (ueventd.Outcome, bool) {
	switch v := fsck.Check(t, h.w, e, typ, path.Clean("/"+strings.TrimPrefix(r.target, handler.SysRoot)), r.pass); v.Verdict {
	case fsck.Mountable:
		return ueventd.Outcome{}, true
	default:
		return h.blocked(t, r, e, v.Text, v.Try), false
	}
}

// ReadOnlyOption ends the options of a gate that wants a device mounted read-only.
const ReadOnlyOption = ",ro"

// pass asks the gates about a device that is to be mounted: it returns what is to
// be waited for and why, or the options with those that they add.
func (h *Handler) pass(e *udevd.Entry, options string) (topic, why, data string) {
	for _, gate := range h.w.Gates {
		topic, why, more := gate(e)
		if topic != "" {
			return topic, why, ""
		}
		if more != "" {
			options = joinOptions(options, more)
		}
	}
	return "", "", options
}

func (h *Handler) blocked(t *ueventd.Task, r request, e *udevd.Entry, text, try string) ueventd.Outcome {
	h.w.SetFact(r.goal, goal.Fact{Subject: e.Devname() + " for " + path.Clean("/"+strings.TrimPrefix(r.target, handler.SysRoot)), Condition: goal.Blocked, Text: text, Try: try})
	// Whatever changes the device (another disk, a repair in the shell) makes
	// an event, and that is the time to try again.
	return ueventd.WaitFor(e.Devname()+" "+text, "changed "+e.Devname(), handler.TopicRetry)
}

// instead is what to name in the place of a device that holds no filesystem.
func instead(e *udevd.Entry) string {
	uuid := e.Property("ID_FS_UUID")
	switch e.Property("ID_FS_TYPE") {
	case "crypto_LUKS":
		return "this names the encrypted device, not the filesystem in it: unlock it with rd.luks.name=" + uuid +
			"=root and name what is inside, root=/dev/mapper/root"
	case "LVM2_member":
		return "this names a physical volume: name the logical volume, root=/dev/GROUP/VOLUME"
	case "linux_raid_member":
		return "this names a member of a RAID array: name the array's filesystem, root=UUID=…"
	}
	return "check root= and that the disk is the right one"
}

func content(e *udevd.Entry) string {
	if typ := e.Property("ID_FS_TYPE"); typ != "" {
		return typ
	}
	if amb := e.Property("ID_FS_AMBIVALENT"); amb != "" {
		return "more than one signature (" + amb + ")"
	}
	if mark := e.Property(udevd.Damaged); mark != "" {
		return "a damaged superblock of " + mark
	}
	return "nothing recognised"
}

// KernelType is the name under which the kernel mounts what blkid calls typ.
func KernelType(typ string) string {
	switch typ {
	case "ext2", "ext3":
		return "ext4"
	case "ntfs":
		return "ntfs3"
	}
	return typ
}

// noDriver says whether the kernel does not know the type (ENODEV).
func noDriver(err error) bool { return strings.Contains(err.Error(), "no such device") }

func joinOptions(a, b string) string {
	switch {
	case a == "":
		return b
	case slices.Contains(strings.Split(a, ","), b):
		return a
	}
	return a + "," + b
}
