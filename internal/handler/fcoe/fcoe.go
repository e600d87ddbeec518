// Package fcoe makes links adapters of Fibre Channel, for disks that are reached over
// Ethernet. The kernel's driver speaks with the switch, or with its peers; the helper
// program network brings the links up. The disks are disks of this machine then.
package fcoe

import (
	"errors"
	"io/fs"

	"firstlight/internal/fcoe"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/handler/netdisk"
	"firstlight/internal/handler/network"
	"firstlight/internal/machine"
	"firstlight/internal/ueventd"
)

// queue is that of the first, and of the others with their number.
const queue = "fcoe"

// Handler starts one adapter for each fcoe=.
type Handler struct {
	w    *handler.World
	net  *network.Handler
	list []fcoe.Instance
}

// New registers the handler with the one of the network. Where nothing asks for it it
// does nothing.
func New(w *handler.World, n *network.Handler) *Handler {
	h := &Handler{w: w, net: n}
	for _, p := range w.Config.Params {
		if p.Name != "fcoe" || !network.UsesFCoE(w.Config) {
			continue
		}
		if i, err := fcoe.Parse(p.Value); err == nil { // the network's helper says what is wrong with another
			h.list = append(h.list, i)
		}
	}
	if h.list != nil {
		w.Sched.Route(queue, h.run)
	}
	return h
}

// Start has the adapters started.
func (h *Handler) Start() {
	for n := range h.list {
		h.w.Sched.Push(ueventd.Event{Queue: netdisk.Number(queue, n), Kind: "start", Value: n})
	}
}

// run waits for a link and starts its adapter.
func (h *Handler) run(t *ueventd.Task, ev ueventd.Event) ueventd.Outcome {
	i := h.list[ev.Value.(int)]
	subject := "FCoE on " + i.String()
	name, up := h.net.Carrier(i.Link, i.MAC)
	if !up {
		h.w.SetFact(ev.Queue, goal.Fact{Subject: subject, Condition: goal.Incomplete, Text: "needs the link, which is not up yet"})
		return ueventd.WaitFor("the link "+i.String(), network.Topic, handler.TopicRetry)
	}
	if err := h.w.LoadModules(t, "fcoe"); err != nil {
		h.w.SetFact(ev.Queue, goal.Fact{Subject: subject, Condition: goal.Blocked, Text: "has no driver: " + err.Error(), Try: "build the image with --feature fcoe"})
		return ueventd.WaitFor("the driver fcoe", handler.TopicRetry)
	}
	if i.DCB {
		h.w.Say(handler.Loud, "fcoe="+i.String()+":dcb: nothing in the initramfs agrees with the switch on priorities (lldpad); what the card and the switch have is used")
	}
	err := ueventd.Act(t, "make "+name+" an adapter of Fibre Channel", func(m machine.Machine) error { return m.WriteSysfs(i.Parameter(), name) })
	if err != nil && !errors.Is(err, fs.ErrExist) {
		h.w.SetFact(ev.Queue, goal.Fact{Subject: subject, Condition: goal.Blocked, Text: "the kernel's driver does not take the link: " + err.Error(), Try: "look at the kernel's messages (dmesg), and name a card or a VLAN on it"})
		return ueventd.WaitFor("the driver of FCoE", handler.TopicRetry)
	}
	h.w.SetFact(ev.Queue, goal.Fact{Subject: subject, Condition: goal.Present, Text: "has begun (" + i.Mode() + "); its disks come when their owners answer"})
	return ueventd.Outcome{}
}
