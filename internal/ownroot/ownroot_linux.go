// Package ownroot gives a program of the distribution a root directory of its own in
// memory, with all that it needs: the files of the image are gone when the real system
// starts, and the program goes on, opens files and starts others.
package ownroot

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"firstlight/internal/fmt"
)

// maxFile bounds a file that is taken along, in bytes.
const maxFile = 64 << 20

// Root is such a directory.
type Root struct {
	Dir string
	// Instead is where a file of the image may be in the place of the one of that
	// name, "" for nowhere; nil is nowhere at all.
	Instead func(name string) string
}

// Make mounts the directory, which nobody but root looks into, and makes directories in
// it, by their names there.
func (r Root) Make(flags uintptr, dirs ...string) error {
	if err := os.MkdirAll(r.Dir, 0o700); err != nil {
		return fmt.Errorf("make %s: %w", r.Dir, err)
	}
	if err := unix.Mount("tmpfs", r.Dir, "tmpfs", flags, "mode=0700"); err != nil {
		return fmt.Errorf("mount %s: %w", r.Dir, err)
	}
	for _, dir := range dirs {
		if err := os.MkdirAll(r.Dir+dir, 0o700); err != nil {
			return fmt.Errorf("make %s: %w", r.Dir+dir, err)
		}
	}
	return nil
}

// Program takes a program along, with its libraries.
func (r Root) Program(name string) error {
	list, err := libraries(name)
	if err != nil {
		return err
	}
	for _, f := range append(list, name) {
		if err := r.Take(f); err != nil {
			return err
		}
	}
	return nil
}

// Write writes a file.
func (r Root) Write(name, text string, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(r.Dir+name), 0o755); err != nil {
		return fmt.Errorf("make %s: %w", filepath.Dir(r.Dir+name), err)
	}
	if err := os.WriteFile(r.Dir+name, []byte(text), mode); err != nil {
		return fmt.Errorf("write %s: %w", r.Dir+name, err)
	}
	return nil
}

// libraries has the program's loader say what the program needs: it ends then, and
// runs nothing of it.
func libraries(program string) ([]string, error) {
	p, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", program, err)
	}
	defer p.Close()
	loader, err := os.StartProcess(program, []string{program}, &os.ProcAttr{Dir: "/", Env: []string{"LD_TRACE_LOADED_OBJECTS=1"}, Files: []*os.File{nil, w, w}})
	w.Close()
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", program, err)
	}
	b, err := io.ReadAll(io.LimitReader(p, 1<<16))
	if err != nil {
		return nil, fmt.Errorf("listen to %s: %w", program, err)
	}
	if state, err := loader.Wait(); err != nil || !state.Success() {
		return nil, fmt.Errorf("the loader cannot load %s: %s", program, string(bytes.TrimSpace(b)))
	}
	return Libraries(string(b)), nil
}

// Libraries are the files that the loader says a program has with it, by what glibc's
// (LD_TRACE_LOADED_OBJECTS) or musl's writes: "NAME => PATH (ADDRESS)", "PATH
// (ADDRESS)".
func Libraries(text string) (list []string) {
	for line := range strings.Lines(text) {
		for _, w := range strings.Fields(line) {
			if strings.HasPrefix(w, "/") {
				list = append(list, w)
			}
		}
	}
	return list
}

// Place is where a file is.
func (r Root) Place(name string) string {
	if r.Instead != nil {
		if p := r.Instead(name); p != "" {
			if _, err := os.Stat(p); err == nil {
				return p
			}
		}
	}
	return name
}

// Take copies a file, or a directory with all in it; what is not there is not needed.
func (r Root) Take(name string) error { return r.TakeAs(name, name) }

// TakeAs is Take to another name.
func (r Root) TakeAs(name, to string) error {
	at := r.Place(name)
	info, err := os.Stat(at)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("take %s along: %w", name, err)
	}
	if info.IsDir() {
		list, err := os.ReadDir(name)
		if err != nil {
			return fmt.Errorf("take %s along: %w", name, err)
		}
		for _, e := range list {
			if err := r.TakeAs(filepath.Join(name, e.Name()), filepath.Join(to, e.Name())); err != nil {
				return err
			}
		}
		return nil
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return fmt.Errorf("take %s along: it is no file of a usual size", name)
	}
	if err := os.MkdirAll(filepath.Dir(r.Dir+to), 0o755); err != nil {
		return fmt.Errorf("take %s along: %w", name, err)
	}
	if err := copyFile(at, r.Dir+to, info.Mode().Perm()); err != nil {
		return fmt.Errorf("take %s along: %w", name, err)
	}
	return nil
}

func copyFile(name, to string, mode os.FileMode) error {
	from, err := os.Open(name)
	if err != nil {
		return err
	}
	defer from.Close()
	f, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	return errors.Join(err, f.Close())
}
