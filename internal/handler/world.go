// Package handler is what all handlers share: the world as the core knows
// it, the topics by which they wake each other, and the helpers for speaking
// to the person at the console.
//
// A handler is one aspect of the boot in a package of its own. It decides;
// it touches the machine through ueventd.Do alone.
package handler

import (
	"errors"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"firstlight/internal/bootcmd"
	"firstlight/internal/devspec"
	"firstlight/internal/filter"
	"firstlight/internal/goal"
	"firstlight/internal/machine"
	"firstlight/internal/timespan"
	"firstlight/internal/udevd"
	"firstlight/internal/ueventd"
)

// Topics by which handlers wake each other.
const (
	TopicResumeSettled = "resume settled" // it is known that nothing is to be resumed
	TopicRootMounted   = "root mounted"
	TopicGoals         = "goals" // a goal changed its state
	TopicPassphrase    = "passphrase cached"
	TopicRetry         = "try again" // a person has left the shell
	TopicWanted        = "wanted"    // the boot wants one more device
	TopicChecked       = "checked"   // the check of a filesystem has ended
)

// KindMounts is the event that the mount table has changed, and a topic that is
// notified then; the event's value is the list of mount points.
const KindMounts = "mounts"

// SysRoot is where the real root is mounted.
const SysRoot = "/sysroot"

// Image is what the handlers need to know of the image itself.
type Image struct {
	Version   string
	Kernel    string // release that the modules belong to
	Running   string // release of the kernel that runs, "" if that is not known
	Features  []string
	Full      bool   // /init has the handlers of every kind of storage, not only the usual ones
	Crypttab  string // text of /etc/crypttab, "" for none
	MdadmConf string // text of mdadm.conf, "" for none
	Hostname  string
	// SystemID is who this machine is to LVM, "" for nobody, and
	// ExtraSystemIDs are whose volume groups it may use besides.
	SystemID       string
	ExtraSystemIDs []string
	// DevicesFile says that LVM has a list of the physical volumes that it may
	// use, which are PVIDs: UUIDs without hyphens (lvmdevices(8)).
	DevicesFile bool
	PVIDs       []string
}

// Has says whether the image was built with a feature.
func (i Image) Has(feature string) bool { return slices.Contains(i.Features, feature) }

// Urgency says who is to see a message.
type Urgency uint8

// Urgencies, from the loudest.
const (
	Loud   Urgency = iota // on every console, even with quiet
	Normal                // on the consoles, not with quiet
	Detail                // journal and kernel log only, console with debug
)

// Gate lets a handler hold a device back that is to be mounted: a btrfs
// filesystem whose members are not all there. It returns the topic to wait for
// and why, or "". options are mount options to add (degraded).
type Gate func(e *udevd.Entry) (topic, why, options string)

// World is the state that handlers share. It belongs to the core; only
// tasks touch it.
type World struct {
	Sched   *ueventd.Scheduler
	Config  *bootcmd.Config
	Image   Image
	Devices *udevd.Manager
	Goals   *goal.Set
	Say     func(Urgency, string)

	// Looking counts what has still to be looked for before a device is used,
	// since it may have the name of another: the devices that were there before the
	// first message of the kernel, and each that is about to be made of others.
	// TopicDevice is notified when it becomes less.
	Looking int
	// Init is the real init, as seen from the real root, once it is known.
	Init string
	// ResumeSettled: no image can be resumed any more, so that disks may be
	// written to.
	ResumeSettled bool
	// Round counts how often everything that failed was tried again.
	Round int
	// Gates hold devices back that are not to be mounted yet.
	Gates []Gate
	// mapped: somebody is writing the map of arrays; see LockMap.
	mapped bool
	// Volatile, where it is not empty, says why the root is to be used with
	// what is written to it kept in memory: what it lies on is read-only.
	Volatile string
	// Checks are the devices whose filesystems are being checked just now: the
	// checker may be writing to them.
	Checks []string
	// Activity is when something last happened that brings the boot nearer.
	Activity time.Duration
	// Secrets are the passphrases that were typed, for the next device; see
	// KeepSecret. They are wiped before the real system starts.
	Secrets [][]byte
	// Extra are the devices that the real root's fstab wants before the real
	// system starts; see Want.
	Extra []devspec.Spec
	// Sought are devices that handlers look for besides those of Wanted, for
	// explanations.
	Sought []Seek
	// Missing are the drivers that were wanted and are not in the image.
	Missing []string
	// Revision counts the changes of what an explanation is made from.
	Revision uint64

	// Cover lays over the mounted root what CoverAsked says; ok is false when
	// it could not, and then the outcome says how to go on. nil: this /init
	// has no overlays.
	Cover func(t *ueventd.Task) (out ueventd.Outcome, ok bool)
	// MountRoot mounts a root that a server has; ok as for Cover. nil: it is on a
	// block device.
	MountRoot func(t *ueventd.Task, readOnly bool) (out ueventd.Outcome, ok bool)
	// VerifyRoot sets up the verified device that the configuration came to name
	// for the root, by a root hash whose signature, on that partition, has to be
	// taken; nil: this /init has none.
	VerifyRoot func(signature devspec.Spec)
	// FindResume fills in the resume device of the configuration where it has
	// none and something else says it; nil: nothing does.
	FindResume func(t *ueventd.Task) error
	// Lower is where the root below is mounted, for who wants its fstab and
	// not that of an empty root that covers it; "" for none.
	Lower string
	// OnLoop makes a file in what is mounted as the root so far a block device,
	// and moves what it is in out of the way; ok as for Cover. It is called
	// again for what is in that device, until it returns no device: the root is
	// what is mounted then. nil: this /init cannot.
	OnLoop func(t *ueventd.Task) (device devspec.Spec, out ueventd.Outcome, ok bool)
	// Medium: what root= names only has the root in it, and is not written to.
	// NoBase: nothing is named, and OnLoop is called with nothing mounted yet.
	Medium, NoBase bool

	// Fetch is the image that the root is in where a server has it, and ImageAt
	// makes one of it that only a lease names, by its URL; nil: this /init cannot.
	Fetch   *Fetch
	ImageAt func(url string)
	// Last is done right before the real system is started; nil: nothing.
	Last func(t *ueventd.Task) error
	// Links counts the links of the network that can be used.
	Links int

	// Makers make again what was taken down because its disk had gone away: a
	// device by its name in the device mapper, or the kernel's of an array, and
	// its UUID in the device mapper, "" for an array.
	Makers []func(t *ueventd.Task, name, uuid string)

	copies  map[string]origin // snapshots; see CopyOf
	leaving bool              // the real system is being started, or the machine stopped
	facts   map[string]*goal.Fact
	order   []string
	stopped map[bootcmd.Stage]bool // stages at which there was a shell

	// Layers are directories that an overlay over the root has above it, the
	// uppermost first, and Upper is one that is there already for what is
	// written; "work" lies beside it.
	Layers []string
	Upper  string
}

// Seek is a device that is looked for. By is what names it, up to the name:
// "root=", "rd.luks.uuid=".
type Seek struct {
	Spec *devspec.Spec
	By   string
}

// Seek notes for explanations that a device is looked for.
func (w *World) Seek(by string, spec *devspec.Spec) {
	w.Sought = append(w.Sought, Seek{spec, by})
}

// SetFact records what a handler knows of an object; key identifies it. The
// time since when it holds is kept as long as condition and text stay.
func (w *World) SetFact(key string, f goal.Fact) {
	if w.facts == nil {
		w.facts = map[string]*goal.Fact{}
	}
	old := w.facts[key]
	f.Since = w.Sched.Now()
	if old == nil {
		w.order = append(w.order, key)
	} else if old.Condition == f.Condition && old.Text == f.Text {
		f.Since = old.Since
	}
	if old == nil || old.Condition != f.Condition || old.Text != f.Text {
		w.Revision++
		w.Sched.Note("fact", f.Subject, f.Condition.String()+": "+f.Text)
	}
	w.facts[key] = &f
	w.Sched.Notify(TopicGoals)
}

// DropFact forgets an object.
func (w *World) DropFact(key string) {
	w.Revision++
	delete(w.facts, key)
	w.order = slices.DeleteFunc(w.order, func(k string) bool { return k == key })
}

// Facts returns all facts in the order in which their objects came up.
func (w *World) Facts() []goal.Fact {
	out := make([]goal.Fact, 0, len(w.order))
	for _, k := range w.order {
		out = append(out, *w.facts[k])
	}
	return out
}

// Checking notes that a filesystem is being checked, or not any more.
func (w *World) Checking(device string, on bool) {
	if on {
		w.Checks = append(w.Checks, device)
		return
	}
	if i := slices.Index(w.Checks, device); i >= 0 {
		w.Checks = slices.Delete(w.Checks, i, i+1)
	}
	w.Sched.Notify(TopicChecked)
}

// KeepSecret keeps a passphrase for the next device, unless the real system is
// being started: what is unlocked meanwhile is its own matter.
func (w *World) KeepSecret(secret []byte) {
	if w.leaving {
		clear(secret)
		return
	}
	w.Secrets = append(w.Secrets, secret)
}

// CoverRoot asks that an overlay in memory is laid over the root, which is
// then mounted read-only and not checked. It counts when it comes before the
// root is mounted; why is for the person. What the command line asks to be laid
// over it is stronger.
func (w *World) CoverRoot(why string) {
	if w.Volatile == "" {
		w.Volatile = why
	}
}

// CoverAsked says why the root is to be covered, "" if it is not.
func (w *World) CoverAsked() string {
	switch {
	case w.Config.Overlay.Kind != bootcmd.OverlayNone:
		return w.Config.Overlay.By + " asks for it"
	default:
		return w.Volatile
	}
}

// Leaving says whether the real system is being started, or the machine stopped.
func (w *World) Leaving() bool { return w.leaving }

// WipeSecrets forgets the passphrases that were typed; leaving says that none
// are to be kept from now on.
func (w *World) WipeSecrets(leaving bool) {
	for _, s := range w.Secrets {
		clear(s)
	}
	w.Secrets, w.leaving = nil, leaving
}

// Progress notes that the boot came nearer to its goals.
func (w *World) Progress() { w.Activity = w.Sched.Now() }

// origin is what a device is a snapshot of.
type origin struct {
	uuid     string // of the device mapper
	together bool   // it comes with the snapshot
}

// CopyOf notes that a device is a snapshot of another one, by their UUIDs in
// the device mapper. together says that the origin is there whenever the
// snapshot is.
func (w *World) CopyOf(uuid, of string, together bool) {
	if w.copies == nil {
		w.copies = map[string]origin{}
	}
	w.copies[uuid] = origin{of, together}
}

// PassedOver returns the snapshots that Find leaves out for their origin.
func (w *World) PassedOver(spec devspec.Spec) []*udevd.Entry {
	var out []*udevd.Entry
	if len(w.copies) == 0 {
		return nil
	}
	found := w.Find(spec)
	for _, e := range w.Devices.Block() {
		if filter.Usable(e.Device) && spec.Matches(e) && !slices.Contains(found, e) {
			out = append(out, e)
		}
	}
	return out
}

// originals leaves out of what spec names the snapshots of what it names too:
// a snapshot has the UUID and the label of its origin, and who does not name
// the snapshot itself means the origin. One whose origin is about to come, as
// a device without content yet, is left out as well.
func (w *World) originals(spec devspec.Spec, list []*udevd.Entry) []*udevd.Entry {
	if len(w.copies) == 0 || spec.Kind != devspec.UUID && spec.Kind != devspec.Label {
		return list
	}
	return slices.DeleteFunc(list, func(e *udevd.Entry) bool {
		of := w.copies[e.Property("DM_UUID")]
		if of.uuid == "" {
			return false
		}
		for _, o := range w.Devices.Block() {
			if uuid, _ := o.Attr("dm/uuid"); uuid == of.uuid {
				return !filter.Usable(o.Device) || spec.Matches(o)
			}
		}
		return of.together
	})
}

// Find returns the block devices with content that spec names, in the order
// of their devpaths. Partitions that PARTNROFF counts to are found too.
func (w *World) Find(spec devspec.Spec) []*udevd.Entry {
	var out []*udevd.Entry
	if !spec.IsDevice() {
		return nil
	}
	all := w.Devices.Block()
	from := func(e *udevd.Entry) bool {
		return slices.ContainsFunc(all, func(base *udevd.Entry) bool {
			return filter.Usable(base.Device) && spec.MatchesFrom(base, e)
		})
	}
	for _, e := range all {
		if filter.Usable(e.Device) && (spec.Matches(e) || spec.PartOffset != 0 && from(e)) {
			out = append(out, e)
		}
	}
	return w.originals(spec, out)
}

// Wanted returns the device specifications whose content the boot needs:
// root, /usr and resume, and what was found to be needed since.
func (w *World) Wanted() []devspec.Spec {
	out := slices.Clone(w.Extra)
	for _, s := range []devspec.Spec{w.Config.Root.Device, w.Config.Usr.Device} {
		if s.IsDevice() {
			out = append(out, s)
		}
	}
	if r := w.Config.Resume; !r.Disabled && r.Device.IsDevice() {
		out = append(out, r.Device)
	}
	return out
}

// Want adds a device to those whose content the boot needs.
func (w *World) Want(spec devspec.Spec) {
	if !spec.IsDevice() || slices.Contains(w.Extra, spec) {
		return
	}
	w.Extra = append(w.Extra, spec)
	w.Sched.Notify(TopicWanted)
}

// Identified waits until every block device that the kernel has announced is
// identified, so that a second device with the same name is seen before the
// first is used, but not for a device that does not answer: each is waited
// for no longer than udevd.Patience after it was announced.
func (w *World) Identified(t *ueventd.Task) {
	for w.Looking > 0 { // what is there already may have the name of what has come
		t.Wait("the devices that are there already", udevd.TopicDevice)
	}
	for {
		fresh, until := w.unidentified(t.Now())
		if len(fresh) == 0 {
			return
		}
		if !t.WaitUntil(until, "identification of "+few(fresh), udevd.TopicIdentified) {
			continue
		}
		late := slices.DeleteFunc(fresh, func(devpath string) bool { return !w.Devices.Unanswered(devpath) })
		if len(late) > 0 {
			t.Record("decision", "go on without "+few(late)+": no answer for "+goal.Seconds(udevd.Patience))
		}
	}
}

// unidentified returns the devices that are waited for, and how long at most.
func (w *World) unidentified(now time.Duration) (devpaths []string, until time.Duration) {
	for _, a := range w.Devices.Unidentified() {
		if a.Since+udevd.Patience > now {
			devpaths = append(devpaths, a.Devpath)
			until = max(until, a.Since+udevd.Patience)
		}
	}
	return devpaths, until
}

// few names devices by the last parts of their paths, and no more than fit a
// line: a large machine has hundreds.
func few(devpaths []string) string {
	const most = 8
	text := ""
	for i, p := range devpaths {
		if i == most {
			return text + " and " + strconv.Itoa(len(devpaths)-most) + " more"
		}
		if i > 0 {
			text += " "
		}
		text += path.Base(p)
	}
	return text
}

// LoadModules loads modules and remembers those that the image lacks.
func (w *World) LoadModules(t *ueventd.Task, names ...string) error {
	err := ueventd.Act(t, "load "+strings.Join(names, " "), func(m machine.Machine) error { return m.Load(names...) })
	if err != nil {
		w.AddMissing(err.Error())
	}
	return err
}

// AddMissing remembers a driver that could not be loaded, for explanations.
func (w *World) AddMissing(text string) {
	if !slices.Contains(w.Missing, text) && len(w.Missing) < 20 {
		w.Missing = append(w.Missing, text)
	}
}

// AddMissingDriver is AddMissing for an error that says that the image lacks
// a module; other errors are none of its business.
func (w *World) AddMissingDriver(err error) {
	if errors.Is(err, machine.ErrNoModule) {
		w.AddMissing(err.Error())
	}
}

// DeadlineAt turns a span into the time at which it ends; 0 stands for never,
// and so does a time beyond what can be counted.
func DeadlineAt(now, span time.Duration) time.Duration {
	if span > timespan.Forever-now {
		return 0
	}
	return now + span
}

// Break gives the person a shell if the command line asks for one at stage,
// once. The clocks stand still while it is open.
func (w *World) Break(t *ueventd.Task, stage bootcmd.Stage) {
	if !w.Config.BreaksAt(stage) || w.stopped[stage] {
		return
	}
	if w.stopped == nil {
		w.stopped = map[bootcmd.Stage]bool{}
	}
	w.stopped[stage] = true
	w.Say(Loud, "stopped before "+stage.String()+" as rd.break asks; leave the shell to go on")
	if err := Shell(t, "shell at "+stage.String()); err != nil {
		w.Say(Loud, "no shell at "+stage.String()+": "+err.Error())
	}
}

// Shell gives the person a shell until it is left. The clocks stand still
// meanwhile.
func Shell(t *ueventd.Task, what string) error {
	_, err := ueventd.Ask(t, what, func(m machine.Machine) (struct{}, error) { return struct{}{}, m.Shell() })
	return err
}
