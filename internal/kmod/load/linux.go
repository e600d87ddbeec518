package load

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"

	"firstlight/internal/fmt"
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

func compressed(path string) bool {
	return strings.HasSuffix(path, ".xz") || strings.HasSuffix(path, ".zst") || strings.HasSuffix(path, ".gz")
}

// describe says what finit_module's errors mean: their usual texts, "no such
// file or directory" for a missing symbol above all, mislead.
func describe(path string, flags int, err error) error {
	if err == nil {
		return nil
	}
	if flags&initCompressed != 0 && (errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL)) {
		return fmt.Errorf("load %s: %w (%w)", path, ErrCompressed, err)
	}
	meaning := ""
	switch {
	case errors.Is(err, unix.ENOENT):
		meaning = "it needs a symbol that the kernel does not have: "
	case errors.Is(err, unix.ENOEXEC):
		meaning = "it is not a module for this kernel: "
	case errors.Is(err, unix.EKEYREJECTED), errors.Is(err, unix.ENOKEY):
		meaning = "its signature is not accepted: "
	case errors.Is(err, unix.EPERM):
		meaning = "the kernel refuses to load it: "
	case errors.Is(err, unix.ENODEV):
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
