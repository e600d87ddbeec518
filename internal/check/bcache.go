package check

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"firstlight/internal/bcachefmt"
)

// cached is a device that bcache of the modelled kernel knows.
type cached struct {
	disk    *disk
	super   *bcachefmt.Super
	running bool
}

const bcacheMajor = 252

// writeBcache takes a write that concerns bcache; taken is false for any other.
func (w *world) writeBcache(p, value string) (taken bool, err error) {
	fail := func(err error) (bool, error) { return true, fmt.Errorf("sysfs: write %s: %w", p, err) }
	if p == "/fs/bcache/register" {
		if !w.modules.there("bcache") {
			return fail(fs.ErrNotExist)
		}
		if err := w.registerBcache(value); err != nil {
			return fail(err)
		}
		return true, nil
	}
	devpath, ok := strings.CutSuffix(p, "/bcache/running")
	if !ok {
		return false, nil
	}
	for _, c := range w.bcache {
		if c.disk.devpath == devpath && c.super.Backing {
			w.runBcache(c)
			return true, nil
		}
	}
	return fail(fs.ErrNotExist)
}

// registerBcache tells bcache of a device. A disk runs once its cache is there,
// or when it has none.
func (w *world) registerBcache(node string) error {
	d := w.disk(node)
	if d == nil {
		return unix.EINVAL
	}
	if ro, _ := w.live.Read(d.devpath + "/ro"); ro == "1" {
		return unix.EACCES
	}
	if names, _ := w.live.List(d.devpath + "/holders"); len(names) > 0 || w.live.Exists(d.devpath+"/bcache") {
		return unix.EBUSY
	}
	s, err := bcachefmt.Read(d, uint64(d.size))
	if err != nil {
		return err
	}
	c := &cached{disk: d, super: s}
	w.bcache = append(w.bcache, c)
	w.live.Set(d.devpath+"/bcache/state", s.State.String())
	if !s.Backing {
		for _, o := range w.bcache {
			if o.super.Backing && o.super.Set == s.Set {
				w.runBcache(o)
			}
		}
		return nil
	}
	w.live.Set(d.devpath+"/bcache/running", "0")
	has := slices.ContainsFunc(w.bcache, func(o *cached) bool { return !o.super.Backing && o.super.Set == s.Set })
	if has || s.State == bcachefmt.Detached || s.State == bcachefmt.Stale {
		w.runBcache(c)
	}
	return nil
}

// runBcache makes the device of a disk, which shows what that of the snapshot
// did which lay on the same disk.
func (w *world) runBcache(c *cached) {
	if c.running {
		return
	}
	c.running = true
	number := 0
	for w.disks["/dev/bcache"+strconv.Itoa(number)] != nil {
		number++
	}
	below := c.disk
	d := &disk{w: w, name: "bcache" + strconv.Itoa(number), major: bcacheMajor, minor: uint32(number) * 128,
		why: "it did not run when the snapshot was taken"}
	d.devpath = "/devices/virtual/block/" + d.name
	d.size = below.size - int64(c.super.Data)<<9
	w.stack(d, map[string]string{"size": strconv.FormatInt(d.size>>9, 10)})
	var parts []string
	if origin := w.sameBcache(below); origin != "" {
		parts = w.graft("/devices/virtual/block/"+origin, d.devpath)
		d.holding(origin)
	}
	w.live.Set(below.devpath+"/bcache/running", "1")
	w.live.Link(below.devpath+"/holders/"+d.name, d.devpath)
	w.live.Link(d.devpath+"/slaves/"+below.name, below.devpath)
	w.uevent("add", d.devpath)
	slices.Sort(parts)
	for _, p := range parts {
		w.live.Link("/class/block/"+path.Base(p), p)
		part := w.plug(p)
		part.holding(d.origin + strings.TrimPrefix(part.name, d.name))
		w.uevent("add", p)
	}
	w.uevent("change", d.devpath, "DRIVER", "bcache", "CACHED_UUID", c.super.UUID)
}

// sameBcache finds the device of the snapshot that lay on the same disk, or "".
func (w *world) sameBcache(below *disk) string {
	names, _ := w.snap.Sys.List("/class/block")
	for _, n := range names {
		under, _ := w.snap.Sys.List("/class/block/" + n + "/slaves")
		if strings.HasPrefix(n, "bcache") && below.origin != "" && slices.Contains(under, below.origin) {
			return n
		}
	}
	return ""
}
