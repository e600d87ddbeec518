// Package fetch gets the image of a root from a server into memory, by a helper
// program of its own (package fetchhelper), once the network is up. What is
// wanted is handler.World's Fetch, which handler/live fills in and makes the
// root of when it is there.
//
// It uses nothing that was not verified, unless the command line allows that.
package fetch

import (
	"path"
	"strconv"
	"time"

	"firstlight/internal/fetch/fetchplan"
	"firstlight/internal/filter"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/handler/mount"
	"firstlight/internal/machine"
	"firstlight/internal/netreport"
	"firstlight/internal/ueventd"
)

// Program is the helper in the image.
const Program = "/usr/lib/firstlight/fetch"

// ociProgram is the helper that unpacks an image of layers.
const ociProgram = "/usr/lib/firstlight/oci"

// gpgv verifies signatures of OpenPGP.
const gpgv = "/usr/bin/gpgv"

// queue is that of the helper, kindStart starts it.
const (
	queue     = "fetch"
	kindStart = "start"
)

// Handler starts the helper and listens to it.
type Handler struct {
	w        *handler.World
	began    bool
	mounted  bool
	limit    int64         // how much memory the image may take, in bytes
	done     int64         // bytes that have come
	patience time.Duration // of the root's goal, 0 for none
	disks    map[int]bool  // those that were begun with, by the number of the root
	anew     int           // how often it began anew
	reached  bool          // the network is up, and leads to the image
	tree     bool          // the image is unpacked
	again    bool          // the helper is to be started once more
	keptOn   string        // that the image is kept on, once it is mounted
}

// New registers the handler.
func New(w *handler.World) *Handler {
	h := &Handler{w: w, disks: map[int]bool{}}
	w.Sched.Route(queue, h.run)
	w.Sched.Route(diskQueue, h.connect)
	return h
}

// Start says what is waited for before the network is up.
func (h *Handler) Start() {
	w := h.w
	if w.Fetch == nil || w.Fetch.Plan == "" {
		return
	}
	if g := w.Goals.Get(mount.RootGoal); g != nil {
		g.Want = "a root in an image from a server (" + w.Fetch.By + ")"
	}
	w.SetFact(mount.RootGoal, goal.Fact{Subject: h.subject(), Condition: goal.Incomplete, Text: "needs the network, which is not up yet"})
	if p, err := fetchplan.ParseKept(w.Fetch.Plan); err == nil && p.Keep != nil {
		h.begin()
	}
}

// begin starts it, once.
func (h *Handler) begin() {
	if !h.began && h.w.Fetch.Plan != "" {
		h.began = true
		h.w.Sched.Push(ueventd.Event{Queue: queue, Kind: kindStart})
	}
}

// Provide is a network.Provider for roots that are URLs.
func (h *Handler) Provide(t *ueventd.Task, r *netreport.Report) {
	w := h.w
	if w.Fetch == nil && w.ImageAt != nil && r.Source() != "" && !w.Config.Root.Device.IsDevice() {
		w.ImageAt(r.Source())
	}
	if w.Fetch == nil || w.Fetch.OnDemand {
		h.disk(r)
		return
	}
	h.online()
	h.begin()
}

// subject is what facts are about.
func (h *Handler) subject() string { return "the image that " + h.w.Fetch.By + " asks for" }

// fail says why there is no image.
func (h *Handler) fail(text, try string) ueventd.Outcome {
	h.w.SetFact(mount.RootGoal, goal.Fact{Subject: h.subject(), Condition: goal.Blocked, Text: text, Try: try})
	return ueventd.WaitFor(text, handler.TopicRetry)
}

// run starts the helper, and takes in what it says until the image is there.
func (h *Handler) run(t *ueventd.Task, _ ueventd.Event) ueventd.Outcome {
	out := h.once(t)
	for h.again && out.Verdict == ueventd.Done {
		h.again = false
		out = h.once(t)
	}
	return out
}

func (h *Handler) once(t *ueventd.Task) ueventd.Outcome {
	w, f := h.w, h.w.Fetch
	if f.Done {
		return ueventd.Outcome{}
	}
	program, feature := Program, "http-root"
	plan, err := fetchplan.ParseKept(f.Plan)
	if err != nil {
		return h.fail(err.Error(), "")
	}
	if h.tree = plan.Tree; h.tree {
		program, feature = ociProgram, "oci"
	}
	if plan.Keep != nil {
		program, feature = keepProgram, "http-cache"
		if out, ok := h.keep(t, &plan); !ok {
			return out
		}
	} else if text, try := h.room(t); text != "" {
		return h.fail(text, try)
	}
	plan.Limit = h.limit
	if g := w.Goals.Get(mount.RootGoal); g != nil && g.Deadline != 0 {
		h.patience = max(h.patience, g.Deadline-g.Since)
	}
	w.SetFact(mount.RootGoal, goal.Fact{Subject: h.subject(), Condition: goal.Working, Text: "is asked for"})
	err = ueventd.Act(t, "start "+program, func(m machine.Machine) error {
		return m.Start(queue, machine.Program{Path: program, Input: []byte(plan.String())})
	})
	if err != nil {
		return h.fail("the helper program that fetches it cannot be started: "+err.Error(), "build the image with --feature "+feature)
	}
	for {
		said, err := ueventd.Do(t, "listen to what is fetched", func(m machine.Machine) (machine.Said, error) { return m.Listen(queue) })
		if err != nil {
			return h.fail("the helper program that fetches it cannot be listened to: "+err.Error(), "")
		}
		for _, line := range said.Lines {
			r, ok := netreport.ParseReport(line)
			if !ok {
				w.Say(handler.Detail, "fetch: "+line)
				continue
			}
			if out, ended := h.take(t, &r); ended {
				return out
			}
		}
		if said.Ended {
			return h.fail("the helper program that fetches it has ended (exit "+strconv.Itoa(said.Code)+")", "look at the messages above")
		}
	}
}

// room mounts the memory that the image comes into, once, and says why it cannot.
func (h *Handler) room(t *ueventd.Task) (text, try string) {
	if h.mounted {
		return "", ""
	}
	have, err := ueventd.Do(t, "ask how much memory is available", func(m machine.Machine) (uint64, error) {
		defer m.FreeMemory()
		return m.Memory()
	})
	if err != nil {
		return err.Error(), ""
	}
	const page = 4096
	free := (have - min(have, h.w.Fetch.Reserve)) / page * page
	if free == 0 { // a tmpfs with a size of 0 has no bound
		return "it is to be in memory, and none can be had", "give the machine more memory, or leave less with rd.minmem="
	}
	h.limit = int64(free)
	dir := path.Dir(h.w.Fetch.Into)
	err = ueventd.Act(t, "mount memory on "+dir, func(m machine.Machine) error {
		return m.Mount(machine.Mount{Source: "fetched", Target: dir, FSType: "tmpfs", Data: "mode=0700,size=" + strconv.FormatUint(free, 10)})
	})
	if err != nil {
		return err.Error(), "look at the kernel's messages (dmesg)"
	}
	h.mounted = true
	return "", ""
}

// mostAnew bounds how often what comes from the beginning again counts as getting on:
// a server that breaks off each time is not waited for without end.
const mostAnew = 8

// take takes in a report; ended says that no other will count.
func (h *Handler) take(t *ueventd.Task, r *netreport.Report) (out ueventd.Outcome, ended bool) {
	w := h.w
	working := func(text string) {
		w.SetFact(mount.RootGoal, goal.Fact{Subject: h.subject(), Condition: goal.Working, Text: text})
	}
	switch r.State {
	case fetchplan.StateAsking:
		t.Record("fetch", r.Get("text"), "state="+r.State, "offset="+r.Get("offset"))
		if h.done == 0 {
			working("is asked for")
		}
	case fetchplan.StateProgress:
		done := int64(r.Int("done"))
		if done < h.done && h.anew < mostAnew { // the server sends no rest, or another file
			h.anew++
			h.done = 0
		}
		if done > h.done {
			h.done = done
			w.Progress()
			// The root's deadline is for what does not come.
			if g := w.Goals.Get(mount.RootGoal); g != nil && g.Deadline != 0 {
				g.Deadline = max(g.Deadline, handler.DeadlineAt(t.Now(), h.patience))
			}
		}
		working(progress(int64(r.Int("done")), int64(r.Int("total")), int64(r.Int("rate")), "fetched"))
	case fetchplan.StateTrouble:
		text := r.Get("text")
		h.done = int64(r.Int("done"))
		t.Record("fetch", text, "state="+r.State, "offset="+r.Get("done"))
		w.Say(handler.Detail, "fetch: "+text)
		if h.done > 0 {
			text += "; it is asked for the rest"
		}
		w.SetFact(mount.RootGoal, goal.Fact{Subject: h.subject(), Condition: goal.Incomplete, Text: text, Try: "look at the server; it is asked again by itself"})
	case fetchplan.StateVerifying:
		w.Progress()
		working(progress(int64(r.Int("done")), int64(r.Int("total")), 0, "verified"))
	case fetchplan.StateNote:
		t.Record("fetch", r.Get("text"), "state="+r.State)
		w.Say(handler.Detail, "fetch: "+r.Get("text"))
	case fetchplan.StateAbsent:
		t.Record("fetch", r.Get("text"), "state="+r.State)
		text := "needs the network, which is not up yet; what is kept on " + h.keptOn + " is not it: " + r.Get("text")
		w.SetFact(mount.RootGoal, goal.Fact{Subject: h.subject(), Condition: goal.Incomplete, Text: text})
		if h.again = h.reached; h.again { // meanwhile
			return ueventd.Outcome{}, true
		}
		return ueventd.WaitFor("the network", topicOnline, handler.TopicRetry), true
	case fetchplan.StateRefused:
		t.Record("fetch", r.Get("text"), "state="+r.State)
		return h.fail(r.Get("text"), r.Get("try")), true
	case fetchplan.StateFetched:
		return h.fetched(t, r), true
	}
	return ueventd.Outcome{}, false
}

// fetched lets the root be made of the image.
func (h *Handler) fetched(t *ueventd.Task, r *netreport.Report) ueventd.Outcome {
	w, f := h.w, h.w.Fetch
	by := r.Get("by")
	if signature := r.Get("signature"); signature != "" {
		by = "a signature of OpenPGP"
		args := []string{"--quiet", "--homedir", path.Dir(f.Into)}
		for _, x := range r.Fields {
			if x.Name == "keyring" {
				args = append(args, "--keyring", x.Value)
			}
		}
		args = append(args, "--", signature, f.Into)
		exit, err := ueventd.Do(t, gpgv+" of "+f.Into, func(m machine.Machine) (machine.Exit, error) {
			return m.Run(machine.Program{Path: gpgv, Args: args})
		})
		if err != nil {
			return h.fail("gpgv cannot be run: "+err.Error(), "build the image with --feature http-openpgp")
		}
		if exit.Code != 0 {
			t.Record("fetch", exit.Output, "state="+fetchplan.StateRefused)
			return h.fail("gpgv does not take its signature (it ended with "+strconv.Itoa(exit.Code)+")", "sign the image with gpg --armor --detach-sign and a key that is in the initramfs")
		}
	}
	t.Record("fetch", f.Into+" is there", "state="+r.State, "size="+r.Get("size"), "sum="+r.Get("sum"), "by="+by)
	if by == "" {
		w.Say(handler.Loud, h.subject()+" is not verified, as rd.firstlight.unverified allows")
		by = "nothing"
	}
	what := "fetched " + path.Base(f.Into)
	if h.tree {
		what = "unpacked the image into memory"
	}
	if h.keptOn != "" {
		if what += " to " + h.keptOn; r.Get("kept") != "" {
			what = "found " + path.Base(f.Into) + " on " + h.keptOn
		}
		h.kept(t)
	}
	w.Say(handler.Normal, what+" ("+mebibytes(int64(r.Int("size")))+"), verified by "+by)
	f.Done = true
	w.DropFact(mount.RootGoal)
	w.Progress()
	w.Sched.Notify(handler.TopicFetched)
	w.Sched.Push(ueventd.Event{Queue: filter.Root, Kind: filter.Add})
	return ueventd.Outcome{}
}

// progress is how far it is, for a person.
func progress(done, total, rate int64, how string) string {
	text := mebibytes(done)
	if total > 0 {
		text = strconv.FormatInt(done*100/total, 10) + " % of " + mebibytes(total)
	}
	text += " " + how
	if rate > 0 {
		text += ", " + mebibytes(rate) + "/s"
	}
	return text
}

func mebibytes(n int64) string {
	const m = 1 << 20
	if n < 10*m {
		return strconv.FormatInt((n+1023)/1024, 10) + " KiB"
	}
	return strconv.FormatInt((n+m-1)/m, 10) + " MiB"
}
