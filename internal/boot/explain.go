package boot

import (
	"slices"
	"strconv"
	"strings"

	"firstlight/internal/bootcmd"
	"firstlight/internal/devspec"
	"firstlight/internal/goal"
	"firstlight/internal/handler"
	"firstlight/internal/machine"
	"firstlight/internal/spell"
	"firstlight/internal/udevd"
	"firstlight/internal/ueventd"
)

// Explain returns the lines that say how the boot stands now: what is wanted,
// what it needs, what of that is there, what is missing, and what to try. They
// are at most goal.Height lines of goal.Width columns.
func (c *Core) Explain() []string { return c.situation(false).Explain() }

// screen shows an explanation on every console, between two lines that say
// why and what comes next, and records it.
func (c *Core) screen(t *ueventd.Task, head, next string) string {
	c.readOthers(t)
	text := strings.Join(c.Explain(), "\n") + next
	t.Record("explanation", head, strings.Split("line="+strings.ReplaceAll(text, "\n", "\nline="), "\n")...)
	c.messages = append(c.messages, Message{handler.Loud, head + "\n" + text})
	return head + "\n" + text
}

// readOthers reads which drivers are not in the image. Only a boot in trouble
// asks for them.
func (c *Core) readOthers(t *ueventd.Task) {
	if c.others == nil {
		c.others, _ = ueventd.Do(t, "read which drivers are not in this image", func(m machine.Machine) ([]byte, error) {
			return m.ReadFile(OtherDrivers, 1<<20)
		})
	}
}

// situation collects what an explanation is made from. Of two moments at which
// nothing is different but the time, the timeless ones are equal.
func (c *Core) situation(timeless bool) *goal.Situation {
	s := &goal.Situation{Now: c.sched.Now(), Set: c.w.Goals, Facts: c.w.Facts(), Timeless: timeless}
	e := explainer{Core: c, s: s, blocks: c.w.Devices.Block()}
	g := c.w.Goals.Get("root")
	e.lost = g != nil && g.State != goal.Met && len(c.w.Find(c.opt.Config.Root.Device)) == 0
	e.look()
	e.drivers()
	for i := range c.opt.Problems {
		if p := &c.opt.Problems[i]; p.Kind == bootcmd.Malformed || p.Nearest != "" && p.Kind == bootcmd.Unknown {
			s.Add(goal.Cmdline, p.String())
		}
	}
	if !timeless { // what is under way comes and goes
		for _, what := range c.sched.Busy() {
			s.Add(goal.Doing, what)
		}
	}
	e.advise()
	for _, text := range e.last {
		s.Add(goal.Try, text)
	}
	return s
}

// explainer writes one explanation.
type explainer struct {
	*Core
	s      *goal.Situation
	blocks []*udevd.Entry
	lost   bool     // no device is the root that is asked for
	last   []string // advice on what is less likely
}

// properties are what devices are named by. tag is how a person writes it.
var properties = [...]struct {
	kind     devspec.Kind
	key, tag string
}{
	{devspec.UUID, "ID_FS_UUID", "UUID="},
	{devspec.Label, "ID_FS_LABEL", "LABEL="},
	{devspec.PartUUID, "ID_PART_ENTRY_UUID", "PARTUUID="},
	{devspec.PartLabel, "ID_PART_ENTRY_NAME", "PARTLABEL="},
	{devspec.Serial, "ID_SERIAL_SHORT", "SERIAL="},
	{devspec.None, "ID_FS_UUID_SUB", "UUID_SUB="},
}

// seek notes that nothing is the device that is looked for, if so, and of each
// device whether it is nearly that. by is what names it, "" where a handler
// says itself that it is missing.
func (x *explainer) seek(by string, spec *devspec.Spec, notes []string) {
	if !spec.IsDevice() || len(x.w.Find(*spec)) > 0 {
		return
	}
	if by != "" {
		text := by + spec.String() + " was not found"
		if vg, lv, ok := spec.LogicalVolume(); ok && spec.Kind == devspec.LV && x.opt.Config.LVM.Enabled && !x.spokenOf("volume group "+vg) {
			text += ": no disk of volume group " + vg + " was seen"
			x.deeper(vg, lv)
		}
		x.s.Add(goal.Needs, text)
	}
	for i, e := range x.blocks {
		note, name := hint(spec, e)
		if note == "" || notes[i] != "" {
			continue
		}
		notes[i] = note
		x.s.Add(goal.Try, "if "+short(e)+" is meant, write "+name+" instead of "+spec.String())
	}
}

// hint says whether a device is nearly the one that is looked for, and by
// which name it can be asked for.
func hint(spec *devspec.Spec, e *udevd.Entry) (note, name string) {
	if spec.Kind == devspec.Path {
		// Another driver gives other names, and the same number.
		name := strings.TrimPrefix(spec.Value, "/dev/")
		number := name[len(strings.TrimRight(name, "0123456789")):]
		uuid := e.Property("ID_FS_UUID")
		if len(name) < 3 || !contains("sd vd hd xv nv mm", name[:2]) || uuid == "" || e.Property("PARTN") != number || e.Property("DM_NAME") != "" {
			return "", ""
		}
		return "may be what was called " + spec.Value, "UUID=" + uuid
	}
	for i := range properties {
		p := &properties[i]
		v := e.Property(p.key)
		if v == "" {
			continue
		}
		d := ""
		if p.kind == spec.Kind {
			d = difference(strings.ToLower(spec.Value), strings.ToLower(v))
		} else if strings.EqualFold(v, spec.Value) {
			d = "this is its " + p.tag[:len(p.tag)-1]
		}
		if d != "" && p.kind == devspec.None {
			return "this is the UUID of one of its devices", "UUID=" + e.Property("ID_FS_UUID")
		} else if d != "" {
			return d, p.tag + v
		}
	}
	return "", ""
}

// difference says where two names differ that are nearly the same, a being the
// one that is looked for; "" of others.
func difference(a, b string) string {
	n := spell.Distance(a, b)
	if n == 0 {
		return "differs in upper and lower case"
	}
	if n > 2 || 3*n > len(a) {
		return ""
	}
	first := 0
	for first < len(a) && first < len(b) && a[first] == b[first] {
		first++
	}
	place := "the " + ordinal(first+1)
	switch {
	case n == 2:
		return "differs in 2 characters, from " + place + " on"
	case len(a) < len(b):
		return "has one character more, " + place
	case len(a) > len(b):
		return "has one character less, without " + place
	case a[:first] == b[:len(b)-1]:
		return "differs in the last character"
	}
	return "differs in " + place + " character"
}

// ordinal writes a place the way it is said: "1st", "12th", "23rd".
func ordinal(n int) string {
	end := "th"
	if n/10%10 != 1 && n%10 >= 1 && n%10 <= 3 {
		end = []string{"st", "nd", "rd"}[n%10-1]
	}
	return strconv.Itoa(n) + end
}

// describe says what a person knows a device by. kind is that of the name by
// which the root is looked for; note is said at the end.
func describe(e *udevd.Entry, kind devspec.Kind, note string) string {
	text := padded(e)
	add := func(prefix, v string) {
		if v != "" {
			text += " " + prefix + v
		}
	}
	add("", size(e))
	if e.Devtype() == "disk" {
		model, _ := e.Attr("device/model")
		add("", strings.TrimSpace(model))
	}
	typ := e.Property("ID_FS_TYPE")
	add("", typ)
	if pt := e.Property("ID_PART_TABLE_TYPE"); typ == "" && pt != "" && e.Devtype() != "partition" {
		text += " " + pt + " partition table"
	} else if typ+note == "" {
		text += " nothing recognised on it"
	}
	for i := range properties {
		if p := &properties[i]; p.kind == kind || p.kind == devspec.UUID || p.kind == devspec.Label {
			add(p.tag, e.Property(p.key))
		}
	}
	on, _ := e.Sys().List(e.Devpath() + "/slaves")
	add("on ", strings.Join(on, ", "))
	if note != "" {
		text += ": " + note
	}
	return text
}

// padded is the short name, so that most sizes stand below each other.
func padded(e *udevd.Entry) string {
	text := short(e)
	if pad := 7 - len(text); pad > 0 {
		text += "       "[:pad]
	}
	return text
}

// size is that of a device as it is shown to people; "" if it is not known.
func size(e *udevd.Entry) string {
	text, _ := e.Attr("size")
	n, err := strconv.ParseUint(text, 10, 54)
	if err != nil {
		return ""
	}
	return goal.Bytes(n * 512)
}

// short is the name of a device without /dev/.
func short(e *udevd.Entry) string {
	if dm := e.Property("DM_NAME"); dm != "" {
		return "mapper/" + dm
	}
	return strings.TrimPrefix(e.Devname(), "/dev/")
}

// empty leaves out the devices that drivers make in advance.
func empty(e *udevd.Entry) bool {
	name := strings.TrimRight(strings.TrimPrefix(e.Devname(), "/dev/"), "0123456789")
	return e.Property("ID_FS_TYPE") == "" && contains("loop ram zram nbd fd sr", name)
}

// contains says whether a word is in a list of words.
func contains(list, word string) bool {
	return word != "" && strings.Contains(" "+list+" ", " "+word+" ")
}

// foreign are the layers that nothing here starts, as blkid names them.
const foreign = "mpath_member drbd BitLocker LVM1_member DM_snapshot_cow DM_integrity " +
	"DM_verity_hash VMFS_volume_member ceph_bluestore vdo stratis"

// unused says why nothing comes of what a device holds, where that is certain.
func (x *explainer) unused(e *udevd.Entry) string {
	typ, uuid, cfg := e.Property("ID_FS_TYPE"), e.Property("ID_FS_UUID"), x.opt.Config
	off, feature, what := "", "", ""
	switch {
	case typ == "":
		if e.Property("ID_PART_TABLE_TYPE") == "" || e.Devtype() != "disk" || held(e) {
			return ""
		}
		for _, p := range x.blocks {
			if strings.HasPrefix(p.Devpath(), e.Devpath()+"/") {
				return ""
			}
		}
		x.s.Add(goal.Try, "look at the partition table of "+short(e)+" in a rescue system (fdisk -l)")
		return "the kernel found no partition in it"
	case typ == "linux_raid_member":
		if !cfg.MD.Enabled {
			off = "rd.md=0"
		}
	case typ == "LVM2_member":
		if !cfg.LVM.Enabled {
			off = "rd.lvm=0"
		}
	case typ == "crypto_LUKS":
		switch {
		case !cfg.Luks.Enabled:
			off = "rd.luks=0"
		case uuid != "" && !held(e) && !x.spokenOf(uuid):
			return locked
		}
	case contains("isw_raid_member ddf_raid_member", typ):
		feature, what = "md-external", "firmware RAID"
	case typ == "bcache":
		feature, what = typ, typ
	case typ == "zfs_member":
		feature, what = "zfs", "ZFS"
	case !held(e) && !x.spokenOf(e.Devname()) && (strings.HasSuffix(typ, "_raid_member") || contains(foreign, typ)):
		x.s.Add(goal.Try, "if the root is on "+short(e)+", start it with another initramfs (firmware RAID: with dmraid)")
		return "Firstlight cannot start this"
	}
	if feature != "" && !x.opt.Image.Has(feature) {
		x.s.Add(goal.Try, "if the root is on "+short(e)+", rebuild the image with what starts "+what+": firstlight build --feature "+feature)
		return "this image cannot start " + what
	}
	if off == "" {
		return ""
	}
	x.s.Add(goal.Try, "take "+off+" off the command line")
	return "left alone, as " + off + " says"
}

// spokenOf says whether a handler says something of an object.
func (x *explainer) spokenOf(name string) bool {
	for i := range x.s.Facts {
		if strings.Contains(x.s.Facts[i].Subject, name) {
			return true
		}
	}
	return false
}

// unnamed helps a person who has not said what the root is.
func (x *explainer) unnamed() {
	for i := range x.opt.Config.Params {
		if p := &x.opt.Config.Params[i]; p.HasValue && spell.Distance(p.Name, "root") == 1 {
			x.s.Add(goal.Cmdline, p.Name+"= means nothing; did you mean root=?")
		}
	}
	name := "UUID=…"
	for _, e := range x.blocks {
		if contains("ext4 ext3 ext2 xfs btrfs f2fs bcachefs jfs", e.Property("ID_FS_TYPE")) {
			name = "UUID=" + e.Property("ID_FS_UUID") + " if " + short(e) + " is the root"
			break
		}
	}
	x.s.Add(goal.Try, "add root="+name)
}

// advise adds what can be said from the whole of the situation.
func (x *explainer) advise() {
	if len(x.w.Missing) > 0 && !slices.ContainsFunc(x.s.Facts, rebuilds) {
		x.s.First("rebuild the image with the drivers that could not be loaded")
	}
	switch {
	case x.opt.Config.Root.Device.IsZero():
		x.unnamed()
		return
	case !x.lost || x.s.Has(goal.Try):
		return
	case len(x.blocks) == 0:
		x.s.Add(goal.Try, "check that the disk is connected; else this image may lack the driver of its controller")
		return
	}
	// What is still being done, and be it that a passphrase is tried, or goes
	// on by itself in a while, may well bring the root: then nothing is wrong
	// with the command line.
	for i := range x.s.Facts {
		if f := &x.s.Facts[i]; f.Condition == goal.Working || f.Until > x.s.Now || f.Try != "" {
			return
		}
	}
	if x.s.Has(goal.Doing) {
		x.s.Add(goal.Try, "look at the kernel's messages (dmesg): what is being done takes very long")
		return
	}
	what := "root="
	if len(x.w.Sought) > 0 {
		what = "the names on the command line and in the image's crypttab"
	}
	x.s.Add(goal.Try, "check "+what+" against the devices above, and that every disk is connected")
}

// rebuilds says whether a fact says with what the image is to be rebuilt.
func rebuilds(f goal.Fact) bool { return strings.HasPrefix(f.Try, "rebuild the image") }

// held says whether something lies on a device: an open mapping of it.
func held(e *udevd.Entry) bool {
	list, _ := e.Sys().List(e.Devpath() + "/holders")
	return len(list) > 0
}
