package bootcmd

import "strings"

// Rare is what the command line says of storage that few machines have. It is
// not a part of Config, so that the small /init, which does not have that
// storage, need not read it.
type Rare struct {
	Bcache    Bcache
	Multipath Multipath
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
}

// ReadRare reads the parameters of a configuration that are about storage that
// few machines have, with what is wrong with those whose names begin with
// prefix.
func ReadRare(c *Config, prefix string) (Rare, []Problem) {
	p := &parser{reported: map[string]bool{}, c: &Config{}}
	r := Rare{Bcache: Bcache{Enabled: true, Degraded: Degraded{Wait: unset}}}
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
	if r.Bcache.Degraded.Wait == unset {
		r.Bcache.Degraded.Wait = c.Wait.Degraded
	}
	var problems []Problem
	for _, problem := range p.problems {
		if strings.HasPrefix(problem.Param, prefix) {
			problems = append(problems, problem)
		}
	}
	return r, problems
}
