package image

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"time"

	"golang.org/x/sys/unix"

	"firstlight/internal/image/cpio"
)

// Extract unpacks an image below dir, which must exist. Nothing is ever
// written outside of dir, whatever names and symlinks the image holds.
// Symlinks are written as they are, absolute ones too. Owners are not set;
// device nodes need root: those that cannot be made are given to skipped and
// passed over.
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
	// Directories get their modes last: one without write permission would
	// refuse its own content.
	for name, mode := range x.modes {
		if err := root.Chmod(name, mode); err != nil {
			return fmt.Errorf("extract: %w", err)
		}
	}
	return nil
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
	if err := x.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	mode := fs.FileMode(h.Mode & 0o777)
	if h.Type() == cpio.TypeDir {
		// The kernel, too, keeps a directory or a link to one that is there.
		if n := x.view.nodes[name]; n != nil {
			to, err := x.view.resolve(name, true)
			if err != nil {
				return err
			}
			return x.root.MkdirAll(to, 0o755)
		}
		err := x.root.Mkdir(name, 0o755)
		if errors.Is(err, fs.ErrExist) {
			if st, serr := x.root.Stat(name); serr == nil && st.IsDir() {
				err = nil
			}
		}
		x.modes[name] = mode
		return err
	}
	if h.Type() == cpio.TypeRegular && h.Nlink > 1 {
		k := linkKey{p.Index, h.Ino, h.Mode, h.DevMajor, h.DevMinor}
		if first, ok := x.links[k]; ok && first != name {
			if err := x.clear(name); err != nil {
				return err
			}
			if err := x.root.Link(first, name); err != nil {
				return err
			}
			if h.Size == 0 {
				return nil
			}
			return x.write(name, mode, body, os.O_TRUNC)
		}
		x.links[k] = name
	}
	if err := x.clear(name); err != nil {
		return err
	}
	switch h.Type() {
	case cpio.TypeRegular:
		return x.write(name, mode, body, os.O_CREATE|os.O_EXCL)
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

func (x *extractor) clear(name string) error {
	st, err := x.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && st.IsDir() {
		return errors.New("a directory is there already")
	}
	if err == nil {
		delete(x.view.nodes, name)
		err = x.root.Remove(name)
	}
	return err
}

func (x *extractor) write(name string, mode fs.FileMode, body io.Reader, flags int) error {
	f, err := x.root.OpenFile(name, os.O_WRONLY|flags, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, body)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = os.Chtimes(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), time.Unix(0, 0), time.Unix(0, 0))
	}
	if cerr := f.Close(); err == nil {
		err = cerr
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
