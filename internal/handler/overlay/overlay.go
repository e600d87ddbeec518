// Package overlay lays an overlay over the root: what the real system changes
// goes to memory, or to a device of its own, and the root itself is not written
// to. It knows the forms of dracut (rd.overlay), of Debian's overlayroot and of
// systemd (systemd.volatile), and leaves the root below where each leaves it.
//
// It never writes to the root: it only moves its mount.
package overlay

import (
	"errors"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"firstlight/internal/bootcmd"
	"firstlight/internal/devspec"
	"firstlight/internal/filter"
	"firstlight/internal/fmt"
	"firstlight/internal/fstab"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/handler/mount"
	"firstlight/internal/machine"
	"firstlight/internal/timespan"
	"firstlight/internal/udevd"
	"firstlight/internal/ueventd"
)

// Flags of mount(2) that no option of fstab stands for (linux/mount.h).
const (
	remount = 1 << 5
	move    = 1 << 13
)

// Handler covers the root.
type Handler struct {
	w       *handler.World
	done    map[string]bool // steps, since they may be tried again
	started bool            // the device for the changes is waited for
	secret  *secret         // the changes are encrypted
}

// New registers the handler.
func New(w *handler.World) *Handler {
	h := &Handler{w: w, done: map[string]bool{}}
	w.Cover = h.cover
	given := h.readSecret()
	h.begin()
	if w.OnLoop == nil && w.Config.Loop.File == "" && w.Image.Has(confFeature) && !given {
		w.OnLoop = h.confs
	}
	w.Sched.Route(queueTmpfs, h.tmpfsRoot)
	return h
}

// readSecret reads the parameters that ask for encrypted changes; said says that
// something is said of an overlay as overlayroot has it.
func (h *Handler) readSecret() (said bool) {
	c := h.w.Config
	for _, p := range c.Params {
		var o bootcmd.Overlay
		why, mine := "", false
		switch strings.ReplaceAll(p.Name, "-", "_") {
		case "overlayroot":
			said = true
			if mine = p.Value == "crypt" || strings.HasPrefix(p.Value, "crypt:"); !mine {
				continue
			}
			o, h.secret, why = read("overlayroot", p.Value)
		case "rd.overlay.crypt":
			if mine = p.Value != "" && p.Value != "0"; !mine {
				continue
			}
			o, h.secret, why = readDracut(p.Value)
		default:
			continue
		}
		if why != "" {
			o = bootcmd.Overlay{Kind: bootcmd.OverlayMedia, By: p.Name, Cannot: "changes that are encrypted, but " + why}
		}
		c.Overlay = o
	}
	return said
}

// begin has the device for the changes looked for.
func (h *Handler) begin() {
	w := h.w
	if d := w.Config.Overlay.Device; d.IsDevice() {
		w.Want(d)
		w.Seek(w.Config.Overlay.By+"=", &w.Config.Overlay.Device)
	}
}

// queueTmpfs is that of a root in memory.
const queueTmpfs = "tmpfs root"

// Start makes a root in memory, if root=tmpfs asks for one.
func (h *Handler) Start() {
	w := h.w
	if r := w.Config.Root.Device; r.Kind != devspec.Other || r.Scheme != "tmpfs" {
		return
	}
	if !w.Config.Usr.Device.IsDevice() {
		w.SetFact(mount.RootGoal, goal.Fact{Subject: "root=tmpfs", Condition: goal.Blocked, Text: "is an empty root, and nothing says what is to be its /usr",
			Try: "name the filesystem with the system with mount.usr="})
		return
	}
	w.DropFact(mount.RootGoal)
	w.Sched.Push(ueventd.Event{Queue: queueTmpfs, Kind: filter.Add})
}

// places are where the parts of an overlay are mounted.
type places struct {
	source      string // what the mount table says of the overlay
	lower       string
	disk        string // where changes are mounted, "" when they are in /run itself
	upper, work string
}

// at returns the places of a kind of overlay.
func at(o bootcmd.Overlay) places {
	switch o.Kind {
	case bootcmd.OverlayMedia:
		p := places{source: "overlayroot", lower: "/media/root-ro", disk: "/media/root-rw"}
		p.upper, p.work = p.disk+o.Dir+"/overlay", p.disk+o.Dir+"/overlay-workdir/_"
		return p
	case bootcmd.OverlayLive:
		const dir = "/run/live/overlay"
		return places{"overlay", "/run/live/rootfs/filesystem.squashfs", dir, dir + "/rw", dir + "/work"}
	case bootcmd.OverlaySystemd:
		const dir = "/run/systemd/overlay-sysroot"
		return places{"overlay", dir + "/lower", dir + "/changes", dir + "/changes/upper", dir + "/changes/work"}
	}
	p := places{source: "LiveOS_rootfs", lower: "/run/rootfsbase", upper: "/run/overlayfs", work: "/run/ovlwork"}
	if o.Tmpfs != "" || o.Device.IsDevice() {
		p.disk = "/run/initramfs/overlayfs"
		p.upper, p.work = p.disk+"/overlayfs", p.disk+"/ovlwork"
		if o.Dir != "" {
			p.upper, p.work = p.disk+o.Dir, p.disk+o.Dir+".work"
		}
	}
	return p
}

// cover is handler.World's Cover.
func (h *Handler) cover(t *ueventd.Task) (ueventd.Outcome, bool) {
	w, o := h.w, h.w.Config.Overlay
	if o.Cannot != "" {
		return h.fail(o.By+" asks for "+o.Cannot, "correct it, or choose another kind of overlay")
	}
	if err := w.LoadModules(t, "fs-overlay"); err != nil && errors.Is(err, machine.ErrNoModule) {
		return h.fail("the overlay filesystem has no driver in this image", "rebuild the image with --feature overlay-root")
	}
	if o.Kind == bootcmd.OverlayUsr {
		return h.emptyRoot(t)
	}
	p := at(o)
	if up := h.w.Upper; up != "" {
		p.disk, p.upper, p.work = "", up, path.Join(path.Dir(up), "work")
	}
	var e *udevd.Entry
	if o.Device.IsDevice() && !h.done["changes"] {
		var out ueventd.Outcome
		if e, out = h.device(t); e == nil {
			return out, false
		}
		if h.secret != nil {
			if e, out = h.encrypted(t, e); e == nil {
				return out, false
			}
		}
	}
	if err := h.assemble(t, o, p, e); err != nil {
		return h.fail(err.Error(), "look at the kernel's messages (dmesg) for the reason")
	}
	h.say(o, p.lower)
	return ueventd.Outcome{}, true
}

// say tells the person where what is written goes.
func (h *Handler) say(o bootcmd.Overlay, lower string) {
	if o.Kind == bootcmd.OverlayMedia {
		lower += " (of the real system)"
	}
	where := "in memory, and is lost when the machine stops"
	if h.w.Upper != "" {
		where = "in " + h.w.Upper
	}
	if o.Device.IsDevice() && !o.ReadOnly {
		where = "on " + o.Device.String()
		if h.done["fresh"] && h.secret.pass == "" {
			where += ", with a key that is lost when the machine stops"
		}
	}
	urgency := handler.Normal
	if o.Kind == bootcmd.OverlayNone { // nobody asked for it on the command line
		urgency = handler.Loud
	}
	h.w.Say(urgency, "the root is covered, since "+h.w.CoverAsked()+": what is written stays "+where+"; the root below is "+lower)
}

// fail says why the root is not covered; it is not used uncovered.
func (h *Handler) fail(text, try string) (ueventd.Outcome, bool) {
	h.w.SetFact(mount.RootGoal, goal.Fact{Subject: "the overlay over the root", Condition: goal.Blocked, Text: text, Try: try})
	return ueventd.WaitFor("the root could not be covered: "+text, handler.TopicRetry), false
}

// device finds the one device for the changes.
func (h *Handler) device(t *ueventd.Task) (*udevd.Entry, ueventd.Outcome) {
	w, o := h.w, h.w.Config.Overlay
	if o.Timeout > 0 && !h.started {
		h.started = true
		if g := w.Goals.Get(mount.RootGoal); g != nil && o.Timeout < timespan.Forever {
			g.Deadline = handler.DeadlineAt(w.Goals.From(g, w.Sched.Now()), o.Timeout)
		}
	}
	missing := func() (*udevd.Entry, ueventd.Outcome) {
		w.SetFact(mount.RootGoal, goal.Fact{Subject: "the device for what is written", Condition: goal.Incomplete,
			Text: o.By + " names " + o.Device.String() + ", which has not appeared",
			Try:  "connect it, or let " + o.By + " keep what is written in memory"})
		return nil, ueventd.WaitFor(o.Device.Describe(), udevd.TopicDevice)
	}
	if len(w.Find(o.Device)) == 0 {
		return missing()
	}
	w.Identified(t)
	devs := w.Find(o.Device)
	switch {
	case len(devs) == 0:
		return missing()
	case len(devs) > 1:
		names := ""
		for _, d := range devs {
			names += " " + d.Devname()
		}
		w.SetFact(mount.RootGoal, goal.Fact{Subject: "the device for what is written, " + o.Device.String(), Condition: goal.Blocked,
			Text: strconv.Itoa(len(devs)) + " devices have this name:" + names, Try: "name it in another way, PARTUUID= or a link of /dev/disk/by-id"})
		return nil, ueventd.WaitFor("one device alone to be "+o.Device.String(), udevd.TopicDevice)
	}
	return devs[0], ueventd.Outcome{}
}

// assemble mounts the changes, moves the root below out of the way, and mounts
// the overlay in its place. Each step is done once.
func (h *Handler) assemble(t *ueventd.Task, o bootcmd.Overlay, p places, e *udevd.Entry) error {
	text := h.fstab(t, handler.SysRoot)
	if p.disk != "" {
		if err := h.changes(t, o, p, e, text); err != nil {
			return err
		}
	}
	upper, work, lower := p.upper, p.work, p.lower
	if o.Device.IsDevice() && o.ReadOnly {
		// The changes that were kept are a second layer, and not written to.
		lower, upper, work = p.upper+":"+p.lower, "/run/overlayfs", "/run/ovlwork"
	}
	if p.disk == "" || o.ReadOnly {
		if err := h.make(t, "places", 0o755, upper, work); err != nil {
			return err
		}
		if err := h.writeFstab(t, o, p, upper, text); err != nil {
			return err
		}
	}
	if err := h.step(t, "lower", machine.Mount{Source: handler.SysRoot, Target: p.lower, Flags: move}); err != nil {
		return err
	}
	for i := len(h.w.Layers) - 1; i >= 0; i-- {
		lower = h.w.Layers[i] + ":" + lower
	}
	err := h.step(t, "overlay", machine.Mount{Source: p.source, Target: handler.SysRoot, FSType: "overlay",
		Data: "lowerdir=" + lower + ",upperdir=" + upper + ",workdir=" + work})
	if err != nil {
		return err
	}
	switch o.Kind {
	case bootcmd.OverlayMedia: // into the real system, where its tools look for them
		for _, dir := range [...]string{p.lower, p.disk} {
			if err := h.step(t, "move "+dir, machine.Mount{Source: dir, Target: handler.SysRoot + dir, Flags: move}); err != nil {
				return err
			}
		}
	case bootcmd.OverlaySystemd:
		h.backing(t)
	}
	return nil
}

// changes mounts what takes the changes, and makes its directories. It is
// mounted below /run first: only there are files written.
func (h *Handler) changes(t *ueventd.Task, o bootcmd.Overlay, p places, e *udevd.Entry, text string) error {
	const first = "/run/initramfs/changes"
	if !h.done["changes"] {
		m := machine.Mount{Source: "tmpfs-root", Target: first, FSType: "tmpfs", Data: "mode=0755"}
		if o.Tmpfs != "" {
			m.Data += "," + o.Tmpfs
		}
		if e != nil {
			typ := e.Property("ID_FS_TYPE")
			if h.done["made"] {
				typ = h.secret.fstype
			} else if typ == "" || e.Property("ID_FS_USAGE") != "filesystem" {
				return fmt.Errorf("%s for what is written holds no filesystem", e.Devname())
			}
			if err := h.w.LoadModules(t, "fs-"+mount.KernelType(typ)); err != nil && !errors.Is(err, machine.ErrNoModule) {
				return err
			}
			m = machine.Mount{Source: e.Devname(), Target: first, FSType: mount.KernelType(typ)}
			if o.ReadOnly {
				m.Flags = fstab.ReadOnly
			}
		}
		if err := h.step(t, "changes", m); err != nil {
			return err
		}
	}
	inside := func(dir string) string { return first + dir[len(p.disk):] }
	if e != nil && !o.ReadOnly && h.reset() {
		if err := h.forget(t, inside(p.upper), inside(p.work)); err != nil {
			return err
		}
	}
	if !o.ReadOnly {
		dirs := []string{inside(p.upper), inside(p.work)}
		if o.Kind == bootcmd.OverlayMedia {
			dirs = append(dirs, inside(p.upper)+"/media/root-ro", inside(p.upper)+"/media/root-rw")
			for _, dir := range covered(text, o) {
				dirs = append(dirs, p.inner(first, dir)...)
			}
		}
		if err := h.make(t, "directories", 0o755, dirs...); err != nil {
			return err
		}
		if err := h.writeFstab(t, o, p, inside(p.upper), text); err != nil {
			return err
		}
	}
	return h.step(t, "move changes", machine.Mount{Source: first, Target: p.disk, Flags: move})
}

// reset says whether the changes that were kept are to be forgotten; it is read
// here, so that the small /init does not carry it.
func (h *Handler) reset() bool {
	on := false
	for _, p := range h.w.Config.Params {
		switch strings.ReplaceAll(p.Name, "-", "_") {
		case "rd.overlay.reset", "rd.live.overlay.reset", "reset_overlay":
			on = p.Value != "0" && p.Value != "no" && p.Value != "off" && p.Value != "false"
		}
	}
	return on
}

// forget removes the changes that were kept, once. They are those of an
// overlay: only the two directories that it would be made of are emptied.
func (h *Handler) forget(t *ueventd.Task, dirs ...string) error {
	if h.done["forget"] {
		return nil
	}
	for _, dir := range dirs {
		if err := ueventd.Act(t, "empty "+dir, func(m machine.Machine) error { return m.Empty(dir) }); err != nil {
			return err
		}
	}
	h.w.Say(handler.Loud, "the changes that were kept on "+h.w.Config.Overlay.Device.String()+" are forgotten, as rd.overlay.reset asks")
	h.done["forget"] = true
	return nil
}

// fstab reads that of the root below; without one there is nothing to change.
func (h *Handler) fstab(t *ueventd.Task, root string) string {
	if h.done["lower"] {
		root = at(h.w.Config.Overlay).lower
	}
	text, err := ueventd.Do(t, "read etc/fstab of the root below", func(m machine.Machine) ([]byte, error) {
		return m.ReadInRoot(root, "/etc/fstab", maxFstab)
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		h.w.Say(handler.Normal, err.Error())
	}
	return string(text)
}

// maxFstab bounds the root's fstab, in bytes.
const maxFstab = 1 << 20

// writeFstab writes the fstab that the real system sees into the changes,
// where they are new each time: the line of the root would have its options
// given to the overlay.
func (h *Handler) writeFstab(t *ueventd.Task, o bootcmd.Overlay, p places, upper, text string) error {
	if text == "" || h.done["fstab"] || h.w.Upper != "" || o.Device.IsDevice() && !o.ReadOnly && o.Kind != bootcmd.OverlayMedia {
		return nil
	}
	changed := Fstab(text, o)
	if changed == text {
		return nil
	}
	err := ueventd.Act(t, "write etc/fstab over that of the root", func(m machine.Machine) error {
		return m.WriteFile(upper+"/etc/fstab", []byte(changed), 0o644)
	})
	h.done["fstab"] = err == nil
	return err
}

// step mounts something, once.
func (h *Handler) step(t *ueventd.Task, name string, m machine.Mount) error {
	if h.done[name] {
		return nil
	}
	err := ueventd.Act(t, fmt.Sprintf("mount %s on %s, type %q, flags %#x, options %q", m.Source, m.Target, m.FSType, m.Flags, m.Data),
		func(w machine.Machine) error { return w.Mount(m) })
	h.done[name] = err == nil
	return err
}

// make makes directories, once.
func (h *Handler) make(t *ueventd.Task, name string, mode fs.FileMode, dirs ...string) error {
	if h.done[name] {
		return nil
	}
	err := ueventd.Act(t, "make the directories of the overlay", func(m machine.Machine) error {
		for _, dir := range dirs {
			if err := m.Mkdir(dir, mode); err != nil {
				return err
			}
		}
		return nil
	})
	h.done[name] = err == nil
	return err
}
