package sim

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// tree is a sysfs in memory. It implements sysfs.FS.
type tree struct {
	files map[string]string
	links map[string]string // to absolute paths
}

func newTree() *tree { return &tree{map[string]string{}, map[string]string{}} }

func (t *tree) device(devpath, subsystem, uevent string) {
	t.files[devpath+"/uevent"] = uevent
	t.links[devpath+"/subsystem"] = "/class/" + subsystem
}

func (t *tree) link(p, target string) { t.links[p] = target }

func (t *tree) remove(devpath string) {
	under := func(p, _ string) bool { return strings.HasPrefix(p, devpath+"/") }
	maps.DeleteFunc(t.files, under)
	maps.DeleteFunc(t.links, under)
}

// follow resolves the first link on the way to p.
func (t *tree) follow(p string) string {
	for range 40 {
		moved := false
		for up := p; up != "/" && up != "."; up = path.Dir(up) {
			if target, ok := t.links[up]; ok {
				p, moved = path.Clean(target+strings.TrimPrefix(p, up)), true
				break
			}
		}
		if !moved {
			break
		}
	}
	return p
}

func (t *tree) Read(p string) (string, error) {
	if v, ok := t.files[t.follow(p)]; ok {
		return v, nil
	}
	return "", fmt.Errorf("sysfs: read %s: %w", p, fs.ErrNotExist)
}

func (t *tree) Write(p, value string) error {
	if !t.Exists(p) {
		return fmt.Errorf("sysfs: write %s: %w", p, fs.ErrNotExist)
	}
	t.files[t.follow(p)] = value
	return nil
}

func (t *tree) Readlink(p string) (string, error) {
	target, ok := t.links[p]
	if !ok {
		return "", fmt.Errorf("sysfs: readlink %s: %w", p, fs.ErrNotExist)
	}
	return strings.Repeat("../", strings.Count(path.Dir(p), "/")) + strings.TrimPrefix(target, "/"), nil
}

func (t *tree) Resolve(p string) (string, error) {
	p = t.follow(p)
	if !t.Exists(p) {
		return "", fmt.Errorf("sysfs: resolve %s: %w", p, fs.ErrNotExist)
	}
	return p, nil
}

func (t *tree) List(p string) ([]string, error) {
	prefix := t.follow(p) + "/"
	seen := map[string]bool{}
	note := func(name string) {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			first, _, _ := strings.Cut(rest, "/")
			seen[first] = true
		}
	}
	for name := range t.files {
		note(name)
	}
	for name := range t.links {
		note(name)
	}
	if len(seen) == 0 {
		return nil, fmt.Errorf("sysfs: list %s: %w", p, fs.ErrNotExist)
	}
	return slices.Sorted(maps.Keys(seen)), nil
}

func (t *tree) Exists(p string) bool {
	p = t.follow(p)
	if _, ok := t.files[p]; ok {
		return true
	}
	_, err := t.List(p)
	return err == nil
}
