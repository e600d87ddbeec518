package image

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// WriteFile puts the segments into a file, as one image. The file appears
// whole or not at all: it is written beside its place under another name,
// brought to the disk and renamed. A symlink stays and what it points to is
// replaced; a directory or device is refused. perm is the file's mode.
func WriteFile(name string, perm fs.FileMode, segments []*Segment) (size int64, err error) {
	name, err = place(name)
	if err != nil {
		return 0, err
	}
	for _, s := range segments {
		size += int64(len(s.Frame))
	}
	dir := filepath.Dir(name)
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("output %s: %w", name, &fs.PathError{Op: "statfs", Path: dir, Err: err})
	}
	// A file system that reports no blocks at all does not count them.
	if free := int64(st.Bavail) * int64(st.Bsize); st.Blocks > 0 && free < size {
		return 0, fmt.Errorf("output %s: the image needs %d bytes, %s has %d free: %w", name, size, dir, free, unix.ENOSPC)
	}
	f, err := os.CreateTemp(dir, "."+filepath.Base(name)+".new-*") // O_EXCL, mode 0600
	if err != nil {
		return 0, fmt.Errorf("output %s: %w", name, err)
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	for _, s := range segments {
		if _, err := f.Write(s.Frame); err != nil {
			return 0, fmt.Errorf("output %s: %w", name, err)
		}
	}
	if err := f.Chmod(perm); err != nil {
		return 0, fmt.Errorf("output %s: %w", name, err)
	}
	if err := f.Sync(); err != nil {
		return 0, fmt.Errorf("output %s: %w", name, err)
	}
	if err := f.Close(); err != nil {
		return 0, fmt.Errorf("output %s: %w", name, err)
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return 0, fmt.Errorf("output %s: %w", name, err)
	}
	// The image is in place; a directory that cannot be synced (some
	// network and FAT mounts) does not make it wrong.
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
	return size, nil
}

// CheckOutput says whether an image could be written to name, before any
// work is done.
func CheckOutput(name string) error {
	name, err := place(name)
	if err != nil {
		return err
	}
	st, err := os.Stat(filepath.Dir(name))
	if err == nil && !st.IsDir() {
		err = unix.ENOTDIR
	}
	if err == nil {
		err = unix.Access(filepath.Dir(name), unix.W_OK)
	}
	if err != nil {
		return fmt.Errorf("output %s: its directory: %w", name, err)
	}
	return nil
}

func place(name string) (string, error) {
	if name == "" {
		return "", errors.New("output: no file name given")
	}
	st, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if st, lerr := os.Lstat(name); lerr == nil && st.Mode()&fs.ModeSymlink != 0 {
			return "", fmt.Errorf("output %s: it is a symlink that leads nowhere", name)
		}
		return name, nil
	case err != nil:
		return "", fmt.Errorf("output: %w", err)
	case !st.Mode().IsRegular():
		return "", fmt.Errorf("output %s: it is %s; an image is written to a file only", name, kind(st.Mode()))
	}
	real, err := filepath.EvalSymlinks(name)
	if err != nil {
		return "", fmt.Errorf("output: %w", err)
	}
	return real, nil
}

func kind(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "a directory"
	case m&fs.ModeDevice != 0:
		return "a device"
	case m&fs.ModeNamedPipe != 0:
		return "a pipe"
	case m&fs.ModeSocket != 0:
		return "a socket"
	}
	return "not a regular file"
}
