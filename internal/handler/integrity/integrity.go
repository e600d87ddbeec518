// Package integrity sets up the devices of dm-integrity without encryption that
// the image's /etc/integritytab names. It belongs to the full /init. It does
// nothing before it is known that no hibernation image is resumed: the kernel
// replays the journal of such a device as soon as it is mapped.
package integrity

import (
	"encoding/hex"
	"errors"
	"io/fs"
	"strconv"
	"strings"

	"firstlight/internal/devmapper"
	"firstlight/internal/devspec"
	"firstlight/internal/filter"
	"firstlight/internal/fmt"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/integrityfmt"
	"firstlight/internal/integritytab"
	"firstlight/internal/machine"
	"firstlight/internal/udevd"
	"firstlight/internal/ueventd"
)

// queue is that of the table; one follows for each device by its name.
const queue = "integrity"

// table is where the devices are named.
const table = "/etc/integritytab"

// maxKey bounds a key file, in bytes.
const maxKey = 4096

// Handler sets up devices of dm-integrity.
type Handler struct {
	w       *handler.World
	cookies uint16
	list    []integritytab.Entry
}

// New registers the handler.
func New(w *handler.World) *Handler {
	h := &Handler{w: w}
	w.Makers = append(w.Makers, h.again)
	w.Sched.Route(queue, h.handle)
	return h
}

// Start reads the table, if the image was built to have one.
func (h *Handler) Start() {
	if h.w.Image.Has("integrity") && h.w.Config.HostOnly {
		h.w.Sched.Push(ueventd.Event{Queue: queue, Kind: filter.Add})
	}
}

func (h *Handler) handle(t *ueventd.Task, ev ueventd.Event) ueventd.Outcome {
	if ev.Value == nil {
		return h.read(t)
	}
	w := h.w
	v := ev.Value.(*integritytab.Entry)
	key := ev.Queue
	if h.mapped(v.Name) {
		w.DropFact(key)
		return ueventd.Outcome{}
	}
	var devs [2]*udevd.Entry
	for settled := false; ; settled = true {
		for i, spec := range [...]devspec.Spec{v.Device, v.Data} {
			if !spec.IsDevice() {
				continue
			}
			var wait ueventd.Outcome
			if devs[i], wait = h.part(key, v, spec); devs[i] == nil {
				return wait
			}
		}
		if settled {
			break
		}
		w.Identified(t) // there may be a second one of the name
	}
	if !w.ResumeSettled {
		const text = "waits until it is known that nothing is resumed: its journal is replayed"
		w.SetFact(key, goal.Fact{Subject: subject(v), Condition: goal.Incomplete, Text: text})
		return ueventd.WaitFor(text, handler.TopicResumeSettled)
	}
	w.SetFact(key, goal.Fact{Subject: subject(v), Condition: goal.Working, Text: "is being set up"})
	err := w.LoadModules(t, "dm-mod", "dm-integrity")
	if err == nil {
		err = h.activate(t, v, devs)
	}
	if err == nil {
		w.DropFact(key)
		w.Progress()
		return ueventd.Outcome{}
	}
	text := err.Error()
	w.Say(handler.Loud, subject(v)+": "+text)
	w.SetFact(key, goal.Fact{Subject: subject(v), Condition: goal.Blocked, Text: text, Try: advice(err)})
	topics := []string{handler.TopicRetry}
	for _, e := range devs {
		if e != nil { // it may have gone meanwhile
			topics = append(topics, "changed "+e.Devname())
		}
	}
	return ueventd.WaitFor(text, topics...)
}

func advice(err error) string {
	switch {
	case errors.Is(err, integrityfmt.ErrNone):
		return "check the device in " + table + ": it was not made by integritysetup format"
	case errors.Is(err, fs.ErrNotExist):
		return "put the key file into the image: --include"
	}
	return "check the algorithm and the key in " + table + ", and look at the kernel's messages (dmesg)"
}

// read reads the table and begins with each device.
func (h *Handler) read(t *ueventd.Task) ueventd.Outcome {
	text, err := ueventd.Do(t, "read "+table, func(m machine.Machine) (string, error) {
		b, err := m.ReadFile(table, integritytab.MaxText)
		return string(b), err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return ueventd.Outcome{}
	}
	if err != nil {
		h.w.Say(handler.Loud, table+": "+err.Error())
		return ueventd.Outcome{}
	}
	list, problems := integritytab.Parse(table, text)
	for _, p := range problems {
		h.w.Say(handler.Loud, p)
	}
	h.list = list
	for i := range list {
		e := &list[i]
		h.w.Seek(table+": ", &e.Device)
		h.w.Sched.Push(ueventd.Event{Queue: queue + " " + e.Name, Kind: filter.Add, Value: e})
	}
	return ueventd.Outcome{}
}

// again sets up a device that was taken down because its disk went away.
func (h *Handler) again(_ *ueventd.Task, name, uuid string) {
	for i := range h.list {
		e := &h.list[i]
		if mangled, err := devmapper.Mangle(e.Name); err == nil && mangled == name && strings.HasPrefix(uuid, "CRYPT-INTEGRITY-") {
			h.w.Sched.Push(ueventd.Event{Queue: queue + " " + e.Name, Kind: filter.Add, Value: e})
		}
	}
}

func subject(v *integritytab.Entry) string { return "integrity device /dev/mapper/" + v.Name }

func (h *Handler) mapped(name string) bool {
	mangled, err := devmapper.Mangle(name)
	if err != nil {
		return false
	}
	for _, e := range h.w.Devices.Block() {
		if e.Property("DM_NAME") == mangled {
			return true
		}
	}
	return false
}

// part finds the one device that is a part, or says what is waited for.
func (h *Handler) part(key string, v *integritytab.Entry, spec devspec.Spec) (*udevd.Entry, ueventd.Outcome) {
	devs := h.w.Find(spec)
	if len(devs) == 1 {
		return devs[0], ueventd.Outcome{}
	}
	f := goal.Fact{Subject: subject(v), Condition: goal.Incomplete, Text: spec.Describe() + " has not appeared"}
	if len(devs) > 1 {
		f.Condition, f.Text, f.Try = goal.Blocked, "more than one device is "+spec.String(), "unplug the copy"
	}
	h.w.SetFact(key, f)
	return nil, ueventd.WaitFor(f.Text, udevd.TopicDevice)
}

func (h *Handler) activate(t *ueventd.Task, v *integritytab.Entry, devs [2]*udevd.Entry) error {
	number := func(e *udevd.Entry) string {
		major, minor, _ := e.Devnum()
		return fmt.Sprintf("%d:%d", major, minor)
	}
	meta, data, separate := devs[0].Devname(), number(devs[0]), ""
	if devs[1] != nil {
		data, separate = number(devs[1]), number(devs[0])
	}
	own := *v
	readOnly, _ := devs[0].Attr("ro")
	h.cookies++
	cookie := devmapper.NewCookie(h.cookies|0x1000, 0)
	return ueventd.Act(t, "set up the integrity device "+v.Name+" from "+meta, func(m machine.Machine) error {
		return setUp(m, &own, meta, data, separate, readOnly == "1", cookie)
	})
}

// setUp maps a device; separate is that of the metadata, if the data has one of
// its own.
func setUp(m machine.Machine, v *integritytab.Entry, meta, data, separate string, readOnly bool, cookie devmapper.Cookie) error {
	b, err := m.OpenBlock(meta)
	if err != nil {
		return err
	}
	sb, err := integrityfmt.Read(b, 0)
	b.Close()
	if err != nil {
		return err
	}
	if sb.Has(integrityfmt.JournalMAC) || sb.Has(integrityfmt.Inline) {
		return fmt.Errorf("its journal has a key of its own, or its tags are in the drive's sectors (flags %#x), which is not supported", sb.Flags)
	}
	hash := "internal_hash:" + v.Algorithm
	secret := []byte(nil)
	if v.Keyed() {
		if secret, err = m.ReadFile(v.KeyFile, maxKey); err != nil {
			return fmt.Errorf("key file %s: %w", v.KeyFile, err)
		}
		defer clear(secret)
		hash += ":" + hex.EncodeToString(secret)
	}
	i := devmapper.Integrity{Device: data, TagSize: sb.TagSize, Mode: v.Mode, Options: options(v, sb, separate)}
	i.Options = append(i.Options, hash)
	t, err := i.Target(0, sb.Sectors)
	if err != nil {
		return err
	}
	t.Secret = v.Keyed()
	list := []devmapper.Target{t}
	defer devmapper.Wipe(list)
	name, err := devmapper.Mangle(v.Name)
	if err != nil {
		return err
	}
	mapper, err := m.Mapper()
	if err != nil {
		return err
	}
	uuid := "CRYPT-INTEGRITY-" + v.Name
	_, err = devmapper.Activate(mapper, name, uuid[:min(len(uuid), devmapper.MaxUUID)], list, readOnly, cookie)
	return err
}

// options are the words of the table besides the hash.
func options(v *integritytab.Entry, sb *integrityfmt.Superblock, separate string) []string {
	var o []string
	add := func(on bool, words ...string) {
		if on {
			o = append(o, strings.Join(words, ""))
		}
	}
	add(separate != "", "meta_device:", separate)
	add(sb.BlockSize != 512, "block_size:", strconv.Itoa(sb.BlockSize))
	add(sb.Has(integrityfmt.Recalculating), "recalculate")
	add(v.AllowDiscards, "allow_discards")
	add(v.Mode == 'J' && v.Watermark > 0, "journal_watermark:", strconv.Itoa(v.Watermark))
	add(v.Mode == 'J' && v.CommitTime > 0, "commit_time:", strconv.Itoa(v.CommitTime))
	return o
}
