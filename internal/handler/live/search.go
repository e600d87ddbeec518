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
		if names, _ := layersOf(o.layered); len(names) > 0 {
			wanted = path.Join(o.dir, names[len(names)-1])
		}
	}
	missed := ""
	for _, e := range w.Devices.Block() {
		key := e.Devname() + " " + e.Property("ID_FS_UUID") + " " + e.Property("ID_FS_TYPE")
		if h.scanned[key] || !filter.Usable(e.Device) || e.Property("ID_FS_USAGE") != "filesystem" || !o.media.has(e) ||
			o.isoOn.IsDevice() && !o.isoOn.Matches(e) {
			continue
		}
		if _, ok := readOnly(e.Property("ID_FS_TYPE")); !ok {
			t.Record("decision", e.Devname()+" is not searched for "+wanted+": it may be written to when it is mounted")
			h.scanned[key] = true
			continue
		}
		has, err := h.holds(t, e, wanted, scan)
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
			Text: "no filesystem that is there has " + wanted + missed + h.foreign, Try: "connect the medium, or name where the image is on it"})
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

// holds mounts a filesystem aside, on dir, and says whether it has the file. A
// medium of casper has to be that of the initramfs, too, where that says so.
func (h *Handler) holds(t *ueventd.Task, e *udevd.Entry, file, dir string) (bool, error) {
	options, _ := readOnly(e.Property("ID_FS_TYPE"))
	for _, gate := range h.w.Gates {
		if topic, why, _ := gate(e); topic != "" {
			return false, errors.New(why)
		}
	}
	if err := h.aside(t, e, options, dir); err != nil {
		return false, err
	}
	info, err := ueventd.Do(t, "look for "+file+" on "+e.Devname(), func(m machine.Machine) (machine.FileInfo, error) { return m.InRoot(dir, file) })
	if err == nil && dir == scan && h.o.iso == "" && !h.ours(t, e, dir) {
		err = fs.ErrNotExist
	}
	if uerr := ueventd.Act(t, "unmount "+dir, func(m machine.Machine) error { return m.Unmount(dir, false) }); uerr != nil {
		return false, uerr
	}
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && info.Mode.IsRegular(), err
}

// uuidFiles are where casper's media have the UUID of the initramfs that they
// belong to.
var uuidFiles = [...]string{"/.disk/casper-uuid-generic", "/.disk/casper-uuid"}

// maxUUID bounds such a file, in bytes.
const maxUUID = 4096

// ours says whether a medium is the one that the initramfs belongs to, as
// casper's have it: /conf/uuid.conf is the same.
func (h *Handler) ours(t *ueventd.Task, e *udevd.Entry, dir string) bool {
	if h.o.anyUUID {
		return true
	}
	want, err := ueventd.Do(t, "read /conf/uuid.conf", func(m machine.Machine) ([]byte, error) { return m.ReadFile("/conf/uuid.conf", maxUUID) })
	uuid := strings.TrimSpace(string(want))
	if err != nil || uuid == "" {
		return true // nothing says which medium it is
	}
	for _, file := range uuidFiles {
		got, err := ueventd.Do(t, "read "+file+" of "+e.Devname(), func(m machine.Machine) ([]byte, error) { return m.ReadInRoot(dir, file, maxUUID) })
		if err == nil && strings.TrimSpace(string(got)) == uuid {
			return true
		}
	}
	h.foreign += "; " + e.Devname() + " has it, and is not the medium of this initramfs (its UUID is not " + uuid + "), though ignore_uuid would take it"
	return false
}

// aside mounts a filesystem on dir without writing to it.
func (h *Handler) aside(t *ueventd.Task, e *udevd.Entry, options, dir string) error {
	typ := mount.KernelType(e.Property("ID_FS_TYPE"))
	if err := h.w.LoadModules(t, "fs-"+typ); err != nil && !errors.Is(err, machine.ErrNoModule) {
		return err
	}
	return ueventd.Act(t, "mount "+e.Devname()+" on "+dir+" to look into it", func(m machine.Machine) error {
		return m.Mount(machine.Mount{Source: e.Devname(), Target: dir, FSType: typ, Flags: fstab.ReadOnly, Data: options})
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
		if err := h.aside(t, e, options, scan); err != nil {
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
