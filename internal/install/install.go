// Package install puts images where a boot loader looks for them, in such a way
// that at no moment there is none: a new image is written beside its place,
// brought to the disk, read again and compared, and renamed; the last one that
// the machine has booted with stays beside it.
//
// It knows nothing of what is in an image. Its effects are those on one
// directory.
package install

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Old is what the name of an image that was replaced ends with.
const Old = ".old"

// Options say what is to be put where.
type Options struct {
	Path   string
	Perm   fs.FileMode // of the file; bits other than its permission are not used
	Frames [][]byte    // the image, in pieces
	// Backup keeps the image before. Which of two, the one before and the one
	// that was kept then, Booted decides.
	Backup bool
	// Booted says whether a machine has started its system with an image,
	// which it is given. Of an image that it cannot know (that of another tool)
	// it says yes. May be nil.
	Booted func(image []byte) bool
	// Waiting is called when another installation in the same directory has to
	// end first. May be nil.
	Waiting func()
	// NoLinks takes the directory for one whose files cannot have two names,
	// as those of FAT, which is found out otherwise.
	NoLinks bool
	// Step is called before each change of the directory, with its name. It is
	// for tests.
	Step func(string)
}

// Result says what was done.
type Result struct {
	Unchanged bool   // the same image was there
	Kept      string // the file that holds the image before; "" if there is none
	Dropped   string // the kept image that had to make room; "" if none had to
}

// SpaceError says that an image does not fit.
type SpaceError struct {
	Dir        string
	Need, Free int64 // bytes
	Images     []string
}

func (e *SpaceError) Error() string {
	text := fmt.Sprintf("%s has %.1f MB free and the image needs %.1f MB; nothing was changed", e.Dir, float64(e.Free)/1e6, float64(e.Need)/1e6)
	if len(e.Images) > 0 {
		text += "; remove kernels that are no longer used: there are"
		for _, n := range e.Images {
			text += " " + n
		}
	}
	return text
}

// Unwrap makes it ENOSPC.
func (e *SpaceError) Unwrap() error { return unix.ENOSPC }

// Put puts an image into its place. After an error the place holds what it held
// before. One that is killed leaves at most a file whose name begins with a
// point, which the next one removes.
func Put(ctx context.Context, o Options) (res Result, err error) {
	path, err := resolve(o.Path)
	if err != nil {
		return res, err
	}
	o.Path = path
	dir, err := o.lock(ctx)
	if err != nil {
		return res, err
	}
	defer dir.Close() // which unlocks it
	if err := o.clean(); err != nil {
		return res, err
	}
	old, err := read(o.Path)
	if err != nil {
		return res, err
	}
	if o.same(old) {
		return Result{Unchanged: true}, o.mode()
	}
	if res.Dropped, err = o.room(old); err != nil {
		return res, err
	}
	if err := o.write(o.temp(), o.Frames, o.Perm); err != nil {
		return res, err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(o.temp())
		}
	}()
	if err := o.verify(); err != nil {
		return res, err
	}
	if res.Kept, err = o.backup(old); err != nil {
		return res, err
	}
	o.step("replace the image")
	if err := os.Rename(o.temp(), o.Path); err != nil {
		return res, fmt.Errorf("image %s: %w", o.Path, err)
	}
	return res, o.syncDir(dir)
}

// Remove takes an image away, with the one that was kept.
func Remove(ctx context.Context, path string) (removed []string, err error) {
	o := Options{Path: path}
	dir, err := o.lock(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	if err := o.clean(); err != nil {
		return nil, err
	}
	for _, name := range []string{path, path + Old} {
		err := os.Remove(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return removed, fmt.Errorf("image %s: %w", name, err)
		}
		removed = append(removed, name)
	}
	return removed, o.syncDir(dir)
}

// resolve follows a link at the image's place: what it points to is replaced.
func resolve(path string) (string, error) {
	st, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return path, nil
	}
	if err == nil && st.Mode()&fs.ModeSymlink != 0 {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			st, err = os.Stat(path)
		}
	}
	if err != nil {
		return "", fmt.Errorf("image %s: %w", path, err)
	}
	if !st.Mode().IsRegular() {
		return "", fmt.Errorf("image %s: it is no regular file", path)
	}
	return path, nil
}

func (o *Options) step(what string) {
	if o.Step != nil {
		o.Step(what)
	}
}

func (o *Options) temp() string {
	return filepath.Join(filepath.Dir(o.Path), "."+filepath.Base(o.Path)+".new")
}

func (o *Options) tempOld() string {
	return filepath.Join(filepath.Dir(o.Path), "."+filepath.Base(o.Path)+Old+".new")
}

// lock keeps other installations out of the directory until it is closed.
func (o *Options) lock(ctx context.Context) (*os.File, error) {
	dir, err := os.Open(filepath.Dir(o.Path))
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", o.Path, err)
	}
	err = unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == unix.EWOULDBLOCK {
		if o.Waiting != nil {
			o.Waiting()
		}
		err = waitLock(ctx, dir)
	}
	if err != nil {
		_ = dir.Close()
		return nil, fmt.Errorf("image %s: the directory cannot be locked: %w", o.Path, err)
	}
	return dir, nil
}

// waitLock waits for the lock, or for the end of the context.
func waitLock(ctx context.Context, dir *os.File) error {
	// It waits by a descriptor of its own, of the same open directory: the other
	// is closed when the context ends, and the lock goes with the last of them.
	fd, err := unix.FcntlInt(dir.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return err
	}
	locked := make(chan error, 1)
	go func() {
		err := unix.Flock(fd, unix.LOCK_EX)
		for err == unix.EINTR {
			err = unix.Flock(fd, unix.LOCK_EX)
		}
		_ = unix.Close(fd)
		locked <- err
	}()
	select {
	case err := <-locked:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// clean removes what an installation that was killed has left.
func (o *Options) clean() error {
	for _, name := range []string{o.temp(), o.tempOld()} {
		if !exists(name) {
			continue // a filesystem that is read-only would not say so
		}
		o.step("remove " + filepath.Base(name))
		if err := os.Remove(name); err != nil {
			return fmt.Errorf("what is left of an installation that was interrupted: %w", err)
		}
	}
	return nil
}

// read returns the image that is there, nil if there is none.
func read(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", path, err)
	}
	return b, nil
}

func (o *Options) size() (n int64) {
	for _, f := range o.Frames {
		n += int64(len(f))
	}
	return n
}

// same says whether the image that is there is the new one.
func (o *Options) same(old []byte) bool {
	if old == nil || int64(len(old)) != o.size() {
		return false
	}
	for _, f := range o.Frames {
		if !bytes.Equal(old[:len(f)], f) {
			return false
		}
		old = old[len(f):]
	}
	return true
}

// mode makes an image that stays as private as the new one would be.
func (o *Options) mode() error {
	st, err := os.Stat(o.Path)
	if err != nil {
		return fmt.Errorf("image %s: %w", o.Path, err)
	}
	if st.Mode().Perm()&^o.Perm.Perm() == 0 {
		return nil
	}
	o.step("change the mode")
	// A filesystem without modes (FAT) has the one of its mount.
	if err := os.Chmod(o.Path, o.Perm.Perm()); err != nil && !errors.Is(err, unix.EPERM) {
		return fmt.Errorf("image %s: %w", o.Path, err)
	}
	return nil
}

// room makes sure that the new image fits beside what is there. A kept image
// that the machine needs no longer, since the one that would be kept now has
// booted, makes room.
func (o *Options) room(old []byte) (dropped string, err error) {
	need := o.size()
	if o.Backup && old != nil && !o.links() {
		need += int64(len(old))
	}
	free, counted, err := freeSpace(filepath.Dir(o.Path))
	if err != nil || !counted || free >= need {
		return "", err
	}
	kept := o.Path + Old
	st, statErr := os.Stat(kept)
	if statErr == nil && free+st.Size() >= need && old != nil && o.booted(old) {
		o.step("remove the kept image")
		if err := os.Remove(kept); err != nil {
			return "", fmt.Errorf("image %s: %w", kept, err)
		}
		return kept, nil
	}
	e := &SpaceError{Dir: filepath.Dir(o.Path), Need: need, Free: free}
	for _, pattern := range []string{"vmlinuz-*", "initrd*", "initramfs*"} {
		found, _ := filepath.Glob(filepath.Join(e.Dir, pattern))
		e.Images = append(e.Images, found...)
	}
	return "", fmt.Errorf("image %s: %w", o.Path, e)
}

func freeSpace(dir string) (free int64, counted bool, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, false, fmt.Errorf("%s: %w", dir, err)
	}
	return int64(st.Bavail) * int64(st.Bsize), st.Blocks > 0, nil
}

// links says whether a file of the directory can have two names.
func (o *Options) links() bool {
	var st unix.Statfs_t
	return !o.NoLinks && unix.Statfs(filepath.Dir(o.Path), &st) == nil && st.Type != unix.MSDOS_SUPER_MAGIC && st.Type != unix.EXFAT_SUPER_MAGIC
}

func (o *Options) booted(image []byte) bool { return o.Booted == nil || o.Booted(image) }

// write makes a file and brings it to the disk.
func (o *Options) write(name string, frames [][]byte, perm fs.FileMode) (err error) {
	o.step("make " + filepath.Base(name))
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("image %s: %w", o.Path, err)
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(name)
			err = fmt.Errorf("image %s: %w", o.Path, err)
		}
	}()
	for _, frame := range frames {
		o.step("write a piece")
		if _, err := f.Write(frame); err != nil {
			return err
		}
	}
	o.step("set the mode")
	if err := f.Chmod(perm.Perm()); err != nil && !errors.Is(err, unix.EPERM) {
		return err
	}
	o.step("bring it to the disk")
	if err := f.Sync(); err != nil {
		return err
	}
	return f.Close()
}

// verify reads the new file again, from the disk as far as the kernel lets go
// of what it remembers, and compares.
func (o *Options) verify() error {
	f, err := os.Open(o.temp())
	if err != nil {
		return fmt.Errorf("image %s: %w", o.Path, err)
	}
	defer f.Close()
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	buf := make([]byte, 1<<20)
	for _, frame := range o.Frames {
		for len(frame) > 0 {
			part := buf[:min(len(buf), len(frame))]
			if _, err := io.ReadFull(f, part); err != nil {
				return fmt.Errorf("image %s: the new file cannot be read: %w", o.Path, err)
			}
			if !bytes.Equal(part, frame[:len(part)]) {
				return fmt.Errorf("image %s: the new file holds something else than what was written: the disk is faulty", o.Path)
			}
			frame = frame[len(part):]
		}
	}
	return nil
}

// backup gives the image that is there a second name.
func (o *Options) backup(old []byte) (kept string, err error) {
	name := o.Path + Old
	if !o.Backup {
		return "", nil
	}
	have := exists(name)
	if old == nil || have && !o.booted(old) {
		// The one that was kept then has booted, or nothing is known to have.
		if have {
			return name, nil
		}
		return "", nil
	}
	st, err := os.Stat(o.Path)
	if err != nil {
		return "", fmt.Errorf("image %s: %w", o.Path, err)
	}
	if other, err := os.Stat(name); err == nil && os.SameFile(st, other) {
		return name, nil // by an installation that was interrupted then
	}
	o.step("give the image before a second name")
	if o.links() {
		err = os.Link(o.Path, o.tempOld())
	} else {
		err = o.write(o.tempOld(), [][]byte{old}, st.Mode())
	}
	if err == nil {
		o.step("keep the image before")
		err = os.Rename(o.tempOld(), name)
	}
	if err != nil {
		_ = os.Remove(o.tempOld())
		return "", fmt.Errorf("image %s: the image before cannot be kept: %w", o.Path, err)
	}
	return name, nil
}

func exists(name string) bool { _, err := os.Lstat(name); return err == nil }

// syncDir brings the new names to the disk. Where a directory cannot be synced
// (some mounts of FAT and of networks) the image is no worse for it.
func (o *Options) syncDir(dir *os.File) error {
	o.step("bring the names to the disk")
	if err := dir.Sync(); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOTSUP) {
		return fmt.Errorf("image %s: %w", o.Path, err)
	}
	return nil
}
