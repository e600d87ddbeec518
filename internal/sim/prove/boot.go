package prove

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"firstlight/internal/boot"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/handler/all"
	"firstlight/internal/machine"
	"firstlight/internal/sim"
	"firstlight/internal/sim/gen"
	"firstlight/internal/ueventd"

	"golang.org/x/sys/unix"
)

// trial is one boot under watch.
type trial struct {
	d      *gen.Machine
	truth  gen.Truth
	r      *Result
	sim    *sim.Machine
	w      *watch
	built  *built
	rng    *rand.Rand // of latencies
	seen   sights
	wrong  map[string]int // wrong answers given, by question
	fails  map[int]int    // injected errors so far, by fault
	writes int            // of sim.Writes that were looked at
	said   int            // of sim.Said likewise
	facts  []goal.Fact    // when the failure screen stood
	tried  bool           // a resume was tried
	roots  int            // how often the root was mounted
}

// Bench boots one machine after the other in the same memory. The zero value
// is ready. It is not safe for concurrent use.
type Bench struct{ room sim.Room }

// Close gives the memory back.
func (b *Bench) Close() { b.room.Close() }

// Boot boots a machine and checks it. The journal of a boot that broke no rule
// is there until the next one.
func (b *Bench) Boot(d *gen.Machine) *Result {
	truth := d.Truth()
	m := &sim.Machine{Cmdline: d.Cmdline(), Seed: d.Seed, Image: handler.Image{Version: "test", Full: d.Seed%2 == 0 || has(d, gen.Cached) || spread(d)}, Room: &b.room}
	r := &Result{Machine: d, Truth: truth, Sim: m, Failed: -1}
	t := &trial{d: d, truth: truth, r: r, sim: m, w: newWatch(len(d.Nodes)), rng: rand.New(rand.NewPCG(d.Seed, 3)),
		seen: newSights(), wrong: map[string]int{}, fails: map[int]int{}}
	m.Handlers = append(all.Handlers(), t.crashes)
	m.Wrap = func(w machine.Machine) machine.Machine { return observed{w, t} }
	m.AfterStep = t.step
	m.Latency = t.begins
	m.Fail = t.fail
	m.Answer = t.answer
	t.built = build(d, m)
	t.schedule()
	t.cards()
	m.Image.Features = []string{"bcache"}
	if d.Check {
		m.Image.Features = append(m.Image.Features, "fsck")
		m.Programs = map[string]func(*sim.Machine, []string) machine.Exit{checker: t.check}
	}
	if err := m.Boot(t.limit()); err != nil {
		t.w.broken("the boot comes to an end", m.Now(), "%v", err)
	}
	t.w.step(m.Journal)
	t.end()
	r.Violations, r.Asked = t.w.found, t.w.asking > 0
	journal := m.Journal
	if len(r.Violations) > 0 {
		m.Journal = nil // it is kept, and the next boot has another
	}
	m.Close()
	m.Journal = journal
	return r
}

// limit is when there is nothing left to see: whoever gave up by then shows
// his screen every five minutes.
func (t *trial) limit() time.Duration {
	questions := 0
	for _, p := range t.d.Params {
		if p.Subject == gen.Unlock {
			questions += 4
		}
	}
	asked := time.Duration(max(t.d.Person.After, 0)*questions) * time.Second
	return 2*t.d.Deadline() + asked + t.d.Margin() + 10*time.Minute
}

// crashes is a handler that panics when it is told to.
func (t *trial) crashes(w *handler.World) func() {
	w.Sched.Route("crash", func(*ueventd.Task, ueventd.Event) ueventd.Outcome { panic("injected") })
	return nil
}

var _ boot.Register = (*trial)(nil).crashes

// schedule puts the disks and what happens to them into the machine's future.
func (t *trial) schedule() {
	d, m := t.d, t.sim
	for i, n := range d.Disks() {
		disk := t.built.disks[n.ID]
		at := time.Duration(i*d.Gap) * time.Millisecond
		gone := false
		for _, f := range d.Faults {
			if f.Trouble == gen.Late && f.Node == n.ID {
				at = max(at, time.Duration(f.At)*time.Millisecond)
			}
			gone = gone || f.Trouble == gen.Missing && f.Node == n.ID || f.Trouble == gen.NoDriver && f.What == n.Bus && !d.Drivers
		}
		if gone {
			continue
		}
		t.plug(at, n, i, disk)
		for _, f := range d.Faults {
			if f.Node == n.ID {
				t.happens(f, n, disk, at)
			}
		}
	}
	for _, f := range d.Faults {
		at, until := time.Duration(f.At)*time.Millisecond, time.Duration(max(f.Until, f.At))*time.Millisecond
		switch f.Trouble {
		case gen.Crash:
			t.w.crashes++
			m.At(at, func() { m.Core.World().Sched.Push(ueventd.Event{Queue: "crash", Kind: "add"}) })
		case gen.Jump:
			m.Faults = append(m.Faults, sim.Fault{Kind: sim.ClockJumps, At: at, For: until - at})
		case gen.Overflow:
			m.Faults = append(m.Faults, sim.Fault{Kind: sim.EventsLost, At: at, For: until - at})
		case gen.Twice:
			m.Faults = append(m.Faults, sim.Fault{Kind: sim.EventsDuplicated, Times: f.N})
		case gen.Shuffle:
			m.Faults = append(m.Faults, sim.Fault{Kind: sim.EventsShuffled, For: until})
		case gen.Checker:
			switch f.What {
			case gen.Hangs:
				m.Faults = append(m.Faults, sim.Fault{Kind: sim.HelperHangs, Target: checker})
			case gen.Crashes:
				m.Faults = append(m.Faults, sim.Fault{Kind: sim.HelperCrashes, Target: checker})
			}
		case gen.Unread:
			if n := d.Node(f.Node); n != nil {
				m.Faults = append(m.Faults, sim.Fault{Kind: sim.ReadFails, Target: n.Name})
			}
		}
	}
}

// plug lets a disk appear, with its bus where it has one.
func (t *trial) plug(at time.Duration, n *gen.Node, slot int, disk *sim.Disk) {
	m := t.sim
	appear := func() { m.Plug(disk) }
	if t.d.Drivers {
		b := bus(n.Bus, slot, disk)
		appear = func() { m.Attach(b) }
	}
	if at == 0 {
		appear()
	} else {
		m.At(at, appear)
	}
}

// happens lets something happen to a disk.
func (t *trial) happens(f gen.Fault, n *gen.Node, disk *sim.Disk, there time.Duration) {
	m := t.sim
	at := max(time.Duration(f.At)*time.Millisecond, there)
	switch f.Trouble {
	case gen.Copy:
		t.built.copies++ // no two of them have one name, or one address
		name := disk.Name + "copy"
		if t.built.copies > 1 {
			name += string(rune('a' + t.built.copies%26))
		}
		twin := &sim.Disk{Name: name, Label: "copy of " + disk.Name, Content: disk.Content, Holds: disk.Holds,
			Size: disk.Size, Files: disk.Files, FSType: disk.FSType, Pool: disk.Pool}
		t.plug(at, n, 128+t.built.copies, twin)
	case gen.Changes:
		for i := range f.N {
			m.At(at+time.Duration(100*i)*time.Millisecond, func() {
				if disk.There() {
					m.Change(disk)
				}
			})
		}
	case gen.Flaps:
		until := max(time.Duration(f.Until)*time.Millisecond, at)
		was := false
		m.At(at, func() {
			was = disk.There()
			m.Unplug(disk)
		})
		m.At(until, func() {
			if was && !disk.There() {
				m.Plug(disk)
			}
		})
	}
}

// begins says how long an operation takes; it is called when it is begun,
// which is when it was decided.
func (t *trial) begins(what string) time.Duration {
	t.decided(what)
	d := time.Duration(0)
	if t.d.Latency > 0 {
		d = time.Duration(t.rng.Int64N(int64(t.d.Latency) * int64(time.Millisecond)))
	}
	for _, f := range t.d.Faults {
		if f.Trouble == gen.Slow && strings.HasPrefix(what, f.What) || f.Trouble == gen.Checker && strings.HasPrefix(what, checker) {
			d += time.Duration(f.Until) * time.Millisecond
		}
	}
	return d
}

// errnos are the errors with which operations fail.
var errnos = map[string]unix.Errno{"EIO": unix.EIO, "EBUSY": unix.EBUSY, "ENOMEM": unix.ENOMEM}

var errBroken = errors.New("it is " + gen.Broken)

func (t *trial) fail(what string) error {
	for i, f := range t.d.Faults {
		switch f.Trouble {
		case gen.Fails:
			if strings.HasPrefix(what, f.What) && (f.N < 0 || t.fails[i] < f.N) {
				t.fails[i]++
				if errno, ok := errnos[f.Errno]; ok {
					return fmt.Errorf("%s: %w: %w", what, errBroken, errno)
				}
				return fmt.Errorf("%s: %w", what, errBroken)
			}
		}
	}
	return nil
}

// answer is what the person types.
func (t *trial) answer(p machine.Prompt) (string, time.Duration, error) {
	who := t.d.Person
	after := time.Duration(who.After) * time.Second
	switch {
	case who.After < 0:
		return "", 24 * time.Hour, nil
	case who.Refuses:
		return "", after, machine.ErrCancelled
	}
	if t.wrong[p.ID] < who.Wrong || who.Wrong >= 3 {
		t.wrong[p.ID]++
		return "not the passphrase", after, nil
	}
	uuid := strings.TrimPrefix(p.ID, "luks ")
	for _, n := range t.d.Nodes {
		asked := slices.ContainsFunc(t.d.Params, func(p gen.Param) bool { return p.Subject == gen.Unlock && p.Node == n.ID })
		if n.Kind == gen.LUKS && n.UUID == uuid && asked {
			return n.Pass, after, nil
		}
	}
	t.w.broken("questions are for what is asked to be unlocked", t.sim.Now(), "%q is asked", p.ID)
	return "", after, machine.ErrCancelled
}

// step is called after each step of the core.
func (t *trial) step() {
	m := t.sim
	t.w.step(m.Journal)
	if t.w.hot {
		m.Stopped = machine.Halt // it would go on for long
		return
	}
	t.look()
	for ; t.writes < len(m.Writes); t.writes++ {
		t.wrote(m.Writes[t.writes])
	}
	for ; t.said < len(m.Said); t.said++ {
		if l := &m.Said[t.said]; t.r.Failed < 0 && strings.HasPrefix(l.Text, "The system cannot be started.") {
			t.r.Failed, t.r.Screen = l.At, l.Text
			t.facts = m.Core.World().Facts()
		}
	}
}

// secrets are what nobody may read: passphrases, and the keys behind them.
func (t *trial) secrets() []string {
	list := slices.Clone(t.built.keys)
	for _, n := range t.d.Nodes {
		if n.Pass != "" {
			list = append(list, n.Pass)
		}
	}
	return list
}
