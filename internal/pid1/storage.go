package pid1

import (
	"errors"
	"io"
	"slices"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"firstlight/internal/blkread"
	"firstlight/internal/fmt"
	"firstlight/internal/machine"
	"firstlight/internal/sysfile"
	"firstlight/internal/udevd/builtin/sgio"
)

// blockDevice is an open block device.
type blockDevice struct {
	*sysfile.File
	*buffers
	size   int64
	sector int
}

// directSize is from where on a read goes past the kernel's cache. What is read
// in one large piece is looked at once, and for the cache each page of it would
// be cleared, filled and copied from. What is small may be read again.
const directSize = blkread.MinWindow

// ReadAt implements io.ReaderAt.
func (b *blockDevice) ReadAt(p []byte, off int64) (int, error) {
	sector := int64(max(b.sector, 512))
	if len(p) < directSize || (off|int64(len(p))|int64(uintptr(unsafe.Pointer(&p[0]))))%sector != 0 || !b.direct(true) {
		return b.File.ReadAt(p, off)
	}
	n, err := b.File.ReadAt(p, off)
	b.direct(false)
	if errors.Is(err, unix.EINVAL) { // the device wants it otherwise
		return b.File.ReadAt(p, off)
	}
	return n, err
}

// direct says whether what follows goes past the cache, and whether that works.
func (b *blockDevice) direct(on bool) bool {
	flags := unix.O_NONBLOCK // as in OpenBlock
	if on {
		flags |= unix.O_DIRECT
	}
	_, err := unix.FcntlInt(uintptr(b.FD()), unix.F_SETFL, flags)
	return err == nil
}

// buffers lends memory to what reads devices (blkread.Lender).
type buffers struct {
	mu   sync.Mutex
	free [][]byte
}

// keepBuffers bounds what is kept: four windows for each of four devices that
// are read at a time.
const keepBuffers = 16

// Borrow implements blkread.Lender. Small pieces are not worth keeping.
func (b *buffers) Borrow(n int) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, f := range b.free {
		if cap(f) >= n && cap(f)/2 <= n {
			b.free = slices.Delete(b.free, i, i+1)
			return f[:n]
		}
	}
	return make([]byte, n)
}

// Return implements blkread.Lender.
func (b *buffers) Return(p []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if cap(p) >= blkread.MinWindow && cap(p) <= blkread.MaxWindow && len(b.free) < keepBuffers {
		b.free = append(b.free, p)
	}
}

func (b *blockDevice) Size() int64     { return b.size }
func (b *blockDevice) SectorSize() int { return b.sector }

// storage implements machine.Storage; modules loads the btrfs driver.
type storage struct {
	sgio.Disks
	modules machine.Modules
	buffers *buffers
}

func (s storage) OpenBlock(name string) (machine.Block, error) {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	f := sysfile.New(fd, name)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		f.Close()
		return nil, fmt.Errorf("stat %s: %w", name, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFBLK {
		f.Close()
		return nil, fmt.Errorf("%s is not a block device", name)
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("size of %s: %w", name, err)
	}
	sector, err := unix.IoctlGetInt(fd, unix.BLKSSZGET)
	if err != nil {
		sector = 512
	}
	return &blockDevice{f, s.buffers, size, sector}, nil
}

// The btrfs control device's ioctls (include/uapi/linux/btrfs.h): all take a
// struct btrfs_ioctl_vol_args of 8 + 4088 bytes.
const (
	btrfsScanDev      = 0x50009404
	btrfsForgetDev    = 0x50009405
	btrfsDevicesReady = 0x90009427
	btrfsControl      = "/dev/btrfs-control"
)

type btrfsVolArgs struct {
	fd   int64
	name [4088]byte
}

func (s storage) btrfs(name string, request uintptr) (int, error) {
	if err := s.modules.Load("btrfs"); err != nil {
		return 0, err
	}
	var args btrfsVolArgs
	if len(name) >= len(args.name) {
		return 0, fmt.Errorf("btrfs: name %.40q… is too long", name)
	}
	copy(args.name[:], name)
	fd, err := unix.Open(btrfsControl, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("btrfs: open %s: %w", btrfsControl, err)
	}
	defer unix.Close(fd)
	r, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(unsafe.Pointer(&args)))
	if errno != 0 {
		return 0, fmt.Errorf("btrfs: %s: %w", name, errno)
	}
	return int(r), nil
}

func (s storage) BtrfsScan(name string) error {
	_, err := s.btrfs(name, btrfsScanDev)
	return err
}

func (s storage) BtrfsForget(name string) error {
	_, err := s.btrfs(name, btrfsForgetDev)
	return err
}

func (s storage) BtrfsReady(name string) (bool, error) {
	r, err := s.btrfs(name, btrfsDevicesReady)
	return r == 0 && err == nil, err
}
