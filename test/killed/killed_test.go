package killed

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// points are how many moments of an installation are tried: fifty in make
// test-full.
func points() int {
	if os.Getenv("FIRSTLIGHT_FULL") != "" {
		return 50
	}
	return 12
}

// Killed at any moment, there is an image: the one before or the new one, and
// the next installation leaves nothing of the one that was killed. Half of the
// moments are spread over the whole run; the other half over the time in which
// /boot changes, which is short.
func TestKilledAtAnyPoint(t *testing.T) {
	points := points()
	m := newMachine(t)
	m.must()
	whole, late := m.measure()
	before := m.read(m.image)
	m.sound()
	random := rand.New(rand.NewPCG(5, 50))
	seen := map[string]int{}
	for n := range points {
		part := func(d time.Duration) time.Duration {
			return time.Duration((float64(n/2) + random.Float64()) / float64(points/2) * float64(d))
		}
		if n%4 < 2 { // there is none to go back to, so that one is made
			if err := os.Remove(m.image + ".old"); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
		}
		m.configure(100 + n)
		var killed bool
		if n%2 == 0 {
			killed = m.kill(nil, part(whole))
		} else {
			changes := m.watch()
			killed = m.kill(changes, part(late))
			changes.Close()
		}
		left := m.read(m.image)
		state := m.left(killed, !bytes.Equal(left, before))
		seen[state]++
		m.hourPasses()
		after := m.must()
		if !bytes.Equal(left, before) && !bytes.Equal(left, after) {
			t.Fatalf("killed at point %d (%s): the image is neither the one before nor the new one", n, state)
		}
		m.has(state, ".old")
		if old := m.read(m.image + ".old"); n%4 < 2 && !bytes.Equal(old, before) {
			t.Fatalf("killed at point %d (%s): the image before is not kept", n, state)
		}
		if list := entries(t, filepath.Join(m.cache, "firstlight")); slices.ContainsFunc(list, func(s string) bool { return strings.HasPrefix(s, "new-") }) {
			t.Fatalf("killed at point %d: the cache has %q", n, list)
		}
		before = after
	}
	m.sound()
	t.Logf("a run takes %v, the last %v of it in /boot; of %d: %v", whole, late, points, seen)
	if n := seen["not killed"]; n > points/2 {
		t.Errorf("%d of %d ended before they were killed", n, points)
	}
}

// measure is how long an installation takes, and its last part, from the first
// change of /boot on.
func (m *machine) measure() (whole, late time.Duration) {
	m.t.Helper()
	for n := range 3 {
		m.configure(1000 + n)
		changes := m.watch()
		cmd, said := m.install()
		start := time.Now()
		if err := cmd.Start(); err != nil {
			m.t.Fatal(err)
		}
		if _, err := changes.Read(make([]byte, 4096)); err != nil {
			m.t.Fatal(err)
		}
		changed := time.Now()
		if err := cmd.Wait(); err != nil {
			m.t.Fatalf("%v: %s", err, said)
		}
		changes.Close()
		// The quickest run: what is killed too early is killed all the same.
		if d := time.Since(start); n == 0 || d < whole {
			whole, late = d, time.Since(changed)
		}
	}
	return whole, late
}

// watch returns what says when a file is made in /boot.
func (m *machine) watch() *os.File {
	m.t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err == nil {
		_, err = unix.InotifyAddWatch(fd, m.boot, unix.IN_CREATE)
	}
	if err != nil {
		m.t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), "changes of "+m.boot)
}

// kill installs and kills the program after a while, from its start on or from
// a change on. It says whether it had not ended by itself.
func (m *machine) kill(changes *os.File, after time.Duration) bool {
	m.t.Helper()
	cmd, said := m.install()
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	if changes != nil {
		if err := changes.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			m.t.Fatal(err)
		}
		if _, err := changes.Read(make([]byte, 4096)); err != nil {
			_ = cmd.Process.Kill()
			m.t.Fatalf("/boot does not change: %v", err)
		}
	}
	timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	err := cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
		return true
	}
	if err != nil {
		m.t.Fatalf("firstlight install: %v\n%s", err, said)
	}
	return false
}

// left describes in what state an installation has left /boot.
func (m *machine) left(killed, isNew bool) string {
	switch list := m.inBoot(); {
	case !killed:
		return "not killed"
	case isNew:
		return "killed with the new image in its place"
	case slices.ContainsFunc(list, func(s string) bool { return strings.HasPrefix(s, ".") }):
		return "killed with a part of the new image beside the one before"
	default:
		return "killed before /boot changed"
	}
}

// hourPasses makes what a killed one has left in the cache an hour older: until
// then it could be that of one that still runs.
func (m *machine) hourPasses() {
	m.t.Helper()
	then := time.Now().Add(-2 * time.Hour)
	list, err := filepath.Glob(filepath.Join(m.cache, "firstlight", "new-*"))
	if err != nil {
		m.t.Fatal(err)
	}
	for _, name := range list {
		if err := os.Chtimes(name, then, then); err != nil {
			m.t.Fatal(err)
		}
	}
}

// Two at once, also when one of them is killed: the image is one of the two, and
// the other waits and succeeds.
func TestTwoAtOnce(t *testing.T) {
	m := newMachine(t)
	m.must()
	conf := func(n int) string {
		name := filepath.Join(t.TempDir(), "firstlight.toml")
		text := line(n) + string(m.read(filepath.Join(m.root, "etc/firstlight.toml")))
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return name
	}
	first, second := conf(1), conf(2)
	images := map[string][]byte{}
	for _, c := range []string{first, second} {
		cmd, said := m.install("--config", c)
		if err := cmd.Run(); err != nil {
			t.Fatalf("%v: %s", err, said)
		}
		images[c] = m.read(m.image)
	}
	if bytes.Equal(images[first], images[second]) {
		t.Fatal("the two images are one")
	}
	for round := range 6 {
		a, saidA := m.install("--config", first)
		b, saidB := m.install("--config", second)
		for _, cmd := range []*exec.Cmd{a, b} {
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
		}
		kill := round%2 == 1
		if kill {
			if err := a.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		errA, errB := a.Wait(), b.Wait()
		if errB != nil || (errA != nil) != kill {
			t.Fatalf("round %d: %v, %v\n%s\n%s", round, errA, errB, saidA, saidB)
		}
		got := m.read(m.image)
		if !bytes.Equal(got, images[second]) && (kill || !bytes.Equal(got, images[first])) {
			t.Fatalf("round %d: the image is none of the two", round)
		}
		m.has("after two", ".old")
	}
}

// One that waits says so, and goes on as soon as the one that it waits for is
// killed.
func TestWaitsForTheOther(t *testing.T) {
	m := newMachine(t)
	dir, err := os.Open(m.boot)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	cmd, _ := m.install()
	cmd.Stderr = nil
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	text, buf := "", make([]byte, 4096)
	for !strings.Contains(text, "waiting for its end") {
		n, err := said.Read(buf)
		if text += string(buf[:n]); err != nil {
			t.Fatalf("it says only %q: %v", text, err)
		}
	}
	if list := m.inBoot(); len(list) != 2 {
		t.Errorf("it has not waited: %q", list)
	}
	dir.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	m.sound()
}
