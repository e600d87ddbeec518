package live

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	"firstlight/internal/devspec"
	"firstlight/internal/filter"
	"firstlight/internal/fstab"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/handler/mount"
	"firstlight/internal/machine"
	"firstlight/internal/udevd"
	"firstlight/internal/ueventd"
)

// scan is where the filesystem stays that holds the ISO file.
const scan = "/run/initramfs/isoscan"

// search looks for the medium where no name is given for it: for the ISO file,
// or for the directory with the image, on every filesystem that can be looked
// at without writing to it. It is called again whenever a device has changed.
func (h *Handler) search(t *ueventd.Task) ueventd.Outcome {
	w, o := h.w, &h.o
	if g := w.Goals.Get(mount.RootGoal); g == nil || g.State == goal.Met {
		return ueventd.Outcome{}
	}
	if !w.ResumeSettled {
		return ueventd.WaitFor("resume comes before any mount", handler.TopicResumeSettled)
	}
	w.Identified(t)
	wanted := o.iso
	if wanted == "" {
		wanted = path.Join(o.dir, o.images[0])
	}
	missed := ""
	for _, e := range w.Devices.Block() {
		key := e.Devname() + " " + e.Property("ID_FS_UUID") + " " + e.Property("ID_FS_TYPE")
		if h.scanned[key] || !filter.Usable(e.Device) || e.Property("ID_FS_USAGE") != "filesystem" {
			continue
		}
		if _, ok := readOnly(e.Property("ID_FS_TYPE")); !ok {
			t.Record("decision", e.Devname()+" is not searched for "+wanted+": it may be written to when it is mounted")
			h.scanned[key] = true
			continue
		}
		has, err := h.holds(t, e, wanted)
		if err != nil {
			t.Record("decision", e.Devname()+" could not be searched for "+wanted+": "+err.Error())
			missed += "; " + e.Devname() + " could not be looked at: " + err.Error()
			continue
		}
		h.scanned[key] = true
		if has {
			h.held = append(h.held, e.Devname())
		}
	}
	switch len(h.held) {
	case 0:
		w.SetFact(mount.RootGoal, goal.Fact{Subject: "the medium that " + o.by + " asks for", Condition: goal.Incomplete,
			Text: "no filesystem that is there has " + wanted + missed, Try: "connect the medium, or name where the image is on it"})
		return ueventd.WaitFor("a filesystem with "+wanted, udevd.TopicDevice, handler.TopicRetry)
	case 1:
	default:
		w.SetFact(mount.RootGoal, goal.Fact{Subject: "the medium that " + o.by + " asks for", Condition: goal.Blocked,
			Text: wanted + " is on " + strings.Join(h.held, ", ") + ", and only one of them may have it",
			Try:  "take the others out, or name the medium (root=live:LABEL=…, live-media=/dev/…)"})
		return ueventd.WaitFor("one medium alone", handler.TopicRetry)
	}
	node := h.held[0]
	if o.iso != "" {
		var out ueventd.Outcome
		if node, out = h.attach(t, node); node == "" {
			return out
		}
	}
	w.DropFact(mount.RootGoal)
	w.Say(handler.Normal, "the medium is "+node+", which has "+wanted)
	if !o.device.IsDevice() { // and where it has a name, that is to be the disc's in the file
		w.Config.Root.Device = devspec.Spec{Kind: devspec.Path, Value: node}
	}
	w.Sched.Push(ueventd.Event{Queue: filter.Root, Kind: filter.Add, Name: node})
	return ueventd.Outcome{}
}

// readOnly are the options with which nothing is written to a filesystem when
// it is mounted; "" is that read-only is enough. Others are not looked at.
func readOnly(typ string) (options string, ok bool) {
	switch typ {
	case "iso9660", "udf", "vfat", "exfat", "ntfs", "squashfs", "erofs", "ext2":
		return "", true
	case "ext3", "ext4":
		return "noload", true
	case "xfs", "f2fs":
		return "norecovery", true
	case "btrfs":
		return "rescue=nologreplay", true
	}
	return "", false
}

// holds mounts a filesystem aside and says whether it has the file.
func (h *Handler) holds(t *ueventd.Task, e *udevd.Entry, file string) (bool, error) {
	options, _ := readOnly(e.Property("ID_FS_TYPE"))
	for _, gate := range h.w.Gates {
		if topic, why, _ := gate(e); topic != "" {
			return false, errors.New(why)
		}
	}
	if err := h.aside(t, e, options); err != nil {
		return false, err
	}
	info, err := ueventd.Do(t, "look for "+file+" on "+e.Devname(), func(m machine.Machine) (machine.FileInfo, error) { return m.InRoot(scan, file) })
	if uerr := ueventd.Act(t, "unmount "+scan, func(m machine.Machine) error { return m.Unmount(scan, false) }); uerr != nil {
		return false, uerr
	}
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && info.Mode.IsRegular(), err
}

// aside mounts a filesystem without writing to it.
func (h *Handler) aside(t *ueventd.Task, e *udevd.Entry, options string) error {
	typ := mount.KernelType(e.Property("ID_FS_TYPE"))
	if err := h.w.LoadModules(t, "fs-"+typ); err != nil && !errors.Is(err, machine.ErrNoModule) {
		return err
	}
	return ueventd.Act(t, "mount "+e.Devname()+" on "+scan+" to look into it", func(m machine.Machine) error {
		return m.Mount(machine.Mount{Source: e.Devname(), Target: scan, FSType: typ, Flags: fstab.ReadOnly, Data: options})
	})
}

// attach makes the ISO file on a device a device itself.
func (h *Handler) attach(t *ueventd.Task, devname string) (node string, out ueventd.Outcome) {
	fail := func(text string) (string, ueventd.Outcome) {
		h.w.SetFact(mount.RootGoal, goal.Fact{Subject: h.o.iso + " on " + devname, Condition: goal.Blocked, Text: text, Try: "look at the kernel's messages (dmesg)"})
		return "", ueventd.WaitFor(text, handler.TopicRetry)
	}
	e := h.w.Devices.ByName(devname)
	if e == nil {
		h.held = nil
		h.scanned = map[string]bool{}
		return "", ueventd.WaitFor("a filesystem with "+h.o.iso, udevd.TopicDevice, handler.TopicRetry)
	}
	if err := h.w.LoadModules(t, "loop"); errors.Is(err, machine.ErrNoModule) {
		return fail("the loop driver is not in this image")
	}
	options, _ := readOnly(e.Property("ID_FS_TYPE"))
	if !h.done["scan"] {
		if err := h.aside(t, e, options); err != nil {
			return fail(err.Error())
		}
		h.done["scan"] = true
	}
	node, err := ueventd.Do(t, "make "+h.o.iso+" on "+devname+" a block device", func(m machine.Machine) (string, error) {
		return m.Loop(scan, h.o.iso, 0, true)
	})
	if err != nil {
		return fail(err.Error())
	}
	return node, ueventd.Outcome{}
}
