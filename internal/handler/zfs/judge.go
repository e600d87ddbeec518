package zfs

import (
	"strconv"
	"strings"

	"firstlight/internal/bootcmd"
	"firstlight/internal/fmt"
	"firstlight/internal/goal"
	"firstlight/internal/handler/mount"
	"firstlight/internal/machine"
	"firstlight/internal/order"
	"firstlight/internal/ueventd"
	"firstlight/internal/zfslabel"
)

// judge decides which pool is to be imported, and whether it can be; nil with the
// reason if not yet. What keeps it is said as a fact.
func (h *Handler) judge(t *ueventd.Task) (*zfslabel.Pool, string) {
	list := h.pools()
	wait := func(c goal.Condition, text, try string) (*zfslabel.Pool, string) {
		h.w.Sched.CancelDeadline(queue)
		h.fact(c, text, try)
		return nil, text
	}
	switch len(list) {
	case 0:
		text := "no device of a ZFS pool has appeared"
		if h.pool != "" {
			text = "no device of the pool " + h.pool + " has appeared"
		}
		if other := h.others(); other != "" {
			text += "; there is " + other
		}
		return wait(goal.Incomplete, text, "connect its disks, or correct the name of the pool")
	case 1:
	default:
		var text []string
		for _, p := range list {
			text = append(text, label(p)+" ("+strings.Join(nodes(p), ", ")+")")
		}
		what, try := "there is more than one pool", "name the pool: root=ZFS=POOL/DATASET"
		if h.pool != "" {
			what = "more than one pool is called " + h.pool
			try = "disconnect the other one, or name the pool by its number: root=ZFS=" + number(list[0]) + h.dataset
		}
		return wait(goal.Blocked, what+": "+strings.Join(text, ", "), try)
	}
	p := list[0]
	l := p.Label
	id := number(p)
	switch {
	case p.Twins[0] != "":
		return wait(goal.Blocked, p.Twins[0]+" and "+p.Twins[1]+" are the same device of the pool "+label(p), "disconnect the copy")
	case p.Apart[0] != "":
		return wait(goal.Blocked, p.Apart[0]+" and "+p.Apart[1]+" of the pool "+label(p)+" were each used without the other: ZFS would overwrite what is on one of them",
			"choose in a rescue system: zpool labelclear -f "+p.Apart[1]+", or zpool labelclear -f "+p.Apart[0]+
				", which destroys what is on it; then boot, and give the pool that disk anew with zpool attach")
	}
	if text, try := h.foreign(t, p); text != "" {
		return wait(goal.Blocked, text, try)
	}
	switch {
	case len(p.Lacking) > 0:
		return wait(goal.Incomplete, h.here(p)+"; it cannot be had without "+missing(p), "connect the missing disks")
	case len(p.LacksLog) > 0:
		return wait(goal.Incomplete, h.here(p)+"; its log device is missing ("+missing(p)+"), which may hold writes that the pool lacks",
			"connect the log device, or, if it is lost, import the pool once in a rescue system: zpool import -m "+id)
	case len(p.Unknown) > 0 && !l.Removed():
		return wait(goal.Incomplete, fmt.Sprintf("%s; %d of its %d parts are missing, without which it cannot be had", h.here(p), len(p.Unknown), int(l.Tops)-len(l.Holes)),
			"connect the missing disks; where that is a log device which is lost: zpool import -m "+id+" in a rescue system, once")
	}
	if len(p.Missing) > 0 && !h.overdue {
		f := goal.Fact{Subject: h.describe(), Condition: goal.Incomplete, Text: h.here(p) + "; missing: " + missing(p), Try: "connect the missing disks"}
		if f.Until = h.await(); f.Until == 0 {
			f.Text += "; it is not imported without, as rd.zfs.degraded= or raid-member-delay= asks"
			f.Try = "connect the missing disks, or boot once with rd.zfs.degraded=15"
		} else {
			f.AtExpiry = "imported degraded"
		}
		h.w.SetFact(mount.RootGoal, f)
		return nil, f.Text
	}
	h.w.Sched.CancelDeadline(queue)
	if !h.w.ResumeSettled {
		const early = "it is imported once nothing can be resumed any more, for that writes to it"
		h.fact(goal.Incomplete, early, "")
		return nil, early
	}
	h.fact(goal.Working, h.here(p), "")
	return p, ""
}

// foreign says whether another machine may be using the pool, and what to try
// then.
func (h *Handler) foreign(t *ueventd.Task, p *zfslabel.Pool) (text, try string) {
	l := p.Label
	if l.State != zfslabel.Active || l.HostID == 0 || h.config.Force {
		return "", ""
	}
	own := h.own(t)
	if own == l.HostID {
		return "", ""
	}
	who := "another machine"
	if l.HostName != "" && l.HostName != "(none)" {
		who = l.HostName
	}
	text = fmt.Sprintf("the pool %s was last used by %s (hostid %s), which has not exported it", label(p), who, hex(l.HostID))
	if own == 0 {
		text += "; this image does not know who it is"
	} else {
		text += "; this machine is " + hex(own)
	}
	return text, "if no other machine uses it, boot once with zfs_force=1 (or, if that was this machine, with spl_hostid=" + hex(l.HostID) +
		", and build the image anew where /etc/hostid has that); otherwise export it there: zpool export " + l.Pool
}

// own is who this machine is to ZFS, 0 if that is not known.
func (h *Handler) own(t *ueventd.Task) uint64 {
	if h.knows {
		return h.hostID
	}
	h.knows = true
	if v, err := strconv.ParseUint(h.config.HostID, 16, 32); err == nil && v != 0 {
		h.hostID = v
		return v
	}
	// Four bytes in the order of the machine (gethostid(3)); all that Firstlight
	// runs on have the lowest first.
	b, err := ueventd.Do(t, "read /etc/hostid", func(m machine.Machine) ([]byte, error) { return m.ReadFile("/etc/hostid", 64) })
	if err == nil && len(b) >= 4 {
		h.hostID = uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24
	}
	return h.hostID
}

// others names the pools that there are besides, for who has misspelled one.
func (h *Handler) others() string {
	seen := map[string]bool{}
	for _, d := range h.devices {
		if d.label != nil && d.label.Tree != nil {
			name := d.label.Pool
			if d.label.State == zfslabel.Destroyed {
				name += ", which was destroyed"
			}
			seen[name] = true
		}
	}
	return strings.Join(order.Keys(seen), ", ")
}

// here says what of a pool is there.
func (h *Handler) here(p *zfslabel.Pool) string {
	return "the pool " + label(p) + " has " + strings.Join(nodes(p), ", ")
}

// label is a pool's name and number.
func label(p *zfslabel.Pool) string { return p.Label.Pool + " " + number(p) }

func number(p *zfslabel.Pool) string { return strconv.FormatUint(p.Label.PoolGUID, 10) }

func nodes(p *zfslabel.Pool) []string {
	var list []string
	for _, m := range p.Members {
		list = append(list, m.Node)
	}
	return list
}

// missing names the devices that are not there, and where they were.
func missing(p *zfslabel.Pool) string {
	var list []string
	for i, v := range p.Missing {
		if i == 4 {
			list = append(list, strconv.Itoa(len(p.Missing)-i)+" more")
			break
		}
		list = append(list, strconv.FormatUint(v.GUID, 10)+" (was "+v.Path+")")
	}
	if list == nil {
		return "devices that were taken out of it"
	}
	return strings.Join(list, ", ")
}

func hex(v uint64) string { return fmt.Sprintf("0x%08x", v) }

// rule is how the pool is to be imported.
type rule struct {
	readOnly bool
	why      string // for a person; "" where that is as usual
}

// rule says how: read-only where a device is missing and the command line asks for
// that, or where nothing is to be written to the root.
func (h *Handler) rule(p *zfslabel.Pool) rule {
	w := h.w
	if len(p.Missing) > 0 {
		r := rule{why: "Importing the pool " + label(p) + " degraded: missing " + missing(p) + ". Nothing of it came for " + goal.Seconds(h.config.Degraded.Wait) + "."}
		if h.config.Degraded.Mode != bootcmd.DegradedWritable {
			r.readOnly = true
			r.why = strings.Replace(r.why, "degraded:", "degraded and read-only:", 1)
		}
		if h.config.Degraded.Mode == bootcmd.DegradedOverlay {
			w.CoverRoot("the pool " + p.Label.Pool + " is degraded (rd.zfs.degraded=overlay)")
		}
		return r
	}
	if why := w.CoverAsked(); why != "" {
		return rule{readOnly: true}
	}
	return rule{}
}
