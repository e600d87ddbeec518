// Package iscsi makes units of iSCSI targets disks of this machine: the root, or
// disks with a part of it. The helper program iscsi (package iscsiup) has open-iscsi's
// iscsid log in; the kernel keeps the sessions, and iscsid connects again what breaks,
// here and, another one, in the real system.
package iscsi

import (
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/handler/mount"
	"firstlight/internal/handler/netdisk"
	"firstlight/internal/handler/network"
	"firstlight/internal/netreport"
	"firstlight/internal/ueventd"
)

// Program is the helper in the image.
const Program = "/usr/lib/firstlight/iscsi"

// queue is that of the first target, and of the others with their number; daemon
// that of iscsid.
const (
	queue  = "iscsi"
	daemon = "iscsid"
)

// Handler starts iscsid once, and a helper for each target.
type Handler struct {
	w       *handler.World
	roots   map[int]*root
	iscsid  netdisk.Helper
	begun   bool // iscsid was started
	running bool // it can be asked
}

// root is one of the targets, by its number among the roots of the command line.
type root struct {
	input   string // what the helper is told
	helper  *netdisk.Helper
	started bool
}

// New registers the handler with the one of the network.
func New(w *handler.World, n *network.Handler) *Handler {
	h := &Handler{w: w, roots: map[int]*root{}}
	h.iscsid = netdisk.Helper{W: w, Queue: daemon, Path: Program, Args: []string{"daemon"}, Feature: "iscsi", Subject: "iSCSI", Up: h.up}
	n.Provide("iscsi", h.provide)
	n.Early("iscsi", []string{"sd_mod"}, h.begin)
	w.Sched.Route(queue, h.run)
	w.Sched.Route(daemon, h.serve)
	return h
}

// provide is the network's Provider. What a helper was told stays: the address of
// a target does not change while its unit is in use.
func (h *Handler) provide(_ *ueventd.Task, r *netreport.Report) {
	n := r.Int("n")
	if h.roots[n] != nil {
		return
	}
	if text := r.Get("text"); text != "" {
		h.w.SetFact(mount.RootGoal, goal.Fact{Subject: "the iSCSI target of the root", Condition: goal.Incomplete, Text: text, Try: r.Get("try")})
		return
	}
	if !h.w.Config.Root.Device.IsDevice() {
		h.w.DropFact(mount.RootGoal)
	}
	h.begin()
	x := &root{input: network.Input(h.w.Config, "") + "\n" + r.String() + "\n"}
	x.helper = &netdisk.Helper{W: h.w, Queue: netdisk.Number(queue, n), Path: Program, Feature: "iscsi", Subject: netdisk.Number("the iSCSI target", n), Root: n == 0}
	h.roots[n] = x
	h.start(n)
}

// begin starts iscsid, once. It needs no network to start.
func (h *Handler) begin() {
	if !h.begun {
		h.begun = true
		h.w.Sched.Push(ueventd.Event{Queue: daemon, Kind: "start"})
	}
}

// up is told that iscsid can be asked.
func (h *Handler) up() {
	h.running = true
	for n := range len(h.roots) {
		h.start(n)
	}
}

// start has a target logged in to, once.
func (h *Handler) start(n int) {
	if x := h.roots[n]; h.running && x != nil && !x.started {
		x.started = true
		h.w.Sched.Push(ueventd.Event{Queue: x.helper.Queue, Kind: "start", Value: n})
	}
}

// serve runs iscsid.
func (h *Handler) serve(t *ueventd.Task, _ ueventd.Event) ueventd.Outcome {
	if err := h.w.LoadModules(t, "iscsi_tcp"); err != nil {
		h.w.SetFact(daemon, goal.Fact{Subject: "iSCSI", Condition: goal.Blocked, Text: "has no driver: " + err.Error(), Try: "build the image with --feature iscsi"})
		return ueventd.WaitFor("the driver iscsi_tcp", handler.TopicRetry)
	}
	return h.iscsid.Run(t, network.Input(h.w.Config, ""))
}

// run logs in to one of the targets.
func (h *Handler) run(t *ueventd.Task, ev ueventd.Event) ueventd.Outcome {
	x := h.roots[ev.Value.(int)]
	return x.helper.Run(t, x.input)
}
