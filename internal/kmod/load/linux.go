package load

import (
	"errors"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"firstlight/internal/fmt"
	"firstlight/internal/kmod/columns"
)

// ErrCompressed is returned for a compressed module that the kernel cannot
// decompress: it can from 5.17 on, if built with CONFIG_MODULE_DECOMPRESS,
// and only the one format that its own modules are compressed with.
var ErrCompressed = errors.New("the kernel cannot decompress this module; the image must hold it uncompressed")

// initCompressed is MODULE_INIT_COMPRESSED_FILE of finit_module(2).
const initCompressed = 4

// Linux is the running kernel.
type Linux struct {
	// Sys is where sysfs is mounted; "" means "/sys".
	Sys string
}

// Loaded implements Kernel by /sys/module/NAME/initstate, which reads "live".
// A built-in module has no such file.
func (k Linux) Loaded(name string) bool {
	sys := k.Sys
	if sys == "" {
		sys = "/sys"
	}
	fd, err := retry(func() (int, error) {
		return unix.Open(sys+"/module/"+name+"/initstate", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	var buf [16]byte
	n, err := retry(func() (int, error) { return unix.Read(fd, buf[:]) })
	return err == nil && strings.TrimSpace(string(buf[:n])) == "live"
}

// Load implements Kernel by finit_module(2). A file that ends in .xz, .zst or
// .gz is left to the kernel to decompress and gives ErrCompressed if it
// cannot.
func (Linux) Load(path, params string) error {
	fd, err := retry(func() (int, error) { return unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0) })
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	defer unix.Close(fd)
	flags := 0
	if compressed(path) {
		flags = initCompressed
	}
	_, err = retry(func() (int, error) { return 0, unix.FinitModule(fd, params, flags) })
	return describe(path, flags, err)
}

// Columns is the running kernel, for an image whose modules may be laid out by
// columns: such a one is made what it was before the kernel gets it.
type Columns struct{ Linux }

// Load implements Kernel.
func (c Columns) Load(path, params string) error {
	fd, err := retry(func() (int, error) { return unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0) })
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	b, is, err := arranged(fd)
	unix.Close(fd)
	if err != nil {
		return fmt.Errorf("load %s: %w", path, err)
	}
	if !is {
		return c.Linux.Load(path, params)
	}
	defer unix.MunmapPtr(unsafe.Pointer(&b[0]), uintptr(len(b)))
	if err := columns.Restore(b); err != nil {
		return fmt.Errorf("load %s: %w", path, err)
	}
	_, err = retry(func() (int, error) { return 0, unix.InitModule(b, params) })
	return describe(path, 0, err)
}

// arranged returns a copy of a module that is laid out by columns, in pages of
// their own that the caller gives back: it can have megabytes.
func arranged(fd int) (b []byte, is bool, err error) {
	var head [len(columns.Magic)]byte
	n, err := retry(func() (int, error) { return unix.Pread(fd, head[:], 0) })
	if err != nil || !columns.Is(head[:n]) {
		return nil, false, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, false, err
	}
	p, err := unix.MmapPtr(fd, 0, nil, uintptr(st.Size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
	if err != nil {
		return nil, false, err
	}
	return unsafe.Slice((*byte)(p), st.Size), true, nil
}

func compressed(path string) bool {
	return strings.HasSuffix(path, ".xz") || strings.HasSuffix(path, ".zst") || strings.HasSuffix(path, ".gz")
}

// describe says what finit_module's errors mean: their usual texts, "no such
// file or directory" for a missing symbol above all, mislead.
func describe(path string, flags int, err error) error {
	if err == nil {
		return nil
	}
	errno, _ := err.(unix.Errno)
	if flags&initCompressed != 0 && (errno == unix.EOPNOTSUPP || errno == unix.EINVAL) {
		return fmt.Errorf("load %s: %w (%w)", path, ErrCompressed, err)
	}
	meaning := ""
	switch errno {
	case unix.ENOENT:
		meaning = "it needs a symbol that the kernel does not have: "
	case unix.ENOEXEC:
		meaning = "it is not a module for this kernel: "
	case unix.EKEYREJECTED, unix.ENOKEY:
		meaning = "its signature is not accepted: "
	case unix.EPERM:
		meaning = "the kernel refuses to load it: "
	case unix.ENODEV:
		meaning = "there is nothing for it to drive: "
	}
	return fmt.Errorf("load %s: %s%w", path, meaning, err)
}

func retry(f func() (int, error)) (int, error) {
	for {
		n, err := f()
		if err != unix.EINTR {
			return n, err
		}
	}
}
