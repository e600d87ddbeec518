// Package udevd is the device manager: it takes the kernel's events, lets the
// rules decide what each device is and what it is called, loads drivers,
// keeps the device database, and owns the links in /dev.
//
// It decides only; whatever touches the machine goes through ueventd.Do.
// Events of one device are handled in order and after those of its parents
// that came before; devices do not wait for each other otherwise.
package udevd

import (
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"firstlight/internal/device"
	"firstlight/internal/machine"
	"firstlight/internal/sysfs"
	"firstlight/internal/uevent"
	"firstlight/internal/ueventd"
)

// Topics that the manager notifies.
const (
	// TopicDevice: a device was added, changed or removed.
	TopicDevice = "device"
	// TopicIdentified: no announced block device is left unidentified.
	TopicIdentified = "block devices identified"
)

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
	publish func(t *ueventd.Task, e *Entry, action string)

	db      map[string]*Entry // by devpath
	byName  map[string]*Entry // by devname
	claims  map[string][]*claim
	inHand  map[string]int           // events not yet done, by devpath
	block   map[string]time.Duration // block devices announced and not identified: since when
	seen    map[string]bool
	ordered uint64
}

// New returns a manager that calls publish for each handled event, after the
// database, the node and the links are up to date.
func New(s *ueventd.Scheduler, sys sysfs.FS, rules Rules, publish func(t *ueventd.Task, e *Entry, action string)) *Manager {
	m := &Manager{sched: s, sys: sys, rules: rules, publish: publish,
		db: map[string]*Entry{}, byName: map[string]*Entry{}, claims: map[string][]*claim{},
		inHand: map[string]int{}, block: map[string]time.Duration{}, seen: map[string]bool{}}
	s.Route(queuePrefix, m.handle)
	return m
}

// Add takes in an event of the kernel. Modules, drivers and buses have events
// too, but are no devices: theirs are passed over.
func (m *Manager) Add(msg *uevent.Message) {
	if !strings.HasPrefix(msg.Devpath, "/devices/") {
		return
	}
	m.seen[msg.Devpath] = true
	m.inHand[msg.Devpath]++
	if msg.Props["SUBSYSTEM"] == "block" && msg.Action != "remove" {
		if _, ok := m.block[msg.Devpath]; !ok {
			m.block[msg.Devpath] = m.sched.Now()
		}
	}
	m.sched.Push(ueventd.Event{Queue: queuePrefix + " " + msg.Devpath, Kind: msg.Action, Name: msg.Props["DEVNAME"], Value: msg})
}

// Seen says whether an event of the device at devpath has ever come in.
func (m *Manager) Seen(devpath string) bool { return m.seen[devpath] }

// Rescan takes in what a fresh walk of sysfs found after messages were lost:
// devices that are new or have changed are added, those that are gone are
// removed.
func (m *Manager) Rescan(found []*uevent.Message) {
	there := make(map[string]bool, len(found))
	for _, msg := range found {
		there[msg.Devpath] = true
		if e := m.db[msg.Devpath]; e == nil {
			m.Add(msg)
		} else if !sameKernelProps(e, msg) || msg.Props["SUBSYSTEM"] == "block" {
			msg.Action = "change"
			msg.Props["ACTION"] = "change"
			m.Add(msg)
		}
	}
	for _, devpath := range slices.Sorted(maps.Keys(m.db)) {
		if !there[devpath] && !m.sys.Exists(devpath+"/uevent") {
			e := m.db[devpath]
			m.Add(&uevent.Message{Action: "remove", Devpath: devpath, Props: e.Properties()})
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
	msg := ev.Value.(*uevent.Message)
	m.waitForParents(t, msg.Devpath)
	defer m.done(msg.Devpath)
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
	if name := dev.Devname(); name != "" {
		m.byName[name] = e
	}
	m.applyNode(t, e)
	m.updateLinks(t, e)
	m.publish(t, e, msg.Action)
	if err != nil {
		return ueventd.Fail(err)
	}
	return ueventd.Outcome{}
}

// done ends the handling of one event: children that waited go on.
func (m *Manager) done(devpath string) {
	if m.inHand[devpath]--; m.inHand[devpath] == 0 {
		delete(m.inHand, devpath)
		m.sched.Notify("done " + devpath)
		if _, ok := m.block[devpath]; ok {
			delete(m.block, devpath)
			if len(m.block) == 0 {
				m.sched.Notify(TopicIdentified)
			}
		}
	}
	m.sched.Notify(TopicDevice)
}

// waitForParents lets the task wait while a device above has events in hand.
func (m *Manager) waitForParents(t *ueventd.Task, devpath string) {
	for p := path.Dir(devpath); len(p) > len("/devices"); p = path.Dir(p) {
		for m.inHand[p] > 0 {
			t.Wait("parent "+p, "done "+p)
		}
	}
}

// parentOf returns the nearest known device above.
func (m *Manager) parentOf(devpath string) *device.Device {
	for p := path.Dir(devpath); len(p) > len("/devices"); p = path.Dir(p) {
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
	delete(m.seen, msg.Devpath)
	delete(m.block, msg.Devpath)
	m.publish(t, e, "remove")
	return ueventd.Outcome{}
}

func (m *Manager) forget(t *ueventd.Task, devpath string) {
	e := m.db[devpath]
	if e == nil {
		return
	}
	delete(m.db, devpath)
	if m.byName[e.Devname()] == e {
		delete(m.byName, e.Devname())
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

// Unidentified returns the block devices that the kernel has announced and
// whose events are still in hand, with the time since when.
func (m *Manager) Unidentified() map[string]time.Duration { return maps.Clone(m.block) }

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

// Block returns all block devices, sorted by devpath.
func (m *Manager) Block() []*Entry { return m.Subsystem("block") }

// Subsystem returns all devices of a subsystem, sorted by devpath.
func (m *Manager) Subsystem(name string) []*Entry {
	var out []*Entry
	for _, e := range m.db {
		if e.Subsystem() == name {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b *Entry) int { return strings.Compare(a.Devpath(), b.Devpath()) })
	return out
}
