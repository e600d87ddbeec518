package boot

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"firstlight/internal/bootcmd"
	"firstlight/internal/devspec"
	"firstlight/internal/filter"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/machine"
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
		c.sched.Push(ueventd.Event{Queue: filter.Boot, Kind: kindGo})
		return
	}
	if c.sched.Asking() {
		c.w.Goals.Pause(now)
	} else {
		c.w.Goals.Resume(now)
	}
	for g := c.w.Goals.Next(); g != nil && g.Deadline <= now; g = c.w.Goals.Next() {
		c.progressTimers++
		g.State, g.Reason = goal.GivenUp, "it did not come in time"
		c.log.Record(0, "deadline", "goal "+g.Name, "passed: "+g.Want)
		c.fail()
	}
	c.inform(now)
}

// fail starts the failure screen, once at a time.
func (c *Core) fail() {
	if !c.failing {
		c.failing = true
		c.sched.Push(ueventd.Event{Queue: filter.Boot + " failure", Kind: kindFail})
	}
}

// inform shows the line of progress after a time without any, and the whole
// explanation when that time gets long.
func (c *Core) inform(now time.Duration) {
	if c.failing || c.sched.Asking() {
		return
	}
	wait := c.opt.Config.Wait
	quiet := now - c.w.Activity
	if now >= c.explainAt() {
		if lines := c.situation().Explain(); c.explained == "" || c.changed(lines) {
			c.progressTimers++
			c.explained = signature(lines)
			c.shownProgress = now
			c.say(handler.Loud, "Still waiting.\n"+strings.Join(lines, "\n"))
		}
		return
	}
	if quiet >= wait.Progress && c.shownProgress <= c.w.Activity {
		c.progressTimers++
		c.shownProgress = now
		c.say(handler.Loud, c.situation().Progress())
	}
}

// explainAt is when the explanation is due: after a time in which nothing at
// all has come in, or three times that without progress, since a device that
// comes and goes must not keep the boot from saying what it waits for.
func (c *Core) explainAt() time.Duration {
	wait := c.opt.Config.Wait.Explain
	at := min(max(c.w.Activity, c.lastEvent)+wait, c.w.Activity+3*wait)
	if c.explained != "" {
		at = max(at, c.shownProgress+wait)
	}
	return at
}

// changed says whether an explanation says something else than the last one
// but for the passing of time.
func (c *Core) changed(lines []string) bool { return signature(lines) != c.explained }

// signature is an explanation without its times.
func signature(lines []string) string {
	var b strings.Builder
	for _, l := range lines {
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
		wait := c.opt.Config.Wait
		if c.shownProgress <= c.w.Activity {
			earlier(c.w.Activity + wait.Progress)
		}
		if c.explained == "" || c.lastEvent > c.shownProgress {
			earlier(c.explainAt())
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
		case d.Type == "crypto_LUKS" && !slices.ContainsFunc(s.Facts, func(f goal.Fact) bool { return strings.Contains(f.Subject, d.UUID) }):
			out = append(out, fmt.Sprintf("%s is encrypted and nothing asks to unlock it: add rd.luks.uuid=%s", d.Name, d.UUID))
		case spec.Kind == devspec.UUID && d.UUID != "" && near(spec.Value, d.UUID):
			out = append(out, fmt.Sprintf("%s has UUID %s, nearly the one asked for: correct root=", d.Name, d.UUID))
		case spec.Kind == devspec.Label && d.Label != "" && near(spec.Value, d.Label):
			out = append(out, fmt.Sprintf("%s has the label %q, nearly the one asked for: correct root=", d.Name, d.Label))
		}
	}
	return append(out, "check root= on the kernel command line against the devices above, and that every disk is connected")
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
		ueventd.Act(t, "reboot", func(m machine.Machine) error { return m.Stop(machine.Reboot) })
		return ueventd.Outcome{}
	}
	return c.failure(t)
}

// start gives the machine to the real system.
func (c *Core) start(t *ueventd.Task) ueventd.Outcome {
	if c.shell {
		c.say(handler.Loud, "Everything is there now. Leave the shell to start the system.")
		return ueventd.WaitFor("the person at the shell", topicShell)
	}
	c.w.Break(t, bootcmd.StageCleanup)
	c.w.Break(t, bootcmd.StageSwitchRoot)
	c.wipeSecrets()
	init, args := c.w.Init, c.opt.Args
	t.Record("decision", "start "+init+" in "+handler.SysRoot)
	err := ueventd.Act(t, "switch root to "+handler.SysRoot+" "+init, func(m machine.Machine) error {
		return m.SwitchRoot(machine.SwitchRoot{Root: handler.SysRoot, Init: init, Args: args})
	})
	// Only a failure comes back; everything is still in place.
	c.ended = false
	if err == nil {
		return ueventd.Outcome{}
	}
	g := c.w.Goals.Get("init")
	g.State, g.Reason = goal.GivenUp, "the real system could not be started: "+err.Error()
	c.fail()
	return ueventd.Fail(err)
}

func (c *Core) wipeSecrets() {
	for _, s := range c.w.Secrets {
		clear(s)
	}
	c.w.Secrets = nil
}
