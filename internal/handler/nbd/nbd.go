// Package nbd makes exports of NBD servers devices of this machine: the root, or
// disks with a part of it. The helper program nbd (package nbdup) connects, stays,
// and connects again when a server was restarted, also in the real system.
package nbd

import (
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/handler/mount"
	"firstlight/internal/handler/netdisk"
	"firstlight/internal/handler/network"
	"firstlight/internal/netreport"
	"firstlight/internal/ueventd"
)

// Program is the helper in the image, ProgramTLS the one that can encrypt, which
// does all that the other does.
const (
	Program    = "/usr/lib/firstlight/nbd"
	ProgramTLS = "/usr/lib/firstlight/nbd-tls"
)

// queue is that of the first, and of the others with their number.
const queue = "nbd"

// Handler starts a helper for each root of its kind.
type Handler struct {
	w     *handler.World
	roots map[int]*root
}

// root is one of them, by its number among the roots of the command line.
type root struct {
	input  string // what the helper is told
	helper *netdisk.Helper
}

// New registers the handler with the one of the network.
func New(w *handler.World, n *network.Handler) *Handler {
	h := &Handler{w: w, roots: map[int]*root{}}
	n.Provide("nbd", h.provide)
	n.Early("nbd", []string{"nbd"}, nil)
	w.Sched.Route(queue, h.run)
	return h
}

// provide is the network's Provider. What a helper was told stays: the address of
// a server does not change while its root is in use.
func (h *Handler) provide(_ *ueventd.Task, r *netreport.Report) {
	n := r.Int("n")
	if h.roots[n] != nil {
		return
	}
	name := netdisk.Number(queue, n)
	if text := r.Get("text"); text != "" {
		h.w.SetFact(mount.RootGoal, goal.Fact{Subject: "the NBD server of the root", Condition: goal.Incomplete, Text: text, Try: r.Get("try")})
		return
	}
	if !h.w.Config.Root.Device.IsDevice() {
		h.w.DropFact(mount.RootGoal)
	}
	h.roots[n] = &root{input: r.String() + "\n"}
	path := Program
	if h.w.Image.Has("nbd-tls") {
		path = ProgramTLS
	}
	h.roots[n].helper = &netdisk.Helper{W: h.w, Queue: name, Path: path, Feature: "nbd", Subject: "the NBD root", Root: n == 0}
	h.w.Sched.Push(ueventd.Event{Queue: name, Kind: "start", Value: n})
}

// run connects one of them.
func (h *Handler) run(t *ueventd.Task, ev ueventd.Event) ueventd.Outcome {
	r := h.roots[ev.Value.(int)]
	if err := h.w.LoadModules(t, "nbd"); err != nil {
		h.w.SetFact(ev.Queue, goal.Fact{Subject: r.helper.Subject, Condition: goal.Blocked, Text: "has no driver: " + err.Error(), Try: "build the image with --feature nbd"})
		return ueventd.WaitFor("the driver nbd", handler.TopicRetry)
	}
	return r.helper.Run(t, r.input)
}
