// Package mend takes down what lies on a disk that has gone away: mappings of
// the device mapper and arrays of which too little is left. What comes back is
// another device to the kernel, which answers with errors for what was made of
// the old one as long as that is there. What nobody uses is taken down, from the
// top, and made anew by its own handler when the disk is there; what is in use
// stays, and that is said.
//
// Volumes of LVM that lie directly on a disk are the lvm handler's, which knows
// what they are made of. Here they are taken down only together with something
// below them. It belongs to the full /init.
package mend

import (
	"errors"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"firstlight/internal/devmapper"
	"firstlight/internal/filter"
	"firstlight/internal/fmt"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/machine"
	"firstlight/internal/md"
	"firstlight/internal/order"
	"firstlight/internal/udevd"
	"firstlight/internal/ueventd"

	"golang.org/x/sys/unix"
)

// queue is the one queue of this handler.
const queue = "mend"

// Handler takes down what has lost its disk.
type Handler struct {
	w     *handler.World
	made  map[string]*made // by devpath
	known []*udevd.Entry   // the block devices as they were looked at last
}

// made is a device that is made of others.
type made struct {
	entry  *udevd.Entry
	broken string // in use, and could not be taken down: why
	down   *step  // taken down, by this step; the kernel has not said so yet
}

// New registers the handler.
func New(w *handler.World) *Handler {
	h := &Handler{w: w, made: map[string]*made{}}
	w.Sched.Route(queue, h.handle)
	return h
}

// Start begins to watch.
func (h *Handler) Start() {
	h.w.Sched.Push(ueventd.Event{Queue: queue, Kind: filter.Add})
}

func (h *Handler) handle(t *ueventd.Task, _ ueventd.Event) ueventd.Outcome {
	if h.w.Leaving() {
		return ueventd.Outcome{}
	}
	if h.look(t) && len(h.dead()) > 0 {
		// Whoever looks into such a device just now has it open.
		h.w.Identified(t)
		h.look(t)
		h.takeDown(t, h.dead())
	}
	return ueventd.WaitFor("a disk that goes away", udevd.TopicDevice)
}

// look brings what is known of the devices up to date, and says whether one may
// have lost what it is made of: a device went or changed, or one that is made of others
// came or is still to be taken down.
func (h *Handler) look(t *ueventd.Task) (news bool) {
	now := map[string]*udevd.Entry{}
	for _, e := range h.w.Devices.Block() {
		now[e.Devpath()] = e
		m := h.made[e.Devpath()]
		if m != nil && m.entry.Since != e.Since {
			h.gone(t, m)
			m = nil
		}
		switch {
		case !stacked(e):
		case m == nil:
			h.made[e.Devpath()], news = &made{entry: e}, true
		default:
			news = news || m.entry != e || m.broken != ""
			m.entry = e
		}
	}
	for _, old := range h.known {
		if e := now[old.Devpath()]; e != old {
			news = true
			if m := h.made[old.Devpath()]; m != nil && e == nil {
				h.gone(t, m)
			}
		}
	}
	h.known = h.w.Devices.Block()
	return news
}

// stacked says whether a device is made of others: a mapping, or an array.
func stacked(e *udevd.Entry) bool {
	return e.Devtype() != "partition" && (strings.HasPrefix(e.Sysname(), "dm-") || array(e))
}

// array says whether a device that is made of others is an array.
func array(e *udevd.Entry) bool { return strings.HasPrefix(e.Sysname(), "md") }

// gone forgets a device. One that was taken down here can be made again.
func (h *Handler) gone(t *ueventd.Task, m *made) {
	delete(h.made, m.entry.Devpath())
	h.w.DropFact(m.key())
	if m.down == nil {
		return
	}
	for _, again := range h.w.Makers {
		again(t, m.down.name, m.down.uuid)
	}
}

// dead returns the devices that have lost what they need, each before those that
// it lies on.
func (h *Handler) dead() []*made {
	state := map[string]int{}
	var list []*made
	deepest := 0
	for _, e := range h.w.Devices.Block() {
		if m := h.made[e.Devpath()]; m != nil && h.isDead(m, state) {
			list = append(list, m)
			deepest = max(deepest, h.depth(m, 0))
		}
	}
	var out []*made
	for ; deepest >= 0; deepest-- {
		for _, m := range list {
			if h.depth(m, 0) == deepest {
				out = append(out, m)
			}
		}
	}
	return out
}

// parts are what a device is made of, by their names in sysfs.
func (m *made) parts() []string {
	list, _ := m.entry.Sys().List(m.entry.Devpath() + "/slaves")
	return list
}

// has says whether a part is still the one that the device was made of: the
// kernel shows the device as its holder. One that has come since under the same
// name has no such holder.
func (m *made) has(part string) bool {
	return m.entry.Sys().Exists(m.entry.Devpath() + "/slaves/" + part + "/holders/" + path.Base(m.entry.Devpath()))
}

// on is the device that a part is, if it is made of others itself.
func (h *Handler) on(part string) *made {
	if e := h.w.Devices.ByName("/dev/" + strings.ReplaceAll(part, "!", "/")); e != nil {
		return h.made[e.Devpath()]
	}
	return nil
}

// depth is how many layers a device lies on.
func (h *Handler) depth(m *made, n int) int {
	deepest := n
	for _, part := range m.parts() {
		if below := h.on(part); below != nil && n < 64 {
			deepest = max(deepest, h.depth(below, n+1))
		}
	}
	return deepest
}

// States of a device while it is asked whether it is dead.
const (
	living = 1 + iota
	fallen
)

// isDead says whether a device can give its data no more. Of a volume of LVM
// counts only what it lies on and is dead itself: one whose disk has gone away
// is the lvm handler's.
func (h *Handler) isDead(m *made, state map[string]int) bool {
	devpath := m.entry.Devpath()
	if s := state[devpath]; s != 0 {
		return s == fallen
	}
	state[devpath] = living // no device lies on itself
	if !m.runs() {
		return false
	}
	n, parts := 0, m.parts()
	for _, part := range parts {
		if !m.has(part) {
			if !m.ofLVM() {
				n++
			}
		} else if below := h.on(part); below != nil && h.isDead(below, state) {
			n++
		}
	}
	switch {
	case n == 0, strings.HasPrefix(m.uuid(), "mpath-"):
		return false // of paths others may come
	case array(m.entry):
		if !tooMany(m.entry, n, len(parts)) {
			return false
		}
	case !strings.HasPrefix(m.uuid(), "CRYPT-") && !m.ofLVM() && n < len(parts):
		return false // whoever made it may do without
	}
	state[devpath] = fallen
	return true
}

// runs says whether a device has been put together: before that not all that is
// to be under it may be there.
func (m *made) runs() bool {
	sys, at := m.entry.Sys(), m.entry.Devpath()
	if array(m.entry) {
		state, err := sys.Read(at + "/md/array_state")
		metadata, _ := sys.Read(at + "/md/metadata_version")
		return err == nil && state != "clear" && state != "inactive" && !strings.HasPrefix(metadata, "external:") // mdmon has those
	}
	suspended, err := sys.Read(at + "/dm/suspended")
	size, _ := sys.Read(at + "/size")
	return err == nil && suspended == "0" && size != "0"
}

// ofLVM says whether a device is a volume of LVM, or a part of one.
func (m *made) ofLVM() bool { return strings.HasPrefix(m.uuid(), "LVM-") }

// key is that of the fact of a device.
func (m *made) key() string { return queue + " " + m.entry.Devpath() }

// name is what the device mapper calls a device, or the kernel an array.
func (m *made) name() string {
	if array(m.entry) {
		return m.entry.Sysname()
	}
	name, _ := m.entry.Attr("dm/name")
	return name
}

// uuid is that of a device in the device mapper, "" of an array.
func (m *made) uuid() string {
	uuid, _ := m.entry.Attr("dm/uuid")
	return uuid
}

// tooMany says whether an array cannot do without n of its members; of those
// that it was given some may be spares, so that the answer is no where that is
// not certain.
func tooMany(e *udevd.Entry, n, of int) bool {
	level, _ := e.Attr("md/level")
	text, _ := e.Attr("md/raid_disks")
	text, _, _ = strings.Cut(text, " ")
	disks, err := strconv.Atoi(text)
	spare := of - disks
	if n == of {
		return true
	}
	if err != nil || disks <= 0 || spare < 0 {
		return false
	}
	switch level {
	case "raid0", "linear":
		return true
	case "raid4", "raid5":
		return n-spare > 1
	case "raid6":
		return n-spare > 2
	case "raid10":
		return n-spare > disks/2
	}
	return false
}

// step is the end of one device.
type step struct {
	name, uuid string // of the device mapper, or the kernel's name of an array
	array      bool
}

// takeDown takes down what can be taken down of the dead devices.
func (h *Handler) takeDown(t *ueventd.Task, dead []*made) {
	for _, m := range dead {
		if m.down != nil {
			continue
		}
		s := &step{name: m.name(), uuid: m.uuid(), array: array(m.entry)}
		why := m.why()
		err := ueventd.Act(t, "take down "+m.called()+": "+why, s.run)
		switch {
		case err == nil || errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ENODEV) || errors.Is(err, fs.ErrNotExist):
			m.down, m.broken = s, ""
			h.w.DropFact(m.key())
			if !m.ofLVM() {
				h.w.Say(handler.Loud, m.called()+" was taken down: "+why)
			}
		case m.broken != err.Error():
			m.broken = err.Error()
			if !m.ofLVM() {
				text := why + ", and it is in use: " + m.broken
				h.w.Say(handler.Loud, m.called()+": "+text)
				h.w.SetFact(m.key(), goal.Fact{Subject: m.called(), Condition: goal.Blocked, Text: text,
					Try: "reboot: what was mapped to the disk that went away cannot be read any more"})
			}
		}
	}
}

// called is what a person knows the device as.
func (m *made) called() string {
	if array(m.entry) {
		return "RAID array /dev/" + m.name()
	}
	return "/dev/mapper/" + m.name()
}

// why says what a device has lost.
func (m *made) why() string {
	var gone []string
	for _, part := range m.parts() {
		if !m.has(part) {
			gone = append(gone, "/dev/"+strings.ReplaceAll(part, "!", "/"))
		}
	}
	if len(gone) == 0 {
		return "a disk below it has gone away"
	}
	order.Strings(gone)
	return "of what it lies on " + strings.Join(gone, " and ") + " has gone away"
}

// run carries out a step. A snapshot that is taken down without its origin
// would lose what is written to either; LVM's own tool does that better.
func (s *step) run(m machine.Machine) error {
	if s.array {
		return md.Stop(m, s.name)
	}
	mapper, err := m.Mapper()
	if err != nil {
		return err
	}
	info, err := mapper.Info(devmapper.ByName(s.name))
	if err != nil {
		return err
	}
	if info.UUID != s.uuid {
		return fmt.Errorf("%s is another device by now: %w", s.name, unix.ENXIO)
	}
	if strings.HasPrefix(s.uuid, "LVM-") {
		table, err := mapper.Table(devmapper.ByName(s.name))
		if err != nil {
			return err
		}
		for _, x := range table {
			if strings.HasPrefix(x.Type, "snapshot") {
				return fmt.Errorf("%s has snapshots: %w", s.name, unix.EBUSY)
			}
		}
	}
	_, err = mapper.Remove(devmapper.ByName(s.name), devmapper.RemoveOptions{})
	return err
}
