// Package discover finds the root by the types of the partitions of a disk, as
// the Discoverable Partitions Specification and systemd-gpt-auto-generator(8)
// have it: with root=gpt-auto, and with no root= at all where the boot loader
// has said which disk it started from. Once found, it is the root as if root=
// had named it.
package discover

import (
	"runtime"
	"strconv"
	"strings"

	"firstlight/internal/bootcmd"
	"firstlight/internal/devspec"
	"firstlight/internal/filter"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/handler/efivar"
	"firstlight/internal/handler/mount"
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
	return s.Kind == devspec.Other && (s.Scheme == "gpt-auto" || s.Scheme == "gpt-auto-force")
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
	parts, disk, out := h.partitions()
	if disk == "" {
		return out
	}
	root, why := newest(parts, types().root)
	switch {
	case why != "":
		h.blocked(why, "name the root with root=, or mark what is not to be used (attribute no-auto)")
		return ueventd.WaitFor(why, udevd.TopicDevice, handler.TopicRetry)
	case root == nil:
		h.waiting("the disk " + disk + " has no partition of the type " + types().root + ", for the root on " + runtime.GOARCH)
		return ueventd.WaitFor("a root partition", udevd.TopicDevice)
	}
	if h.usr {
		usr, why := newest(parts, types().usr)
		if usr == nil {
			if why == "" {
				why = "the disk " + disk + " has no partition of the type " + types().usr + ", for /usr on " + runtime.GOARCH
			}
			h.blocked(why, "name it with mount.usr=")
			return ueventd.WaitFor(why, udevd.TopicDevice, handler.TopicRetry)
		}
		w.Config.Usr.Device = name(usr)
	}
	h.found(t, root, parts)
	return ueventd.Outcome{}
}

// found makes a partition the root.
func (h *Handler) found(t *ueventd.Task, root *udevd.Entry, parts []*udevd.Entry) {
	w := h.w
	r := &w.Config.Root
	if flags(root)&readOnly != 0 && !r.ReadOnlySet {
		r.ReadOnly = true
	}
	if flags(root)&growFS != 0 {
		t.Record("decision", root.Devname()+" asks for its filesystem to be made as large as it is, which is left to the real system")
	}
	for _, p := range parts {
		if strings.EqualFold(p.Property("ID_PART_ENTRY_TYPE"), types().verity) {
			w.Say(handler.Normal, p.Devname()+" has the sums for a verified root; roothash= is not given, and the root is not verified")
		}
	}
	r.Device = name(root)
	if uuid := root.Property("ID_FS_UUID"); root.Property("ID_FS_TYPE") == "crypto_LUKS" {
		// systemd calls it so.
		w.Config.Luks.Volumes = append(w.Config.Luks.Volumes, bootcmd.LuksVolume{Wanted: true, Name: "root",
			Select: bootcmd.LuksSelector{By: bootcmd.ByUUID, Value: strings.ToLower(uuid)}})
		r.Device = devspec.Spec{Kind: devspec.Mapper, Value: "root"}
		w.Sched.Push(ueventd.Event{Queue: filter.LUKS + " " + uuid, Kind: filter.Add, Name: root.Devname()})
	}
	t.Record("decision", "the root is "+root.Devname()+", by the type of the partition")
	w.Say(handler.Detail, "the root is "+root.Devname()+" ("+r.Device.String()+"), by the type of the partition")
	if g := w.Goals.Get(mount.RootGoal); g != nil {
		g.Want = r.Device.Describe() + " mounted as the root"
	}
	w.DropFact(mount.RootGoal)
	w.Sched.Notify(handler.TopicWanted)
	w.Sched.Push(ueventd.Event{Queue: filter.Root, Kind: filter.Add, Name: root.Devname()})
}

// partitions returns those of the disk to look at, in the order of their
// numbers; without a disk the outcome says how to go on.
func (h *Handler) partitions() (parts []*udevd.Entry, disk string, out ueventd.Outcome) {
	disks := map[string][]*udevd.Entry{}
	var order []string // of those that may be it
	for _, e := range h.w.Devices.Block() {
		id := e.Property("ID_PART_ENTRY_DISK")
		if id == "" || e.Property("ID_PART_ENTRY_SCHEME") != "gpt" {
			continue
		}
		disks[id] = append(disks[id], e)
		typ := e.Property("ID_PART_ENTRY_TYPE")
		is := strings.EqualFold(typ, types().root) && flags(e)&noAuto == 0
		if h.loader != "" {
			is = strings.EqualFold(e.Property("ID_PART_ENTRY_UUID"), h.loader)
		}
		if is && (len(order) == 0 || order[len(order)-1] != id) {
			order = append(order, id)
		}
	}
	switch {
	case len(order) == 1:
		return disks[order[0]], order[0], ueventd.Outcome{}
	case len(order) == 0 && h.loader != "":
		h.waiting("the disk that the boot loader started from, with the partition " + h.loader + ", has not appeared")
		return nil, "", ueventd.WaitFor("the disk of the boot loader", udevd.TopicDevice)
	case len(order) == 0:
		h.waiting("no disk has a partition of the type " + types().root + ", for the root on " + runtime.GOARCH)
		return nil, "", ueventd.WaitFor("a root partition", udevd.TopicDevice)
	}
	text := strconv.Itoa(len(order)) + " disks may be it: " + strings.Join(order, " ")
	h.blocked(text, "name the root with root=, or unplug the copy")
	return nil, "", ueventd.WaitFor(text, udevd.TopicDevice, handler.TopicRetry)
}

func (h *Handler) waiting(text string) {
	h.w.SetFact(mount.RootGoal, goal.Fact{Subject: "the root partition", Condition: goal.Incomplete, Text: text, Try: "name the root with root="})
}

func (h *Handler) blocked(text, try string) {
	h.w.SetFact(mount.RootGoal, goal.Fact{Subject: "the root partition", Condition: goal.Blocked, Text: text, Try: try})
}

// name is how the root is named from then on.
func name(e *udevd.Entry) devspec.Spec {
	return devspec.Spec{Kind: devspec.PartUUID, Value: devspec.FoldUUID(e.Property("ID_PART_ENTRY_UUID"))}
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
