// Package aoe makes disks of ATA over Ethernet disks of this machine: the root, or
// disks with a part of it. The kernel's driver speaks with the servers, over all links
// that are up, with or without an address; the helper program network brings the links
// up, and has the driver look for the disks (package internal/aoe).
package aoe

import (
	"strings"

	"firstlight/internal/aoe"
	"firstlight/internal/devspec"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/handler/mount"
	"firstlight/internal/handler/netdisk"
	"firstlight/internal/handler/network"
	"firstlight/internal/netreport"
	"firstlight/internal/ueventd"
)

// queue is that of the first, and of the others with their number.
const queue = "aoe"

// Handler starts a search for each disk.
type Handler struct {
	w     *handler.World
	begun map[int]bool
}

// New registers the handler with the one of the network.
func New(w *handler.World, n *network.Handler) *Handler {
	h := &Handler{w: w, begun: map[int]bool{}}
	n.Provide("aoe", h.provide)
	w.Sched.Route(queue, h.run)
	return h
}

// provide is the network's Provider.
func (h *Handler) provide(t *ueventd.Task, r *netreport.Report) {
	w, n := h.w, r.Int("n")
	if h.begun[n] {
		return
	}
	h.begun[n] = true
	d, part, ok := aoe.Parse(r.Get("device"))
	if !ok {
		w.SetFact(mount.RootGoal, goal.Fact{Subject: "the AoE disk of the root", Condition: goal.Blocked, Text: "its name is none", Try: "write root=aoe:/dev/etherd/eSHELF.SLOT"})
		return
	}
	if root := &w.Config.Root; n == 0 && !root.Device.IsDevice() {
		node := d.Node()
		if part != "" {
			node += "p" + part
		}
		root.Device = devspec.Spec{Kind: devspec.Path, Value: node}
		t.Record("decision", "the root is "+node)
		w.DropFact(mount.RootGoal)
		if g := w.Goals.Get(mount.RootGoal); g != nil && g.State != goal.Met {
			g.Want = "the AoE disk " + strings.TrimPrefix(node, "/dev/etherd/") + " (" + node + ") mounted as the root"
		}
		w.Sched.Notify(handler.TopicWanted)
	}
	w.Sched.Push(ueventd.Event{Queue: netdisk.Number(queue, n), Kind: "start", Value: d})
}

// run looks for one of them.
func (h *Handler) run(t *ueventd.Task, ev ueventd.Event) ueventd.Outcome {
	d := ev.Value.(aoe.Disk)
	helper := &netdisk.Helper{W: h.w, Queue: ev.Queue, Path: network.Program, Args: []string{"aoe", d.String()}, Feature: "aoe", Subject: "the AoE disk " + d.String()}
	if err := h.w.LoadModules(t, "aoe"); err != nil {
		h.w.SetFact(ev.Queue, goal.Fact{Subject: helper.Subject, Condition: goal.Blocked, Text: "has no driver: " + err.Error(), Try: "build the image with --feature aoe"})
		return ueventd.WaitFor("the driver aoe", handler.TopicRetry)
	}
	return helper.Run(t, "")
}
