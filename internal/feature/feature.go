// Package feature reads the definitions of what can be in an image, and
// chooses among them.
//
// A feature is data: a TOML file that names kernel modules, programs, files,
// firmware, rules and parameters, and the facts about a machine under which
// they are needed. The built-in ones are in the repository's directory
// features; files in /etc/firstlight/features add to them. docs/features.md
// describes the format.
//
// Builder only. The package reads the files that it is given and decides; it
// knows nothing of the machine but the facts it is told.
package feature

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"firstlight/internal/spell"
)

// Feature is one definition. The tags are the keys of its file.
type Feature struct {
	Name   string `toml:"-"` // the file's name without ".toml"
	Origin string `toml:"-"` // the file, for messages

	Description string `toml:"description"`
	// Extend makes a file of the user add to the built-in feature of the same
	// name. Without it the file takes its place.
	Extend bool `toml:"extend,omitempty"`
	// When lists facts, of which any one makes the feature needed: "always",
	// "generic", "fstype:ext4", "bus:nvme", "layer:luks", "need:keyboard". A
	// fact may hold the wildcards of path.Match.
	When []string `toml:"when,omitempty"`
	// Requires are features that come along.
	Requires []string `toml:"requires,omitempty"`
	// Excludes are features that cannot be in the same image.
	Excludes []string `toml:"excludes,omitempty"`

	// Modules must exist, in the kernel or as files: a name, "alias:TEXT"
	// for all that answer to an alias, or, with a slash in it, a pattern of
	// paths below the tree's kernel directory: "drivers/ata/*",
	// "drivers/scsi/**".
	Modules []string `toml:"modules,omitempty"`
	// TryModules are taken as far as they exist.
	TryModules []string `toml:"try_modules,omitempty"`
	// GenericModules are taken, as far as they exist, into generic images only.
	GenericModules []string `toml:"generic_modules,omitempty"`
	// AheadModules are those of the feature's modules that a boot surely needs when
	// the feature was found needed: they are loaded at its start, while the disks
	// are still looked for. A name each.
	AheadModules []string `toml:"ahead_modules,omitempty"`
	// OmitModules are left out of what patterns and aliases of this feature
	// give: names or patterns of paths.
	OmitModules []string `toml:"omit_modules,omitempty"`

	// Firmware holds patterns of files below /lib/firmware.
	Firmware []string `toml:"firmware,omitempty"`
	// Rules are names of rules files of the system, as 60-name.rules.
	Rules []string `toml:"rules,omitempty"`
	// Init is which program becomes /init: InitFull where the feature needs a
	// handler that the small one lacks, empty otherwise.
	Init string `toml:"init,omitempty"`
	// Helpers are programs of Firstlight's own that handlers start, by name.
	Helpers []string `toml:"helpers,omitempty"`
	// Cmdline holds parameters to bake in.
	Cmdline []string `toml:"cmdline,omitempty"`

	Programs []Program `toml:"program,omitempty"`
	Files    []File    `toml:"file,omitempty"`
	Symlinks []Symlink `toml:"symlink,omitempty"`
	// Directories are made empty.
	Directories []string `toml:"directories,omitempty"`
}

// Program is a program with all it needs.
type Program struct {
	Name     string `toml:"name,omitempty"`     // looked for in the usual directories, or a path
	Optional bool   `toml:"optional,omitempty"` // may be missing
	// Links are symlinks to the program, absolute: the names by which a
	// program of many names is called.
	Links []string `toml:"links,omitempty"`
}

// File is a file, directory or pattern of files of the system.
type File struct {
	Source   string `toml:"source,omitempty"`   // absolute, may have wildcards
	Target   string `toml:"target,omitempty"`   // where it goes; empty for the same place
	Mode     string `toml:"mode,omitempty"`     // octal, empty for the file's own
	Owner    string `toml:"owner,omitempty"`    // "UID:GID", empty for root
	Optional bool   `toml:"optional,omitempty"` // may be missing
	Secret   bool   `toml:"secret,omitempty"`   // makes the image private
}

// Symlink is a symbolic link.
type Symlink struct {
	Path   string `toml:"path,omitempty"`
	Target string `toml:"target,omitempty"`
}

// InitFull is the program for /init that has every handler.
const InitFull = "full"

// ErrInvalid is wrapped by errors that say a definition is wrong.
var ErrInvalid = errors.New("invalid feature")

// Parse reads one definition. origin is the file's name for messages; errors
// say "origin:line:column: what".
func Parse(origin string, text []byte) (*Feature, error) {
	f := &Feature{Name: strings.TrimSuffix(path.Base(origin), ".toml"), Origin: origin}
	if err := Decode(origin, text, f); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := f.check(); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", origin, ErrInvalid, err)
	}
	return f, nil
}

// Decode reads TOML strictly into v: unknown keys are errors, and every error
// says "origin:line:column: what".
func Decode(origin string, text []byte, v any) error {
	d := toml.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	var strict *toml.StrictMissingError
	var one *toml.DecodeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &strict):
		var all []error
		for _, e := range strict.Errors {
			line, col := e.Position()
			text := fmt.Sprintf("%s:%d:%d: unknown key %q", origin, line, col, strings.Join(e.Key(), "."))
			if near := nearest(v, e.Key()); near != "" {
				text += fmt.Sprintf("; is %q meant?", near)
			}
			all = append(all, errors.New(text))
		}
		return errors.Join(all...)
	case errors.As(err, &one):
		line, col := one.Position()
		return fmt.Errorf("%s:%d:%d: %s", origin, line, col, strings.TrimPrefix(one.Error(), "toml: "))
	}
	return fmt.Errorf("%s: %w", origin, err)
}

func (f *Feature) check() error {
	if !validName(f.Name) {
		return fmt.Errorf("%q cannot be a feature's name: small letters, digits and hyphens only", f.Name)
	}
	if f.Description == "" && !f.Extend {
		return errors.New("it has no description")
	}
	if f.Init != "" && f.Init != InitFull {
		return fmt.Errorf("init: %q: it is %q, or left out", f.Init, InitFull)
	}
	for _, h := range f.Helpers {
		if !validName(h) {
			return fmt.Errorf("helpers: %q is not the name of a program of Firstlight's", h)
		}
	}
	for _, w := range f.When {
		if _, err := path.Match(w, ""); err != nil {
			return fmt.Errorf("when: %q: %w", w, err)
		}
		kind, _, _ := strings.Cut(w, ":")
		if !slices.Contains([]string{"always", "generic", "fstype", "bus", "layer", "need"}, kind) {
			return fmt.Errorf("when: %q: a fact is always, generic, fstype:…, bus:…, layer:… or need:…", w)
		}
	}
	for _, list := range [][]string{f.Modules, f.TryModules, f.GenericModules, f.OmitModules, f.Firmware} {
		for _, m := range list {
			if _, err := path.Match(m, ""); err != nil || m == "" {
				return fmt.Errorf("%q is not a valid pattern", m)
			}
		}
	}
	for _, m := range f.AheadModules {
		if m == "" || strings.ContainsAny(m, "/:*?[,") {
			return fmt.Errorf("ahead_modules: %q is not the name of a module", m)
		}
	}
	for _, p := range f.Programs {
		if p.Name == "" {
			return errors.New("a program without a name")
		}
	}
	for _, x := range f.Files {
		if !path.IsAbs(x.Source) || (x.Target != "" && !path.IsAbs(x.Target)) {
			return fmt.Errorf("file %q: source and target must be absolute", x.Source)
		}
		if _, _, err := ParseOwner(x.Owner); err != nil {
			return fmt.Errorf("file %q: %w", x.Source, err)
		}
		if _, err := ParseMode(x.Mode); err != nil {
			return fmt.Errorf("file %q: %w", x.Source, err)
		}
	}
	for _, l := range f.Symlinks {
		if !path.IsAbs(l.Path) || l.Target == "" {
			return fmt.Errorf("symlink %q: it needs an absolute path and a target", l.Path)
		}
	}
	return nil
}

func validName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && (c != '-' || i == 0) {
			return false
		}
	}
	return s != ""
}

// ParseOwner reads the numbers of a user and a group, "1000:1000"; "" is root.
// Names would mean something else on every machine.
func ParseOwner(s string) (uid, gid uint32, err error) {
	if s == "" {
		return 0, 0, nil
	}
	user, group, ok := strings.Cut(s, ":")
	u, err1 := strconv.ParseUint(user, 10, 32)
	g, err2 := strconv.ParseUint(group, 10, 32)
	if !ok || err1 != nil || err2 != nil {
		return 0, 0, fmt.Errorf("owner %q is not two numbers like 1000:1000", s)
	}
	return uint32(u), uint32(g), nil
}

// ParseMode reads octal permissions, "0600"; "" gives 0.
func ParseMode(s string) (uint32, error) {
	if s == "" {
		return 0, nil
	}
	var v uint32
	for _, c := range []byte(s) {
		if c < '0' || c > '7' || v > 0o7777 {
			return 0, fmt.Errorf("mode %q is not octal like 0644", s)
		}
		v = v<<3 | uint32(c-'0')
	}
	if v == 0 || v > 0o7777 {
		return 0, fmt.Errorf("mode %q is not octal like 0644", s)
	}
	return v, nil
}

// Set is all features known, by name.
type Set struct {
	features map[string]*Feature
}

// Load reads the features of several directories; those that come later
// extend or replace those of the same name that came before. A directory that
// does not exist has none. All that is wrong is reported together.
func Load(dirs ...Dir) (*Set, error) {
	s := &Set{features: map[string]*Feature{}}
	var problems []error
	for _, d := range dirs {
		entries, err := fs.ReadDir(d.FS, ".")
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("features in %s: %w", d.Name, err)
		}
		for _, e := range entries {
			if !strings.HasSuffix(e.Name(), ".toml") || strings.HasPrefix(e.Name(), ".") {
				continue
			}
			text, err := fs.ReadFile(d.FS, e.Name())
			if err != nil {
				return nil, fmt.Errorf("features in %s: %w", d.Name, err)
			}
			f, err := Parse(path.Join(d.Name, e.Name()), text)
			if err == nil {
				err = s.add(f)
			}
			if err != nil {
				problems = append(problems, err)
			}
		}
	}
	for _, f := range s.All() {
		for _, name := range slices.Concat(f.Requires, f.Excludes) {
			if s.features[name] == nil {
				problems = append(problems, fmt.Errorf("%s: %w: feature %q is unknown%s", f.Origin, ErrInvalid, name, s.hint(name)))
			}
		}
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return s, nil
}

// Dir is a directory of definitions; Name stands before their names in
// messages.
type Dir struct {
	Name string
	FS   fs.FS
}

func (s *Set) add(f *Feature) error {
	old := s.features[f.Name]
	if !f.Extend {
		s.features[f.Name] = f
		return nil
	}
	if old == nil {
		return fmt.Errorf("%s: %w: it extends a feature %q that does not exist%s", f.Origin, ErrInvalid, f.Name, s.hint(f.Name))
	}
	m := *old
	m.Origin = old.Origin + " + " + f.Origin
	if f.Description != "" {
		m.Description = f.Description
	}
	for _, l := range [...]struct{ to, from *[]string }{
		{&m.When, &f.When}, {&m.Requires, &f.Requires}, {&m.Excludes, &f.Excludes}, {&m.Modules, &f.Modules},
		{&m.TryModules, &f.TryModules}, {&m.GenericModules, &f.GenericModules}, {&m.OmitModules, &f.OmitModules}, {&m.AheadModules, &f.AheadModules},
		{&m.Firmware, &f.Firmware}, {&m.Rules, &f.Rules}, {&m.Cmdline, &f.Cmdline}, {&m.Directories, &f.Directories},
	} {
		*l.to = slices.Concat(*l.to, *l.from)
	}
	m.Programs = slices.Concat(m.Programs, f.Programs)
	m.Helpers = slices.Concat(m.Helpers, f.Helpers)
	m.Files = slices.Concat(m.Files, f.Files)
	m.Symlinks = slices.Concat(m.Symlinks, f.Symlinks)
	s.features[f.Name] = &m
	return nil
}

// All returns the features sorted by name.
func (s *Set) All() []*Feature {
	var out []*Feature
	for _, n := range slices.Sorted(maps.Keys(s.features)) {
		out = append(out, s.features[n])
	}
	return out
}

// Get returns the feature of that name, or an error with the nearest name.
func (s *Set) Get(name string) (*Feature, error) {
	if f := s.features[name]; f != nil {
		return f, nil
	}
	return nil, fmt.Errorf("feature %q is unknown%s (firstlight feature list shows all)", name, s.hint(name))
}

func (s *Set) hint(name string) string {
	best, dist := "", 3
	for _, n := range slices.Sorted(maps.Keys(s.features)) {
		if d := spell.Distance(name, n); d < dist {
			best, dist = n, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}
