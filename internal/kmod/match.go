package kmod

import (
	"slices"
	"strings"
)

// Match returns the modules that an alias stands for: the modalias of a
// device ("pci:v00001AF4d00001042…"), a name the kernel asks for
// ("fs-ext4"), or a module's own name. The first of these sources that has an
// answer decides, as in modprobe(8): the aliases of modprobe.d, the names of
// modules, the modules' own aliases, the names of built-in modules, their
// aliases. The modules come in the order of loading, each once.
//
// Nothing is returned for an unknown alias, one with unpaired brackets, and
// one that modprobe.d leads to a name that is not in the table.
func (ix *Index) Match(alias string) []ModuleID {
	ids, _ := ix.AppendMatch(nil, alias)
	return ids
}

// AppendMatch appends to ids what Match returns. byName says that alias is
// the name of a module, so that blacklists do not apply to it.
func (ix *Index) AppendMatch(ids []ModuleID, alias string) (_ []ModuleID, byName bool) {
	alias, err := NormalizeAlias(alias)
	if err != nil {
		return ids, false
	}
	var buf [16]uint32
	if found := ix.walk(treeConfig, alias, buf[:0]); len(found) > 0 {
		start := len(ids)
		for _, f := range found {
			if 4*uint64(f)+4 > uint64(len(ix.targets)) {
				continue
			}
			id := ModuleID(le.Uint32(ix.targets[4*f:]))
			if uint32(id) < ix.count && !slices.Contains(ids[start:], id) {
				ids = append(ids, id)
			}
		}
		return ids, false
	}
	id, named := ModuleID(0), false
	if strings.IndexByte(alias, ':') < 0 {
		id, named = ix.Lookup(alias)
	}
	if named && uint32(id) < ix.real {
		return append(ids, id), true
	}
	if found := ix.walk(treeModules, alias, buf[:0]); len(found) > 0 {
		return appendIDs(ids, found, ix.count), false
	}
	if named {
		return append(ids, id), true
	}
	return appendIDs(ids, ix.walk(treeBuiltin, alias, buf[:0]), ix.count), false
}

func appendIDs(ids []ModuleID, found []uint32, count uint32) []ModuleID {
	for _, f := range found {
		if f < count {
			ids = append(ids, ModuleID(f))
		}
	}
	return ids
}

// walk appends the values of all patterns of a tree that match s to found,
// sorted and each once.
func (ix *Index) walk(tree int, s string, found []uint32) []uint32 {
	var stars [24]uint64
	w := walker{ix: ix, found: found, stars: stars[:0], budget: (len(s) + 1) * (len(ix.nodes) / nodeSize)}
	w.enter(ix.roots[tree], s)
	return w.found
}

// walker is one search in a tree.
//
// A '*' is tried at every place of the text, but each '*' of the tree once:
// the tokens between two of them take one byte each, so that the first time
// the second one is reached is the earliest place it can start from, and
// whatever follows a later place follows this one, too. That bounds a search
// by the size of the tree times the length of the text, whatever the device
// says.
type walker struct {
	ix    *Index
	found []uint32
	stars []uint64 // those that have been entered: node and place in its label
	depth int
	// budget is how many nodes may still be entered. In a good table each is
	// entered at most once for each place of the text.
	budget int
}

// maxDepth bounds the nodes on one way down. A pattern of maxAlias bytes
// cannot have more; only a damaged table can.
const maxDepth = maxAlias + 1

type nodeRef struct {
	id       uint32
	label    string
	child    uint32
	children uint32
	value    uint32
	end      uint32 // of the values
}

// node reads a node; ok is false for the one that ends the section and beyond.
func (ix *Index) node(id uint32) (n nodeRef, ok bool) {
	if uint64(id)*nodeSize+2*nodeSize > uint64(len(ix.nodes)) {
		return nodeRef{}, false
	}
	b := ix.nodes[id*nodeSize:]
	b = b[:2*nodeSize]
	return nodeRef{
		id:       id,
		label:    ix.str(le.Uint32(b), uint32(le.Uint16(b[4:]))),
		children: uint32(le.Uint16(b[6:])),
		child:    le.Uint32(b[8:]),
		value:    le.Uint32(b[12:]),
		end:      le.Uint32(b[28:]),
	}, true
}

// first returns the first byte of a node's label, or 0.
func (ix *Index) first(id uint32) byte {
	if uint64(id)*nodeSize+nodeSize > uint64(len(ix.nodes)) {
		return 0
	}
	if off := le.Uint32(ix.nodes[id*nodeSize:]); uint64(off) < uint64(len(ix.pool)) {
		return ix.pool[off]
	}
	return 0
}

// enter matches the node's label and all below it against s.
func (w *walker) enter(id uint32, s string) {
	n, ok := w.ix.node(id)
	if w.budget--; !ok || w.depth >= maxDepth || w.budget < 0 {
		return
	}
	if n.children == 0 {
		if matchCode(n.label, s) {
			w.emit(n)
		}
		return
	}
	w.depth++
	w.run(n, n.label, s)
	w.depth--
}

// run matches code, the rest of n's label, and all below n against s.
func (w *walker) run(n nodeRef, code, s string) {
	for code != "" {
		if code[0] == '*' {
			w.star(n, code[1:], s)
			return
		}
		if s == "" || !matchOne(code, s[0]) {
			return
		}
		size := tokenLen(code)
		if size > len(code) {
			return
		}
		code, s = code[size:], s[1:]
	}
	if s == "" {
		w.emit(n)
	}
	w.children(n, s)
}

// star matches what follows a '*' of n's label at every place of s.
func (w *walker) star(n nodeRef, code, s string) {
	key := uint64(n.id)<<32 | uint64(len(code))
	if slices.Contains(w.stars, key) {
		return
	}
	w.stars = append(w.stars, key)
	if code == "" {
		w.emit(n)
		for ; s != ""; s = s[1:] {
			w.children(n, s)
		}
		return
	}
	for ; s != ""; s = s[1:] {
		if c := code[0]; c != '?' && c != '[' && c != '\\' {
			i := strings.IndexByte(s, c)
			if i < 0 {
				return
			}
			s = s[i:]
		}
		w.run(n, code, s)
	}
}

// children enters those children of n that can match at the start of s.
func (w *walker) children(n nodeRef, s string) {
	if n.child <= n.id || uint64(n.child)+uint64(n.children) > uint64(len(w.ix.nodes)/nodeSize) {
		return
	}
	if s == "" {
		w.each(n, '*', s)
		return
	}
	if n.children <= 8 {
		for i := n.child; i < n.child+n.children; i++ {
			switch c := w.ix.first(i); c {
			case '*', '?', '[', '\\':
				w.enter(i, s)
			case s[0]:
				w.enter(i, s)
			}
		}
		return
	}
	for _, c := range [...]byte{'*', '?', '[', '\\'} {
		w.each(n, c, s)
	}
	if c := s[0]; c != '*' && c != '?' && c != '[' && c != '\\' {
		w.each(n, c, s)
	}
}

// each enters the children of n whose labels begin with c.
func (w *walker) each(n nodeRef, c byte, s string) {
	lo, hi := n.child, n.child+n.children
	end := hi
	for lo < hi {
		mid := lo + (hi-lo)/2
		if w.ix.first(mid) < c {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	for ; lo < end && w.ix.first(lo) == c; lo++ {
		w.enter(lo, s)
	}
}

// emit adds the node's values to what was found.
func (w *walker) emit(n nodeRef) {
	if uint64(n.end)*4 > uint64(len(w.ix.values)) {
		return
	}
	for i := n.value; i < n.end; i++ {
		v := le.Uint32(w.ix.values[4*i:])
		if at, there := slices.BinarySearch(w.found, v); !there {
			w.found = slices.Insert(w.found, at, v)
		}
	}
}
