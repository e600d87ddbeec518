package kmod

import (
	"errors"
	"slices"

	"firstlight/internal/fmt"
)

// ErrUnknown is returned for a name that is neither a module nor an alias.
var ErrUnknown = errors.New("no such module or alias")

// Config is what the kernel command line says about modules. The zero value
// says nothing. Names may be spelled with '-' or '_'.
type Config struct {
	// Blacklist holds modules that are not loaded for an alias
	// (modprobe.blacklist=). By name and as dependencies of others they are.
	Blacklist []string
	// Deny holds modules that are never loaded, by alias, by name or as
	// dependencies (rd.driver.blacklist=, module_blacklist=); nor are those
	// that cannot do without them.
	Deny []string
	// Names makes blacklists hold for requests by name, too, as modprobe -b
	// and udev do.
	Names bool
	// Params holds module.param=value by the normalised name of the module:
	// "param=value", several separated by spaces. It comes after what
	// modprobe.d says; the kernel lets the last one win. See AddParam.
	Params map[string]string
}

// AddParam adds a parameter of a module, "param=value" or "param".
func (c *Config) AddParam(module, param string) {
	if c.Params == nil {
		c.Params = map[string]string{}
	}
	module = NormalizeName(module)
	c.Params[module] = join(c.Params[module], param)
}

// Step is one module to load.
type Step struct {
	ID   ModuleID
	Name string
	// Path is the module's file in the image.
	Path string
	// Params is the text to give to finit_module(2).
	Params string
	// Needs holds the steps, as indices into Plan.Steps, that must have
	// succeeded before this one.
	Needs []int
	// After holds the steps that must have ended before this one, well or not.
	After []int
	// Soft says that nothing that was asked for needs the module: it is a
	// soft dependency, whose failure is passed over.
	Soft bool
}

// Plan is what to load. A step waits only for steps before it, so that
// loading them one after the other is right as well.
type Plan struct {
	Steps []Step
	// Want holds the steps of the modules that were asked for themselves.
	Want []int
	// Any says that one of Want is enough: they all stand for one alias.
	Any bool
	// Builtin says that something that was asked for is built in.
	Builtin bool
	Skipped []Skip
}

// Skip says why a module that matched or is wanted by another is not loaded.
type Skip struct {
	Name string
	// Reason is for people: "blacklisted", "denied", "needs dm_mod, which is denied".
	Reason string
}

// Plan returns the steps to load modules that were asked for by name.
func (ix *Index) Plan(ids []ModuleID, cfg Config) Plan {
	return ix.plan(ids, "", !cfg.Names, cfg)
}

// PlanFor returns the steps to load what a name or an alias stands for, see
// Match. Built-in modules need no step: the plan may be empty. It fails with
// ErrUnknown if there is nothing of that name.
func (ix *Index) PlanFor(nameOrAlias string, cfg Config) (Plan, error) {
	var buf [8]ModuleID
	ids, byName := ix.AppendMatch(buf[:0], nameOrAlias)
	if len(ids) == 0 {
		return Plan{}, fmt.Errorf("kmod: %s: %w", nameOrAlias, ErrUnknown)
	}
	alias := ""
	if !byName {
		alias, _ = NormalizeAlias(nameOrAlias) // AppendMatch has found it good
	}
	plan := ix.plan(ids, alias, byName && !cfg.Names, cfg)
	plan.Any = true
	return plan, nil
}

func (ix *Index) plan(ids []ModuleID, alias string, listed bool, cfg Config) Plan {
	p := planner{ix: ix, cfg: cfg}
	for _, id := range ids {
		if !listed && (ix.Blacklisted(id) || has(cfg.Blacklist, ix.Name(id))) {
			p.skip(id, "blacklisted")
			continue
		}
		step, ok := p.visit(id)
		for len(p.later) > 0 {
			soft := p.later[0]
			p.later = p.later[1:]
			p.visit(soft)
		}
		switch {
		case !ok:
			continue
		case step < 0:
			p.plan.Builtin = true
			continue
		}
		p.plan.Want = append(p.plan.Want, step)
		if alias == "" {
			continue
		}
		if o := ix.Options(alias); o != "" {
			// As if the line for the alias stood after those for the name.
			s := &p.plan.Steps[step]
			s.Params = join(join(ix.Options(s.Name), o), cfg.Params[s.Name])
		}
	}
	for _, want := range p.plan.Want {
		p.plan.Steps[want].Soft = false
	}
	for _, s := range slices.Backward(p.plan.Steps) {
		if !s.Soft {
			for _, need := range s.Needs {
				p.plan.Steps[need].Soft = false
			}
		}
	}
	return p.plan
}

type planner struct {
	ix   *Index
	cfg  Config
	plan Plan
	seen []seen
	// clean are modules that nothing denied is needed for.
	clean []ModuleID
	// later are soft dependencies that need a module which is being planned.
	later []ModuleID
}

type seen struct {
	id   ModuleID
	step int // or busy, or failed
}

const (
	builtin = -1
	busy    = -2
	failed  = -3
)

// visit plans a module and all it wants. It returns its step, or a negative
// number if there is none to wait for; ok is false if it must not be loaded.
func (p *planner) visit(id ModuleID) (step int, ok bool) {
	if p.ix.Builtin(id) {
		return builtin, true
	}
	for _, s := range p.seen {
		if s.id == id {
			return s.step, s.step != failed
		}
	}
	mark := len(p.seen)
	p.seen = append(p.seen, seen{id, busy})
	if reason := p.denied(id); reason != "" {
		p.seen[mark].step = failed
		p.skip(id, reason)
		return failed, false
	}
	var needs, after []int
	for _, dep := range p.ix.Deps(id) {
		if s, _ := p.visit(dep); s >= 0 {
			needs = append(needs, s)
		}
	}
	for _, dep := range p.ix.SoftPre(id) {
		// A circle of soft dependencies is cut where it closes.
		if s, _ := p.soft(dep); s >= 0 && !slices.Contains(needs, s) {
			after = append(after, s)
		}
	}
	name := p.ix.Name(id)
	step = len(p.plan.Steps)
	p.plan.Steps = append(p.plan.Steps, Step{
		ID: id, Name: name, Path: p.ix.Path(id),
		Params: join(p.ix.Options(name), p.cfg.Params[name]),
		Needs:  needs, After: after, Soft: true,
	})
	p.seen[mark].step = step
	for _, dep := range p.ix.SoftPost(id) {
		// One that is before this module already stays there.
		if s, _ := p.soft(dep); s > step {
			later := &p.plan.Steps[s]
			if !slices.Contains(later.Needs, step) && !slices.Contains(later.After, step) {
				later.After = append(later.After, step)
			}
		}
	}
	return step, true
}

// soft visits a soft dependency, or puts it off if it needs a module that is
// not planned yet because it waits for this answer.
func (p *planner) soft(id ModuleID) (step int, ok bool) {
	var checked []ModuleID
	if p.needsBusy(id, &checked) {
		p.later = append(p.later, id)
		return busy, true
	}
	return p.visit(id)
}

func (p *planner) needsBusy(id ModuleID, checked *[]ModuleID) bool {
	for _, dep := range p.ix.Deps(id) {
		if slices.Contains(p.seen, seen{dep, busy}) {
			return true
		}
		if slices.Contains(*checked, dep) {
			continue
		}
		*checked = append(*checked, dep)
		if p.needsBusy(dep, checked) {
			return true
		}
	}
	return false
}

// denied says why a module must not be loaded, or "".
func (p *planner) denied(id ModuleID) string {
	if len(p.cfg.Deny) == 0 || slices.Contains(p.clean, id) {
		return ""
	}
	p.clean = append(p.clean, id) // also ends a circle in a damaged table
	reason := ""
	if has(p.cfg.Deny, p.ix.Name(id)) {
		reason = "denied"
	}
	for _, dep := range p.ix.Deps(id) {
		if reason != "" {
			break
		}
		if r := p.denied(dep); r != "" {
			reason = "needs " + p.ix.Name(dep) + ", which " + verb(r)
		}
	}
	if reason != "" {
		p.clean = slices.DeleteFunc(p.clean, func(c ModuleID) bool { return c == id })
	}
	return reason
}

func verb(reason string) string {
	if reason == "denied" {
		return "is denied"
	}
	return reason
}

func (p *planner) skip(id ModuleID, reason string) {
	p.plan.Skipped = append(p.plan.Skipped, Skip{p.ix.Name(id), reason})
}

// has says whether names, normalised or not, hold a normalised name.
func has(names []string, name string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return compareName(name, n) == 0 })
}

func join(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + " " + b
}
