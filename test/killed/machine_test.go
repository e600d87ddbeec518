// Package killed kills firstlight install, the program itself, at any time, and
// gives it disks that are full or cannot be written to: the image that was there
// is there, whole, and the next installation needs no help.
package killed

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"firstlight/internal/testtool"
	"firstlight/test/host"
)

// machine is a system on which images are installed, and a cache of its own: no
// file of this machine is touched.
type machine struct {
	t                   *testing.T
	program             string
	root, boot, kernel  string
	modules             string // of the kernel, elsewhere
	cache, image, extra string
}

// inspace runs a program in a mount namespace in which the modules are where the
// system has them and a directory is the cache, as the same process, so that it can
// be killed.
const inspace = `mount --bind "$1" "$2" && mount --bind "$3" /var/cache && shift 3 && exec "$@"`

func newMachine(t *testing.T) *machine {
	t.Helper()
	testtool.Root(t)
	testtool.Need(t, "unshare", "mount")
	checkout, err := host.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(checkout, "bin/firstlight") // make build
	testtool.Need(t, program)
	from, kernel := testtool.Kernel(t, "bookworm")
	dir := t.TempDir()
	m := &machine{t: t, program: program, root: filepath.Join(dir, "system"), kernel: kernel, cache: filepath.Join(dir, "cache")}
	m.boot = filepath.Join(m.root, "boot")
	m.image = filepath.Join(m.boot, "initrd.img-"+kernel)
	m.extra = filepath.Join(m.root, "etc/firstlight.d/extra.toml")
	m.modules = filepath.Join(from, "lib/modules")
	for _, d := range []string{"boot", "etc/firstlight.d", "usr/lib", "lib/modules", "../cache/firstlight"} {
		if err := os.MkdirAll(filepath.Join(m.root, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"config-" + kernel, "vmlinuz-" + kernel} {
		if err := os.WriteFile(filepath.Join(m.boot, name), m.read(filepath.Join(from, "boot", name)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	m.write("etc/os-release", "ID=debian\n")
	m.write("etc/firstlight.toml", "compression = \"zstd:1\"\n[root]\nbus = \"virtio_blk\"\nfstype = \"ext4\"\n")
	m.configure(0)
	return m
}

func (m *machine) write(name, text string) {
	m.t.Helper()
	if err := os.WriteFile(filepath.Join(m.root, name), []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

// configure asks for another image than any other number does.
func (m *machine) configure(n int) { m.write("etc/firstlight.d/extra.toml", line(n)) }

func line(n int) string { return fmt.Sprintf("cmdline = [\"root=/dev/vda1\", \"n=%d\"]\n", n) }

// command is one of firstlight.
func (m *machine) command(args ...string) (*exec.Cmd, *bytes.Buffer) {
	said := &bytes.Buffer{}
	cmd := exec.Command("unshare", append([]string{"-m", "sh", "-ec", inspace, "sh", m.modules, filepath.Join(m.root, "lib/modules"), m.cache, m.program}, args...)...)
	cmd.Stdout, cmd.Stderr = said, said
	return cmd, said
}

func (m *machine) install(more ...string) (*exec.Cmd, *bytes.Buffer) {
	return m.command(append([]string{"install", "--all", "--sysroot", m.root}, more...)...)
}

// must installs, and returns the image.
func (m *machine) must() []byte {
	m.t.Helper()
	cmd, said := m.install()
	if err := cmd.Run(); err != nil {
		m.t.Fatalf("firstlight install: %v\n%s", err, said)
	}
	return m.read(m.image)
}

// fails installs, which must not succeed, and returns what it said.
func (m *machine) fails() string {
	m.t.Helper()
	cmd, said := m.install()
	if err := cmd.Run(); err == nil || cmd.ProcessState.ExitCode() != 1 {
		m.t.Fatalf("firstlight install ended with %v and said %s", err, said)
	}
	return said.String()
}

// sound says that the image is one from its beginning to its end.
func (m *machine) sound() {
	m.t.Helper()
	for _, args := range [][]string{{"ls", m.image}, {"cat", m.image, "init"}} {
		cmd, said := m.command(args...)
		if err := cmd.Run(); err != nil || said.Len() == 0 {
			m.t.Fatalf("firstlight %s: %v\n%.2000s", args[0], err, said)
		}
	}
}

func (m *machine) read(name string) []byte {
	m.t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		m.t.Fatal(err)
	}
	return b
}

// has says that nothing but the kernel, its configuration, the image and these
// are in /boot.
func (m *machine) has(when string, more ...string) {
	m.t.Helper()
	want := []string{"config-" + m.kernel, "initrd.img-" + m.kernel, "vmlinuz-" + m.kernel}
	for _, suffix := range more {
		want = append(want, "initrd.img-"+m.kernel+suffix)
	}
	slices.Sort(want)
	if got := m.inBoot(); !slices.Equal(got, want) {
		m.t.Fatalf("%s: /boot has %q, want %q", when, got, want)
	}
}

func (m *machine) inBoot() []string { return entries(m.t, m.boot) }

func entries(t *testing.T, dir string) (out []string) {
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

// mount puts a filesystem over a directory until the test ends; what was in the
// directory is in it.
func (m *machine) mount(dir, options string) {
	m.t.Helper()
	files := map[string][]byte{}
	for _, name := range entries(m.t, dir) {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
			files[name] = b
		}
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0700,"+options); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			m.t.Error(err)
		}
	})
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			m.t.Fatal(err)
		}
	}
}

func contains(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("it does not say %q: %s", w, text)
		}
	}
}
