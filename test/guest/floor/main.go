// Floor is the least that an initramfs can be: it loads exactly the modules
// that it is told to, waits for the uevent of one block device, mounts it and
// starts the real init. It is what Firstlight's speed is measured against,
// and what the harness tests itself with.
//
// /floor holds the device's name ("vda1"), the type of the filesystem, and
// the paths of modules in the order of loading, one a line.
package main

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

func main() {
	if err := boot(); err != nil {
		fmt.Println("floor:", err)
	}
	unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
}

func boot() error {
	for _, m := range [...][2]string{{"devtmpfs", "/dev"}, {"proc", "/proc"}, {"sysfs", "/sys"}, {"tmpfs", "/run"}} {
		if err := unix.Mount(m[0], m[1], m[0], 0, ""); err != nil && err != unix.EBUSY {
			return fmt.Errorf("mount %s: %w", m[1], err)
		}
	}
	b, err := os.ReadFile("/floor")
	if err != nil {
		return err
	}
	f := strings.Fields(string(b))
	device, fstype, modules := f[0], f[1], f[2:]
	uevents, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return fmt.Errorf("uevents: %w", err)
	}
	if err := unix.Bind(uevents, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1}); err != nil {
		return fmt.Errorf("uevents: %w", err)
	}
	for _, m := range modules {
		if err := load(m); err != nil {
			return err
		}
	}
	var st unix.Stat_t
	for buf := make([]byte, 16384); unix.Stat("/dev/"+device, &st) != nil; {
		if _, _, err := unix.Recvfrom(uevents, buf, 0); err != nil && err != unix.EINTR && err != unix.ENOBUFS {
			return fmt.Errorf("uevents: %w", err)
		}
	}
	if err := unix.Mount("/dev/"+device, "/root", fstype, unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("mount %s: %w", device, err)
	}
	for _, dir := range [...]string{"/dev", "/proc", "/sys", "/run"} {
		if err := unix.Mount(dir, "/root"+dir, "", unix.MS_MOVE, ""); err != nil {
			return fmt.Errorf("move %s: %w", dir, err)
		}
	}
	if err := unix.Chdir("/root"); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move the root: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return err
	}
	return unix.Exec("/sbin/init", []string{"/sbin/init"}, os.Environ())
}

func load(file string) error {
	fd, err := unix.Open(file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("load %s: %w", file, err)
	}
	defer unix.Close(fd)
	if err := unix.FinitModule(fd, "", 0); err != nil && err != unix.EEXIST {
		return fmt.Errorf("load %s: %w", file, err)
	}
	return nil
}
