package sim

import (
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"firstlight/internal/bcachefmt"

	"golang.org/x/sys/unix"
)

// Cached is a disk that bcache was told to start.
type Cached struct {
	At   time.Duration
	Name string // "bcache0"
	UUID string
	// Without: its cache was not there.
	Without bool
}

// cached is a device that bcache knows.
type cached struct {
	d     *Disk
	life  int
	super *bcachefmt.Super
	on    *Disk // what it shows, of one that runs
}

func (c *cached) alive() bool { return c != nil && c.d.there && c.d.life == c.life }

// bcacheMajor is the major number of bcache's devices.
const bcacheMajor = 252

// writeBcache carries out a write to an attribute of bcache; ok is false for
// any other path.
func (m *Machine) writeBcache(p, value string) (ok bool, err error) {
	if p == "/fs/bcache/register" {
		if err = m.registerBcache(value); err != nil {
			err = fmt.Errorf("write %q to %s: %w", value, p, err)
		}
		return true, err
	}
	devpath, ok := strings.CutSuffix(p, "/bcache/running")
	if !ok {
		return false, nil
	}
	for _, c := range m.bcache {
		if c.d.devpath != devpath || !c.alive() || !c.super.Backing {
			continue
		}
		if c.on == nil {
			m.runBcache(c, nil)
		}
		return true, nil
	}
	return true, fmt.Errorf("write %q to %s: %w", value, p, fs.ErrNotExist)
}

// registerBcache tells bcache of a device: it reads the superblock, and writes
// to what it knows then.
func (m *Machine) registerBcache(node string) error {
	if err := m.driver("bcache", "register"); err != nil {
		return fs.ErrNotExist
	}
	d := m.disks[node]
	switch {
	case d == nil || m.readFails(d):
		return unix.EINVAL
	case d.ReadOnly:
		return unix.EACCES
	case !m.claim(d, "bcache"):
		return unix.EBUSY
	}
	s, err := bcachefmt.Read(reader{d}, uint64(d.size()))
	if err != nil {
		m.release(d, "bcache")
		return unix.EINVAL
	}
	c := &cached{d: d, life: d.life, super: s}
	m.bcache = append(m.bcache, c)
	m.sys.set(d.devpath+"/bcache/state", s.State.String())
	if !s.Backing {
		m.wrote(d, d, "a cache that is started")
		m.writeBelow(d, "a cache that is started")
		for _, o := range m.bcache {
			if o.alive() && o.super.Backing && o.on == nil && o.super.Set == s.Set {
				m.runBcache(o, c)
			}
		}
		return nil
	}
	m.sys.set(d.devpath+"/bcache/running", "0")
	for _, o := range m.bcache {
		if o.alive() && !o.super.Backing && o.super.Set == s.Set {
			m.runBcache(c, o)
			return nil
		}
	}
	if s.State == bcachefmt.Detached || s.State == bcachefmt.Stale {
		m.runBcache(c, nil)
	}
	return nil
}

// runBcache makes the device. Of a disk whose state is dirty the cache has all;
// without its cache it shows what it has itself, and is stale from then on.
func (m *Machine) runBcache(c, cache *cached) {
	s := c.super
	if cache != nil || s.State != bcachefmt.Detached && s.State != bcachefmt.Stale {
		m.wrote(c.d, c.d, "bcache, which starts it")
		m.writeBelow(c.d, "bcache, which starts it")
	}
	number := 0
	for m.disks["/dev/bcache"+strconv.Itoa(number)] != nil {
		number++
	}
	at := int64(s.Data) << 9
	v := view{n: c.d.size() - at, on: c.d, base: c.d, life: c.life, from: at}
	if cache != nil && s.State == bcachefmt.Dirty {
		v.on, v.with, v.withLife = cache.d, cache.d, cache.life
	}
	on := &Disk{Name: "bcache" + strconv.Itoa(number), Size: v.n, major: bcacheMajor, minor: number, views: []view{v}, viewed: true}
	on.devpath = "/devices/virtual/block/" + on.Name
	c.on = on
	m.Cached = append(m.Cached, Cached{m.now, on.Name, s.UUID, cache == nil})
	m.sys.set(c.d.devpath+"/bcache/running", "1")
	m.sys.link(on.devpath+"/bcache", c.d.devpath+"/bcache")
	m.plugged(on)
	m.hold(on, c.d)
	m.tell("change", on, "DRIVER", "bcache", "CACHED_UUID", s.UUID)
}
