// Package udevd is the device manager: it takes the kernel's events, lets the
// rules decide what each device is and what it is called, loads drivers,
// keeps the device database, and owns the links in /dev.
//
// It decides only; whatever touches the machine goes through ueventd.Do.
// Events of one device are handled in order and after those of its parents
// that came before; devices do not wait for each other otherwise.
package udevd

import (
	"cmp"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"sort"
	"strings"
	"time"

	"firstlight/internal/device"
	"firstlight/internal/machine"
	"firstlight/internal/order"
	"firstlight/internal/sysfs"
	"firstlight/internal/uevent"
	"firstlight/internal/ueventd"
)

// Topics that the manager notifies.
const (
	// TopicDevice: a device was added, changed or removed.
	TopicDevice = "device"
	// TopicIdentified: no announced block device is left unidentified, but for
	// those that have not answered for longer than Patience.
	TopicIdentified = "block devices identified"
)

// Patience is how long a block device that was announced is worth waiting for
// where something has to be known of all of them.
const Patience = 2 * time.Second

// queuePrefix begins the names of the devices' queues.
const queuePrefix = "dev"

// Outcome is what the rules decided beyond properties, links and tags, which
// they set on the device itself.
type Outcome struct {
	UID, GID     *int
	Mode         *uint32
	LinkPriority int
	Persist      bool // OPTIONS+="db_persist"
	Ignore       bool // rules say that the device is not to be used yet
}

// Rules evaluates the rules for one event of a device. It runs in the task
// and may block in it.
type Rules interface {
	Evaluate(t *ueventd.Task, dev *device.Device, action string, old *device.Device) (Outcome, error)
}

// Entry is a device in the database.
type Entry struct {
	*device.Device
	Since   time.Duration // when it was first heard of
	Changed time.Duration // its last event
	Outcome Outcome
	Err     error // why its identification failed, if it did
}

// Manager is the device manager. Like all of the core it is used by one task
// at a time.
type Manager struct {
	sched   *ueventd.Scheduler
	sys     sysfs.FS
	rules   Rules
	publish Publish

	db       map[string]*Entry   // by devpath
	byName   map[string]*Entry   // by devname
	blocks   []*Entry            // block devices by devpath; a list that was given out stays as it was
	looking  []*hand             // events not yet done that lead to a block device being looked at, in order
	claims   map[string][]*claim // of each link
	claimsOf map[string][]string // the links that each device claims, by devpath
	leads    map[string]string   // where each link leads now, "" for nowhere
	changing map[string]bool     // links with a change under way
	inHand   map[string][]*hand  // events not yet done, by devpath, in order
	seen     map[string]presence
	ordered  uint64
	arrived  uint64
}

// hand is an event that has come in and is not done.
type hand struct {
	msg   *uevent.Message
	order uint64 // counts all events in the order in which they came
	since time.Duration
}

// presence is what the events of a device have said last.
type presence uint8

const (
	unheard  presence = iota
	changed           // it was spoken of, as if we knew it
	added             // it is there
	departed          // it is gone
)

// Publish is called with each device whose event was handled. old is what was
// known of it before, nil for nothing and for a device that is gone.
type Publish func(t *ueventd.Task, old, e *Entry, action string)

// New returns a manager that calls publish for each handled event, after the
// database, the node and the links are up to date.
func New(s *ueventd.Scheduler, sys sysfs.FS, rules Rules, publish Publish) *Manager {
	m := &Manager{sched: s, sys: sys, rules: rules, publish: publish,
		db: map[string]*Entry{}, byName: map[string]*Entry{}, claims: map[string][]*claim{}, claimsOf: map[string][]string{},
		leads: map[string]string{}, changing: map[string]bool{},
		inHand: map[string][]*hand{}, seen: map[string]presence{}}
	s.Route(queuePrefix, m.handle)
	return m
}

// Wrap puts other rules around those that there are.
func (m *Manager) Wrap(around func(Rules) Rules) { m.rules = around(m.rules) }

// Add takes in an event of the kernel. Modules, drivers and buses have events
// too, but are no devices: theirs are passed over.
func (m *Manager) Add(msg *uevent.Message) {
	if !strings.HasPrefix(msg.Devpath, "/devices/") {
		return
	}
	switch msg.Action {
	case "add", "move":
		m.seen[msg.Devpath] = added
	case "remove":
		m.seen[msg.Devpath] = departed
	default:
		if m.seen[msg.Devpath] != added {
			m.seen[msg.Devpath] = changed
		}
	}
	if old := msg.Props["DEVPATH_OLD"]; msg.Action == "move" && old != "" {
		m.seen[old] = departed
	}
	m.arrived++
	h := &hand{msg, m.arrived, m.sched.Now()}
	m.inHand[msg.Devpath] = append(m.inHand[msg.Devpath], h)
	if identifies(msg) {
		m.looking = append(m.looking, h)
	}
	m.sched.Push(ueventd.Event{Queue: queuePrefix + " " + msg.Devpath, Kind: msg.Action, Name: msg.Props["DEVNAME"], Value: h})
}

// Seen says whether the kernel itself has said that the device at devpath was
// added, or that it is gone, so that what a walk of sysfs has found is older
// than what is known. A device that has only changed is not one of these:
// drivers are loaded when a device is added.
func (m *Manager) Seen(devpath string) bool {
	return m.seen[devpath] == added || m.seen[devpath] == departed
}

// Rescan takes in what a fresh walk of sysfs found after messages were lost:
// devices that are new or have changed are added, those that are gone are
// removed.
func (m *Manager) Rescan(found []*uevent.Message) {
	there := make(map[string]bool, len(found))
	for _, msg := range found {
		there[msg.Devpath] = true
		e := m.db[msg.Devpath]
		switch {
		case len(m.inHand[msg.Devpath]) > 0 && m.seen[msg.Devpath] == added && msg.Props["SUBSYSTEM"] != "block":
			// An event of it is still to be handled, and reads what is there then.
		case e == nil || m.seen[msg.Devpath] == departed:
			if m.mapped(msg.Devpath) {
				msg.Action, msg.Props["ACTION"] = "change", "change"
			}
			m.Add(msg)
		case !sameKernelProps(e, msg) || msg.Props["SUBSYSTEM"] == "block":
			msg.Action = "change"
			msg.Props["ACTION"] = "change"
			m.Add(msg)
		}
	}
	gone := map[string]bool{}
	for devpath := range m.db {
		gone[devpath] = true
	}
	for devpath := range m.inHand {
		gone[devpath] = true
	}
	for _, devpath := range order.Keys(gone) {
		if there[devpath] || m.seen[devpath] == departed || m.sys.Exists(devpath+"/uevent") {
			continue
		}
		var props map[string]string
		if e := m.db[devpath]; e != nil {
			props = e.Properties()
		} else {
			props = maps.Clone(m.inHand[devpath][0].msg.Props)
		}
		props["ACTION"] = "remove"
		m.Add(&uevent.Message{Action: "remove", Devpath: devpath, Props: props})
	}
}

// mapped says whether a device of the device mapper has its table already. It
// is the change event of its activation that makes such a device usable, and
// not that of its addition: where both were lost the former stands for both.
func (m *Manager) mapped(devpath string) bool {
	suspended, err := m.sys.Read(devpath + "/dm/suspended")
	size, _ := m.sys.Read(devpath + "/size")
	return err == nil && suspended == "0" && size != "0" && size != ""
}

// LookAgain takes up again every device that could not be looked at when its
// last event was handled.
func (m *Manager) LookAgain() {
	for _, devpath := range order.Keys(m.db) {
		if m.db[devpath].Err == nil || len(m.inHand[devpath]) > 0 {
			continue
		}
		if msg := uevent.Read(m.sys, devpath); msg != nil {
			msg.Action, msg.Props["ACTION"] = "change", "change"
			m.Add(msg)
		}
	}
}

func sameKernelProps(e *Entry, msg *uevent.Message) bool {
	for k, v := range msg.Props {
		if k != "ACTION" && k != "SEQNUM" && e.Property(k) != v {
			return false
		}
	}
	return true
}

func (m *Manager) handle(t *ueventd.Task, ev ueventd.Event) ueventd.Outcome {
	h := ev.Value.(*hand)
	msg := h.msg
	defer m.done(h)
	m.waitForEarlier(t, h)
	if msg.Action == "remove" {
		return m.remove(t, msg)
	}
	if msg.Action == "move" {
		if old := msg.Props["DEVPATH_OLD"]; old != "" {
			m.forget(t, old)
		}
	}
	old := m.db[msg.Devpath]
	props := maps.Clone(msg.Props)
	dev := device.New(m.sys, msg.Devpath, props)
	var oldDev *device.Device
	if old != nil {
		oldDev = old.Device
	}
	if p := m.parentOf(msg.Devpath); p != nil {
		dev.SetParent(p)
	}
	out, err := m.rules.Evaluate(t, dev, msg.Action, oldDev)
	e := &Entry{Device: dev, Since: m.sched.Now(), Changed: m.sched.Now(), Outcome: out, Err: err}
	if old != nil {
		e.Since = old.Since
	}
	m.db[msg.Devpath] = e
	m.list(old, e)
	if name := dev.Devname(); name != "" {
		m.byName[name] = e
	}
	m.applyNode(t, e)
	m.updateLinks(t, e)
	m.publish(t, old, e, msg.Action)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // gone: its removal is on the way
		return ueventd.Fail(err)
	}
	return ueventd.Outcome{}
}

// done ends the handling of one event: those that waited for it go on.
func (m *Manager) done(h *hand) {
	devpath := h.msg.Devpath
	left := slices.DeleteFunc(m.inHand[devpath], func(x *hand) bool { return x == h })
	if m.inHand[devpath] = left; len(left) == 0 {
		delete(m.inHand, devpath)
	}
	m.sched.Notify("done " + devpath)
	if identifies(h.msg) {
		m.looking = slices.DeleteFunc(m.looking, func(x *hand) bool { return x == h })
		if !slices.ContainsFunc(m.looking, func(x *hand) bool { return x.since+Patience > m.sched.Now() }) {
			m.sched.Notify(TopicIdentified)
		}
	}
	m.sched.Notify(TopicDevice)
}

// identifies says whether the event leads to a block device being looked at.
func identifies(msg *uevent.Message) bool {
	return msg.Props["SUBSYSTEM"] == "block" && msg.Action != "remove"
}

// waitForEarlier lets the task wait for the events that came before it and
// must be done before: those of the devices above; of a device that goes
// away or moves also those below it, and those under its old name. An event
// waits only for earlier ones, so that no two wait for each other.
func (m *Manager) waitForEarlier(t *ueventd.Task, h *hand) {
	devpath := h.msg.Devpath
	for p := above(devpath); len(p) > len("/devices"); p = above(p) {
		m.waitFor(t, p, h)
	}
	if h.msg.Action != "remove" && h.msg.Action != "move" {
		return
	}
	for _, p := range order.Keys(m.inHand) {
		if strings.HasPrefix(p, devpath+"/") || p == h.msg.Props["DEVPATH_OLD"] {
			m.waitFor(t, p, h)
		}
	}
}

// above is path.Dir of a devpath, which is clean.
func above(devpath string) string { return devpath[:max(strings.LastIndexByte(devpath, '/'), 0)] }

func (m *Manager) waitFor(t *ueventd.Task, devpath string, h *hand) {
	for len(m.inHand[devpath]) > 0 && m.inHand[devpath][0].order < h.order {
		t.Wait("an earlier event of "+devpath, "done "+devpath)
	}
}

// parentOf returns the nearest known device above.
func (m *Manager) parentOf(devpath string) *device.Device {
	for p := above(devpath); len(p) > len("/devices"); p = above(p) {
		if e := m.db[p]; e != nil {
			return e.Device
		}
		if m.sys.Exists(p + "/uevent") {
			return nil // a device that was never announced: Device finds it itself
		}
	}
	return nil
}

func (m *Manager) remove(t *ueventd.Task, msg *uevent.Message) ueventd.Outcome {
	e := m.db[msg.Devpath]
	if e == nil {
		e = &Entry{Device: device.New(m.sys, msg.Devpath, maps.Clone(msg.Props))}
	}
	m.forget(t, msg.Devpath)
	m.publish(t, nil, e, "remove")
	return ueventd.Outcome{}
}

func (m *Manager) forget(t *ueventd.Task, devpath string) {
	e := m.db[devpath]
	if e == nil {
		return
	}
	delete(m.db, devpath)
	m.list(e, nil)
	if name := e.Devname(); m.byName[name] == e {
		delete(m.byName, name)
		// The node may be another device's by now, of which was heard before.
		for _, o := range m.blocks {
			if o.Devname() == name {
				m.byName[name] = o
			}
		}
	}
	m.dropLinks(t, devpath)
}

// applyNode gives the node the owner and mode that the rules decided.
func (m *Manager) applyNode(t *ueventd.Task, e *Entry) {
	o := e.Outcome
	if e.Devname() == "" || o.UID == nil && o.GID == nil && o.Mode == nil {
		return
	}
	err := ueventd.Act(t, "set owner and mode of "+e.Devname(), func(w machine.Machine) error {
		return w.SetNode(e.Devname(), o.UID, o.GID, fileMode(o.Mode))
	})
	if err != nil {
		t.Record("warning", err.Error())
	}
}

// Announced is a block device whose content is not known yet.
type Announced struct {
	Devpath string
	Since   time.Duration // when the kernel said so
}

// Unidentified returns the block devices that the kernel has announced and
// whose events are still in hand, in the order in which they were announced.
func (m *Manager) Unidentified() []Announced {
	if len(m.looking) == 0 {
		return nil
	}
	out := make([]Announced, 0, len(m.looking))
	for _, h := range m.looking {
		hands := m.inHand[h.msg.Devpath]
		if hands[slices.IndexFunc(hands, func(x *hand) bool { return identifies(x.msg) })] == h {
			out = append(out, Announced{h.msg.Devpath, h.since})
		}
	}
	return out
}

// Unanswered says whether a block device was announced, for longer than
// Patience, and is not identified.
func (m *Manager) Unanswered(devpath string) bool {
	return slices.ContainsFunc(m.looking, func(h *hand) bool {
		return h.msg.Devpath == devpath && h.since+Patience <= m.sched.Now()
	})
}

// ByName returns the device with that node, following the links of /dev that
// devices claim; nil if there is none.
func (m *Manager) ByName(devname string) *Entry {
	if e := m.byName[devname]; e != nil {
		return e
	}
	if link, ok := strings.CutPrefix(devname, "/dev/"); ok {
		if c := m.claims[link]; len(c) > 0 {
			return m.db[c[0].devpath]
		}
	}
	return nil
}

// At returns the device at devpath, or nil.
func (m *Manager) At(devpath string) *Entry { return m.db[devpath] }

// Block returns all block devices, sorted by devpath. The list is shared and
// must not be changed; it stays as it is whatever happens to the devices.
func (m *Manager) Block() []*Entry { return m.blocks }

// list keeps the list of block devices up to date: old is what was known of a
// device, and e what is known now; either may be nil.
func (m *Manager) list(old, e *Entry) {
	isBlock := func(x *Entry) bool { return x != nil && x.Subsystem() == "block" }
	if !isBlock(old) && !isBlock(e) {
		return
	}
	devpath := cmp.Or(old, e).Devpath()
	i, known := slices.BinarySearchFunc(m.blocks, devpath, func(x *Entry, p string) int { return strings.Compare(x.Devpath(), p) })
	now := make([]*Entry, 0, len(m.blocks)+1)
	now = append(now, m.blocks[:i]...)
	if isBlock(e) {
		now = append(now, e)
	}
	if known {
		i++
	}
	m.blocks = append(now, m.blocks[i:]...)
}

// Subsystem returns all devices of a subsystem, sorted by devpath.
func (m *Manager) Subsystem(name string) []*Entry {
	var out []*Entry
	for _, e := range m.db {
		if e.Subsystem() == name {
			out = append(out, e)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Devpath() < out[j].Devpath() })
	return out
}

// OwnTable is the type of the partition table on the device itself, "" if it has
// none. The rules hand the properties of a disk, and with them its table's, down
// to its partitions.
func (e *Entry) OwnTable() string {
	typ := e.Property("ID_PART_TABLE_TYPE")
	if e.Devtype() != "partition" {
		return typ
	}
	if p := e.Parent(); p != nil && p.Property("ID_PART_TABLE_TYPE") == typ && p.Property("ID_PART_TABLE_UUID") == e.Property("ID_PART_TABLE_UUID") {
		return ""
	}
	return typ
}
