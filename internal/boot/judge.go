package boot

import (
	"slices"
	"strings"
	"time"

	"firstlight/internal/bootcmd"
	"firstlight/internal/devspec"
	"firstlight/internal/filter"
	"firstlight/internal/fmt"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/handler/mount"
	"firstlight/internal/machine"
	"firstlight/internal/udevd"
	"firstlight/internal/ueventd"
)

// Kinds of events of the boot queue.
const (
	kindBegin  = "begin"  // the command line is read
	kindGo     = "go"     // all conditions hold
	kindFail   = "fail"   // a goal was given up
	kindReboot = "reboot" // Ctrl-Alt-Del
)

// judge looks at the goals: do all hold, has one run out of time, is it time
// to say something?
func (c *Core) judge() {
	now := c.sched.Now()
	if c.w.Goals.Met() {
		c.ended = true
		c.sched.Push(ueventd.Event{Queue: filter.Boot, Kind: kindGo, Cause: c.lastGoal})
		return
	}
	for g := c.w.Goals.Next(); g != nil && g.Deadline <= now; g = c.w.Goals.Next() {
		c.progressTimers++
		n := c.log.Record(c.lastGoal, "deadline", "goal "+g.Name, "passed")
		if g.Owner != "" {
			g.Deadline = 0
			c.sched.Push(ueventd.Event{Queue: g.Owner, Kind: filter.Deadline, Cause: n})
			continue
		}
		g.State, g.Reason = goal.GivenUp, "it did not come in time"
		c.sched.Caused(n, c.noteGoals)
	}
	if slices.ContainsFunc(c.w.Goals.Open(), func(g *goal.Goal) bool { return g.State == goal.GivenUp }) {
		c.fail()
	}
	c.inform(now)
}

// fail starts the failure screen, once at a time.
func (c *Core) fail() {
	if !c.failing {
		c.failing = true
		c.sched.Push(ueventd.Event{Queue: filter.Boot + " failure", Kind: kindFail, Cause: c.lastGoal})
	}
}

// inform shows the line of progress after a time without any, and the whole
// explanation when that time gets long: again only when it says something
// else, and not before the same time has passed once more.
func (c *Core) inform(now time.Duration) {
	if c.failing || c.sched.Asking() {
		return
	}
	if at := c.explainAt(); at > 0 && at <= now {
		lines := c.situation().Explain()
		c.revision, c.looked = c.w.Revision, now
		if sig := signature(lines); sig != c.explained {
			c.progressTimers++
			c.explained, c.said = sig, now
			c.say(handler.Loud, "Still waiting.\n"+strings.Join(lines, "\n"))
		}
	}
	if at := c.progressAt(); at > 0 && at <= now {
		c.progressTimers++
		c.said = now
		c.say(handler.Loud, c.situation().Progress())
	}
}

// progressAt is when the line of progress is due, 0 for not before something
// happens: after each step forward it is shown once.
func (c *Core) progressAt() time.Duration {
	if c.said >= c.w.Activity {
		return 0
	}
	return handler.DeadlineAt(c.w.Activity, c.opt.Config.Wait.Progress)
}

// explainAt is when it is time to look whether there is something to explain,
// 0 for not before something happens: after a time in which nothing at all
// has come in, or three times that without progress, since a device that comes
// and goes must not keep the boot from saying what it waits for.
func (c *Core) explainAt() time.Duration {
	wait := c.opt.Config.Wait.Explain
	at := handler.DeadlineAt(max(c.w.Activity, c.lastEvent), wait)
	if at == 0 {
		return 0
	}
	at = min(at, c.w.Activity+3*wait)
	switch {
	case c.explained == "":
		return at
	case c.revision == c.w.Revision:
		return 0
	}
	return max(at, c.looked+wait)
}

// signature is an explanation without its times.
func signature(lines []string) string {
	var b strings.Builder
	for _, l := range lines {
		if strings.HasPrefix(l, "Doing:") {
			break // what is under way comes and goes
		}
		for _, cut := range [...]string{", since ", "; ", " since ", "given up after"} {
			if i := strings.Index(l, cut); i >= 0 {
				l = l[:i]
			}
		}
		b.WriteString(l)
		b.WriteByte('\n')
	}
	return b.String()
}

// NextDeadline returns when the core must be called although nothing has
// happened.
func (c *Core) NextDeadline() (at time.Duration, ok bool) {
	at, ok = c.sched.NextDeadline()
	earlier := func(t time.Duration) {
		if !ok || t < at {
			at, ok = t, true
		}
	}
	if c.ended || c.sched.Asking() {
		return at, ok
	}
	if g := c.w.Goals.Next(); g != nil {
		earlier(g.Deadline)
	}
	if !c.failing {
		for _, t := range [...]time.Duration{c.progressAt(), c.explainAt()} {
			if t > 0 {
				earlier(t)
			}
		}
	}
	return at, ok
}

// situation collects what an explanation is made from.
func (c *Core) situation() goal.Situation {
	s := goal.Situation{Now: c.sched.Now(), Set: c.w.Goals, Facts: c.w.Facts(), Drivers: c.w.Missing, Doing: c.sched.Busy()}
	waiting := c.w.Devices.Unidentified()
	for _, e := range c.w.Devices.Block() {
		d := goal.Device{Name: e.Devname(), Type: e.Property("ID_FS_TYPE"), UUID: e.Property("ID_FS_UUID"), Label: e.Property("ID_FS_LABEL")}
		if d.Type == "" {
			if pt := e.Property("ID_PART_TABLE_TYPE"); pt != "" {
				d.Type = pt + " partition table"
			}
		}
		if e.Err != nil {
			d.Note = e.Err.Error()
		}
		if since, ok := waiting[e.Devpath()]; ok {
			d.Note = "being identified for " + goal.Seconds(s.Now-since)
		}
		if e.Property("ID_FS_AMBIVALENT") != "" {
			d.Note = "more than one signature: " + e.Property("ID_FS_AMBIVALENT")
		}
		if emptyRAMDisk(d) {
			continue
		}
		s.Devices = append(s.Devices, d)
	}
	s.Try = c.advice(s)
	return s
}

// emptyRAMDisk leaves out the devices that drivers make in advance.
func emptyRAMDisk(d goal.Device) bool {
	return d.Type == "" && (strings.HasPrefix(d.Name, "/dev/loop") || strings.HasPrefix(d.Name, "/dev/ram") ||
		strings.HasPrefix(d.Name, "/dev/zram") || strings.HasPrefix(d.Name, "/dev/nbd"))
}

// advice is what can be said from the whole of the situation: a name that is
// nearly right, no disks at all, an encrypted device that nobody unlocks.
func (c *Core) advice(s goal.Situation) []string {
	var out []string
	spec := c.opt.Config.Root.Device
	if len(s.Devices) == 0 {
		return append(out, "no disk was found: the image may lack the driver of the disk's controller, or the disk is not connected")
	}
	if g := c.w.Goals.Get("root"); g == nil || g.State == goal.Met || len(c.w.Find(spec)) > 0 {
		return out
	}
	for _, d := range s.Devices {
		switch {
		case d.Type == "crypto_LUKS" && !c.unlocked(d.UUID) && !slices.ContainsFunc(s.Facts, func(f goal.Fact) bool { return strings.Contains(f.Subject, d.UUID) }):
			out = append(out, fmt.Sprintf("%s is encrypted and nothing asks to unlock it: add rd.luks.uuid=%s", d.Name, d.UUID))
		case spec.Kind == devspec.UUID && d.UUID != "" && near(spec.Value, d.UUID):
			out = append(out, fmt.Sprintf("%s has UUID %s, nearly the one asked for: correct root=", d.Name, d.UUID))
		case spec.Kind == devspec.Label && d.Label != "" && near(spec.Value, d.Label):
			out = append(out, fmt.Sprintf("%s has the label %q, nearly the one asked for: correct root=", d.Name, d.Label))
		}
	}
	// What is still being done, and be it that a passphrase is tried, or goes
	// on by itself in a while, may well bring the root: then nothing is wrong
	// with the command line.
	if slices.ContainsFunc(s.Facts, func(f goal.Fact) bool { return f.Condition == goal.Working || f.Until > s.Now }) {
		return out
	}
	return append(out, "check root= on the kernel command line against the devices above, and that every disk is connected")
}

// unlocked says whether a mapping of the encrypted device is there: its UUID
// in the device mapper has that of the device, without dashes.
func (c *Core) unlocked(uuid string) bool {
	plain := "-" + strings.ReplaceAll(uuid, "-", "") + "-"
	return slices.ContainsFunc(c.w.Devices.Block(), func(e *udevd.Entry) bool { return strings.Contains(e.Property("DM_UUID"), plain) })
}

// near says whether two names differ in at most two characters, or in case.
func near(a, b string) bool {
	a, b = strings.ToLower(a), strings.ToLower(b)
	if len(a) != len(b) || a == b {
		return a == b
	}
	diff := 0
	for i := range len(a) {
		if a[i] != b[i] {
			diff++
		}
	}
	return diff <= 2
}

// handle handles the events of the boot as a whole.
func (c *Core) handle(t *ueventd.Task, ev ueventd.Event) ueventd.Outcome {
	switch ev.Kind {
	case kindBegin:
		return c.begin(t)
	case kindGo:
		return c.start(t)
	case kindReboot:
		c.say(handler.Loud, "Ctrl-Alt-Del: rebooting")
		c.halt(t, machine.Reboot)
		return ueventd.Outcome{}
	}
	return c.failure(t)
}

// start gives the machine to the real system.
func (c *Core) start(t *ueventd.Task) ueventd.Outcome {
	if c.shell {
		c.say(handler.Loud, "Everything is there now. Leave the shell to start the system.")
		// Nobody need know the shell's password any more.
		ueventd.Act(t, "withdraw the shell's question", func(m machine.Machine) error {
			m.Dismiss(machine.ShellPrompt)
			return nil
		})
		if c.shell {
			return ueventd.WaitFor("the person at the shell", topicShell)
		}
	}
	c.w.Break(t, bootcmd.StageCleanup)
	c.w.Break(t, bootcmd.StageSwitchRoot)
	c.wipeSecrets()
	init, args := c.w.Init, c.opt.Args
	t.Record("switch-root", init)
	err := ueventd.Act(t, "switch root to "+handler.SysRoot+" "+init, func(m machine.Machine) error {
		return m.SwitchRoot(machine.SwitchRoot{Root: handler.SysRoot, Init: init, Args: args})
	})
	if err == nil {
		return ueventd.Outcome{} // a machine that only seems to start it
	}
	c.ended = c.stopped
	g := c.w.Goals.Get(mount.InitGoal)
	g.State, g.Reason = goal.GivenUp, "the real system could not be started: "+err.Error()
	return ueventd.Fail(err)
}

func (c *Core) wipeSecrets() {
	for _, s := range c.w.Secrets {
		clear(s)
	}
	c.w.Secrets = nil
}

// Explain writes what the failure screen would say now.
func (c *Core) Explain() []string { return c.situation().Explain() }
