package build

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"firstlight/internal/feature"
	"firstlight/internal/image"
	"firstlight/internal/image/cpio"
	"firstlight/internal/image/elf"
)

// topLinks are the places that a system with a merged /usr has links in.
// Programs refer to them in "#!" lines and by habit.
var topLinks = [...]string{"bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr/sbin"}

func (b *builder) mergeUsr() error {
	if b.merged {
		return nil
	}
	b.merged = true
	for _, name := range topLinks {
		target, err := os.Readlink(b.o.Sysroot.Host(name))
		if err != nil {
			continue // a directory, or not there
		}
		if _, err := b.o.Sysroot.Stat(name); err != nil {
			continue
		}
		if err := b.tree.Symlink(name, target, "as in the system"); err != nil {
			return err
		}
		real, _, err := b.o.Sysroot.Resolve(name)
		if err != nil {
			return err
		}
		if err := b.tree.Dir(real, "as in the system"); err != nil {
			return err
		}
	}
	return nil
}

// program adds a program and all it needs.
func (b *builder) program(p feature.Program, why string) error {
	files, err := b.elf.Closure(p.Name)
	if err != nil {
		if p.Optional && errors.Is(err, elf.ErrMissing) {
			if _, err := b.elf.FindProgram(p.Name); err != nil {
				return nil // simply not installed
			}
		}
		return err
	}
	if err := b.mergeUsr(); err != nil {
		return err
	}
	for _, f := range files {
		if f.Target != "" {
			err = b.tree.Symlink(f.Path, f.Target, why+": "+f.Why)
		} else {
			err = b.add(f.Source, b.from(f.Source), addition{target: f.Path, group: "programs", why: why + ": " + f.Why})
		}
		if err != nil {
			return err
		}
	}
	at, err := b.elf.FindProgram(p.Name)
	if err != nil {
		return err
	}
	for _, l := range p.Links {
		b.links = append(b.links, image.Entry{Path: l, Mode: cpio.TypeSymlink | 0o777, Target: at, Why: why})
	}
	return nil
}

// programLinks adds the names of programs with many names, once all programs
// are there: one of its own is better.
func (b *builder) programLinks() error {
	for _, l := range b.links {
		if b.tree.Get(l.Path) != nil {
			continue
		}
		if err := b.tree.Add(l); err != nil {
			return err
		}
	}
	return nil
}

// file adds the files of the system that a feature or configuration names.
func (b *builder) file(f feature.File, why string) error {
	a := addition{secret: f.Secret, why: why}
	var err error
	if a.mode, err = feature.ParseMode(f.Mode); err != nil {
		return err
	}
	if a.uid, a.gid, err = feature.ParseOwner(f.Owner); err != nil {
		return err
	}
	list, err := b.o.Sysroot.Glob(f.Source)
	if err != nil {
		return fmt.Errorf("file %s: %w", f.Source, err)
	}
	if len(list) == 0 {
		if f.Optional {
			return nil
		}
		return fmt.Errorf("file %s: %w", b.o.Sysroot.Host(f.Source), fs.ErrNotExist)
	}
	pattern := strings.ContainsAny(f.Source, `*?[\`)
	for _, p := range list {
		a.target = p
		switch {
		case f.Target == "":
		case pattern:
			a.target = path.Join(f.Target, path.Base(p))
		default:
			a.target = f.Target
		}
		src, err := b.o.Sysroot.Source(p)
		if err != nil {
			return err
		}
		if err := b.addAll(src, b.from(src), a); err != nil {
			return err
		}
	}
	return nil
}

// include adds a file or directory of this machine, wherever the image's
// system is.
func (b *builder) include(i Include) error {
	src, err := filepath.EvalSymlinks(i.Source)
	if err != nil {
		return fmt.Errorf("--include %s: %w", i.Source, err)
	}
	target := i.Target
	if target == "" {
		if target, err = filepath.Abs(i.Source); err != nil {
			return fmt.Errorf("--include %s: %w", i.Source, err)
		}
	}
	// The person's own words for it: where the whole lies may change.
	if err := b.addAll(src, i.Source, addition{target: target, why: "--include"}); err != nil {
		return fmt.Errorf("--include %s: %w", i.Source, err)
	}
	return nil
}

// addition is how a file or directory goes into the image.
type addition struct {
	target   string
	mode     uint32 // 0 for the file's own
	uid, gid uint32
	secret   bool
	group    string
	why      string
}

// from is what the manifest says of where a file of the system lies: the same
// wherever the system itself does.
func (b *builder) from(src string) string {
	if root := string(b.o.Sysroot); root != "" {
		if rel, err := filepath.Rel(root, src); err == nil && !strings.HasPrefix(rel, "..") {
			return "/" + filepath.ToSlash(rel)
		}
	}
	return src
}

// addAll adds a file, or a directory with all in it.
func (b *builder) addAll(src, from string, a addition) error {
	st, err := os.Stat(src)
	if err != nil {
		return err
	}
	if !st.IsDir() {
		return b.add(src, from, a)
	}
	return filepath.WalkDir(src, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(src, p)
		if err != nil {
			return err
		}
		each := a
		each.target = path.Join(a.target, filepath.ToSlash(rel))
		switch {
		case d.IsDir():
			st, err := d.Info()
			if err != nil {
				return err
			}
			return b.tree.Add(image.Entry{Path: each.target, Mode: cpio.TypeDir | uint32(st.Mode().Perm()), UID: a.uid, GID: a.gid, Why: a.why})
		case d.Type()&fs.ModeSymlink != 0:
			l, err := os.Readlink(p)
			if err != nil {
				return err
			}
			return b.tree.Add(image.Entry{Path: each.target, Mode: cpio.TypeSymlink | 0o777, Target: l, UID: a.uid, GID: a.gid, Why: a.why})
		}
		return b.add(p, path.Join(from, filepath.ToSlash(rel)), each)
	})
}

// add adds one file. One that only its owner may read is a secret, too.
func (b *builder) add(src, from string, a addition) error {
	st, err := os.Stat(src)
	if err != nil {
		return err
	}
	m := image.ModeOf(st.Mode())
	if m&cpio.TypeMask == cpio.TypeChar || m&cpio.TypeMask == cpio.TypeBlock {
		return fmt.Errorf("%s is a device; the image's /dev is filled by the kernel", src)
	}
	perm := m & 0o777
	if a.mode != 0 {
		perm = a.mode
	}
	return b.tree.Add(image.Entry{Path: a.target, Mode: cpio.TypeRegular | perm, Source: src, From: from, UID: a.uid, GID: a.gid, Group: a.group,
		Secret: a.secret || st.Mode().Perm()&0o044 == 0, Why: a.why})
}

// crypttab copies the file and says which of its keys are not in the image.
func (b *builder) crypttab() error {
	name := b.o.Crypttab
	src := name
	if name == "" {
		if name = b.o.Config.Crypttab; name == "" {
			return nil
		}
		var err error
		if src, err = b.o.Sysroot.Source(name); err != nil {
			return fmt.Errorf("crypttab: %w", err)
		}
	}
	text, err := os.ReadFile(src)
	if err != nil {
		return fmt.Errorf("crypttab: %w", err)
	}
	for n, line := range strings.Split(string(text), "\n") {
		f := strings.Fields(line)
		if len(f) == 0 || strings.HasPrefix(f[0], "#") {
			continue
		}
		if len(f) < 2 {
			return fmt.Errorf("%s:%d: a line needs at least a name and a device: %w", name, n+1, ErrConfig)
		}
		if len(f) > 2 && strings.HasPrefix(f[2], "/") && !strings.HasPrefix(f[2], "/dev/") && !strings.Contains(f[2], ":") && b.tree.Get(f[2]) == nil && !b.included(f[2]) {
			b.note("%s:%d: the key %s of %s is not in the image; whoever can read the image could read it there. To put it in: --include %s",
				name, n+1, f[2], f[0], f[2])
		}
		if len(f) > 3 {
			b.header(fmt.Sprintf("%s:%d", name, n+1), f[0], f[3])
		}
	}
	return b.tree.Replace(image.Entry{Path: "etc/crypttab", Mode: cpio.TypeRegular | 0o600, Data: text, From: b.from(src), Why: "crypttab"})
}

// header says what the image lacks of a LUKS header that is not on its device.
func (b *builder) header(where, name, options string) {
	for o := range strings.SplitSeq(options, ",") {
		h, ok := strings.CutPrefix(o, "header=")
		if !ok || strings.HasPrefix(h, "/dev/") {
			continue
		}
		if file, device, elsewhere := strings.Cut(h, ":"); elsewhere {
			b.note("%s: the header of %s is read from %s on %s; the image needs the drivers of that device and of its filesystem, as features if they are not those of the root", where, name, file, device)
		} else if b.tree.Get(h) == nil && !b.included(h) {
			b.note("%s: the header %s of %s is not in the image, and without it %s stays locked. To put it in: --include %s", where, h, name, name, h)
		}
	}
}

func (b *builder) included(name string) bool {
	for _, i := range b.o.Includes {
		t := i.Target
		if t == "" {
			t = i.Source
		}
		if t == name || strings.HasPrefix(name, t+"/") {
			return true
		}
	}
	return false
}
