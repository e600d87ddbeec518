// Package elf finds what a program needs to run inside an image: its
// interpreter, its libraries and theirs, and every symlink on the way, so
// that all of it keeps its paths. It reads files only, runs nothing, and so
// works for another system's root and another architecture.
//
// Builder only.
package elf

import (
	"bufio"
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"firstlight/internal/sysroot"
)

// File is a file or symlink that a program needs.
type File struct {
	Path   string // absolute, directories resolved
	Target string // of a symlink, as stored; "" for a file
	Source string // the file on this machine, "" for a symlink
	Why    string // "libc.so.6: needed by /usr/sbin/fsck.ext4"
}

// ErrMissing is wrapped when something that a program needs is not there.
var ErrMissing = errors.New("not found")

// Resolver finds programs and libraries of one system. It is not safe for
// concurrent use.
type Resolver struct {
	root  sysroot.Root
	conf  []string // directories of ld.so.conf
	read  bool
	files map[string]*object
}

// NewResolver returns a Resolver for the system below root.
func NewResolver(root sysroot.Root) *Resolver {
	return &Resolver{root: root, files: map[string]*object{}}
}

// object is what is known of one file.
type object struct {
	class   elf.Class
	data    elf.Data
	machine elf.Machine
	interp  string
	soname  string
	needed  []string
	rpath   []string
	runpath []string
	wants   []string // libraries opened at run time, optional
	script  []string // the words after "#!"
	isELF   bool

	old      []string // libraries opened at run time by a glibc before 2.34
	services bool     // it is a C library of which old are part
	charsets []string // that it names and converts
}

// libc is glibc's name.
const libc = "libc.so.6"

// programDirs is where a program named without a slash is looked for.
var programDirs = [...]string{"/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin"}

// FindProgram returns the path of a program: a name is looked for in the
// usual directories of the system, a path is taken as it is.
func (r *Resolver) FindProgram(name string) (string, error) {
	if strings.Contains(name, "/") {
		if _, err := r.root.Stat(name); err != nil {
			return "", fmt.Errorf("program %s: %w: %w", name, ErrMissing, err)
		}
		return path.Join("/", name), nil
	}
	for _, dir := range programDirs {
		p := path.Join(dir, name)
		if st, err := r.root.Stat(p); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return p, nil
		}
	}
	return "", fmt.Errorf("program %s: %w in %s", name, ErrMissing, strings.Join(programDirs[:], ", "))
}

// Closure returns a program or library and everything that it needs, sorted
// by path. name is as for FindProgram.
func (r *Resolver) Closure(name string) ([]File, error) {
	p, err := r.FindProgram(name)
	if err != nil {
		return nil, err
	}
	c := &closure{r: r, out: map[string]File{}, done: map[string]bool{}}
	if err := c.program(p, "asked for", 0); err != nil {
		return nil, fmt.Errorf("program %s: %w", name, err)
	}
	files := make([]File, 0, len(c.out))
	for _, f := range c.out {
		files = append(files, f)
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return files, nil
}

type closure struct {
	r    *Resolver
	out  map[string]File
	done map[string]bool
}

// add records a file with the links that lead to it.
func (c *closure) add(p, why string) (real string, err error) {
	real, links, err := c.r.root.Resolve(p)
	if err != nil {
		return "", err
	}
	for _, l := range links {
		if _, ok := c.out[l.Path]; !ok {
			c.out[l.Path] = File{Path: l.Path, Target: l.Target, Why: why}
		}
	}
	if _, ok := c.out[real]; !ok {
		c.out[real] = File{Path: real, Source: c.r.root.Host(real), Why: why}
	}
	return real, nil
}

// program adds an executable: its interpreter and its libraries.
func (c *closure) program(p, why string, depth int) error {
	if depth > 4 {
		return fmt.Errorf("%s: interpreters of interpreters of interpreters", p)
	}
	real, err := c.add(p, why)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMissing, err)
	}
	if c.done[real] {
		return nil
	}
	c.done[real] = true
	o, err := c.r.object(real)
	if err != nil {
		return err
	}
	switch {
	case len(o.script) > 0:
		return c.script(real, o.script, depth)
	case !o.isELF:
		return nil // data, or a script without "#!"
	}
	if o.interp != "" {
		if err := c.program(o.interp, "loader of "+real, depth+1); err != nil {
			return fmt.Errorf("the loader %s of %s: %w", o.interp, real, err)
		}
	}
	return c.libraries(&chain{path: real, o: o, origin: path.Dir(real)})
}

// script adds what a "#!" line names; of "env" also the program that it
// starts.
func (c *closure) script(p string, words []string, depth int) error {
	if err := c.program(words[0], "interpreter of "+p, depth+1); err != nil {
		return fmt.Errorf("the interpreter %s of %s: %w", words[0], p, err)
	}
	if path.Base(words[0]) != "env" {
		return nil
	}
	for _, w := range words[1:] {
		if strings.HasPrefix(w, "-") || strings.Contains(w, "=") {
			continue
		}
		prog, err := c.r.FindProgram(w)
		if err != nil {
			return fmt.Errorf("the interpreter of %s: %w", p, err)
		}
		return c.program(prog, "interpreter of "+p, depth+1)
	}
	return nil
}

// chain is an object and those that led to it, whose DT_RPATH counts for it.
type chain struct {
	path   string
	origin string
	o      *object
	parent *chain
}

// process is what a process has loaded. The loader goes through what a program
// needs breadth first, and takes a library that is there already for one that is
// asked for by its name or its soname, wherever it lies.
type process struct {
	c     *closure
	names map[string]bool // asked for, and sonames
	files map[string]bool // without links
}

// libraries adds what a program loads.
func (c *closure) libraries(ch *chain) error {
	p := &process{c: c, names: map[string]bool{ch.o.soname: true}, files: map[string]bool{ch.path: true}}
	loaded, err := p.load(ch)
	if err != nil {
		return err
	}
	for i := 0; i < len(loaded); i++ {
		wants := loaded[i].o.wants
		if old := loaded[i].o.old; len(old) > 0 && !c.builtin(loaded[i]) {
			wants = slices.Concat(wants, old)
		}
		for _, name := range wants {
			next, err := p.library(loaded[i], name, name+": opened at run time by "+loaded[i].path)
			var more []*chain
			if err == nil && next != nil {
				more, err = p.load(next)
			}
			if err != nil && !errors.Is(err, ErrMissing) {
				return err
			}
			loaded = append(loaded, more...)
		}
		if err := c.converters(loaded[i].path, loaded[i].o); err != nil {
			return err
		}
	}
	return nil
}

// builtin says whether the C library that an object runs with needs none of the
// services of names; musl never does.
func (c *closure) builtin(ch *chain) bool {
	p, _, err := c.r.find(ch, libc)
	if err != nil {
		return true
	}
	real, _, err := c.r.root.Resolve(p)
	if err != nil {
		return true
	}
	o, err := c.r.object(real)
	return err != nil || o.services
}

// load adds what an object needs, and returns it with all that was loaded for it.
func (p *process) load(ch *chain) ([]*chain, error) {
	loaded := []*chain{ch}
	for i := 0; i < len(loaded); i++ {
		for _, name := range loaded[i].o.needed {
			next, err := p.library(loaded[i], name, name+": needed by "+loaded[i].path)
			if err != nil {
				return loaded, err
			}
			if next != nil {
				loaded = append(loaded, next)
			}
		}
	}
	return loaded, nil
}

// library adds a library, and returns nil if it was loaded already.
func (p *process) library(ch *chain, name, why string) (*chain, error) {
	if p.names[name] {
		return nil, nil
	}
	c := p.c
	at, listed, err := c.r.find(ch, name)
	if err != nil {
		return nil, err
	}
	real, err := c.add(at, why)
	if err != nil {
		return nil, fmt.Errorf("%s, needed by %s: %w: %w", name, ch.path, ErrMissing, err)
	}
	o, err := c.r.object(real)
	if err != nil {
		return nil, err
	}
	if listed {
		c.link(ch, name, at, why)
	}
	p.names[name] = true
	if o.soname != "" {
		p.names[o.soname] = true
	}
	if p.files[real] {
		return nil, nil
	}
	p.files[real] = true
	return &chain{path: real, origin: path.Dir(real), o: o, parent: ch}, nil
}

// link puts a symlink into a directory that the loader always searches: the
// image has no ld.so.cache, which alone knows of ld.so.conf's directories.
func (c *closure) link(ch *chain, name, p, why string) {
	for _, dir := range defaultDirs(ch.o) {
		real, _, err := c.r.root.Resolve(dir)
		if err != nil {
			continue
		}
		if l := path.Join(real, name); l != p {
			if _, ok := c.out[l]; !ok {
				c.out[l] = File{Path: l, Target: p, Why: why + " (from ld.so.conf)"}
			}
		}
		return
	}
}

func (r *Resolver) object(real string) (*object, error) {
	if o := r.files[real]; o != nil {
		return o, nil
	}
	o, err := readObject(r.root.Host(real))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", real, err)
	}
	r.files[real] = o
	return o, nil
}

func readObject(name string) (*object, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("not a regular file")}
	}
	head, err := bufio.NewReader(io.LimitReader(f, 256)).Peek(256)
	if err != nil && err != io.EOF {
		return nil, err
	}
	if line, ok := bytes.CutPrefix(head, []byte("#!")); ok {
		line, _, _ = bytes.Cut(line, []byte("\n"))
		words := strings.Fields(string(line))
		if len(words) == 0 {
			return nil, errors.New("a \"#!\" line without an interpreter")
		}
		return &object{script: words}, nil
	}
	if !bytes.HasPrefix(head, []byte(elf.ELFMAG)) {
		return &object{}, nil
	}
	return readELF(f)
}
