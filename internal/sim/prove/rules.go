package prove

import (
	"slices"
	"strings"
	"time"

	"firstlight/internal/handler"
	"firstlight/internal/machine"
	"firstlight/internal/sim"
	"firstlight/internal/sim/content"
	"firstlight/internal/sim/gen"
)

// Names of rules that are checked here; those of watch are in words there.
const (
	wrongRoot  = "the right root"
	earlyWrite = "resume comes before any write"
	ambiguous  = "nothing ambiguous is activated"
	degraded   = "nothing starts degraded too soon"
	outdated   = "what has missed writes is not used"
	// readOnlyArray is of those for which rd.md.degraded=ro counts.
	readOnlyArray = "a degraded array is started as asked"
	secret        = "secrets are kept"
	verdict       = "the boot comes to what it should"
	inTime        = "failures come inside the deadline"
	tooEarly      = "deadlines are kept"
	explanation   = "the explanation names the fault"
	quiet         = "no timer passes without trouble"
	twiceDone     = "nothing is mounted twice"
	unmended      = "no check of a filesystem is interrupted"
	lostImage     = "a hibernated system is resumed"
)

// decided is called with an operation that the core has just begun.
func (t *trial) decided(what string) {
	t.look()
	switch {
	case strings.HasPrefix(what, "start RAID array "):
		t.startsArray(what)
	case strings.HasPrefix(what, "tell btrfs of "):
		t.tellsBtrfs(what, strings.Fields(strings.TrimPrefix(what, "tell btrfs of ")))
	case strings.HasPrefix(what, "unlock "):
		_, name, _ := strings.Cut(what, " as ")
		for i := range t.d.Nodes {
			if n := &t.d.Nodes[i]; n.Kind == gen.LUKS && t.d.MappingName(n) == name {
				t.notTwice(what, "crypto_LUKS "+n.UUID+" ")
			}
		}
	case strings.HasPrefix(what, "activate logical volume "):
		name, _, _ := strings.Cut(strings.TrimPrefix(what, "activate logical volume "), "/")
		for i := range t.d.Nodes {
			if n := &t.d.Nodes[i]; n.Kind == gen.Group && n.Name == name {
				t.wholeGroup(what, n)
				for _, pv := range n.On {
					t.notTwice(what, "LVM2_member "+t.built.pvs[pv]+" ")
				}
			}
		}
	case strings.HasPrefix(what, "mount "):
		t.mounts(what)
	}
}

// patience is how long the core may need until it acts on what it knows.
func (t *trial) patience() time.Duration {
	return 500*time.Millisecond + t.d.Margin() - 4*time.Second
}

func (t *trial) notTwice(what, identity string) {
	for id, since := range t.seen.twins {
		if strings.HasPrefix(id, identity) && t.sim.Now()-since > t.patience() {
			t.w.broken(ambiguous, t.sim.Now(), "%s: %s is there twice since %v", what, id, since)
		}
	}
}

// tellsBtrfs checks that the kernel is not told of a member of which there is
// another one: it would take the one for the other.
func (t *trial) tellsBtrfs(what string, nodes []string) {
	now := t.sim.Now()
	devices := t.sim.Core.World().Devices
	for _, node := range nodes {
		e := devices.ByName(node)
		if e == nil || identity(e) == "" {
			continue
		}
		for _, o := range devices.Block() {
			// What has come at this very moment may have come after the decision.
			if o != e && identity(o) == identity(e) && (o.Changed < now || slices.Contains(nodes, o.Devname())) {
				t.w.broken(ambiguous, now, "%s: %s is the same member as %s", what, node, o.Devname())
			}
		}
	}
}

// startsArray checks a start of an array against the members that there are.
func (t *trial) startsArray(what string) {
	for i := range t.d.Nodes {
		n := &t.d.Nodes[i]
		if n.Kind != gen.Array || !strings.Contains(what, n.Name) {
			continue
		}
		_, list, _ := strings.Cut(what, " of ")
		given := len(strings.Fields(list))
		for _, node := range strings.Fields(list) { // what is left out may be there twice
			if e := t.sim.Core.World().Devices.ByName(node); e != nil && identity(e) != "" {
				t.notTwice(what, identity(e))
			}
		}
		t.nothingStale(what, n, strings.Fields(list))
		wait, how := t.d.DegradedArrays()
		t.whole(what, n, given, 0, wait)
		if how == gen.Never && given < len(n.On) && !t.d.Has(gen.Stale) && !t.d.Has(gen.Split) {
			t.w.broken(degraded, t.sim.Now(), "%s: it is not to be started without a member", what)
		}
		// Members that their own array takes for lost are not waited for.
		if given < len(n.On) && t.w.asking > 0 && t.locked(n) && !t.d.Has(gen.Stale) && !t.d.Has(gen.Split) {
			t.w.broken(degraded, t.sim.Now(), "%s: a passphrase is being typed, and a member is encrypted", what)
		}
	}
}

// nothingStale checks that an array is not started with a member that has
// missed writes beside one that has them.
func (t *trial) nothingStale(what string, n *gen.Node, given []string) {
	stale, fresh := "", false
	for _, name := range given {
		d, _ := t.sim.Shows(name)
		slot := slices.IndexFunc(n.On, func(on int) bool { return d != nil && t.built.disks[on] == d })
		if slot < 0 {
			continue
		}
		if slices.Contains(t.d.StaleSlots(n), slot) {
			stale = name
		} else {
			fresh = true
		}
	}
	if stale != "" && fresh {
		t.w.broken(outdated, t.sim.Now(), "%s: %s has missed writes", what, stale)
	}
}

// locked says whether a member of an array is encrypted.
func (t *trial) locked(n *gen.Node) bool {
	return slices.ContainsFunc(n.On, func(on int) bool { return t.d.Node(on).Kind == gen.LUKS })
}

// whole checks that what is started with some of its members leaves none out
// that is there, and has waited for the others.
func (t *trial) whole(what string, n *gen.Node, given, copies int, wait time.Duration) {
	for _, f := range t.d.Faults {
		if f.Node == n.ID && (f.Trouble == gen.Stale || f.Trouble == gen.Split) {
			return // there are members that are not to be used
		}
	}
	now := t.sim.Now()
	known, since := t.seen.members[n.UUID]-copies, t.seen.since[n.UUID]
	unread := slices.ContainsFunc(t.d.Faults, func(f gen.Fault) bool {
		return f.Trouble == gen.Fails && f.N != 1 && strings.HasPrefix("read the RAID superblock", f.What)
	})
	if given < min(known, len(n.On))-t.hollow(n) && now-since > t.patience() && !unread {
		t.w.broken(degraded, now, "%s: %d members are there since %v", what, known, since)
	}
	if given < len(n.On) && t.waited(n.UUID) < wait {
		t.w.broken(degraded, now, "%s: the last member came at %v, and %v are to be waited", what, since, wait)
	}
}

// asConfigured checks that arrays without a member that they had were started
// as the command line wants it.
func (t *trial) asConfigured() {
	if _, how := t.d.DegradedArrays(); how != gen.ReadOnly || t.d.Has(gen.Stale) || t.d.Has(gen.Split) {
		return
	}
	for _, a := range t.sim.Arrays {
		if (a.Missing > 0) != a.ReadOnly {
			t.w.broken(readOnlyArray, a.At, "%s lacks %d members, and it is read-only: %t", a.Name, a.Missing, a.ReadOnly)
		}
	}
}

// hollow is how many members of something are mappings of a disk that was
// pulled out: they stay, and cannot be read.
func (t *trial) hollow(n *gen.Node) (members int) {
	for _, on := range n.On {
		if k := t.d.Node(on).Kind; k != gen.Disk && k != gen.Part && t.torn(on) {
			members++
		}
	}
	return members
}

// wholeGroup checks that volumes that nobody names are not activated while
// disks of the group are still to come.
func (t *trial) wholeGroup(what string, n *gen.Node) {
	now := t.sim.Now()
	known, since := t.known(n.Name), t.seen.since[n.Name]
	if known < len(n.On) && t.waited(n.Name) < t.d.Degraded() && !t.volumesNamed() {
		t.w.broken(degraded, now, "%s: the last disk of it came at %v, and %v are to be waited", what, since, t.d.Degraded())
	}
}

// volumesNamed says whether the command line may name logical volumes: those
// need not wait for the rest of their group.
func (t *trial) volumesNamed() bool {
	return slices.ContainsFunc(t.d.Params, func(p gen.Param) bool {
		n := t.d.Node(p.Node)
		if n == nil {
			return false
		}
		return n.Kind == gen.LV || p.By == "path" && len(n.On) > 0 && t.d.Node(n.On[0]).Kind == gen.LV
	})
}

// mounts checks a mount that was decided.
func (t *trial) mounts(what string) {
	var n *gen.Node
	var p *gen.Param
	switch {
	case strings.Contains(what, " on "+handler.SysRoot+" as "):
		p = t.d.Param(gen.Root)
		n = t.d.Node(t.truth.Root)
	default:
		return
	}
	if n == nil {
		return
	}
	if n.Kind == gen.Btrfs && len(n.On) > 1 {
		t.notTwice(what, "btrfs "+n.UUID+" ")
		if strings.Contains(what, "degraded") {
			t.whole(what, n, t.seen.members[n.UUID], 0, t.d.Degraded())
		}
		return
	}
	if p.By != "path" {
		t.notTwice(what, string(n.Kind)+" "+n.UUID+" ")
	}
}

// wrote checks a write: nothing may be written while a hibernated system may
// still be resumed.
func (t *trial) wrote(w sim.Write) {
	p := t.d.Param(gen.Resume)
	if p == nil || t.d.Param(gen.NoResume) != nil || t.tried {
		return
	}
	swap := t.d.Node(p.Node)
	if swap == nil {
		return
	}
	patience := 30 * time.Second
	if d := t.d.Deadline(); d > 0 {
		patience = min(patience, d)
	}
	// The journal has whole microseconds, and so has what a question took.
	if t.d.Has(gen.Jump) || t.w.clock(w.At) >= patience-time.Millisecond {
		return // it was waited for long enough
	}
	if !swap.Image && t.seen.ever["swap "+swap.UUID+" "] {
		return // it could be seen that it holds none
	}
	// What could not be read cannot be resumed either.
	if t.d.Has(gen.Fails) || t.d.Has(gen.Unread) || t.d.Has(gen.Signature) {
		return
	}
	// A member that has missed writes, alone, shows an older state under the
	// array's name.
	outdated := func(n *gen.Node) bool { return len(t.d.StaleSlots(n)) > 0 }
	if p.By == "path" && slices.ContainsFunc(t.d.Below(swap.ID), outdated) {
		return
	}
	t.w.broken(earlyWrite, w.At, "%s was written to by %s before it was known whether %s holds an image", w.Disk.Node(), w.By, p.Text)
}

// shows says whether the swap header on a device has that UUID.
func (t *trial) shows(node, uuid string) bool {
	b, err := t.sim.OpenBlock(node)
	if err != nil {
		return false
	}
	defer b.Close()
	var head [16]byte
	_, err = b.ReadAt(head[:], 1024+12)
	return err == nil && head == content.UUID(uuid)
}

// observed is the machine as operations see it, under watch.
type observed struct {
	machine.Machine
	t *trial
}

// Mount notes how often the root is mounted.
func (o observed) Mount(m machine.Mount) error {
	err := o.Machine.Mount(m)
	if err == nil && m.Target == handler.SysRoot {
		if o.t.roots++; o.t.roots > 1 {
			o.t.w.broken(twiceDone, o.t.sim.Now(), "the root, now from %s", m.Source)
		}
		o.t.rightRoot(m.Source)
	}
	return err
}

// rightRoot checks that what is mounted is the root that was asked for.
func (t *trial) rightRoot(source string) {
	d := t.sim.Mounted(handler.SysRoot)
	if d == nil || t.truth.Root == 0 {
		return
	}
	if mark := d.Files[rootMark]; mark != markOf(t.truth.Root) {
		t.w.broken(wrongRoot, t.sim.Now(), "%s is mounted, which is %q, not %q", source, mark, markOf(t.truth.Root))
	} else if !t.sim.MountedWhole(handler.SysRoot) && !t.torn(t.truth.Root) {
		t.w.broken(wrongRoot, t.sim.Now(), "%s is mounted, of which not all is what it should be", source)
	}
}

// torn says whether a disk of a node was pulled out by now. What was mapped
// over it goes on without, also when it comes back: the kernel then gives errors
// for what lay there, and nothing wrong.
func (t *trial) torn(node int) bool {
	for _, n := range t.d.Below(node) {
		for _, f := range t.d.Faults {
			if f.Trouble == gen.Flaps && f.Node == n.ID && t.sim.Now() >= time.Duration(f.At)*time.Millisecond {
				return true
			}
		}
	}
	return false
}

// Resume notes that it was tried.
func (o observed) Resume(major, minor uint32, offset uint64) error {
	o.t.tried = true
	return o.Machine.Resume(major, minor, offset)
}

// Stop checks that no checker is interrupted.
func (o observed) Stop(how machine.Power) error {
	for what := range o.t.w.underWay() {
		if strings.HasPrefix(what, checker) {
			o.t.w.broken(unmended, o.t.sim.Now(), "%s while %s is under way", how, what)
		}
	}
	return o.Machine.Stop(how)
}

// SwitchRoot checks what is left behind.
func (o observed) SwitchRoot(s machine.SwitchRoot) error {
	if o.t.sim.Core.World().Secrets != nil {
		o.t.w.broken(secret, o.t.sim.Now(), "passphrases are still in memory when the real system starts")
	}
	return o.Machine.SwitchRoot(s)
}

// end checks what the boot came to.
func (t *trial) end() {
	m, w, truth := t.sim, t.w, t.truth
	now := m.Now()
	kept := newKept(t.secrets())
	kept.in(m.Journal, func(s string) { w.broken(secret, now, "%q is in the journal", s) })
	for _, l := range m.Said {
		kept.in([]byte(l.Text), func(s string) { w.broken(secret, now, "%q was said", s) })
	}
	t.came()
	t.asConfigured()
	if m.Resumed != "" {
		t.resumed()
	}
	if at, ok := w.givenUp["root"]; ok && !t.d.Has(gen.Jump) {
		if g := m.Core.World().Goals.Get("root"); g != nil && at < t.d.Deadline()-time.Millisecond && w.fired["goal "] > 0 && g.Reason == "it did not come in time" {
			w.broken(tooEarly, now, "the root was given up after %v of %v", at, t.d.Deadline())
		}
	}
	if truth.Quiet {
		if n := m.Core.Stats().Fired; n != 0 {
			w.broken(quiet, now, "%d timers passed", n)
		}
	}
	if t.r.Failed >= 0 {
		t.failed()
	}
}

// came compares how the boot ended with the truth.
func (t *trial) came() {
	m, w, truth := t.sim, t.w, t.truth
	now := m.Now()
	switch truth.Verdict {
	case gen.Boots:
		if m.Started == nil {
			w.broken(verdict, now, "it was to start")
		} else if t.r.Failed >= 0 {
			w.broken(verdict, t.r.Failed, "it started, but gave up before")
		}
	case gen.Resumes:
		if m.Resumed == "" {
			w.broken(lostImage, now, "it was to resume")
		}
	case gen.GivesUp:
		if m.Started != nil {
			w.broken(verdict, now, "it was not to start")
		} else if t.r.Failed < 0 {
			w.broken(verdict, now, "it was to give up, with an explanation")
		}
	case gen.Asks:
		if m.Started != nil {
			w.broken(verdict, now, "it started although nobody typed")
		}
	case gen.May:
		if m.Started == nil && m.Resumed == "" && t.r.Failed < 0 && w.asking == 0 && t.d.Deadline() > 0 {
			w.broken(verdict, now, "it neither starts nor says why not")
		}
	}
}

func (t *trial) resumed() {
	swap := t.d.Node(t.truth.Resume)
	if p := t.d.Param(gen.Resume); swap == nil && p != nil {
		swap = t.d.Node(p.Node)
	}
	if swap == nil || !t.truth.MayResume || !swap.Image || !t.shows(t.sim.Resumed, swap.UUID) {
		t.w.broken(wrongRoot, t.sim.Now(), "resumed from %s", t.sim.Resumed)
	}
}

// lockedBesides are the encrypted devices that a screen had no room for, if it
// has used what there is for others.
func (t *trial) lockedBesides(screen string) string {
	shown, rest := 0, ""
	for i := range t.d.Nodes {
		n := &t.d.Nodes[i]
		switch {
		case n.Kind != gen.LUKS:
		case strings.Contains(screen, n.UUID):
			shown++
		case t.seen.ever["crypto_LUKS "+n.UUID+" "]:
			rest += " " + n.UUID
		}
	}
	if shown < 8 {
		return ""
	}
	return rest
}

// failed checks the failure screen.
func (t *trial) failed() {
	w, truth := t.w, t.truth
	at := t.r.Failed
	if truth.Verdict == gen.GivesUp || truth.Verdict == gen.May {
		if limit := truth.By + w.asked; at > limit {
			w.broken(inTime, at, "it was to be given up by %v", limit)
		}
	}
	if truth.Verdict == gen.Boots || len(truth.Names) == 0 {
		return
	}
	screen := strings.Join(strings.Fields(t.r.Screen), " ") // its lines are broken where they are full
	if strings.Contains(screen, "… and ") {
		// A screen has room for so much: what is known counts then.
		for _, f := range t.facts {
			screen += " " + f.Subject + " " + f.Text
		}
		screen += t.lockedBesides(screen)
	}
	if !slices.ContainsFunc(truth.Names, func(n string) bool { return n != "" && strings.Contains(screen, n) }) {
		w.broken(explanation, at, "none of %q is in\n%s", truth.Names, t.r.Screen)
	}
}
