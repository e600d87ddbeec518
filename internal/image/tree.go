// Package image puts an initramfs together and takes one apart.
//
// A Tree is what the image shall hold: typed entries, kept consistent as they
// are added. Pack turns it into whole cpio archives, each compressed on its
// own, which the kernel unpacks one after the other; Walk, Load and Extract read any
// image that a kernel would.
//
// Builder only. Nothing here depends on the machine, the user, the time or
// the order in which entries were added: the same Tree gives the same bytes.
package image

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"firstlight/internal/image/cpio"
)

// Entry is one file, directory, link or node of a Tree.
type Entry struct {
	Path   string // relative to the image's root and clean: "etc/crypttab"
	Mode   uint32 // type and permissions as in stat(2)
	Target string // of a symlink
	Major  uint32 // of a device node
	Minor  uint32
	Data   []byte // content of a regular file, where Source is ""
	Source string // the file that the content is read from
	From   string // where the content comes from, for a person; the same wherever the sources lie
	UID    uint32 // owner
	GID    uint32
	Size   int64  // bytes of content, as far as known when the entry was added
	Group  string // entries of one group share archives; "" is the base
	Column bool   // a kernel module that is laid out by columns, see internal/kmod/columns
	Secret bool   // must not be readable by others, nor be kept in a cache
	Why    string // the reason for a person: "ext4: feature", "libc.so.6: needed by …"
}

// Content returns the content of a regular file.
func (e *Entry) Content() ([]byte, error) {
	if e.Source == "" {
		return e.Data, nil
	}
	b, err := os.ReadFile(e.Source)
	if err != nil {
		return nil, fmt.Errorf("image: %s: %w", e.Path, err)
	}
	return b, nil
}

// ErrConflict is wrapped when two different things are to stand in one place.
var ErrConflict = errors.New("two different things for one place in the image")

// Tree is the content of an image. The zero value is not usable; see NewTree.
// Not safe for concurrent use.
type Tree struct {
	entries map[string]*Entry
}

// NewTree returns an empty Tree.
func NewTree() *Tree { return &Tree{entries: map[string]*Entry{}} }

// Entries returns the entries in the order of their paths, in which a
// directory stands before what it holds.
func (t *Tree) Entries() []*Entry {
	out := make([]*Entry, 0, len(t.entries))
	for _, p := range slices.Sorted(maps.Keys(t.entries)) {
		out = append(out, t.entries[p])
	}
	return out
}

// Get returns the entry at a path whose directories may be symlinks, or nil.
func (t *Tree) Get(p string) *Entry {
	q, err := t.resolveDir(clean(p))
	if err != nil {
		return nil
	}
	return t.entries[q]
}

// HasSecrets says whether the image must be kept from other users.
func (t *Tree) HasSecrets() bool {
	for _, e := range t.entries {
		if e.Secret {
			return true
		}
	}
	return false
}

// Dir adds a directory with mode 0755 and those above it.
func (t *Tree) Dir(p, why string) error {
	return t.Add(Entry{Path: p, Mode: cpio.TypeDir | 0o755, Why: why})
}

// File adds a regular file with the given content.
func (t *Tree) File(p string, perm uint32, data []byte, why string) error {
	return t.Add(Entry{Path: p, Mode: cpio.TypeRegular | perm, Data: data, Why: why})
}

// Symlink adds a symbolic link.
func (t *Tree) Symlink(p, target, why string) error {
	return t.Add(Entry{Path: p, Mode: cpio.TypeSymlink | 0o777, Target: target, Why: why})
}

// Add adds an entry and the directories above it. Adding the same thing twice
// is fine, the first reason stays; something else in the same place is
// ErrConflict. Where a directory above the entry is a symlink in the Tree the
// entry goes to where the link leads; a symlink that comes after a directory
// of the same name takes its content along, so that a host's "/lib" may
// become a link late.
func (t *Tree) Add(e Entry) error {
	e.Path = clean(e.Path)
	if e.Path == "." {
		return nil
	}
	if err := cpio.CheckName(e.Path); err != nil {
		return err
	}
	p, err := t.resolveDir(e.Path)
	if err != nil {
		return err
	}
	e.Path = p
	if e.Mode&cpio.TypeMask == cpio.TypeRegular && e.Source == "" {
		e.Size = int64(len(e.Data))
	}
	if e.Source != "" {
		st, err := os.Stat(e.Source)
		if err != nil {
			return fmt.Errorf("image: %s: %w", e.Path, err)
		}
		if !st.Mode().IsRegular() {
			return fmt.Errorf("image: %s: %s is not a regular file", e.Path, e.Source)
		}
		e.Size = st.Size()
	}
	old := t.entries[p]
	switch {
	case old == nil:
		if err := t.parents(p, e.Why); err != nil {
			return err
		}
		t.entries[p] = &e
		return nil
	case old.Mode&cpio.TypeMask == cpio.TypeDir && e.Mode&cpio.TypeMask == cpio.TypeSymlink:
		return t.becomeLink(old, &e)
	case old.Mode&cpio.TypeMask == cpio.TypeSymlink && e.Mode&cpio.TypeMask == cpio.TypeDir:
		_, err := t.resolveDir(p + "/x")
		return err
	}
	same, err := equal(old, &e)
	if err != nil {
		return err
	}
	if !same {
		return fmt.Errorf("image: /%s is wanted for %q and, different, for %q: %w", p, old.Why, e.Why, ErrConflict)
	}
	old.Secret = old.Secret || e.Secret
	return nil
}

// Replace adds an entry in the place of whatever file is there.
func (t *Tree) Replace(e Entry) error {
	p, err := t.resolveDir(clean(e.Path))
	if err != nil {
		return err
	}
	if old := t.entries[p]; old != nil && old.Mode&cpio.TypeMask != cpio.TypeDir {
		delete(t.entries, p)
	}
	return t.Add(e)
}

func (t *Tree) parents(p, why string) error {
	dir := path.Dir(p)
	if dir == "." {
		return nil
	}
	if d := t.entries[dir]; d != nil {
		if d.Mode&cpio.TypeMask != cpio.TypeDir {
			return fmt.Errorf("image: /%s: /%s is a file, not a directory: %w", p, dir, ErrConflict)
		}
		return nil
	}
	if err := t.parents(dir, why); err != nil {
		return err
	}
	t.entries[dir] = &Entry{Path: dir, Mode: cpio.TypeDir | 0o755, Why: why}
	return nil
}

// becomeLink puts a symlink in the place of a directory and moves what the
// directory holds to where the link leads.
func (t *Tree) becomeLink(dir, link *Entry) error {
	var moved []*Entry
	for p, e := range t.entries {
		if strings.HasPrefix(p, dir.Path+"/") {
			moved = append(moved, e)
			delete(t.entries, p)
		}
	}
	t.entries[link.Path] = link
	slices.SortFunc(moved, func(a, b *Entry) int { return strings.Compare(a.Path, b.Path) })
	if len(moved) == 0 {
		return nil
	}
	if err := t.Dir(resolveTarget(link.Path, link.Target), link.Why); err != nil {
		return err
	}
	for _, e := range moved {
		if err := t.Add(*e); err != nil {
			return err
		}
	}
	return nil
}

// resolveDir follows the symlinks among the directories of p.
func (t *Tree) resolveDir(p string) (string, error) {
	rest := strings.Split(p, "/")
	done := ""
	for links := 0; len(rest) > 1; {
		next := path.Join(done, rest[0])
		rest = rest[1:]
		e := t.entries[next]
		if e == nil || e.Mode&cpio.TypeMask != cpio.TypeSymlink {
			done = next
			continue
		}
		if links++; links > 40 {
			return "", fmt.Errorf("image: /%s: too many levels of symlinks", p)
		}
		to := resolveTarget(next, e.Target)
		if to == "." {
			done = ""
			continue
		}
		rest = append(strings.Split(to, "/"), rest...)
		done = ""
	}
	return path.Join(done, rest[0]), nil
}

// resolveTarget is where a link in the image leads: ".." stops at the root,
// as it does for the kernel.
func resolveTarget(link, target string) string {
	if !strings.HasPrefix(target, "/") {
		target = path.Join("/", path.Dir(link), target)
	}
	return clean(target)
}

func clean(p string) string {
	p = path.Clean("/" + p)[1:]
	if p == "" {
		return "."
	}
	return p
}

func equal(a, b *Entry) (bool, error) {
	if a.Mode&cpio.TypeMask == cpio.TypeDir && b.Mode&cpio.TypeMask == cpio.TypeDir {
		return true, nil
	}
	if a.UID != b.UID || a.GID != b.GID {
		return false, nil
	}
	if a.Mode != b.Mode || a.Target != b.Target || a.Major != b.Major || a.Minor != b.Minor || a.Size != b.Size {
		return false, nil
	}
	if a.Mode&cpio.TypeMask != cpio.TypeRegular || (a.Source != "" && a.Source == b.Source) {
		return true, nil
	}
	x, err := a.Content()
	if err != nil {
		return false, err
	}
	y, err := b.Content()
	return bytes.Equal(x, y), err
}

// ModeOf turns a fs.FileMode into the bits of stat(2).
func ModeOf(m fs.FileMode) uint32 {
	out := uint32(m.Perm())
	for _, b := range [...]struct {
		bit  fs.FileMode
		mode uint32
	}{{fs.ModeSetuid, 0o4000}, {fs.ModeSetgid, 0o2000}, {fs.ModeSticky, 0o1000}} {
		if m&b.bit != 0 {
			out |= b.mode
		}
	}
	switch {
	case m.IsDir():
		return out | cpio.TypeDir
	case m&fs.ModeSymlink != 0:
		return out | cpio.TypeSymlink
	case m&fs.ModeCharDevice != 0:
		return out | cpio.TypeChar
	case m&fs.ModeDevice != 0:
		return out | cpio.TypeBlock
	case m&fs.ModeNamedPipe != 0:
		return out | cpio.TypeFIFO
	case m&fs.ModeSocket != 0:
		return out | cpio.TypeSocket
	}
	return out | cpio.TypeRegular
}
