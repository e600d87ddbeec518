package image

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"firstlight/internal/image/cpio"
)

// View is what the kernel would have unpacked of an image, without the
// contents: a later entry takes the place of an earlier one of the same name,
// but that a directory with something in it stays; symlinks among the
// directories are followed.
type View struct {
	nodes map[string]*node
	links map[linkKey]*node
}

type node struct {
	h      cpio.Header
	target string
	entry  int // which entry of the image has the content, from 0
	frame  int
}

type linkKey struct {
	part                int
	ino, mode, maj, min uint32
}

// ViewEntry is what stands at one path.
type ViewEntry struct {
	Path   string
	Header cpio.Header
	Target string // of a symlink
	Entry  int    // which entry of the image has the content, from 0; hard links have the same
	Frame  int    // which frame it is in
}

// NewView reads the headers of an image.
func NewView(b []byte, limits Limits) (*View, error) {
	return NewViewOf(b, limits, nil, nil)
}

// NewViewOf reads an image and calls content, if not nil, for each regular file
// with content, and frame, if not nil, for each frame. entry counts all entries.
func NewViewOf(b []byte, limits Limits, content func(entry int, h *cpio.Header, body io.Reader) error, frame func(Frame) error) (*View, error) {
	v := &View{nodes: map[string]*node{}, links: map[linkKey]*node{}}
	entry := -1
	err := Visit(b, limits, Visitor{Frame: frame, Entry: func(p Part, h *cpio.Header, body io.Reader) error {
		entry++
		if err := v.add(p, h, body, entry); err != nil || content == nil || h.Type() != cpio.TypeRegular {
			return err
		}
		return content(entry, h, body)
	}})
	if err != nil {
		return nil, err
	}
	return v, nil
}

// Entries returns what is there, in the order of the paths.
func (v *View) Entries() []ViewEntry {
	out := make([]ViewEntry, 0, len(v.nodes))
	for _, p := range slices.Sorted(maps.Keys(v.nodes)) {
		n := v.nodes[p]
		out = append(out, ViewEntry{Path: p, Header: n.h, Target: n.target, Entry: n.entry, Frame: n.frame})
	}
	return out
}

// Resolve follows the symlinks of a path and returns where it leads, which
// need not be there.
func (v *View) Resolve(p string) (string, error) { return v.resolve(clean(p), true) }

func (v *View) add(p Part, h *cpio.Header, body io.Reader, entry int) error {
	name, err := v.resolve(clean(h.Name), false)
	if err != nil {
		return err
	}
	if !v.replace(name, h.Type()) {
		return nil
	}
	n := &node{h: *h, entry: entry, frame: p.Frame}
	if h.Type() == cpio.TypeSymlink {
		if h.Size >= cpio.MaxName {
			return fmt.Errorf("%s: a link target of %d bytes: %w", h.Name, h.Size, ErrImage)
		}
		t, err := io.ReadAll(body)
		if err != nil {
			return fmt.Errorf("%s: %w: %w", h.Name, ErrImage, err)
		}
		n.target = string(t)
	}
	if h.Type() == cpio.TypeRegular && h.Nlink > 1 {
		k := linkKey{p.Index, h.Ino, h.Mode, h.DevMajor, h.DevMinor}
		if first := v.links[k]; first != nil {
			if h.Size > 0 {
				first.h.Size, first.entry, first.frame = h.Size, entry, p.Frame
			}
			n = first
		} else {
			v.links[k] = n
		}
	}
	v.nodes[name] = n
	return nil
}

// replace makes room for an entry, as clean_path in init/initramfs.c does: what
// is of another type goes away, unless it is a directory with something in it.
// It says whether the entry can be made.
func (v *View) replace(name string, typ uint32) bool {
	old := v.nodes[name]
	if old == nil || old.h.Type() == typ && typ != cpio.TypeSymlink {
		return true
	}
	if old.h.Type() == cpio.TypeDir {
		for p := range v.nodes {
			if strings.HasPrefix(p, name+"/") {
				return false
			}
		}
	}
	delete(v.nodes, name)
	return true
}

// resolve follows the symlinks of a path; those of its last element only if
// asked to.
func (v *View) resolve(p string, last bool) (string, error) {
	rest := strings.Split(p, "/")
	done := ""
	for links := 0; len(rest) > 0; {
		next := path.Join(done, rest[0])
		rest = rest[1:]
		n := v.nodes[next]
		if n == nil || n.h.Type() != cpio.TypeSymlink || (len(rest) == 0 && !last) {
			done = next
			continue
		}
		if links++; links > 40 {
			return "", fmt.Errorf("/%s: too many levels of symlinks: %w", p, ErrImage)
		}
		if to := resolveTarget(next, n.target); to != "." {
			rest = append(strings.Split(to, "/"), rest...)
		}
		done = ""
	}
	return done, nil
}

// Cat writes the content of the regular file at a path of the image, with or
// without a leading slash, symlinks followed. A path that is not there gives
// fs.ErrNotExist.
func Cat(w io.Writer, b []byte, name string, limits Limits) error {
	v, err := NewView(b, limits)
	if err != nil {
		return err
	}
	p, err := v.resolve(clean(name), true)
	if err != nil {
		return err
	}
	n := v.nodes[p]
	switch {
	case n == nil:
		return fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	case n.h.Type() != cpio.TypeRegular:
		return fmt.Errorf("%s: it is a %s, without content", name, TypeName(n.h.Mode))
	}
	entry := -1
	done := errors.New("found")
	err = Walk(b, limits, func(_ Part, _ *cpio.Header, body io.Reader) error {
		if entry++; entry < n.entry {
			return nil
		}
		if _, err := io.Copy(w, body); err != nil {
			return err
		}
		return done
	})
	if errors.Is(err, done) {
		return nil
	}
	return err
}

// TypeName is a word for the type in mode: "file", "directory", "symlink",
// "character device", "block device", "fifo", "socket".
func TypeName(mode uint32) string {
	switch mode & cpio.TypeMask {
	case cpio.TypeRegular:
		return "file"
	case cpio.TypeDir:
		return "directory"
	case cpio.TypeSymlink:
		return "symlink"
	case cpio.TypeChar:
		return "character device"
	case cpio.TypeBlock:
		return "block device"
	case cpio.TypeFIFO:
		return "fifo"
	case cpio.TypeSocket:
		return "socket"
	}
	return "unknown"
}
