// Package luks unlocks encrypted devices: those that the command line or the
// image's crypttab ask for, and no others. The key comes from a file of the
// image, from another device, from a passphrase that was typed before, or
// from a person, in this order.
package luks

import (
	"errors"
	"io/fs"
	"path"
	"strings"
	"time"

	"firstlight/internal/bootcmd"
	"firstlight/internal/crypttab"
	"firstlight/internal/devmapper"
	"firstlight/internal/devspec"
	"firstlight/internal/filter"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/luks"
	"firstlight/internal/luksfmt"
	"firstlight/internal/machine"
	"firstlight/internal/udevd"
	"firstlight/internal/ueventd"
)

// Handler unlocks devices.
type Handler struct {
	w       *handler.World
	table   []crypttab.Entry
	asking  bool // a person is being asked, or the answer is being tried
	cookies uint16
	prompt  string // the question that a person is asked, "" for none: its ID
	expired bool   // it was withdrawn because its time was over
	apart   []*volume
	told    map[string]bool    // volumes of which it was said what cannot be done for them
	refused map[string]refusal // devices that stay locked, by the key of their facts
	full    *uncommon          // nil in the small /init
	// deriving: a key derivation that takes much memory is under way. There is
	// one at a time.
	deriving bool
}

// refusal is why a device stays locked: what the kernel says of it afterwards is
// no reason to ask the person once more.
type refusal struct {
	devpath string
	since   time.Duration // when the device came: one that went and came back is asked for again
	round   int           // World.Round
	text    string
}

// topicTurn is notified when the next question may be asked.
const topicTurn = "luks question"

// topicDerived is notified when the memory of a key derivation is free again.
const topicDerived = "luks derivation"

// topicAnswer is the deadline of the question that stands.
const topicAnswer = "luks answer"

// New registers the handler.
func New(w *handler.World) *Handler {
	h := newHandler(w)
	w.Sched.Route(filter.LUKS, h.handle)
	return h
}

// newHandler makes the handler, whose devices are routed by the caller.
func newHandler(w *handler.World) *Handler {
	h := &Handler{w: w, told: map[string]bool{}, refused: map[string]refusal{}}
	w.Sched.Route(filter.Asked, h.withdraw)
	return h
}

// Start reads the image's crypttab.
func (h *Handler) Start() {
	w := h.w
	l := &w.Config.Luks
	for i := range l.Volumes {
		// A device may be named by less than its UUID.
		switch v := &l.Volumes[i]; {
		case !v.Wanted || !l.Enabled:
		case v.Select.By == bootcmd.ByDevice:
			w.Seek("encrypted device ", &v.Select.Device)
		case v.Select.By == bootcmd.ByUUID && len(v.Select.Value) == uuidLen:
			w.Seek("encrypted device ", &devspec.Spec{Kind: devspec.UUID, Value: v.Select.Value})
		}
	}
	if l.Crypttab && w.Config.HostOnly && w.Image.Crypttab != "" {
		entries, problems := crypttab.Parse("/etc/crypttab", w.Image.Crypttab)
		for _, p := range problems {
			w.Say(handler.Loud, p.Error())
		}
		h.table = entries
		for i := range entries {
			if o := &entries[i].Options; o.Type > crypttab.LUKS && (o.InitrdAttach || o.Initramfs) && !h.ours(&entries[i]) {
				why := "is not supported yet"
				switch {
				case o.Type == crypttab.Plain:
					why = "needs the feature luks-plain in the image"
				case byTool(o.Type):
					why = "needs the feature " + toolFeature + " in the image"
				}
				w.Say(handler.Normal, "/etc/crypttab: "+entries[i].Name+": a volume of the type "+o.Type.String()+" "+why+", and stays locked")
			}
			if spec, err := devspec.Parse(entries[i].Device); err == nil && h.ours(&entries[i]) {
				w.Seek("/etc/crypttab: ", &spec)
			}
		}
	}
	h.detached()
}

// uuidLen is the length of a whole UUID.
const uuidLen = 36

// volume is what is to be done with one encrypted device.
type volume struct {
	key     string // of its fact: the queue that handles it
	name    string
	keys    []bootcmd.LuksKey
	header  bootcmd.LuksHeader
	options crypttab.Options
	plain   *luks.Plain // of a volume that has no header
	foreign bool        // cryptsetup opens it
	// reencryption is set where a part of the data has another key already.
	reencryption *luksfmt.Reencryption

	// Of a volume whose header is not on its device:
	data devspec.Spec // what the device is called
	uuid string       // of the header as far as it is known, for a check
	from *udevd.Entry // the device of the header, nil for a file of the image
	file []byte       // the header, if it is a file, once it was read
}

// wanted says whether the device is to be unlocked, and how. The command line
// counts before the crypttab, which fills in what that leaves open.
func (h *Handler) wanted(e *udevd.Entry) (*volume, bool) {
	w := h.w
	uuid := e.Property("ID_FS_UUID")
	v := w.Config.Luks.Lookup(bootcmd.LuksIdentity{UUID: uuid, PartUUID: e.Property("ID_PART_ENTRY_UUID"),
		Serial: e.Property("ID_SERIAL_SHORT"), Is: func(s devspec.Spec) bool { return s.Matches(e) }})
	tab := h.inTable(e)
	if !w.Config.Luks.Enabled || !v.Wanted && tab == nil && !w.Config.Auto {
		return nil, false
	}
	out := h.describe(&v, tab, e.Devname())
	out.key = filter.LUKS + " " + uuid
	if out.name == "" {
		out.name = "luks-" + uuid
	}
	return out, true
}

// describe puts together what the command line and the crypttab say of a
// volume; device is what a message calls it.
func (h *Handler) describe(v *bootcmd.LuksVolume, tab *crypttab.Entry, device string) *volume {
	out := &volume{name: v.Name, keys: v.Keys, header: v.Header}
	list := strings.Join(v.Options, ",")
	if tab != nil {
		if out.name == "" {
			out.name = tab.Name
		}
		if len(out.keys) == 0 && tab.KeyFile != "" {
			out.keys = []bootcmd.LuksKey{keyOf(tab.KeyFile)}
		}
		list = strings.Trim(strings.Join(tab.Options.List, ",")+","+list, ",")
	}
	options, problems := crypttab.ParseOptions("options of "+device, list)
	if tab == nil {
		for _, p := range problems {
			h.w.Say(handler.Loud, p.Error())
		}
	}
	out.options = options
	if !out.apart() && options.Header != "" {
		var ok bool
		if out.header, ok = bootcmd.ParseLuksHeader(options.Header); !ok {
			h.w.Say(handler.Loud, "options of "+device+": header="+options.Header+" names no file or device")
		}
	}
	return out
}

// inTable returns the crypttab's entry of a device, or nil.
func (h *Handler) inTable(e *udevd.Entry) *crypttab.Entry {
	for i := range h.table {
		t := &h.table[i]
		if !h.ours(t) || t.Options.Type > crypttab.LUKS {
			continue
		}
		if spec, err := devspec.Parse(t.Device); err == nil && spec.Matches(e) {
			return t
		}
	}
	return nil
}

func randomKey(file string) bool { return file == "/dev/urandom" || file == "/dev/random" }

// keyOf reads crypttab's spelling of a key file: "/path" in the image,
// "/path:DEVICE" on another device, or "/dev/…" for the bytes of a device.
func keyOf(file string) bootcmd.LuksKey {
	if p, dev, ok := strings.Cut(file, ":"); ok {
		if spec, err := devspec.Parse(dev); err == nil && spec.IsDevice() {
			return bootcmd.LuksKey{Path: p, Device: spec}
		}
	}
	return bootcmd.LuksKey{Path: file}
}

func (h *Handler) handle(t *ueventd.Task, ev ueventd.Event) ueventd.Outcome {
	w := h.w
	key := ev.Queue
	if ev.Value != nil {
		return h.handleApart(t, ev)
	}
	if ev.Kind == filter.Remove {
		w.DropFact(key)
		return ueventd.Outcome{}
	}
	w.Identified(t)
	e := w.Devices.ByName(ev.Name)
	if e == nil || e.Property("ID_FS_TYPE") != "crypto_LUKS" {
		w.DropFact(key)
		return ueventd.Outcome{}
	}
	v, ok := h.wanted(e)
	if !ok {
		t.Record("decision", e.Devname()+" is encrypted, and nothing asks to unlock it")
		return ueventd.Outcome{}
	}
	if by := h.claimed(e); by != "" {
		t.Record("decision", e.Devname()+" is a part of "+by)
		return ueventd.Outcome{}
	}
	if v.header.Device.IsDevice() {
		var wait ueventd.Outcome
		if v.from, wait = h.part(v, "the device of its header", v.header.Device); v.from == nil {
			return wait
		}
	}
	if other := h.open(v.name); other != nil {
		if holds(other, e) {
			return ueventd.Outcome{}
		}
		text := "the name " + v.name + " is taken by " + other.Devname()
		w.SetFact(key, goal.Fact{Subject: subject(e, v), Condition: goal.Blocked, Text: text,
			Try: "give it another name: rd.luks.name=" + e.Property("ID_FS_UUID") + "=NAME"})
		return ueventd.WaitFor(text, udevd.TopicDevice, handler.TopicRetry)
	}
	if r, ok := h.refused[key]; ok && r == (refusal{e.Devpath(), e.Since, w.Round, r.text}) {
		return ueventd.WaitFor(r.text, handler.TopicRetry)
	}
	err := h.unlock(t, e, v)
	if other := h.twin(e); other != "" && err != nil {
		text := e.Devname() + " and " + other + " have the same LUKS header"
		w.SetFact(key, goal.Fact{Subject: subject(e, v), Condition: goal.Blocked, Text: text,
			Try: "unplug the copy, or give one of them another UUID (cryptsetup luksUUID)"})
		return ueventd.WaitFor(text, udevd.TopicDevice)
	}
	return h.outcome(v, e, err)
}

// outcome says how to go on after an attempt to open a volume.
func (h *Handler) outcome(v *volume, e *udevd.Entry, err error) ueventd.Outcome {
	w := h.w
	if err == nil {
		w.DropFact(v.key)
		w.Progress()
		return ueventd.Outcome{}
	}
	f := goal.Fact{Subject: subject(e, v), Condition: goal.Blocked, Text: err.Error()}
	topics := []string{handler.TopicRetry}
	if stay, ok := err.(*stayLocked); ok && stay == errGone {
		// It is taken up with its next event, which may be one of the same
		// device: the kernel can announce one a second time.
	} else if ok {
		f.Try = stay.try
		h.refused[v.key] = refusal{e.Devpath(), e.Since, w.Round, f.Text}
	} else {
		w.Say(handler.Loud, e.Devname()+" cannot be unlocked: "+f.Text)
		f.Try = advice(err)
		topics = append(topics, "changed "+e.Devname())
	}
	w.SetFact(v.key, f)
	return ueventd.WaitFor(f.Text, topics...)
}

// advice is what a person can do about a device that cannot be unlocked.
func advice(err error) string {
	switch {
	case errors.Is(err, luks.ErrMemory):
		return "give the machine more memory, or the key slot a cheaper derivation (cryptsetup luksConvertKey)"
	case errors.Is(err, luksfmt.ErrRefused):
		return "unlock it in a rescue system with cryptsetup"
	case errors.Is(err, luksfmt.ErrNoLUKS), errors.Is(err, luksfmt.ErrCorrupt):
		return "restore the header from a backup (cryptsetup luksHeaderRestore)"
	case errors.Is(err, luks.ErrUnsupported), errors.Is(err, fs.ErrNotExist):
		return "rebuild the image with --feature luks-rare, which has every cipher and hash"
	}
	return "look at the kernel's messages (dmesg) for the reason"
}

// errTwin says that there is a copy of a device, and that neither is opened. It
// may come while a key is waited for or a person is asked.
var errTwin = errors.New("another device has the same LUKS header")

// stayLocked says why a device is left locked although nothing is broken.
type stayLocked struct{ why, try string }

func (s *stayLocked) Error() string { return s.why }

// errGone is of a device that went while a key was tried or a person asked.
var errGone = &stayLocked{why: "the device is gone"}

func subject(e *udevd.Entry, v *volume) string {
	name, uuid := v.name, e.Property("ID_FS_UUID")
	if uuid != "" && name != "luks-"+uuid {
		name += ", " + uuid
	}
	return "encrypted device " + known(e) + " (" + name + ")"
}

// open returns the mapping of that name, or nil.
func (h *Handler) open(name string) *udevd.Entry {
	mangled, err := devmapper.Mangle(name)
	if err != nil {
		return nil
	}
	for _, e := range h.w.Devices.Block() {
		if e.Property("DM_NAME") == mangled {
			return e
		}
	}
	return nil
}

// holds says whether a mapping is that of the encrypted device: cryptsetup's
// DM_UUID, which is ours too, has its UUID without dashes.
func holds(mapping, e *udevd.Entry) bool {
	return strings.Contains(mapping.Property("DM_UUID"), "-"+strings.ReplaceAll(e.Property("ID_FS_UUID"), "-", "")+"-")
}

// withdraw takes back the question for a device that is gone, or whose time is
// over. It has a queue of its own, since that of the device waits for the
// answer.
func (h *Handler) withdraw(t *ueventd.Task, ev ueventd.Event) ueventd.Outcome {
	id := filter.LUKS + strings.TrimPrefix(ev.Queue, filter.Asked)
	if h.prompt != id {
		return ueventd.Outcome{}
	}
	h.expired = ev.Kind == filter.Deadline
	// Of a volume whose header is elsewhere no filter tells the end.
	if ev.Value != nil && h.w.Devices.ByName(ev.Name) != nil {
		return ueventd.WaitFor("an answer, or the end of "+ev.Name, udevd.TopicDevice)
	}
	return outcome(ueventd.Act(t, "withdraw the question for "+ev.Name, func(m machine.Machine) error {
		m.Dismiss(id)
		return nil
	}))
}

func outcome(err error) ueventd.Outcome {
	if err != nil {
		return ueventd.Fail(err)
	}
	return ueventd.Outcome{}
}

// twin returns another device with the same LUKS UUID, "" if there is none.
// Layers of one disk (a RAID1 member with its superblock at the end) are not
// seen as LUKS, so that whatever is found is a copy.
func (h *Handler) twin(e *udevd.Entry) string {
	for _, o := range h.w.Devices.Block() {
		if o.Devname() != e.Devname() && o.Property("ID_FS_TYPE") == "crypto_LUKS" && o.Property("ID_FS_UUID") == e.Property("ID_FS_UUID") {
			return o.Devname()
		}
	}
	return ""
}

// label is how a person knows the device.
func label(e *udevd.Entry, v *volume) string {
	name := known(e)
	if l := e.Property("ID_FS_LABEL"); l != "" {
		return name + " " + l + " (" + v.name + ")"
	}
	return name + " (" + v.name + ")"
}

// known is the name of the device that a person has given to it, if any.
func known(e *udevd.Entry) string {
	if dm := e.Property("DM_NAME"); dm != "" {
		return "/dev/mapper/" + dm
	}
	return e.Devname()
}

// mountPoint is where the device of a key is mounted for a moment.
func mountPoint(spec devspec.Spec) string {
	return "/run/firstlight/keys/" + strings.Map(func(r rune) rune {
		if r == '/' || r == '=' {
			return '_'
		}
		return r
	}, path.Base(spec.String()))
}

// noReplay are the options with which a filesystem is mounted without writing
// to it, not even its journal: a hibernation image may still be resumed.
func noReplay(fstype string) string {
	switch fstype {
	case "ext3", "ext4":
		return "noload"
	case "xfs":
		return "norecovery"
	case "btrfs":
		return "rescue=nologreplay"
	case "f2fs", "nilfs2":
		return "norecovery"
	}
	return ""
}

// cookie is a new one for the device mapper's uevents.
func (h *Handler) cookie(flags devmapper.UdevFlags) devmapper.Cookie {
	h.cookies++
	return devmapper.NewCookie(h.cookies|0x4000, flags)
}

// withMounted mounts a device read-only, calls f with the mount point, and
// takes the mount away.
func withMounted(m machine.Machine, devname, fstype, at string, f func(dir string) error) error {
	if err := m.Mkdir(at, 0o700); err != nil {
		return err
	}
	if err := m.Load("fs-" + fstype); err != nil && !errors.Is(err, machine.ErrNoModule) {
		return err
	}
	const flags = 1 | 2 | 4 | 8 // MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC
	if err := m.Mount(machine.Mount{Source: devname, Target: at, FSType: fstype, Flags: flags, Data: noReplay(fstype)}); err != nil {
		return err
	}
	err := f(at)
	if m.Unmount(at, false) == nil {
		return err
	}
	return errors.Join(err, m.Unmount(at, true))
}
