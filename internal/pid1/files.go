package pid1

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"firstlight/internal/fmt"
	"firstlight/internal/machine"
	"firstlight/internal/sysfile"
	"firstlight/internal/sysfs"
)

// files implements machine.Files.
type files struct{ sys sysfs.Dir }

func (files) ReadFile(name string, max int64) ([]byte, error) { return readBounded(name, max) }

func readBounded(name string, max int64) ([]byte, error) {
	f, err := sysfile.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readMax(f, name, max)
}

// readMax reads a file that may be a key: a buffer that grows would leave
// copies of it in memory, so that one that has to is wiped.
func readMax(f *sysfile.File, name string, max int64) ([]byte, error) {
	size := int64(512)
	if st, err := f.Stat(); err == nil && st.Size > 0 {
		size = st.Size
	}
	b := make([]byte, 0, min(size, max)+1)
	for int64(len(b)) <= max {
		if len(b) == cap(b) {
			old := b
			b = append(make([]byte, 0, 2*cap(old)), old...)
			clear(old)
		}
		n, err := f.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err == io.EOF {
			break
		}
		if err != nil {
			clear(b)
			return nil, err
		}
	}
	if int64(len(b)) > max {
		clear(b)
		return nil, fmt.Errorf("%s is larger than %d bytes", name, max)
	}
	return b, nil
}

// openIn opens p inside root as a process with that root directory would:
// openat2(2) with RESOLVE_IN_ROOT.
func openIn(root, p string, flags uint64) (*sysfile.File, error) {
	dir, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", root, err)
	}
	defer unix.Close(dir)
	for {
		fd, err := unix.Openat2(dir, strings.TrimPrefix(p, "/"), &unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT})
		if err == unix.EINTR || err == unix.EAGAIN {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("open %s in %s: %w", p, root, err)
		}
		return sysfile.New(fd, path.Join(root, p)), nil
	}
}

func (files) InRoot(root, p string) (machine.FileInfo, error) {
	f, err := openIn(root, p, unix.O_PATH)
	if err != nil {
		return machine.FileInfo{}, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return machine.FileInfo{}, err
	}
	real, err := sysfile.Readlink(fmt.Sprintf("/proc/self/fd/%d", f.FD()))
	if err != nil {
		return machine.FileInfo{}, err
	}
	if inside, ok := strings.CutPrefix(real, root); ok && root != "/" {
		real = "/" + strings.TrimPrefix(inside, "/")
	}
	return machine.FileInfo{Path: real, Mode: st.Mode, Size: st.Size}, nil
}

func (files) ReadInRoot(root, p string, max int64) ([]byte, error) {
	f, err := openIn(root, p, unix.O_RDONLY|unix.O_NOCTTY|unix.O_NONBLOCK)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readMax(f, p, max)
}

func (files) WriteFile(name string, data []byte, mode fs.FileMode) error {
	if !strings.HasPrefix(path.Clean(name), "/run/") {
		return fmt.Errorf("write %s: only files below /run are written", name)
	}
	if err := sysfile.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	tmp := name + ".new"
	if err := sysfile.WriteFile(tmp, data, mode); err != nil {
		return err
	}
	return sysfile.Rename(tmp, name)
}

// WriteOnce implements machine.Files. A file of efivarfs is made as it is
// written; one that is there is made writable first, as the kernel protects
// variables that it does not know.
func (files) WriteOnce(name string, data []byte) error {
	flags := unix.O_WRONLY | unix.O_CLOEXEC
	if name != "/dev/pmsg0" && name != "/dev/kmsg" {
		if !strings.HasPrefix(name, runDir+"/efivars/") {
			return fmt.Errorf("write %s: neither the persistent store, the kernel's log nor a variable", name)
		}
		flags |= unix.O_CREAT
		if fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0); err == nil {
			unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, 0)
			unix.Close(fd)
		}
	}
	fd, err := unix.Open(name, flags, 0o600)
	if err == nil {
		var n int
		if n, err = unix.Write(fd, data); err == nil && n != len(data) {
			err = io.ErrShortWrite
		}
		unix.Close(fd)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

func underDev(p string) error {
	if !strings.HasPrefix(p, "/dev/") || path.Clean(p) != p {
		return fmt.Errorf("%s is not a name below /dev", p)
	}
	return nil
}

func (files) Link(target, p string) error {
	if err := underDev(p); err != nil && (!strings.HasPrefix(p, "/run/") || path.Clean(p) != p) {
		return fmt.Errorf("link: %w", err)
	}
	if st, err := sysfile.Lstat(p); err == nil && st.Mode&fs.ModeSymlink == 0 && !sameNode(p, target) {
		return fmt.Errorf("link %s: a device node has that name", p)
	}
	err := sysfile.Symlink(target, p)
	if errors.Is(err, fs.ErrNotExist) {
		if err = sysfile.MkdirAll(path.Dir(p), 0o755); err != nil {
			return err
		}
		err = sysfile.Symlink(target, p)
	}
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	tmp := p + ".firstlight"
	sysfile.Remove(tmp)
	if err := sysfile.Symlink(target, tmp); err != nil {
		return err
	}
	return sysfile.Rename(tmp, p)
}

// sameNode says whether p is a node of the device that a link there is to lead
// to, as tools make one that do without udev. The link may take its place.
func sameNode(p, target string) bool {
	if !path.IsAbs(target) {
		target = path.Join(path.Dir(p), target)
	}
	var there, want unix.Stat_t
	return unix.Lstat(p, &there) == nil && unix.Stat(target, &want) == nil &&
		there.Mode&unix.S_IFMT == unix.S_IFBLK && want.Mode&unix.S_IFMT == unix.S_IFBLK && there.Rdev == want.Rdev
}

func (files) Unlink(p string) error {
	if err := underDev(p); err != nil {
		return fmt.Errorf("unlink: %w", err)
	}
	st, err := sysfile.Lstat(p)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if st.Mode&fs.ModeSymlink == 0 {
		return fmt.Errorf("unlink %s: not a link", p)
	}
	if err := sysfile.Remove(p); err != nil {
		return err
	}
	for dir := path.Dir(p); dir != "/dev" && sysfile.Remove(dir) == nil; dir = path.Dir(dir) {
	}
	return nil
}

func (files) SetNode(name string, uid, gid *int, mode *fs.FileMode) error {
	if err := underDev(name); err != nil {
		return fmt.Errorf("set owner: %w", err)
	}
	if mode != nil {
		if err := sysfile.Chmod(name, *mode); err != nil {
			return err
		}
	}
	if uid == nil && gid == nil {
		return nil
	}
	u, g := -1, -1
	if uid != nil {
		u = *uid
	}
	if gid != nil {
		g = *gid
	}
	return sysfile.Lchown(name, u, g)
}

func (f files) WriteSysfs(p, value string) error { return f.sys.Write(p, value) }

func (f files) WaitSysfs(p, value string) error { return f.sys.Wait(p, value) }

func (files) Mkdir(p string, mode fs.FileMode) error { return sysfile.MkdirAll(p, mode) }
