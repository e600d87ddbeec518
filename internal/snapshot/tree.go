package snapshot

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"firstlight/internal/sysfs"
)

// Tree is a sysfs in memory. It implements sysfs.FS; it is not safe for
// concurrent use while it is changed. Paths are absolute and clean.
type Tree struct {
	Files map[string]string // attributes
	Links map[string]string // to absolute paths within the tree

	names map[string]map[string]bool // what is in each directory
}

var _ sysfs.FS = (*Tree)(nil)

// NewTree returns an empty tree.
func NewTree() *Tree {
	return &Tree{Files: map[string]string{}, Links: map[string]string{}, names: map[string]map[string]bool{}}
}

// index makes the directories known after Files and Links were filled in.
func (t *Tree) index() {
	t.names = map[string]map[string]bool{}
	for p := range t.Files {
		t.note(p)
	}
	for p := range t.Links {
		t.note(p)
	}
}

func (t *Tree) note(p string) {
	for p != "/" && p != "." {
		dir, name := path.Split(p)
		dir = path.Clean(dir)
		m := t.names[dir]
		if m == nil {
			m = map[string]bool{}
			t.names[dir] = m
		}
		if m[name] {
			return
		}
		m[name] = true
		p = dir
	}
}

// Set makes an attribute, or gives one another value.
func (t *Tree) Set(p, value string) {
	t.Files[p] = value
	t.note(p)
}

// Link makes a link.
func (t *Tree) Link(p, target string) {
	t.Links[p] = target
	t.note(p)
}

// Remove removes an attribute, a link, or a directory with all in it.
func (t *Tree) Remove(p string) {
	for name := range t.names[p] {
		t.Remove(path.Join(p, name))
	}
	delete(t.Files, p)
	delete(t.Links, p)
	delete(t.names, p)
	for p != "/" {
		dir, name := path.Split(p)
		dir = path.Clean(dir)
		delete(t.names[dir], name)
		if len(t.names[dir]) > 0 {
			return
		}
		delete(t.names, dir)
		p = dir
	}
}

// follow resolves every link on the way to p.
func (t *Tree) follow(p string) string {
	p = path.Clean("/" + p)
	for range 40 {
		moved := false
		for i := 1; i <= len(p); i++ {
			if i < len(p) && p[i] != '/' {
				continue
			}
			if target, ok := t.Links[p[:i]]; ok {
				p, moved = path.Clean(target+p[i:]), true
				break
			}
		}
		if !moved {
			return p
		}
	}
	return p
}

// Read implements sysfs.FS.
func (t *Tree) Read(p string) (string, error) {
	if v, ok := t.Files[t.follow(p)]; ok {
		return v, nil
	}
	return "", fmt.Errorf("sysfs: read %s: %w", p, fs.ErrNotExist)
}

// Write implements sysfs.FS: it changes an attribute that is there.
func (t *Tree) Write(p, value string) error {
	at := t.follow(p)
	if _, ok := t.Files[at]; !ok {
		return fmt.Errorf("sysfs: write %s: %w", p, fs.ErrNotExist)
	}
	t.Files[at] = value
	return nil
}

// Readlink implements sysfs.FS: the target is relative, as sysfs has it.
func (t *Tree) Readlink(p string) (string, error) {
	p = path.Clean("/" + p)
	real := path.Join(t.follow(path.Dir(p)), path.Base(p))
	target, ok := t.Links[real]
	if !ok {
		return "", fmt.Errorf("sysfs: readlink %s: %w", p, fs.ErrNotExist)
	}
	return strings.Repeat("../", strings.Count(path.Dir(p), "/")) + strings.TrimPrefix(target, "/"), nil
}

// Resolve implements sysfs.FS.
func (t *Tree) Resolve(p string) (string, error) {
	real := t.follow(p)
	if !t.there(real) {
		return "", fmt.Errorf("sysfs: resolve %s: %w", p, fs.ErrNotExist)
	}
	return real, nil
}

// List implements sysfs.FS.
func (t *Tree) List(p string) ([]string, error) {
	m := t.names[t.follow(p)]
	if m == nil {
		return nil, fmt.Errorf("sysfs: list %s: %w", p, fs.ErrNotExist)
	}
	out := make([]string, 0, len(m))
	for name := range m {
		out = append(out, name)
	}
	slices.Sort(out)
	return out, nil
}

// Exists implements sysfs.FS.
func (t *Tree) Exists(p string) bool { return t.there(t.follow(p)) }

func (t *Tree) there(p string) bool {
	if p == "/" || t.names[p] != nil {
		return true
	}
	_, ok := t.Files[p]
	return ok
}

// Devices returns the devpaths of all devices, parents first.
func (t *Tree) Devices() []string {
	var out []string
	for p := range t.Files {
		if dev, ok := strings.CutSuffix(p, "/uevent"); ok && strings.HasPrefix(dev, "/devices/") {
			out = append(out, dev)
		}
	}
	slices.Sort(out) // a prefix sorts before what it begins
	return out
}
