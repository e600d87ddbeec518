package debian

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"firstlight/test/host"
)

// generatorPackages are the initramfs generators of Debian and what they make
// images of the benchmark's rows with.
var generatorPackages = []string{"initramfs-tools", "dracut-core", "busybox", "zstd", "kmod", "udev", "e2fsprogs",
	"cryptsetup", "cryptsetup-initramfs", "lvm2", "mdadm", "dmsetup", "pigz"}

// Chroot is a Debian root in which generators run, so that they see neither
// this machine's /etc nor its /boot.
type Chroot struct{ Dir string }

// Generators returns a fresh chroot in dir, a directory beside the cached
// root that it shares its files with: files must be replaced, not written to.
// It is of the kernel's suite, and has more packages if they are named.
func Generators(ctx context.Context, k Kernel, dir string, more ...string) (Chroot, error) {
	cache, err := host.Cache()
	if err != nil {
		return Chroot{}, err
	}
	packages := slices.Concat(generatorPackages, more)
	base := filepath.Join(cache, "roots", "generators-"+host.Hash([]byte(k.Suite), []byte(strings.Join(packages, ","))))
	err = host.Once(base, func(tmp string) error {
		return mmdebstrap(ctx, k.Suite, tmp, target{format: "directory", name: "root", packages: packages})
	})
	if err != nil {
		return Chroot{}, err
	}
	dir = filepath.Join(filepath.Dir(base), dir)
	if err := host.RemoveAll(dir); err != nil {
		return Chroot{}, fmt.Errorf("chroot: %w", err)
	}
	// Links to the same files: quick, and nothing is copied.
	if _, err := host.Run(ctx, "cp", "-al", filepath.Join(base, "root"), dir); err != nil {
		return Chroot{}, err
	}
	for _, d := range []string{"boot", filepath.Join("usr/lib/modules", k.Release), "out"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return Chroot{}, fmt.Errorf("chroot: %w", err)
		}
	}
	return Chroot{Dir: dir}, nil
}

// Write replaces a file of the chroot.
func (c Chroot) Write(name, text string, perm os.FileMode) error {
	file := filepath.Join(c.Dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("chroot: %w", err)
	}
	if err := os.Remove(file); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("chroot: %w", err)
	}
	if err := os.WriteFile(file, []byte(text), perm); err != nil {
		return fmt.Errorf("chroot: %w", err)
	}
	return nil
}

// Remove removes files of the chroot by a pattern.
func (c Chroot) Remove(pattern string) error {
	names, err := filepath.Glob(filepath.Join(c.Dir, pattern))
	if err != nil {
		return fmt.Errorf("chroot: %w", err)
	}
	for _, n := range names {
		if err := host.RemoveAll(n); err != nil {
			return fmt.Errorf("chroot: %w", err)
		}
	}
	return nil
}

// enter runs a program in a chroot, in a mount namespace of its own that goes
// away with it. The root is mounted on itself, since generators look their
// root up in /proc/mounts.
const enter = `set -e
root=$1 boot=$2 modules=$3 release=$4
shift 4
mount --bind "$root" "$root"
mount --rbind /proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount --bind -o ro "$boot" "$root/boot"
mount --bind -o ro "$modules" "$root/usr/lib/modules/$release"
exec chroot "$root" "$@"
`

// Run runs a program in the chroot and returns how long it took and the time
// that it and its children used the processor.
func (c Chroot) Run(ctx context.Context, k Kernel, argv ...string) (wall, cpu time.Duration, err error) {
	var before, after syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &before); err != nil {
		return 0, 0, fmt.Errorf("chroot: %w", err)
	}
	start := time.Now()
	_, err = host.Cmd{
		Argv: append([]string{"unshare", "--mount", "--propagation", "private", "sh", "-c", enter, "sh",
			c.Dir, filepath.Join(k.Root, "boot"), k.Modules(), k.Release}, argv...),
		Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
	}.Run(ctx)
	wall = time.Since(start)
	if err2 := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &after); err == nil {
		err = err2
	}
	return wall, used(after) - used(before), err
}

func used(r syscall.Rusage) time.Duration {
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
