package install

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"firstlight/internal/testtool"
)

// content is an image of some megabytes, in pieces.
func content(seed byte) [][]byte {
	var frames [][]byte
	for i := range byte(4) {
		frames = append(frames, bytes.Repeat([]byte{seed, i, seed ^ i}, 300_000))
	}
	return frames
}

func whole(seed byte) []byte { return bytes.Join(content(seed), nil) }

// names are the files of a directory.
func names(t *testing.T, dir string) (out []string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		out = append(out, e.Name())
	}
	return out
}

func holds(t *testing.T, name string, seeds ...byte) byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range seeds {
		if bytes.Equal(b, whole(s)) {
			return s
		}
	}
	t.Fatalf("%s holds %d bytes of none of the images %d", name, len(b), seeds)
	return 0
}

// booted says that the machine has booted with the images of some seeds.
func booted(seeds ...byte) func([]byte) bool {
	return func(image []byte) bool { return len(image) > 0 && slices.Contains(seeds, image[0]) }
}

func put(t *testing.T, path string, seed byte, hasBooted func([]byte) bool) Result {
	t.Helper()
	return putOn(t, Options{Path: path, Booted: hasBooted}, seed)
}

func putOn(t *testing.T, o Options, seed byte) Result {
	t.Helper()
	o.Perm, o.Frames, o.Backup = 0o644, content(seed), true
	res, err := Put(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func TestTheLastImageThatBootedStays(t *testing.T) {
	everyPlace(t, func(t *testing.T, dir string, noLinks bool) {
		path := filepath.Join(dir, "initrd.img-1")
		if res := putOn(t, Options{Path: path, Booted: booted(), NoLinks: noLinks}, 1); res.Kept != "" || res.Unchanged {
			t.Errorf("first: %+v", res)
		}
		if res := putOn(t, Options{Path: path, Booted: booted(), NoLinks: noLinks}, 1); !res.Unchanged {
			t.Errorf("the same again: %+v", res)
		}
		// Nothing is known to have booted: the one before is better than none.
		if res := putOn(t, Options{Path: path, Booted: booted(), NoLinks: noLinks}, 2); res.Kept != path+Old {
			t.Errorf("second: %+v", res)
		}
		holds(t, path+Old, 1)
		// The second one never booted: the first one stays.
		putOn(t, Options{Path: path, Booted: booted(1), NoLinks: noLinks}, 3)
		holds(t, path+Old, 1)
		// The third one did.
		putOn(t, Options{Path: path, Booted: booted(1, 3), NoLinks: noLinks}, 4)
		holds(t, path+Old, 3)
		holds(t, path, 4)
		if got := names(t, dir); !slices.Equal(got, []string{"initrd.img-1", "initrd.img-1.old"}) {
			t.Errorf("%q", got)
		}
		removed, err := Remove(context.Background(), path)
		if err != nil || len(removed) != 2 || len(names(t, dir)) != 0 {
			t.Errorf("%q, %v, left %q", removed, err, names(t, dir))
		}
		if removed, err = Remove(context.Background(), path); err != nil || removed != nil {
			t.Errorf("again: %q, %v", removed, err)
		}
	})
}

// everyPlace runs a test with files that can have two names, and with such that
// cannot, as on the EFI system partition.
func everyPlace(t *testing.T, f func(t *testing.T, dir string, noLinks bool)) {
	t.Run("links", func(t *testing.T) { f(t, t.TempDir(), false) })
	t.Run("none", func(t *testing.T) { f(t, t.TempDir(), true) })
}

// small is a filesystem of so many MiB.
func small(t *testing.T, mib int) string {
	t.Helper()
	testtool.Root(t)
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dM", mib)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// An installation that is killed at any moment leaves a whole image, and the
// next one leaves nothing of it.
func TestKilledAtEveryStep(t *testing.T) {
	everyPlace(t, func(t *testing.T, dir string, noLinks bool) {
		const most = 60
		for at := range most {
			for _, name := range names(t, dir) {
				if err := os.Remove(filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
			}
			path := filepath.Join(dir, "initrd.img-1")
			putOn(t, Options{Path: path, Booted: booted(1), NoLinks: noLinks}, 1)
			putOn(t, Options{Path: path, Booted: booted(1), NoLinks: noLinks}, 2)
			done := !killedAt(t, path, at, noLinks)
			image := holds(t, path, 2, 3)
			old := holds(t, path+Old, 1, 2)
			if done && (image != 3 || old != 2) {
				t.Errorf("not killed, and the image is %d, the one before %d", image, old)
			}
			putOn(t, Options{Path: path, Booted: booted(1, 2), NoLinks: noLinks}, 3)
			holds(t, path, 3)
			if got := names(t, dir); !slices.Equal(got, []string{"initrd.img-1", "initrd.img-1.old"}) {
				t.Fatalf("killed at step %d: the next one left %q", at, got)
			}
			if done {
				if at < 10 {
					t.Errorf("there were %d steps alone", at)
				}
				return
			}
		}
		t.Errorf("there are more than %d steps", most)
	})
}

const killVariable = "FIRSTLIGHT_TEST_KILL"

// killedAt installs image 3 in another process that kills itself before a step;
// it says whether there were so many.
func killedAt(t *testing.T, path string, step int, noLinks bool) bool {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run", "^TestKilledChild$")
	cmd.Env = append(os.Environ(), killVariable+"="+fmt.Sprint(step, noLinks, " ", path))
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signaled() {
		return true
	}
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return false
}

func TestKilledChild(t *testing.T) {
	var at int
	var noLinks bool
	var path string
	if n, _ := fmt.Sscan(os.Getenv(killVariable), &at, &noLinks, &path); n != 3 {
		return // it is run by another test
	}
	n := 0
	_, err := Put(context.Background(), Options{Path: path, Perm: 0o644, Frames: content(3), Backup: true, Booted: booted(1, 2), NoLinks: noLinks, Step: func(string) {
		if n == at {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		n++
	}})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAFullDiskChangesNothing(t *testing.T) {
	dir := small(t, 9) // an image has 3.6 MB
	path := filepath.Join(dir, "initrd.img-1")
	put(t, path, 1, booted(1))
	put(t, path, 2, booted(1))
	// No room beside the two, and the second one has not booted.
	_, err := Put(context.Background(), Options{Path: path, Perm: 0o644, Frames: content(3), Backup: true, Booted: booted(1)})
	var space *SpaceError
	if !errors.As(err, &space) || !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "remove kernels") {
		t.Errorf("%v", err)
	}
	holds(t, path, 2)
	holds(t, path+Old, 1)
	// It has: the first one makes room.
	if res := put(t, path, 3, booted(1, 2)); res.Dropped != path+Old || res.Kept != path+Old {
		t.Errorf("%+v", res)
	}
	holds(t, path, 3)
	holds(t, path+Old, 2)
	if got := names(t, dir); len(got) != 2 {
		t.Errorf("%q", got)
	}
}

// A disk that becomes full while the file is written is one that was not known
// to be.
func TestADiskThatFillsUpChangesNothing(t *testing.T) {
	dir := small(t, 8)
	path := filepath.Join(dir, "initrd.img-1")
	put(t, path, 1, nil)
	_, err := Put(context.Background(), Options{Path: path, Perm: 0o644, Frames: content(2), Step: func(what string) {
		if what == "write a piece" {
			_ = os.WriteFile(filepath.Join(dir, "other"), make([]byte, 8<<20), 0o600)
		}
	}})
	if !errors.Is(err, unix.ENOSPC) {
		t.Errorf("%v", err)
	}
	holds(t, path, 1)
	if got := names(t, dir); !slices.Equal(got, []string{"initrd.img-1", "other"}) {
		t.Errorf("%q", got)
	}
}

func TestAReadOnlyDirectoryIsNamed(t *testing.T) {
	dir := small(t, 16)
	path := filepath.Join(dir, "initrd.img-1")
	put(t, path, 1, nil)
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	_, err := Put(context.Background(), Options{Path: path, Perm: 0o644, Frames: content(2), Backup: true})
	if !errors.Is(err, unix.EROFS) || !strings.Contains(err.Error(), path) {
		t.Errorf("%v", err)
	}
	holds(t, path, 1)
}

func TestTwoAtOnce(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "initrd.img-1")
	put(t, path, 1, nil)
	waited := make(chan bool, 8)
	first := make(chan bool)
	var all sync.WaitGroup
	for seed := byte(2); seed < 8; seed++ {
		o := Options{Path: path, Perm: 0o600, Frames: content(seed), Backup: true, Waiting: func() { waited <- true }}
		if seed == 2 {
			// It goes on when another one waits for it.
			o.Step = func(what string) {
				if what == "replace the image" {
					close(first)
					<-waited
				}
			}
		} else if seed == 3 {
			<-first
		}
		all.Go(func() {
			if _, err := Put(context.Background(), o); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	holds(t, path, 2, 3, 4, 5, 6, 7)
	holds(t, path+Old, 1, 2, 3, 4, 5, 6, 7)
	if got := names(t, dir); len(got) != 2 {
		t.Errorf("%q", got)
	}
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "initrd.img-1")
	put(t, path, 1, nil)
	dir, err := (&Options{Path: path}).lock(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	ctx, cancel := context.WithCancel(context.Background())
	_, err = Put(ctx, Options{Path: path, Frames: content(2), Waiting: cancel})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	holds(t, path, 1)
}

func TestModesAndLinks(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "real")
	path := filepath.Join(dir, "initrd.img-1")
	if err := os.Symlink("real", path); err != nil {
		t.Fatal(err)
	}
	if _, err := Put(context.Background(), Options{Path: path, Frames: content(1)}); err == nil {
		t.Error("a link to nothing was taken")
	}
	if err := os.WriteFile(target, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	perm := func() fs.FileMode {
		st, err := os.Stat(target)
		if err != nil {
			t.Fatal(err)
		}
		return st.Mode()
	}
	put(t, path, 1, nil)
	if perm() != 0o644 {
		t.Errorf("mode %v", perm())
	}
	holds(t, target, 1)
	// The same image, which is a secret now.
	res, err := Put(context.Background(), Options{Path: path, Perm: 0o600, Frames: content(1)})
	if err != nil || !res.Unchanged || perm() != 0o600 {
		t.Errorf("%+v %v, mode %v", res, err, perm())
	}
	if _, err := Put(context.Background(), Options{Path: dir, Frames: content(1)}); err == nil {
		t.Error("a directory was taken for an image")
	}
	if _, err := Put(context.Background(), Options{Path: filepath.Join(dir, "none", "x"), Frames: content(1)}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// What a disk gives back is compared with what was written.
func TestADiskThatForgetsIsFound(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "initrd.img-1")
	put(t, path, 1, nil)
	o := Options{Path: path, Perm: 0o644, Frames: content(2)}
	o.Step = func(what string) {
		if what == "bring it to the disk" {
			if err := os.WriteFile(o.temp(), append(whole(2)[:1_000_000], whole(3)[1_000_000:]...), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := Put(context.Background(), o); err == nil || !strings.Contains(err.Error(), "faulty") {
		t.Errorf("%v", err)
	}
	holds(t, path, 1)
	if got := names(t, dir); len(got) != 1 {
		t.Errorf("%q", got)
	}
}
