package multipath

import (
	"slices"
	"strings"
	"time"

	"firstlight/internal/device"
	"firstlight/internal/filter"
	"firstlight/internal/goal"
	"firstlight/internal/mpathconf"
	"firstlight/internal/order"
	"firstlight/internal/udevd"
	"firstlight/internal/ueventd"
)

// pathProperty marks a device that is a path, as multipath-tools' rules do.
const pathProperty = "DM_MULTIPATH_DEVICE_PATH"

// readyProperty says of a multipath device that it can be used, as multipath-tools'
// rules do: without it multipathd of the real system would set it up anew.
const readyProperty = "MPATH_DEVICE_READY"

// unread keeps the rules from looking at what is on a device.
const unread = "UDEV_DISABLE_PERSISTENT_STORAGE_BLKID_FLAG"

// rules are those of a boot, and before anything is read of a device the
// question whether it is a path, or on one.
type rules struct {
	h     *Handler
	inner udevd.Rules
}

// Evaluate implements udevd.Rules.
func (r *rules) Evaluate(t *ueventd.Task, d *device.Device, action string, old *device.Device) (udevd.Outcome, error) {
	h := r.h
	if d.HasProperty("MODALIAS") {
		h.load(t) // before the driver is there that finds disks
	}
	if action == "remove" || d.Subsystem() != "block" || !mayBePath(d) {
		out, err := r.inner.Evaluate(t, d, action, old)
		if strings.HasPrefix(d.Property("DM_UUID"), "mpath-") && filter.Usable(d) {
			d.SetProperty(readyProperty, "1")
		}
		return out, err
	}
	h.load(t)
	if d.Devtype() == "partition" {
		disk := d.Devpath()[:strings.LastIndexByte(d.Devpath(), '/')]
		if h.marked[disk] {
			return r.hidden(t, d, action, old)
		}
		out, err := r.inner.Evaluate(t, d, action, old)
		if h.marked[disk] { // since it was looked at
			h.reconsider(d.Sys(), d.Devpath())
		}
		return out, err
	}
	if h.conf.Find == mpathconf.FindStrict && len(h.wwids) == 0 {
		out, err := r.inner.Evaluate(t, d, action, old)
		h.path(t, d)
		return out, err
	}
	out, err := r.hidden(t, d, action, old) // it says who it is
	h.marked[d.Devpath()] = h.path(t, d)
	if h.marked[d.Devpath()] {
		return out, err
	}
	for _, property := range [...]string{unread, pathProperty, "SYSTEMD_READY"} {
		d.SetProperty(property, "")
	}
	return r.inner.Evaluate(t, d, action, old)
}

// hidden evaluates the rules for a device of which nothing is read.
func (r *rules) hidden(t *ueventd.Task, d *device.Device, action string, old *device.Device) (udevd.Outcome, error) {
	d.SetProperty(unread, "1")
	d.SetProperty(pathProperty, "1")
	out, err := r.inner.Evaluate(t, d, action, old)
	d.SetProperty("SYSTEMD_READY", "0")
	return out, err
}

// mayBePath says whether a device is of a kind of which multipath-tools take any.
// Of the paths of a namespace that the kernel has put together itself they take
// none.
func mayBePath(d *device.Device) bool {
	name := strings.TrimPrefix(d.Devname(), "/dev/")
	return strings.HasPrefix(name, "sd") || strings.HasPrefix(name, "nvme") && !strings.Contains(d.Devpath(), "/nvme-subsystem/")
}

// wwid is what multipath-tools take for the identity of a disk, "" for none.
func wwid(d *device.Device) string {
	id := ""
	switch name := d.Devname(); {
	case strings.HasPrefix(name, "/dev/sd"):
		id = d.Property("ID_SERIAL")
	case strings.HasPrefix(name, "/dev/nvme"):
		id = d.Property("ID_WWN")
	}
	if !mpathconf.Proper(id) {
		return ""
	}
	return id
}

// path says whether a disk is a path. Nothing was read of it yet.
func (h *Handler) path(t *ueventd.Task, d *device.Device) bool {
	id := wwid(d)
	if id == "" {
		return false
	}
	if by := h.excluded(d); by != "" {
		if h.wwids[id] || h.conf.Find != mpathconf.FindStrict {
			t.Record("decision", d.Sysname()+" is no path: "+fileConf+" excludes it by "+by)
		}
		return false
	}
	if h.see(id, d); len(h.seen) == 1 && len(h.seen[id]) == 1 {
		h.w.Sched.Push(ueventd.Event{Queue: queue + " paths", Kind: kindWatch})
	}
	patience := udevd.Patience
	switch several := len(h.alive(id)) > 1 || h.using[id] != ""; {
	case h.wwids[id]:
	case h.conf.Find == mpathconf.FindGreedy:
	case h.conf.Find == mpathconf.FindOn && several:
	case h.conf.Find == mpathconf.FindSmart && several:
	case h.conf.Find == mpathconf.FindSmart && !h.alone[id]:
		patience = h.patience(d)
	default:
		if several {
			h.copies(id, d.Devname())
		}
		return false
	}
	h.expect(id, patience)
	h.w.Sched.Push(ueventd.Event{Queue: queue + " " + id, Kind: filter.Add, Name: d.Devname()})
	return true
}

// copies says of a disk on several paths that nothing says that it is one.
func (h *Handler) copies(id, node string) {
	h.w.SetFact(queue+" "+id, goal.Fact{Subject: "disk " + id, Condition: goal.Blocked,
		Text: "is there on several paths, and nothing in the image says that they are one disk: they are taken for copies",
		Try:  "multipath -a " + node + " in the real system, and a new image"})
}

// kindWatch is the event that paths may have gone away, in a queue of its own.
const kindWatch = "watch"

// gone keeps what is said of disks from naming paths that have gone away.
func (h *Handler) gone() ueventd.Outcome {
	w := h.w
	for _, id := range order.Keys(h.seen) {
		left, key := h.alive(id), queue+" "+id
		before := h.told[id]
		if h.told[id] = len(left); len(left) >= before {
			continue
		}
		copies := slices.ContainsFunc(w.Facts(), func(f goal.Fact) bool { return f.Subject == "disk "+id })
		switch {
		case len(left) == 0 || copies && len(left) < 2:
			w.DropFact(key)
		case copies:
			h.copies(id, left[0].Devname())
		case h.using[id] != "":
			var names []string
			for _, d := range left {
				names = append(names, d.Devname())
			}
			w.SetFact(key, goal.Fact{Subject: h.subject(id), Condition: goal.Present, Text: "runs on " + strings.Join(names, ", ")})
		default: // it is made of those that are left
			w.Sched.Push(ueventd.Event{Queue: key, Kind: filter.Add, Name: left[0].Devname()})
		}
	}
	return ueventd.WaitFor("the end of this boot, or a path that goes away", udevd.TopicDevice)
}

// see notes that a disk is there.
func (h *Handler) see(id string, d *device.Device) {
	if !slices.ContainsFunc(h.seen[id], func(x *device.Device) bool { return x.Devpath() == d.Devpath() }) {
		h.seen[id] = append(h.seen[id], d)
	}
}

// patience is how long a second path is waited for. A negative time is that of
// disks of arrays; others wait for a second.
func (h *Handler) patience(d *device.Device) time.Duration {
	if h.conf.FindTimeout >= 0 {
		return h.conf.FindTimeout
	}
	switch protocol(d) {
	case "scsi:fcp", "scsi:iscsi", "scsi:sas", "scsi:srp", "nvme:fc", "nvme:rdma", "nvme:tcp":
		return -h.conf.FindTimeout
	}
	return time.Second
}

// described is what the configuration is asked about.
func described(d *device.Device) mpathconf.Disk {
	vendor, _ := d.Attr("device/vendor")
	model, _ := d.Attr("device/model")
	if strings.HasPrefix(d.Devname(), "/dev/nvme") {
		vendor = "NVME"
	}
	properties := order.Keys(d.Properties())
	if d.Property("ID_SCSI") == "1" && d.Property("ID_SERIAL") != "" {
		// What sg3-utils' rules, which not every system has, say of each.
		properties = append(properties, "SCSI_IDENT_SERIAL")
	}
	return mpathconf.Disk{WWID: wwid(d), Devnode: strings.TrimPrefix(d.Devname(), "/dev/"), Vendor: strings.TrimSpace(vendor), Product: strings.TrimSpace(model),
		Protocol: protocol(d), Properties: properties}
}

func (h *Handler) excluded(d *device.Device) string { return h.conf.Excluded(described(d)) }

// protocol is what multipath.conf(5) calls the way to a disk.
func protocol(d *device.Device) string {
	has := func(part string) bool { return strings.Contains(d.Devpath(), "/"+part) }
	if strings.HasPrefix(d.Devname(), "/dev/nvme") {
		if transport, ok := d.Attr("device/transport"); ok {
			return "nvme:" + transport
		}
		return "nvme:unspec"
	}
	switch {
	case has("rport-"):
		return "scsi:fcp"
	case has("session"):
		return "scsi:iscsi"
	case has("end_device-"):
		return "scsi:sas"
	case has("port-") && has("srp_"):
		return "scsi:srp"
	case has("ata"):
		return "scsi:ata"
	case has("usb"):
		return "scsi:usb"
	}
	return "scsi:unspec"
}
