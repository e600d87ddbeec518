// Package network brings the network up where the root needs it, and mounts a
// root that a server has.
//
// The links are the business of a helper program (package netup), which the
// image has where a feature asks for it. It is started once, reports every
// change as a line, and stays for the renewal of leases until the real system
// starts. The reports become facts, so that a boot that waits can say for what,
// and topics, so that whoever waits for the network is woken.
package network

import (
	"firstlight/internal/filter"
	"firstlight/internal/fmt"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/handler/mount"
	"firstlight/internal/machine"
	"firstlight/internal/netreport"
	"firstlight/internal/ueventd"
)

// Topic is notified when a link has become usable, or another thing is known of
// one.
const Topic = "network"

// Program is the helper in the image.
const Program = "/usr/lib/firstlight/network"

// queue is that of the helper. kindStart starts it.
const (
	queue     = "network"
	kindStart = "start"
)

// Handler starts the helper and listens to it.
type Handler struct {
	w              *handler.World
	isRoot, needed bool
	implied        bool                         // by what the image has, and not by the command line
	links          map[string]*netreport.Report // the last report of each
	root           *netreport.Report            // where the root is, nil while that is not known
	ready          int                          // links that can be used
	// mounts: the root is what the network says, and no device that is named.
	mounts    bool
	providers map[string]Provider
	early     map[string]ahead
	begun     bool // what is got ready ahead
	kerberos  kerberos
}

// A Provider makes a root of one kind, which is none of NFS, a device of this
// machine, or mounts it. It is called whenever something else is known of the
// root (netreport.StateRoot), in the task of the network, and so starts what
// takes time in a queue of its own. Where text is among the fields, the root
// cannot be reached yet, and the text says why.
type Provider func(t *ueventd.Task, r *netreport.Report)

// Provide names who is told of the roots of a kind (netconf.RootKind).
func (h *Handler) Provide(kind string, p Provider) {
	if h.providers == nil {
		h.providers = map[string]Provider{}
	}
	h.providers[kind] = p
}

// Ready says whether a link can be used.
func (h *Handler) Ready() bool { return h.ready > 0 }

// Carrier is the name of a link, which is named or has a hardware address, once somebody
// is at its other end.
func (h *Handler) Carrier(name, mac string) (string, bool) {
	for _, r := range h.links {
		if name != "" && r.Link != name || name == "" && r.Get("mac") != mac {
			continue
		}
		switch r.State {
		case netreport.StateReady, netreport.StateDHCP, netreport.StateProbe, netreport.StateConflict:
			return r.Link, true
		case netreport.StateLink:
			return r.Link, r.Get("carrier") == "yes"
		}
	}
	return name, false
}

// New registers the handler. Where nothing wants the network it does nothing.
func New(w *handler.World) *Handler {
	h := &Handler{w: w, links: map[string]*netreport.Report{}}
	h.isRoot, h.needed = wanted(w.Config)
	h.needed = h.needed || w.Image.Has("nvmf") || w.Image.Has("iscsi") // files and the firmware's table may say that it is
	h.isRoot = h.isRoot || w.Fetch != nil
	h.implied = !h.isRoot && !h.needed && (w.Image.Has("ssh") || w.Image.Has("clevis"))
	h.needed = h.needed || h.implied
	if !h.isRoot && !h.needed {
		return h
	}
	w.Sched.Route(queue, h.run)
	w.Sched.Route(early, h.ahead)
	w.Sched.Route(kerberosQueue, h.gssd)
	h.Early("nfs", []string{"nfs", "nfsv4"}, nil)
	if h.mounts = h.isRoot && w.Fetch == nil && !w.Config.Root.Device.IsDevice(); h.mounts {
		w.MountRoot = h.mountRoot
	}
	return h
}

// Start starts the helper at once: what a network needs for an answer goes on
// while the disks are looked at. Nothing is mounted before it is known that
// nothing is to be resumed.
func (h *Handler) Start() {
	if !h.isRoot && !h.needed {
		return
	}
	if h.mounts {
		h.rootNeeds("needs the network, which is not up yet", "")
		if g := h.w.Goals.Get(mount.RootGoal); g != nil {
			g.Want = "a root from a server"
			if d := h.w.Config.Root.Device; !d.IsZero() {
				g.Want += " (root=" + d.String() + ")"
			}
		}
	}
	h.w.Sched.Push(ueventd.Event{Queue: queue, Kind: kindStart})
}

// input is what the helper is told: that the network is wanted where the image is
// for being reached, and what Input says.
func (h *Handler) input() string {
	text := Input(h.w.Config, urlOf(h.w))
	if h.implied {
		text = "rd.neednet=1\n" + text
	}
	return text
}

// run starts the helper and takes in what it says for as long as it runs.
func (h *Handler) run(t *ueventd.Task, _ ueventd.Event) ueventd.Outcome {
	for _, name := range drivers(h.w.Config) {
		if err := h.w.LoadModules(t, name); err != nil { // the link says that it cannot be made
			h.w.Say(handler.Detail, "network: "+err.Error())
		}
	}
	err := ueventd.Act(t, "start "+Program, func(m machine.Machine) error {
		return m.Start(queue, machine.Program{Path: Program, Input: []byte(h.input())})
	})
	if err != nil {
		return h.gone("the helper program for the network cannot be started: " + err.Error())
	}
	// The kernel would have a program load it for the first packet, which is to leave
	// when there is a carrier. It may be a part of the kernel.
	loadAhead(t, "af_packet")
	for {
		said, err := ueventd.Do(t, "listen to the network", func(m machine.Machine) (machine.Said, error) { return m.Listen(queue) })
		if err != nil {
			return h.gone("the helper program for the network cannot be listened to: " + err.Error())
		}
		for _, line := range said.Lines {
			h.take(t, line)
		}
		if said.Ended && h.w.Leaving() {
			return ueventd.Outcome{}
		}
		if said.Ended {
			return h.gone(fmt.Sprintf("the helper program for the network has ended (exit %d)", said.Code))
		}
	}
}

// gone says that there is no helper. What is configured stays.
func (h *Handler) gone(why string) ueventd.Outcome {
	h.w.SetFact(queue, goal.Fact{Subject: "the network", Condition: goal.Blocked, Text: why, Try: "build the image with --feature network"})
	h.w.Sched.Notify(Topic)
	return ueventd.WaitFor(why, handler.TopicRetry)
}

// take takes in a line of the helper. One that is no report is for the record:
// the last words of a program that fails.
func (h *Handler) take(t *ueventd.Task, line string) {
	w := h.w
	r, ok := netreport.ParseReport(line)
	if !ok || r.State == netreport.StateNote {
		if ok {
			line = r.Get("text")
		}
		w.Say(handler.Detail, "network: "+line)
		return
	}
	t.Record("network", netreport.Public(r).String(), "link="+r.Link, "state="+r.State)
	switch r.State {
	case netreport.StateRoot:
		if p := h.providers[r.Get("kind")]; p != nil {
			h.provided(t, p, &r)
			return
		}
		if r.Get("n") != "" { // NFS and what the image has not: the first counts
			return
		}
		h.root = &r
		w.Sched.Push(ueventd.Event{Queue: filter.Root, Kind: filter.Add})
		return
	case netreport.StateProblem:
		w.Say(handler.Loud, r.Get("text"))
		return
	}
	if waits(&r) && !h.begun {
		h.begun = true
		w.Sched.Push(ueventd.Event{Queue: early, Kind: kindStart})
	}
	key := "link " + r.Link
	if old := h.links[r.Link]; old != nil && old.State == netreport.StateReady {
		h.ready--
		w.Links--
	}
	if r.State == netreport.StateGone {
		delete(h.links, r.Link)
		w.DropFact(key)
	} else {
		h.links[r.Link] = &r
		w.SetFact(key, factOf(&r))
	}
	if r.State == netreport.StateReady {
		h.ready++
		w.Links++
		w.Progress()
		w.Say(handler.Detail, "network: "+r.Link+" has "+r.Get("addr"))
	}
	w.Sched.Notify(Topic)
}

// provided lets who knows the root's kind have it. What mounts it is that
// provider's choice, or whatever finds the device that it makes.
func (h *Handler) provided(t *ueventd.Task, p Provider, r *netreport.Report) {
	if h.mounts {
		h.mounts, h.w.MountRoot = false, nil
	}
	p(t, r)
	h.w.Sched.Push(ueventd.Event{Queue: filter.Root, Kind: filter.Add})
}

// factOf is what a report says to a person.
func factOf(r *netreport.Report) goal.Fact {
	f := goal.Fact{Subject: "network link " + r.Link, Condition: goal.Incomplete}
	switch r.State {
	case netreport.StateReady:
		f.Condition, f.Text = goal.Present, r.Get("addr")
		if f.Text == "" {
			f.Text = "is up, without an address"
		}
		if s := r.Get("server"); s != "" {
			f.Text += " from " + s
		}
	case netreport.StateMissing:
		f.Text = "is not there"
		f.Try = "look at its name (ip link shows those of the running system), and whether the image has its driver"
	case netreport.StateUnused, netreport.StateDown:
		f.Condition, f.Text = goal.LeftAlone, "nothing asks for it"
	case netreport.StateLink:
		if part := r.Get("part"); part != "" {
			f.Subject += ", part of " + part
		}
		f.Text = "no carrier"
		f.Try = "plug in the cable of " + r.Link + ", or look at the switch at its other end"
		if by := r.Get("by"); by != "" {
			f.Text, f.Try = "not let in yet by "+by, "look at the names and passwords in that file, whether the network is in reach, and at /run/firstlight-wpa-"+r.Link+".log"
		}
		if r.Get("carrier") == "yes" {
			f.Text, f.Try = "has a carrier", ""
			if text := r.Get("text"); text != "" {
				f.Text += ", " + text
			}
		}
	case netreport.StateDHCP:
		f.Text = "carrier since " + r.Get("since") + " s"
		for _, p := range [...]struct{ name, what string }{{"text", "DHCP: "}, {"six", "IPv6: "}, {"local", ""}} {
			if text := r.Get(p.name); text != "" {
				f.Text += ", " + p.what + text
			}
		}
		f.Try = "look whether a DHCP server or a router serves the network at " + r.Link + ", or give it an address: ip=ADDRESS::GATEWAY:NETMASK::" + r.Link + ":none"
	case netreport.StateWaits:
		f.Text, f.Try = r.Get("text"), r.Get("try")
	case netreport.StateProbe:
		f.Condition, f.Text = goal.Working, "asks whether another machine has "+r.Get("addr")
	case netreport.StateConflict:
		f.Condition = goal.Blocked
		f.Text = r.Get("addr") + " is in use by another machine"
		f.Try = "give " + r.Link + " another address, or find the other machine"
		if by := r.Get("by"); by != "" {
			f.Text += ", " + by
			f.Try = "give " + r.Link + " another address, or find the machine with the hardware address " + by
		}
	case netreport.StateFailed:
		f.Condition, f.Text = goal.Blocked, r.Get("text")
	default:
		f.Text = r.State
	}
	if limit := r.Get("late"); limit != "" {
		f.Text += " (longer than rd.net.timeout." + limit + " allows)"
	}
	return f
}
