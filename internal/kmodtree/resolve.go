package kmodtree

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"firstlight/internal/kmod"
)

// aliasTable finds the patterns that match a text. Nearly all of them begin with
// several bytes that are no wildcard; they lie in buckets by those, and a bucket is
// put in order when a text is first looked for in it: most of a kernel's aliases are
// of buses that nobody asks about.
type aliasTable struct {
	entries []aliasEntry // in the order of the file
	modules []aliasModule
	numbers map[string]int32 // of modules, by name
	runs    []aliasRun
	buckets map[[bucketBytes]byte]*aliasBucket
	short   []int32 // entries whose first wildcard comes earlier
}

const bucketBytes = 4

type aliasEntry struct {
	pattern string // as it stands in the file
	literal int32  // bytes before its first wildcard
	module  int32
}

// norm is the pattern, normalised.
func (e aliasEntry) norm() string {
	norm, _ := kmod.NormalizeAlias(e.pattern) // add has seen that it can be
	return norm
}

// aliasModule is a module with its aliases, which are runs of entries.
type aliasModule struct {
	name        string
	first, last int32 // runs
}

// aliasRun are entries of one module that follow each other; next is its next one,
// or -1.
type aliasRun struct{ from, to, next int32 }

type aliasBucket struct {
	entries  []int32
	once     sync.Once
	byPrefix map[string][]int32
	lengths  []int // of the prefixes, sorted
}

// readAliases reads modules.alias or modules.symbols; a missing file is an
// empty table.
func readAliases(file string) (*aliasTable, error) {
	t := newAliasTable()
	t.entries = make([]aliasEntry, 0, 32<<10) // a distribution's kernel has nearly as many
	err := eachLine(file, func(n int, line string) error {
		cmd, rest := word(line)
		// The module is the last word: depmod writes patterns as they are,
		// with blanks in them if there are any.
		i := strings.LastIndexAny(rest, " \t")
		if cmd != "alias" || i < 0 {
			return fmt.Errorf("line %d: not an alias", n)
		}
		t.add(trimRight(rest[:i]), rest[i+1:])
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return t, nil
}

func newAliasTable() *aliasTable {
	return &aliasTable{numbers: map[string]int32{}, buckets: map[[bucketBytes]byte]*aliasBucket{}}
}

func (t *aliasTable) add(pattern, module string) {
	norm, err := kmod.NormalizeAlias(pattern)
	if err != nil {
		return // depmod does not index it either
	}
	at := int32(len(t.entries))
	literal := 0
	for literal < len(norm) && norm[literal] != '*' && norm[literal] != '?' && norm[literal] != '[' {
		literal++
	}
	t.entries = append(t.entries, aliasEntry{pattern, int32(literal), t.count(module, at)})
	if literal < bucketBytes {
		t.short = append(t.short, at)
		return
	}
	key := [bucketBytes]byte([]byte(norm[:bucketBytes]))
	b := t.buckets[key]
	if b == nil {
		b = &aliasBucket{}
		t.buckets[key] = b
	}
	b.entries = append(b.entries, at)
}

// count adds an entry to those of its module, and returns the module's number.
func (t *aliasTable) count(module string, at int32) int32 {
	module = kmod.NormalizeName(module)
	if at > 0 {
		if m := &t.modules[t.entries[at-1].module]; m.name == module { // as nearly always
			t.runs[m.last].to++
			return t.entries[at-1].module
		}
	}
	run := int32(len(t.runs))
	t.runs = append(t.runs, aliasRun{at, at + 1, -1})
	if n, known := t.numbers[module]; known {
		t.runs[t.modules[n].last].next = run
		t.modules[n].last = run
		return n
	}
	n := int32(len(t.modules))
	t.numbers[module] = n
	t.modules = append(t.modules, aliasModule{module, run, run})
	return n
}

// patterns returns the aliases of a module, in the order of the file.
func (t *aliasTable) patterns(module string) []string {
	n, known := t.numbers[module]
	if !known {
		return nil
	}
	var out []string
	for r := t.modules[n].first; r >= 0; r = t.runs[r].next {
		for _, e := range t.entries[t.runs[r].from:t.runs[r].to] {
			out = append(out, e.pattern)
		}
	}
	return out
}

// bucket returns that of texts which begin as s does, in order, or nil.
func (t *aliasTable) bucket(s string) *aliasBucket {
	if len(s) < bucketBytes {
		return nil
	}
	b := t.buckets[[bucketBytes]byte([]byte(s[:bucketBytes]))]
	if b == nil {
		return nil
	}
	b.once.Do(func() {
		b.byPrefix = make(map[string][]int32, len(b.entries))
		seen := map[int32]bool{}
		for _, i := range b.entries {
			e := &t.entries[i]
			p := e.norm()[:e.literal]
			b.byPrefix[p] = append(b.byPrefix[p], i)
			if !seen[e.literal] {
				seen[e.literal] = true
				b.lengths = append(b.lengths, int(e.literal))
			}
		}
		slices.Sort(b.lengths)
	})
	return b
}

// match returns the modules whose patterns match s, which is normalised, in
// the order of the file, each once.
func (t *aliasTable) match(s string) []string {
	var found []int32 // modules; their numbers are in the order of the file
	try := func(list []int32) {
		for _, i := range list {
			e := t.entries[i]
			norm := e.norm()
			if rest, ok := strings.CutPrefix(s, norm[:e.literal]); ok && kmod.CompilePattern(norm[e.literal:]).Match(rest) {
				found = append(found, e.module)
			}
		}
	}
	try(t.short)
	if b := t.bucket(s); b != nil {
		for _, n := range b.lengths {
			if n > len(s) {
				break
			}
			try(b.byPrefix[s[:n]])
		}
	}
	slices.Sort(found)
	var names []string
	for _, m := range slices.Compact(found) {
		names = append(names, t.modules[m].name)
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
	return table.patterns(m.Name), nil
}
