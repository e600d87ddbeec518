// Package sshfshelper is the edge of the helper program sshfs: it runs the
// distribution's sshfs and ssh for a root, and says what becomes of them.
//
// Both live in a root directory in memory, which is seen nowhere else, with the keys
// and all that they need to connect again when the initramfs is gone. They and this
// program stay: their names begin with '@' (systemd.io/ROOT_STORAGE_DAEMONS).
//
// The kernel's end of the filesystem is made here, so that it is known when the server
// answers: a question about the filesystem is asked, and waits for the first answer.
package sshfshelper

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"firstlight/internal/fmt"
	"firstlight/internal/netreport"
	"firstlight/internal/ownroot"
	"firstlight/internal/sshfs"
	"firstlight/internal/stay"
)

// home is the root directory of sshfs until it runs.
const home = "/run/firstlight/sshfs"

// programs is where what sshfs starts is found in its root directory.
const programs = "/usr/bin"

// places are where programs of the image may be.
var places = [...]string{"/usr/local/bin/", "/usr/bin/", "/bin/", "/usr/sbin/", "/sbin/"}

// errEnded is that of an sshfs that has ended; why is said already.
var errEnded = errors.New("sshfs has ended")

// helper is the running program.
type helper struct {
	ear    sshfs.Ear
	out    int
	last   string // report
	lines  chan string
	ended  chan string
	probed chan error
	root   int // descriptor of the filesystem's root
	asked  bool
	tries  int // questions in a row that got no answer
}

// Run serves what text says (sshfs.Target) and reports to the file descriptor out. It
// returns when sshfs has ended, or cannot be started.
func Run(text string, out int) error {
	t, err := sshfs.Parse(text)
	if err == nil {
		_, err = netip.ParseAddr(t.Server)
	}
	if err != nil {
		return err
	}
	stay.Process()
	h := &helper{ear: sshfs.Ear{Target: t}, out: out, lines: make(chan string), ended: make(chan string), probed: make(chan error)}
	if err = h.start(); err != nil {
		h.say(h.ear.Fails(err))
		return err
	}
	return h.loop()
}

func (h *helper) loop() error {
	var again <-chan time.Time
	h.ask()
	for {
		select {
		case line := <-h.lines:
			if r, ok := h.ear.Hear(line); ok {
				h.say(r)
				if r.State == netreport.StateDisk && !h.asked { // it was served before
					h.ask()
				}
			}
		case err := <-h.probed:
			h.asked = false
			if err == nil {
				h.tries = 0
				h.say(h.ear.There())
				break
			}
			again = time.After(pause(h.tries))
			h.tries++
		case <-again:
			again = nil
			if !h.asked {
				h.ask()
			}
		case how := <-h.ended:
			if r, ok := h.ear.Ended(how); ok {
				h.say(r)
			}
			unix.Unmount(sshfs.Mounted, unix.MNT_DETACH)
			return errEnded
		}
	}
}

// pause is how long it takes until the nth try that follows another.
func pause(n int) time.Duration { return 250 * time.Millisecond << min(n, 4) }

// ask asks for something that the server alone knows. Where there is no connection
// sshfs makes one for it.
func (h *helper) ask() {
	h.asked = true
	go func() {
		var st unix.Statfs_t
		h.probed <- unix.Fstatfs(h.root, &st)
	}()
}

// say reports what was not reported last.
func (h *helper) say(r netreport.Report) {
	line := r.String()
	if line != h.last {
		h.last = line
		unix.Write(h.out, []byte(line+"\n"))
	}
}

// start mounts the filesystem and starts sshfs for it.
func (h *helper) start() error {
	program, client := find("sshfs"), find("ssh")
	switch {
	case program == "":
		return errors.New("sshfs is not in the image")
	case client == "":
		return errors.New("ssh is not in the image")
	}
	// What one that was ended has left.
	unix.Unmount(sshfs.Mounted, unix.MNT_DETACH)
	unix.Unmount(home, unix.MNT_DETACH)
	defer unix.Unmount(home, unix.MNT_DETACH)
	raw, err := h.furnish(program, client)
	if err != nil {
		return err
	}
	dev, err := h.mount()
	if err != nil {
		return err
	}
	defer dev.Close() // sshfs has it; when that ends, so does the filesystem
	if h.root, err = unix.Open(sshfs.Mounted, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err == nil {
		err = h.run(program, dev, raw)
	}
	if err != nil {
		unix.Unmount(sshfs.Mounted, unix.MNT_DETACH)
	}
	return err
}

func find(name string) string {
	for _, dir := range places {
		if _, err := os.Stat(dir + name); err == nil {
			return dir + name
		}
	}
	return ""
}

// furnish makes sshfs's root directory. raw says that sshfs changes links unless it is
// asked not to.
func (h *helper) furnish(program, client string) (raw bool, err error) {
	r := ownroot.Root{Dir: home}
	if err := r.Make(unix.MS_NOSUID, "/dev", "/etc", "/root", "/tmp"); err != nil {
		return false, err
	}
	for _, p := range []string{program, client} {
		if err := r.Program(p); err != nil {
			return false, err
		}
	}
	// ssh is started by the part of this program that waits for the server.
	if err := r.TakeAs("/proc/self/exe", programs+"/"+sshfs.Connect); err != nil {
		return false, err
	}
	if client != programs+"/ssh" {
		if err := r.TakeAs(client, programs+"/ssh"); err != nil {
			return false, err
		}
	}
	along := []string{sshfs.Dir, "/etc/ld.so.cache"}
	for _, pattern := range []string{"/usr/lib/*/libnss_files.so.2", "/usr/lib64/libnss_files.so.2"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return false, err
		}
		along = append(along, found...)
	}
	for _, name := range along {
		if err := r.Take(name); err != nil {
			return false, err
		}
	}
	list, err := os.ReadDir(sshfs.Keys)
	if err != nil {
		return false, fmt.Errorf("the image has no key in %s: %w", sshfs.Keys, err)
	}
	var keys []string
	for _, e := range list {
		if filepath.Ext(e.Name()) != ".pub" { // a certificate is found beside its key
			keys = append(keys, sshfs.Keys+"/"+e.Name())
		}
	}
	slices.Sort(keys)
	if _, err := os.Stat(sshfs.KnownHosts); err != nil {
		return false, fmt.Errorf("the image has no %s, in which the server's key is: %w", sshfs.KnownHosts, err)
	}
	_, none := os.Stat(sshfs.Settings)
	for _, f := range []struct{ name, text string }{
		{sshfs.Conf, h.ear.Target.Config(keys, none == nil)}, {"/etc/passwd", "root:x:0:0:root:/root:/bin/false\n"}, {"/etc/group", "root:x:0:\n"}, {"/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n"},
	} {
		if err := r.Write(f.name, f.text, 0o644); err != nil {
			return false, err
		}
	}
	for name, minor := range map[string]uint32{"/dev/null": 3, "/dev/zero": 5, "/dev/urandom": 9} {
		if err := unix.Mknod(home+name, unix.S_IFCHR|0o666, int(unix.Mkdev(1, minor))); err != nil {
			return false, fmt.Errorf("make %s: %w", home+name, err)
		}
	}
	text, err := os.ReadFile(program)
	return bytes.Contains(text, []byte("no_contain_symlinks")), err
}

// mount makes the kernel's end of the filesystem (Documentation/filesystems/fuse.rst):
// a whole system is on it, so that everybody may look into it, as far as owners and
// modes let them, and devices and set-user-ID programs count.
func (h *helper) mount() (*os.File, error) {
	const device = "/dev/fuse"
	dev, err := os.OpenFile(device, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", device, err)
	}
	t := &h.ear.Target
	data := "fd=" + strconv.Itoa(int(dev.Fd())) + ",rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions"
	if t.Data != "" {
		data += "," + t.Data
	}
	err = os.MkdirAll(sshfs.Mounted, 0o700)
	if err == nil {
		err = unix.Mount(t.Source(), sshfs.Mounted, "fuse.sshfs", t.Flags, data)
	}
	if err != nil {
		dev.Close()
		return nil, fmt.Errorf("mount %s as fuse.sshfs with %q: %w", sshfs.Mounted, t.Data, err)
	}
	return dev, nil
}

// run starts sshfs in its root directory.
func (h *helper) run(program string, dev *os.File, raw bool) error {
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start sshfs: %w", err)
	}
	defer w.Close()
	none, err := os.Open("/dev/null")
	if err != nil {
		return fmt.Errorf("start sshfs: %w", err)
	}
	defer none.Close()
	const fuse = 3 // the place of dev in Files
	p, err := os.StartProcess(program, h.ear.Target.Args(fuse, raw), &os.ProcAttr{Dir: "/", Env: []string{"PATH=" + programs, "HOME=/root"},
		Files: []*os.File{none, w, w, dev}, Sys: &syscall.SysProcAttr{Setsid: true, Chroot: home}})
	if err != nil {
		return fmt.Errorf("start sshfs: %w", err)
	}
	go h.relay(r)
	go func() {
		state, err := p.Wait()
		how := "nobody knows how"
		if err == nil {
			how = state.String()
		}
		h.ended <- how
	}()
	return nil
}

// relay hands on what sshfs and ssh say. It goes on to read when nobody hears it.
func (h *helper) relay(said io.Reader) {
	lines := bufio.NewReaderSize(said, 4096)
	for {
		line, err := lines.ReadSlice('\n')
		if len(line) > 0 {
			h.lines <- string(line)
		}
		if err != nil && err != bufio.ErrBufferFull {
			return
		}
	}
}
