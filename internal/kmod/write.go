package kmod

import (
	"cmp"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"slices"
	"strings"

	"firstlight/internal/fmt"
)

// ErrTooBig is returned for a table that exceeds the limits of its format.
var ErrTooBig = errors.New("too big for the module index")

// WriteIndex writes the table of src for OpenIndex. The same source gives the
// same bytes. It fails if a name occurs twice, a module needs one that is not
// in the source, dependencies form a circle, or a string or list exceeds what
// the format holds (65535 bytes or entries, 64 MiB in all).
func WriteIndex(w io.Writer, src Source) error {
	wr := writer{strings: map[string]uint32{}}
	if err := wr.index(src); err != nil {
		return fmt.Errorf("kmod: write index: %w", err)
	}
	if _, err := w.Write(wr.assemble()); err != nil {
		return fmt.Errorf("kmod: write index: %w", err)
	}
	return nil
}

type writer struct {
	modules []SourceModule
	real    int // number of modules that are not built in
	id      map[string]ModuleID
	roots   [3]uint32

	strings map[string]uint32
	pool    []byte
	records []byte
	names   []uint32
	lists   []uint32
	nodes   []byte
	values  []uint32
	targets []uint32
	options []byte
}

func (w *writer) index(src Source) error {
	w.modules = slices.Clone(src.Modules)
	slices.SortStableFunc(w.modules, func(a, b SourceModule) int {
		return cmp.Compare(btoi(a.Builtin), btoi(b.Builtin))
	})
	if len(w.modules) > math.MaxUint16 {
		return fmt.Errorf("%d modules: %w", len(w.modules), ErrTooBig)
	}
	w.id = make(map[string]ModuleID, len(w.modules))
	for i := range w.modules {
		m := &w.modules[i]
		m.Name = NormalizeName(m.Name)
		if _, twice := w.id[m.Name]; twice {
			return fmt.Errorf("module %s: there twice", m.Name)
		}
		if m.Name == "" || !m.Builtin && m.Path == "" {
			return fmt.Errorf("module %q: no name or no path", m.Name)
		}
		w.id[m.Name] = ModuleID(i)
		if !m.Builtin {
			w.real++
		}
	}
	deps, err := w.reduceDeps()
	if err != nil {
		return err
	}
	if err := w.writeTrees(src); err != nil {
		return err
	}
	if err := w.writeModules(deps); err != nil {
		return err
	}
	return w.writeOptions(src.Options)
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// reduceDeps returns each module's direct dependencies: those that no other
// dependency brings along. Needless edges would only cost space.
func (w *writer) reduceDeps() ([][]ModuleID, error) {
	direct := make([][]ModuleID, len(w.modules))
	all := make([]map[ModuleID]bool, len(w.modules))
	busy := make([]bool, len(w.modules))
	var visit func(id ModuleID) error
	visit = func(id ModuleID) error {
		m := &w.modules[id]
		if all[id] != nil {
			return nil
		}
		if busy[id] {
			return fmt.Errorf("module %s: needs itself", m.Name)
		}
		busy[id] = true
		closure := map[ModuleID]bool{}
		var deps []ModuleID
		for _, name := range m.Deps {
			dep, ok := w.id[NormalizeName(name)]
			if !ok {
				return fmt.Errorf("module %s: needs %s, which is not in the index", m.Name, name)
			}
			if w.modules[dep].Builtin || slices.Contains(deps, dep) {
				continue
			}
			if err := visit(dep); err != nil {
				return err
			}
			for d := range all[dep] {
				closure[d] = true
			}
			deps = append(deps, dep)
		}
		deps = slices.DeleteFunc(deps, func(d ModuleID) bool { return closure[d] })
		for _, d := range deps {
			closure[d] = true
		}
		direct[id], all[id] = deps, closure
		return nil
	}
	for id := range w.modules {
		if err := visit(ModuleID(id)); err != nil {
			return nil, err
		}
	}
	return direct, nil
}

func (w *writer) writeModules(deps [][]ModuleID) error {
	for i := range w.modules {
		m := &w.modules[i]
		start := len(w.lists)
		for _, d := range deps[i] {
			w.lists = append(w.lists, uint32(d))
		}
		pre, post := w.present(m.Pre, ModuleID(i)), w.present(m.Post, ModuleID(i))
		w.lists = append(append(w.lists, pre...), post...)
		if len(w.lists)-start > math.MaxUint16 || len(m.Name) > math.MaxUint16 || len(m.Path) > math.MaxUint16 {
			return fmt.Errorf("module %s: %w", m.Name, ErrTooBig)
		}
		var flags uint16
		if m.Blacklisted {
			flags |= flagBlacklisted
		}
		if m.Builtin {
			flags |= flagBuiltin
		}
		r := w.records
		r = le.AppendUint32(r, w.str(m.Name))
		r = le.AppendUint32(r, w.str(m.Path))
		r = le.AppendUint32(r, uint32(start))
		r = le.AppendUint16(r, uint16(len(m.Name)))
		r = le.AppendUint16(r, uint16(len(m.Path)))
		r = le.AppendUint16(r, uint16(len(deps[i])))
		r = le.AppendUint16(r, uint16(len(pre)))
		r = le.AppendUint16(r, uint16(len(post)))
		w.records = le.AppendUint16(r, flags)
		w.names = append(w.names, uint32(i))
	}
	slices.SortFunc(w.names, func(a, b uint32) int { return cmp.Compare(w.modules[a].Name, w.modules[b].Name) })
	return nil
}

// present returns the loadable modules among names, each once, without self.
func (w *writer) present(names []string, self ModuleID) []uint32 {
	var ids []uint32
	for _, name := range names {
		id, ok := w.id[NormalizeName(name)]
		if ok && id != self && !w.modules[id].Builtin && !slices.Contains(ids, uint32(id)) {
			ids = append(ids, uint32(id))
		}
	}
	return ids
}

func (w *writer) writeOptions(options []SourceOption) error {
	joined := map[string]string{}
	for _, o := range options {
		name, err := NormalizeAlias(o.Name)
		if err != nil {
			return fmt.Errorf("options for %s: %w", o.Name, err)
		}
		if o.Options = strings.Join(strings.FieldsFunc(o.Options, isBlank), " "); o.Options == "" {
			continue
		}
		if joined[name] != "" {
			o.Options = joined[name] + " " + o.Options
		}
		joined[name] = o.Options
	}
	names := make([]string, 0, len(joined))
	for name := range joined {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, s := range [...]string{name, joined[name]} {
			w.options = le.AppendUint32(w.options, w.str(s))
			w.options = le.AppendUint32(w.options, uint32(len(s)))
		}
	}
	return nil
}

func isBlank(r rune) bool { return r == ' ' || r == '\t' || r == '\n' }

// str puts s into the pool of strings and returns its offset there.
func (w *writer) str(s string) uint32 {
	if off, ok := w.strings[s]; ok {
		return off
	}
	off := uint32(len(w.pool))
	w.strings[s] = off
	w.pool = append(w.pool, s...)
	return off
}

func (w *writer) assemble() []byte {
	out := make([]byte, headerSize)
	copy(out, magic)
	le.PutUint32(out[8:], version)
	le.PutUint32(out[24:], uint32(len(w.modules)))
	le.PutUint32(out[28:], uint32(w.real))
	for i, r := range w.roots {
		le.PutUint32(out[32+4*i:], r)
	}
	for i, s := range [sections][]byte{
		secStrings: w.pool,
		secModules: w.records,
		secNames:   u32s(w.names),
		secLists:   u32s(w.lists),
		secNodes:   w.nodes,
		secValues:  u32s(w.values),
		secTargets: u32s(w.targets),
		secOptions: w.options,
	} {
		for len(out)%8 != 0 {
			out = append(out, 0)
		}
		le.PutUint32(out[44+8*i:], uint32(len(out)))
		le.PutUint32(out[48+8*i:], uint32(len(s)))
		out = append(out, s...)
	}
	for len(out)%8 != 0 {
		out = append(out, 0)
	}
	le.PutUint32(out[12:], uint32(len(out)))
	le.PutUint64(out[16:], checksum(out[24:]))
	return out
}

var le = binary.LittleEndian

func u32s(v []uint32) []byte {
	b := make([]byte, 0, 4*len(v))
	for _, x := range v {
		b = le.AppendUint32(b, x)
	}
	return b
}
