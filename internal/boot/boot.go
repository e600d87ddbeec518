// Package boot is the core: it puts the device manager, the filters, the
// queues, the handlers and the goals together. Inputs come in with their
// time, operations and messages go out. It reads no clock and does no I/O,
// and so it runs as PID 1, in the simulator, against a snapshot and against a
// recorded journal alike.
package boot

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"firstlight/internal/bootcmd"
	"firstlight/internal/coro"
	"firstlight/internal/filter"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/inputs"
	"firstlight/internal/journal"
	"firstlight/internal/machine"
	"firstlight/internal/sysfs"
	"firstlight/internal/udevd"
	"firstlight/internal/uevent"
	"firstlight/internal/ueventd"
)

// Options is what a boot starts from.
type Options struct {
	Config   *bootcmd.Config
	Problems []bootcmd.Problem
	Image    handler.Image
	Sys      sysfs.FS
	Rules    udevd.Rules
	Handlers []Register // what this image can do, in order
	Args     []string   // what the kernel passed to /init
	Start    time.Duration
	Inputs   *inputs.Log // records what comes in; nil for nothing
	// Coroutines are those on which tasks run, for who runs many boots in one
	// process; nil for its own.
	Coroutines *coro.Stock
}

// Register makes a handler known to the core and returns what is to be done
// at the start of the boot, or nil.
type Register func(w *handler.World) (start func())

// Message is something to be said.
type Message struct {
	Urgency handler.Urgency
	Text    string
}

// Core is one boot. It is not safe for concurrent use.
type Core struct {
	opt      Options
	sched    *ueventd.Scheduler
	log      *journal.Log
	w        *handler.World
	messages []Message
	started  bool
	ended    bool // the real system is being started, or the machine stopped
	stopped  bool // the machine was told to stop

	said           time.Duration // when the person was last told how it stands; -1 for never
	lastEvent      time.Duration // when something last came in, of use or not
	looked         time.Duration // when it was last looked whether there is something to explain
	revision       uint64        // what was known then
	explained      string        // the explanation that was last shown, by its signature
	others         []byte        // the drivers that the image has not; nil until they are needed
	gone           *udevd.Entry  // the last device with content that went away
	goneAt         time.Duration
	warned         []string // of which objects a person who was asked something was told
	failing        bool
	offered        bool // a person is offered the emergency shell
	shell          bool // a person has it
	progressTimers int
	saved          bool         // the failure was written to where it survives
	logAtEnd       bool         // the kernel was told to keep its log when the machine stops
	noted          []goal.State // of each goal, as last recorded
	lastGoal       uint64       // the record of the last change of a goal
}

// New prepares a boot.
func New(opt Options) *Core {
	opt.Sys = opt.Inputs.FS(opt.Sys)
	c := &Core{opt: opt}
	c.log = journal.New(func() time.Duration { return c.sched.Now() })
	c.sched = ueventd.New(c.log)
	if opt.Coroutines != nil {
		c.sched.RunOn(opt.Coroutines)
	}
	c.sched.Advance(opt.Start)
	c.w = &handler.World{Sched: c.sched, Config: opt.Config, Image: opt.Image, Goals: goal.NewSet(), Say: c.say}
	c.w.Devices = udevd.New(c.sched, opt.Sys, opt.Rules, c.publish)
	c.w.Activity, c.said = opt.Start, -1
	c.sched.OnAsking(func(asking bool) {
		if asking {
			c.w.Goals.Pause(c.sched.Now())
		} else {
			c.w.Goals.Resume(c.sched.Now())
		}
	})
	c.sched.Route(filter.Boot, c.handle)
	c.sched.AfterStep(c.noteGoals)
	return c
}

// Start begins the boot: the goals are set and what the command line says is
// reported.
func (c *Core) Start() {
	c.opt.Inputs.Start()
	c.started = true
	c.sched.Caused(c.log.Record(0, "start", "firstlight "+c.opt.Image.Version, c.opt.Image.Kernel), c.prepare)
	c.sched.Run()
}

func (c *Core) prepare() {
	for _, p := range c.opt.Config.Params {
		c.sched.Note("parameter", p.Source, paramText(p))
	}
	for _, p := range c.opt.Problems {
		if p.Kind == bootcmd.NotYet && c.opt.Image.Has(p.Nearest) {
			continue // a handler of this image reads it
		}
		u := handler.Loud
		if p.Kind == bootcmd.Deprecated || p.Kind == bootcmd.NotYet {
			u = handler.Normal
		}
		c.say(u, p.String())
	}
	for _, register := range c.opt.Handlers {
		if start := register(c.w); start != nil {
			start()
		}
	}
	c.noteGoals()
	c.w.Looking++
	c.sched.Push(ueventd.Event{Queue: filter.Boot + " begin", Kind: kindBegin})
}

// noteGoals records every change of a goal. It looks after each step of a
// task, so that the record names what the task did as its cause.
func (c *Core) noteGoals() {
	for i, g := range c.w.Goals.All() {
		if i < len(c.noted) && c.noted[i] == g.State {
			continue
		}
		if i == len(c.noted) {
			c.noted = append(c.noted, g.State)
		}
		c.noted[i] = g.State
		fields := append(make([]string, 0, 2), "want="+g.Want)
		if g.Reason != "" {
			fields = append(fields, "reason="+g.Reason)
		}
		c.lastGoal = c.sched.Note("goal", g.Name, g.State.String(), fields...)
	}
}

// begin loads the modules that are to be there first and looks at the devices
// that are there already. The kernel's messages are listened to since before.
func (c *Core) begin(t *ueventd.Task) ueventd.Outcome {
	w, cfg := c.w, c.opt.Config
	w.Break(t, bootcmd.StageCmdline)
	w.Break(t, bootcmd.StagePreUdev)
	if pre := cfg.Modules.Pre; len(pre) > 0 {
		w.LoadModules(t, pre...)
	}
	c.hasten(t)
	w.Break(t, bootcmd.StagePreTrigger)
	found, err := ueventd.Do(t, "look at the devices in sysfs", func(m machine.Machine) ([]*uevent.Message, error) {
		return m.Coldplug()
	})
	if err != nil {
		c.say(handler.Loud, err.Error())
	}
	w.Break(t, bootcmd.StageInitqueue)
	for _, msg := range found {
		if !w.Devices.Seen(msg.Devpath) {
			w.Devices.Add(msg)
		}
	}
	w.Looking--
	c.sched.Notify(udevd.TopicDevice)
	if later := append(slices.Clone(cfg.Modules.Load), cfg.Modules.Post...); len(later) > 0 {
		w.LoadModules(t, later...)
	}
	return ueventd.Outcome{}
}

// hasten loads the processor's own SHA-256 where the image has it: a kernel
// that checks the signatures of modules hashes every byte of them, and its
// generic code takes most of the time of loading. The generic code remains
// when the processor lacks what the module needs, so a failure is no fault. An
// image whose modules are stripped has no signatures and not the feature.
func (c *Core) hasten(t *ueventd.Task) {
	const alias = "crypto-sha256"
	if !c.opt.Image.Has("signatures") || !c.opt.Sys.Exists("/module/module/parameters/sig_enforce") {
		return // this kernel knows no signatures
	}
	_, err := ueventd.Do(t, "load "+alias+" to check signatures", func(m machine.Machine) (int, error) { return m.LoadAlias(alias) })
	if err != nil {
		t.Record("decision", "signatures are checked by the generic code: "+err.Error())
	}
}

// paramText is a parameter for the journal; values of parameters that carry a
// password are left out.
func paramText(p bootcmd.Param) string {
	if !p.HasValue {
		return p.Name
	}
	return p.Name + "=" + inputs.Scrub(bootcmd.Redact(p.Name, p.Value))
}

func (c *Core) say(u handler.Urgency, text string) {
	c.sched.Note("say", "", text)
	c.messages = append(c.messages, Message{u, text})
}

// publish hands an identified device to the filters.
func (c *Core) publish(t *ueventd.Task, old, e *udevd.Entry, action string) {
	recordContent(t, e, action)
	c.recordRules(t, e, action)
	if old != nil {
		for _, ev := range filter.Left(old.Device, e.Device) {
			ev.Cause = t.Cause()
			c.sched.Push(ev)
		}
	}
	for _, ev := range filter.Classify(c.opt.Config, e.Device, action) {
		ev.Cause = t.Cause()
		c.w.Progress()
		c.sched.Push(ev)
	}
	if e.Subsystem() == "block" {
		c.w.Revision++
		c.noteGone(e, action)
		c.sched.Notify("changed " + e.Devname())
	}
}

// Advance tells the time at which the inputs that follow came in.
func (c *Core) Advance(now time.Duration) {
	c.opt.Inputs.Advance(now)
	c.sched.Advance(now)
}

// Uevent takes in a message of the kernel.
func (c *Core) Uevent(m *uevent.Message) {
	c.opt.Inputs.Uevent(m)
	c.lastEvent = c.sched.Now()
	c.w.Devices.Add(m)
}

// Overflow says that messages were lost; found is a fresh walk of sysfs.
func (c *Core) Overflow(found []*uevent.Message) {
	c.opt.Inputs.Overflow(found)
	by := c.log.Record(0, "overflow", "uevent", "messages were lost", "found="+strconv.Itoa(len(found)))
	c.sched.Caused(by, func() { c.w.Devices.Rescan(found) })
}

// Dropped says that malformed or foreign messages were dropped so far.
func (c *Core) Dropped(n int) {
	c.opt.Inputs.Dropped(n)
	c.log.Record(0, "dropped", "uevent", "messages that were not the kernel's or not whole", "count="+strconv.Itoa(n))
}

// Mounts takes in the mount points that there are now.
func (c *Core) Mounts(points []string) {
	c.opt.Inputs.Mounts(points)
	by := c.log.Record(0, "mounts", "", strings.Join(points, " "))
	c.sched.Push(ueventd.Event{Queue: filter.Root, Kind: handler.KindMounts, Value: points, Cause: by})
	c.sched.Notify(handler.KindMounts)
}

// Finish takes in the result of an operation.
func (c *Core) Finish(id uint64, value any, err error) {
	c.opt.Inputs.Result(id, value, err)
	c.lastEvent = c.sched.Now()
	c.sched.Finish(id, value, err)
}

// CtrlAltDel says that the three keys were pressed.
func (c *Core) CtrlAltDel() {
	c.opt.Inputs.Keys()
	c.sched.Push(ueventd.Event{Queue: filter.Boot + " keys", Kind: kindReboot})
}

// Run lets everything that can go on go on.
func (c *Core) Run() {
	c.opt.Inputs.Run()
	c.sched.Run()
	if c.started && !c.ended {
		c.judge()
		c.sched.Run()
	}
}

// Operations returns what is to be done now.
func (c *Core) Operations() []ueventd.Operation {
	ops := c.sched.Started()
	for _, op := range ops {
		c.opt.Inputs.Started(op.ID)
	}
	return ops
}

// Messages returns what is to be said now.
func (c *Core) Messages() []Message {
	m := c.messages
	c.messages = nil
	return m
}

// Journal returns the records made since the last call, for the file.
func (c *Core) Journal() []byte { return c.log.Take() }

// World gives the state to whoever shows it; it must not be changed.
func (c *Core) World() *handler.World { return c.w }

// Close ends what is still going on, after the last input: for who runs many
// boots in one process. What was left by then is not looked at any more.
func (c *Core) Close() { c.sched.Close() }

// Stats returns what the boot has cost so far.
func (c *Core) Stats() ueventd.Stats {
	s := c.sched.Stats()
	s.Fired += c.progressTimers
	return s
}
