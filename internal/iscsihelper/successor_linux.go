package iscsihelper

import (
	"encoding/binary"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Of linux/connector.h and linux/cn_proc.h: numbers are the machine's, a message has
// the headers of netlink (16 bytes) and of the connector (20 bytes) before it. An
// event is its kind (32 bits), processor (32) and time (64), then, of an execve(2),
// the process and its group (32 each).
const (
	connector   = 11
	processes   = 1
	listenOn    = 1
	kindExec    = 2
	headers     = 16 + 20
	execProcess = headers + 16 + 4
)

// successor returns when another iscsid than our own runs. Where the kernel tells of
// no processes it returns at once: two of them would be worse than none for a while.
func successor(proc int) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, connector)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: processes}); err != nil {
		return
	}
	ask := make([]byte, headers+4)
	put := binary.NativeEndian
	put.PutUint32(ask, uint32(len(ask)))
	put.PutUint16(ask[4:], unix.NLMSG_DONE)
	put.PutUint32(ask[16:], processes) // idx
	put.PutUint32(ask[20:], processes) // val
	put.PutUint16(ask[32:], 4)         // length of what follows
	put.PutUint32(ask[headers:], listenOn)
	if err := unix.Sendto(fd, ask, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return
	}
	if runs(proc) { // since before the question
		return
	}
	buf := make([]byte, 4096)
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.ENOBUFS: // something was missed
		case err != nil:
			return
		default:
			pid, ok := executed(buf[:n])
			if !ok || ours(pid) || command(proc, strconv.Itoa(pid)) != "iscsid" {
				continue
			}
		}
		<-time.NewTimer(overlap).C
		if runs(proc) {
			return
		}
	}
}

// executed is the process that an event is of, if it has executed a program.
func executed(b []byte) (pid int, ok bool) {
	if len(b) < execProcess+4 || binary.NativeEndian.Uint32(b[headers:]) != kindExec {
		return 0, false
	}
	return int(binary.NativeEndian.Uint32(b[execProcess:])), true
}

// ours says whether a process is in the session of this one: iscsid that this program
// has started, or what that has started to look for units.
func ours(pid int) bool {
	mine, err := unix.Getsid(0)
	if err != nil {
		return true
	}
	theirs, err := unix.Getsid(pid)
	return err != nil || mine == theirs
}

// runs says whether there is an iscsid that is not our own. proc is /proc, which is
// elsewhere in the real system.
func runs(proc int) bool {
	fd, err := unix.Openat(proc, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	dir := os.NewFile(uintptr(fd), "proc")
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil && !ours(pid) && command(proc, name) == "iscsid" {
			return true
		}
	}
	return false
}

// command is the name of what a process executes.
func command(proc int, pid string) string {
	fd, err := unix.Openat(proc, pid+"/comm", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	buf := make([]byte, 64)
	n, _ := unix.Read(fd, buf)
	return strings.TrimSpace(string(buf[:max(n, 0)]))
}
