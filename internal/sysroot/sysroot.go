// Package sysroot reads files of the system that an image is made for: the
// running one, or another below a directory. Symlinks are followed as that
// system would follow them: an absolute one starts at its root, and ".." at
// the root stays there.
//
// Builder only. It never writes.
package sysroot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Root is the directory below which a system's files are. The zero value is
// the running system.
type Root string

// Link is a symlink that was followed on the way to a file.
type Link struct {
	Path   string // of the link, absolute within the root, its directories resolved
	Target string // as it is stored
}

// Host returns where a path of the system is on this machine, without
// following links.
func (r Root) Host(p string) string {
	if r == "" {
		return path.Join("/", p)
	}
	return filepath.Join(string(r), path.Join("/", p))
}

// Resolve follows every link of p. real is absolute within the root; links
// are those followed, in their order. What does not exist gives
// fs.ErrNotExist.
func (r Root) Resolve(p string) (real string, links []Link, err error) {
	rest := strings.Split(path.Clean("/" + p)[1:], "/")
	done := "/"
	for len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			done = path.Dir(done)
			continue
		}
		next := path.Join(done, name)
		st, err := os.Lstat(r.Host(next))
		if err != nil {
			return "", links, r.own(p, err)
		}
		if st.Mode()&fs.ModeSymlink == 0 {
			done = next
			continue
		}
		if len(links) >= 40 {
			return "", links, &fs.PathError{Op: "open", Path: p, Err: errors.New("too many levels of symbolic links")}
		}
		target, err := os.Readlink(r.Host(next))
		if err != nil {
			return "", links, r.own(p, err)
		}
		links = append(links, Link{next, target})
		if strings.HasPrefix(target, "/") {
			done = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return done, links, nil
}

// own makes an error name the path in the system, with the root where there
// is one.
func (r Root) own(p string, err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return &fs.PathError{Op: "open", Path: r.Host(p), Err: pe.Err}
	}
	return err
}

// Source returns the path on this machine of the file that p leads to.
func (r Root) Source(p string) (string, error) {
	real, _, err := r.Resolve(p)
	if err != nil {
		return "", err
	}
	return r.Host(real), nil
}

// Stat describes what p leads to.
func (r Root) Stat(p string) (fs.FileInfo, error) {
	src, err := r.Source(p)
	if err != nil {
		return nil, err
	}
	return os.Lstat(src)
}

// Exists says whether p leads to anything.
func (r Root) Exists(p string) bool { _, err := r.Stat(p); return err == nil }

// maxText bounds configuration files, in bytes.
const maxText = 16 << 20

// ReadFile reads a configuration file; one of more than 16 MiB is an error.
func (r Root) ReadFile(p string) ([]byte, error) {
	src, err := r.Source(p)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(src)
	if err != nil {
		return nil, r.own(p, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxText+1))
	if err == nil && len(b) > maxText {
		err = &fs.PathError{Op: "read", Path: r.Host(p), Err: fmt.Errorf("more than %d bytes", maxText)}
	}
	return b, err
}

// List returns the sorted names in a directory; a missing one has none.
func (r Root) List(p string) ([]string, error) {
	src, err := r.Source(p)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(src)
	if err != nil {
		return nil, r.own(p, err)
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}

// Glob returns the sorted paths that match a pattern as path.Match has it,
// element by element. The directories of a match may be links.
func (r Root) Glob(pattern string) ([]string, error) {
	found := []string{"/"}
	for _, elem := range strings.Split(path.Clean("/" + pattern)[1:], "/") {
		if !strings.ContainsAny(elem, `*?[\`) {
			for i := range found {
				found[i] = path.Join(found[i], elem)
			}
			continue
		}
		var next []string
		for _, dir := range found {
			if st, err := r.Stat(dir); err != nil || !st.IsDir() {
				continue
			}
			names, err := r.List(dir)
			if err != nil {
				return nil, err
			}
			for _, n := range names {
				ok, err := path.Match(elem, n)
				if err != nil {
					return nil, fmt.Errorf("pattern %s: %w", pattern, err)
				}
				if ok {
					next = append(next, path.Join(dir, n))
				}
			}
		}
		found = next
	}
	var out []string
	for _, p := range found {
		if r.Exists(p) {
			out = append(out, p)
		}
	}
	return out, nil
}
