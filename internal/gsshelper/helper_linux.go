package gsshelper

import (
	"bufio"
	"errors"
	"io"
	"os"
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
	pipes = "/run/rpc_pipefs"
	// asked is the pipe by which the kernel knows whether such a program runs.
	asked = pipes + "/gssd/clntXX/gssd"
)

// overlap is how long rpc.gssd stays once that of the real system has opened its first
// pipe: until then the other one has opened them all.
const overlap = time.Second

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
	if _, err := os.Stat(own().Place(Keytab)); err != nil {
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

// own is rpc.gssd's root directory.
func own() ownroot.Root { return ownroot.Root{Dir: home, Instead: Instead} }

// furnish makes rpc.gssd's home and goes there.
func furnish(program string) error {
	r := own()
	if err := r.Make(unix.MS_NOSUID|unix.MS_NODEV, "/etc", "/tmp", "/var/tmp", "/dev", pipes); err != nil {
		return err
	}
	if err := r.Program(program); err != nil {
		return err
	}
	for _, name := range Files() {
		if err := r.Take(name); err != nil {
			return err
		}
	}
	for name, text := range map[string]string{"/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n", "/etc/passwd": "root:x:0:0:root:/:\n", "/etc/group": "root:x:0:\n"} {
		if err := r.Write(name, text, 0o644); err != nil {
			return err
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
