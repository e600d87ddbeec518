package pid1

import (
	"golang.org/x/sys/unix"

	"firstlight/internal/fmt"
	"firstlight/internal/sysfile"
)

// apiMount is a filesystem of the kernel's that everything else stands on.
type apiMount struct {
	source, target, fstype string
	flags                  uintptr
	data                   string
	optional               bool
}

// apiMounts are mounted in this order. /run is what systemd wants of an
// initrd: a tmpfs with mode 0755 that is moved into the real system.
func apiMounts() []apiMount {
	const noexec = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	return []apiMount{
		{"proc", "/proc", "proc", noexec, "", false},
		{"sysfs", "/sys", "sysfs", noexec, "", false},
		{"devtmpfs", "/dev", "devtmpfs", unix.MS_NOSUID | unix.MS_STRICTATIME, "mode=0755", false},
		{"tmpfs", "/run", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_STRICTATIME, "mode=0755", false},
	}
}

// setup makes the tree that a process expects: the kernel's filesystems, the
// links of /dev, and the directory of our own records.
func setup() error {
	unix.Umask(0o022)
	for _, m := range apiMounts() {
		if err := sysfile.MkdirAll(m.target, 0o755); err != nil {
			return fmt.Errorf("setup: %w", err)
		}
		if err := unix.Mount(m.source, m.target, m.fstype, m.flags, m.data); err != nil && err != unix.EBUSY {
			if m.optional {
				continue
			}
			return fmt.Errorf("setup: mount %s on %s: %w", m.fstype, m.target, err)
		}
	}
	for link, target := range map[string]string{"/dev/fd": "/proc/self/fd", "/dev/stdin": "/proc/self/fd/0",
		"/dev/stdout": "/proc/self/fd/1", "/dev/stderr": "/proc/self/fd/2"} {
		sysfile.Symlink(target, link)
	}
	for _, dir := range []string{runDir, "/run/initramfs", "/run/lock"} {
		if err := sysfile.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("setup: %w", err)
		}
	}
	return nil
}

// runDir holds what the real system can read of this boot.
const runDir = "/run/firstlight"

// clearLimits lifts what a boot with many devices would run into.
func clearLimits() {
	unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 65536, Max: 524288})
}
