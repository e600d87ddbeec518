package iscsihelper

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"firstlight/internal/fmt"
	"firstlight/internal/iscsiup"
)

// find looks below sys for the units that the sessions to a target have by its
// portal, how many are disks, and for the one that is wanted.
func find(sys string, t iscsiup.Target) (units []uint64, disks int, device string) {
	addr, port := t.Portal()
	sessions, _ := filepath.Glob(sys + "/class/iscsi_session/session*")
	for _, s := range sessions {
		n := strings.TrimPrefix(filepath.Base(s), "session")
		conn := sys + "/class/iscsi_connection/connection" + n + ":0/"
		if attr(s+"/targetname") != t.ISCSITarget.Name || attr(conn+"persistent_address") != addr || attr(conn+"persistent_port") != port {
			continue
		}
		list, _ := filepath.Glob(s + "/device/target*/*:*:*:*")
		for _, dir := range list {
			f := strings.Split(filepath.Base(dir), ":")
			unit, err := strconv.ParseUint(f[len(f)-1], 10, 64)
			if err != nil {
				continue
			}
			units = append(units, unit)
			blocks, _ := filepath.Glob(dir + "/block/*")
			disks += len(blocks)
			if unit == t.Unit() && len(blocks) == 1 {
				device = "/dev/" + filepath.Base(blocks[0])
			}
		}
	}
	return units, disks, device
}

func attr(name string) string {
	b, _ := os.ReadFile(name)
	return strings.TrimSpace(string(b))
}

// listen opens the kernel's events of devices.
func listen() (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_KOBJECT_UEVENT)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1})
	}
	if err != nil {
		return -1, fmt.Errorf("listen to the kernel's events of devices: %w", err)
	}
	return fd, nil
}

// watch says whenever something about block devices is new, or was missed.
func watch(fd int, news chan<- error) {
	buf := make([]byte, 16<<10)
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		switch {
		case err == unix.EINTR:
		case err == unix.ENOBUFS, err == nil && bytes.Contains(buf[:n], []byte("\x00SUBSYSTEM=block\x00")):
			news <- nil
		case err != nil:
			news <- fmt.Errorf("listen to the kernel's events of devices: %w", err)
			return
		}
	}
}
