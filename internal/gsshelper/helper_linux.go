package gsshelper

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"firstlight/internal/fmt"
	"firstlight/internal/netreport"
	"firstlight/internal/stay"
)

// home is where everything that rpc.gssd needs is: the files of the image are gone
// when the real system starts, and it is asked again then.
const home = "/run/firstlight/gss"

// What rpc.gssd finds in its home.
const (
	pipes = "/run/rpc_pipefs"
	// asked is the pipe by which the kernel knows whether such a program runs.
	asked = pipes + "/gssd/clntXX/gssd"
)

// overlap is how long rpc.gssd stays once that of the real system has opened its first
// pipe: until then the other one has opened them all.
const overlap = time.Second

// maxFile bounds a file that is taken along, in bytes.
const maxFile = 64 << 20

// programs are where rpc.gssd may be.
func programs() []string {
	return []string{"/usr/local/sbin/rpc.gssd", "/usr/sbin/rpc.gssd", "/sbin/rpc.gssd", "/usr/bin/rpc.gssd"}
}

// Run runs rpc.gssd until the real system has its own, and reports to the file
// descriptor out. It returns an error, or nil when the other one has taken over.
func Run(out int) error {
	err := run(out)
	if err != nil {
		say(out, Fails(err))
	}
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
	if _, err := os.Stat(place(Keytab)); err != nil {
		return ErrKeytab()
	}
	stay.Process()
	if err := furnish(program); err != nil {
		return err
	}
	opened, err := watch()
	if err != nil {
		return err
	}
	gssd, said, err := start(program)
	if err != nil {
		return err
	}
	go relay(said, out)
	ended := make(chan string)
	go func() {
		state, err := gssd.Wait()
		text := "rpc.gssd has ended"
		if err == nil {
			text += ": " + state.String()
		}
		ended <- text
	}()
	over := make(chan bool)
	go func() {
		left(out)
		over <- true
	}()
	first, handed := true, false
	var late <-chan time.Time
	for {
		select {
		case <-late:
			gssd.Kill()
			<-ended
			unix.Unmount(pipes, unix.MNT_DETACH)
			unix.Unmount("/", unix.MNT_DETACH)
			return nil
		case text := <-ended:
			return errors.New(text)
		case <-over:
			handed = true
		case err := <-opened:
			switch {
			case err != nil:
				return err
			case first:
				first = false
				say(out, Runs())
			case handed && late == nil:
				late = time.After(overlap)
			}
		}
	}
}

// furnish makes rpc.gssd's home and goes there.
func furnish(program string) error {
	if err := os.MkdirAll(home, 0o700); err != nil {
		return fmt.Errorf("make %s: %w", home, err)
	}
	if err := unix.Mount("tmpfs", home, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0700"); err != nil {
		return fmt.Errorf("mount %s: %w", home, err)
	}
	for _, dir := range []string{"/etc", "/tmp", "/var/tmp", "/dev", pipes} {
		if err := os.MkdirAll(home+dir, 0o700); err != nil {
			return fmt.Errorf("make %s: %w", home+dir, err)
		}
	}
	list, err := libraries(program)
	if err != nil {
		return err
	}
	for _, name := range append(append(Files(), program), list...) {
		if err := take(name); err != nil {
			return err
		}
	}
	for name, text := range map[string]string{"/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n", "/etc/passwd": "root:x:0:0:root:/:\n", "/etc/group": "root:x:0:\n"} {
		if err := os.WriteFile(home+name, []byte(text), 0o644); err != nil {
			return fmt.Errorf("write %s: %w", home+name, err)
		}
	}
	if err := unix.Mknod(home+"/dev/null", unix.S_IFREG|0o600, 0); err != nil { // what is read from it is nothing
		return fmt.Errorf("make %s: %w", home+"/dev/null", err)
	}
	if err := unix.Mount("rpc_pipefs", home+pipes, "rpc_pipefs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount rpc_pipefs: %w", err)
	}
	if err := unix.Chroot(home); err != nil {
		return fmt.Errorf("change to %s: %w", home, err)
	}
	return os.Chdir("/")
}

// libraries has the program's loader say what the program needs: it ends then, and
// runs nothing of it.
func libraries(program string) ([]string, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", program, err)
	}
	defer r.Close()
	p, err := os.StartProcess(program, []string{program}, &os.ProcAttr{Dir: "/", Env: []string{"LD_TRACE_LOADED_OBJECTS=1"}, Files: []*os.File{nil, w, w}})
	w.Close()
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", program, err)
	}
	b, err := io.ReadAll(io.LimitReader(r, 1<<16))
	if err != nil {
		return nil, fmt.Errorf("listen to %s: %w", program, err)
	}
	if state, err := p.Wait(); err != nil || !state.Success() {
		return nil, fmt.Errorf("the loader cannot load %s: %s", program, string(bytes.TrimSpace(b)))
	}
	return Libraries(string(b)), nil
}

// place is where a file is.
func place(name string) string {
	if p := Instead(name); p != "" {
		if _, err := os.Stat(p); err == nil {
			return p
		}
	}
	return name
}

// take copies a file, or a directory with all in it, to the home; what is not there
// is not needed.
func take(name string) error {
	at := place(name)
	info, err := os.Stat(at)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("take %s along: %w", name, err)
	}
	if info.IsDir() {
		list, err := os.ReadDir(name)
		if err != nil {
			return fmt.Errorf("take %s along: %w", name, err)
		}
		for _, e := range list {
			if err := take(filepath.Join(name, e.Name())); err != nil {
				return err
			}
		}
		return nil
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return fmt.Errorf("take %s along: it is no file of a usual size", name)
	}
	if err := os.MkdirAll(filepath.Dir(home+name), 0o755); err != nil {
		return fmt.Errorf("take %s along: %w", name, err)
	}
	from, err := os.Open(at)
	if err != nil {
		return fmt.Errorf("take %s along: %w", name, err)
	}
	defer from.Close()
	to, err := os.OpenFile(home+name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, info.Mode().Perm())
	if err != nil {
		return fmt.Errorf("take %s along: %w", name, err)
	}
	_, err = io.Copy(to, from)
	if err := errors.Join(err, to.Close()); err != nil {
		return fmt.Errorf("take %s along: %w", name, err)
	}
	return nil
}

// start starts rpc.gssd under a name by which it stays in the real system.
func start(program string) (*os.Process, io.Reader, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, fmt.Errorf("start rpc.gssd: %w", err)
	}
	defer w.Close()
	none, err := os.Open("/dev/null")
	if err != nil {
		return nil, nil, fmt.Errorf("start rpc.gssd: %w", err)
	}
	defer none.Close()
	p, err := os.StartProcess(program, []string{"@rpc.gssd", "-f", "-v", "-p", pipes},
		&os.ProcAttr{Dir: "/", Env: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/"}, Files: []*os.File{none, w, w}, Sys: &syscall.SysProcAttr{Setsid: true}})
	if err != nil {
		return nil, nil, fmt.Errorf("start rpc.gssd: %w", err)
	}
	return p, r, nil
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

// watch tells when somebody opens the pipe by which the kernel knows that a gssd runs.
func watch() (<-chan error, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", asked, err)
	}
	if _, err := unix.InotifyAddWatch(fd, asked, unix.IN_OPEN); err != nil {
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

// left returns when nobody reads what is said any more: the real system has started.
func left(out int) {
	for {
		fds := []unix.PollFd{{Fd: int32(out)}}
		if _, err := unix.Poll(fds, -1); err != unix.EINTR {
			return
		}
	}
}
