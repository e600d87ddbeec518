// Package live makes a root out of an image: one that is a file in the
// initramfs or was fetched from a server, or one on a medium (an optical disc, a stick, an ISO file on a
// disk), as dracut (root=live:), Debian's live-boot (boot=live) and casper lay
// them out. An image is a filesystem, which is mounted and covered by an
// overlay, on a copy in memory if that is asked for, or a tar archive, which is
// unpacked into memory.
//
// It never writes to a medium, and it takes no more memory than leaves the
// real system what rd.minmem= says.
package live

import (
	"errors"
	"io/fs"
	"path"
	"strings"
	"time"

	"firstlight/internal/bootcmd"
	"firstlight/internal/devspec"
	"firstlight/internal/filter"
	"firstlight/internal/fmt"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/handler/mount"
	"firstlight/internal/isomd5"
	"firstlight/internal/machine"
	"firstlight/internal/udevd"
	"firstlight/internal/ueventd"
)

// Flags of mount(2) that no option of fstab stands for (linux/mount.h).
const (
	place = 1 << 12
	move  = 1 << 13
)

// Where things stay mounted: what the file of an outer image is in, and copies
// in memory.
const (
	outer  = "/run/initramfs/squashfs"
	copies = "/run/initramfs/memory"
)

// Handler makes the root.
type Handler struct {
	w *handler.World
	o options
	// levels counts the filesystems that were mounted on the way to the root,
	// image is the file that the next one is in, once it is known.
	levels  int
	image   *image
	medium  string          // where the medium is mounted, "" before and after
	done    map[string]bool // steps, since they may be tried again
	scanned map[string]bool // devices that were searched, by node and content
	held    []string        // those that have what was searched for
	foreign string          // what is to be said of those that are another's

	// more are the images over the lowest one, nodes the devices that they
	// have become and sizes theirs in bytes, by name.
	more  []image
	nodes map[string]string
	sizes map[string]int64
	// stores are the media with what is kept, list is what that is.
	stores []store
	list   []kept
}

// image is a file with an image.
type image struct{ root, file string }

func (i image) String() string { return path.Join(i.root, i.file) }

// New registers the handler, if the command line asks for an image.
func New(w *handler.World) *Handler {
	h := &Handler{w: w, done: map[string]bool{}, scanned: map[string]bool{}}
	var ok bool
	if h.o, ok = read(w.Config, ""); ok {
		h.take()
	} else if w.Image.Full {
		w.ImageAt = func(url string) {
			h.o, _ = read(w.Config, url)
			h.take()
		}
	}
	return h
}

// take makes the image the root.
func (h *Handler) take() {
	w := h.w
	w.OnLoop, w.Medium = h.next, true
	r, l := &w.Config.Root, &w.Config.Loop
	// What is said of the root is said of the innermost filesystem.
	l.File, l.Flags, l.FSTypes = "", r.Flags, r.FSTypes
	r.Flags, r.FSTypes = "", nil
	if o := &w.Config.Overlay; h.o.covered && o.Kind == bootcmd.OverlayNone {
		*o = bootcmd.Overlay{Kind: bootcmd.OverlayRun, By: h.o.by, ReadOnly: o.ReadOnly}
		if h.o.dialect != dracut {
			o.Kind = bootcmd.OverlayLive
		}
		if h.o.size != "" {
			o.Tmpfs = "size=" + h.o.size
		}
	}
	// Until the medium is found, no device is it.
	w.NoBase = h.o.file != ""
	switch {
	case h.o.server:
	case h.o.ondemand && w.Config.Verity.Enabled && w.Config.Verity.Root.Asked(): // the verified device is the medium
		h.o.device = r.Device
	default:
		r.Device = devspec.Spec{Kind: devspec.Other, Scheme: "live", Value: h.o.by}
	}
	if h.o.device.IsDevice() && h.o.offset == 0 {
		r.Device = h.o.device
	}
	if h.o.url != "" {
		w.Fetch = h.o.fetch()
	}
	w.Sched.Route(queue, h.begin)
}

// queue is that of the search for a medium.
const queue = "live medium"

// Start has the root looked for where no event of a device would. The mount
// handler, which starts later, first says that it knows of none.
func (h *Handler) Start() {
	if h.w.Medium {
		h.w.Sched.Push(ueventd.Event{Queue: queue, Kind: filter.Add})
	}
}

// cover is handler.World's Cover for an image that is covered: by the images
// over it and by what was kept, besides what else is asked for.
func (h *Handler) cover(t *ueventd.Task, over func(*ueventd.Task) (ueventd.Outcome, bool)) (ueventd.Outcome, bool) {
	if !h.done["covered"] {
		for _, part := range [...]func(*ueventd.Task) (ueventd.Outcome, bool){h.upper, h.persistent, over} {
			if out, ok := part(t); !ok {
				return out, false
			}
		}
		h.done["covered"] = true
	}
	return h.install(t)
}

// begin handles the one event of the queue.
func (h *Handler) begin(t *ueventd.Task, ev ueventd.Event) ueventd.Outcome {
	w, o := h.w, &h.o
	if g := w.Goals.Get(mount.RootGoal); g != nil && o.timeout > 0 && !h.done["timeout"] {
		h.done["timeout"] = true
		g.Deadline = handler.DeadlineAt(g.Since, o.timeout)
	}
	switch {
	case o.wrong != "":
		w.SetFact(mount.RootGoal, goal.Fact{Subject: o.by, Condition: goal.Blocked, Text: o.wrong, Try: "correct the command line"})
	case o.server, o.ondemand && o.url != "": // the network's handlers have the medium
	case o.file != "":
		if o.url == "" {
			w.DropFact(mount.RootGoal)
		}
		w.Sched.Push(ueventd.Event{Queue: filter.Root, Kind: filter.Add})
	case o.offset != 0:
		return h.shift(t)
	case o.iso != "" || !o.device.IsDevice() && o.dialect != dracut:
		return h.search(t)
	case !o.device.IsDevice():
		w.SetFact(mount.RootGoal, goal.Fact{Subject: o.by, Condition: goal.Blocked, Text: "names no medium", Try: "name it: root=live:LABEL=…"})
	}
	return ueventd.Outcome{}
}

// fail says why the root cannot be made.
func (h *Handler) fail(text, try string) (devspec.Spec, ueventd.Outcome, bool) {
	h.w.SetFact(mount.RootGoal, goal.Fact{Subject: "the root that " + h.o.by + " asks for", Condition: goal.Blocked, Text: text, Try: try})
	return devspec.Spec{}, ueventd.WaitFor(text, handler.TopicRetry), false
}

// next is handler.World's OnLoop: it looks at what is mounted as the root so
// far, and makes the image in it a block device, until that is the root.
func (h *Handler) next(t *ueventd.Task) (devspec.Spec, ueventd.Outcome, bool) {
	if h.o.wrong != "" {
		return h.fail(h.o.wrong, "correct the command line")
	}
	if cover := h.w.Cover; cover != nil && !h.done["cover"] { // all handlers are there now
		h.done["cover"] = true
		h.w.Cover = func(t *ueventd.Task) (ueventd.Outcome, bool) { return h.cover(t, cover) }
	}
	if f := h.w.Fetch; f != nil && !f.Done {
		return devspec.Spec{}, ueventd.WaitFor("the image is fetched", handler.TopicFetched), false
	}
	if h.o.plan.Tree {
		return h.layers(t)
	}
	if h.image == nil && h.levels == 0 && h.o.file != "" {
		h.image = &image{"/", h.o.file}
	}
	if h.levels == 0 && h.image == nil && h.o.todisk.IsDevice() {
		if out, ok := h.copyToDisk(t); !ok {
			return devspec.Spec{}, out, false
		}
	}
	if h.image == nil {
		file, why := h.look(t)
		switch {
		case why != "":
			return h.fail(why, "check that this is the medium, and "+h.where())
		case file == "" && h.o.expose:
			if err := h.uncovered(t); err != nil {
				return h.fail(err.Error(), "look at the kernel's messages (dmesg), or boot without exposedroot")
			}
			return devspec.Spec{}, ueventd.Outcome{}, true
		case file == "":
			return devspec.Spec{}, ueventd.Outcome{}, true
		}
		place := h.place()
		if err := h.step(t, machine.Mount{Source: handler.SysRoot, Target: place, Flags: move}); err != nil {
			return h.fail(err.Error(), "look at the kernel's messages (dmesg)")
		}
		if h.levels == 0 {
			h.medium = place
		}
		h.image = &image{place, file}
	}
	return h.use(t, *h.image)
}

// where names the parameter that says where the image is on the medium.
func (h *Handler) where() string {
	if h.o.dialect == dracut {
		return "rd.live.dir= and rd.live.squashimg="
	}
	return "live-media-path="
}

// place is where what is mounted as the root is moved to.
func (h *Handler) place() string {
	switch {
	case h.levels > 0 && !h.isMedium():
		return outer
	case h.o.dialect == dracut:
		return "/run/initramfs/live"
	}
	return "/run/live/medium"
}

// isMedium says whether what is mounted as the root is to hold the image, and
// not a system.
func (h *Handler) isMedium() bool {
	if h.o.ondemand && h.o.url != "" { // as the name says, like that of a file
		return h.levels == 0 && h.o.disc
	}
	if h.levels == 1 {
		return strings.EqualFold(path.Ext(h.o.file), ".iso")
	}
	return h.levels == 0 && !h.o.plain && !packed(h.device())
}

// deepest is how many filesystems there may be above the root: the medium, and
// the one with the root's image in it; one more where the medium is a file.
func (h *Handler) deepest() int {
	if strings.EqualFold(path.Ext(h.o.file), ".iso") {
		return 3
	}
	return 2
}

// device is that of the medium.
func (h *Handler) device() *udevd.Entry {
	if devs := h.w.Find(h.w.Config.Root.Device); len(devs) > 0 {
		return devs[0]
	}
	return nil
}

// packed says whether a device holds a system and can hold nothing else: a
// filesystem that is written once, and is no disc's.
func packed(e *udevd.Entry) bool {
	if e == nil {
		return false
	}
	typ := e.Property("ID_FS_TYPE")
	return typ == "squashfs" || typ == "erofs"
}

// look finds the image in what is mounted as the root; none is "", and why says
// so where there should be one.
func (h *Handler) look(t *ueventd.Task) (file, why string) {
	dir, names := "/LiveOS", []string{"rootfs.img", "ext3fs.img"}
	medium := h.isMedium()
	if medium {
		dir, names = h.o.dir, h.o.images
		if h.levels == 0 && h.o.check && !h.done["check"] {
			if why := h.verify(t); why != "" {
				return "", why
			}
			h.done["check"] = true
		}
	}
	if h.levels >= h.deepest() || h.o.plain {
		return "", ""
	}
	var above []string
	if medium {
		if above, why = h.listed(t); why != "" {
			return "", why
		}
		if len(above) > 0 {
			if above, names = above[1:], above[:1]; len(above) > 0 && !h.o.covered {
				return "", "has a root of several images, which only an overlay can lie over"
			}
		}
	}
	for _, name := range names {
		p := path.Join(dir, name)
		info, err := ueventd.Do(t, "look for "+p, func(m machine.Machine) (machine.FileInfo, error) { return m.InRoot(handler.SysRoot, p) })
		switch {
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			why += p + ": " + err.Error() + "; "
		case err == nil && info.Mode.IsRegular() && file == "":
			file = p
		}
	}
	if why == "" && file != "" && medium {
		why = h.gather(t, h.place(), above)
	}
	if why != "" || file != "" {
		return file, strings.TrimSuffix(why, "; ")
	}
	if medium {
		return "", "holds none of " + strings.Join(names, ", ") + " in " + dir
	}
	return "", ""
}

// verify says what is wrong with the medium by its own check sum.
func (h *Handler) verify(t *ueventd.Task) string {
	e := h.device()
	if e == nil {
		return "the medium is gone"
	}
	h.w.Say(handler.Normal, "verifying "+e.Devname()+", as rd.live.check asks")
	ok := false
	var err error
	h.untimed(func() {
		ok, err = ueventd.Do(t, "verify the check sum of "+e.Devname(), func(m machine.Machine) (bool, error) {
			b, err := m.OpenBlock(e.Devname())
			if err != nil {
				return false, err
			}
			defer b.Close()
			s, err := isomd5.Read(b, b.Size())
			if err != nil {
				return false, err
			}
			return s.Verify(b)
		})
	})
	switch {
	case err != nil:
		return e.Devname() + " cannot be verified: " + err.Error()
	case !ok:
		return e.Devname() + " is damaged: its content is not what its check sum says"
	}
	h.w.Say(handler.Normal, e.Devname()+" is as it was made, by its check sum")
	return ""
}

// untimed does something that takes as long as it takes: the root's deadline is
// for what does not come.
func (h *Handler) untimed(f func()) {
	g := h.w.Goals.Get(mount.RootGoal)
	began, deadline := h.w.Sched.Now(), time.Duration(0)
	if g != nil {
		deadline, g.Deadline = g.Deadline, 0
	}
	f()
	if g != nil && deadline != 0 {
		g.Deadline = deadline + h.w.Sched.Now() - began
	}
}

// use makes the image a block device, or the root if it is an archive.
func (h *Handler) use(t *ueventd.Task, from image) (devspec.Spec, ueventd.Outcome, bool) {
	w := h.w
	info, err := ueventd.Do(t, "look for "+from.String(), func(m machine.Machine) (machine.FileInfo, error) { return m.InRoot(from.root, from.file) })
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return h.fail("there is no "+from.file+" in this image", "build the image with --include FILE:"+from.file)
	case err != nil:
		return h.fail(err.Error(), "look at the kernel's messages (dmesg)")
	}
	if archive(from.file) {
		return h.unpack(t, from)
	}
	if err := w.LoadModules(t, "loop"); errors.Is(err, machine.ErrNoModule) {
		return h.fail("the loop driver is not in this image", "rebuild the image with --feature live-root")
	}
	file, err := h.copied(t, from, info.Size)
	if err != nil {
		return h.fail(err.Error(), h.advice())
	}
	writable := h.o.writable && (file.root == "/" || file != from)
	node, err := ueventd.Do(t, "make "+file.String()+" a block device", func(m machine.Machine) (string, error) {
		return m.Loop(file.root, file.file, 0, !writable)
	})
	if err != nil {
		return h.fail(err.Error(), "look at the kernel's messages (dmesg)")
	}
	w.Say(handler.Normal, "the root is in the image "+file.String())
	h.levels++
	h.image = nil
	return devspec.Spec{Kind: devspec.Path, Value: node}, ueventd.Outcome{}, true
}

// step mounts something, once.
func (h *Handler) step(t *ueventd.Task, m machine.Mount) error {
	key := m.Source + " " + m.Target
	if h.done[key] {
		return nil
	}
	err := ueventd.Act(t, fmt.Sprintf("mount %s on %s, type %q, flags %#x, options %q", m.Source, m.Target, m.FSType, m.Flags, m.Data),
		func(w machine.Machine) error { return w.Mount(m) })
	h.done[key] = err == nil
	return err
}
