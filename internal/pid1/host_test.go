package pid1

import (
	"bytes"
	"debug/elf"
	"encoding/base64"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/sys/unix"

	"firstlight/internal/machine"
	"firstlight/internal/testtool"
)

// reaping reaps as PID 1 does: for each SIGCHLD.
func reaping(t *testing.T) *children {
	t.Helper()
	c := newChildren()
	ch := make(chan os.Signal, 16)
	done := make(chan struct{})
	signal.Notify(ch, unix.SIGCHLD)
	go func() {
		for {
			select {
			case <-ch:
				c.reap()
			case <-done:
				return
			}
		}
	}()
	t.Cleanup(func() { signal.Stop(ch); close(done) })
	return c
}

func TestEveryHelperGetsItsOwnExit(t *testing.T) {
	c := reaping(t)
	var all sync.WaitGroup
	for i := range 40 {
		all.Add(1)
		go func() {
			defer all.Done()
			// Half of them end at once, before anybody waits for them.
			script := "echo out$1; echo err >&2; exit $1"
			if i%2 == 0 {
				script = "read line; echo $line; exit $1"
			}
			exit, err := c.Run(machine.Program{Path: "/bin/sh", Args: []string{"-c", script, "sh", string(rune('0' + i%10))}, Input: []byte("typed\n")})
			if err != nil || exit.Code != i%10 {
				t.Errorf("%d: %+v, %v", i, exit, err)
			}
			if i%2 == 0 && exit.Output != "typed\n" {
				t.Errorf("%d: %q", i, exit.Output)
			}
		}()
	}
	finished := make(chan struct{})
	go func() { all.Wait(); close(finished) }()
	select {
	case <-finished:
	case <-time.After(20 * time.Second):
		t.Fatal("a helper's end was lost")
	}
	if len(c.wait) != 0 {
		t.Errorf("%d are still waited for", len(c.wait))
	}
}

func TestHelperThatIsKilledAndOneThatIsNotThere(t *testing.T) {
	c := reaping(t)
	exit, err := c.Run(machine.Program{Path: "/bin/sh", Args: []string{"-c", "kill -9 $$"}})
	if err != nil || exit.Code != 128+9 {
		t.Errorf("%+v, %v", exit, err)
	}
	if _, err := c.Run(machine.Program{Path: "/nonexistent"}); err == nil || !strings.Contains(err.Error(), "/nonexistent") {
		t.Error(err)
	}
	if c.HasProgram("/nonexistent") || c.HasProgram("/etc/passwd") || !c.HasProgram("/bin/sh") {
		t.Error("HasProgram")
	}
}

func TestOutputOfAHelperIsBounded(t *testing.T) {
	c := reaping(t)
	exit, err := c.Run(machine.Program{Path: "/bin/sh", Args: []string{"-c", "head -c 1000000 /dev/zero"}})
	if err != nil || exit.Code != 0 || len(exit.Output) != maxOutput {
		t.Errorf("%d, %d bytes, %v", exit.Code, len(exit.Output), err)
	}
}

// A root whose init cannot be executed is found out before the point from
// which there is no way back.
func TestInitThatCouldNotRunIsFoundOutBeforeTheSwitch(t *testing.T) {
	testtool.Root(t)
	root := t.TempDir()
	write := func(p, text string) {
		t.Helper()
		p = filepath.Join(root, p)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	sh, err := os.ReadFile("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	f, err := elf.NewFile(bytes.NewReader(sh))
	if err != nil {
		t.Skip("the host's shell is no ELF program")
	}
	interp := ""
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			b := make([]byte, p.Filesz)
			p.ReadAt(b, 0)
			interp = strings.TrimRight(string(b), "\x00")
		}
	}
	if interp == "" {
		t.Skip("the host's shell is static")
	}
	write("/script", "#! /bin/sh -e\n")
	write("/elf", string(sh))
	write("/text", "hello world")
	write("/empty", "")
	write("/noname", "#!\n")
	write("/torn", string(sh[:40]))
	if err := os.Symlink("/elf", filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	for p, want := range map[string]string{"/script": "/bin/sh", "/elf": interp, "/link": interp, "/text": "neither",
		"/empty": "empty", "/noname": "names no program", "/torn": "cut off", "/gone": "/gone"} {
		if err := interpreter(root, p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q named", p, err, want)
		}
	}
	write("/bin/sh", string(sh))
	write(interp, "#!")
	for _, p := range []string{"/script", "/elf", "/link"} {
		if err := interpreter(root, p); err != nil {
			t.Errorf("%s: %v", p, err)
		}
	}
}

func TestLinkInTheRootDoesNotLeadOutOfIt(t *testing.T) {
	root := t.TempDir()
	if err := os.Symlink("/../../../../etc", filepath.Join(root, "sbin")); err != nil {
		t.Fatal(err)
	}
	if _, err := (files{}).InRoot(root, "/sbin/passwd"); err == nil {
		t.Error("found the host's file")
	}
	if err := os.MkdirAll(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "etc/passwd"), []byte("inside"), 0o644); err != nil {
		t.Fatal(err)
	}
	info, err := files{}.InRoot(root, "/sbin/passwd")
	if err != nil || info.Path != "/etc/passwd" || info.Size != 6 {
		t.Errorf("%+v, %v", info, err)
	}
	if b, err := (files{}).ReadInRoot(root, "/sbin/passwd", 5); err == nil {
		t.Errorf("%q is longer than allowed", b)
	}
}

func TestImageIsNotRemovedFromADisk(t *testing.T) {
	dir := t.TempDir()
	keep := filepath.Join(dir, "keep")
	if err := os.WriteFile(keep, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	if st.Type == unix.TMPFS_MAGIC || st.Type == unix.RAMFS_MAGIC {
		t.Skip("the temporary directory is in memory")
	}
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := freeImage(fd, 0); err == nil {
		t.Error("it would delete a disk's files")
	}
	if _, err := os.Stat(keep); err != nil {
		t.Error(err)
	}
}

func TestOnlyNamesBelowDevAndRunAreTouched(t *testing.T) {
	for _, p := range []string{"/etc/x", "/dev/../etc/x", "/dev", "dev/x", "/dev//x"} {
		if err := (files{}).Link("y", p); err == nil {
			t.Errorf("linked %s", p)
		}
		if err := (files{}).Unlink(p); err == nil {
			t.Errorf("unlinked %s", p)
		}
	}
	for _, p := range []string{"/etc/x", "/run/../etc/x", "/runx/y"} {
		if err := (files{}).WriteFile(p, nil, 0o600); err == nil {
			t.Errorf("wrote %s", p)
		}
	}
}

func TestPasswordOfTheShell(t *testing.T) {
	salt := []byte("saltsalt")
	key := argon2.IDKey([]byte("open sesame"), salt, 1, 8, 1, 32)
	good := "$argon2id$v=19$m=8,t=1,p=1$" + base64.RawStdEncoding.EncodeToString(salt) + "$" + base64.RawStdEncoding.EncodeToString(key)
	if !checkPassword(good, []byte("open sesame")) || checkPassword(good, []byte("open barley")) {
		t.Error("the password does not open, or another one does")
	}
	for hash, want := range map[string]bool{
		"": false, "plain": false, "$6$salt$hash": false,
		"$argon2id$v=19$m=999999999,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA": false,
	} {
		if got := checkPassword(hash, []byte("open sesame")); got != want {
			t.Errorf("%q: %v", hash, got)
		}
	}
}

func TestFilesWithAndWithoutASizeAreReadWhole(t *testing.T) {
	p := filepath.Join(t.TempDir(), "f")
	for _, n := range []int{0, 1, 511, 512, 513, 100000} {
		if err := os.WriteFile(p, bytes.Repeat([]byte("x"), n), 0o600); err != nil {
			t.Fatal(err)
		}
		if b, err := readBounded(p, int64(n)); err != nil || len(b) != n {
			t.Errorf("%d: %d bytes, %v", n, len(b), err)
		}
		if n > 0 {
			if _, err := readBounded(p, int64(n-1)); err == nil {
				t.Errorf("%d bytes are more than %d", n, n-1)
			}
		}
	}
	// A file of /proc says that it is empty.
	if b, err := readBounded("/proc/self/mountinfo", 1<<20); err != nil || len(b) < 100 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

func TestPanicOfTheCoreIsNotTheEnd(t *testing.T) {
	after := false
	contained(func() { panic("core") })
	contained(func() { after = true })
	if !after {
		t.Error("nothing runs any more")
	}
}

// What PID 1's threads may oversleep is not for the programs that it starts.
func TestHelpersSleepAsPreciselyAsUsual(t *testing.T) {
	if _, err := os.Stat("/proc/self/timerslack_ns"); err != nil {
		t.Fatal(err) // every kernel since 4.6 has it
	}
	c := reaping(t)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer usualSleep()
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 200_000, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	exit, err := c.Run(machine.Program{Path: "/bin/sh", Args: []string{"-c", "read slack </proc/self/timerslack_ns; echo $slack"}})
	if err != nil || exit.Output != "50000\n" {
		t.Errorf("%+v, %v", exit, err)
	}
}
