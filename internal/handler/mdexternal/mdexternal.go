// Package mdexternal assembles arrays whose metadata the kernel does not know,
// those of Intel's firmware (IMSM) and of DDF, by mdadm and mdmon of the image:
// mdadm reads the metadata of each disk as it comes, puts those that belong
// together into a container, and starts the arrays in it; mdmon writes the
// metadata while they are in use.
//
// Nothing is written before it is known that nothing is to be resumed: until
// then arrays run read-only, and without mdmon. Once mdmon runs it stays, over
// the start of the real system, which starts its own to take over from it
// (systemd.io/ROOT_STORAGE_DAEMONS; its name begins with '@').
package mdexternal

import (
	"slices"
	"strconv"
	"strings"

	"firstlight/internal/bootcmd"
	"firstlight/internal/filter"
	"firstlight/internal/fmt"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/machine"
	"firstlight/internal/mdsuper"
	"firstlight/internal/order"
	"firstlight/internal/udevd"
	"firstlight/internal/ueventd"
)

// Kinds of events of the queue besides those of the disks.
const (
	kindOverdue = "overdue" // no disk has come for a time
	kindMonitor = "monitor" // containers may get their monitors
)

// queue is the one queue of all disks: mdadm's calls would wait for each other.
const queue = filter.FirmwareRAID

// topicReady is notified when arrays may be mounted from.
const topicReady = "firmware RAID"

// Handler assembles arrays of firmware RAID.
type Handler struct {
	w       *handler.World
	told    map[string]*udevd.Entry // disks that mdadm was told of, by node
	busy    bool                    // mdadm runs
	overdue bool                    // missing disks have been waited for
	watched map[string]bool         // containers that have their monitor
	frozen  map[string]bool         // containers that stay read-only
	lacks   []string                // drivers of levels that the image has not, by alias
}

// New registers the handler. It holds the mounts of its arrays back until they
// can be written to.
func New(w *handler.World) *Handler {
	h := &Handler{w: w, told: map[string]*udevd.Entry{}, watched: map[string]bool{}, frozen: map[string]bool{}}
	w.Sched.Route(queue, h.handle)
	w.Gates = append(w.Gates, h.gate)
	return h
}

func (h *Handler) handle(t *ueventd.Task, ev ueventd.Event) ueventd.Outcome {
	switch ev.Kind {
	case kindOverdue:
		return h.late(t)
	case kindMonitor:
		return h.monitor(t)
	}
	w := h.w
	e := w.Devices.ByName(ev.Name)
	if ev.Kind == filter.Remove || e == nil {
		delete(h.told, ev.Name) // the kernel and mdmon see to it
		h.judge(t)
		return ueventd.Outcome{}
	}
	if old := h.told[ev.Name]; old == e || old != nil && len(holders(e)) > 0 {
		h.told[ev.Name] = e // mdadm and mdmon write to it, and the kernel says so
		return ueventd.Outcome{}
	}
	if why := h.forbidden(t, e); why != "" {
		t.Record("decision", ev.Name+" is left alone: "+why)
		w.SetFact("disk "+ev.Name, goal.Fact{Subject: ev.Name + " of a firmware RAID", Condition: goal.LeftAlone, Text: "left alone: " + why})
		return ueventd.Outcome{}
	}
	if !w.ResumeSettled && h.logged(t, e) {
		w.SetFact("disk "+ev.Name, goal.Fact{Subject: ev.Name + " of a firmware RAID", Condition: goal.Incomplete,
			Text: "its array is started once nothing can be resumed any more, for the kernel writes to its log then"})
		return ueventd.WaitFor("resume comes before any write", handler.TopicResumeSettled)
	}
	w.DropFact("disk " + ev.Name)
	h.told[ev.Name] = e
	h.overdue = false // who has come may not be the last
	// The kernel asks for the driver of a level by a modprobe that the image
	// need not have; which level it is only mdadm knows.
	h.lacks, _ = ueventd.Do(t, "load the drivers of RAID levels", func(m machine.Machine) (lacks []string, err error) {
		for _, alias := range [...]string{"md_mod", "md-level-0", "md-level-1", "md-level-10", "md-level-5"} {
			if m.Load(alias) != nil { // the image has those that this machine needs
				lacks = append(lacks, alias)
			}
		}
		return lacks, nil
	})
	args := []string{"--incremental", "--offroot", ev.Name}
	for _, l := range e.Links() {
		args = append(args, "/dev/"+l)
	}
	if out, ok := h.mdadm(t, args, ""); !ok {
		delete(h.told, ev.Name)
		return out
	}
	w.Progress()
	h.judge(t)
	return ueventd.Outcome{}
}

// forbidden says why a disk is not to be used, "" if it may be.
func (h *Handler) forbidden(t *ueventd.Task, e *udevd.Entry) string {
	md := h.w.Config.MD
	imsm := e.Property("ID_FS_TYPE") == "isw_raid_member"
	switch {
	case !md.Enabled:
		return "rd.md=0"
	case imsm && !md.IMSM:
		return "rd.md.imsm=0"
	case !imsm && !md.DDF:
		return "rd.md.ddf=0"
	case len(holders(e)) > 0:
		return "it is in use by " + strings.Join(holders(e), ", ")
	case len(md.UUIDs) > 0 && !h.named(t, e):
		return "rd.md.uuid= names other arrays"
	}
	return ""
}

// logged says whether an array on a disk has a partial parity log, to which the
// kernel writes as soon as the array is started, however it is (mdadm's word for
// it is the policy against the RAID write hole).
func (h *Handler) logged(t *ueventd.Task, e *udevd.Entry) bool {
	exit, err := h.run(t, "/sbin/mdadm", []string{"--examine", e.Devname()}, nil)
	if err != nil {
		return false // nothing can be started then either
	}
	for line := range strings.Lines(exit.Output) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "RWH Policy" && strings.Contains(value, "PPL") {
			return true
		}
	}
	return false
}

// holders are the arrays that a disk is in.
func holders(e *udevd.Entry) []string {
	list, _ := e.Sys().List(e.Devpath() + "/holders")
	return list
}

// named says whether rd.md.uuid= names the container of a disk or an array in
// it.
func (h *Handler) named(t *ueventd.Task, e *udevd.Entry) bool {
	exit, err := h.run(t, "/sbin/mdadm", []string{"--examine", "--brief", e.Devname()}, nil)
	if err != nil {
		return false
	}
	for word := range strings.FieldsSeq(exit.Output) {
		if id, ok := strings.CutPrefix(word, "UUID="); ok {
			if u, err := mdsuper.ParseUUID(id); err == nil && slices.Contains(h.w.Config.MD.UUIDs, u.String()) {
				return true
			}
		}
	}
	return false
}

// mdadm runs mdadm, which keeps the map of arrays like Firstlight does: one at
// a time. frozen is a container whose arrays are to stay read-only, "" for none.
func (h *Handler) mdadm(t *ueventd.Task, args []string, frozen string) (out ueventd.Outcome, ok bool) {
	w := h.w
	w.LockMap(t)
	h.busy = true
	if frozen != "" {
		h.frozen[frozen] = true
	}
	var env []string
	if !w.ResumeSettled || len(h.frozen) > 0 {
		env = []string{"MDADM_NO_MDMON=1"} // mdmon is started here, where it may be
	}
	if !w.Config.MD.Conf || !w.Config.HostOnly {
		args = append([]string{args[0], "--config=none"}, args[1:]...)
	}
	exit, err := h.run(t, "/sbin/mdadm", args, env)
	h.busy = false
	w.UnlockMap()
	if err != nil {
		w.SetFact(queue, goal.Fact{Subject: "firmware RAID", Condition: goal.Blocked, Text: "mdadm cannot be run: " + err.Error(),
			Try: "rebuild the image with it: firstlight build --feature md-external"})
		return ueventd.WaitFor(err.Error(), handler.TopicRetry), false
	}
	for _, c := range h.containers() {
		if env == nil {
			h.watched[c.name] = true // mdadm sees to that
		}
	}
	if env != nil {
		w.Sched.Push(ueventd.Event{Queue: queue, Kind: kindMonitor})
	}
	if exit.Code != 0 {
		w.Say(handler.Detail, "mdadm "+strings.Join(args, " ")+": "+strings.TrimSpace(exit.Output))
	}
	w.Sched.Notify(topicReady)
	return ueventd.Outcome{}, true
}

// run runs a program of the image, with what the command line says for mdadm.
func (h *Handler) run(t *ueventd.Task, program string, args, env []string) (machine.Exit, error) {
	for _, p := range h.w.Config.Params {
		if p.Name == "IMSM_NO_PLATFORM" || p.Name == "IMSM_DEVNAME_AS_SERIAL" {
			env = append(env, p.Name+"="+p.Value)
		}
	}
	exit, err := ueventd.Do(t, program+" "+strings.Join(args, " "), func(m machine.Machine) (machine.Exit, error) {
		at := program
		if !m.HasProgram(at) {
			at = "/usr" + at
		}
		return m.Run(machine.Program{Path: at, Args: args, Env: env})
	})
	if err == nil {
		t.Record("mdadm", fmt.Sprintf("%s %s: exit %d: %s", program, strings.Join(args, " "), exit.Code, strings.TrimSpace(exit.Output)))
	}
	return exit, err
}

// container is a set of disks with one metadata.
type container struct {
	name   string // "md127"
	kind   string // "imsm", "ddf"
	disks  []string
	arrays []array
}

// array is an array in a container.
type array struct {
	name, state, level string
	degraded           int
}

// monitored says whether mdmon is needed while the array is in use: it has
// members that can fail.
func (a array) monitored() bool { return a.running() && a.level != "raid0" && a.level != "linear" }

func (a array) running() bool { return a.state != "inactive" && a.state != "clear" && a.state != "" }

// containers reads from sysfs what containers there are, and the arrays in
// them.
func (h *Handler) containers() []container {
	var list []container
	var names []string
	for _, e := range h.told {
		if names, _ = e.Sys().List("/block"); names != nil {
			sys := e.Sys()
			read := func(name, attr string) string {
				v, _ := sys.Read("/block/" + name + "/md/" + attr)
				return v
			}
			order.Strings(names)
			for _, n := range names {
				kind, ok := strings.CutPrefix(read(n, "metadata_version"), "external:")
				if ok && kind != "" && kind[0] != '/' && kind[0] != '-' {
					disks, _ := sys.List("/block/" + n + "/slaves")
					list = append(list, container{name: n, kind: kind, disks: disks})
				}
			}
			for _, n := range names {
				in, ok := strings.CutPrefix(read(n, "metadata_version"), "external:")
				if !ok || in == "" || in[0] != '/' && in[0] != '-' {
					continue
				}
				of, _, _ := strings.Cut(in[1:], "/")
				if i := slices.IndexFunc(list, func(c container) bool { return c.name == of }); i >= 0 {
					degraded, _ := strconv.Atoi(read(n, "degraded"))
					list[i].arrays = append(list[i].arrays, array{n, read(n, "array_state"), read(n, "level"), degraded})
				}
			}
			return list
		}
	}
	return nil
}

// judge says what of the containers is there, and sets the time at which their
// arrays are started without what is missing.
func (h *Handler) judge(t *ueventd.Task) {
	w := h.w
	incomplete := false
	for _, c := range h.containers() {
		f := goal.Fact{Subject: "firmware RAID " + c.name + " (" + c.kind + ")", Condition: goal.Present, Text: c.describe()}
		if c.incomplete() {
			incomplete = true
			f.Condition, f.Try = goal.Incomplete, "connect the missing disks"
		}
		for _, a := range c.arrays {
			if feature := h.lacking(a); feature != "" {
				f.Condition, f.Text, f.Try = goal.Blocked, f.Text+"; "+a.name+" is a "+a.level+", which has no driver in this image",
					"rebuild the image with it: firstlight build --feature "+feature
			}
		}
		if c.incomplete() && !h.overdue {
			if f.Until = handler.DeadlineAt(w.Sched.Now(), w.Config.MD.Degraded.Wait); f.Until != 0 {
				f.AtExpiry = "starts degraded, if it can"
			}
		}
		w.SetFact("container "+c.name, f)
	}
	at := handler.DeadlineAt(w.Sched.Now(), w.Config.MD.Degraded.Wait)
	if incomplete && !h.overdue && at != 0 {
		w.Sched.Deadline(queue, at, ueventd.Event{Queue: queue, Kind: kindOverdue})
	} else {
		w.Sched.CancelDeadline(queue)
	}
}

// lacking is the feature that has the driver of an array that does not run for
// the want of it, "" if that is not so.
func (h *Handler) lacking(a array) string {
	level := strings.TrimPrefix(a.level, "raid")
	feature := "md-raid" + level
	if level == "4" || level == "5" || level == "6" {
		level, feature = "5", "md-raid456" // the kernel has one driver for the three
	}
	if a.running() || !slices.Contains(h.lacks, "md-level-"+level) {
		return ""
	}
	return feature
}

// incomplete says whether an array of the container does not run.
func (c container) incomplete() bool {
	return len(c.arrays) == 0 || slices.ContainsFunc(c.arrays, func(a array) bool { return !a.running() })
}

func (c container) describe() string {
	text := strconv.Itoa(len(c.disks)) + " disks (" + strings.Join(c.disks, ", ") + ")"
	for _, a := range c.arrays {
		if a.running() {
			text += "; " + a.name + " runs"
		} else {
			text += "; " + a.name + " does not run yet"
		}
		if a.degraded > 0 {
			text += ", degraded"
		}
	}
	if len(c.arrays) == 0 {
		text += "; none of its arrays can be started yet"
	}
	return text
}

// late starts what can be started without the disks that are missing.
func (h *Handler) late(t *ueventd.Task) ueventd.Outcome {
	w := h.w
	if _, later := w.Sched.DeadlineOf(queue); later {
		return ueventd.Outcome{} // a disk came before this was its turn
	}
	if w.Sched.Asking() {
		h.judge(t)
		return ueventd.Outcome{}
	}
	h.overdue = true
	for _, c := range h.containers() {
		if !c.incomplete() {
			continue
		}
		how, frozen := "", ""
		if w.Config.MD.Degraded.Mode != bootcmd.DegradedWritable {
			how, frozen = " and read-only", c.name
		}
		w.Say(handler.Loud, "Starting the firmware RAID "+c.name+" ("+c.kind+") degraded"+how+": "+c.describe()+". Nothing of it came for "+
			goal.Seconds(w.Config.MD.Degraded.Wait)+".")
		if w.Config.MD.Degraded.Mode == bootcmd.DegradedOverlay {
			w.CoverRoot("the firmware RAID " + c.name + " is degraded (rd.md.degraded=overlay)")
		}
		if out, ok := h.mdadm(t, []string{"--incremental", "--run", "--offroot", "/dev/" + c.name}, frozen); !ok {
			return out
		}
	}
	h.judge(t)
	return ueventd.Outcome{}
}

// monitor starts the monitors of the containers that were put together while
// it was not known whether there was anything to resume.
func (h *Handler) monitor(t *ueventd.Task) ueventd.Outcome {
	w := h.w
	if !w.ResumeSettled {
		return ueventd.WaitFor("resume comes before any write", handler.TopicResumeSettled)
	}
	for _, c := range h.containers() {
		if h.watched[c.name] || h.frozen[c.name] {
			continue
		}
		if !slices.ContainsFunc(c.arrays, array.monitored) {
			if len(c.arrays) > 0 {
				h.watched[c.name] = true // with nothing to do for a monitor
			}
			continue
		}
		if exit, err := h.run(t, "/sbin/mdmon", []string{"--offroot", c.name}, nil); err != nil || exit.Code != 0 {
			w.Say(handler.Loud, fmt.Sprintf("the monitor of the firmware RAID %s could not be started (exit %d): %v", c.name, exit.Code, err))
		}
		h.watched[c.name] = true // or as good as it gets
	}
	w.Sched.Notify(topicReady)
	return ueventd.Outcome{}
}

// gate holds a device back whose array cannot be written to yet.
func (h *Handler) gate(e *udevd.Entry) (topic, why, options string) {
	var on string
	for _, c := range h.containers() {
		for _, a := range c.arrays {
			if (h.busy || !h.watched[c.name] && !h.frozen[c.name]) && lies(e, a.name) {
				on = a.name
			}
		}
	}
	if on == "" {
		return "", "", ""
	}
	return topicReady, "the monitor of " + on, ""
}

// lies says whether a device is an array, or lies on it.
func lies(e *udevd.Entry, name string) bool {
	sys := e.Sys()
	var below func(devpath string, depth int) bool
	below = func(devpath string, depth int) bool {
		if strings.Contains(devpath+"/", "/"+name+"/") {
			return true
		}
		slaves, _ := sys.List(devpath + "/slaves")
		return depth < 16 && slices.ContainsFunc(slaves, func(s string) bool {
			p, err := sys.Resolve("/class/block/" + s)
			return err == nil && below(p, depth+1)
		})
	}
	return below(e.Devpath(), 0)
}
