package snapshot

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"firstlight/internal/sysfs"
	"firstlight/internal/sysroot"
	"firstlight/internal/udevd/builtin/sgio"
)

// Host is the running machine. With prefix the real system's root is mounted
// there and is not this one.
func Host(program, prefix string) Options {
	return Options{Program: program, Root: sysroot.Root(""), Prefix: prefix, Sys: sysfs.Dir("/sys"), Disks: hostDisks{}}
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
