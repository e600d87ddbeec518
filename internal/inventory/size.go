package inventory

import (
	"slices"
	"strings"

	"firstlight/internal/image/cpio"
	"firstlight/internal/treemap"
)

// By is what Tree puts things together by.
type By string

// The ways.
const (
	ByKind    By = "kind"    // what it is for, then where it is
	ByPath    By = "path"    // where it is
	BySegment By = "segment" // which frame of the image it is in
)

// Tree is where the bytes of an image are: of the file, or unpacked. name is
// the whole's.
func (inv *Inventory) Tree(name string, by By, unpacked bool) *treemap.Node {
	root := &treemap.Node{Name: name}
	for _, it := range inv.Items {
		size := it.Packed
		if unpacked {
			if size = it.Size; it.link || it.Mode&cpio.TypeMask == cpio.TypeSymlink {
				size = 0
			}
		}
		if size <= 0 {
			continue
		}
		root.Add(inv.place(it, by), size)
	}
	for i, p := range root.Parts {
		color := i
		if by == ByKind {
			color = slices.Index(Kinds(), Kind(p.Name))
		}
		paint(p, max(color, 0))
	}
	return root
}

func paint(n *treemap.Node, color int) {
	n.Color = color
	for _, p := range n.Parts {
		paint(p, color)
	}
}

// place is the way down to an item.
func (inv *Inventory) place(it *Item, by By) []string {
	p := it.Path
	var top []string
	switch by {
	case ByKind:
		top = []string{string(it.Kind)}
		switch it.Kind {
		case Module:
			p = belowRelease(p)
		case Firmware:
			_, p, _ = strings.Cut(p, "lib/firmware/")
		}
	case BySegment:
		top = []string{inv.segmentOf(it)}
	}
	return append(top, strings.Split(p, "/")...)
}

// belowRelease is a module's path below the directory of its kernel.
func belowRelease(p string) string {
	if release := releaseOf(p); release != "" {
		_, p, _ = strings.Cut(p, "/"+release+"/")
		return strings.TrimPrefix(p, "kernel/")
	}
	return p
}
