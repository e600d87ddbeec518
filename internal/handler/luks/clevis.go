package luks

import (
	"bytes"
	"errors"
	"slices"
	"strings"

	"firstlight/internal/filter"
	"firstlight/internal/fmt"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/inputs"
	"firstlight/internal/luksfmt"
	"firstlight/internal/machine"
	"firstlight/internal/netreport"
	"firstlight/internal/udevd"
	"firstlight/internal/ueventd"
)

// TangProgram is the helper that asks Tang servers, and ClevisFeature what puts it
// into an image. With ClevisTLSFeature there is one that asks those of https too, whose
// name ends in "-tls".
const (
	TangProgram      = "/usr/lib/firstlight/tang"
	ClevisFeature    = "clevis"
	ClevisTLSFeature = "clevis-tls"
)

// clevisQueue is that of a volume's helpers.
const clevisQueue = "clevis"

// topicNetwork is that of handler/network.
const topicNetwork = "network"

// kindBind is the kind of its events. The name is the volume's key, and the value an
// asking.
const kindBind = "bind"

// asking is one binding of a volume.
type asking struct {
	x    *bound
	n    int
	text string
}

// bindings are the volumes that Clevis has bound to servers.
type bindings struct {
	h *Handler
	// of are the volumes by their key: the UUID is the same wherever the disk is.
	of map[string]*bound
}

// bound is one volume. What servers have given is tried once, as one more
// passphrase that nobody has typed.
type bound struct {
	key    string
	waits  int // bindings of which an answer may still come
	secret []inputs.Secret
	tried  int
	why    string // why the last binding came to nothing
	// over: nobody needs to be asked any more. runs says of each binding whether its
	// helper does, and urls are the servers that they have told of.
	over bool
	runs []bool
	urls []string
}

// topicOver is notified when a volume is open, or gone, for which servers are asked.
const topicOver = "clevis over"

// newBindings routes the queue.
func newBindings(h *Handler) *bindings {
	b := &bindings{h: h, of: map[string]*bound{}}
	h.w.Sched.Route(clevisQueue, b.handle)
	return b
}

// begin starts the helpers of a volume's bindings, once.
func (b *bindings) begin(t *ueventd.Task, e *udevd.Entry, v *volume, hdr *luksfmt.Header) {
	if hdr == nil || b.of[v.key] != nil {
		return
	}
	tokens := 0
	for i := range hdr.Tokens {
		if hdr.Tokens[i].Type == "clevis" {
			tokens++
		}
	}
	if tokens == 0 {
		return
	}
	// What is in a token is in no record of the boot, and so it is looked at outside
	// of the core.
	found, err := ueventd.Do(t, "read the bindings of "+e.Devname(), func(machine.Machine) (*foundBindings, error) { return readBindings(hdr.Tokens), nil })
	if err != nil || b.of[v.key] != nil {
		return
	}
	for _, p := range found.Problems {
		b.h.w.Say(handler.Loud, label(e, v)+": its binding by Clevis ("+p+") cannot be read")
	}
	if found.Count == 0 {
		return
	}
	x := &bound{key: v.key}
	b.of[v.key] = x
	if !b.h.w.Image.Has(ClevisFeature) {
		x.why = "the image cannot ask the servers that Clevis has bound it to: rebuild it with --feature " + ClevisFeature
		b.h.w.Say(handler.Normal, label(e, v)+": "+x.why)
		return
	}
	x.waits, x.runs = found.Count, make([]bool, found.Count)
	for i := range found.Count {
		text := ""
		if i < len(found.Texts) { // a replay has none
			text = found.Texts[i]
		}
		b.h.w.Sched.Push(ueventd.Event{Queue: queueOf(v.key, i), Kind: kindBind, Name: v.key, Value: asking{x, i, text}})
	}
}

// handle runs a helper and takes in what it says for as long as it runs.
func (b *bindings) handle(t *ueventd.Task, ev ueventd.Event) ueventd.Outcome {
	w := b.h.w
	a, ok := ev.Value.(asking)
	x := a.x
	if !ok || x.over {
		return ueventd.Outcome{}
	}
	name := ev.Queue
	for w.Links == 0 {
		w.SetFact(name, goal.Fact{Subject: "the servers that Clevis has bound " + strings.TrimPrefix(x.key, filter.LUKS+" ") + " to", Condition: goal.Incomplete, Text: "wait for the network"})
		t.Wait("the network", topicNetwork, topicOver)
		if x.over {
			return ueventd.Outcome{} // with its fact gone
		}
	}
	w.DropFact(name)
	program := TangProgram
	if w.Image.Has(ClevisTLSFeature) {
		program += "-tls"
	}
	err := ueventd.Act(t, "start "+program, func(m machine.Machine) error {
		return m.Start(name, machine.Program{Path: program, Input: []byte(a.text)})
	})
	if err != nil {
		return b.ended(x, name, "the program that asks them cannot be started: "+err.Error())
	}
	x.runs[a.n] = true
	if x.over {
		b.stop(t, name)
	}
	for {
		said, err := ueventd.Do(t, "listen to "+name, func(m machine.Machine) (machine.Said, error) { return m.Listen(name) })
		if err != nil {
			return b.ended(x, name, "the program that asks them cannot be listened to: "+err.Error())
		}
		if x.over {
			clear(said.Secret)
			if said.Ended {
				return ueventd.Outcome{}
			}
			continue
		}
		for _, line := range said.Lines {
			b.take(t, x, line)
		}
		if said.Opens || said.Ended {
			x.runs[a.n] = false
		}
		if said.Opens {
			x.waits--
			x.secret = append(x.secret, said.Secret)
			w.Progress()
			w.DropFact(name)
			w.Sched.Notify(handler.TopicPassphrase)
			b.withdraw(t, x)
			return ueventd.Outcome{}
		}
		if said.Ended && w.Leaving() {
			return ueventd.Outcome{}
		}
		if said.Ended {
			why := x.why
			if why == "" {
				why = fmt.Sprintf("the program that asks them has ended (exit %d)", said.Code)
			}
			return b.ended(x, name, why)
		}
	}
}

// handleDevice has the handler handle an event of a volume. When it is done with that
// nobody needs to be asked any more: the volume is open, by whatever, or gone.
func (b *bindings) handleDevice(t *ueventd.Task, ev ueventd.Event) ueventd.Outcome {
	out := b.h.handle(t, ev)
	if x := b.of[ev.Queue]; x != nil && out.Verdict == ueventd.Done {
		b.end(t, ev.Queue, x)
	}
	return out
}

// end ends what is asked for a volume.
func (b *bindings) end(t *ueventd.Task, key string, x *bound) {
	delete(b.of, key) // should it go and come back, they are asked again
	x.over = true
	for _, url := range x.urls {
		b.h.w.DropFact("tang " + url)
	}
	for i := range x.runs {
		b.h.w.DropFact(queueOf(key, i))
	}
	b.h.w.Sched.Notify(topicOver)
	for i, runs := range x.runs {
		if runs {
			b.stop(t, queueOf(key, i))
		}
	}
}

// stop ends a helper, which is heard until then.
func (b *bindings) stop(t *ueventd.Task, name string) {
	if err := ueventd.Act(t, "end "+name, func(m machine.Machine) error { return m.End(name) }); err != nil {
		t.Record("decision", name+" asks on: "+err.Error())
	}
}

// queueOf is that of one of a volume's bindings.
func queueOf(key string, i int) string {
	return fmt.Sprintf("%s %s %d", clevisQueue, strings.TrimPrefix(key, filter.LUKS+" "), i)
}

// ended says that nothing comes of a binding.
func (b *bindings) ended(x *bound, name, why string) ueventd.Outcome {
	x.waits--
	x.why = why
	if x.over {
		return ueventd.Outcome{}
	}
	b.h.w.SetFact(name, goal.Fact{Subject: "the servers that Clevis has bound " + strings.TrimPrefix(x.key, filter.LUKS+" ") + " to", Condition: goal.LeftAlone, Text: why,
		Try: "give the passphrase, or bind the volume anew (clevis luks regen)"})
	b.h.w.Say(handler.Loud, "Clevis: "+why)
	b.h.w.Sched.Notify(handler.TopicPassphrase)
	return ueventd.Outcome{}
}

// take takes in a line of a helper.
func (b *bindings) take(t *ueventd.Task, x *bound, line string) {
	w := b.h.w
	r, ok := netreport.ParseReport(line)
	if !ok {
		w.Say(handler.Detail, "tang: "+line)
		return
	}
	t.Record("network", r.String(), "state="+r.State)
	url := r.Get("url")
	f := goal.Fact{Subject: "Tang server " + url, Condition: goal.Working, Text: "is asked"}
	switch r.State {
	case netreport.StateProblem:
		x.why = r.Get("text")
		return
	case "failed":
		f.Condition, f.Text = goal.Incomplete, r.Get("text")
		if n := r.Int("tries"); n > 1 {
			f.Text += fmt.Sprintf(" (asked %d times)", n)
		}
		f.Try = "look at the server, or give the passphrase"
	case "answered":
		f.Condition, f.Text = goal.Present, "has answered"
	}
	if !slices.Contains(x.urls, url) {
		x.urls = append(x.urls, url)
	}
	w.SetFact("tang "+url, f)
}

// withdraw takes the question for a volume back: what was asked for has come.
func (b *bindings) withdraw(t *ueventd.Task, x *bound) {
	id := x.key
	if b.h.prompt != id {
		return
	}
	ueventd.Act(t, "withdraw the question for "+id, func(m machine.Machine) error {
		m.Dismiss(id)
		return nil
	})
}

// open tries what servers have given. With wait it waits for them as long as one may
// still answer: nobody else may be asked. done is false where another way is to be
// tried.
func (b *bindings) open(t *ueventd.Task, e *udevd.Entry, v *volume, hdr *luksfmt.Header, wait bool) (err error, done bool) {
	b.begin(t, e, v, hdr)
	x := b.of[v.key]
	if x == nil {
		return nil, false
	}
	for {
		for x.tried < len(x.secret) {
			secret := bytes.Clone(x.secret[x.tried])
			x.tried++
			err := b.h.try(t, e, v, hdr, "what the Tang servers have given", secret, false)
			clear(secret)
			if err == nil {
				b.h.w.Say(handler.Normal, label(e, v)+" is unlocked by its Tang servers")
				return nil, true
			}
			if errors.Is(err, errTwin) {
				return err, true
			}
			t.Record("decision", "what the Tang servers have given does not open "+e.Devname()+": "+err.Error())
			b.h.w.Say(handler.Loud, label(e, v)+": what its Tang servers have given does not open it: "+err.Error())
		}
		if !wait || x.waits == 0 {
			return nil, false
		}
		b.h.locked(e, v, "waits for the servers that Clevis has bound it to")
		t.Wait("an answer of the Tang servers", handler.TopicPassphrase)
	}
}
