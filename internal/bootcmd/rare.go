package bootcmd

import (
	"strconv"
	"strings"
)

// Rare is what the command line says of storage that few machines have. It is
// not a part of Config, so that the small /init, which does not have that
// storage, need not read it.
type Rare struct {
	Bcache    Bcache
	Multipath Multipath
	ZFS       ZFS
}

// ZFS is a root in a pool.
type ZFS struct {
	Enabled bool
	// Degraded is what becomes of a pool that lacks a device and can do without.
	Degraded Degraded
	// Force imports a pool that another machine may be using.
	Force bool
	// HostID is who this machine is to ZFS, in hexadecimal; "" is what the image
	// has.
	HostID string
	// Pool and Dataset are where the root is, where root= does not say so.
	Pool, Dataset string
	// Rollback returns the root to a snapshot, which RollbackTo names where the
	// root does not. Snapshot makes one before the root is mounted, with the name
	// SnapshotAs or that of the kernel's release.
	Rollback, Snapshot     bool
	RollbackTo, SnapshotAs string
}

// Bcache is disks with caches.
type Bcache struct {
	Enabled bool
	// Degraded is what becomes of a disk whose cache is missing and has nothing
	// that it lacks.
	Degraded Degraded
}

// Multipath is disks that are reached on several ways.
type Multipath struct {
	// Mode is what rd.multipath= says.
	Mode MultipathMode
}

// MultipathMode says which disks are used by all their paths.
type MultipathMode uint8

// The modes of rd.multipath=.
const (
	MultipathConfigured MultipathMode = iota // those that the image lists
	MultipathOff                             // none
	MultipathDefault                         // as if the configuration said nothing
)

// rare is the table of these parameters. Their names are among those that are
// somebody else's to the other parser.
var rare = [...]struct {
	name string
	set  func(p *parser, r *Rare)
}{
	{"rd.bcache", func(p *parser, r *Rare) { p.bool(&r.Bcache.Enabled) }},
	{"rd.bcache.degraded", func(p *parser, r *Rare) { p.degraded(&r.Bcache.Degraded) }},
	{"rd.multipath", func(p *parser, r *Rare) {
		if p.arg.Value == "default" {
			r.Multipath.Mode = MultipathDefault
			return
		}
		on := true
		if p.bool(&on); !on {
			r.Multipath.Mode = MultipathOff
		} else {
			r.Multipath.Mode = MultipathConfigured
		}
	}},
	{"multipath", func(p *parser, r *Rare) {
		if p.arg.Value == "off" {
			r.Multipath.Mode = MultipathOff
		}
	}},
	{"nompath", func(p *parser, r *Rare) { r.Multipath.Mode = MultipathOff }},
	{"rd.zfs", func(p *parser, r *Rare) { p.bool(&r.ZFS.Enabled) }},
	{"rd.zfs.degraded", func(p *parser, r *Rare) { p.degraded(&r.ZFS.Degraded) }},
	{"zfs_force", func(p *parser, r *Rare) { p.bool(&r.ZFS.Force) }},
	{"zfs.force", func(p *parser, r *Rare) { p.bool(&r.ZFS.Force) }},
	{"zfsforce", func(p *parser, r *Rare) { p.bool(&r.ZFS.Force) }},
	{"spl_hostid", func(p *parser, r *Rare) { p.hostID(&r.ZFS.HostID) }},
	{"spl.spl_hostid", func(p *parser, r *Rare) { p.hostID(&r.ZFS.HostID) }},
	{"rpool", func(p *parser, r *Rare) { p.text(&r.ZFS.Pool) }},
	{"bootfs", func(p *parser, r *Rare) { p.text(&r.ZFS.Dataset) }},
	{"rollback", func(p *parser, r *Rare) { p.bool(&r.ZFS.Rollback) }},
	{"bootfs.rollback", func(p *parser, r *Rare) { r.ZFS.Rollback, r.ZFS.RollbackTo = true, p.arg.Value }},
	{"bootfs.snapshot", func(p *parser, r *Rare) { r.ZFS.Snapshot, r.ZFS.SnapshotAs = true, p.arg.Value }},
}

// hostID reads a number of 32 bits, in hexadecimal as hostid(1) has it or with
// 0x, or in decimal where it is a module's parameter.
func (p *parser) hostID(dst *string) {
	v, ok := p.value()
	if !ok {
		return
	}
	base := 16
	if hex, prefixed := strings.CutPrefix(v, "0x"); prefixed {
		v = hex
	} else if strings.Contains(p.arg.Name, ".") {
		base = 10
	}
	n, err := strconv.ParseUint(v, base, 32)
	if err != nil {
		p.malformed("not a host id, which has up to eight hexadecimal digits")
		return
	}
	*dst = strconv.FormatUint(n, 16)
}

// ReadRare reads the parameters of a configuration that are about storage that
// few machines have, with what is wrong with those whose names begin with
// prefix.
func ReadRare(c *Config, prefix string) (Rare, []Problem) {
	p := &parser{reported: map[string]bool{}, c: &Config{}}
	r := Rare{Bcache: Bcache{Enabled: true, Degraded: Degraded{Wait: unset}}, ZFS: ZFS{Enabled: true, Degraded: Degraded{Wait: unset}}}
	for _, arg := range c.Params {
		if arg.Name == "--" && !arg.HasValue {
			break
		}
		p.arg = arg
		name := arg.Name
		if sameName(name, "rd_NO_MULTIPATH") {
			if name = "rd.multipath"; !p.oldSwitch("0") {
				continue
			}
		}
		for i := range rare {
			if sameName(rare[i].name, name) {
				p.known = rare[i].name
				rare[i].set(p, &r)
			}
		}
	}
	for _, d := range [...]*Degraded{&r.Bcache.Degraded, &r.ZFS.Degraded} {
		if d.Wait == unset {
			d.Wait = c.Wait.Degraded
		}
	}
	var problems []Problem
	for _, problem := range p.problems {
		if strings.HasPrefix(problem.Param, prefix) {
			problems = append(problems, problem)
		}
	}
	return r, problems
}
