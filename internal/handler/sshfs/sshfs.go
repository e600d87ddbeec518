// Package sshfs mounts a root that a server has and that is reached by SSH, by the
// distribution's sshfs.
//
// package network says where the server is. The helper program sshfs connects and
// mounts, aside; when the server has answered, what is mounted is moved to the root's
// place. The program stays, and connects again where a connection ends.
package sshfs

import (
	"errors"
	"strconv"
	"time"

	"firstlight/internal/bootcmd"
	"firstlight/internal/fstab"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/handler/mount"
	"firstlight/internal/handler/netdisk"
	"firstlight/internal/handler/network"
	"firstlight/internal/machine"
	"firstlight/internal/netreport"
	"firstlight/internal/sshfs"
	"firstlight/internal/ueventd"
)

// Program is the helper in the image. Feature is the feature of images with it.
const (
	Program = "/usr/lib/firstlight/sshfs"
	Feature = "sshfs"
)

// queue is that of the helper, again that of what the end of a connection may have kept
// from being found.
const (
	queue = "sshfs"
	again = "sshfs-again"
)

// topic is notified when the server has answered.
const topic = "sshfs"

// pause is the time after which sshfs is started again, for the first time, where it
// has ended. It doubles each time. It does not end for a server that is not there yet.
const pause = time.Second

// move is MS_MOVE of linux/mount.h.
const move = 0x2000

// Handler mounts the root.
type Handler struct {
	w      *handler.World
	root   *netreport.Report // where the root is, nil while that is not known
	target sshfs.Target
	begun  bool // the helper was started
	serves bool // and the server has answered
}

// New registers the handler with that of the network.
func New(w *handler.World, n *network.Handler) *Handler {
	h := &Handler{w: w}
	n.Early("sshfs", []string{"fuse"}, nil)
	n.Provide("sshfs", func(_ *ueventd.Task, r *netreport.Report) {
		if r.Get("n") != "" && h.root == nil {
			return // the first root is the root
		}
		h.root = r
		w.MountRoot = h.mountRoot
	})
	w.Sched.Route(queue, h.run)
	w.Sched.Route(again, h.again)
	return h
}

// wanted is the root as the network and the command line say it.
func (h *Handler) wanted(readOnly bool) (t sshfs.Target, err error) {
	r := h.root
	t = sshfs.Target{User: r.Get("user"), Server: r.Get("server"), Name: r.Get("name"), Path: r.Get("path"), Port: uint16(r.Int("port"))}
	o := fstab.ParseOptions(h.w.Config.Root.Flags)
	list := o.Data
	for _, p := range h.w.Config.Params {
		if p.Name == "sshfsopts" {
			list += "," + fstab.ParseOptions(p.Value).Data
		}
	}
	t.Flags = uintptr(o.Set &^ fstab.ReadOnly)
	if readOnly {
		t.Flags |= fstab.ReadOnly
	}
	t.Options, t.Data, err = sshfs.Options(list)
	return t, err
}

// mountRoot is handler.World's MountRoot.
func (h *Handler) mountRoot(t *ueventd.Task, readOnly bool) (ueventd.Outcome, bool) {
	w := h.w
	if text := h.root.Get("text"); text != "" && !h.begun {
		return h.needs("the root by SSH", text, h.root.Get("try"))
	}
	if !h.begun {
		target, err := h.wanted(readOnly)
		source := target.Source()
		switch {
		case err != nil:
			return h.needs("the root by SSH", "cannot be used: "+err.Error(), "correct root=, sshfsroot=, sshfsopts= or rootflags=")
		case !w.Image.Has(Feature):
			return h.needs(source, "needs sshfs, which this image has not", "rebuild the image with --feature "+Feature)
		}
		if err := w.LoadModules(t, "fuse"); err != nil {
			text, try := err.Error(), ""
			if errors.Is(err, machine.ErrNoModule) {
				text, try = "the driver fuse is not in this image", "rebuild the image with --feature "+Feature
			}
			return h.needs(source, text, try)
		}
		w.Break(t, bootcmd.StagePreMount)
		w.Break(t, bootcmd.StageMount)
		h.target, h.begun = target, true
		w.Sched.Push(ueventd.Event{Queue: queue, Kind: queue})
	}
	source := h.target.Source()
	if !h.serves {
		w.SetFact(mount.RootGoal, goal.Fact{Subject: source, Condition: goal.Incomplete, Text: "waits for the server"})
		return ueventd.WaitFor(source+" waits for the server", topic, handler.TopicRetry), false
	}
	err := ueventd.Act(t, "move "+source+" (fuse.sshfs, flags 0x"+strconv.FormatUint(uint64(h.target.Flags), 16)+") to "+handler.SysRoot, func(m machine.Machine) error {
		return m.Mount(machine.Mount{Source: sshfs.Mounted, Target: handler.SysRoot, Flags: move})
	})
	if err != nil {
		w.SetFact(mount.RootGoal, goal.Fact{Subject: source, Condition: goal.Incomplete, Text: err.Error()})
		return ueventd.Retry(pause, err.Error()), false
	}
	w.Say(handler.Detail, "mounted "+source+" on "+handler.SysRoot)
	return ueventd.Outcome{}, true
}

// needs says what keeps the root from being mounted, until the network is different.
func (h *Handler) needs(subject, text, try string) (ueventd.Outcome, bool) {
	h.w.SetFact(mount.RootGoal, goal.Fact{Subject: subject, Condition: goal.Incomplete, Text: text, Try: try})
	return ueventd.WaitFor("the root by SSH "+text, network.Topic, handler.TopicRetry), false
}

// run starts the helper and hears it. One that has ended is started again: who has no
// way in now may have one later.
func (h *Handler) run(t *ueventd.Task, _ ueventd.Event) ueventd.Outcome {
	helper := netdisk.Helper{W: h.w, Queue: queue, Path: Program, Feature: Feature, Subject: h.target.Subject(), Again: pause, Up: h.up, Down: h.down}
	out := helper.Run(t, h.target.String())
	h.serves = false
	if h.mounted() && !h.w.Leaving() {
		const text = "sshfs has ended, and nothing can be read of the root any more"
		h.w.SetFact(mount.RootGoal, goal.Fact{Subject: h.target.Source(), Condition: goal.Blocked, Text: text, Try: "start the machine again"})
		h.w.Say(handler.Loud, text)
		return ueventd.WaitFor(text, handler.TopicRetry)
	}
	return out
}

// mounted says whether the root is in its place.
func (h *Handler) mounted() bool {
	g := h.w.Goals.Get(mount.RootGoal)
	return g != nil && g.State == goal.Met
}

// up is told that the server has answered.
func (h *Handler) up() {
	h.serves = true
	h.w.Sched.Notify(topic)
}

// down is told that something is wrong. Where that is after the root was mounted,
// files that were looked for may not have been found for it.
func (h *Handler) down() {
	if h.mounted() {
		h.w.Sched.Push(ueventd.Event{Queue: again, Kind: queue})
	}
}

// again has the init looked for again, until it is found. What asks for it waits for
// the server.
func (h *Handler) again(*ueventd.Task, ueventd.Event) ueventd.Outcome {
	g := h.w.Goals.Get(mount.InitGoal)
	if g == nil || g.State == goal.Met || h.w.Leaving() {
		return ueventd.Outcome{}
	}
	g.Deadline = handler.DeadlineAt(h.w.Goals.From(g, h.w.Sched.Now()), h.w.Config.Wait.Deadline)
	h.w.Sched.Notify(handler.TopicRetry)
	return ueventd.Retry(pause/4, "the connection to the root's server has ended")
}
