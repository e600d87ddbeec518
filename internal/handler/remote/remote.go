// Package remote lets people reach a machine that waits: it starts the SSH server of
// an image that has one, and records who comes.
//
// What is asked at the consoles is asked at the sessions too, and the first answer
// counts, wherever it comes from: that is the machine's business
// (machine.Program.Asks). The boot waits for none of it, and without the server
// goes on as it would have.
package remote

import (
	"firstlight/internal/fmt"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/machine"
	"firstlight/internal/netreport"
	"firstlight/internal/ueventd"
)

// Program is the server in the image, and Feature what puts it there.
const (
	Program = "/usr/lib/firstlight/ssh"
	Feature = "ssh"
)

// queue is that of the server, and its name.
const queue = "ssh"

// Handler listens to the server.
type Handler struct{ w *handler.World }

// New registers the handler. In an image without the server it does nothing.
func New(w *handler.World) *Handler {
	h := &Handler{w}
	if w.Image.Has(Feature) {
		w.Sched.Route(queue, h.run)
	}
	return h
}

// Start starts the server at once: a question may stand before anything else is
// known.
func (h *Handler) Start() {
	if h.w.Image.Has(Feature) {
		h.w.Sched.Push(ueventd.Event{Queue: queue, Kind: "start"})
	}
}

func (h *Handler) run(t *ueventd.Task, _ ueventd.Event) ueventd.Outcome {
	w := h.w
	err := ueventd.Act(t, "start "+Program, func(m machine.Machine) error {
		return m.Start(queue, machine.Program{Path: Program, Asks: true})
	})
	if err != nil {
		return h.gone("it cannot be started: " + err.Error())
	}
	for {
		said, err := ueventd.Do(t, "listen to the SSH server", func(m machine.Machine) (machine.Said, error) { return m.Listen(queue) })
		if err != nil {
			return h.gone("it cannot be listened to: " + err.Error())
		}
		for _, line := range said.Lines {
			h.take(t, line)
		}
		if said.Ended && w.Leaving() {
			return ueventd.Outcome{}
		}
		if said.Ended {
			return h.gone(fmt.Sprintf("it has ended (exit %d)", said.Code))
		}
	}
}

// gone says that nobody can log in. The boot goes on as without a server.
func (h *Handler) gone(why string) ueventd.Outcome {
	h.w.SetFact(queue, goal.Fact{Subject: "the SSH server", Condition: goal.LeftAlone, Text: why})
	h.w.Say(handler.Loud, "SSH server: "+why)
	return ueventd.WaitFor(why, handler.TopicRetry)
}

// take takes in a line of the server. One that is no report is for the record.
func (h *Handler) take(t *ueventd.Task, line string) {
	w := h.w
	r, ok := netreport.ParseReport(line)
	if !ok {
		w.Say(handler.Detail, "ssh: "+line)
		return
	}
	t.Record("network", r.String(), "state="+r.State)
	from, text := r.Get("from"), r.Get("text")
	switch r.State {
	case netreport.StateReady:
		w.SetFact(queue, goal.Fact{Subject: "the SSH server", Condition: goal.Present, Text: "listens at port " + r.Get("port")})
	case netreport.StateProblem:
		w.Say(handler.Loud, text)
	case "login":
		w.Say(handler.Normal, "ssh: "+from+" has logged in with "+r.Get("key"))
	case "shell":
		w.Say(handler.Normal, "ssh: "+from+" has the emergency shell")
	case "logout":
		w.Say(handler.Detail, "ssh: "+from+" has logged out")
	case "refused":
		w.Say(handler.Detail, "ssh: "+from+" is refused: "+text)
	default:
		w.Say(handler.Detail, "ssh: "+text)
	}
}
