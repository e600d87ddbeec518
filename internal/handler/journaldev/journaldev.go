// Package journaldev gives a filesystem whose journal is on a device of its own
// that device when it is mounted: an ext3, ext4 or xfs. It belongs to the full
// /init.
//
// The device is the one that root.journaldev= (dracut), or logdev= or
// journal_path= of rootflags=, names, else the one that belongs to the filesystem
// by its UUID: what number it had when the filesystem was made says nothing. A
// filesystem is not mounted before its journal is there, and of two of them none
// is taken.
package journaldev

import (
	"slices"
	"strings"

	"firstlight/internal/blkid"
	"firstlight/internal/devspec"
	"firstlight/internal/filter"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/logfmt"
	"firstlight/internal/machine"
	"firstlight/internal/udevd"
	"firstlight/internal/ueventd"
)

// Feature is the feature with which an image has it.
const Feature = "external-journal"

// queue is where devices are read, and topic is notified when one was.
const queue, topic = "journal", "journal read"

// maxReads bounds how many logs of an xfs are looked at.
const maxReads = 64

// Handler knows of filesystems where their journals are.
type Handler struct {
	w     *handler.World
	named devspec.Spec        // the journal of the root, where the command line names it
	read  map[string]*reading // by node
}

// reading is what was read of a device, or is being read.
type reading struct {
	entry *udevd.Entry
	done  bool
	log   logfmt.Log // of a filesystem
	of    string     // UUID of the xfs that a log belongs to
}

// New registers the handler.
func New(w *handler.World) *Handler {
	h := &Handler{w: w, read: map[string]*reading{}}
	if w.Image.Has(Feature) {
		w.Sched.Route(queue, h.handle)
		w.Gates = append(w.Gates, h.gate)
	}
	return h
}

// Start reads what the command line names.
func (h *Handler) Start() {
	w := h.w
	if !w.Image.Has(Feature) {
		return
	}
	name, by := "", ""
	for o := range strings.SplitSeq(w.Config.Root.Flags, ",") {
		if k, v, ok := strings.Cut(o, "="); ok && (k == "logdev" || k == "journal_path") {
			name, by = v, "rootflags="+k
		}
	}
	for _, p := range w.Config.Params {
		if p.Name == "root.journaldev" {
			name, by = p.Value, p.Name
		}
	}
	if name == "" {
		return
	}
	spec, err := devspec.Parse(name)
	switch {
	case err != nil:
		w.Say(handler.Loud, by+"="+name+": "+err.Error())
	case !spec.IsDevice():
		w.Say(handler.Loud, by+"="+name+": not the name of a block device")
	default:
		h.named = spec
		w.Want(spec)
		w.Seek(by+"=", &h.named)
	}
}

// handle reads a filesystem, or a log.
func (h *Handler) handle(t *ueventd.Task, ev ueventd.Event) ueventd.Outcome {
	r := h.read[ev.Name]
	if r == nil || r.done {
		return ueventd.Outcome{}
	}
	typ := r.entry.Property("ID_FS_TYPE")
	if typ == logType {
		of, err := ueventd.Do(t, "read whose journal "+ev.Name+" is", func(m machine.Machine) (string, error) {
			b, err := m.OpenBlock(ev.Name)
			if err != nil {
				return "", err
			}
			defer b.Close()
			res, err := blkid.ProbeWith(b, b.Size(), blkid.Options{SectorSize: b.SectorSize()})
			if err != nil {
				return "", err
			}
			return res.Get("LOGUUID"), nil
		})
		if err != nil {
			t.Record("decision", ev.Name+" belongs to nobody: "+err.Error())
		}
		r.of = of
	} else {
		log, err := ueventd.Do(t, "read where the journal of "+ev.Name+" is", func(m machine.Machine) (logfmt.Log, error) {
			b, err := m.OpenBlock(ev.Name)
			if err != nil {
				return logfmt.Log{}, err
			}
			defer b.Close()
			return logfmt.Read(b, typ)
		})
		if err != nil { // the mount will say more of it
			t.Record("decision", ev.Name+": "+err.Error())
		}
		r.log = log
	}
	r.done = true
	h.w.Sched.Notify(topic)
	return ueventd.Outcome{}
}

// logType is blkid's name of the log of an xfs.
const logType = "xfs_external_log"

// look returns what is known of a device, and has it read where nothing is yet.
func (h *Handler) look(e *udevd.Entry) *reading {
	r := h.read[e.Devname()]
	if r == nil || r.entry != e {
		r = &reading{entry: e}
		h.read[e.Devname()] = r
		h.w.Sched.Push(ueventd.Event{Queue: queue, Kind: filter.Add, Name: e.Devname()})
	}
	return r
}

// gate holds back a filesystem whose journal is not there, and adds the option
// that names the journal.
func (h *Handler) gate(e *udevd.Entry) (wait, why, options string) {
	option := ""
	switch e.Property("ID_FS_TYPE") {
	case "ext3", "ext4":
		option = "journal_path="
	case "xfs":
		option = "logdev="
	default:
		return "", "", ""
	}
	// A look at what is on other devices touches no journal.
	if !slices.ContainsFunc(h.w.Wanted(), func(s devspec.Spec) bool { return s.Matches(e) }) {
		return "", "", ""
	}
	r := h.look(e)
	if !r.done {
		return topic, "where the journal of " + e.Devname() + " is", ""
	}
	key := queue + " " + e.Devname()
	if !r.log.External {
		h.w.DropFact(key)
		return "", "", ""
	}
	found, spec, reads := h.find(e, r)
	if reads {
		return topic, "whose journals there are", ""
	}
	if len(found) == 1 {
		h.w.DropFact(key)
		return "", "", option + found[0].Devname()
	}
	f := goal.Fact{Subject: "the journal of " + e.Devname(), Condition: goal.Incomplete, Text: spec + " has not appeared",
		Try: "connect the disk with the journal, or name it with root.journaldev="}
	if len(found) > 1 {
		f.Condition, f.Text, f.Try = goal.Blocked, "more than one device is "+spec, "unplug the copy, or name the right one with root.journaldev="
	}
	h.w.SetFact(key, f)
	return udevd.TopicDevice, f.Subject + ": " + f.Text, ""
}

// find returns the devices that are the journal of a filesystem, and what they
// are looked for by; reads says that some have still to be read.
func (h *Handler) find(e *udevd.Entry, r *reading) (found []*udevd.Entry, by string, reads bool) {
	w := h.w
	if h.named.IsDevice() && w.Config.Root.Device.Matches(e) {
		return w.Find(h.named), h.named.Describe(), false
	}
	if e.Property("ID_FS_TYPE") != "xfs" {
		spec := devspec.Spec{Kind: devspec.UUID, Value: devspec.FoldUUID(r.log.UUID)}
		w.Want(spec) // it may be in a volume
		return w.Find(spec), "the journal with the UUID " + r.log.UUID, false
	}
	n := 0
	for _, d := range w.Devices.Block() {
		if d.Property("ID_FS_TYPE") != logType || !filter.Usable(d.Device) {
			continue
		}
		if n++; n > maxReads {
			break
		}
		switch l := h.look(d); {
		case !l.done:
			reads = true
		case strings.EqualFold(l.of, r.log.UUID):
			found = append(found, d)
		}
	}
	return found, "the log of the xfs " + r.log.UUID, reads
}
