package disks

// Bcache makes a disk with another one in front of it, that caches it.
type Bcache struct {
	Name      string
	On, Cache string
	// Dirty has the cache hold what is written from then on: the disk alone
	// never sees it.
	Dirty bool
}

func (s Bcache) plan(p *planner) error {
	nodes, err := p.all([]string{s.On, s.Cache})
	if err != nil {
		return err
	}
	// A cache has at least 513 buckets.
	// The kernel's device has its name by number: each is stopped before the next
	// layout makes one.
	const dev, knobs, register = "/dev/bcache0", "/sys/block/bcache0/bcache", "/sys/fs/bcache/register"
	set := p.layout.UUID(s.Name)
	p.do("make-bcache", "--bucket", "64k", "--cset-uuid", set, "-C", nodes[1], "-B", nodes[0])
	p.do("@echo", nodes[1], register)
	p.do("@echo", nodes[0], register)
	if s.Dirty {
		for _, knob := range [][2]string{{"writeback", "cache_mode"}, {"0", "writeback_running"}, {"0", "sequential_cutoff"}} {
			p.do("@echo", knob[0], knobs+"/"+knob[1])
		}
	}
	p.undo("@gone", "/sys/fs/bcache/"+set)
	p.undo("@echo", "1", "/sys/fs/bcache/"+set+"/stop")
	p.undo("@gone", "/sys/block/bcache0")
	p.undo("@echo", "1", knobs+"/stop")
	return p.name(s.Name, dev)
}

// cached is a root on a disk with a cache.
func cached(name string, dirty bool) Layout {
	return Layout{Name: name, Disks: blank(128, "d0", "c0"), Steps: []Step{
		Bcache{Name: "cached", On: "d0", Cache: "c0", Dirty: dirty},
		FS{On: "cached", Type: "ext4", Content: tiny},
	}}
}

// Disks with caches: one of which either has all, one of which the cache has
// what was written last, and a stack with a cache in its middle.
var (
	BcachePlain = cached("bcache", false)
	BcacheDirty = cached("bcache-dirty", true)
	BcacheStack = Layout{Name: "bcache-stack", Disks: blank(160, "d0", "c0"), Steps: []Step{
		LUKS{Name: "crypt", On: "d0", Version: 2, Passphrase: Passphrase, KDF: "cheap"},
		Bcache{Name: "cached", On: "crypt", Cache: "c0", Dirty: true},
		VG{Name: "flc", On: []string{"cached"}},
		LV{VG: "flc", Name: "root", MiB: 96},
		FS{On: "flc/root", Type: "ext4", Content: tiny},
	}}
	// BcacheTwice has a copy of the disk with the filesystem.
	BcacheTwice = Layout{Name: "bcache-twice", Disks: blank(128, "d0", "c0", "e0"), Steps: append(cached("", false).Steps,
		Tool{Argv: []string{"@copy", "{d0}", "{e0}"}})}
)

// Bcaches are the layouts of this file.
var Bcaches = []Layout{BcachePlain, BcacheDirty, BcacheStack, BcacheTwice}
