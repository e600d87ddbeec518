package elf

import (
	"bytes"
	"debug/elf"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// noteDlopen is the type of the note, of owner "FDO", in which a program
// declares the libraries that it opens at run time
// (https://uapi-group.org/specifications/specs/elf_dlopen_metadata/).
const noteDlopen = 0x407c0c0a

// Linking is what a program or library says of the others that it needs.
type Linking struct {
	Interp string   // of a dynamic program
	Soname string   // of a library
	Needed []string // names of libraries
}

// ReadLinking reads it from a file of any architecture.
func ReadLinking(r io.ReaderAt) (Linking, error) {
	o, err := readELF(r)
	if err != nil {
		return Linking{}, err
	}
	return Linking{Interp: o.interp, Soname: o.soname, Needed: append(o.needed, o.wants...)}, nil
}

func readELF(r io.ReaderAt) (*object, error) {
	f, err := elf.NewFile(r)
	if err != nil {
		return nil, err
	}
	o := &object{isELF: true, class: f.Class, data: f.Data, machine: f.Machine}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP && p.Filesz < 4096 {
			b := make([]byte, p.Filesz)
			if _, err := p.ReadAt(b, 0); err != nil {
				return nil, fmt.Errorf("PT_INTERP: %w", err)
			}
			o.interp = string(bytes.TrimRight(b, "\x00"))
		}
	}
	if o.needed, err = f.DynString(elf.DT_NEEDED); err != nil {
		return nil, fmt.Errorf("DT_NEEDED: %w", err)
	}
	for _, t := range [...]struct {
		tag elf.DynTag
		to  *[]string
	}{{elf.DT_RPATH, &o.rpath}, {elf.DT_RUNPATH, &o.runpath}} {
		list, err := f.DynString(t.tag)
		if err != nil {
			return nil, fmt.Errorf("%v: %w", t.tag, err)
		}
		for _, s := range list {
			*t.to = append(*t.to, strings.Split(s, ":")...)
		}
	}
	if s, err := f.DynString(elf.DT_SONAME); err == nil && len(s) > 0 {
		o.soname = s[0]
	}
	calls := imports(f)
	o.wants, o.old = behind(calls)
	o.wants = append(dlopened(f), o.wants...)
	if o.interp != "" { // a library such as libunistring names all that there are
		o.charsets = charsets(f, calls)
	}
	o.services = o.soname == libc && hasServices(f)
	return o, nil
}

// dlopened returns the libraries that the note names as required or
// recommended.
func dlopened(f *elf.File) []string {
	var names []string
	for _, s := range f.Sections {
		if s.Type != elf.SHT_NOTE || s.Size > 1<<20 {
			continue
		}
		b, err := s.Data()
		if err != nil {
			continue
		}
		for len(b) >= 12 {
			nameLen, descLen, kind := f.ByteOrder.Uint32(b), f.ByteOrder.Uint32(b[4:]), f.ByteOrder.Uint32(b[8:])
			b = b[12:]
			name, ok := take(&b, nameLen)
			desc, ok2 := take(&b, descLen)
			if !ok || !ok2 {
				break
			}
			if kind == noteDlopen && string(bytes.TrimRight(name, "\x00")) == "FDO" {
				names = append(names, dlopenNames(desc)...)
			}
		}
	}
	return names
}

// take cuts n bytes, and the padding to a multiple of four, off b.
func take(b *[]byte, n uint32) ([]byte, bool) {
	padded := (uint64(n) + 3) &^ 3
	if uint64(n) > uint64(len(*b)) {
		return nil, false
	}
	out := (*b)[:n]
	*b = (*b)[min(padded, uint64(len(*b))):]
	return out, true
}

func dlopenNames(desc []byte) []string {
	var list []struct {
		Soname   []string `json:"soname"`
		Priority string   `json:"priority"`
	}
	if err := json.Unmarshal(bytes.TrimRight(desc, "\x00"), &list); err != nil {
		return nil
	}
	var names []string
	for _, l := range list {
		if l.Priority != "suggested" {
			names = append(names, l.Soname...)
		}
	}
	return names
}

// find looks for a library as ld.so(8) does. listed says that it was found
// only in a directory of ld.so.conf.
func (r *Resolver) find(ch *chain, name string) (p string, listed bool, err error) {
	if strings.Contains(name, "/") {
		p := expand(name, ch.origin, ch.o)[0]
		if !path.IsAbs(p) {
			return "", false, fmt.Errorf("%s, needed by %s: a relative path: %w", name, ch.path, ErrMissing)
		}
		return p, false, nil
	}
	var own []string
	if len(ch.o.runpath) == 0 {
		// DT_RPATH of the object and of all that led to it; one with
		// DT_RUNPATH has no say.
		for c := ch; c != nil; c = c.parent {
			if len(c.o.runpath) == 0 {
				for _, d := range c.o.rpath {
					own = append(own, expand(d, c.origin, c.o)...)
				}
			}
		}
	}
	for _, d := range ch.o.runpath {
		own = append(own, expand(d, ch.origin, ch.o)...)
	}
	conf, err := r.confDirs()
	if err != nil {
		return "", false, err
	}
	std := defaultDirs(ch.o)
	for _, d := range slices.Concat(own, conf, std) {
		if d == "" || !path.IsAbs(d) {
			continue // the working directory: of no use in an image
		}
		if p, ok := r.inDir(d, name, ch.o); ok {
			return p, !slices.Contains(own, d) && !slices.Contains(std, path.Clean(d)), nil
		}
	}
	return "", false, fmt.Errorf("library %s, needed by %s: %w", name, ch.path, ErrMissing)
}

// inDir looks in one directory, and then in those below it that hold
// variants for newer processors: the plain one runs everywhere.
func (r *Resolver) inDir(dir, name string, o *object) (string, bool) {
	dirs := []string{dir}
	if levels, err := r.root.List(path.Join(dir, "glibc-hwcaps")); err == nil {
		slices.Sort(levels) // the lowest level first
		for _, l := range levels {
			dirs = append(dirs, path.Join(dir, "glibc-hwcaps", l))
		}
	}
	for _, d := range dirs {
		p := path.Join(d, name)
		real, _, err := r.root.Resolve(p)
		if err != nil {
			continue
		}
		lib, err := r.object(real)
		if err != nil || !lib.isELF || lib.class != o.class || lib.machine != o.machine || lib.data != o.data {
			continue // of another architecture: the loader passes over it, too
		}
		return p, true
	}
	return "", false
}

// expand replaces $ORIGIN, $LIB and $PLATFORM. $LIB stands for different
// things in different systems, so there may be several results.
func expand(s, origin string, o *object) []string {
	s = replaceToken(s, "ORIGIN", origin)
	s = replaceToken(s, "PLATFORM", platform(o))
	libs := []string{"lib64", "lib/" + triplet(o), "lib"}
	if o.class == elf.ELFCLASS32 {
		libs = []string{"lib", "lib/" + triplet(o), "lib32"}
	}
	if replaceToken(s, "LIB", "") == s {
		return []string{s}
	}
	var out []string
	for _, l := range libs {
		out = append(out, replaceToken(s, "LIB", l))
	}
	return out
}

func replaceToken(s, token, with string) string {
	s = strings.ReplaceAll(s, "${"+token+"}", with)
	return strings.ReplaceAll(s, "$"+token, with)
}

func platform(o *object) string {
	switch o.machine {
	case elf.EM_X86_64:
		return "x86_64"
	case elf.EM_AARCH64:
		return "aarch64"
	case elf.EM_386:
		return "i686"
	case elf.EM_RISCV:
		return "riscv64"
	case elf.EM_PPC64:
		return "ppc64"
	case elf.EM_S390:
		return "s390x"
	}
	return ""
}

// triplet is the directory that Debian keeps an architecture's libraries in.
func triplet(o *object) string {
	switch {
	case o.machine == elf.EM_X86_64 && o.class == elf.ELFCLASS32:
		return "x86_64-linux-gnux32"
	case o.machine == elf.EM_386:
		return "i386-linux-gnu"
	case o.machine == elf.EM_ARM:
		return "arm-linux-gnueabihf"
	case o.machine == elf.EM_PPC64 && o.data == elf.ELFDATA2LSB:
		return "powerpc64le-linux-gnu"
	}
	return platform(o) + "-linux-gnu"
}

// defaultDirs are the directories that the loader searches without being
// told, of the systems that there are.
func defaultDirs(o *object) []string {
	t := triplet(o)
	dirs := []string{"/lib/" + t, "/usr/lib/" + t}
	if o.class == elf.ELFCLASS64 {
		dirs = append(dirs, "/lib64", "/usr/lib64")
	}
	return append(dirs, "/lib", "/usr/lib")
}

// confDirs reads /etc/ld.so.conf with its includes, and the path file of
// musl's loader.
func (r *Resolver) confDirs() ([]string, error) {
	if r.read {
		return r.conf, nil
	}
	if err := r.readConf("/etc/ld.so.conf", 0); err != nil {
		return nil, err
	}
	musl, err := r.root.Glob("/etc/ld-musl-*.path")
	if err != nil {
		return nil, err
	}
	for _, m := range musl {
		b, err := r.root.ReadFile(m)
		if err != nil {
			return nil, err
		}
		r.conf = append(r.conf, strings.FieldsFunc(string(b), func(c rune) bool { return c == ':' || c == '\n' })...)
	}
	r.read = true
	return r.conf, nil
}

func (r *Resolver) readConf(name string, depth int) error {
	if depth > 8 {
		return fmt.Errorf("%s: includes go too deep", name)
	}
	if !r.root.Exists(name) {
		return nil
	}
	b, err := r.root.ReadFile(name)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(b)) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.FieldsFunc(line, func(c rune) bool { return strings.ContainsRune(" \t\r\n:,", c) })
		switch {
		case len(words) == 0 || words[0] == "hwcap":
		case words[0] == "include":
			for _, w := range words[1:] {
				if !path.IsAbs(w) {
					w = path.Join(path.Dir(name), w)
				}
				list, err := r.root.Glob(w)
				if err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				for _, inc := range list {
					if err := r.readConf(inc, depth+1); err != nil {
						return err
					}
				}
			}
		default:
			for _, w := range words {
				w, _, _ = strings.Cut(w, "=") // "dir=TYPE" of old
				r.conf = append(r.conf, w)
			}
		}
	}
	return nil
}
