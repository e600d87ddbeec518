// Package treemap draws a tree of sizes as nested rectangles whose areas are
// the sizes: as text for a terminal, and as SVG.
//
// Pure: values in, bytes out.
package treemap

import (
	"cmp"
	"slices"
	"strings"
)

// Node is a part of a whole. The size of one with parts is their sum.
type Node struct {
	Name  string  `json:"name"`
	Size  int64   `json:"size"` // bytes, or whatever is compared
	Color int     `json:"-"`    // which of the colors; parts have that of the whole
	Parts []*Node `json:"parts,omitempty"`
}

// Add adds a size at a place: the names from the top down.
func (n *Node) Add(place []string, size int64) {
	n.Size += size
	if len(place) == 0 {
		return
	}
	for _, p := range n.Parts {
		if p.Name == place[0] {
			p.Add(place[1:], size)
			return
		}
	}
	p := &Node{Name: place[0], Color: n.Color}
	n.Parts = append(n.Parts, p)
	p.Add(place[1:], size)
}

// Tidy puts the largest first and joins what has a single part with it:
// "a/b". What is smaller than least goes together under a name that says so.
func (n *Node) Tidy(least int64) {
	for len(n.Parts) == 1 && n.Name != "" && len(n.Parts[0].Parts) > 0 {
		n.Name += "/" + n.Parts[0].Name
		n.Parts = n.Parts[0].Parts
	}
	slices.SortFunc(n.Parts, func(a, b *Node) int {
		return cmp.Or(cmp.Compare(b.Size, a.Size), strings.Compare(a.Name, b.Name))
	})
	small := slices.IndexFunc(n.Parts, func(p *Node) bool { return p.Size < least })
	if small >= 0 && len(n.Parts)-small > 1 {
		rest := &Node{Name: "others", Color: n.Color}
		for _, p := range n.Parts[small:] {
			rest.Size += p.Size
		}
		n.Parts = append(n.Parts[:small:small], rest)
	}
	for _, p := range n.Parts {
		p.Tidy(least)
	}
}

// rect is a rectangle.
type rect struct{ x, y, w, h float64 }

// layout gives each size its place in r, in the order given, largest first:
// rows along the shorter side, each as long as its rectangles get squarer by
// that (Bruls, Huizing, van Wijk: Squarified Treemaps, 2000). Sizes must not be
// negative.
func layout(sizes []float64, r rect) []rect {
	var total float64
	for _, s := range sizes {
		total += s
	}
	out := make([]rect, 0, len(sizes))
	if total <= 0 {
		return append(out, make([]rect, len(sizes))...)
	}
	scale := r.w * r.h / total
	for len(sizes) > 0 {
		side := min(r.w, r.h)
		n, sum := 1, sizes[0]*scale
		for n < len(sizes) {
			more := sum + sizes[n]*scale
			if worst(sizes[:n+1], scale, more, side) > worst(sizes[:n], scale, sum, side) {
				break
			}
			sum = more
			n++
		}
		depth := 0.0
		if side > 0 {
			depth = min(sum/side, max(r.w, r.h)) // what is left may be off by rounding
		}
		at := 0.0
		for _, s := range sizes[:n] {
			length := 0.0
			if sum > 0 {
				length = s * scale / sum * side
			}
			if r.w >= r.h {
				out = append(out, rect{r.x, r.y + at, depth, length})
			} else {
				out = append(out, rect{r.x + at, r.y, length, depth})
			}
			at += length
		}
		if r.w >= r.h {
			r.x, r.w = r.x+depth, max(0, r.w-depth)
		} else {
			r.y, r.h = r.y+depth, max(0, r.h-depth)
		}
		sizes = sizes[n:]
	}
	return out
}

// worst is how far from square the worst rectangle of a row is.
func worst(sizes []float64, scale, sum, side float64) float64 {
	if sum <= 0 || side <= 0 {
		return 0
	}
	w := 0.0
	for _, s := range sizes {
		a := s * scale
		if a <= 0 {
			continue
		}
		depth := sum / side
		length := a / depth
		w = max(w, depth/length, length/depth)
	}
	return w
}

func sizes(parts []*Node) []float64 {
	out := make([]float64, len(parts))
	for i, p := range parts {
		out[i] = float64(p.Size)
	}
	return out
}
