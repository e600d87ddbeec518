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

// MatchBuiltin returns the built-in modules that an alias stands for, also
// where other modules have it as well and Match returns those.
func (ix *Index) MatchBuiltin(alias string) []ModuleID {
	alias, err := NormalizeAlias(alias)
	if err != nil {
		return nil
	}
	w := walker{ix: ix}
	return appendIDs(nil, w.walk(treeBuiltin, alias), ix.count)
}

// AppendMatch appends to ids what Match returns. byName says that alias is
// the name of a module, so that blacklists do not apply to it.
func (ix *Index) AppendMatch(ids []ModuleID, alias string) (_ []ModuleID, byName bool) {
	alias, err := NormalizeAlias(alias)
	if err != nil {
		return ids, false
	}
	w := walker{ix: ix}
	if found := w.walk(treeConfig, alias); len(found) > 0 {
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
	if found := w.walk(treeModules, alias); len(found) > 0 {
		return appendIDs(ids, found, ix.count), false
	}
	if named {
		return append(ids, id), true
	}
	return appendIDs(ids, w.walk(treeBuiltin, alias), ix.count), false
}

func appendIDs(ids []ModuleID, found []uint32, count uint32) []ModuleID {
	for _, f := range found {
		if f < count {
			ids = append(ids, ModuleID(f))
		}
	}
	return ids
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
	ix *Index
	// found are the values of what matched, sorted, each once, and stars the
	// '*' that have been entered, by node and place in its label.
	found few[uint32]
	stars few[uint64]
	depth int
	// budget is how many nodes may still be looked at. In a good table each
	// is entered at most once for each place of the text, and looked at once
	// more by starts.
	budget int
}

// few is a list that needs no memory of its own while it is short: nearly
// every search finds a module or two.
type few[T any] struct {
	buf  [16]T
	n    int
	many []T // instead of buf, once that is full
}

func (f *few[T]) list() []T {
	if f.many != nil {
		return f.many
	}
	return f.buf[:f.n]
}

func (f *few[T]) insert(at int, v T) {
	if f.many == nil && f.n < len(f.buf) {
		copy(f.buf[at+1:f.n+1], f.buf[at:f.n])
		f.buf[at] = v
		f.n++
		return
	}
	if f.many == nil {
		f.many = append(f.many, f.buf[:]...)
	}
	f.many = append(f.many, v)
	copy(f.many[at+1:], f.many[at:])
	f.many[at] = v
	f.n++
}

// walk returns the values of all patterns of a tree that match s. They are
// good until the next call.
func (w *walker) walk(tree int, s string) []uint32 {
	w.found.n, w.found.many = 0, nil
	w.stars.n, w.stars.many = 0, nil
	w.budget = (len(s) + 2) * (len(w.ix.nodes) / nodeSize)
	w.enter(w.ix.roots[tree], s)
	return w.found.list()
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
		child:    le.Uint32(b[8:]) & (1<<24 - 1),
		value:    le.Uint32(b[12:]),
		end:      le.Uint32(b[28:]),
	}, true
}

// first returns the first byte of a node's label, or 0.
func (ix *Index) first(id uint32) byte {
	if at := uint64(id)*nodeSize + 11; at < uint64(len(ix.nodes)) {
		return ix.nodes[at]
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
	if slices.Contains(w.stars.list(), key) {
		return
	}
	w.stars.insert(w.stars.n, key)
	if code == "" {
		w.emit(n)
		starts := w.starts(n)
		for ; s != ""; s = s[1:] {
			if starts.has(s[0]) {
				w.children(n, s)
			}
		}
		return
	}
	for ; s != ""; s = s[1:] {
		if c := code[0]; !special(c) {
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
	lo, end := n.child, n.child+n.children
	for ; lo < end && special(w.ix.first(lo)); lo++ {
		w.enter(lo, s)
	}
	if s == "" || special(s[0]) {
		return
	}
	for hi := end; lo < hi; {
		mid := lo + (hi-lo)/2
		switch c := w.ix.first(mid); {
		case c == s[0]:
			w.enter(mid, s)
			return
		case c < s[0]:
			lo = mid + 1
		default:
			hi = mid
		}
	}
}

// starts returns the bytes that a text can begin with for a child of n to
// match it.
func (w *walker) starts(n nodeRef) byteSet {
	var set byteSet
	if w.budget -= int(n.children); w.budget < 0 {
		return set
	}
	for i := n.child; i < n.child+n.children; i++ {
		c := w.ix.first(i)
		if special(c) {
			return byteSet{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}
		}
		set.add(c)
	}
	return set
}

// emit adds the node's values to what was found.
func (w *walker) emit(n nodeRef) {
	if uint64(n.end)*4 > uint64(len(w.ix.values)) {
		return
	}
	for i := n.value; i < n.end; i++ {
		v := le.Uint32(w.ix.values[4*i:])
		if at, there := slices.BinarySearch(w.found.list(), v); !there {
			w.found.insert(at, v)
		}
	}
}
