package boot

import (
	"fmt"
	"strings"
	"time"

	"firstlight/internal/bootcmd"
	"firstlight/internal/filter"
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
	head := "The system cannot be started."
	c.say(handler.Loud, head+"\n"+strings.Join(c.situation().Explain(), "\n")+"\n"+c.nextStep())
	switch {
	case f.Action != bootcmd.ActionDefault && !f.Shell:
		c.stop(t, power(f.Action), 0)
	case f.PanicSet && f.Panic != 0 && !f.Shell:
		c.stop(t, machine.Reboot, time.Duration(max(f.Panic, 0))*time.Second)
	case f.Shell:
		c.shell = true
		err := ueventd.Act(t, "emergency shell", func(m machine.Machine) error { return m.Shell() })
		c.shell = false
		c.sched.Notify(topicShell)
		if err != nil {
			t.Record("decision", "no shell: "+err.Error())
			c.say(handler.Loud, "No shell: "+err.Error()+". "+c.listening())
			if f.Action != bootcmd.ActionDefault {
				c.stop(t, power(f.Action), 0)
			}
			c.rest(t)
		}
	default:
		c.rest(t)
	}
	c.resume()
	return ueventd.Outcome{}
}

// nextStep says what happens after the screen.
func (c *Core) nextStep() string {
	f := c.opt.Config.Failure
	switch {
	case f.Action != bootcmd.ActionDefault && !f.Shell:
		return fmt.Sprintf("Next:    %s, as rd.emergency asks", power(f.Action))
	case f.PanicSet && f.Panic != 0 && !f.Shell:
		return fmt.Sprintf("Next:    reboot in %d s, as panic= asks", max(f.Panic, 0))
	case f.Shell:
		return "Next:    a shell, if this image has one; leaving it tries again"
	}
	return "Next:    " + c.listening()
}

func (c *Core) listening() string {
	return "Devices that come now still count; Ctrl-Alt-Del reboots."
}

// stop ends the boot after a pause in which the goals may still be met.
func (c *Core) stop(t *ueventd.Task, how machine.Power, after time.Duration) {
	deadline := t.Now() + after
	for after > 0 && t.Now() < deadline && !c.w.Goals.Met() && !c.reachable() {
		if t.WaitUntil(deadline, "the pause before "+string(how), handler.TopicGoals, handler.TopicRootMounted) {
			break
		}
	}
	if c.reachable() {
		return
	}
	if err := ueventd.Act(t, string(how), func(m machine.Machine) error { return m.Stop(how) }); err != nil {
		c.say(handler.Loud, string(how)+": "+err.Error())
	}
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

// rest waits until a goal that was given up is met after all, or for the
// time after which the screen is shown again.
func (c *Core) rest(t *ueventd.Task) {
	deadline := t.Now() + again
	for !c.reachable() && t.Now() < deadline {
		if t.WaitUntil(deadline, "something to change", handler.TopicGoals, handler.TopicRootMounted) {
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
			g.Deadline = handler.DeadlineAt(now, c.opt.Config.Wait.Deadline)
		}
	}
	c.failing = false
	c.explained = ""
	c.w.Progress()
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
