package snapshot

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"firstlight/internal/sysfs"
	"firstlight/internal/sysroot"
	"firstlight/internal/udevd/builtin/sgio"
)

// Host is the running machine. With prefix the real system's root is mounted
// there and is not this one.
func Host(program, prefix string) Options {
	return Options{Program: program, Root: sysroot.Root(""), Prefix: prefix, Sys: sysfs.Dir("/sys"), Disks: hostDisks{}, Aside: aside, ZFS: zfsTool}
}

// zfsTool runs a tool of ZFS, which tells and changes nothing.
func zfsTool(tool string, args ...string) (string, error) {
	for _, dir := range []string{"/usr/sbin/", "/sbin/", "/usr/local/sbin/"} {
		if _, err := os.Stat(dir + tool); err != nil {
			continue
		}
		cmd := exec.Command(dir+tool, args...)
		cmd.Env = append(os.Environ(), "LC_ALL=C")
		out, err := cmd.Output()
		if err != nil {
			return "", fmt.Errorf("%s %s: %w", tool, args[0], err)
		}
		return string(out), nil
	}
	return "", fmt.Errorf("%s: %w", tool, os.ErrNotExist)
}

// aside opens a filesystem by a mount that has no place in the tree: nobody sees
// it, and it cannot be written through. An option is "name=value" or "name".
func aside(fstype, source string, options ...string) (string, func(), error) {
	fail := func(err error) (string, func(), error) {
		return "", nil, fmt.Errorf("look into the %s on %s (%s): %w", fstype, source, strings.Join(options, ","), err)
	}
	fd, err := unix.Fsopen(fstype, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return fail(err)
	}
	defer unix.Close(fd)
	err = unix.FsconfigSetString(fd, "source", source)
	for _, o := range options {
		switch name, value, valued := strings.Cut(o, "="); {
		case err != nil || o == "":
		case valued:
			err = unix.FsconfigSetString(fd, name, value)
		default:
			err = unix.FsconfigSetFlag(fd, name)
		}
	}
	if err == nil {
		err = unix.FsconfigCreate(fd)
	}
	if err != nil {
		return fail(err)
	}
	dir, err := unix.Fsmount(fd, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOATIME|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOSUID)
	if err != nil {
		return fail(err)
	}
	return fmt.Sprintf("/proc/self/fd/%d", dir), func() { unix.Close(dir) }, nil
}

// hostDisks opens the nodes of this machine.
type hostDisks struct{ sgio.Disks }

type hostDevice struct {
	*os.File
	size   int64
	sector int
}

func (d *hostDevice) Size() int64     { return d.size }
func (d *hostDevice) SectorSize() int { return d.sector }

// held says whether another block device is on top of this one.
func held(node string) bool {
	holders, err := os.ReadDir("/sys/class/block/" + path.Base(node) + "/holders")
	return err == nil && len(holders) > 0
}

func (hostDisks) OpenBlock(node string) (Device, error) {
	fd, err := unix.Open(node, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", node, err)
	}
	f := os.NewFile(uintptr(fd), node)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFBLK {
		f.Close()
		return nil, fmt.Errorf("open %s: it is not a block device", node)
	}
	if held(node) {
		// What a RAID array writes to its members does not go through the cache
		// of their nodes, which may still have what was read before it ran.
		_ = unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED)
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("size of %s: %w", node, err)
	}
	sector, err := unix.IoctlGetInt(fd, unix.BLKSSZGET)
	if err != nil {
		sector = 512
	}
	return &hostDevice{f, size, sector}, nil
}
