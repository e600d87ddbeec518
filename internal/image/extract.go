package image

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"firstlight/internal/image/cpio"
)

// Extract unpacks an image below dir, which must exist. Nothing is ever
// written outside of dir, whatever names and symlinks the image holds.
// Symlinks are written as they are, absolute ones too. Owners are not set, nor
// are set-user-id and its like. Device nodes need root: those that cannot be
// made are given to skipped and passed over, and so is what would take the place
// of a directory with something in it.
func Extract(b []byte, dir string, limits Limits, skipped func(name string, err error)) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("extract: %w", err)
	}
	defer root.Close()
	x := &extractor{root: root, view: View{nodes: map[string]*node{}}, links: map[linkKey]string{}, modes: map[string]fs.FileMode{}, skipped: skipped}
	if err := Walk(b, limits, x.entry); err != nil {
		return err
	}
	// Directories get their modes last, the deepest first: one without write
	// permission would refuse its own content.
	for _, name := range slices.Backward(slices.Sorted(maps.Keys(x.modes))) {
		if err := x.chmod(name, x.modes[name]); err != nil {
			return fmt.Errorf("extract: /%s: %w", name, err)
		}
	}
	return nil
}

// chmod sets the mode of a directory that was made, and never that of what a
// link in its place leads to.
func (x *extractor) chmod(name string, mode fs.FileMode) error {
	if st, err := x.root.Lstat(name); err != nil || !st.IsDir() {
		return err
	}
	return x.root.Chmod(name, mode)
}

type extractor struct {
	root    *os.Root
	view    View // the symlinks written so far, to follow them as the kernel does
	links   map[linkKey]string
	modes   map[string]fs.FileMode
	skipped func(string, error)
}

func (x *extractor) entry(p Part, h *cpio.Header, body io.Reader) error {
	name, err := x.view.resolve(clean(h.Name), false)
	if err != nil {
		return fmt.Errorf("extract: archive %d: %w", p.Index, err)
	}
	if name == "." || name == "" {
		return nil
	}
	if err := x.make(p, h, name, body); err != nil {
		return fmt.Errorf("extract: archive %d: /%s: %w", p.Index, name, err)
	}
	return nil
}

func (x *extractor) make(p Part, h *cpio.Header, name string, body io.Reader) error {
	if err := x.parents(path.Dir(name)); err != nil {
		return err
	}
	if h.Type() == cpio.TypeDir {
		return x.dir(name, fs.FileMode(h.Mode&0o777))
	}
	if ok, err := x.clear(name); !ok {
		return err
	}
	if h.Type() == cpio.TypeRegular && h.Nlink > 1 {
		k := linkKey{p.Index, h.Ino, h.Mode, h.DevMajor, h.DevMinor}
		if first, ok := x.links[k]; ok && first != name && x.link(first, name) {
			if h.Size == 0 {
				return nil
			}
			return x.write(h, name, body, os.O_TRUNC)
		}
		x.links[k] = name
	}
	switch h.Type() {
	case cpio.TypeRegular:
		return x.write(h, name, body, os.O_CREATE|os.O_EXCL)
	case cpio.TypeSymlink:
		if h.Size >= cpio.MaxName {
			return fmt.Errorf("a link target of %d bytes", h.Size)
		}
		target, err := io.ReadAll(body)
		if err != nil {
			return err
		}
		x.view.nodes[name] = &node{h: *h, target: string(target)}
		return x.root.Symlink(string(target), name)
	case cpio.TypeChar, cpio.TypeBlock, cpio.TypeFIFO, cpio.TypeSocket:
		if err := x.node(h, name); err != nil {
			x.skipped(name, err)
		}
		return nil
	}
	return fmt.Errorf("its type %o is unknown", h.Type())
}

// dir makes a directory; a file or a link in its place goes away, as for the
// kernel. Its mode is set at the end.
func (x *extractor) dir(name string, mode fs.FileMode) error {
	st, err := x.root.Lstat(name)
	if err == nil && !st.IsDir() {
		delete(x.view.nodes, name)
		if err := x.root.Remove(name); err != nil {
			return err
		}
	}
	if err != nil || !st.IsDir() {
		if err := x.root.Mkdir(name, 0o755); err != nil {
			return err
		}
	}
	x.modes[name] = mode
	return nil
}

// parents makes the directories above an entry, where they are missing.
func (x *extractor) parents(dir string) error {
	if err := x.root.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("the directory of it: %w", err)
	}
	return nil
}

// clear makes room for what is no directory. It says whether there is: a
// directory with something in it stays, and what was to take its place is
// passed over, as by the kernel.
func (x *extractor) clear(name string) (bool, error) {
	_, err := x.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err == nil {
		err = x.root.Remove(name)
	}
	if errors.Is(err, unix.ENOTEMPTY) {
		x.skipped(name, errors.New("a directory with something in it is there"))
		return false, nil
	}
	delete(x.view.nodes, name)
	delete(x.modes, name)
	return err == nil, err
}

// link makes a hard link, if the file that it is to is still there: an image
// may have put something else in its place.
func (x *extractor) link(first, name string) bool {
	st, err := x.root.Lstat(first)
	return err == nil && st.Mode().IsRegular() && x.root.Link(first, name) == nil
}

func (x *extractor) write(h *cpio.Header, name string, body io.Reader, flags int) error {
	f, err := x.root.OpenFile(name, os.O_WRONLY|flags, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, body)
	if err == nil {
		err = f.Chmod(fs.FileMode(h.Mode & 0o777))
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		at := time.Unix(int64(h.Mtime), 0)
		err = x.root.Chtimes(name, at, at)
	}
	return err
}

// node makes a device node in the parent directory, which is opened within
// the root, so that no symlink leads the call elsewhere.
func (x *extractor) node(h *cpio.Header, name string) error {
	d, err := x.root.Open(path.Dir(name))
	if err != nil {
		return err
	}
	defer d.Close()
	err = unix.Mknodat(int(d.Fd()), path.Base(name), h.Mode, int(unix.Mkdev(h.RdevMajor, h.RdevMinor)))
	if err == nil {
		err = unix.Fchmodat(int(d.Fd()), path.Base(name), h.Mode&0o777, 0)
	}
	return err
}
