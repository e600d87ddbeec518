// Package fsckfile looks for the files /fastboot and /forcefsck in the root
// before it is checked, as sysvinit and dracut have them: the first has it not
// checked, the second checked in any case. The command line is stronger. The
// root is mounted aside for that, so that nothing is written to it.
package fsckfile

import (
	"errors"
	"io/fs"

	"firstlight/internal/bootcmd"
	"firstlight/internal/filter"
	"firstlight/internal/fstab"
	"firstlight/internal/handler"
	"firstlight/internal/handler/mount"
	"firstlight/internal/machine"
	"firstlight/internal/udevd"
	"firstlight/internal/ueventd"
)

// Feature is the feature with which an image looks for these files.
const Feature = "fsck-files"

// queue is that of the look, which is also the topic that tells of its end.
const queue = "files of fsck"

// aside is where the root is mounted for the look.
const aside = "/run/initramfs/fsck-files"

// Handler looks for the files.
type Handler struct {
	w      *handler.World
	looked map[string]bool // devices with their content
	asked  map[string]bool // those that a look is under way at
}

// New registers the handler.
func New(w *handler.World) *Handler {
	h := &Handler{w: w, looked: map[string]bool{}, asked: map[string]bool{}}
	if w.Image.Has(Feature) && w.Config.Fsck.Mode == bootcmd.FsckAuto {
		w.Gates = append(w.Gates, h.gate)
		w.Sched.Route(queue, h.look)
	}
	return h
}

func key(e *udevd.Entry) string { return e.Devname() + " " + e.Property("ID_FS_UUID") }

// gate holds the root back until it was looked at.
func (h *Handler) gate(e *udevd.Entry) (topic, why, options string) {
	if !h.w.Config.Root.Device.Matches(e) || h.looked[key(e)] || !harmless(e.Property("ID_FS_TYPE")) {
		return "", "", ""
	}
	if !h.asked[key(e)] {
		h.asked[key(e)] = true
		h.w.Sched.Push(ueventd.Event{Queue: queue, Kind: filter.Add, Name: e.Devname()})
	}
	return queue, "the files of fsck in the root come first", ""
}

// harmless says whether a filesystem has a checker, and can be mounted without a
// write to it.
func harmless(typ string) bool {
	switch typ {
	case "ext2", "ext3", "ext4", "f2fs":
		return true
	}
	return false
}

// look looks into the root. What cannot be looked at is checked as it would be
// without these files.
func (h *Handler) look(t *ueventd.Task, ev ueventd.Event) ueventd.Outcome {
	w := h.w
	e := w.Devices.ByName(ev.Name)
	if e == nil || h.looked[key(e)] {
		return ueventd.Outcome{}
	}
	delete(h.asked, key(e))
	if !w.ResumeSettled {
		return ueventd.WaitFor("resume comes before any mount", handler.TopicResumeSettled)
	}
	mode, err := h.read(t, e)
	switch {
	case err != nil:
		t.Record("decision", "the root is not looked at for /fastboot and /forcefsck: "+err.Error())
	case mode != bootcmd.FsckAuto:
		w.Config.Fsck.Mode = mode
	}
	h.looked[key(e)] = true
	w.Sched.Notify(queue)
	return ueventd.Outcome{}
}

// read returns what the files in the root ask for.
func (h *Handler) read(t *ueventd.Task, e *udevd.Entry) (bootcmd.FsckMode, error) {
	typ := e.Property("ID_FS_TYPE")
	data := "noload"
	switch typ {
	case "ext2":
		data = ""
	case "f2fs":
		data = "norecovery"
	}
	kernel := mount.KernelType(typ)
	if err := h.w.LoadModules(t, "fs-"+kernel); err != nil && !errors.Is(err, machine.ErrNoModule) {
		return bootcmd.FsckAuto, err
	}
	err := ueventd.Act(t, "mount "+e.Devname()+" on "+aside+" to look into it", func(m machine.Machine) error {
		return m.Mount(machine.Mount{Source: e.Devname(), Target: aside, FSType: kernel, Flags: fstab.ReadOnly, Data: data})
	})
	if err != nil {
		return bootcmd.FsckAuto, err
	}
	mode := bootcmd.FsckAuto
	for _, f := range [...]struct {
		name, does string
		mode       bootcmd.FsckMode
	}{{"/fastboot", "not ", bootcmd.FsckSkip}, {"/forcefsck", "", bootcmd.FsckForce}} {
		var info machine.FileInfo
		info, err = ueventd.Do(t, "look for "+f.name, func(m machine.Machine) (machine.FileInfo, error) { return m.InRoot(aside, f.name) })
		if err == nil && info.Mode.IsRegular() {
			h.w.Say(handler.Loud, "the root is "+f.does+"checked, since it has the file "+f.name)
			mode = f.mode
			break
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	// It must not stay mounted: the checker wants it for itself.
	if uerr := ueventd.Act(t, "unmount "+aside, func(m machine.Machine) error { return m.Unmount(aside, false) }); uerr != nil {
		return bootcmd.FsckSkip, uerr
	}
	return mode, err
}
