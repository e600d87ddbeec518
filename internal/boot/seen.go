package boot

import (
	"slices"
	"strings"

	"firstlight/internal/devspec"
	"firstlight/internal/goal"
	"firstlight/internal/udevd"
)

// several is how many devices of one kind are spoken of together.
const several = 3

// look says what was looked for in vain, and what is there instead. On a
// machine of many disks the order decides what is seen: first what is wrong
// with a device, then what is nearly what is looked for, then why nothing came
// of the others.
func (x *explainer) look() {
	notes := make([]string, len(x.blocks))
	root := &x.opt.Config.Root.Device
	tell := func(i int, note string) {
		notes[i] = note
		x.s.Add(goal.Seen, describe(x.blocks[i], root.Kind, note))
	}
	for i, e := range x.blocks {
		if note := x.defect(e); note != "" {
			tell(i, note)
		}
	}
	hints := make([]string, len(x.blocks))
	if x.lost {
		x.seek("root=", root, hints)
		for i := range x.w.Sought {
			x.seek(x.w.Sought[i].By, x.w.Sought[i].Spec, hints)
		}
	}
	for i := range x.w.Extra {
		x.seek("", &x.w.Extra[i], hints)
	}
	if !x.w.ResumeSettled {
		x.seek("", &x.opt.Config.Resume.Device, hints)
	}
	for i, hint := range hints {
		if hint != "" && notes[i] == "" {
			tell(i, hint)
		}
	}
	var groups []alike
	for i, e := range x.blocks {
		if notes[i] != "" || !x.lost {
			continue
		}
		if notes[i] = x.unused(e); notes[i] == "" {
			continue
		}
		g := slices.IndexFunc(groups, func(g alike) bool { return g.note == notes[i] })
		if g < 0 {
			g = len(groups)
			groups = append(groups, alike{note: notes[i]})
		}
		groups[g].devices = append(groups[g].devices, e)
	}
	for _, g := range groups {
		x.together(g, root.Kind)
	}
	for i, e := range x.blocks {
		if notes[i] == "" && !empty(e) {
			x.s.Add(goal.Seen, describe(e, root.Kind, ""))
		}
	}
	if e := x.gone; e != nil {
		text := describe(e, root.Kind, "went away")
		if !x.s.Timeless {
			text += " " + goal.Seconds(x.s.Now-x.goneAt) + " ago"
		}
		x.s.Add(goal.Gone, text)
		x.s.First("check the disk " + short(e) + " and its cable: it went away")
	}
}

// defect says what is wrong with a device; "" for nothing.
func (x *explainer) defect(e *udevd.Entry) string {
	switch {
	case e.Err != nil:
		x.s.Add(goal.Try, "check the disk "+short(e)+" and its cable: it cannot be read")
		return e.Err.Error()
	case e.Property("ID_FS_AMBIVALENT") != "":
		x.s.Add(goal.Try, "in a rescue system remove the signature that is wrong (wipefs "+e.Devname()+" lists them)")
		return "more than one signature: " + e.Property("ID_FS_AMBIVALENT")
	case e.Property(udevd.Damaged) != "":
		x.s.Add(goal.Try, "if the root was on "+short(e)+", check the disk, and mend or restore what is on it in a rescue system")
		return "has the mark of " + e.Property(udevd.Damaged) + ", and no valid superblock there: damaged, or cut off"
	}
	return ""
}

// alike are devices of which nothing came for one reason.
type alike struct {
	note    string
	devices []*udevd.Entry
}

// locked is the note on an encrypted device that nothing asks to unlock.
const locked = "nothing asks to unlock it"

// together names devices of which the same is to be said. Of several each has
// a line of its own, so that many fit.
func (x *explainer) together(g alike, kind devspec.Kind) {
	many := len(g.devices) >= several
	head := g.note + ":"
	if g.note == locked && many {
		head = "encrypted, and nothing asks to unlock it:"
		x.s.Add(goal.Try, "if the root is in one of the encrypted devices, add rd.luks.uuid= with its UUID")
	}
	if many {
		x.s.Add(goal.Seen, head)
	}
	for _, e := range g.devices {
		if many {
			x.s.Add(goal.Seen, line(e))
			continue
		}
		if g.note == locked {
			x.s.Add(goal.Try, "if the root is in "+short(e)+", add rd.luks.uuid="+e.Property("ID_FS_UUID"))
		}
		x.s.Add(goal.Seen, describe(e, kind, g.note))
	}
}

// line describes a device in few words, below what is said of several.
func line(e *udevd.Entry) string {
	text := "  " + padded(e)
	if n := size(e); n != "" {
		text += " " + n
	}
	if typ := e.Property("ID_FS_TYPE"); typ != "" && !contains("crypto_LUKS linux_raid_member LVM2_member", typ) {
		text += " " + typ
	}
	if uuid := e.Property("ID_FS_UUID"); uuid != "" {
		text += " UUID=" + uuid
	}
	if label := e.Property("ID_FS_LABEL"); label != "" {
		text += " LABEL=" + label
	}
	return text
}

// deeper says what to do if the volume that is looked for lies inside another
// one, which nothing on the command line asks for.
func (x *explainer) deeper(vg, lv string) {
	var outer []string
	for i := range x.s.Facts {
		f := &x.s.Facts[i]
		if name, ok := strings.CutPrefix(f.Subject, "volume group "); ok && f.Condition == goal.LeftAlone && f.Try == "" {
			outer = append(outer, name)
		}
	}
	if len(outer) >= several {
		outer = []string{"GROUP"}
	}
	for _, name := range outer {
		x.last = append(x.last, "if it lies in a volume of "+name+", add rd.lvm.vg="+name+" rd.lvm.lv="+vg+"/"+lv+", and rd.luks.uuid= if that is encrypted")
	}
}
