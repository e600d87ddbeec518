// Builder is the init of the guest that makes disks. It does what /plan.json
// says (package plan) with the real tools, and reports every command.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"firstlight/test/guest/plan"
	"firstlight/test/guest/report"
)

func main() {
	if err := setup(); err != nil {
		fmt.Println("builder:", err)
		unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	}
	w, err := report.Open("/dev/ttyS1")
	if err == nil {
		err = work(w)
		if err != nil {
			w.Send(report.Message{Step: &report.Step{Argv: "builder", Error: err.Error()}})
		} else {
			w.Send(report.Message{Note: "done"})
		}
		w.Drain()
	}
	if err != nil {
		fmt.Println("builder:", err)
	}
	unix.Sync()
	unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

func setup() error {
	os.Setenv("PATH", "/bin")
	os.Setenv("HOME", "/")
	for _, m := range []struct{ what, dir, fstype string }{
		{"devtmpfs", "/dev", "devtmpfs"}, {"proc", "/proc", "proc"}, {"sysfs", "/sys", "sysfs"},
		{"tmpfs", "/run", "tmpfs"}, {"tmpfs", "/tmp", "tmpfs"},
	} {
		if err := os.MkdirAll(m.dir, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.what, m.dir, m.fstype, 0, ""); err != nil && err != unix.EBUSY {
			return fmt.Errorf("mount %s: %w", m.dir, err)
		}
	}
	for _, d := range []string{"/run/lock", "/run/cryptsetup", "/run/mdadm", "/run/lvm", "/var", "/mnt"} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	return os.Symlink("/proc/self/mounts", "/etc/mtab")
}

func work(w *report.Writer) error {
	b, err := os.ReadFile("/plan.json")
	if err != nil {
		return err
	}
	var p plan.Plan
	if err := json.Unmarshal(b, &p); err != nil {
		return err
	}
	for _, m := range p.Modules {
		if err := load(m); err != nil {
			return err
		}
	}
	disks, err := findDisks(p)
	if err != nil {
		return err
	}
	for _, l := range p.Layouts {
		failed := false
		for i, c := range append(l.Commands[:len(l.Commands):len(l.Commands)], l.Cleanup...) {
			if failed && i < len(l.Commands) {
				continue
			}
			if i == len(l.Commands) {
				// What a failed command left mounted would keep devices busy.
				unix.Unmount("/mnt/fs", 0)
			}
			out, err := run(c, l, disks)
			step := report.Step{Layout: l.Name, Argv: strings.Join(c.Argv, " "), Output: out}
			if err != nil {
				step.Error, failed = err.Error(), true
			}
			if err := w.Send(report.Message{Step: &step}); err != nil {
				return err
			}
		}
	}
	return nil
}

// load loads one module; one that is there already is as good.
func load(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && err != unix.EEXIST {
		return fmt.Errorf("load %s: %w", file, err)
	}
	return nil
}

// findDisks maps logical unit numbers to nodes once as many disks are there
// as the plan needs. The kernel finds them asynchronously and says so by
// uevents; any of them is reason to look again.
func findDisks(p plan.Plan) (map[int]string, error) {
	want := map[int]bool{}
	for _, l := range p.Layouts {
		for _, n := range append(l.Disks[:len(l.Disks):len(l.Disks)], l.Archives...) {
			want[n] = true
		}
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return nil, fmt.Errorf("uevents: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1}); err != nil {
		return nil, fmt.Errorf("uevents: %w", err)
	}
	buf := make([]byte, 64<<10)
	for {
		found := map[int]string{}
		dirs, _ := filepath.Glob("/sys/block/sd*")
		for _, d := range dirs {
			target, err := os.Readlink(d + "/device") // ../../../0:0:0:17
			if err != nil {
				continue
			}
			addr := strings.Split(filepath.Base(target), ":")
			lun, err := strconv.Atoi(addr[len(addr)-1])
			if err == nil && want[lun] {
				found[lun] = "/dev/" + filepath.Base(d)
			}
		}
		if len(found) == len(want) {
			return found, nil
		}
		if _, _, err := unix.Recvfrom(fd, buf, 0); err != nil && err != unix.ENOBUFS && err != unix.EINTR {
			return nil, fmt.Errorf("uevents: %w", err)
		}
	}
}

func run(c plan.Command, l plan.Layout, disks map[int]string) (string, error) {
	var pairs []string
	for i, n := range l.Disks {
		pairs = append(pairs, fmt.Sprintf("{%d}", i), disks[n])
	}
	for i, n := range l.Archives {
		pairs = append(pairs, fmt.Sprintf("{a%d}", i), disks[n])
	}
	names := strings.NewReplacer(pairs...)
	argv := make([]string, len(c.Argv))
	for i, a := range c.Argv {
		argv[i] = names.Replace(a)
	}
	if own, ok := strings.CutPrefix(argv[0], "@"); ok {
		return "", builtin(own, argv[1:], c.Stdin)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	// Without udev the tools make their nodes in /dev themselves.
	cmd.Env = append(os.Environ(), append(c.Env, "DM_DISABLE_UDEV=1", "MDADM_NO_UDEV=1")...)
	cmd.Stdin = bytes.NewReader(c.Stdin)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 && exit.ExitCode() <= c.Tolerate {
		err = nil
	}
	return string(out), err
}

func builtin(name string, args []string, stdin []byte) error {
	arg := func(i int) string {
		if i < len(args) {
			return args[i]
		}
		return ""
	}
	switch name {
	case "mount":
		if err := os.MkdirAll(arg(1), 0o755); err != nil {
			return err
		}
		flags, options := uintptr(0), arg(3)
		if options == "ro" {
			flags, options = unix.MS_RDONLY, ""
		}
		return unix.Mount(arg(0), arg(1), arg(2), flags, options)
	case "umount":
		return unix.Unmount(arg(0), 0)
	case "mkdir":
		return os.MkdirAll(arg(0), 0o755)
	case "remove":
		return os.RemoveAll(arg(0))
	case "untar":
		return untar(arg(0), arg(1), arg(2), arg(3))
	case "write":
		return os.WriteFile(arg(0), stdin, 0o600)
	case "echo":
		return os.WriteFile(arg(1), []byte(arg(0)), 0o600)
	case "gone":
		return gone(arg(0))
	case "poke":
		return poke(arg(0), arg(1), arg(2))
	case "copy":
		return overwrite(arg(0), arg(1))
	case "halves":
		return halves(arg(0), arg(1), arg(2), arg(3))
	case "sign":
		return sign(arg(0), arg(1))
	}
	return fmt.Errorf("no such command: %w", syscall.ENOSYS)
}
