// Package nvmf makes namespaces of NVMe over fabrics disks of this machine. The
// helper program nvmf (package nvmfup) connects; the kernel keeps what is connected
// and connects again what breaks.
package nvmf

import (
	"errors"
	"strings"

	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/handler/netdisk"
	"firstlight/internal/handler/network"
	"firstlight/internal/machine"
	"firstlight/internal/ueventd"
)

// Program is the helper in the image.
const Program = "/usr/lib/firstlight/nvmf"

const queue = "nvmf"

// Handler starts the helper once a link can be used.
type Handler struct {
	w      *handler.World
	net    *network.Handler
	helper netdisk.Helper
	// drivers are the transports that are asked for; named: by the command line,
	// and not by what files and the firmware may say.
	drivers []string
	named   bool
}

// New registers the handler. Where nothing asks for it it does nothing.
func New(w *handler.World, n *network.Handler) *Handler {
	h := &Handler{w: w, net: n, helper: netdisk.Helper{W: w, Queue: queue, Path: Program, Feature: "nvmf", Subject: "NVMe over fabrics"}}
	wanted := w.Image.Has("nvmf")
	for _, p := range w.Config.Params {
		transport, _, _ := strings.Cut(p.Value, ",")
		switch parameter(p.Name) {
		case "nonvmf":
			if p.Value != "0" && p.Value != "no" {
				h.drivers = nil
				return h
			}
		case "connect", "discover":
			wanted, h.named = true, true
			h.drivers = append(h.drivers, "nvme-"+transport)
		}
	}
	if !wanted {
		return h
	}
	if !h.named { // TCP alone is found by the firmware and in files
		h.drivers = []string{"nvme-tcp"}
	}
	w.Sched.Route(queue, h.run)
	return h
}

// parameter is what follows rd.nvmf. in a parameter's name, however it is spelt; ""
// for one of somebody else's.
func parameter(name string) string {
	name = strings.TrimPrefix(strings.ReplaceAll(name, "-", "_"), "rd.")
	if name == "nonvmf" {
		return name
	}
	rest, ok := strings.CutPrefix(name, "nvmf")
	if !ok || len(rest) < 2 || rest[0] != '.' && rest[0] != '_' {
		return ""
	}
	return rest[1:]
}

// Start has the helper started.
func (h *Handler) Start() {
	if h.drivers != nil {
		h.w.Sched.Push(ueventd.Event{Queue: queue, Kind: "start"})
	}
}

// run loads the drivers, waits for the network where it is needed, and connects.
func (h *Handler) run(t *ueventd.Task, _ ueventd.Event) ueventd.Outcome {
	for _, d := range h.drivers {
		if err := h.w.LoadModules(t, d); err != nil && errors.Is(err, machine.ErrNoModule) {
			h.w.SetFact(queue, goal.Fact{Subject: h.helper.Subject, Condition: goal.Blocked, Text: "has no driver: " + err.Error(), Try: "build the image with --feature nvmf"})
			return ueventd.WaitFor("the driver "+d, handler.TopicRetry)
		}
		if d != "nvme-fc" && !h.net.Ready() {
			if h.named {
				h.w.SetFact(queue, goal.Fact{Subject: h.helper.Subject, Condition: goal.Incomplete, Text: "needs the network, which is not up yet"})
			}
			return ueventd.WaitFor("NVMe over fabrics needs the network", network.Topic, handler.TopicRetry)
		}
	}
	h.w.DropFact(queue)
	return h.helper.Run(t, network.Input(h.w.Config, ""))
}
