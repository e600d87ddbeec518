package sim

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// tree is a sysfs in memory. It implements sysfs.FS.
type tree struct {
	root  node
	room  *Room
	used  int    // of the room's blocks of nodes
	fresh []node // to be used
	// watch is called with each attribute that is read, before it is.
	watch func(p string)
}

// node is a directory, an attribute or a link.
type node struct {
	name string
	kind nodeKind
	text string  // of an attribute; of a link the absolute path that it leads to
	kids []*node // of a directory, sorted by name
}

type nodeKind uint8

const (
	directory nodeKind = iota
	attribute
	symlink
)

func newTree(room *Room) *tree { return &tree{room: room} }

// add returns a node that is new.
func (t *tree) add(name string) *node {
	if len(t.fresh) == 0 {
		if t.used == len(t.room.nodes) {
			t.room.nodes = append(t.room.nodes, make([]node, 128))
		}
		t.fresh = t.room.nodes[t.used]
		t.used++
	}
	n := &t.fresh[0]
	t.fresh = t.fresh[1:]
	kids := n.kids[:0]
	clear(n.kids[:cap(n.kids)])
	*n = node{name: name, kids: kids}
	return n
}

// clear leaves the nodes to the next tree in the room.
func (t *tree) clear() {
	t.root, t.fresh, t.used = node{}, nil, 0
}

func (n *node) find(name string) (int, bool) {
	lo, hi := 0, len(n.kids)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if n.kids[mid].name < name {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, lo < len(n.kids) && n.kids[lo].name == name
}

// place returns the node at an absolute path without links, making the
// directories on the way.
func (t *tree) place(p string) *node { return t.below(&t.root, p) }

// below is place, from a directory on; the path begins with a slash.
func (t *tree) below(n *node, p string) *node {
	if p == "" {
		return n
	}
	for rest, more := p[1:], true; more; {
		var name string
		name, rest, more = strings.Cut(rest, "/")
		i, ok := n.find(name)
		if !ok {
			if n.kids == nil {
				n.kids = make([]*node, 0, 8)
			}
			n.kids = slices.Insert(n.kids, i, t.add(name))
		}
		n = n.kids[i]
	}
	return n
}

// set makes or changes an attribute.
func (t *tree) set(p, value string) {
	n := t.place(p)
	n.kind, n.text = attribute, value
}

// put is set below a directory.
func (t *tree) put(dir *node, p, value string) {
	n := t.below(dir, p)
	n.kind, n.text = attribute, value
}

// link makes a link to an absolute path.
func (t *tree) link(p, target string) {
	n := t.place(p)
	n.kind, n.text = symlink, target
}

// device makes the directory of a device. A subsystem that has a bus is one
// of /bus, the others are classes.
func (t *tree) device(devpath, subsystem, uevent string) (dir *node) {
	dir = t.place(devpath)
	t.put(dir, "/uevent", uevent)
	name := devpath[strings.LastIndexByte(devpath, '/')+1:]
	link := t.below(dir, "/subsystem")
	link.kind = symlink
	if buses[subsystem] {
		link.text = "/bus/" + subsystem
		t.link("/bus/"+subsystem+"/devices/"+name, devpath)
		return dir
	}
	link.text = "/class/" + subsystem
	t.link("/class/"+subsystem+"/"+name, devpath)
	return dir
}

// remove takes away a path and all below it; the directories above stay.
func (t *tree) remove(p string) {
	n := &t.root
	for rest, more := p[1:], true; more; {
		var name string
		name, rest, more = strings.Cut(rest, "/")
		i, ok := n.find(name)
		if !ok {
			return
		}
		if !more {
			n.kids = slices.Delete(n.kids, i, i+1)
			return
		}
		n = n.kids[i]
	}
}

// removeDevice takes away a device and the link to it.
func (t *tree) removeDevice(devpath, subsystem string) {
	t.remove(devpath)
	if buses[subsystem] {
		t.remove("/bus/" + subsystem + "/devices/" + path.Base(devpath))
		return
	}
	t.remove("/class/" + subsystem + "/" + path.Base(devpath))
}

// walk finds a node. Links on the way are followed, and the last one where
// last says so. real is where it was found, "" where the path has no link.
func (t *tree) walk(p string, last bool) (n *node, real string) {
	if strings.Contains(p, "//") || strings.Contains(p, "/.") || !strings.HasPrefix(p, "/") {
		p = path.Clean("/" + p)
	}
	p = strings.TrimSuffix(p, "/")
	moved := false
	for range 40 {
		n = &t.root
		start := 0
		again := false
		for start < len(p) {
			end := len(p)
			if i := strings.IndexByte(p[start+1:], '/'); i >= 0 {
				end = start + 1 + i
			}
			i, ok := n.find(p[start+1 : end])
			if !ok {
				return nil, ""
			}
			n = n.kids[i]
			if n.kind == symlink && (end < len(p) || last) {
				p, moved, again = path.Clean(n.text+p[end:]), true, true
				break
			}
			start = end
		}
		if !again {
			if !moved {
				return n, ""
			}
			return n, p
		}
	}
	return nil, ""
}

func (t *tree) Read(p string) (string, error) {
	if t.watch != nil {
		t.watch(p)
	}
	if n, _ := t.walk(p, true); n != nil && n.kind == attribute {
		return n.text, nil
	}
	return "", &fs.PathError{Op: "sysfs: read", Path: p, Err: fs.ErrNotExist}
}

func (t *tree) Write(p, value string) error {
	n, _ := t.walk(p, true)
	if n == nil || n.kind != attribute {
		return fmt.Errorf("sysfs: write %s: %w", p, fs.ErrNotExist)
	}
	n.text = value
	return nil
}

func (t *tree) Readlink(p string) (string, error) {
	n, _ := t.walk(p, false)
	if n == nil || n.kind != symlink {
		return "", &fs.PathError{Op: "sysfs: readlink", Path: p, Err: fs.ErrNotExist}
	}
	return strings.Repeat("../", strings.Count(path.Dir(p), "/")) + strings.TrimPrefix(n.text, "/"), nil
}

func (t *tree) Resolve(p string) (string, error) {
	n, real := t.walk(p, true)
	switch {
	case n == nil:
		return "", fmt.Errorf("sysfs: resolve %s: %w", p, fs.ErrNotExist)
	case real == "":
		return path.Clean("/" + p), nil
	}
	return real, nil
}

func (t *tree) List(p string) ([]string, error) {
	n, _ := t.walk(p, true)
	if n == nil || n.kind != directory {
		return nil, &fs.PathError{Op: "sysfs: list", Path: p, Err: fs.ErrNotExist}
	}
	names := make([]string, len(n.kids))
	for i, k := range n.kids {
		names[i] = k.name
	}
	return names, nil
}

func (t *tree) Exists(p string) bool {
	n, _ := t.walk(p, true)
	return n != nil
}
