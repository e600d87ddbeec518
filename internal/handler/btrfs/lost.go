package btrfs

import (
	"io"
	"strconv"
	"strings"

	"firstlight/internal/bootcmd"
	"firstlight/internal/btrfsfmt"
	"firstlight/internal/filter"
	"firstlight/internal/handler"
	"firstlight/internal/handler/mount"
	"firstlight/internal/machine"
	"firstlight/internal/udevd"
	"firstlight/internal/ueventd"
)

// NewCareful registers a handler that looks itself whether a filesystem can be had
// without what is missing: asked to mount it read-only, the kernel does not. It also
// looks whether what is there belongs together.
func NewCareful(w *handler.World) *Handler {
	h := &Handler{w: w, filesystems: map[string]*filesystem{}}
	w.Sched.Route(filter.Btrfs, h.weigh)
	h.careful = func(t *ueventd.Task, f *filesystem, e *udevd.Entry) (text, options string) {
		if t == nil {
			return h.asAsked(e)
		}
		return h.lost(t, f), ""
	}
	return h
}

// CarefulGate is Gate of NewCareful: what is out of date is not mounted, nor what was
// not compared with the others yet.
func (h *Handler) CarefulGate(e *udevd.Entry) (topic, why, options string) {
	key := filter.Btrfs + " " + e.Property("ID_FS_UUID")
	f := h.filesystems[key]
	switch {
	case f == nil || alone(e) || e.Property("ID_FS_TYPE") != "btrfs":
	case e.Property(udevd.BtrfsStale) != "":
		return key, e.Devname() + " has missed writes", ""
	case f.judged.members[e.Devname()] != e:
		return key, "what the other devices of the btrfs hold", ""
	}
	return h.Gate(e)
}

// asAsked says how a filesystem is mounted without what is missing, as
// rd.btrfs.degraded= asks: where nothing is to be written to it, its log is not
// replayed, and at the end of the options stands that it is read-only.
func (h *Handler) asAsked(e *udevd.Entry) (how, options string) {
	switch h.w.Config.BtrfsDegraded.Mode {
	case bootcmd.DegradedWritable:
		return "", "degraded"
	case bootcmd.DegradedOverlay:
		h.w.CoverRoot(subject(e) + " is degraded (rd.btrfs.degraded=overlay)")
	}
	return " and read-only, without replaying its log", "degraded,rescue=nologreplay" + mount.ReadOnlyOption
}

// lost says why a filesystem cannot be had without what is missing, "" if it can
// or the kernel is to say: which mounts it read-only whatever is missing.
func (h *Handler) lost(t *ueventd.Task, f *filesystem) string {
	list := h.seeded(f)
	gone, err := ueventd.Do(t, "look for what "+strings.TrimPrefix(f.key, filter.Btrfs+" ")+" lacks", func(m machine.Machine) (bool, error) {
		devices := map[uint64]io.ReaderAt{}
		for number, node := range list {
			b, err := m.OpenBlock(node)
			if err != nil {
				return false, err
			}
			defer b.Close()
			devices[number] = b
		}
		return btrfsfmt.Lost(devices)
	})
	switch {
	case err != nil:
		h.await(f) // what could not be read may be readable later
		return "; whether it can be had without the rest is not known: " + err.Error()
	case gone:
		return "; it cannot be had without the rest: some of what is on it is nowhere else"
	}
	return ""
}

// seeded are the devices that are there of a filesystem and of the seeds that it
// grew from, by their numbers.
func (h *Handler) seeded(f *filesystem) map[uint64]string {
	list := map[uint64]string{}
	add := func(f *filesystem) {
		for node, e := range f.members {
			n, _ := strconv.ParseUint(e.Property(udevd.BtrfsNumber), 10, 64)
			list[n] = node
		}
	}
	for _, e := range h.there(f) {
		for id := range strings.FieldsSeq(e.Property(udevd.BtrfsSeeds)) {
			if seed := h.filesystems[filter.Btrfs+" "+id]; seed != nil {
				add(seed)
			}
		}
	}
	add(f)
	return list
}
