package iscsihelper

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"firstlight/internal/fmt"
	"firstlight/internal/iscsiup"
	"firstlight/internal/netreport"
)

// socketName is where iscsiadm finds iscsid, in the abstract namespace; ownSocket is
// where this program finds the iscsid that it has started, so that the other name
// can be given back.
const (
	socketName = "@ISCSIADM_ABSTRACT_NAMESPACE"
	ownSocket  = "@firstlight/iscsid"
)

// overlap is how long iscsid stays once that of the real system was started: until
// then the other one is in memory and knows the sessions.
const overlap = time.Second

// Daemon runs iscsid, which keeps the sessions and connects again what breaks, until
// the iscsid of the real system is there. What iscsiadm says to it goes through this
// program, and what it says goes to the boot. It returns an error, or nil when the
// other one has taken over.
func Daemon(text string, out int) error {
	name, made, err := iscsiup.Initiator(text, sources())
	if err != nil {
		return err
	}
	if err := prepare(name); err != nil {
		return err
	}
	if _, err := exec.LookPath("iscsid"); err != nil {
		return fmt.Errorf("iscsid is not in the image: %w", err)
	}
	stay()
	asked, err := net.Listen("unix", socketName)
	if err != nil {
		return fmt.Errorf("make the socket of iscsid: %w", err)
	}
	own, err := net.Listen("unix", ownSocket)
	if err != nil {
		return fmt.Errorf("make the socket of iscsid: %w", err)
	}
	socket, err := own.(*net.UnixListener).File()
	if err != nil {
		return fmt.Errorf("make the socket of iscsid: %w", err)
	}
	iscsid := exec.Command("/proc/self/exe", "become")
	iscsid.ExtraFiles = []*os.File{socket} // the descriptor 3, see sd_listen_fds(3)
	iscsid.Stdout, iscsid.Stderr = speaker(out), speaker(out)
	if err := iscsid.Start(); err != nil {
		return fmt.Errorf("start iscsid: %w", err)
	}
	go relay(asked)
	text = "this machine is " + name
	if made {
		text += ", made of its UUID"
	}
	say(out, netreport.Report{State: netreport.StateDisk}.With("subject", "iSCSI").With("condition", "there").With("text", text))
	proc, err := unix.Open("/proc", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open /proc: %w", err)
	}
	go func() {
		left(out)
		asked.Close() // the name is the real system's from here on
		successor(proc)
		iscsid.Process.Kill()
		os.Exit(0)
	}()
	if err := iscsid.Wait(); err != nil {
		return fmt.Errorf("iscsid has ended: %w", err)
	}
	return errors.New("iscsid has ended")
}

// prepare makes what iscsid wants to find.
func prepare(name string) error {
	for _, dir := range []string{"/etc/iscsi", nodes, "/run/lock/iscsi"} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make %s: %w", dir, err)
		}
	}
	if err := os.WriteFile(iscsiup.FileInitiator, []byte("InitiatorName="+name+"\n"), 0o600); err != nil {
		return fmt.Errorf("name this machine for iSCSI: %w", err)
	}
	// It talks to nobody but the user whose name is root.
	for file, text := range map[string]string{"/etc/iscsi/iscsid.conf": "# nothing is said\n", "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\n"} {
		if _, err := os.Stat(file); err == nil {
			continue
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return fmt.Errorf("make %s: %w", file, err)
		}
	}
	return nil
}

// Become is the process that becomes iscsid: the socket that is handed over is for
// the process of this number. Its name begins with '@', so that neither the end of
// the initramfs nor systemd ends it (systemd.io/ROOT_STORAGE_DAEMONS).
func Become(string, int) error {
	path, err := exec.LookPath("iscsid")
	if err != nil {
		return fmt.Errorf("iscsid is not in the image: %w", err)
	}
	env := append(os.Environ(), "LISTEN_FDS=1", "LISTEN_PID="+strconv.Itoa(os.Getpid()))
	return fmt.Errorf("become iscsid: %w", syscall.Exec(path, []string{"@iscsid", "-f"}, env))
}

// stay makes this process one that outlives the initramfs.
func stay() {
	signal.Ignore(unix.SIGPIPE, unix.SIGHUP) // nobody may read what is said any more
	if name := os.Args[0]; name != "" {
		*unsafe.StringData(name) = '@' // the kernel's own copy of the arguments
	}
	// Best effort, both: the disk is the better for it, and not in need of it.
	unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT)
	os.WriteFile("/proc/self/oom_score_adj", []byte("-1000"), 0)
}

// speaker passes on what iscsid says. In the real system nobody hears it, and iscsid
// must not end of that.
type speaker int

func (s speaker) Write(b []byte) (int, error) {
	unix.Write(int(s), b)
	return len(b), nil
}

// relay connects who asks for iscsid with it.
func relay(asked net.Listener) {
	for {
		from, err := asked.Accept()
		if err != nil {
			return // closed
		}
		go func() {
			defer from.Close()
			to, err := net.Dial("unix", ownSocket)
			if err != nil {
				return
			}
			defer to.Close()
			go func() {
				io.Copy(to, from)
				to.(*net.UnixConn).CloseWrite()
			}()
			io.Copy(from, to)
		}()
	}
}

// left returns when nobody reads what is said any more: the real system has started.
func left(out int) {
	for {
		fds := []unix.PollFd{{Fd: int32(out)}}
		if _, err := unix.Poll(fds, -1); err == unix.EINTR {
			continue
		}
		return
	}
}
