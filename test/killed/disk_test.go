package killed

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A /boot without room keeps what it has, and says how much is missing; with
// room again the same command does it.
func TestFullBoot(t *testing.T) {
	m := newMachine(t)
	image := m.must()
	var used int64
	for _, name := range m.inBoot() {
		st, err := os.Stat(filepath.Join(m.boot, name))
		if err != nil {
			t.Fatal(err)
		}
		used += st.Size()
	}
	m.mount(m.boot, fmt.Sprintf("size=%d", used+int64(len(image))*3/2))
	filler := filepath.Join(m.boot, "filler")
	if err := os.WriteFile(filler, make([]byte, len(image)), 0o644); err != nil {
		t.Fatal(err)
	}
	m.configure(1)
	contains(t, m.fails(), " MB free and the image needs ", "nothing was changed", "remove kernels that are no longer used", m.image)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	m.has("full")
	if !bytes.Equal(m.read(m.image), image) {
		t.Error("the image has changed")
	}
	m.must()
	m.has("with room again", ".old")
	m.sound()
}

// A fallback that does not fit: the image itself is there, the fallback before
// is as well, and the command fails.
func TestFullForTheSecondImage(t *testing.T) {
	m := newMachine(t)
	image := m.must()
	m.mount(m.boot, fmt.Sprintf("size=%d", 32<<20))
	m.write("etc/firstlight.d/fallback.toml", "[install]\nfallback = \"/boot/second-%v.img\"\n")
	second := filepath.Join(m.boot, "second-"+m.kernel+".img")
	if err := os.WriteFile(second, image, 0o644); err != nil {
		t.Fatal(err)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(m.boot, &st); err != nil {
		t.Fatal(err)
	}
	filler := filepath.Join(m.boot, "filler")
	if err := os.WriteFile(filler, make([]byte, int64(st.Bavail)*st.Bsize-int64(len(image))*3/2), 0o644); err != nil {
		t.Fatal(err)
	}
	m.configure(1)
	contains(t, m.fails(), second, " MB free and the image needs ")
	for _, name := range []string{filler, second} {
		if name == second && !bytes.Equal(m.read(second), image) {
			t.Error("the second image has changed")
		}
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	m.has("full", ".old")
	m.sound()
}

// No room for another name, which nobody can know before.
func TestNoRoomForAnotherFile(t *testing.T) {
	m := newMachine(t)
	image := m.must()
	m.mount(m.boot, fmt.Sprintf("nr_inodes=%d", len(m.inBoot())+1))
	m.configure(1)
	contains(t, m.fails(), "no space left on device", m.image)
	m.has("without inodes")
	if !bytes.Equal(m.read(m.image), image) {
		t.Error("the image has changed")
	}
}

// A cache that is full is no trouble.
func TestFullCache(t *testing.T) {
	m := newMachine(t)
	m.mount(m.cache, "size=64k")
	m.must()
	m.sound()
	if list := entries(t, filepath.Join(m.cache, "firstlight")); len(list) != 0 {
		for _, name := range list {
			if len(name) > 4 && name[:4] == "new-" {
				t.Errorf("the cache has %q", list)
			}
		}
	}
}

// A /boot that cannot be written to is said to be that.
func TestReadOnlyBoot(t *testing.T) {
	m := newMachine(t)
	image := m.must()
	m.mount(m.boot, "size=64M")
	if err := unix.Mount("", m.boot, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	m.configure(1)
	contains(t, m.fails(), "read-only file system", m.image)
	if !bytes.Equal(m.read(m.image), image) {
		t.Error("the image has changed")
	}
	m.has("read-only")
	if err := unix.Mount("", m.boot, "", unix.MS_REMOUNT, ""); err != nil {
		t.Fatal(err)
	}
	m.must()
	m.has("writable again", ".old")
	m.sound()
}
