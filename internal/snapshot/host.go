package snapshot

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"firstlight/internal/sysfs"
	"firstlight/internal/sysroot"
	"firstlight/internal/udevd/builtin/sgio"
)

// Host is the running machine. With prefix the real system's root is mounted
// there and is not this one.
func Host(program, prefix string) Options {
	return Options{Program: program, Root: sysroot.Root(""), Prefix: prefix, Sys: sysfs.Dir("/sys"), Disks: hostDisks{}, Aside: aside}
}

// aside opens a subvolume of a btrfs that is mounted, by a mount that has no
// place in the tree: nobody sees it, and nothing is written, since the
// filesystem itself is the one that is in use, and readOnly is what it is.
func aside(source, option string, readOnly bool) (string, func(), error) {
	fail := func(err error) (string, func(), error) {
		return "", nil, fmt.Errorf("look at %s of the btrfs on %s: %w", cmp.Or(option, "the default subvolume"), source, err)
	}
	fd, err := unix.Fsopen("btrfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return fail(err)
	}
	defer unix.Close(fd)
	if readOnly {
		err = unix.FsconfigSetFlag(fd, "ro")
	}
	name, value, _ := strings.Cut(option, "=")
	if err == nil && name != "" {
		err = unix.FsconfigSetString(fd, name, value)
	}
	if err == nil {
		err = unix.FsconfigSetString(fd, "source", source)
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
