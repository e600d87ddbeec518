// Package check says beforehand whether a machine would boot with an image. It
// runs the core that is in /init (package boot), with the rules and handlers
// and everything else that the image has, over the machine of a snapshot, and
// reports where that ends: in the real system, or on the failure screen.
//
// What it models is the kernel: a device is there once those above it have
// their drivers, a driver once its module could be loaded from the image, a
// stacked device once a handler has made it, and then it shows what the
// snapshot has in it. What the snapshot does not know is said to be unknown
// and never guessed.
//
// It is pure but for the snapshot and the image that it is given: it touches
// nothing of the machine that it runs on and reads no clock.
package check

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"firstlight/internal/boot"
	"firstlight/internal/handler"
	"firstlight/internal/kmod"
	"firstlight/internal/luksfmt"
	"firstlight/internal/snapshot"
	"firstlight/internal/timespan"
	"firstlight/internal/udevd"
	"firstlight/internal/ueventd"
)

// Verdict is what a check says.
type Verdict uint8

// Verdicts; their numbers are the exit codes of firstlight check.
const (
	Boots Verdict = iota
	Fails
	Unknown
)

func (v Verdict) String() string {
	return [...]string{"would boot", "would not boot", "cannot tell"}[v]
}

// Config says which boot is meant.
type Config struct {
	Cmdline string // the kernel's command line
	Kernel  string // release; "" is that of the image
	// Unattended says that nobody is there to type a passphrase. Otherwise
	// somebody is, and types the right one.
	Unattended bool
	// Passphrases are what the person types, in this order, one at a time; each
	// is tried against the header on the disk. Nil: the right one is typed.
	Passphrases []string
	// Handlers are what /init can do.
	Handlers []boot.Register
}

// Result is what came of it. Lists are never nil.
type Result struct {
	Verdict Verdict
	// Explanation is the failure screen's text if the boot fails; if nobody
	// can tell, it is why.
	Explanation []string
	// Conditions are what has to be true besides: a passphrase that is typed.
	Conditions []string
	// Warnings are what is wrong although the boot succeeds.
	Warnings []string
	// Asked are the questions that a person would be asked.
	Asked []string
	// Unseen are files that the boot looks for and the snapshot knows nothing
	// of: Snapshot.Look on that machine can add them.
	Unseen []snapshot.File

	Kernel  string        // release
	Root    string        // the device that is mounted as the root, ""
	Init    string        // the real system's init, ""
	Took    time.Duration // of the modelled clock: deadlines show in it
	Journal []byte        // the record of the modelled boot
}

// limit is the time of the modelled clock after which a boot counts as one
// that waits for ever.
const limit = 6 * time.Hour

// maxRounds bounds the work of a boot that gets nowhere.
const maxRounds = 2_000_000

// Run boots the image on the machine of the snapshot.
func Run(im *Image, s *snapshot.Snapshot, c Config) *Result {
	if c.Kernel == "" {
		c.Kernel = cmp.Or(im.Info.Kernel, s.Kernel)
	}
	res := &Result{Kernel: c.Kernel, Explanation: []string{}, Conditions: []string{}, Warnings: []string{}, Asked: []string{}}
	switch {
	case !im.ours:
		res.Verdict = Unknown
		res.Explanation = append(res.Explanation, "This image was not made by firstlight build; what its programs would do is not known.")
		return res
	case len(im.broken) > 0:
		res.Verdict, res.Explanation = Fails, slices.Clone(im.broken)
		return res
	}
	w := newWorld(im, s, c)
	w.run()
	w.judge(res)
	return res
}

// newWorld puts the machine together as the kernel finds it at its start.
func newWorld(im *Image, s *snapshot.Snapshot, c Config) *world {
	w := &world{im: im, snap: s, cfg: c, live: snapshot.NewTree(), disks: map[string]*disk{}, arrays: map[string]*array{},
		scanned: map[string]bool{}, links: map[string]string{}, written: map[string][]byte{}, typed: map[string]bool{},
		headers: map[string][]*luksfmt.Header{}, locked: map[string]string{}}
	cfg, problems := im.config(c.Cmdline)
	// What is said while a boot waits is for a person who waits; with it out of
	// the way the failure screen says everything.
	cfg.Wait.Progress, cfg.Wait.Explain = timespan.Forever, timespan.Forever
	w.modules = newModules(im, c.Kernel, cfg.Modules, w.builtin)
	for _, p := range []string{"/module/module/parameters/sig_enforce", "/power/resume"} {
		if s.Sys.Exists(p) {
			w.live.Set(p, "")
		}
	}
	w.devices = newDevices(w)
	w.devices.start()
	missing := func(text string) { w.core.World().AddMissing(text) }
	matches := func(alias string) bool { return len(im.index.Match(alias)) > 0 }
	info := im.Info
	info.Running = c.Kernel
	w.core = boot.New(boot.Options{Config: cfg, Problems: problems, Image: info, Sys: w.live,
		Rules: udevd.NewTable(im.rules, cfg.Params, matches, missing), Handlers: c.Handlers})
	return w
}

// builtin says whether the kernel that is started has a module built in: the
// image's index knows all of its own kernel's.
func (w *world) builtin(name string) bool {
	if w.im.Info.Kernel == w.cfg.Kernel {
		if id, ok := w.im.index.Lookup(name); ok {
			return w.im.index.Builtin(id)
		}
	}
	has, _ := w.snap.HasBuiltin(w.cfg.Kernel, name)
	return has
}

// step is something that will happen on the modelled machine.
type step struct {
	at time.Duration
	do func()
}

// later puts a step into the queue; steps of one time keep their order.
func (w *world) later(after time.Duration, do func()) {
	at := w.now + after
	i, _ := slices.BinarySearchFunc(w.queue, at, func(s step, at time.Duration) int {
		if s.at <= at {
			return -1
		}
		return 1
	})
	w.queue = slices.Insert(w.queue, i, step{at, do})
}

// run lets the core run until the real system starts or it is clear that it
// will not.
func (w *world) run() {
	w.core.Start()
	for range maxRounds {
		w.core.Run()
		for _, op := range w.core.Operations() {
			w.later(time.Millisecond, func() { w.carryOut(op) })
		}
		for _, m := range w.core.Messages() {
			if m.Urgency == handler.Loud {
				w.said = append(w.said, m.Text)
			}
		}
		w.journal = append(w.journal, w.core.Journal()...)
		if w.started != nil || w.stopped != "" || w.screen() != nil {
			return
		}
		at, ok := w.core.NextDeadline()
		switch {
		case len(w.queue) > 0 && (!ok || w.queue[0].at <= at):
			s := w.queue[0]
			w.queue = w.queue[1:]
			w.now = max(w.now, s.at)
			w.core.Advance(w.now)
			s.do()
		case !ok || at > limit:
			return
		default:
			w.now = max(w.now, at)
			w.core.Advance(w.now)
		}
	}
	w.unknown = addOnce(w.unknown, "the modelled boot does not come to an end")
}

// carryOut does one operation and hands its result to the core.
func (w *world) carryOut(op ueventd.Operation) {
	w.slow = 0
	w.secondUse(op.What)
	value, err := w.contained(op)
	if got, ok := value.(interface{ Header() *luksfmt.Header }); ok && err == nil {
		h := got.Header()
		w.headers[h.UUID] = append(w.headers[h.UUID], h)
		if node, ok := strings.CutPrefix(op.What, headerOf); ok {
			w.locked[node] = h.UUID
		}
		if w.typed[h.UUID] {
			w.assume(h.UUID)
		}
	}
	for _, m := range w.events {
		w.later(time.Millisecond, func() { w.core.Uevent(m) })
	}
	w.events = nil
	if w.slow == 0 {
		w.core.Finish(op.ID, value, err)
		return
	}
	w.later(w.slow, func() { w.core.Finish(op.ID, value, err) })
}

// contained runs an operation; a panic in it is its failure, as in PID 1.
func (w *world) contained(op ueventd.Operation) (value any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("internal error: %v", p)
			w.unknown = addOnce(w.unknown, err.Error()+" in: "+op.What)
		}
	}()
	return op.Run(w)
}

// triedAgain is how the handler of encrypted devices says that it tries what
// was typed for another one.
const triedAgain = "a passphrase that was typed before is being tried"

// secondUse assumes that a passphrase that was typed opens the further
// devices that it is tried on: most machines have one for all.
func (w *world) secondUse(what string) {
	if !strings.HasPrefix(what, "unlock ") || w.cfg.Passphrases != nil {
		return
	}
	for _, f := range w.core.World().Facts() {
		if f.Text != triedAgain {
			continue
		}
		if uuid := w.named(f.Subject); uuid != "" && !w.typed[uuid] {
			w.conditions = addOnce(w.conditions, "that passphrase opens "+f.Subject+" too, or its own is typed")
			w.typed[uuid] = true
			w.assume(uuid)
		}
	}
}

// headerOf begins what the handler of encrypted devices calls the reading of a
// header; the device follows, also where the header is elsewhere.
const headerOf = "read the LUKS header of "

// named finds the encrypted device that a text is about, by its UUID or, where
// the header is not on it, by its node.
func (w *world) named(text string) string {
	for uuid := range w.headers {
		if strings.Contains(text, uuid) {
			return uuid
		}
	}
	for node, uuid := range w.locked {
		if strings.Contains(text+" ", node+" ") {
			return uuid
		}
	}
	return ""
}

// assume makes the headers of a device open with what stands for the right
// passphrase.
func (w *world) assume(uuid string) {
	memory, _ := w.Memory()
	for _, h := range w.headers[uuid] {
		assume(h, memory)
	}
}

// judge fills in the result.
func (w *world) judge(res *Result) {
	res.Took, res.Journal, res.Unseen = w.now, w.journal, w.unseen
	res.Asked = append(res.Asked, w.asked...)
	res.Init = w.core.World().Init
	for _, m := range w.mounted {
		if m.point == handler.SysRoot && m.memory {
			res.Root = "a root in memory"
		}
		if m.point == handler.SysRoot && m.disk != nil {
			res.Root = m.disk.node()
			for _, x := range w.mapped {
				if x.disk == m.disk {
					res.Root = "/dev/mapper/" + x.info.Name
				}
			}
		}
	}
	if w.started != nil {
		res.Verdict = Boots
		res.Conditions = append(res.Conditions, w.conditions...)
		res.Warnings = append(res.Warnings, w.warnings()...)
		// A check that may find something, and files that nobody could look at.
		if len(w.unsure) > 0 {
			res.Verdict, res.Explanation = Unknown, append(res.Explanation, w.unsure...)
		}
		return
	}
	screen := w.screen()
	if screen == nil {
		screen = w.waits()
	}
	lost := w.lost(screen)
	if unknown := slices.Concat(w.unsure, w.unknown, w.modules.doubt); len(unknown) > 0 {
		res.Verdict, res.Explanation = Unknown, append(res.Explanation, unknown...)
		return
	}
	res.Verdict = Fails
	res.Explanation = append(res.Explanation, screen...)
	res.Explanation = append(res.Explanation, lost...)
}

// failureHead begins the failure screen.
const failureHead = "The system cannot be started"

// screen is the text of the failure screen, without its head and what comes
// next; nil until it is shown.
func (w *world) screen() []string {
	for _, text := range slices.Backward(w.said) {
		lines := strings.Split(text, "\n")
		if len(lines) > 1 && strings.HasPrefix(lines[0], failureHead) {
			return slices.DeleteFunc(lines[1:], func(l string) bool { return strings.HasPrefix(l, "Next:") })
		}
	}
	return nil
}

// waits says what a boot waits for that waits for ever, and so has shown no
// screen.
func (w *world) waits() []string {
	var out []string
	for _, g := range w.core.World().Goals.Open() {
		out = append(out, "Wanted:  "+g.Want+", for ever")
	}
	for _, f := range w.core.World().Facts() {
		out = append(out, "Needs:   "+f.Subject+": "+f.Text)
	}
	return out
}

// maxLost bounds the list of drivers that an image lacks.
const maxLost = 8

// lost says which devices have no driver in the image although block devices
// hang on them, where what was said does not say so. One for which the image has another driver may work or not.
func (w *world) lost(said []string) []string {
	var out []string
	for _, h := range w.devices.lacking() {
		if w.other(h) || slices.ContainsFunc(said, func(l string) bool { return names(l, h.module) }) {
			continue
		}
		if len(out) == maxLost {
			out = append(out, "         …")
			break
		}
		head := "         "
		if len(out) == 0 {
			head = "Lacking: "
		}
		why := "is not in this image"
		if id, ok := w.im.index.Lookup(h.module); ok && w.im.index.Path(id) != "" {
			why = "the boot does not load for it"
			if err := w.modules.loader.Load(h.module); err != nil {
				why = "could not be loaded: " + err.Error()
			}
		}
		out = append(out, fmt.Sprintf("%s%s needs the driver %s (module %s), which %s", head, path.Base(h.path), path.Base(h.driver), h.module, why))
	}
	return out
}

// names says whether a line names a module, in either spelling.
func names(line, module string) bool {
	return slices.ContainsFunc(strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" :,;()/", r) }),
		func(word string) bool { return kmod.NormalizeName(strings.TrimSuffix(word, ".ko")) == module })
}

// other notes that the image has another driver for a device.
func (w *world) other(h *hardware) bool {
	alias, err := w.snap.Sys.Read(h.path + "/modalias")
	if err != nil {
		return false
	}
	for _, id := range w.im.index.Match(alias) {
		if name := w.im.index.Name(id); name != h.module && w.modules.loaded[name] {
			w.unknown = addOnce(w.unknown, fmt.Sprintf("%s had the driver %s, which this image lacks; whether %s does as well is not known", path.Base(h.path), h.module, name))
			return true
		}
	}
	return false
}
