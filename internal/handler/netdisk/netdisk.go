// Package netdisk is what the handlers of disks on servers share: each has a
// helper program that connects, which reports (netreport.StateDisk) what becomes of
// it. The reports become facts, and where the root is a disk of theirs that the
// command line does not name as a device, its device.
package netdisk

import (
	"strconv"
	"time"

	"firstlight/internal/devspec"
	"firstlight/internal/filter"
	"firstlight/internal/fmt"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/handler/mount"
	"firstlight/internal/machine"
	"firstlight/internal/netreport"
	"firstlight/internal/ueventd"
)

// Helper is a program that connects.
type Helper struct {
	W       *handler.World
	Queue   string // its own, also its name
	Path    string // in the image
	Args    []string
	Feature string // that has it
	Subject string // what a person calls what it does
	// Root: what it connects is the root itself, unless the command line names a
	// device.
	Root bool
	// Up is called whenever it says that something is there, Down when it says that
	// something is not; nil is nobody.
	Up, Down func()
	// Again is the time after which it is started again where it has failed, for the
	// first time; it doubles. 0 is not until a person asks for it.
	Again time.Duration
}

// Run starts the program and takes in what it says until it ends. It ends with
// code 0 when everything is connected and nothing is left to do.
func (h *Helper) Run(t *ueventd.Task, input string) ueventd.Outcome {
	err := ueventd.Act(t, "start "+h.Path, func(m machine.Machine) error {
		return m.Start(h.Queue, machine.Program{Path: h.Path, Args: h.Args, Input: []byte(input)})
	})
	if err != nil {
		return h.gone("the helper program cannot be started: "+err.Error(), "build the image with --feature "+h.Feature)
	}
	for {
		said, err := ueventd.Do(t, "listen to "+h.Queue, func(m machine.Machine) (machine.Said, error) { return m.Listen(h.Queue) })
		if err != nil {
			return h.gone("the helper program cannot be listened to: "+err.Error(), "")
		}
		for _, line := range said.Lines {
			h.take(t, line)
		}
		switch {
		case !said.Ended:
		case h.W.Leaving(), said.Code == 0:
			return ueventd.Outcome{}
		case h.Again > 0:
			return ueventd.Retry(h.Again, h.Subject+": "+fmt.Sprintf("the helper program has ended (exit %d)", said.Code))
		default:
			return h.gone(fmt.Sprintf("the helper program has ended (exit %d)", said.Code), "leave the shell, or start again, to have it started once more")
		}
	}
}

// gone says that nobody connects. It is tried again when a person asks for it.
func (h *Helper) gone(why, try string) ueventd.Outcome {
	h.W.SetFact(h.Queue, goal.Fact{Subject: h.Subject, Condition: goal.Blocked, Text: why, Try: try})
	return ueventd.WaitFor(why, handler.TopicRetry)
}

// conditions are those of a report.
var conditions = [...]goal.Condition{goal.Present, goal.LeftAlone, goal.Working, goal.Incomplete, goal.Blocked}

// take takes in a line of the program.
func (h *Helper) take(t *ueventd.Task, line string) {
	w := h.W
	r, ok := netreport.ParseReport(line)
	if !ok || r.State != netreport.StateDisk {
		if ok && r.State == netreport.StateProblem {
			w.Say(handler.Loud, r.Get("text"))
			return
		}
		if ok && r.State == netreport.StateNote {
			line = r.Get("text")
		}
		w.Say(handler.Detail, h.Queue+": "+line)
		return
	}
	t.Record("network", r.String(), "queue="+h.Queue)
	f := goal.Fact{Subject: r.Get("subject"), Condition: goal.Blocked, Text: r.Get("text"), Try: r.Get("try")}
	for _, c := range conditions {
		if r.Get("condition") == c.String() {
			f.Condition = c
		}
	}
	w.SetFact(h.Queue+" "+f.Subject, f)
	if f.Condition != goal.Present {
		if h.Down != nil {
			h.Down()
		}
		return
	}
	w.Progress()
	w.Say(handler.Detail, f.Subject+" "+f.Text)
	if h.Up != nil {
		h.Up()
	}
	if h.Root {
		h.root(t, &r)
	}
}

// root makes the disk the root, unless a device is named already.
func (h *Helper) root(t *ueventd.Task, r *netreport.Report) {
	root := &h.W.Config.Root
	device, err := devspec.Parse(r.Get("device"))
	if root.Device.IsDevice() || err != nil || !device.IsDevice() {
		return
	}
	t.Record("decision", "the root is "+device.String())
	root.Device = device
	if fs := r.Get("fstype"); fs != "" && fs != "auto" && len(root.FSTypes) == 0 {
		root.FSTypes = []string{fs}
	}
	if o := r.Get("options"); o != "" {
		if root.Flags != "" {
			o += ","
		}
		root.Flags = o + root.Flags // later ones are stronger
	}
	h.W.DropFact(mount.RootGoal)
	if g := h.W.Goals.Get(mount.RootGoal); g != nil && g.State != goal.Met {
		g.Want = r.Get("subject") + " (" + device.String() + ") mounted as the root"
	}
	h.W.Sched.Push(ueventd.Event{Queue: filter.Root, Kind: filter.Add})
}

// Number names one of several.
func Number(name string, n int) string {
	if n == 0 {
		return name
	}
	return name + " " + strconv.Itoa(n)
}
