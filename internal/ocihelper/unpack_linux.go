package ocihelper

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"firstlight/internal/oci"
)

// tree is what layers are unpacked into. Every name is looked up below it, and links
// lead nowhere else: the system's root is its top.
type tree struct {
	root *os.Root
	// made are the paths that the layer has, which is being unpacked.
	made map[string]bool
	dirs []dated
	left int // devices that were not made
}

// dated is a directory whose time is set when all of the layer is there.
type dated struct {
	path string
	at   time.Time
}

// Bounds: of the entries of a layer, of the memory that a packer may have asked for,
// and of what may follow an archive, in bytes.
const (
	maxEntries = 4 << 20
	maxWindow  = 128 << 20
	maxPadding = 64 << 20
)

// layer unpacks a layer over what is there. Its archive has to be the one that the
// configuration of the image names.
func (t *tree) layer(r io.Reader, l oci.Layer) error {
	switch l.Packing {
	case oci.Gzip:
		z, err := gzip.NewReader(r)
		if err != nil {
			return err
		}
		r = z
	case oci.Zstd:
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return err
		}
		defer z.Close()
		r = z
	}
	sum := sha256.New()
	r = io.TeeReader(r, sum)
	a := tar.NewReader(r)
	t.made, t.dirs = map[string]bool{}, nil
	for n := 0; ; n++ {
		h, err := a.Next()
		if err == io.EOF {
			break
		}
		switch {
		case err != nil:
			return err
		case n == maxEntries:
			return errors.New("it has more than " + strconv.Itoa(maxEntries) + " files")
		}
		if err := t.entry(h, a); err != nil {
			return err
		}
	}
	if n, err := io.CopyN(io.Discard, r, maxPadding); err != io.EOF {
		if err == nil {
			err = errors.New("what follows its archive has more than " + strconv.FormatInt(n, 10) + " bytes")
		}
		return err
	}
	if got := "sha256:" + hex.EncodeToString(sum.Sum(nil)); got != string(l.Diff) {
		return errors.New("what is in it is not what the image's configuration says, but " + got)
	}
	for _, d := range t.dirs {
		if err := t.root.Chtimes(d.path, d.at, d.at); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// dir is the directory of an entry, as a path without links. What is missing of it is
// made; what is there and no directory is taken away.
func (t *tree) dir(parts []string) (string, error) {
	at, err := oci.Resolve(parts, func(p string) (string, error) {
		info, err := t.root.Lstat(p)
		if errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode()&fs.ModeSymlink == 0 {
			return "", nil
		}
		if err != nil {
			return "", err
		}
		return t.root.Readlink(p)
	})
	if err != nil {
		return "", err
	}
	p := "."
	for _, part := range at {
		p = path.Join(p, part)
		info, err := t.root.Lstat(p)
		if err == nil && !info.IsDir() {
			if err = t.root.Remove(p); err == nil {
				err = fs.ErrNotExist
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = t.root.Mkdir(p, 0o755)
		}
		if err != nil {
			return "", err
		}
		t.made[p] = true
	}
	return p, nil
}

// entry makes what an entry says.
func (t *tree) entry(h *tar.Header, content io.Reader) error {
	switch h.Typeflag {
	case tar.TypeXGlobalHeader:
		return nil
	case tar.TypeChar, tar.TypeBlock: // the kernel makes those that there are
		t.left++
		return nil
	}
	e, err := oci.ParseEntry(h.Name)
	if err != nil {
		return err
	}
	if e.Mark == oci.Nothing {
		return nil
	}
	dir, err := t.dir(e.Dir)
	if err != nil {
		return err
	}
	p := path.Join(dir, e.Name)
	switch e.Mark {
	case oci.Opaque:
		return t.empty(dir)
	case oci.Whiteout:
		if t.made[p] { // it is for the layers below
			return nil
		}
		return t.root.RemoveAll(p)
	}
	info, err := t.root.Lstat(p)
	there := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if there && !(h.Typeflag == tar.TypeDir && info.IsDir()) {
		if p == "." {
			return errors.New("it has a root that is no directory")
		}
		if err := t.root.RemoveAll(p); err != nil {
			return err
		}
		there = false
	}
	t.made[p] = true
	switch h.Typeflag {
	case tar.TypeDir:
		if !there {
			if err := t.root.Mkdir(p, 0o700); err != nil {
				return err
			}
		}
		t.dirs = append(t.dirs, dated{p, h.ModTime})
	case tar.TypeReg, tar.TypeGNUSparse:
		if err := t.file(p, h, content); err != nil {
			return err
		}
	case tar.TypeSymlink:
		if h.Linkname == "" {
			return errors.New(h.Name + " is a link to nothing")
		}
		if err := t.root.Symlink(h.Linkname, p); err != nil {
			return err
		}
	case tar.TypeLink:
		return t.link(p, h)
	case tar.TypeFifo:
		if err := t.within(p, func(at string) error { return unix.Mkfifo(at, 0o600) }); err != nil {
			return err
		}
	default:
		return errors.New(h.Name + " is of a kind that is not known")
	}
	return t.meta(p, h)
}

// file writes a file.
func (t *tree) file(p string, h *tar.Header, content io.Reader) error {
	f, err := t.root.OpenFile(p, os.O_CREATE|os.O_EXCL|os.O_WRONLY|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	n, err := io.Copy(f, content)
	if err == nil && n != h.Size {
		err = io.ErrUnexpectedEOF
	}
	return errors.Join(err, f.Close())
}

// link makes another name of a file.
func (t *tree) link(p string, h *tar.Header) error {
	to, err := oci.ParseEntry(h.Linkname)
	if err == nil && (to.Mark != oci.Thing || to.Name == "") {
		err = errors.New("it leads to no file")
	}
	if err != nil {
		return errors.New(h.Name + ": " + err.Error())
	}
	dir, err := t.dir(to.Dir)
	if err != nil {
		return err
	}
	from := path.Join(dir, to.Name)
	if info, err := t.root.Lstat(from); err != nil || info.IsDir() {
		return errors.New(h.Name + " is another name of " + h.Linkname + ", which is no file that is there")
	}
	return t.root.Link(from, p)
}

// within has f called with a path of p that leads over no link of the tree.
func (t *tree) within(p string, f func(at string) error) error {
	d, err := t.root.Open(path.Dir(p))
	if err != nil {
		return err
	}
	defer d.Close()
	return f("/proc/self/fd/" + strconv.Itoa(int(d.Fd())) + "/" + path.Base(p))
}

// meta sets owner, mode, time and attributes. The owner comes first: the kernel takes
// away with it what a program may do.
func (t *tree) meta(p string, h *tar.Header) error {
	if err := t.root.Lchown(p, h.Uid, h.Gid); err != nil {
		return err
	}
	if h.Typeflag != tar.TypeSymlink {
		if err := t.root.Chmod(p, modeOf(h.Mode)); err != nil {
			return err
		}
	}
	for name, value := range h.PAXRecords {
		name, ok := strings.CutPrefix(name, "SCHILY.xattr.")
		if !ok || name == "" || h.Typeflag == tar.TypeSymlink {
			continue
		}
		err := t.within(p, func(at string) error { return unix.Lsetxattr(at, name, []byte(value), 0) })
		// Files in memory have not all attributes that those of a disk have. What a
		// program may do has to be there.
		if err != nil && !(errors.Is(err, unix.EOPNOTSUPP) && name != "security.capability") {
			return errors.New(h.Name + " is to have the attribute " + name + ": " + err.Error())
		}
	}
	if h.Typeflag == tar.TypeDir {
		return nil
	}
	at := unix.NsecToTimespec(h.ModTime.UnixNano())
	return t.within(p, func(name string) error {
		return unix.UtimesNanoAt(unix.AT_FDCWD, name, []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW)
	})
}

// modeOf is a mode of an archive.
func modeOf(m int64) fs.FileMode {
	mode := fs.FileMode(m & 0o777)
	for bit, as := range map[int64]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if m&bit != 0 {
			mode |= as
		}
	}
	return mode
}

// empty takes away what a directory has from the layers below.
func (t *tree) empty(dir string) error {
	d, err := t.root.Open(dir)
	if err != nil {
		return err
	}
	list, err := d.ReadDir(-1)
	if err = errors.Join(err, d.Close()); err != nil {
		return err
	}
	for _, e := range list {
		p := path.Join(dir, e.Name())
		switch {
		case !t.made[p]:
			err = t.root.RemoveAll(p)
		case e.IsDir():
			err = t.empty(p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
