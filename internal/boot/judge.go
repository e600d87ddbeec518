package boot

import (
	"slices"
	"strings"
	"time"

	"firstlight/internal/bootcmd"
	"firstlight/internal/filter"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/handler/mount"
	"firstlight/internal/machine"
	"firstlight/internal/ueventd"
)

// Kinds of events of the boot queue.
const (
	kindBegin  = "begin"  // the command line is read
	kindGo     = "go"     // all conditions hold
	kindFail   = "fail"   // a goal was given up
	kindReboot = "reboot" // Ctrl-Alt-Del

	kindExplain = "explain" // the boot has waited for long
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
			// What its owner comes to may let the others go on: those whose time
			// is over at the same moment are looked at once more after that.
			c.sched.Push(ueventd.Event{Queue: g.Owner, Kind: filter.Deadline, Cause: n})
			c.inform(now)
			return
		}
		g.State = goal.GivenUp
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
	if c.failing {
		return
	}
	if c.sched.Asking() {
		c.warn()
		return
	}
	if at := c.explainAt(); at > 0 && at <= now {
		c.revision, c.looked = c.w.Revision, now
		if sig := strings.Join(c.situation(true).Explain(), "\n"); sig != c.explained {
			c.progressTimers++
			c.explained, c.said = sig, now
			c.sched.Push(ueventd.Event{Queue: filter.Boot + " explain", Kind: kindExplain, Cause: c.lastGoal})
		}
	}
	if at := c.progressAt(); at > 0 && at <= now {
		c.progressTimers++
		c.said = now
		c.say(handler.Loud, c.situation(false).Progress())
	}
}

// warn tells a person who is being asked something what stands in the way of
// the boot whatever the answer is, once of each object: the clocks stand still,
// and until they go on nothing else would say so.
func (c *Core) warn() {
	for _, f := range c.w.Facts() {
		if f.Condition == goal.Blocked && !slices.Contains(c.warned, f.Subject) {
			c.warned = append(c.warned, f.Subject)
			c.say(handler.Loud, f.Subject+": "+f.Text)
		}
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

// handle handles the events of the boot as a whole.
func (c *Core) handle(t *ueventd.Task, ev ueventd.Event) ueventd.Outcome {
	switch ev.Kind {
	case kindBegin:
		return c.begin(t)
	case kindGo:
		return c.start(t)
	case kindExplain:
		if !c.failing && !c.ended {
			c.screen(t, "Still waiting.", "")
		}
		return ueventd.Outcome{}
	case kindReboot:
		c.say(handler.Loud, "Ctrl-Alt-Del: rebooting")
		c.halt(t, machine.Reboot)
		return ueventd.Outcome{}
	}
	return c.failure(t)
}

// start gives the machine to the real system.
func (c *Core) start(t *ueventd.Task) ueventd.Outcome {
	if c.offered {
		// Nobody has come for the shell, and nobody need come any more. Whoever
		// does so at this very moment keeps it.
		ueventd.Act(t, "withdraw the offer of a shell", func(m machine.Machine) error {
			m.Dismiss(machine.ShellPrompt)
			return nil
		})
		if c.offered {
			return ueventd.WaitFor("the offer of a shell to be withdrawn", topicShell)
		}
	}
	if c.shell {
		c.say(handler.Loud, "Everything is there now. Leave the shell to start the system.")
		return ueventd.WaitFor("the person at the shell", topicShell)
	}
	c.w.Break(t, bootcmd.StageCleanup)
	c.w.Break(t, bootcmd.StageSwitchRoot)
	c.w.WipeSecrets(true)
	c.keepLogOut(t)
	if c.w.Last != nil {
		c.w.Last(t)
	}
	init, args := c.w.Init, append(slices.Clip(c.opt.Args), c.opt.Config.InitArgs...)
	t.Record("switch-root", init)
	err := ueventd.Act(t, "switch root to "+handler.SysRoot+" "+init, func(m machine.Machine) error {
		return m.SwitchRoot(machine.SwitchRoot{Root: handler.SysRoot, Init: init, Args: args})
	})
	if err == nil {
		return ueventd.Outcome{} // a machine that only seems to start it
	}
	c.ended = c.stopped
	c.w.WipeSecrets(c.ended)
	c.w.SetFact(mount.InitGoal, goal.Fact{Subject: init, Condition: goal.Blocked, Text: "could not be started: " + err.Error(),
		Try: "repair the system in the root from a rescue system, or name another program with init="})
	g := c.w.Goals.Get(mount.InitGoal)
	g.State = goal.GivenUp
	return ueventd.Fail(err)
}
