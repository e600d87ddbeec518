package kmodtree

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"firstlight/internal/kmod"
)

// aliasTable finds the patterns that match a text. They are kept by what
// stands before their first wildcard: nearly all of those are long, so that
// only a few patterns are ever compared.
type aliasTable struct {
	byPrefix map[string][]aliasEntry
	lengths  []int // of the prefixes, sorted
	byModule map[string][]string
	rank     map[string]int // of modules, by their first alias
}

type aliasEntry struct {
	rest   string // the pattern from the first wildcard on
	module string
}

// readAliases reads modules.alias or modules.symbols; a missing file is an
// empty table.
func readAliases(file string) (*aliasTable, error) {
	t := newAliasTable()
	err := eachLine(file, func(n int, line string) error {
		cmd, rest := word(line)
		// The module is the last word: depmod writes patterns as they are,
		// with blanks in them if there are any.
		i := strings.LastIndexAny(rest, " \t")
		if cmd != "alias" || i < 0 {
			return fmt.Errorf("line %d: not an alias", n)
		}
		t.add(strings.TrimRight(rest[:i], " \t"), kmod.NormalizeName(rest[i+1:]))
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	t.finish()
	return t, nil
}

func newAliasTable() *aliasTable {
	return &aliasTable{byPrefix: map[string][]aliasEntry{}, byModule: map[string][]string{}, rank: map[string]int{}}
}

func (t *aliasTable) add(pattern, module string) {
	norm, err := kmod.NormalizeAlias(pattern)
	if err != nil {
		return // depmod does not index it either
	}
	if _, known := t.rank[module]; !known {
		t.rank[module] = len(t.rank)
	}
	t.byModule[module] = append(t.byModule[module], pattern)
	n := strings.IndexAny(norm, "*?[")
	if n < 0 {
		n = len(norm)
	}
	t.byPrefix[norm[:n]] = append(t.byPrefix[norm[:n]], aliasEntry{norm[n:], module})
}

func (t *aliasTable) finish() {
	seen := map[int]bool{}
	for p := range t.byPrefix {
		if !seen[len(p)] {
			seen[len(p)] = true
			t.lengths = append(t.lengths, len(p))
		}
	}
	slices.Sort(t.lengths)
}

// match returns the modules whose patterns match s, which is normalised, in
// the order of the file, each once.
func (t *aliasTable) match(s string) []string {
	var found []aliasEntry
	for _, n := range t.lengths {
		if n > len(s) {
			break
		}
		for _, e := range t.byPrefix[s[:n]] {
			if kmod.CompilePattern(e.rest).Match(s[n:]) {
				found = append(found, e)
			}
		}
	}
	slices.SortStableFunc(found, func(a, b aliasEntry) int { return t.rank[a.module] - t.rank[b.module] })
	var names []string
	for _, e := range found {
		if !slices.Contains(names, e.module) {
			names = append(names, e.module)
		}
	}
	return names
}

// Resolve returns the names of the modules that a name or an alias stands
// for, as modprobe --resolve-alias prints them: from the first of these that
// has an answer: aliases of the configuration, names of modules,
// modules.symbols (for "symbol:…"), modules.alias, names of built-in modules,
// aliases of built-in modules. Names from the configuration need not exist.
// The result is empty for an unknown alias and for unpaired brackets. Where
// modprobe knows only the built-in names of modules.builtin, those of
// modules.builtin.modinfo count here, too.
func (t *Tree) Resolve(alias string) ([]string, error) {
	names, _, err := t.resolve(alias)
	return names, err
}

// resolve says also whether alias is a module's own name.
func (t *Tree) resolve(alias string) (names []string, byName bool, err error) {
	norm, err := kmod.NormalizeAlias(alias)
	if err != nil {
		return nil, false, nil
	}
	for _, a := range t.config.aliases {
		if a.match.Match(norm) && !slices.Contains(names, a.module) {
			names = append(names, a.module)
		}
	}
	if len(names) > 0 {
		return names, false, nil
	}
	m := t.byName[norm]
	if m != nil && !m.Builtin {
		return []string{m.Name}, true, nil
	}
	if strings.HasPrefix(norm, "symbol:") {
		table, err := t.symbols()
		if err != nil {
			return nil, false, err
		}
		if names = table.match(norm); len(names) > 0 {
			return names, false, nil
		}
	}
	table, err := t.aliases()
	if err != nil {
		return nil, false, err
	}
	if names = table.match(norm); len(names) > 0 {
		return names, false, nil
	}
	if m != nil {
		return []string{m.Name}, true, nil
	}
	return t.builtinAliases.match(norm), false, nil
}

// Aliases returns the patterns of a module's own aliases, as they stand in
// modules.alias, or in modules.builtin.modinfo for a built-in module.
func (t *Tree) Aliases(m *Module) ([]string, error) {
	if m.Builtin {
		in, err := m.info()
		return slices.Clone(in.Aliases), err
	}
	table, err := t.aliases()
	if err != nil {
		return nil, err
	}
	return slices.Clone(table.byModule[m.Name]), nil
}
