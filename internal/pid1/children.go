package pid1

import (
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"firstlight/internal/fmt"
	"firstlight/internal/machine"
	"firstlight/internal/sysfile"
	"firstlight/internal/sysfs"
)

// children runs helpers and reaps every process that ends: as PID 1 we
// inherit those whose parents are gone.
type children struct {
	mu   sync.Mutex
	wait map[int]chan unix.WaitStatus
	// stays are the programs of Start by their name, each a *helper: it is of no
	// type here, so that an image without any does not have it.
	stays map[string]any
}

func newChildren() *children {
	return &children{wait: map[int]chan unix.WaitStatus{}}
}

// reap collects what has ended. It is called for each SIGCHLD. The lock spans
// waiting and handing over, as it spans starting a child and registering it:
// a process number is free for the next child as soon as it was waited for.
func (c *children) reap() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		if ch := c.wait[pid]; ch != nil {
			delete(c.wait, pid)
			ch <- status // has room for it
		}
	}
}

// start starts a program and returns a channel that gets its status.
func (c *children) start(p string, argv []string, attr *syscall.ProcAttr) (int, <-chan unix.WaitStatus, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	runtime.LockOSThread() // what a thread may oversleep is inherited
	usualSleep()
	pid, err := syscall.ForkExec(p, argv, attr)
	runtime.UnlockOSThread()
	if err != nil {
		return 0, nil, fmt.Errorf("execute %s: %w", p, err)
	}
	ch := make(chan unix.WaitStatus, 1)
	c.wait[pid] = ch
	return pid, ch, nil
}

// HasProgram implements machine.Programs.
func (*children) HasProgram(p string) bool {
	st, err := sysfile.Stat(p)
	return err == nil && st.Mode.IsRegular() && st.Mode&0o111 != 0
}

// maxOutput bounds what is kept of a program's output, in bytes.
const maxOutput = 64 << 10

// Run implements machine.Programs.
func (c *children) Run(p machine.Program) (machine.Exit, error) {
	in, out, err := c.pipes(p)
	if err != nil {
		return machine.Exit{}, err
	}
	env := append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, p.Env...)
	_, ended, err := c.start(p.Path, append([]string{p.Path}, p.Args...),
		&syscall.ProcAttr{Env: env, Files: []uintptr{uintptr(in.child.FD()), uintptr(out.child.FD()), uintptr(out.child.FD())}, Sys: &syscall.SysProcAttr{Setsid: true}})
	in.child.Close()
	out.child.Close()
	if err != nil {
		in.ours.Close()
		out.ours.Close()
		return machine.Exit{}, err
	}
	go func() {
		in.ours.Write(p.Input)
		in.ours.Close()
	}()
	text := collect(out.ours, p.Shown)
	out.ours.Close()
	return machine.Exit{Code: exitCode(<-ended), Output: string(text)}, nil
}

// collect reads what a program says until it ends.
func collect(from *sysfile.File, shown bool) []byte {
	console := -1
	if shown {
		if fd, err := unix.Open("/dev/console", unix.O_WRONLY|unix.O_NOCTTY|unix.O_CLOEXEC, 0); err == nil {
			console = fd
			defer unix.Close(fd)
		}
	}
	var text []byte
	buf := make([]byte, 4096)
	aside := false // what follows is only to be seen
	for {
		n, err := from.Read(buf)
		if console >= 0 {
			unix.Write(console, buf[:n])
		}
		for _, b := range buf[:n] {
			switch {
			case shown && b == 1:
				aside = true
			case shown && b == 2:
				aside = false
			case !aside && len(text) < maxOutput:
				text = append(text, b)
			}
		}
		if err != nil {
			return text
		}
	}
}

func exitCode(st unix.WaitStatus) int {
	if st.Signaled() {
		return 128 + int(st.Signal())
	}
	return st.ExitStatus()
}

// pipe is a pipe with its two ends named by who holds them.
type pipe struct{ ours, child *sysfile.File }

func (*children) pipes(p machine.Program) (in, out pipe, err error) {
	if in.child, in.ours, err = sysfile.Pipe(); err != nil {
		return in, out, fmt.Errorf("run %s: %w", p.Path, err)
	}
	if out.ours, out.child, err = sysfile.Pipe(); err != nil {
		in.child.Close()
		in.ours.Close()
		return in, out, fmt.Errorf("run %s: %w", p.Path, err)
	}
	return in, out, nil
}

// endPatience is how long processes have to end by themselves.
const endPatience = 2 * time.Second

// endAll ends every process but this one and those that hold the root's
// storage: their argv[0] begins with '@' (systemd.io/ROOT_STORAGE_DAEMONS).
func (c *children) endAll() {
	var fds []unix.PollFd
	for _, pid := range userProcesses() {
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue
		}
		unix.PidfdSendSignal(fd, unix.SIGTERM, nil, 0)
		fds = append(fds, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	}
	deadline := time.Now().Add(endPatience)
	for i := range fds {
		left := max(time.Until(deadline), 0)
		if n, _ := unix.Poll(fds[i:i+1], int(left.Milliseconds())); n == 0 {
			unix.PidfdSendSignal(int(fds[i].Fd), unix.SIGKILL, nil, 0)
			unix.Poll(fds[i:i+1], 1000)
		}
		unix.Close(int(fds[i].Fd))
	}
	c.reap()
}

// userProcesses lists the processes of user space other than this one.
func userProcesses() []int {
	names, err := sysfs.Dir("/proc").List("")
	if err != nil {
		return nil
	}
	var out []int
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || pid == unix.Getpid() {
			continue
		}
		cmd, err := sysfile.ReadFile("/proc/" + name + "/cmdline")
		if err != nil || len(cmd) == 0 || strings.HasPrefix(string(cmd), "@") {
			continue // a kernel thread has no command line
		}
		out = append(out, pid)
	}
	return out
}
