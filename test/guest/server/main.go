// Server is the init of the guest that plays the servers of a network: DHCP and
// NFS, by the programs of Debian. It does what /plan.json says (package
// serverplan), reports when it is ready and every command that fails, and runs
// until the harness ends the machine.
package main

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"firstlight/test/guest/report"
	"firstlight/test/guest/serverplan"
)

func main() {
	os.Setenv("PATH", "/bin")
	if err := setup(); err != nil {
		fmt.Println("server:", err)
	}
	w, err := report.Open("/dev/ttyS1")
	if err == nil {
		if err = serve(w); err != nil {
			w.Send(report.Message{Step: &report.Step{Argv: "server", Error: err.Error()}})
			w.Send(report.Message{Note: "ready"}) // as far as it will be
		}
	}
	if err != nil {
		fmt.Println("server:", err)
	}
	for {
		time.Sleep(time.Hour) // the harness ends the machine
	}
}

func setup() error {
	for _, m := range []struct{ what, dir string }{
		{"devtmpfs", "/dev"}, {"proc", "/proc"}, {"sysfs", "/sys"}, {"tmpfs", "/run"}, {"tmpfs", "/tmp"}, {"tmpfs", "/srv"}, {"tmpfs", "/var"},
	} {
		if err := os.MkdirAll(m.dir, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.what, m.dir, m.what, 0, ""); err != nil && err != unix.EBUSY {
			return fmt.Errorf("mount %s: %w", m.dir, err)
		}
	}
	for _, d := range []string{"/var/lib/nfs/sm", "/var/lib/nfs/v4recovery", "/var/lib/nfs/rpc_pipefs", "/run/rpcbind", "/var/lib/misc", "/run/lock"} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	for _, f := range []string{"etab", "rmtab", "state"} {
		if err := os.WriteFile("/var/lib/nfs/"+f, nil, 0o644); err != nil {
			return err
		}
	}
	return os.Symlink("/proc/self/mounts", "/etc/mtab")
}

func serve(w *report.Writer) error {
	b, err := os.ReadFile("/plan.json")
	if err != nil {
		return err
	}
	var p serverplan.Plan
	if err := json.Unmarshal(b, &p); err != nil {
		return err
	}
	for _, m := range p.Modules {
		if err := load(m); err != nil {
			return err
		}
	}
	for name, text := range p.Files {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			return err
		}
	}
	if err := root(p); err != nil {
		return err
	}
	told := false
	for _, c := range p.Commands {
		if c.Ready && !told {
			told = true
			if err := w.Send(report.Message{Note: "ready"}); err != nil {
				return err
			}
		}
		time.Sleep(time.Duration(c.After) * time.Millisecond) // a server that is late, as the test has it
		if err := run(c); err != nil {
			return err
		}
	}
	if told {
		return nil
	}
	return w.Send(report.Message{Note: "ready"})
}

// root fills the directory that is exported.
func root(p serverplan.Plan) error {
	if p.Root == "" {
		return nil
	}
	if err := os.MkdirAll(p.Root, 0o755); err != nil {
		return err
	}
	if p.Disk != "" {
		return unix.Mount(p.Disk, p.Root, "ext4", 0, "")
	}
	f, err := os.Open(p.Tree)
	if err != nil {
		return err
	}
	defer f.Close()
	r := tar.NewReader(f)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name := filepath.Join(p.Root, h.Name)
		switch h.Typeflag {
		case tar.TypeDir:
			err = os.MkdirAll(name, os.FileMode(h.Mode))
		case tar.TypeSymlink:
			err = os.Symlink(h.Linkname, name)
		default:
			var data []byte
			if data, err = io.ReadAll(r); err == nil {
				err = os.WriteFile(name, data, os.FileMode(h.Mode))
			}
		}
		if err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
}

// connected waits until a connection to a port is established: the test does
// something to it then.
func connected(port string) error {
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return err
	}
	for {
		b, err := os.ReadFile("/proc/net/tcp")
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(b)) {
			if f := strings.Fields(line); len(f) > 3 && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", n)) && f[3] == "01" {
				return nil
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// greets connects to a server that speaks first, as soon as it listens, and waits
// for its first word.
func greets(address string) error {
	end := time.Now().Add(2 * time.Minute)
	for {
		c, err := net.DialTimeout("tcp", address, time.Until(end))
		if err == nil {
			defer c.Close()
			if err = c.SetDeadline(end); err == nil {
				_, err = c.Read(make([]byte, 1))
			}
			if err != nil {
				return fmt.Errorf("the greeting of %s: %w", address, err)
			}
			return nil
		}
		if time.Now().After(end) {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func run(c serverplan.Command) error {
	switch c.Argv[0] {
	case "@write":
		return os.WriteFile(c.Argv[1], []byte(c.Argv[2]), 0o644)
	case "@mount":
		return unix.Mount(c.Argv[1], c.Argv[2], c.Argv[3], 0, "")
	case "@mkdir":
		return os.MkdirAll(c.Argv[1], 0o755)
	case "@remove":
		return os.Remove(c.Argv[1])
	case "@link":
		return os.Symlink(c.Argv[1], c.Argv[2])
	case "@connected":
		return connected(c.Argv[1])
	case "@greets":
		return greets(c.Argv[1])
	case "@kill":
		b, err := os.ReadFile(c.Argv[1])
		if err != nil {
			return err
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
		if err != nil || pid < 2 {
			return fmt.Errorf("%s: %q is no process", c.Argv[1], b)
		}
		return unix.Kill(-pid, unix.SIGKILL)
	}
	cmd := exec.Command(c.Argv[0], c.Argv[1:]...)
	if c.Stays {
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		return cmd.Start()
	}
	out, err := cmd.CombinedOutput()
	fmt.Printf("server: %s\n%s", strings.Join(c.Argv, " "), out)
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(c.Argv, " "), err, out)
	}
	return nil
}

func load(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	flags := 0
	if strings.HasSuffix(file, ".xz") { // Linux 6.12 unpacks it itself
		flags = unix.MODULE_INIT_COMPRESSED_FILE
	}
	if err := unix.FinitModule(int(f.Fd()), "", flags); err != nil && err != unix.EEXIST {
		return fmt.Errorf("load %s: %w", file, err)
	}
	return nil
}
