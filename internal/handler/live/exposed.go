package live

import (
	"errors"
	"io/fs"
	"strconv"

	"firstlight/internal/devmapper"
	"firstlight/internal/devspec"
	"firstlight/internal/filter"
	"firstlight/internal/fmt"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/handler/mount"
	"firstlight/internal/machine"
	"firstlight/internal/udevd"
	"firstlight/internal/ueventd"
)

// What live-boot knows besides: a root that is the medium itself (plainroot) or
// is not covered as a whole (exposedroot, skipunion), a medium that begins within
// a device (live-media-offset=), and one that is copied to a disk (todisk=).

// exposedDirs are what is written to in a root that is not covered as a whole:
// each gets an overlay of its own, as live-boot has it.
var exposedDirs = [...]string{"/var/tmp", "/var/lock", "/var/run", "/var/log", "/var/spool", "/home", "/var/lib/live"}

// exposed reads these parameters.
func (o *options) exposed(g given, root devspec.Spec) {
	if g.on("plainroot") {
		if o.plain = true; !root.IsDevice() {
			o.wrong = "plainroot needs root=DEVICE, the filesystem that is the root"
		}
		o.device = root
	}
	if g.on("exposedroot") {
		o.covered, o.expose = false, !g.on("skipunion")
	}
	if v, ok := g["live_media_offset"]; ok {
		n, err := strconv.ParseUint(v, 10, 63)
		switch {
		case err != nil || n%512 != 0:
			o.wrong = "live-media-offset=" + v + " is no number of bytes that 512 divides"
		case !o.device.IsDevice():
			o.wrong = "live-media-offset= needs live-media=DEVICE, the device in which the medium begins"
		}
		o.offset = n
	}
	if v := g["todisk"]; v != "" {
		var err error
		if o.todisk, err = devspec.Parse(v); err != nil || !o.todisk.IsDevice() {
			o.wrong = "todisk=" + v + " names no device"
		}
	}
}

// uncovered lays overlays over the directories of a root that are written to.
func (h *Handler) uncovered(t *ueventd.Task) error {
	size := ""
	if h.o.size != "" {
		size = ",size=" + h.o.size
	}
	if err := h.step(t, machine.Mount{Source: "tmpfs-root", Target: overlayDir, FSType: "tmpfs", Data: "mode=0755" + size}); err != nil {
		return err
	}
	if err := h.w.LoadModules(t, "overlay"); err != nil && !errors.Is(err, machine.ErrNoModule) {
		return err
	}
	for _, dir := range exposedDirs {
		info, err := ueventd.Do(t, "look for "+dir+" in the root", func(m machine.Machine) (machine.FileInfo, error) { return m.InRoot(handler.SysRoot, dir) })
		switch {
		case errors.Is(err, fs.ErrNotExist), err == nil && (!info.Mode.IsDir() || info.Path != dir):
			continue // not there, or a link to what the real system mounts
		case err != nil:
			return err
		}
		upper, work := overlayDir+dir+"/rw", overlayDir+dir+"/work"
		err = ueventd.Act(t, "make the directories for what is written to "+dir, func(m machine.Machine) error {
			return errors.Join(m.Mkdir(upper, info.Mode&^fs.ModeDir), m.Mkdir(work, 0o755))
		})
		if err == nil {
			target := handler.SysRoot + dir
			err = h.step(t, machine.Mount{Source: "overlay", Target: target, FSType: "overlay", Data: "lowerdir=" + target + ",upperdir=" + upper + ",workdir=" + work})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// inner is the device that a medium within another device becomes.
const inner = "live-medium"

// shift makes the rest of a device, from the offset on, the medium.
func (h *Handler) shift(t *ueventd.Task) ueventd.Outcome {
	w, o := h.w, &h.o
	blocked := func(text, try string) ueventd.Outcome {
		w.SetFact(mount.RootGoal, goal.Fact{Subject: "the medium that " + o.by + " asks for", Condition: goal.Blocked, Text: text, Try: try})
		return ueventd.WaitFor(text, handler.TopicRetry, udevd.TopicDevice)
	}
	if len(w.Find(o.device)) > 0 {
		w.Identified(t)
	}
	devs := w.Find(o.device)
	switch {
	case len(devs) == 0:
		w.SetFact(mount.RootGoal, goal.Fact{Subject: "the medium that " + o.by + " asks for", Condition: goal.Incomplete,
			Text: "the device that it is in, " + o.device.Describe() + ", has not appeared", Try: "connect it"})
		return ueventd.WaitFor(o.device.Describe(), udevd.TopicDevice)
	case len(devs) > 1:
		return blocked("more than one device is "+o.device.String(), "unplug the copy")
	}
	e := devs[0]
	if err := w.LoadModules(t, "dm-mod"); err != nil {
		return blocked("the device mapper is not in this image", "rebuild the image with --feature dm")
	}
	major, minor, _ := e.Devnum()
	err := ueventd.Act(t, "map "+e.Devname()+" from byte "+strconv.FormatUint(o.offset, 10)+" on as "+inner, func(m machine.Machine) error {
		b, err := m.OpenBlock(e.Devname())
		if err != nil {
			return err
		}
		size := uint64(b.Size())
		b.Close()
		if size < o.offset+512 {
			return fmt.Errorf("%s ends before byte %d, with which the medium should begin", e.Devname(), o.offset)
		}
		mapper, err := m.Mapper()
		if err != nil {
			return err
		}
		table := []devmapper.Target{{Length: (size - o.offset) / 512, Type: "linear", Params: fmt.Appendf(nil, "%d:%d %d", major, minor, o.offset/512)}}
		_, err = devmapper.Activate(mapper, inner, "FIRSTLIGHT-"+inner, table, true, devmapper.NewCookie(0x6001, 0))
		return err
	})
	if err != nil {
		return blocked(err.Error(), "check live-media-offset=")
	}
	w.DropFact(mount.RootGoal)
	w.Config.Root.Device = devspec.Spec{Kind: devspec.Mapper, Value: inner}
	w.Sched.Notify(handler.TopicWanted)
	w.Sched.Push(ueventd.Event{Queue: filter.Root, Kind: filter.Add})
	return ueventd.Outcome{}
}

// diskDir is where the disk that the medium is copied to is mounted meanwhile.
const diskDir = "/run/live/todisk"

// copyToDisk copies all of the medium, which is mounted as the root so far, to a
// disk, and has that in its place. The command line asks for that write.
func (h *Handler) copyToDisk(t *ueventd.Task) (ueventd.Outcome, bool) {
	w, o := h.w, &h.o
	fail := func(text, try string) (ueventd.Outcome, bool) {
		_, out, ok := h.fail(text, try)
		return out, ok
	}
	w.Want(o.todisk)
	if len(w.Find(o.todisk)) > 0 {
		w.Identified(t)
	}
	devs := w.Find(o.todisk)
	switch {
	case len(devs) == 0:
		w.SetFact(mount.RootGoal, goal.Fact{Subject: "todisk=" + o.todisk.String(), Condition: goal.Incomplete, Text: o.todisk.Describe() + " has not appeared", Try: "connect it, or boot without todisk="})
		return ueventd.WaitFor(o.todisk.Describe(), udevd.TopicDevice), false
	case len(devs) > 1:
		return fail("more than one device is todisk="+o.todisk.String(), "unplug the copy")
	}
	e := devs[0]
	switch medium := h.device(); {
	case medium != nil && medium.Devname() == e.Devname():
		return fail("todisk= names the medium itself", "boot without todisk=")
	case e.Property("ID_FS_USAGE") != "filesystem":
		return fail(e.Devname()+" (todisk=) holds no filesystem", "make one on it; what is on it is not overwritten otherwise")
	}
	if err := h.mountAt(t, e, diskDir, 0, ""); err != nil {
		return fail(err.Error(), "check todisk=")
	}
	if !h.done["todisk"] {
		w.Say(handler.Normal, "copying the medium to "+e.Devname()+", as todisk= asks")
		var err error
		h.untimed(func() { err = h.run(t, "cp", "-R", "-T", "--preserve=timestamps", "--", handler.SysRoot, diskDir) })
		if err != nil {
			return fail("the medium could not be copied to "+e.Devname()+": "+err.Error(), "free some room on it, or boot without todisk=")
		}
		h.done["todisk"] = true
		w.Say(handler.Normal, "the medium is on "+e.Devname()+" now: the next boot can have live-media="+e.Devname()+" instead of todisk=")
	}
	err := ueventd.Act(t, "unmount the medium", func(m machine.Machine) error { return m.Unmount(handler.SysRoot, false) })
	if err == nil {
		err = h.step(t, machine.Mount{Source: diskDir, Target: handler.SysRoot, Flags: move})
	}
	if err != nil {
		return fail(err.Error(), "look at the kernel's messages (dmesg)")
	}
	w.Config.Root.Device = devspec.Spec{Kind: devspec.Path, Value: e.Devname()}
	h.o.todisk = devspec.Spec{}
	return ueventd.Outcome{}, true
}
