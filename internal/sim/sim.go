// Package sim boots a machine that exists only in memory: the real core
// (package boot) with the real rules and handlers, over disks that are byte
// slices, under a virtual clock.
//
// Operations end after a virtual delay in an order that a seed, or a test,
// decides; they can be made to fail. The same seed and the same machine give
// the same journal, byte for byte.
package sim

import (
	"cmp"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"firstlight/internal/boot"
	"firstlight/internal/bootcmd"
	"firstlight/internal/handler"
	"firstlight/internal/inputs"
	"firstlight/internal/machine"
	"firstlight/internal/udevd"
	"firstlight/internal/udevd/rules"
	"firstlight/internal/udevd/rules/compile"
	"firstlight/internal/uevent"
	"firstlight/internal/ueventd"
	"firstlight/internal/version"
	ours "firstlight/rules"
)

// Machine is one simulated machine and its boot. Fill it in, then call Boot.
type Machine struct {
	Cmdline  string
	Image    handler.Image
	Handlers []boot.Register
	Seed     uint64
	// Latency is how long an operation takes, by its name; nil takes from
	// the seed, up to 20 ms.
	Latency func(what string) time.Duration
	// Fail makes an operation fail instead of being done, where it returns an
	// error.
	Fail func(what string) error
	// Answer is what the person types at a question, and after how long; nil
	// means that nobody is there.
	Answer func(p machine.Prompt) (string, time.Duration, error)
	// ShellFor is how long a person stays in a shell; 0: there is no shell.
	ShellFor time.Duration
	// Record keeps what the core is given, for a replay.
	Record bool
	// NoStore: the machine has no persistent store.
	NoStore bool
	// Files are the contents of the image's files by their path.
	Files map[string]string
	// Programs are helpers of the image by their path.
	Programs map[string]func(m *Machine, args []string) machine.Exit

	// What came of it.
	Started  *machine.SwitchRoot // the real system was started
	Stopped  machine.Power       // the machine was stopped
	Resumed  string              // the device that was resumed from
	Mounts   []machine.Mount     // in order
	Said     []Line
	Journal  []byte
	Inputs   []byte            // with Record
	Saved    map[string][]byte // what was written to the persistent store and to variables
	Core     *boot.Core
	Prompts  []machine.Prompt
	Shells   int      // how often there was a shell
	Finished []string // operations in the order in which they ended

	now     time.Duration
	rng     *rand.Rand
	sys     *tree
	disks   map[string]*Disk // by node
	serial  int
	mapped  map[string]*mapping
	mounted map[string]*Disk // by mount point
	queue   []event
	seq     uint64
	current *operation
	asked   map[string]*operation

	devLinks map[string]string
	inputs   *inputs.Log
}

// Line is something that was said, and when.
type Line struct {
	At      time.Duration
	Urgency handler.Urgency
	Text    string
}

// event is something that will happen.
type event struct {
	at  time.Duration
	seq uint64
	do  func()
}

// operation is an operation under way, as a coroutine: it may wait for a
// person.
type operation struct {
	what   string
	next   func() (struct{}, bool)
	yield  func(struct{}) bool
	woken  bool
	err    error // with which its question was withdrawn
	resume func()
}

// table is our own rules, compiled once.
var table = sync.OnceValues(func() ([]byte, error) {
	files, err := compile.Collect([]compile.Dir{{Name: "rules", FS: ours.FS}}, nil)
	if err != nil {
		return nil, err
	}
	res, err := compile.Compile(files, compile.Options{Group: func(string) (uint32, bool) { return 6, true }, Builtin: ours.Builtin, ProgramBuiltin: ours.ProgramBuiltin})
	if err != nil {
		return nil, err
	}
	return res.Table, nil
})

// At calls f when the virtual clock reaches t.
func (m *Machine) At(t time.Duration, f func()) {
	m.seq++
	e := event{t, m.seq, f}
	i, _ := slices.BinarySearchFunc(m.queue, e, func(a, b event) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.seq, b.seq))
	})
	m.queue = slices.Insert(m.queue, i, e)
}

// Now is the virtual time.
func (m *Machine) Now() time.Duration { return m.now }

func (m *Machine) init() {
	if m.sys != nil {
		return
	}
	m.sys = newTree()
	m.disks, m.mapped = map[string]*Disk{}, map[string]*mapping{}
	m.mounted, m.asked = map[string]*Disk{}, map[string]*operation{}
}

// Boot boots until the real system starts, the machine stops, or the virtual
// time is limit. Nothing left to happen ends it too.
func (m *Machine) Boot(limit time.Duration) error {
	m.init()
	m.rng = rand.New(rand.NewPCG(m.Seed, 1))
	compiled, err := table()
	if err != nil {
		return err
	}
	tab, err := rules.Open(compiled)
	if err != nil {
		return err
	}
	cfg, problems := bootcmd.Parse(bootcmd.Source{Name: "/proc/cmdline", Text: m.Cmdline})
	if m.Record {
		m.inputs = inputs.New(inputs.Setup{Version: version.Version, Start: m.now, Image: m.Image, Rules: compiled,
			Sources: []inputs.Source{{Name: "/proc/cmdline", Text: bootcmd.RedactText(bootcmd.Source{Name: "/proc/cmdline", Text: m.Cmdline})}}})
	}
	missing := func(text string) { m.Core.World().AddMissing(text) }
	m.Core = boot.New(boot.Options{Config: cfg, Problems: problems, Image: m.Image, Sys: m.sys,
		Rules:    udevd.NewTable(tab, cfg.Params, m.inputs.Matches(func(string) bool { return false }), missing),
		Handlers: m.Handlers, Start: m.now, Inputs: m.inputs})
	m.Core.Start()
	for rounds := 0; ; rounds++ {
		if rounds > 1_000_000 {
			return fmt.Errorf("sim: still busy after %d rounds at %v", rounds, m.now)
		}
		m.Core.Run()
		m.takeOut()
		if m.Started != nil || m.Stopped != "" || m.Resumed != "" {
			m.keep()
			return nil
		}
		at, ok := m.Core.NextDeadline()
		if len(m.queue) > 0 && (!ok || m.queue[0].at <= at) {
			e := m.queue[0]
			m.queue = m.queue[1:]
			if e.at > limit {
				return nil
			}
			m.now = max(m.now, e.at)
			m.Core.Advance(m.now)
			e.do()
			continue
		}
		if !ok || at > limit {
			return nil
		}
		m.now = max(m.now, at)
		m.Core.Advance(m.now)
	}
}

// takeOut starts what the core has asked for and keeps what it said.
func (m *Machine) takeOut() {
	for _, op := range m.Core.Operations() {
		m.start(op)
	}
	for _, msg := range m.Core.Messages() {
		m.Said = append(m.Said, Line{m.now, msg.Urgency, msg.Text})
	}
	m.keep()
}

// keep takes the records.
func (m *Machine) keep() {
	m.Inputs = append(m.Inputs, m.inputs.Take()...)
	m.Journal = append(m.Journal, m.Core.Journal()...)
}

func (m *Machine) latency(what string) time.Duration {
	if m.Latency != nil {
		return m.Latency(what)
	}
	return time.Duration(m.rng.Int64N(int64(20 * time.Millisecond)))
}

func (m *Machine) start(op ueventd.Operation) {
	var value any
	var err error
	o := &operation{what: op.What}
	o.next, _ = iter.Pull(func(yield func(struct{}) bool) {
		o.yield = yield
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("internal error: %v", p)
			}
		}()
		if m.Fail != nil {
			if err = m.Fail(op.What); err != nil {
				return
			}
		}
		value, err = op.Run(m)
	})
	step := func() {
		m.current = o
		_, more := o.next()
		m.current = nil
		if !more {
			m.Finished = append(m.Finished, op.What)
			m.Core.Finish(op.ID, value, err)
		}
	}
	m.At(m.now+m.latency(op.What), step)
	o.resume = step
}

// sleep lets the operation that runs wait for a time, or until it is woken;
// below 0 for ever.
func (m *Machine) sleep(d time.Duration) {
	o := m.current
	o.woken = false
	if d >= 0 {
		m.At(m.now+d, func() {
			if !o.woken {
				o.woken = true
				o.resume()
			}
		})
	}
	o.yield(struct{}{})
}

// SaidText is all that was said loudly, one after the other.
func (m *Machine) SaidText() string {
	var b strings.Builder
	for _, l := range m.Said {
		if l.Urgency == handler.Loud {
			b.WriteString(l.Text + "\n")
		}
	}
	return b.String()
}

// Uevent hands a message of the kernel to the core, which must run already.
func (m *Machine) uevent(action string, d *Disk, more ...string) {
	if m.Core == nil {
		return
	}
	props := d.props()
	props["ACTION"], props["DEVPATH"] = action, d.devpath
	for i := 0; i < len(more); i += 2 {
		props[more[i]] = more[i+1]
	}
	m.Core.Uevent(&uevent.Message{Action: action, Devpath: d.devpath, Props: props})
}
