// Package kmodtree reads a directory of kernel modules, the one that depmod(8)
// has written modules.dep into, and the configuration in modprobe.d, and
// answers as modprobe(8) would: what an alias stands for, and what a module
// needs. It also reads the modules themselves, compressed or not.
//
// It is for the builder and must not be imported by /init, which uses the
// table that package kmod makes of a Source.
package kmodtree

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"firstlight/internal/kmod"
)

// ErrUnknown is returned for a name that is neither a module nor an alias.
var ErrUnknown = kmod.ErrUnknown

// Options says where the configuration is.
type Options struct {
	// Config lists directories of *.conf files, and single files, with the
	// most important first: of files with the same name only the first
	// counts, and all of them are read in the order of their names.
	// Directories that do not exist are passed over.
	Config []string
}

// ConfigDirs returns the directories that modprobe.d(5) names, below sysroot
// ("" or "/" for the running system), the most important first.
func ConfigDirs(sysroot string) []string {
	var dirs []string
	for _, d := range [...]string{"etc", "run", "usr/local/lib", "usr/lib", "lib"} {
		dirs = append(dirs, filepath.Join("/", sysroot, d, "modprobe.d"))
	}
	return dirs
}

// Tree is a directory of modules. It is safe for concurrent use.
type Tree struct {
	dir     string
	modules []*Module // in the order of modules.dep
	byName  map[string]*Module
	builtin []*Module // in the order of modules.builtin
	config  config

	builtinAliases *aliasTable
	aliases        func() (*aliasTable, error)
	symbols        func() (*aliasTable, error)
}

// Module is a module of a Tree: a file, or a part of the kernel. Its methods
// are safe for concurrent use.
type Module struct {
	// Name is the kernel's name of it, with '_' for each '-'.
	Name string
	// File is the path of the file relative to the tree, or absolute if
	// modules.dep has it so; "" for a built-in module.
	File string
	// Builtin says that the kernel contains the module.
	Builtin bool

	dir   string
	place int    // in modules.dep
	deps  string // files, as they stand in modules.dep

	once    sync.Once // for those of a file
	in      Info
	problem error
}

// Open reads the tree in dir, which holds modules.dep. modules.alias,
// modules.symbols and the modules are read when they are first needed;
// every file but modules.dep may be missing, as for a kernel without it.
func Open(dir string, opts Options) (*Tree, error) {
	t := &Tree{dir: dir, byName: map[string]*Module{}, builtinAliases: newAliasTable()}
	if err := t.readDep(); err != nil {
		return nil, fmt.Errorf("kernel modules in %s: %w", dir, err)
	}
	if err := t.readBuiltin(); err != nil {
		return nil, fmt.Errorf("kernel modules in %s: %w", dir, err)
	}
	if err := t.config.read(dir, opts.Config); err != nil {
		return nil, fmt.Errorf("kernel modules in %s: %w", dir, err)
	}
	t.aliases = sync.OnceValues(func() (*aliasTable, error) { return readAliases(filepath.Join(dir, "modules.alias")) })
	go t.aliases() // nearly everybody asks for them, and reading them takes a while
	t.symbols = sync.OnceValues(func() (*aliasTable, error) { return readAliases(filepath.Join(dir, "modules.symbols")) })
	return t, nil
}

// Dir returns the directory of the tree.
func (t *Tree) Dir() string { return t.dir }

// Modules returns all modules that are files, in the order of modules.dep.
func (t *Tree) Modules() []*Module { return append([]*Module(nil), t.modules...) }

// BuiltinModules returns all modules that are built in, in the order of
// modules.builtin.
func (t *Tree) BuiltinModules() []*Module { return append([]*Module(nil), t.builtin...) }

// Warnings returns what of the configuration is not honoured, and why.
func (t *Tree) Warnings() []Warning { return append([]Warning(nil), t.config.warnings...) }

// Lookup finds a module by its name, in which '-' and '_' are the same;
// aliases are not looked at. It fails with ErrUnknown.
func (t *Tree) Lookup(name string) (*Module, error) {
	if m := t.byName[kmod.NormalizeName(name)]; m != nil {
		return m, nil
	}
	return nil, fmt.Errorf("kernel module %s: %w", name, ErrUnknown)
}

// Builtin says whether the kernel contains the module.
func (t *Tree) Builtin(name string) bool {
	m := t.byName[kmod.NormalizeName(name)]
	return m != nil && m.Builtin
}

// Blacklisted says whether the configuration has a blacklist line for the
// module: it is then not to be loaded for an alias.
func (t *Tree) Blacklisted(name string) bool { return t.config.blacklist[kmod.NormalizeName(name)] }

// Options returns the parameters that the configuration gives for a module or
// an alias: those of all its options lines, joined by spaces.
func (t *Tree) Options(name string) string {
	name, err := kmod.NormalizeAlias(name)
	if err != nil {
		return ""
	}
	var all []string
	for _, o := range t.config.options {
		if o.Name == name {
			all = append(all, o.Options)
		}
	}
	return strings.Join(all, " ")
}

// moduleName is the name of the module in a file: the last element up to its
// first '.', with '_' for each '-'.
func moduleName(file string) string {
	name, _, _ := strings.Cut(path.Base(file), ".")
	return kmod.NormalizeName(name)
}

func (t *Tree) readDep() error {
	return eachLine(filepath.Join(t.dir, "modules.dep"), func(n int, line string) error {
		file, deps, ok := strings.Cut(line, ":")
		if !ok || file == "" {
			return fmt.Errorf("line %d: no ':' after the module", n)
		}
		m := &Module{Name: moduleName(file), File: file, dir: t.dir, place: len(t.modules), deps: deps}
		if m.Name == "" {
			return fmt.Errorf("line %d: %q is not a module", n, file)
		}
		if t.byName[m.Name] != nil {
			return fmt.Errorf("line %d: module %s is there twice", n, m.Name)
		}
		t.byName[m.Name] = m
		t.modules = append(t.modules, m)
		return nil
	})
}

// readBuiltin reads modules.builtin and modules.builtin.modinfo.
func (t *Tree) readBuiltin() error {
	err := eachLine(filepath.Join(t.dir, "modules.builtin"), func(n int, line string) error {
		t.addBuiltin(moduleName(line))
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	b, err := os.ReadFile(filepath.Join(t.dir, "modules.builtin.modinfo"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	infos := map[string]*Info{}
	for _, field := range bytes.Split(b, []byte{0}) {
		name, rest, ok := strings.Cut(string(field), ".")
		if !ok {
			continue
		}
		name = kmod.NormalizeName(name)
		in := infos[name]
		if in == nil {
			in = &Info{Name: name}
			infos[name] = in
			t.addBuiltin(name)
		}
		in.add(rest)
	}
	for _, m := range t.builtin {
		in := infos[m.Name]
		if in == nil {
			in = &Info{Name: m.Name}
		}
		m.once.Do(func() { m.in = *in })
		for _, a := range in.Aliases {
			t.builtinAliases.add(a, m.Name)
		}
	}
	return nil
}

// addBuiltin adds a built-in module. What is a file as well is not built in
// as far as loading goes: modprobe looks into modules.dep first.
func (t *Tree) addBuiltin(name string) {
	if name == "" || t.byName[name] != nil {
		return
	}
	m := &Module{Name: name, Builtin: true}
	t.byName[name] = m
	t.builtin = append(t.builtin, m)
}

// eachLine calls f for each line of a file that is neither empty nor a
// comment, with its number.
func eachLine(file string, f func(n int, line string) error) error {
	text, err := readText(file)
	if err != nil {
		return err
	}
	for n := 1; text != ""; n++ {
		line, rest, _ := strings.Cut(text, "\n")
		text = rest
		line = trimRight(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if err := f(n, line); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

// trimRight takes blanks off the end of a line.
func trimRight(line string) string {
	for line != "" && (line[len(line)-1] == ' ' || line[len(line)-1] == '\t' || line[len(line)-1] == '\r') {
		line = line[:len(line)-1]
	}
	return line
}

// readText reads a file into a string, of which lines are parts.
func readText(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	var b strings.Builder
	if st, err := f.Stat(); err == nil {
		b.Grow(int(st.Size()))
	}
	_, err = io.Copy(&b, f)
	return b.String(), err
}
