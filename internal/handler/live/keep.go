package live

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"firstlight/internal/bootcmd"
	"firstlight/internal/devspec"
	"firstlight/internal/filter"
	"firstlight/internal/fstab"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/handler/fsck"
	"firstlight/internal/handler/mount"
	"firstlight/internal/machine"
	"firstlight/internal/udevd"
	"firstlight/internal/ueventd"
)

// Persistence: what is written to a live root is kept on a medium, as live-boot
// (persistence, with a file persistence.conf) and casper (persistent) do it.

// stores is where the media with what is kept are mounted.
const stores = "/run/live/persistence"

// store is a medium with what is kept.
type store struct {
	node  string // the device with the filesystem
	dir   string // where it is mounted
	label string // what it was found by
	// file is where on node it is, for one that is a file; loop is the device
	// that this has become.
	file, loop string
}

// persistent finds what is kept before the root is covered: the overlay takes
// the changes of the whole root from it. It is called again until it is settled.
func (h *Handler) persistent(t *ueventd.Task) (ueventd.Outcome, bool) {
	if !h.o.persist.on || h.done["kept"] {
		return ueventd.Outcome{}, true
	}
	if out, ok := h.findStores(t); !ok {
		return out, false
	}
	var list []kept
	for i := range h.stores {
		s := &h.stores[i]
		e, out := h.openStore(t, s)
		if e == nil && out.Verdict != ueventd.Done {
			return out, false
		}
		if e == nil { // and that was said
			continue
		}
		list = append(list, h.conf(t, s)...)
	}
	list, why := arrange(list)
	if why != "" {
		return h.refuse(why, "correct persistence.conf, or boot without persistence")
	}
	if len(list) == 0 {
		h.w.Say(handler.Loud, "nothing is kept, although "+h.asks()+" asks for it: no medium that is there says that anything is to be")
	}
	h.list = list
	if len(list) > 0 && list[0].dir == "/" {
		k := &list[0]
		top := path.Join(k.store.dir, k.source)
		if h.o.persist.readOnly {
			has, err := h.isDir(t, k.store.dir, path.Join("/", k.source, k.rw))
			if err != nil {
				return h.refuse(err.Error(), "look at what is kept, or boot with nopersistence")
			}
			if has { // otherwise nothing was kept yet
				h.w.Layers = append([]string{path.Join(top, k.rw)}, h.w.Layers...)
			}
		} else {
			h.w.Upper = path.Join(top, k.rw)
		}
	}
	h.done["kept"] = true
	return ueventd.Outcome{}, true
}

// asks names the parameter.
func (h *Handler) asks() string {
	if h.o.dialect == casper {
		return "persistent"
	}
	return "persistence"
}

func (h *Handler) refuse(text, try string) (ueventd.Outcome, bool) {
	_, out, ok := h.fail(text, try)
	return out, ok
}

// findStores looks at what is there now. Nothing is waited for but an encrypted
// medium to be unlocked: who starts a live system without the medium shall not
// wait.
func (h *Handler) findStores(t *ueventd.Task) (ueventd.Outcome, bool) {
	w, p := h.w, &h.o.persist
	if h.done["stores"] {
		return ueventd.Outcome{}, true
	}
	w.Identified(t)
	if p.luks {
		if locked := h.unlock(t); locked != "" {
			return h.wait("what is kept on "+locked+" is encrypted, and not unlocked yet", "type its passphrase, or boot with nopersistence")
		}
	}
	h.stores = nil
	byUUID := map[string]string{}
	for _, e := range w.Devices.Block() {
		if !h.mayKeep(e) {
			continue
		}
		label := h.called(e)
		if label == "" {
			continue
		}
		uuid := e.Property("ID_FS_UUID")
		if other := byUUID[uuid]; other != "" && uuid != "" {
			return h.refuse("what is kept is there twice: "+other+" and "+e.Devname()+" have the UUID "+uuid, "unplug the copy, or boot with nopersistence")
		}
		byUUID[uuid] = e.Devname()
		h.stores = append(h.stores, store{node: e.Devname(), label: label})
	}
	if p.file && len(h.stores) == 0 {
		h.findFiles(t)
	}
	h.done["stores"] = true
	return ueventd.Outcome{}, true
}

// wait puts the root aside until there is more: that is no fault, and the person
// who is asked for the passphrase is not told of it as of one.
func (h *Handler) wait(text, try string) (ueventd.Outcome, bool) {
	h.w.SetFact(mount.RootGoal, goal.Fact{Subject: "the root that " + h.o.by + " asks for", Condition: goal.Incomplete, Text: text, Try: try})
	return ueventd.WaitFor(text, udevd.TopicDevice, handler.TopicRetry), false
}

// mayKeep says whether a device may hold what is kept: a filesystem that is not
// the medium's or an image's, on one of the disks that are allowed.
func (h *Handler) mayKeep(e *udevd.Entry) bool {
	p := &h.o.persist
	switch {
	case !filter.Usable(e.Device), e.Property("ID_FS_USAGE") != "filesystem", strings.HasPrefix(e.Devname(), "/dev/loop"), !h.o.keeping.has(e):
		return false
	}
	if d := h.device(); d != nil && d.Devname() == e.Devname() {
		return false
	}
	crypt := strings.HasPrefix(e.Property("DM_UUID"), "CRYPT-")
	return p.plain || crypt
}

// called returns the label by which a device is what is kept, or "".
func (h *Handler) called(e *udevd.Entry) string {
	if !h.o.persist.filesystem {
		return ""
	}
	for _, label := range h.o.persist.labels {
		for _, kind := range [...]devspec.Kind{devspec.Label, devspec.PartLabel} {
			if (devspec.Spec{Kind: kind, Value: label}).Matches(e) {
				return label
			}
		}
	}
	return ""
}

// has says whether a device is on one of these disks.
func (m media) has(e *udevd.Entry) bool {
	if m == anyMedia {
		return true
	}
	disk := e.Device
	if disk.Devtype() == "partition" && disk.Parent() != nil {
		disk = disk.Parent()
	}
	if v, _ := disk.Attr("removable"); v != "1" {
		return false
	}
	return m == removable || strings.Contains(disk.Devpath(), "/usb")
}

// unlock has the encrypted devices unlocked that may hold what is kept: those
// that are called so, and those on the medium's disk. It names one that is not
// unlocked.
func (h *Handler) unlock(t *ueventd.Task) (locked string) {
	w := h.w
	medium := h.device()
	for _, e := range w.Devices.Block() {
		if e.Property("ID_FS_TYPE") != "crypto_LUKS" || !h.o.keeping.has(e) {
			continue
		}
		beside := medium != nil && e.Devtype() == "partition" && medium.Devtype() == "partition" &&
			path.Dir(e.Devpath()) == path.Dir(medium.Devpath())
		if h.called(e) == "" && !beside {
			continue
		}
		uuid := e.Property("ID_FS_UUID")
		plain := strings.ReplaceAll(uuid, "-", "")
		if slices.ContainsFunc(w.Devices.Block(), func(o *udevd.Entry) bool {
			d := o.Property("DM_UUID")
			return strings.HasPrefix(d, "CRYPT-LUKS") && strings.Contains(d, plain) && filter.Usable(o.Device)
		}) {
			continue
		}
		if !h.done["luks "+uuid] {
			h.done["luks "+uuid] = true
			w.Config.Luks.Volumes = append(w.Config.Luks.Volumes, bootcmd.LuksVolume{Select: bootcmd.LuksSelector{By: bootcmd.ByUUID, Value: strings.ToLower(uuid)}, Wanted: true})
			w.Sched.Push(ueventd.Event{Queue: filter.LUKS + " " + uuid, Kind: filter.Add, Name: e.Devname()})
		}
		locked = e.Devname()
	}
	return locked
}

// findFiles looks for files with a filesystem in which things are kept.
func (h *Handler) findFiles(t *ueventd.Task) {
	p := &h.o.persist
	for _, e := range h.w.Devices.Block() {
		typ := e.Property("ID_FS_TYPE")
		if _, ok := readOnly(typ); !ok || !h.mayKeep(e) || typ == "iso9660" || typ == "squashfs" || typ == "erofs" || typ == "udf" {
			continue
		}
		for _, label := range p.labels {
			file := path.Join(p.path, label)
			has, err := h.holds(t, e, file, stores+"-search")
			switch {
			case err != nil:
				t.Record("decision", e.Devname()+" could not be searched for "+file+": "+err.Error())
			case has:
				h.stores = append(h.stores, store{node: e.Devname(), label: label, file: file})
			}
		}
	}
}

// openStore mounts a medium. One that cannot be used is told, and not used: e is
// nil then, and the outcome is that it is done.
func (h *Handler) openStore(t *ueventd.Task, s *store) (*udevd.Entry, ueventd.Outcome) {
	e := h.w.Devices.ByName(s.node)
	skip := func(err error) (*udevd.Entry, ueventd.Outcome) {
		h.done["skip "+s.node+s.file] = true
		h.w.Say(handler.Loud, "what is kept on "+s.node+" is not used: "+err.Error())
		return nil, ueventd.Outcome{}
	}
	switch {
	case h.done["skip "+s.node+s.file]:
		return nil, ueventd.Outcome{}
	case e == nil:
		return skip(errors.New("it is gone"))
	}
	flags := uintptr(0)
	if h.o.persist.readOnly {
		flags = fstab.ReadOnly
	} else if protected, _ := e.Attr("ro"); protected == "1" {
		return skip(errors.New("it cannot be written; persistence-read-only would take what is there"))
	}
	if s.file != "" {
		outer := stores + "/" + path.Base(s.node) + "-file"
		if s.loop == "" {
			if err := h.checked(t, e, outer, flags); err != nil {
				return skip(err)
			}
			if err := h.w.LoadModules(t, "loop"); errors.Is(err, machine.ErrNoModule) {
				return skip(errors.New("the loop driver is not in this image"))
			}
			node, err := ueventd.Do(t, "make "+s.file+" on "+s.node+" a block device", func(m machine.Machine) (string, error) {
				return m.Loop(outer, s.file, 0, flags != 0)
			})
			if err != nil {
				return skip(err)
			}
			s.loop = node
		}
		var out ueventd.Outcome
		if e, out = h.identified(t, s.loop); e == nil {
			return nil, out
		}
	}
	if s.dir == "" {
		dir := stores + "/" + path.Base(e.Devname())
		if err := h.checked(t, e, dir, flags); err != nil {
			return skip(err)
		}
		s.dir = dir
	}
	return e, ueventd.Outcome{}
}

// checked checks a filesystem, where that is asked for, and mounts it.
func (h *Handler) checked(t *ueventd.Task, e *udevd.Entry, dir string, flags uintptr) error {
	if flags == 0 && !h.done["checked "+dir] {
		if r := fsck.Check(t, h.w, e, e.Property("ID_FS_TYPE"), dir, 2); r.Verdict != fsck.Mountable {
			return errors.New(r.Text)
		}
		h.done["checked "+dir] = true
	}
	options := ""
	if protected, _ := e.Attr("ro"); flags != 0 && protected == "1" {
		options, _ = readOnly(e.Property("ID_FS_TYPE"))
	}
	return h.mountAt(t, e, dir, flags, options)
}

// conf returns what a medium says is kept.
func (h *Handler) conf(t *ueventd.Task, s *store) []kept {
	if h.o.dialect == casper {
		if s.label == "home-rw" {
			return []kept{{dir: "/home", store: s}}
		}
		return []kept{{dir: "/", how: union, store: s, rw: "upper"}}
	}
	text, err := ueventd.Do(t, "read persistence.conf of "+s.node, func(m machine.Machine) ([]byte, error) {
		return m.ReadInRoot(s.dir, "/persistence.conf", maxConf)
	})
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			h.w.Say(handler.Loud, err.Error())
		} else {
			h.w.Say(handler.Loud, s.node+" is to keep changes, and has no persistence.conf that says which")
		}
		return nil
	}
	list, wrong := parseConf(string(text))
	for _, line := range wrong {
		h.w.Say(handler.Loud, "persistence.conf of "+s.node+", "+line+"; it is left out")
	}
	for i := range list {
		list[i].store = s
	}
	return list
}
