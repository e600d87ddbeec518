// Package discover finds the root by the types of the partitions of a disk, as
// the Discoverable Partitions Specification and systemd-gpt-auto-generator(8)
// have it: with root=gpt-auto, and with no root= at all where the boot loader
// has said which disk it started from. Once found, it is the root as if root=
// had named it.
package discover

import (
	"runtime"
	"slices"
	"strconv"
	"strings"

	"firstlight/internal/bootcmd"
	"firstlight/internal/devspec"
	"firstlight/internal/filter"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/handler/efivar"
	"firstlight/internal/handler/mount"
	"firstlight/internal/machine"
	"firstlight/internal/parttable"
	"firstlight/internal/udevd"
	"firstlight/internal/ueventd"
)

// queue is that of the search.
const queue = "gpt-auto"

// Handler looks for the root.
type Handler struct {
	w      *handler.World
	root   bool   // by root=gpt-auto
	usr    bool   // mount.usr=gpt-auto
	loader string // UUID of the partition that the boot loader started from, "" for unknown
	asked  bool   // the firmware was asked for it
}

// New registers the handler.
func New(w *handler.World) *Handler {
	h := &Handler{w: w}
	w.Sched.Route(queue, h.handle)
	return h
}

// Start decides whether there is anything to look for.
func (h *Handler) Start() {
	c := h.w.Config
	h.root = auto(c.Root.Device)
	h.usr = auto(c.Usr.Device)
	if !h.root && !c.Root.Device.IsZero() {
		return
	}
	h.waiting("the partition for the root of this machine is looked for")
	h.w.Sched.Push(ueventd.Event{Queue: queue, Kind: filter.Add})
}

func auto(s devspec.Spec) bool {
	return s.Kind == devspec.Other && (s.Scheme == "gpt-auto" || s.Scheme == "gpt-auto-force") || dissect(s)
}

func (h *Handler) handle(t *ueventd.Task, _ ueventd.Event) ueventd.Outcome {
	w := h.w
	if w.Config.Root.Device.IsDevice() {
		return ueventd.Outcome{} // found
	}
	if !h.asked {
		loader, err := askLoader(t)
		if err != nil {
			h.blocked("it could not be read which disk the boot loader started from: "+err.Error(), "name the root with root=")
			return ueventd.WaitFor(err.Error(), handler.TopicRetry)
		}
		h.loader, h.asked = loader, true
	}
	if h.loader == "" && !h.root {
		h.blocked("root= is not given, and the boot loader has not said which disk it started from (EFI variable LoaderDevicePartUUID)",
			"name the root with root=, or write root=gpt-auto if there is one disk with a root partition")
		return ueventd.Outcome{}
	}
	w.Identified(t)
	disk, out := h.disk()
	if disk == nil {
		return out
	}
	// The table says what there is, whichever partitions have been seen yet.
	parts, err := ueventd.Do(t, "read the partition table of "+disk.Devname(), func(m machine.Machine) ([]parttable.Entry, error) {
		b, err := m.OpenBlock(disk.Devname())
		if err != nil {
			return nil, err
		}
		defer b.Close()
		table, err := parttable.Read(b, b.Size(), b.SectorSize())
		if err != nil {
			return nil, err
		}
		return table.Entries, nil
	})
	if err != nil {
		h.blocked("the partition table of "+disk.Devname()+" cannot be read: "+err.Error(), "check the disk, or name the root with root=")
		return ueventd.WaitFor(err.Error(), udevd.TopicDevice, handler.TopicRetry)
	}
	root, why := newest(parts, types().root)
	switch {
	case why != "":
		h.blocked(disk.Devname()+": "+why, "name the root with root=, or mark what is not to be used (attribute no-auto)")
		return ueventd.WaitFor(why, udevd.TopicDevice, handler.TopicRetry)
	case root == nil:
		h.waiting("the disk " + disk.Devname() + " has no partition of the type " + types().root + ", for the root on " + runtime.GOARCH)
		return ueventd.WaitFor("a root partition", udevd.TopicDevice)
	}
	found := w.Find(name(root))
	if len(found) == 0 { // what is in it is not known yet; of two the mount handler will not choose
		h.waiting("the partition " + name(root).String() + " has not appeared")
		return ueventd.WaitFor(name(root).Describe(), udevd.TopicDevice)
	}
	if h.usr {
		usr, why := newest(parts, types().usr)
		if usr == nil {
			if why == "" {
				why = "the disk " + disk.Devname() + " has no partition of the type " + types().usr + ", for /usr on " + runtime.GOARCH
			}
			h.blocked(why, "name it with mount.usr=")
			return ueventd.WaitFor(why, udevd.TopicDevice, handler.TopicRetry)
		}
		w.Config.Usr.Device = name(usr)
	}
	if dissect(w.Config.Root.Device) && w.Config.Verity.Enabled {
		if out, done, wait := h.verify(t, root, parts); done || wait {
			return out
		}
	}
	h.found(t, found[0], root, parts)
	return ueventd.Outcome{}
}

// found makes a partition the root.
func (h *Handler) found(t *ueventd.Task, e *udevd.Entry, root *parttable.Entry, parts []parttable.Entry) {
	w := h.w
	r := &w.Config.Root
	if root.Flags&readOnly != 0 && !r.ReadOnlySet {
		r.ReadOnly = true
	}
	if root.Flags&growFS != 0 {
		t.Record("decision", e.Devname()+" asks for its filesystem to be made as large as it is, which is left to the real system")
	}
	for i := range parts {
		if parts[i].Type == types().verity {
			w.Say(handler.Normal, "partition "+strconv.Itoa(parts[i].Number)+" beside "+e.Devname()+
				" has the sums for a verified root; roothash= is not given, and the root is not verified")
		}
	}
	r.Device = name(root)
	if uuid := e.Property("ID_FS_UUID"); e.Property("ID_FS_TYPE") == "crypto_LUKS" {
		// systemd calls it so.
		w.Config.Luks.Volumes = append(w.Config.Luks.Volumes, bootcmd.LuksVolume{Wanted: true, Name: "root",
			Select: bootcmd.LuksSelector{By: bootcmd.ByUUID, Value: strings.ToLower(uuid)}})
		r.Device = devspec.Spec{Kind: devspec.Mapper, Value: "root"}
		w.Sched.Push(ueventd.Event{Queue: filter.LUKS + " " + uuid, Kind: filter.Add, Name: e.Devname()})
	}
	t.Record("decision", "the root is "+e.Devname()+", by the type of the partition")
	w.Say(handler.Detail, "the root is "+e.Devname()+" ("+r.Device.String()+"), by the type of the partition")
	if g := w.Goals.Get(mount.RootGoal); g != nil {
		g.Want = r.Device.Describe() + " mounted as the root"
	}
	w.DropFact(mount.RootGoal)
	w.Sched.Notify(handler.TopicWanted)
	w.Sched.Push(ueventd.Event{Queue: filter.Root, Kind: filter.Add, Name: e.Devname()})
}

// disk returns the one to look at; without one the outcome says how to go on.
func (h *Handler) disk() (*udevd.Entry, ueventd.Outcome) {
	var ids []string // major:minor of those that may be it
	for _, e := range h.w.Devices.Block() {
		id := e.Property("ID_PART_ENTRY_DISK")
		if id == "" || e.Property("ID_PART_ENTRY_SCHEME") != parttable.GPT {
			continue
		}
		is := strings.EqualFold(e.Property("ID_PART_ENTRY_UUID"), h.loader)
		if h.loader == "" {
			is = strings.EqualFold(e.Property("ID_PART_ENTRY_TYPE"), types().root) && flags(e)&noAuto == 0
		}
		if is && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	switch {
	case len(ids) > 1:
		text := strconv.Itoa(len(ids)) + " disks may be it: " + strings.Join(ids, " ")
		h.blocked(text, "name the root with root=, or unplug the copy")
		return nil, ueventd.WaitFor(text, udevd.TopicDevice, handler.TopicRetry)
	case len(ids) == 1:
		for _, e := range h.w.Devices.Block() {
			if major, minor, ok := e.Devnum(); ok && ids[0] == strconv.Itoa(int(major))+":"+strconv.Itoa(int(minor)) {
				return e, ueventd.Outcome{}
			}
		}
		h.waiting("the disk " + ids[0] + " has not appeared")
	case h.loader != "":
		h.waiting("the disk that the boot loader started from, with the partition " + h.loader + ", has not appeared")
	default:
		h.waiting("no disk has a partition of the type " + types().root + ", for the root on " + runtime.GOARCH)
	}
	return nil, ueventd.WaitFor("the disk with the root", udevd.TopicDevice)
}

func (h *Handler) waiting(text string) {
	h.w.SetFact(mount.RootGoal, goal.Fact{Subject: "the root partition", Condition: goal.Incomplete, Text: text, Try: "name the root with root="})
}

func (h *Handler) blocked(text, try string) {
	h.w.SetFact(mount.RootGoal, goal.Fact{Subject: "the root partition", Condition: goal.Blocked, Text: text, Try: try})
}

// name is how the root is named from then on.
func name(e *parttable.Entry) devspec.Spec {
	return devspec.Spec{Kind: devspec.PartUUID, Value: devspec.FoldUUID(e.UUID)}
}

// loaderVariable is of the boot loader's interface
// (systemd.io/BOOT_LOADER_INTERFACE).
const loaderVariable = "LoaderDevicePartUUID-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"

// askLoader returns what the boot loader has said of where it comes from, ""
// for nothing: other boot loaders do not, nor does a machine without EFI.
func askLoader(t *ueventd.Task) (string, error) {
	text, err := efivar.Read(t, "read which partition the boot loader started from", loaderVariable, 256)
	if err != nil {
		return "", err
	}
	spec, err := devspec.Parse("PARTUUID=" + text)
	if err != nil {
		return "", nil
	}
	return spec.Value, nil
}
