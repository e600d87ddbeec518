package kmod

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"firstlight/internal/fmt"
)

// entry is a pattern in its compiled form and what it stands for.
type entry struct {
	code  string
	value uint32
}

// node is a node of a tree while it is built.
type node struct {
	label    string
	children []*node
	values   []uint32
}

func (w *writer) writeTrees(src Source) error {
	var trees [3][]entry
	for _, a := range src.Aliases {
		pattern, err := NormalizeAlias(a.Pattern)
		if err != nil {
			return fmt.Errorf("alias %s %s: %w", a.Pattern, a.Module, err)
		}
		target := uint32(noTarget)
		if id, ok := w.id[NormalizeName(a.Module)]; ok {
			target = uint32(id)
		}
		if code, ok := compile(nil, pattern); ok {
			trees[treeConfig] = append(trees[treeConfig], entry{string(code), uint32(len(w.targets))})
		}
		w.targets = append(w.targets, target)
	}
	for id := range w.modules {
		m := &w.modules[id]
		tree := treeModules
		if m.Builtin {
			tree = treeBuiltin
		}
		for _, alias := range m.Aliases {
			pattern, err := NormalizeAlias(alias)
			if err != nil {
				continue // depmod leaves such an alias out of its index, too
			}
			if code, ok := compileIndexed(pattern); ok {
				trees[tree] = append(trees[tree], entry{string(code), uint32(id)})
			}
		}
	}
	var roots []*node
	for _, t := range trees {
		slices.SortFunc(t, func(a, b entry) int {
			return cmp.Or(strings.Compare(a.code, b.code), cmp.Compare(a.value, b.value))
		})
		roots = append(roots, buildTree(slices.Compact(t), 0))
	}
	return w.layOut(roots)
}

// buildTree makes a tree of sorted entries whose first skip bytes are those
// of the labels above.
func buildTree(entries []entry, skip int) *node {
	n := &node{}
	if len(entries) == 0 {
		return n
	}
	first, last := entries[0].code[skip:], entries[len(entries)-1].code[skip:]
	// Sorted neighbours share what the ends share.
	for len(n.label) < len(first) {
		size := tokenLen(first[len(n.label):])
		token := first[len(n.label) : len(n.label)+size]
		if !strings.HasPrefix(last[len(n.label):], token) || len(n.label)+size > math.MaxUint16 {
			break
		}
		n.label = first[:len(n.label)+size]
	}
	skip += len(n.label)
	for len(entries) > 0 && len(entries[0].code) == skip {
		n.values = append(n.values, entries[0].value)
		entries = entries[1:]
	}
	for len(entries) > 0 {
		token := entries[0].code[skip : skip+tokenLen(entries[0].code[skip:])]
		end := 1
		for end < len(entries) && strings.HasPrefix(entries[end].code[skip:], token) {
			end++
		}
		n.children = append(n.children, buildTree(entries[:end], skip))
		entries = entries[end:]
	}
	slices.SortStableFunc(n.children, func(a, b *node) int {
		return cmp.Compare(btoi(!special(a.label[0])), btoi(!special(b.label[0])))
	})
	return n
}

// layOut writes the trees level by level, so that siblings stand together.
func (w *writer) layOut(roots []*node) error {
	queue := slices.Clone(roots)
	for i := range roots {
		w.roots[i] = uint32(i)
	}
	for i := 0; i < len(queue); i++ {
		queue = append(queue, queue[i].children...)
	}
	w.poolTails(queue)
	child := uint32(len(roots))
	for _, n := range queue {
		if len(n.children) > math.MaxUint16 {
			return fmt.Errorf("%d children of one pattern: %w", len(n.children), ErrTooBig)
		}
		w.node(n, child)
		child += uint32(len(n.children))
		w.values = append(w.values, n.values...)
	}
	if child >= 1<<24 || len(w.pool) > 64<<20 {
		return ErrTooBig
	}
	w.node(&node{}, child)
	return nil
}

func (w *writer) node(n *node, child uint32) {
	w.nodes = le.AppendUint32(w.nodes, w.str(n.label))
	w.nodes = le.AppendUint16(w.nodes, uint16(len(n.label)))
	w.nodes = le.AppendUint16(w.nodes, uint16(len(n.children)))
	if n.label != "" {
		child |= uint32(n.label[0]) << 24
	}
	w.nodes = le.AppendUint32(w.nodes, child)
	w.nodes = le.AppendUint32(w.nodes, uint32(len(w.values)))
}

// poolTails puts the labels into the pool. A label that ends another shares
// its bytes: most patterns of one bus end alike.
func (w *writer) poolTails(nodes []*node) {
	labels := make([]string, 0, len(nodes))
	for _, n := range nodes {
		labels = append(labels, n.label)
	}
	slices.SortFunc(labels, compareReversed)
	labels = slices.Compact(labels)
	for i := len(labels) - 1; i >= 0; i-- {
		s := labels[i]
		if i+1 < len(labels) && strings.HasSuffix(labels[i+1], s) {
			longer := labels[i+1]
			w.strings[s] = w.strings[longer] + uint32(len(longer)-len(s))
			continue
		}
		w.str(s)
	}
}

// compareReversed orders strings by their bytes from the end.
func compareReversed(a, b string) int {
	for i := 1; i <= len(a) && i <= len(b); i++ {
		if c := cmp.Compare(a[len(a)-i], b[len(b)-i]); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b))
}
