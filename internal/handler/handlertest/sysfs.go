package handlertest

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Sysfs is a sysfs of maps. It implements sysfs.FS.
type Sysfs struct {
	files map[string]string
	links map[string]string
}

func newSysfs() *Sysfs { return &Sysfs{map[string]string{}, map[string]string{}} }

// Set makes an attribute.
func (s *Sysfs) Set(p, value string) { s.files[p] = value }

// Link makes a link.
func (s *Sysfs) Link(p, target string) { s.links[p] = target }

// Remove removes everything at and below p, and the links in /block to it.
func (s *Sysfs) Remove(p string) {
	below := func(x, _ string) bool { return x == p || strings.HasPrefix(x, p+"/") }
	for x := range s.files {
		if below(x, "") {
			delete(s.files, x)
		}
	}
	for x, target := range s.links {
		if below(x, "") || path.Dir(x) == "/block" && path.Join("/block", target) == p {
			delete(s.links, x)
		}
	}
}

func missing(p string) error { return fmt.Errorf("sysfs: %s: %w", p, fs.ErrNotExist) }

// Read implements sysfs.FS.
func (s *Sysfs) Read(p string) (string, error) {
	full, err := s.Resolve(p)
	if err != nil {
		return "", err
	}
	v, ok := s.files[full]
	if !ok {
		return "", missing(p)
	}
	return v, nil
}

// Write implements sysfs.FS: handlers write through the machine.
func (s *Sysfs) Write(p, _ string) error { return fmt.Errorf("sysfs: %s: %w", p, fs.ErrPermission) }

// Readlink implements sysfs.FS.
func (s *Sysfs) Readlink(p string) (string, error) {
	if t, ok := s.links[p]; ok {
		return t, nil
	}
	return "", missing(p)
}

// Resolve implements sysfs.FS.
func (s *Sysfs) Resolve(p string) (string, error) {
	done := ""
	for _, e := range strings.Split(strings.Trim(p, "/"), "/") {
		next := done + "/" + e
		if t, ok := s.links[next]; ok {
			next = path.Join(done, t)
		}
		done = next
	}
	return done, nil
}

// List implements sysfs.FS.
func (s *Sysfs) List(p string) ([]string, error) {
	full, err := s.Resolve(p)
	if err != nil {
		return nil, err
	}
	var names []string
	add := func(x string) {
		if rest, ok := strings.CutPrefix(x, strings.TrimSuffix(full, "/")+"/"); ok {
			name, _, _ := strings.Cut(rest, "/")
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	for x := range s.files {
		add(x)
	}
	for x := range s.links {
		add(x)
	}
	if names == nil {
		return nil, missing(p)
	}
	slices.Sort(names)
	return names, nil
}

// Exists implements sysfs.FS.
func (s *Sysfs) Exists(p string) bool {
	if _, ok := s.links[p]; ok {
		return true
	}
	full, err := s.Resolve(p)
	if err != nil {
		return false
	}
	if _, ok := s.files[full]; ok {
		return true
	}
	_, err = s.List(full)
	return err == nil
}
