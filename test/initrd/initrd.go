// Package initrd puts together the small initramfs images that the test
// harness itself boots: the guest that makes disks, and the floor that
// Firstlight is measured against. It shares nothing with Firstlight's own
// image builder, so that a fault there cannot hide itself.
package initrd

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"firstlight/test/debian"
	"firstlight/test/host"
)

// Image is an initramfs being put together. Paths are relative to its root,
// without a leading slash.
type Image struct {
	entries map[string]entry
}

type entry struct {
	mode uint32 // type and permissions, as in stat(2)
	data []byte // content, or the target of a link
}

// The file types of stat(2)'s mode.
const (
	typeDir     = 0o040000
	typeRegular = 0o100000
	typeLink    = 0o120000
)

// New returns an empty image.
func New() *Image { return &Image{entries: map[string]entry{}} }

// Dir adds a directory and those above it.
func (m *Image) Dir(p string) {
	for p = path.Clean(p); p != "." && p != "/"; p = path.Dir(p) {
		if _, ok := m.entries[p]; !ok {
			m.entries[p] = entry{mode: typeDir | 0o755}
		}
	}
}

// File adds a file.
func (m *Image) File(p string, perm uint32, data []byte) {
	m.Dir(path.Dir(p))
	m.entries[path.Clean(p)] = entry{mode: typeRegular | perm, data: data}
}

// Link adds a symbolic link.
func (m *Image) Link(p, target string) {
	m.Dir(path.Dir(p))
	m.entries[path.Clean(p)] = entry{mode: typeLink | 0o777, data: []byte(target)}
}

// Copy adds a file of the host under another name.
func (m *Image) Copy(from, to string, perm uint32) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("initrd: %w", err)
	}
	m.File(to, perm, b)
	return nil
}

// Program adds programs of the host, found by name, as bin/NAME, with the
// shared libraries that the dynamic linker wants for them.
func (m *Image) Program(ctx context.Context, names ...string) error {
	for _, name := range names {
		file := host.Tool(name)
		if err := m.Copy(file, "bin/"+filepath.Base(name), 0o755); err != nil {
			return err
		}
		if err := m.libraries(ctx, file); err != nil {
			return err
		}
	}
	return nil
}

// ProgramFrom adds programs of another root, given by their paths in it, as
// bin/NAME, with the shared libraries that its own dynamic linker wants for them.
func (m *Image) ProgramFrom(ctx context.Context, root string, paths ...string) error {
	for _, p := range paths {
		if err := m.Copy(filepath.Join(root, p), "bin/"+path.Base(p), 0o755); err != nil {
			return err
		}
		out, err := host.Run(ctx, "chroot", root, "ldd", "/"+p)
		if err != nil {
			return err
		}
		for f := range strings.FieldsSeq(out) {
			if strings.HasPrefix(f, "/") {
				if err := m.Copy(filepath.Join(root, f), strings.TrimPrefix(f, "/"), 0o755); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// libraries adds what ldd names: "libc.so.6 => /lib/…/libc.so.6 (0x…)", or
// the linker's own path alone.
func (m *Image) libraries(ctx context.Context, file string) error {
	out, err := host.Run(ctx, "ldd", file)
	if err != nil {
		if strings.Contains(err.Error(), "not a dynamic executable") {
			return nil
		}
		return err
	}
	for line := range strings.Lines(out) {
		for _, f := range strings.Fields(line) {
			if strings.HasPrefix(f, "/") {
				if err := m.Copy(f, strings.TrimPrefix(f, "/"), 0o755); err != nil {
					return err
				}
				break
			}
		}
	}
	return nil
}

// Library adds a shared library that programs open at run time, wherever the
// linker's cache has it.
func (m *Image) Library(ctx context.Context, soname string) error {
	out, err := host.Run(ctx, "ldconfig", "-p")
	if err != nil {
		return err
	}
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) > 2 && f[0] == soname && strings.Contains(line, "x86-64") {
			file := f[len(f)-1]
			return m.Copy(file, strings.TrimPrefix(file, "/"), 0o755)
		}
	}
	return fmt.Errorf("initrd: no library %s", soname)
}

// Modules adds kernel modules and what modules.dep says they depend on, and
// returns their paths in an order in which they can be loaded. Names that are
// built into the kernel are passed over.
func (m *Image) Modules(k debian.Kernel, names ...string) ([]string, error) {
	deps, err := readDeps(filepath.Join(k.Modules(), "modules.dep"))
	if err != nil {
		return nil, err
	}
	builtin, err := os.ReadFile(filepath.Join(k.Modules(), "modules.builtin"))
	if err != nil {
		return nil, fmt.Errorf("initrd: %w", err)
	}
	byName := map[string]string{}
	for p := range deps {
		byName[moduleName(p)] = p
	}
	var order []string
	for _, name := range names {
		p, ok := byName[moduleName(name)]
		if !ok {
			for line := range strings.Lines(string(builtin)) {
				ok = ok || moduleName(strings.TrimSpace(line)) == moduleName(name)
			}
			if !ok {
				return nil, fmt.Errorf("initrd: kernel %s has no module %s", k.Release, name)
			}
			continue
		}
		// modules.dep lists what is to be loaded first last.
		for _, d := range slices.Backward(append([]string{p}, deps[p]...)) {
			to := "lib/modules/" + d
			if !slices.Contains(order, "/"+to) {
				order = append(order, "/"+to)
				if err := m.Copy(filepath.Join(k.Modules(), d), to, 0o644); err != nil {
					return nil, err
				}
			}
		}
	}
	return order, nil
}

// moduleName is the name under which the kernel knows a module file.
func moduleName(p string) string {
	name, _, _ := strings.Cut(path.Base(p), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

func readDeps(file string) (map[string][]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("initrd: %w", err)
	}
	defer f.Close()
	deps := map[string][]string{}
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		if mod, rest, ok := strings.Cut(s.Text(), ":"); ok {
			deps[mod] = strings.Fields(rest)
		}
	}
	return deps, s.Err()
}

// Write writes the image as an uncompressed cpio archive in the "newc" form
// (kernel: Documentation/driver-api/early-userspace/buffer-format.rst). The
// same entries give the same bytes.
func (m *Image) Write(w io.Writer) error {
	bw := bufio.NewWriter(w)
	ino := 1
	add := func(name string, e entry) {
		fmt.Fprintf(bw, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s\x00",
			ino, e.mode, 0, 0, 1, 0, len(e.data), 0, 0, 0, 0, len(name)+1, 0, name)
		pad(bw, 110+len(name)+1)
		bw.Write(e.data)
		pad(bw, len(e.data))
		ino++
	}
	// Sorted, a directory comes before what is in it.
	for _, p := range slices.Sorted(maps.Keys(m.entries)) {
		add(p, m.entries[p])
	}
	add("TRAILER!!!", entry{})
	if err := bw.Flush(); err != nil {
		return fmt.Errorf("initrd: %w", err)
	}
	return nil
}

// WriteFile writes the image to a file.
func (m *Image) WriteFile(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("initrd: %w", err)
	}
	if err := m.Write(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

func pad(w *bufio.Writer, n int) {
	for ; n%4 != 0; n++ {
		w.WriteByte(0)
	}
}
