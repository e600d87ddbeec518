package md

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"firstlight/internal/mdsuper"
	"firstlight/internal/sysfs"
	"firstlight/internal/testtool"
)

// TestMain lets the test binary be the init of a guest.
func TestMain(m *testing.M) {
	if os.Getpid() == 1 && os.Getenv("FIRSTLIGHT_GUEST") == "md" {
		guest()
	}
	os.Exit(m.Run())
}

// guestModules are what the guest loads, with what they need.
var guestModules = []string{"brd", "crc32c_generic", "md-mod", "linear", "raid0", "raid1", "raid10", "raid456"}

// The kernel itself is the judge: arrays that mdadm made are started by our
// steps in a Debian guest, must not be written to before they are told to,
// and look to mdadm as they should.
func TestArraysStartInARealKernel(t *testing.T) {
	if testing.Short() {
		t.Skip("boots a guest")
	}
	testtool.Need(t, "qemu-system-x86_64", "mdadm", "cpio", "ldd", "go")
	root, release := testtool.Kernel(t, "bookworm")
	dir := t.TempDir()
	tree := filepath.Join(dir, "tree")
	for _, d := range []string{"dev", "proc", "sys", "run/mdadm", "tmp", "usr/sbin", "modules"} {
		if err := os.MkdirAll(filepath.Join(tree, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	run := func(name string, args ...string) []byte {
		t.Helper()
		cmd := exec.Command(name, args...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %q: %v\n%s", name, args, err, out)
		}
		return out
	}
	run("go", "test", "-c", "-ldflags=-s -w", "-o", filepath.Join(tree, "init"), "firstlight/internal/md")
	mdadm := testtool.Path("mdadm")
	run("cp", mdadm, filepath.Join(tree, "usr/sbin/mdadm"))
	for _, f := range strings.Fields(string(run("ldd", mdadm))) {
		if strings.HasPrefix(f, "/") {
			dst := filepath.Join(tree, f)
			run("mkdir", "-p", filepath.Dir(dst))
			run("cp", "-L", f, dst)
		}
	}
	mods := filepath.Join(root, "lib/modules", release)
	for i, m := range moduleOrder(t, mods) {
		run("cp", filepath.Join(mods, m), filepath.Join(tree, "modules", fmt.Sprintf("%03d.ko", i)))
	}
	initrd := filepath.Join(dir, "initrd")
	run("sh", "-c", `cd "$1" && find . | cpio -o -H newc --quiet >"$2"`, "sh", tree, initrd)

	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, testtool.Path("qemu-system-x86_64"), "-machine", "q35", "-accel", "tcg", "-cpu", "max",
		"-m", "512", "-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio",
		"-kernel", filepath.Join(root, "boot/vmlinuz-"+release), "-initrd", initrd,
		"-append", "console=ttyS0 quiet panic=-1 no_timer_check raid=noautodetect FIRSTLIGHT_GUEST=md").CombinedOutput()
	if err != nil {
		t.Errorf("qemu: %v", err)
	}
	passed := 0
	for line := range strings.Lines(string(out)) {
		switch line = strings.TrimSpace(line); {
		case strings.HasPrefix(line, "FAIL "):
			t.Error(line)
		case strings.HasPrefix(line, "PASS "):
			passed++
		}
	}
	if passed != len(guestCases) || !bytes.Contains(out, []byte("GUEST DONE")) {
		t.Errorf("%d of %d cases passed; the guest said:\n%s", passed, len(guestCases), out)
	}
}

// moduleOrder lists the files of the modules in the order in which they are
// to be loaded.
func moduleOrder(t *testing.T, dir string) []string {
	b, err := os.ReadFile(filepath.Join(dir, "modules.dep"))
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, m := range guestModules {
		for line := range strings.Lines(string(b)) {
			file, deps, _ := strings.Cut(strings.TrimSpace(line), ":")
			if !strings.HasSuffix(file, "/"+m+".ko") {
				continue
			}
			need := strings.Fields(deps)
			slices.Reverse(need)
			for _, f := range append(need, file) {
				if !slices.Contains(list, f) {
					list = append(list, f)
				}
			}
		}
	}
	return list
}

// memberSize is that of a RAM disk in bytes.
const memberSize = 6 << 20

type guestCase struct {
	name    string
	create  string // arguments of mdadm --create
	members int
	drop    int // a member that is not there, or -1
	state   mdsuper.State
}

var guestCases = []guestCase{
	{"raid1", "-e 1.2 -N data -l 1 -n 2 --assume-clean", 2, -1, mdsuper.Complete},
	{"raid1 old", "-e 0.90 -l 1 -n 2 --assume-clean", 2, -1, mdsuper.Complete},
	{"raid0", "-e 1.0 -N 7 -l 0 -n 3", 3, -1, mdsuper.Complete},
	{"linear", "-e 1.1 -N data -l linear -n 2", 2, -1, mdsuper.Complete},
	{"raid5 degraded", "-e 1.2 -N data -l 5 -n 3 --assume-clean", 3, 1, mdsuper.Degraded},
	{"raid10 degraded", "-e 1.1 -N data -l 10 -p f2 -n 4 --assume-clean", 4, 2, mdsuper.Degraded},
}

// guest is init: it makes each array with mdadm and starts it with our steps.
func guest() {
	defer unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	os.Setenv("PATH", "/usr/sbin")
	os.Setenv("MDADM_NO_UDEV", "1")
	unix.Mount("dev", "/dev", "devtmpfs", 0, "")
	unix.Mount("proc", "/proc", "proc", 0, "")
	unix.Mount("sys", "/sys", "sysfs", 0, "")
	unix.Sethostname([]byte("ironwood"))
	mods, _ := filepath.Glob("/modules/*.ko")
	for _, m := range mods {
		params := ""
		f, err := os.Open(m)
		if err == nil {
			if b, _ := os.ReadFile(m); bytes.Contains(b, []byte("parm=rd_nr:")) {
				params = fmt.Sprintf("rd_nr=4 rd_size=%d", memberSize>>10)
			}
			err = unix.FinitModule(int(f.Fd()), params, 0)
			f.Close()
		}
		if err != nil && err != unix.EEXIST {
			fmt.Println("FAIL load", m, err)
		}
	}
	for _, c := range guestCases {
		if err := c.run(); err != nil {
			fmt.Printf("FAIL %s: %s\n", c.name, strings.ReplaceAll(err.Error(), "\n", " / "))
			continue
		}
		fmt.Println("PASS", c.name)
	}
	fmt.Println("GUEST DONE")
}

func redundant(l mdsuper.Level) bool { return l > 0 }

type real struct{ sysfs.Dir }

func (r real) WriteSysfs(path, value string) error { return r.Write(path, value) }
func (real) Load(...string) error                  { return nil } // they are all loaded

func tool(args ...string) (string, error) {
	out, err := exec.Command("/usr/sbin/mdadm", args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("mdadm %q: %w: %s", args, err, out)
	}
	return string(out), nil
}

func device(i int) string { return fmt.Sprintf("/dev/ram%d", i) }

// forget removes what mdadm keeps of an array that was stopped: its name would
// count as taken.
func forget() {
	os.Remove("/run/mdadm/map")
	os.RemoveAll("/dev/md")
}

func (c guestCase) run() error {
	w := real{"/sys"}
	defer func() {
		tool("--stop", "--scan") // of use after a failure
		forget()
	}()
	devs := []string{}
	for i := range c.members {
		devs = append(devs, device(i))
		if err := os.WriteFile(device(i), make([]byte, memberSize), 0); err != nil {
			return err
		}
	}
	args := append([]string{"--create", "/dev/md100", "--run", "--homehost=ironwood"}, strings.Fields(c.create)...)
	if _, err := tool(append(args, devs...)...); err != nil {
		return err
	}
	if _, err := tool("--stop", "/dev/md100"); err != nil {
		return err
	}
	forget()

	// What does mdadm call it?
	for _, d := range devs {
		if _, err := tool("--incremental", "--quiet", d); err != nil {
			return err
		}
	}
	theirs, err := os.ReadFile("/run/mdadm/map")
	if err != nil {
		return err
	}
	kernel, _, _ := strings.Cut(string(theirs), " ")
	if _, err := tool("--stop", "/dev/"+kernel); err != nil {
		return err
	}
	forget()

	var ms []mdsuper.Member
	before := map[int][]byte{}
	for i := range c.members {
		if i == c.drop {
			continue
		}
		f, err := os.Open(device(i))
		if err != nil {
			return err
		}
		s, err := mdsuper.Read(f, memberSize)
		f.Close()
		if err != nil {
			return err
		}
		ms = append(ms, mdsuper.Member{Device: device(i), Super: s})
		if before[i], err = os.ReadFile(device(i)); err != nil {
			return err
		}
	}
	a := mdsuper.Collect(ms, mdsuper.Options{})
	if a.State != c.state {
		return fmt.Errorf("state %v, want %v: %q", a.State, c.state, a.Explain())
	}
	conf := &mdsuper.Conf{}
	name := conf.NameArray(a.Super, nil, "ironwood", mdsuper.Taken{Kernel: Exists(w), Link: func(string) bool { return false }})
	if ours := MapLine(a.Super, name); ours != string(theirs) {
		return fmt.Errorf("map line %q, mdadm's is %q", ours, theirs)
	}
	steps, err := Plan(a, name.Kernel, func(dev string) (string, error) {
		return w.Read("/class/block/" + strings.TrimPrefix(dev, "/dev/") + "/dev")
	}, Options{Degraded: true})
	if err != nil {
		return err
	}
	if notes, err := Execute(w, steps); err != nil || len(notes) > 0 {
		return fmt.Errorf("start: %v %v", notes, err)
	}
	st, err := ReadState(w, name.Kernel)
	if err != nil {
		return err
	}
	missing := len(a.Missing())
	// The kernel has no read-auto for levels without redundancy: they have
	// nothing to repair, and write nothing of their own either.
	want := "read-auto"
	if !redundant(a.Super.Level) {
		want = "clean"
	}
	if st.Array != want || !st.Running() || st.Level != a.Super.Level.String() || st.RaidDisks != a.Super.RaidDisks || st.Degraded != missing {
		return fmt.Errorf("state after the start: %+v", st)
	}
	// Reading is possible; nothing is written for it.
	if b, err := os.ReadFile("/dev/" + name.Kernel); err != nil || len(b) < 1<<20 {
		return fmt.Errorf("read: %d bytes, %v", len(b), err)
	}
	time.Sleep(300 * time.Millisecond) // longer than md's safe mode delay
	for i, b := range before {
		if now, err := os.ReadFile(device(i)); err != nil || !bytes.Equal(now, b) {
			return fmt.Errorf("%s was written to while the array was read-only (%v)", device(i), err)
		}
	}
	if err := os.WriteFile("/run/mdadm/map", []byte(MapLine(a.Super, name)), 0o600); err != nil {
		return err
	}
	detail, err := tool("--detail", "--no-devices", "--export", "/dev/"+name.Kernel)
	if err != nil {
		return err
	}
	var props strings.Builder
	for _, p := range Properties(a.Super, name) {
		fmt.Fprintf(&props, "%s=%s\n", p.Key, p.Value)
	}
	if props.String() != detail {
		return fmt.Errorf("properties %q, mdadm says %q", props.String(), detail)
	}
	if err := ReadWrite(w, name.Kernel); err != nil {
		return err
	}
	if st, err = ReadState(w, name.Kernel); err != nil || st.Array == "read-auto" || st.Array == "readonly" {
		return fmt.Errorf("state after ReadWrite: %+v, %v", st, err)
	}
	if err := Stop(w, name.Kernel); err != nil {
		return err
	}
	if _, err := tool("--examine", devs[0]); err != nil {
		return err
	}
	if st, err := ReadState(w, name.Kernel); err == nil && st.Running() {
		return fmt.Errorf("runs after Stop: %+v", st)
	}
	return nil
}
