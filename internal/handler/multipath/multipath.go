// Package multipath uses disks that are reached on several ways by all of them:
// it maps their paths together with the device mapper's target of that name. It
// belongs to the full /init.
//
// Which disks these are, what multipath-tools' configuration says: those whose
// WWID it has noted in /etc/multipath/wwids, and with find_multipaths others of
// which several paths are there. A path is kept from being looked at from the
// first moment, so that nothing is mounted from it. Two devices with one content
// that are not such a disk stay what they are: copies, between which nobody
// chooses.
package multipath

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"time"

	"firstlight/internal/bootcmd"
	"firstlight/internal/device"
	"firstlight/internal/filter"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/machine"
	"firstlight/internal/mpathconf"
	"firstlight/internal/sysfs"
	"firstlight/internal/udevd"
	"firstlight/internal/uevent"
	"firstlight/internal/ueventd"

	"golang.org/x/sys/unix"
)

// queue is that of one disk; its WWID follows. Without one it is that of what
// has not come in time.
const queue = "multipath"

// topicRead is notified when the configuration is known.
const topicRead = "the configuration of multipath"

// Files of the image that say which disks have paths.
const (
	fileConf     = "/etc/multipath.conf"
	fileWWIDs    = "/etc/multipath/wwids"
	fileBindings = "/etc/multipath/bindings"
)

// Handler maps paths.
type Handler struct {
	w             *handler.World
	mode          bootcmd.MultipathMode
	reading, read bool
	conf          *mpathconf.Conf
	wwids         map[string]bool
	bindings      map[string]string
	seen          map[string][]*device.Device // those that were not excluded, by WWID
	marked        map[string]bool             // devpaths of disks that are paths, from when that is decided
	alone         map[string]bool             // WWIDs of disks whose second path was waited for
	using         map[string]string           // the paths that a device was made of, by WWID
	coming        map[string]*coming          // by WWID
	told          map[string]int              // how many paths there were, by WWID, when they were last counted
	cookies       uint16
}

// coming is a device that is being made, with its partitions. Nothing is used
// until it is there, or its time is over: it may have the name of something else.
type coming struct {
	until time.Duration
	uuids []string // of what was made of it; nil: it is not made yet
}

// New registers the handler, if the image has what it needs.
func New(w *handler.World) *Handler {
	h := &Handler{w: w, seen: map[string][]*device.Device{}, marked: map[string]bool{}, alone: map[string]bool{}, using: map[string]string{}, coming: map[string]*coming{}, told: map[string]int{}}
	w.Sched.Route(queue, h.handle)
	return h
}

// Start reads what the command line says.
func (h *Handler) Start() {
	w := h.w
	rare, problems := bootcmd.ReadRare(w.Config, "rd.multipath")
	for _, p := range problems {
		w.Say(handler.Loud, p.String())
	}
	if h.mode = rare.Multipath.Mode; h.mode != bootcmd.MultipathOff && w.Image.Has("multipath") && w.Config.HostOnly {
		w.Devices.Wrap(func(inner udevd.Rules) udevd.Rules { return &rules{h, inner} })
	}
}

// load reads the files, once, and loads what attaches itself to the ports of an
// array when the kernel finds them.
func (h *Handler) load(t *ueventd.Task) {
	for h.reading {
		t.Wait(topicRead, topicRead)
	}
	if h.read {
		return
	}
	h.reading = true
	files := [...]string{fileWWIDs, fileConf, fileBindings}
	if h.mode == bootcmd.MultipathDefault {
		files[1] = ""
	}
	// All at once: most machines have none of them, and nothing is read of a
	// device before that is known.
	type read struct{ Texts, Wrong [3]string }
	found, err := ueventd.Do(t, "read the configuration of multipath", func(m machine.Machine) (r read, err error) {
		for i, file := range files {
			if file == "" {
				continue
			}
			b, err := m.ReadFile(file, mpathconf.MaxText)
			if r.Texts[i] = string(b); err != nil && !errors.Is(err, fs.ErrNotExist) {
				r.Wrong[i] = err.Error()
			}
		}
		return r, nil
	})
	if err != nil {
		h.w.Say(handler.Loud, "the configuration of multipath: "+err.Error())
	}
	for i, wrong := range found.Wrong {
		if wrong != "" {
			h.w.Say(handler.Loud, files[i]+": "+wrong)
		}
	}
	texts := found.Texts
	h.wwids, h.bindings = mpathconf.WWIDs(texts[0]), mpathconf.Bindings(texts[2])
	var problems []string
	h.conf, problems = mpathconf.Parse(texts[1])
	for _, p := range problems {
		h.w.Say(handler.Loud, p)
	}
	if len(h.wwids) > 0 || h.conf.Find != mpathconf.FindStrict {
		ueventd.Act(t, "load the handlers of arrays", func(m machine.Machine) error {
			for _, name := range [...]string{"scsi_dh_alua", "scsi_dh_rdac", "scsi_dh_emc", "scsi_dh_hp_sw"} {
				m.Load(name) // an image for other disks has none of them
			}
			return nil
		})
	}
	h.read, h.reading = true, false
	h.w.Sched.Notify(topicRead)
}

// expect has the boot wait for the device of a disk.
func (h *Handler) expect(id string, patience time.Duration) {
	if h.using[id] != "" || h.coming[id] != nil {
		return
	}
	at := h.w.Sched.Now() + patience
	h.coming[id] = &coming{until: at}
	h.w.Looking++
	h.w.Sched.Deadline(queue+" "+id, at, ueventd.Event{Queue: queue, Name: id})
}

// settled ends that wait.
func (h *Handler) settled(id string) {
	if h.coming[id] == nil {
		return
	}
	delete(h.coming, id)
	h.w.Looking--
	h.w.Sched.CancelDeadline(queue + " " + id)
	h.w.Sched.Notify(udevd.TopicDevice)
}

// overdue is called when the device of a disk has not come in time.
func (h *Handler) overdue(t *ueventd.Task, id string) {
	if h.using[id] == "" && h.conf.Find == mpathconf.FindSmart && !h.wwids[id] {
		t.Record("decision", "no second path to "+id+" has come: it is a disk like others")
		h.alone[id] = true
		h.again(id)
	}
	h.settled(id)
}

// again has the devices of a disk judged anew.
func (h *Handler) again(id string) {
	for _, e := range h.w.Devices.Block() {
		if e.Devtype() != "disk" || wwid(e.Device) != id {
			continue
		}
		for _, part := range append([]*udevd.Entry{e}, h.partitions(e)...) {
			h.reconsider(part.Sys(), part.Devpath())
		}
	}
}

// reconsider has the rules evaluated for a device once more.
func (h *Handler) reconsider(sys sysfs.FS, devpath string) {
	if msg := uevent.Read(sys, devpath); msg != nil {
		msg.Action, msg.Props["ACTION"] = "change", "change"
		h.w.Devices.Add(msg)
	}
}

// partitions are the kernel's partitions of a disk.
func (h *Handler) partitions(disk *udevd.Entry) (parts []*udevd.Entry) {
	for _, e := range h.w.Devices.Block() {
		if e.Devtype() == "partition" && strings.HasPrefix(e.Devpath(), disk.Devpath()+"/") {
			parts = append(parts, e)
		}
	}
	return parts
}

func (h *Handler) subject(id string) string {
	return "multipath device " + h.conf.Name(id, h.bindings) + " (" + id + ")"
}

func (h *Handler) handle(t *ueventd.Task, ev ueventd.Event) ueventd.Outcome {
	w := h.w
	if ev.Kind == kindWatch {
		return h.gone()
	}
	if ev.Queue == queue {
		h.overdue(t, ev.Name)
		return ueventd.Outcome{}
	}
	id := strings.TrimPrefix(ev.Queue, queue+" ")
	if h.alone[id] && len(h.alive(id)) < 2 {
		return ueventd.Outcome{}
	}
	var paths []*udevd.Entry
	there := false
	for _, e := range w.Devices.Block() {
		if e.Devtype() == "disk" && wwid(e.Device) == id && w.Devices.ByName(e.Devname()) == e && h.excluded(e.Device) == "" {
			paths = inserted(paths, e)
			there = there || e.Devname() == ev.Name
		}
	}
	if !there {
		if w.Devices.ByName(ev.Name) == nil {
			return ueventd.WaitFor(ev.Name+" is being identified", udevd.TopicDevice)
		}
		return ueventd.Outcome{} // it is another disk by now
	}
	if need := min(2, len(h.alive(id))); len(paths) < need && !h.wwids[id] && h.conf.Find != mpathconf.FindGreedy && h.using[id] == "" {
		return ueventd.WaitFor("the other path is being identified", udevd.TopicDevice)
	}
	if h.conf.Find == mpathconf.FindSmart && !h.wwids[id] && len(paths) < 2 && h.using[id] == "" {
		return ueventd.WaitFor("a second path", udevd.TopicDevice)
	}
	d, wrong := h.describe(id, paths)
	if wrong != "" {
		w.SetFact(ev.Queue, goal.Fact{Subject: h.subject(id), Condition: goal.Blocked, Text: wrong, Try: "disconnect the one that is wrong"})
		h.settled(id)
		return ueventd.Outcome{}
	}
	if h.using[id] != d.made {
		if out, ok := h.make(t, ev.Queue, id, d, paths); !ok {
			return out
		}
	} else {
		w.SetFact(ev.Queue, goal.Fact{Subject: h.subject(id), Condition: goal.Present, Text: "runs on " + d.list})
	}
	return h.watch(id)
}

// make makes the device of a disk, or gives it another table; ok is false when
// it could not, and then the outcome says how to go on.
func (h *Handler) make(t *ueventd.Task, subject, id string, d description, paths []*udevd.Entry) (out ueventd.Outcome, ok bool) {
	w := h.w
	if by := inUse(paths, h); by != "" {
		return h.late(t, subject, id, by), false
	}
	w.SetFact(subject, goal.Fact{Subject: h.subject(id), Condition: goal.Working, Text: "is being set up from " + d.list})
	err := w.LoadModules(t, append([]string{"dm-mod", "dm-multipath"}, d.modules...)...)
	var uuids []string
	if err == nil {
		name := h.conf.Name(id, h.bindings)
		h.cookies++
		d.cookie = h.cookies | 0x3000
		uuids, err = ueventd.Do(t, "set up "+h.subject(id)+" of "+d.list, func(m machine.Machine) ([]string, error) {
			return setUp(m, name, id, d)
		})
	}
	if errors.Is(err, unix.EBUSY) && slices.ContainsFunc(paths, fresh) {
		return h.late(t, subject, id, "something"), false
	}
	if err != nil {
		h.settled(id)
		w.Say(handler.Loud, h.subject(id)+" cannot be set up: "+err.Error())
		w.SetFact(subject, goal.Fact{Subject: h.subject(id), Condition: goal.Blocked, Text: "cannot be set up from " + d.list + ": " + err.Error(), Try: advice(err)})
		return ueventd.WaitFor(err.Error(), handler.TopicRetry), false
	}
	h.using[id] = d.made
	if c := h.coming[id]; c != nil {
		c.uuids = uuids
	}
	if slices.ContainsFunc(paths, fresh) {
		for _, e := range paths {
			h.marked[e.Devpath()] = true
		}
		h.again(id) // it was looked at when it was the only one
	}
	w.SetFact(subject, goal.Fact{Subject: h.subject(id), Condition: goal.Present, Text: "runs on " + d.list})
	w.Progress()
	return out, true
}

// late is what becomes of another path to a disk that is in use already: it is
// kept from being used, and the disk is used by its first one.
func (h *Handler) late(t *ueventd.Task, subject, id, by string) ueventd.Outcome {
	h.settled(id)
	t.Record("decision", "the disk "+id+" is used by "+by+" on one path already: the others are left to the real system")
	h.w.SetFact(subject, goal.Fact{Subject: h.subject(id), Condition: goal.Blocked, Text: "is not set up: " + by + " uses one path already",
		Try: "multipath -a in the real system, and a new image: then the paths are known before one is used"})
	return ueventd.WaitFor("the disk is in use", handler.TopicRetry)
}

// watch waits for what was made to be there.
func (h *Handler) watch(id string) ueventd.Outcome {
	c := h.coming[id]
	if c == nil {
		return ueventd.Outcome{}
	}
	seen := map[string]bool{}
	for _, e := range h.w.Devices.Block() {
		if uuid, _ := e.Attr("dm/uuid"); uuid != "" && filter.Usable(e.Device) {
			seen[uuid] = true
		}
	}
	if slices.ContainsFunc(c.uuids, func(uuid string) bool { return !seen[uuid] }) && h.w.Sched.Now() < c.until {
		return ueventd.WaitFor("what was made is being identified", udevd.TopicDevice)
	}
	h.settled(id)
	return ueventd.Outcome{}
}

func advice(err error) string {
	if errors.Is(err, machine.ErrNoModule) {
		return "rebuild the image with it: firstlight build --feature multipath"
	}
	return "look at the kernel's messages (dmesg); rd.multipath=0 uses the paths as disks"
}

// fresh says whether a path was looked at as a disk of its own.
func fresh(e *udevd.Entry) bool { return e.Property(pathProperty) != "1" }

// inUse says what holds a disk that was looked at before it was known to have
// another path, "" for nothing.
func inUse(paths []*udevd.Entry, h *Handler) string {
	for _, e := range paths {
		if !fresh(e) {
			continue
		}
		for _, x := range append([]*udevd.Entry{e}, h.partitions(e)...) {
			if holders, _ := x.Sys().List(x.Devpath() + "/holders"); len(holders) > 0 {
				return strings.Join(holders, ", ")
			}
		}
	}
	return ""
}

// inserted puts a path among others by its name, sdb before sdaa, as the kernel
// found them.
func inserted(paths []*udevd.Entry, e *udevd.Entry) []*udevd.Entry {
	at := 0
	for name := e.Devname(); at < len(paths); at++ {
		if other := paths[at].Devname(); len(other) > len(name) || len(other) == len(name) && other > name {
			break
		}
	}
	return slices.Insert(paths, at, e)
}

// alive are the devices of a disk that are there.
func (h *Handler) alive(id string) []*device.Device {
	h.seen[id] = slices.DeleteFunc(h.seen[id], func(d *device.Device) bool { return !d.Sys().Exists(d.Devpath() + "/uevent") })
	return h.seen[id]
}
