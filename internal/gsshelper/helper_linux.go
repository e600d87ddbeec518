package gsshelper

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"firstlight/internal/fmt"
	"firstlight/internal/netreport"
	"firstlight/internal/ownroot"
	"firstlight/internal/stay"
)

// home is where everything that rpc.gssd needs is: the files of the image are gone
// when the real system starts, and it is asked again then.
const home = "/run/firstlight/gss"

// What rpc.gssd finds in its home.
const (
	pipes = "/pipes"
	// asked is the pipe by which the kernel knows whether such a program runs.
	asked = pipes + "/gssd/clntXX/gssd"
)

// overlap is how long rpc.gssd stays once that of the real system has opened its first
// pipe: until then the other one has opened them all. It is also how long one that ended
// by itself is left alone.
const overlap = time.Second

// programs are where rpc.gssd may be.
func programs() []string {
	return []string{"/usr/local/sbin/rpc.gssd", "/usr/sbin/rpc.gssd", "/sbin/rpc.gssd", "/usr/bin/rpc.gssd"}
}

// Run runs rpc.gssd as long as nobody else does, and reports to the file descriptor
// out. It does not return but with an error: the root of the real system is had with
// tickets until the machine stops.
func Run(out int) error {
	err := run(out)
	say(out, Fails(err))
	return err
}

func run(out int) error {
	program := ""
	for _, p := range programs() {
		if _, err := os.Stat(p); err == nil && program == "" {
			program = p
		}
	}
	if program == "" {
		return errors.New("rpc.gssd is not in the image: build it with --feature nfs-krb5")
	}
	if _, err := os.Stat(own().Place(Keytab)); err != nil {
		return ErrKeytab()
	}
	stay.Process()
	w, err := furnish(program)
	if err != nil {
		return err
	}
	opened, err := watch()
	if err != nil {
		return err
	}
	g := gssd{program: program, out: out, look: w, ended: make(chan string)}
	if err := g.start(); err != nil {
		return err
	}
	over := make(chan bool)
	go func() {
		left(out)
		over <- true
	}()
	return g.keep(opened, over)
}

// keep has it run whenever nobody else has tickets. opened tells that the pipe by which
// the kernel knows that was opened or closed, over that the real system has started;
// before that it returns when rpc.gssd ends.
func (g *gssd) keep(opened <-chan error, over <-chan bool) error {
	var turn Turn
	known, handed := false, false
	var later <-chan time.Time
	for {
		select {
		case text := <-g.ended:
			g.process = nil
			if !handed {
				return errors.New(text)
			}
			later = time.After(overlap)
		case <-over:
			handed = true
			later = time.After(overlap) // for what was opened before
		case err := <-opened:
			if err != nil {
				return err
			}
			if !known {
				known = true
				say(g.out, Runs())
				turn.Idle = g.threads()
			}
			if handed && later == nil {
				later = time.After(overlap)
			}
		case <-later:
			later = nil
			if g.take(&turn) {
				later = time.After(overlap)
			}
		}
	}
}

// take starts or ends it, if it is time for that. It returns true if that is to be
// looked for again: also when something failed, as nobody is there to hear of it.
func (g *gssd) take(t *Turn) (again bool) {
	others, err := g.look.others(g.pid())
	if err != nil {
		return true
	}
	switch t.Next(g.process != nil, others, g.threads()) {
	case Start:
		return g.start() != nil
	case End:
		g.process.Kill()
		<-g.ended
		g.process = nil
	case Later:
		return true
	}
	return false
}

// own is rpc.gssd's root directory.
func own() ownroot.Root { return ownroot.Root{Dir: home, Instead: Instead} }

// furnish makes rpc.gssd's home and goes there. It tells systemd to run its own there
// too, and returns what sees who else listens to the kernel.
func furnish(program string) (lookout, error) {
	var w lookout
	r := own()
	if err := r.Make(unix.MS_NOSUID|unix.MS_NODEV, "/tmp", "/var/tmp", "/dev", pipes); err != nil {
		return w, err
	}
	if err := r.Program(program); err != nil {
		return w, err
	}
	for _, name := range Files() {
		if err := r.Take(name); err != nil {
			return w, err
		}
	}
	if err := filepath.WalkDir(home+"/etc", legible); err != nil {
		return w, fmt.Errorf("open %s: %w", home, err)
	}
	for name, text := range Furniture() {
		if err := r.Write(name, text, 0o644); err != nil {
			return w, err
		}
	}
	if err := os.Chmod(home, 0o711); err != nil {
		return w, fmt.Errorf("open %s: %w", home, err)
	}
	if err := unix.Mknod(home+"/dev/null", unix.S_IFREG|0o600, 0); err != nil { // what is read from it is nothing
		return w, fmt.Errorf("make %s: %w", home+"/dev/null", err)
	}
	if err := unix.Mount("rpc_pipefs", home+pipes, "rpc_pipefs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return w, fmt.Errorf("mount rpc_pipefs: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(unit), 0o755); err != nil {
		return w, fmt.Errorf("make %s: %w", filepath.Dir(unit), err)
	}
	if err := os.WriteFile(unit, []byte(Unit(program, home, pipes)), 0o644); err != nil {
		return w, fmt.Errorf("write %s: %w", unit, err)
	}
	var err error
	if w.proc, err = unix.Open("/proc", unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return w, fmt.Errorf("open /proc: %w", err)
	}
	if err := unix.Stat(home+asked, &w.pipe); err != nil {
		return w, fmt.Errorf("look at %s: %w", asked, err)
	}
	if err := unix.Chroot(home); err != nil {
		return w, fmt.Errorf("change to %s: %w", home, err)
	}
	return w, os.Chdir("/")
}

// legible lets everybody read a file of the home but the keytab: rpc.gssd takes the
// identity of those whose tickets it looks for, and reads them with the library's
// configuration.
func legible(name string, e fs.DirEntry, err error) error {
	switch {
	case err != nil:
		return err
	case e.IsDir():
		return os.Chmod(name, 0o755)
	case name == home+Keytab:
		return os.Chmod(name, 0o600)
	}
	return os.Chmod(name, 0o644)
}

// gssd is the program, if it runs.
type gssd struct {
	program string
	out     int
	look    lookout
	process *os.Process
	ended   chan string
}

func (g *gssd) pid() int {
	if g.process == nil {
		return 0
	}
	return g.process.Pid
}

// start starts rpc.gssd under a name by which it stays in the real system.
func (g *gssd) start() error {
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start rpc.gssd: %w", err)
	}
	defer w.Close()
	none, err := os.Open("/dev/null")
	if err != nil {
		return fmt.Errorf("start rpc.gssd: %w", err)
	}
	defer none.Close()
	p, err := os.StartProcess(g.program, []string{"@rpc.gssd", "-f", "-v", "-p", pipes},
		&os.ProcAttr{Dir: "/", Env: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/"}, Files: []*os.File{none, w, w}, Sys: &syscall.SysProcAttr{Setsid: true}})
	if err != nil {
		return fmt.Errorf("start rpc.gssd: %w", err)
	}
	g.process = p
	go relay(r, g.out)
	go func() {
		defer r.Close()
		state, err := p.Wait()
		text := "rpc.gssd has ended"
		if err == nil {
			text += ": " + state.String()
		}
		g.ended <- text
	}()
	return nil
}

// threads is how many it has; each request of the kernel has one of its own.
func (g *gssd) threads() int {
	list, err := g.look.list(strconv.Itoa(g.pid()) + "/task")
	if err != nil {
		return 0
	}
	return len(list)
}

// relay reports what rpc.gssd says, each of it once until it says another thing. It
// goes on to read when nobody hears it.
func relay(said io.Reader, out int) {
	last := ""
	lines := bufio.NewReaderSize(said, 4096)
	for {
		line, err := lines.ReadSlice('\n')
		if r, ok := Explain(string(line)); ok && r.String() != last {
			last = r.String()
			say(out, r)
		}
		if err != nil && err != bufio.ErrBufferFull {
			return
		}
	}
}

func say(out int, r netreport.Report) { unix.Write(out, []byte(r.String()+"\n")) }

// watch tells when somebody opens or closes the pipe by which the kernel knows that a
// gssd runs.
func watch() (<-chan error, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", asked, err)
	}
	if _, err := unix.InotifyAddWatch(fd, asked, unix.IN_OPEN|unix.IN_CLOSE); err != nil {
		return nil, fmt.Errorf("watch %s: %w", asked, err)
	}
	opened := make(chan error)
	go func() {
		buf := make([]byte, 4096)
		for {
			_, err := unix.Read(fd, buf)
			if err == unix.EINTR {
				continue
			}
			if err != nil {
				err = fmt.Errorf("watch %s: %w", asked, err)
			}
			opened <- err
		}
	}()
	return opened, nil
}

// lookout sees which processes have a pipe open.
type lookout struct {
	proc int // the directory /proc, which is not in rpc.gssd's home
	pipe unix.Stat_t
}

// list are the names in a directory of /proc.
func (l lookout) list(dir string) ([]string, error) {
	fd, err := unix.Openat(l.proc, dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), dir)
	defer f.Close()
	return f.Readdirnames(-1)
}

// others says whether a process other than own has the pipe open. Processes that end
// meanwhile have not.
func (l lookout) others(own int) (bool, error) {
	all, err := l.list(".")
	if err != nil {
		return false, fmt.Errorf("look for rpc.gssd: %w", err)
	}
	for _, name := range all {
		if pid, err := strconv.Atoi(name); err != nil || pid == own {
			continue
		}
		open, err := l.list(name + "/fd")
		if err != nil {
			continue
		}
		for _, n := range open {
			var s unix.Stat_t
			if unix.Fstatat(l.proc, name+"/fd/"+n, &s, 0) == nil && s.Ino == l.pipe.Ino && s.Dev == l.pipe.Dev {
				return true, nil
			}
		}
	}
	return false, nil
}

// left returns when nobody reads what is said any more: the real system has started.
func left(out int) {
	for {
		fds := []unix.PollFd{{Fd: int32(out)}}
		if _, err := unix.Poll(fds, -1); err != unix.EINTR {
			return
		}
	}
}
