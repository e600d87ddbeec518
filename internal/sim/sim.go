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
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"firstlight/internal/boot"
	"firstlight/internal/bootcmd"
	"firstlight/internal/coro"
	"firstlight/internal/handler"
	"firstlight/internal/inputs"
	"firstlight/internal/machine"
	"firstlight/internal/udevd"
	"firstlight/internal/udevd/rules"
	"firstlight/internal/udevd/rules/compile"
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
	// Person is who types at questions where Answer is nil.
	Person *Person
	// Modules are the drivers of the image and of its kernel; nil is a kernel
	// with everything built in. Set them before the first Plug or Attach.
	Modules []Module
	// Faults are what goes wrong.
	Faults []Fault
	// ShellFor is how long a person stays in a shell; 0: there is no shell.
	ShellFor time.Duration
	// Record keeps what the core is given, for a replay.
	Record bool
	// Signed are the signatures that the kernel takes, by root hash in
	// hexadecimal: those of whom it has a key. RequireSigned: it takes no root
	// hash without one.
	Signed        map[string]string
	RequireSigned bool
	// Certified are the image's certificates for signatures, and Verify is what
	// the kernel says of a signature by one of them; nil: none is.
	Certified []machine.Certificate
	Verify    func(certificate []byte, encoding, hash string, sum, signature []byte) error
	// NoKeyring: the kernel was built without keyrings.
	NoKeyring bool
	// NoStore: programs cannot write to the persistent store. LogStore: the
	// end of the kernel's log goes there, when LogKept says so, as the machine
	// stops.
	NoStore, LogStore, LogKept bool
	// NobodyAtShell: there is a shell, and nobody comes to use it.
	NobodyAtShell bool
	// Files are the contents of the image's files by their path.
	Files map[string]string
	// AttrAfter is how long it takes until an attribute of sysfs that is
	// waited for reads a value; nil or less than 0 means that it never does.
	AttrAfter func(path, value string) time.Duration
	// Images are the filesystems in files of disks, by what Disk.Files says is
	// the content of the file.
	Images map[string]*Disk
	// Initramfs are files of the image that operations see as those of "/":
	// their content, which Images explains.
	Initramfs map[string]string
	// Chip is the machine's TPM; nil: it has none.
	Chip *TPM
	// RAMDisk is how large the driver makes ramdisks, in bytes; 0 is 16 MiB.
	RAMDisk int64
	// Free is the memory that is available, in bytes; 0 is 1 GiB.
	Free uint64
	// Programs are helpers of the image by their path.
	Programs map[string]func(m *Machine, args []string) machine.Exit
	// ZPools are the ZFS pools whose devices it may have; nil is an image without
	// ZFS's tools.
	ZPools []*ZPool
	// Shares are the directories that the machine's host offers, by tag, as soon
	// as the machine has the device (ShareUp).
	Shares map[string]*Share
	// Network are the machine's cards and who serves on the wire; nil is none.
	Network *Network
	// Web are the servers that images can be fetched from; nil: the image has no
	// helper for it.
	Web *Web
	// Visitors log in to the image's SSH server, which runs where there are any.
	Visitors []*Visitor
	// Tang is who answers for volumes that Clevis has bound; nil is nobody.
	Tang *Tang
	// Wrap returns what operations see instead of the machine, which it is
	// given: to watch them, or to disturb them. It is called once, by Boot.
	Wrap func(machine.Machine) machine.Machine
	// Room is what an earlier machine has left; nil: there was none.
	Room *Room
	// AfterStep is called whenever the core has run until it could not go on,
	// after its operations were started. Journal then holds all that it has
	// recorded so far.
	AfterStep func()

	// What came of it.
	Started *machine.SwitchRoot // the real system was started
	Stopped machine.Power       // the machine was stopped
	Resumed string              // the device that was resumed from
	Env     map[string]string   // what the real init's environment was given
	Mounts  []machine.Mount     // in order
	Said    []Line
	Journal []byte
	Inputs  []byte            // with Record
	Saved   map[string][]byte // what was written to the persistent store and to variables
	Core    *boot.Core
	Prompts []machine.Prompt
	// AnsweredBy are who has answered them: "console", or a visitor's name. It is
	// kept where there are visitors.
	AnsweredBy []string
	Ended      []string // helpers that were asked to end
	Shells     int      // how often there was a shell
	Finished   []string // operations in the order in which they ended
	Writes     []Write  // what was written to disks, in order
	Loaded     []string // modules, in the order in which they were loaded
	Arrays     []Started
	Cached     []Cached   // disks with caches
	Imported   []Imported // ZFS pools
	Volumes    []Mirrored // RAID volumes of LVM, in the order in which they were mapped
	// ResumedFrom is what really was on the device that was resumed from.
	ResumedFrom *Disk

	now        time.Duration
	rng        *rand.Rand
	sys        *tree
	kmod       *modules
	disks      map[string]*Disk // by node
	numbers    map[devnum]*Disk
	given      []*Disk // by the test, in order
	away       map[*Disk]bool
	devices    []*Device
	slots      map[string][]*Disk
	serial     int
	partMinor  int
	mapped     []*mapping
	bcache     []*cached
	keyring    map[string][]byte
	stays      map[string]*stay
	sshRuns    bool
	startDirty bool
	btrfs      map[string][]btrfsMember
	// Lost are the mounts of a btrfs that lacked more devices than it can do without.
	Lost []machine.Mount
	// Mixed are those of a btrfs of which the kernel knew devices that are not, or not
	// any more, of the same filesystem.
	Mixed     []machine.Mount
	mounted   map[string]mount // by mount point
	written   map[string]string
	variables map[string]bool // where the firmware's are mounted
	loops     []string
	spent     []int // how often each fault has struck
	lastEvent time.Duration
	eventOf   map[string]time.Duration
	running   bool // the core runs
	answer    func(p machine.Prompt) (string, time.Duration, error)
	queue     []event
	seq       uint64
	current   *operation
	underWay  []*operation
	closed    bool
	asked     map[string]*operation

	ownRoom  bool
	devLinks map[string]string
	inputs   *inputs.Log
	world    machine.Machine // what operations see
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
	ueventd.Operation
	m      *Machine
	on     *coro.Coroutine // runs it, once it was begun
	value  any             // its result
	failed error
	woken  bool
	err    error // with which its question was withdrawn
}

// compiled are rules as they are in an image, and as they are read.
type compiled struct {
	text  []byte
	table *rules.Table
}

// table is our own rules, compiled once.
var table = sync.OnceValues(func() (compiled, error) {
	files, err := compile.Collect([]compile.Dir{{Name: "rules", FS: ours.FS}}, nil)
	if err != nil {
		return compiled{}, err
	}
	res, err := compile.Compile(files, compile.Options{Group: func(string) (uint32, bool) { return 6, true }, Builtin: ours.Builtin, ProgramBuiltin: ours.ProgramBuiltin})
	if err != nil {
		return compiled{}, err
	}
	tab, err := rules.Open(res.Table)
	return compiled{res.Table, tab}, err
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
	if m.Room == nil {
		m.Room, m.ownRoom = &Room{}, true
	}
	m.sys = newTree(m.Room)
	m.kmod = newModules(m.Modules)
	m.disks, m.numbers = map[string]*Disk{}, map[devnum]*Disk{}
	m.away, m.slots = map[*Disk]bool{}, map[string][]*Disk{}
	m.keyring, m.btrfs = map[string][]byte{}, map[string][]btrfsMember{}
	m.mounted, m.asked = map[string]mount{}, map[string]*operation{}
	m.eventOf = map[string]time.Duration{}
}

// Boot boots until the real system starts, the machine stops, or the virtual
// time is limit. Nothing left to happen ends it too.
func (m *Machine) Boot(limit time.Duration) error {
	m.init()
	m.rng = rand.New(rand.NewPCG(m.Seed, 1))
	built, err := table()
	if err != nil {
		return err
	}
	if err := m.disturb(); err != nil {
		return err
	}
	cfg, problems := bootcmd.Parse(bootcmd.Source{Name: "/proc/cmdline", Text: m.Cmdline})
	if m.Record {
		m.inputs = inputs.New(inputs.Setup{Version: version.Version, Start: m.now, Image: m.Image, Rules: built.text,
			Sources: []inputs.Source{{Name: "/proc/cmdline", Text: bootcmd.RedactText(bootcmd.Source{Name: "/proc/cmdline", Text: m.Cmdline})}}})
	}
	missing := func(text string) { m.Core.World().AddMissing(text) }
	m.Core = boot.New(boot.Options{Config: cfg, Problems: problems, Image: m.Image, Sys: m.sys, Coroutines: &m.Room.coroutines,
		Rules:    udevd.NewTable(built.table, cfg.Params, m.inputs.Matches(m.matches), missing),
		Handlers: m.Handlers, Start: m.now, Inputs: m.inputs})
	m.world = m
	if m.Journal = m.Room.journal[:0]; cap(m.Journal) == 0 {
		m.Journal = make([]byte, 0, 24<<10)
	}
	if m.Wrap != nil {
		m.world = m.Wrap(m)
	}
	m.Core.Start()
	for rounds := 0; ; rounds++ {
		if rounds > 1_000_000 {
			return fmt.Errorf("sim: still busy after %d rounds at %v", rounds, m.now)
		}
		m.running = true
		m.Core.Run()
		m.running = false
		m.takeOut()
		if m.AfterStep != nil {
			m.AfterStep()
		}
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

// matches says whether the image has a module for an alias.
func (m *Machine) matches(alias string) bool { return len(m.kmod.match(alias)) > 0 }

func (m *Machine) latency(what string) time.Duration {
	if m.Latency != nil {
		return m.Latency(what)
	}
	return time.Duration(m.rng.Int64N(int64(20 * time.Millisecond)))
}

func (m *Machine) start(op ueventd.Operation) {
	o := &operation{Operation: op, m: m}
	takes := m.latency(op.What)
	if f := m.fault(OperationSlow, op.What); f != nil {
		takes += f.For
	}
	m.At(m.now+takes, o.step)
}

// run carries the operation out, on its coroutine.
func (o *operation) run() {
	m := o.m
	defer func() {
		if p := recover(); p != nil {
			o.failed = fmt.Errorf("internal error: %v", p)
		}
	}()
	if m.Fail != nil {
		if o.failed = m.Fail(o.What); o.failed != nil {
			return
		}
	}
	if f := m.fault(OperationFails, o.What); f != nil {
		o.failed = fmt.Errorf("%s: %w", o.What, f.err())
		return
	}
	if m.fault(OperationPanics, o.What) != nil {
		panic("injected")
	}
	o.value, o.failed = o.Run(m.world)
}

// step lets the operation go on until it waits or ends.
func (o *operation) step() {
	m := o.m
	if o.on == nil {
		o.on = m.Room.coroutines.Get(o.run)
		m.underWay = append(m.underWay, o)
	}
	m.current = o
	ended := o.on.Resume()
	m.current = nil
	if !ended {
		return
	}
	m.underWay = slices.DeleteFunc(m.underWay, func(x *operation) bool { return x == o })
	m.Finished = append(m.Finished, o.What)
	m.Core.Finish(o.ID, o.value, o.failed)
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
				o.step()
			}
		})
	}
	if !m.closed {
		o.on.Pause()
	}
	if m.closed {
		panic("sim: the machine was closed")
	}
}

// Close ends what is still going on after Boot and leaves the memory to the
// next machine with the same Room: for who boots many. Neither the core nor
// what the machine has recorded may be used after it.
func (m *Machine) Close() {
	m.closed = true
	for _, o := range m.underWay {
		m.current = o
		o.on.Resume()
	}
	m.underWay = nil
	if m.Core != nil {
		m.Core.Close()
	}
	m.Room.journal = m.Journal
	if m.sys != nil {
		m.sys.clear()
	}
	if m.ownRoom {
		m.Room.coroutines.Close()
	}
}

// Close ends the coroutines that wait for a next machine.
func (r *Room) Close() { r.coroutines.Close() }

// Room is memory that one machine leaves to the next, and stacks that have
// grown. The zero value is empty. It is for one machine at a time.
type Room struct {
	coroutines coro.Stock
	journal    []byte
	nodes      [][]node // of sysfs
}

// SaidText is all that was said loudly, one after the other. Sentences that
// were broken to fit a screen are whole.
func (m *Machine) SaidText() string {
	var b strings.Builder
	for _, l := range m.Said {
		if l.Urgency == handler.Loud {
			b.WriteString(strings.ReplaceAll(l.Text, "\n           ", " ") + "\n")
		}
	}
	return b.String()
}
