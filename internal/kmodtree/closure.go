package kmodtree

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"firstlight/internal/kmod"
)

// Closure returns everything to load for the named modules or aliases, in an
// order in which it can be loaded: dependencies and soft dependencies, before
// and after, as modprobe --show-depends lists them, and after all of these
// the weak dependencies with what they need in turn. Built-in modules are
// left out. It fails with ErrUnknown for a name that stands for nothing or,
// by the configuration, for a module that does not exist; soft and weak
// dependencies may be unknown.
func (t *Tree) Closure(names []string) ([]*Module, error) {
	c := closure{tree: t, listed: map[*Module]bool{}}
	for _, name := range names {
		resolved, err := t.Resolve(name)
		if err != nil {
			return nil, err
		}
		if len(resolved) == 0 {
			return nil, fmt.Errorf("kernel module %s: %w", name, ErrUnknown)
		}
		for _, r := range resolved {
			m := t.byName[r]
			if m == nil {
				return nil, fmt.Errorf("kernel module %s (for %s): %w", r, name, ErrUnknown)
			}
			if err := c.probe(m); err != nil {
				return nil, err
			}
		}
	}
	// The list grows while it is read.
	for i := 0; i < len(c.list); i++ {
		for _, name := range t.config.weakdepsOf(c.list[i].Name) {
			mods, err := t.soft([]string{name})
			if err != nil {
				return nil, err
			}
			for _, m := range mods {
				if err := c.probe(m); err != nil {
					return nil, err
				}
			}
		}
	}
	return c.list, nil
}

type closure struct {
	tree    *Tree
	list    []*Module
	listed  map[*Module]bool
	visited map[*Module]bool // in the current call of probe
}

// probe appends what modprobe would load for m.
func (c *closure) probe(m *Module) error {
	c.visited = map[*Module]bool{}
	return c.visit(m)
}

func (c *closure) visit(m *Module) error {
	if c.visited[m] || m.Builtin {
		return nil
	}
	c.visited[m] = true
	deps, err := c.tree.Deps(m)
	if err != nil {
		return err
	}
	for _, d := range append(deps, m) {
		if err := c.withSoft(d); err != nil {
			return err
		}
	}
	return nil
}

// withSoft appends m between its soft dependencies.
func (c *closure) withSoft(m *Module) error {
	pre, post, err := c.tree.Soft(m)
	if err != nil {
		return err
	}
	for _, d := range pre {
		if err := c.visit(d); err != nil {
			return err
		}
	}
	if !c.listed[m] {
		c.listed[m] = true
		c.list = append(c.list, m)
	}
	for _, d := range post {
		if err := c.visit(d); err != nil {
			return err
		}
	}
	return nil
}

// Deps returns the modules that must be loaded before m, all of them, in the
// order of loading.
func (t *Tree) Deps(m *Module) ([]*Module, error) {
	files := strings.Fields(m.deps)
	deps := make([]*Module, 0, len(files)+1)
	for _, file := range slices.Backward(files) {
		d := t.byName[moduleName(file)]
		if d == nil {
			return nil, fmt.Errorf("kernel module %s: needs %s, which modules.dep does not list: %w", m.Name, file, ErrUnknown)
		}
		deps = append(deps, d)
	}
	return deps, nil
}

// Soft returns the modules that are to be loaded before and after m if they
// exist, aliases resolved.
func (t *Tree) Soft(m *Module) (pre, post []*Module, err error) {
	preNames, postNames := t.config.softdepsOf(m.Name)
	if pre, err = t.soft(preNames); err != nil {
		return nil, nil, err
	}
	post, err = t.soft(postNames)
	return pre, post, err
}

// Weak returns the modules that m may ask for once it runs, as far as they
// exist, aliases resolved.
func (t *Tree) Weak(m *Module) ([]*Module, error) { return t.soft(t.config.weakdepsOf(m.Name)) }

func (t *Tree) soft(names []string) ([]*Module, error) {
	var mods []*Module
	for _, name := range names {
		resolved, err := t.Resolve(name)
		if err != nil {
			return nil, err
		}
		for _, r := range resolved {
			if m := t.byName[r]; m != nil && !slices.Contains(mods, m) {
				mods = append(mods, m)
			}
		}
	}
	return mods, nil
}

// Source returns what kmod.WriteIndex needs for an image that holds the given
// modules: pathOf gives each one's file in the image. All built-in modules
// are in it, and the whole configuration that concerns what is in it.
// Modules that a module needs must be given, too: see Closure.
func (t *Tree) Source(mods []*Module, pathOf func(*Module) string) (kmod.Source, error) {
	table, err := t.aliases()
	if err != nil {
		return kmod.Source{}, err
	}
	rank := func(m *Module) int {
		// modules.alias decides; modules without an alias are in no match.
		if n, ok := table.numbers[m.Name]; ok {
			return int(n)
		}
		return m.place + len(table.modules)
	}
	files := make([]*Module, 0, len(mods))
	for _, m := range mods {
		if !m.Builtin && !slices.Contains(files, m) {
			files = append(files, m)
		}
	}
	slices.SortFunc(files, func(a, b *Module) int { return cmp.Compare(rank(a), rank(b)) })
	var src kmod.Source
	for _, m := range files {
		sm, err := t.sourceModule(m)
		if err != nil {
			return kmod.Source{}, err
		}
		sm.Path = pathOf(m)
		src.Modules = append(src.Modules, sm)
	}
	for _, m := range t.builtin {
		aliases, err := t.Aliases(m)
		if err != nil {
			return kmod.Source{}, err
		}
		src.Modules = append(src.Modules, kmod.SourceModule{
			Name: m.Name, Aliases: aliases, Builtin: true, Blacklisted: t.config.blacklist[m.Name]})
	}
	for _, a := range t.config.aliases {
		src.Aliases = append(src.Aliases, kmod.SourceAlias{Pattern: a.pattern, Module: a.module})
	}
	src.Options = slices.Clone(t.config.options)
	return src, nil
}

func (t *Tree) sourceModule(m *Module) (kmod.SourceModule, error) {
	sm := kmod.SourceModule{Name: m.Name, Blacklisted: t.config.blacklist[m.Name]}
	deps, err := t.Deps(m)
	if err != nil {
		return sm, err
	}
	pre, post, err := t.Soft(m)
	if err != nil {
		return sm, err
	}
	sm.Deps, sm.Pre, sm.Post = names(deps), names(pre), names(post)
	sm.Aliases, err = t.Aliases(m)
	return sm, err
}

func names(mods []*Module) []string {
	var s []string
	for _, m := range mods {
		s = append(s, m.Name)
	}
	return s
}
