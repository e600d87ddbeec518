package boot

import (
	"errors"
	"strings"
	"time"

	"firstlight/internal/bootcmd"
	"firstlight/internal/filter"
	"firstlight/internal/fmt"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/machine"
	"firstlight/internal/ueventd"
)

// again is how long the boot goes on listening before the screen is shown
// again, when nobody asked for anything else.
const again = 5 * time.Minute

// topicShell is notified when a person has left the emergency shell.
const topicShell = "shell left"

// failure shows what is wrong on every console and does what the command line
// asks for then: a shell, a reboot, power off; otherwise the boot goes on
// listening. Events count all the while: when what is missing comes, the boot
// goes on by itself.
func (c *Core) failure(t *ueventd.Task) ueventd.Outcome {
	f := c.opt.Config.Failure
	if c.readOthers(t); c.reachable() {
		c.resume() // what was given up came in this moment
		return ueventd.Outcome{}
	}
	c.save(t, c.screen(t, "The system cannot be started.", "\n"+c.nextStep()))
	switch {
	case f.Shell:
		c.emergency(t)
	case f.Action != bootcmd.ActionDefault:
		c.end(t, power(f.Action))
	case f.PanicSet && f.Panic != 0:
		c.pause(t, time.Duration(max(f.Panic, 0))*time.Second)
		if !c.reachable() {
			c.end(t, machine.Reboot)
		}
	default:
		c.pause(t, again)
	}
	if !c.stopped {
		c.resume()
	}
	return ueventd.Outcome{}
}

// emergency offers a person the shell; without one it does what is left.
//
// A shell opens when somebody at a console asks for it, and not before: as
// long as nobody has, the boot goes on by itself when it can. Once open it
// belongs to that person and is never taken away.
func (c *Core) emergency(t *ueventd.Task) {
	c.offered = true
	err := ueventd.Act(t, "offer the emergency shell", func(m machine.Machine) error { return m.OfferShell() })
	c.offered, c.shell = false, err == nil
	c.sched.Notify(topicShell)
	if err == nil {
		err = handler.Shell(t, "emergency shell")
		c.shell = false
		c.sched.Notify(topicShell)
	}
	if err == nil || errors.Is(err, machine.ErrDismissed) {
		return
	}
	t.Record("decision", "no shell: "+err.Error())
	if a := c.opt.Config.Failure.Action; a != bootcmd.ActionDefault {
		c.say(handler.Loud, "No shell: "+err.Error()+".")
		c.end(t, power(a))
		if c.stopped || c.reachable() {
			return
		}
	}
	f := c.opt.Config.Failure
	c.say(handler.Loud, "No shell: "+err.Error()+". "+c.listening())
	if !f.PanicSet || f.Panic == 0 {
		c.pause(t, again)
		return
	}
	c.pause(t, time.Duration(max(f.Panic, 0))*time.Second)
	if !c.reachable() {
		c.end(t, machine.Reboot)
	}
}

// nextStep says what happens after the screen.
func (c *Core) nextStep() string {
	f := c.opt.Config.Failure
	switch {
	case f.Shell:
		return "Next:    a shell, if this image has one; devices that come now still count"
	case f.Action != bootcmd.ActionDefault:
		return fmt.Sprintf("Next:    %s, as rd.emergency asks", power(f.Action))
	case f.PanicSet && f.Panic != 0:
		return fmt.Sprintf("Next:    reboot in %d s, as panic= asks", max(f.Panic, 0))
	}
	return "Next:    " + c.listening()
}

func (c *Core) listening() string {
	return "Devices that come now still count; Ctrl-Alt-Del reboots."
}

// end is halt where nobody but the command line asks for it: a filesystem that
// is being mended is not left half done, and if that was what the boot has
// waited for, it goes on.
func (c *Core) end(t *ueventd.Task, how machine.Power) {
	for len(c.w.Checks) > 0 { // what cannot be mounted then is checked again
		c.say(handler.Loud, string(how)+" when the check of "+strings.Join(c.w.Checks, " and of ")+" has ended")
		for len(c.w.Checks) > 0 {
			t.Wait("the check of "+strings.Join(c.w.Checks, " "), handler.TopicChecked)
		}
		c.pause(t, settleAfterCheck)
		if c.reachable() {
			return
		}
	}
	c.halt(t, how)
}

// settleAfterCheck is how long after the last check the mount may take.
const settleAfterCheck = 10 * time.Second

// halt ends the boot. It comes back when the machine could not be stopped.
func (c *Core) halt(t *ueventd.Task, how machine.Power) {
	c.w.WipeSecrets(true)
	if err := ueventd.Act(t, string(how), func(m machine.Machine) error { return m.Stop(how) }); err != nil {
		c.w.WipeSecrets(false)
		c.say(handler.Loud, string(how)+": "+err.Error())
		return
	}
	c.stopped, c.ended = true, true
}

// reachable says whether what was given up has come after all.
func (c *Core) reachable() bool {
	for _, g := range c.w.Goals.Open() {
		if g.State == goal.GivenUp {
			return false
		}
	}
	return true
}

// pause waits until what was given up has come after all, but no longer than
// the span.
func (c *Core) pause(t *ueventd.Task, span time.Duration) {
	deadline := t.Now() + span
	for !c.reachable() && t.Now() < deadline {
		if t.WaitUntil(deadline, "what was given up to come after all", handler.TopicGoals, handler.TopicRootMounted) {
			return
		}
	}
}

// resume sets the goals that were given up again, with new deadlines.
func (c *Core) resume() {
	now := c.sched.Now()
	for _, g := range c.w.Goals.Open() {
		if g.State == goal.GivenUp {
			g.State, g.Reason = goal.Unmet, ""
			g.Deadline = handler.DeadlineAt(c.w.Goals.From(g, now), c.opt.Config.Wait.Deadline)
		}
	}
	c.failing = false
	c.explained = ""
	c.w.Revision++
	c.w.Progress()
	c.w.Devices.LookAgain()
	c.w.Round++
	c.sched.Notify(handler.TopicRetry)
	c.sched.Push(ueventd.Event{Queue: filter.Root, Kind: filter.Add})
}

func power(a bootcmd.Action) machine.Power {
	switch a {
	case bootcmd.ActionPoweroff:
		return machine.PowerOff
	case bootcmd.ActionHalt:
		return machine.Halt
	}
	return machine.Reboot
}
