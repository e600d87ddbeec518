package check

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"firstlight/internal/bootcmd"
	"firstlight/internal/kmod"
	"firstlight/internal/kmod/load"
	"firstlight/internal/kmodtree"
	"firstlight/internal/machine"
)

// modules is the modelled kernel's side of modules: it takes those that are in
// the image, for this kernel, and whose symbols are there. It implements
// load.Kernel, with one worker, and machine.Modules.
type modules struct {
	im      *Image
	release string
	// part says whether the kernel has a module built in.
	part   func(name string) bool
	loader *load.Loader
	mu     sync.Mutex
	loaded map[string]bool
	fresh  []string // loaded since take was called
	doubt  []string // what may load although it is taken not to
}

// series is the version of a release: "6.1" of "6.1.0-57-amd64".
func series(release string) string {
	parts := strings.SplitN(release, ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}

func newModules(im *Image, release string, cfg bootcmd.Modules, part func(string) bool) *modules {
	m := &modules{im: im, release: release, part: part, loaded: map[string]bool{}}
	c := kmod.Config{Deny: cfg.Blacklist}
	for module, params := range cfg.Params {
		for _, p := range params {
			c.AddParam(module, p)
		}
	}
	m.loader = load.New(im.index, c, load.Options{Kernel: m, Workers: 1})
	return m
}

// Loaded implements load.Kernel.
func (m *modules) Loaded(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.loaded[name]
}

// insert takes a module as finit_module(2) would; the errors are load.Linux's.
func (m *modules) insert(file string) error {
	b, err := m.im.content(file)
	if err != nil {
		return fmt.Errorf("open %s: %w", file, fs.ErrNotExist)
	}
	info, err := kmodtree.ParseInfo(bytes.NewReader(b))
	if err != nil {
		return fmt.Errorf("load %s: it is not a module for this kernel: %w", file, unix.ENOEXEC)
	}
	if magic, flags, _ := strings.Cut(info.Vermagic, " "); magic != m.release {
		// A kernel with CONFIG_MODVERSIONS does not compare the release, but the
		// check sums of the symbols. From one version to the next they differ
		// for certain, that of struct module first; among the builds of one
		// they may be the same.
		if slices.Contains(strings.Fields(flags), "modversions") && series(magic) == series(m.release) {
			m.doubt = addOnce(m.doubt, fmt.Sprintf("the image has modules of kernel %s; whether kernel %s takes them shows when it loads them", magic, m.release))
		}
		return fmt.Errorf("load %s: it is not a module for this kernel: %w", file, unix.ENOEXEC)
	}
	for _, d := range info.Depends {
		if d = kmod.NormalizeName(d); !m.loaded[d] && !m.part(d) {
			return fmt.Errorf("load %s: it needs a symbol that the kernel does not have: %w", file, unix.ENOENT)
		}
	}
	return nil
}

// load is insert, remembered.
func (m *modules) load(file string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.insert(file); err != nil {
		return err
	}
	name := moduleName(file)
	m.loaded[name] = true
	m.fresh = append(m.fresh, name)
	return nil
}

// Load implements load.Kernel.
func (m *modules) Load(file, _ string) error { return m.load(file) }

// moduleName is the kernel's name of the module in a file.
func moduleName(file string) string {
	base, _, _ := strings.Cut(path.Base(file), ".ko")
	return kmod.NormalizeName(base)
}

// take returns the modules that were loaded since the last call.
func (m *modules) take() []string {
	out := m.fresh
	m.fresh = nil
	return out
}

// there says whether the kernel has a module, loaded or built in.
func (m *modules) there(name string) bool {
	name = kmod.NormalizeName(name)
	return m.loaded[name] || m.part(name)
}

// loadAlias is machine.Modules' LoadAlias of the real machine (package pid1).
func (m *modules) loadAlias(alias string) (int, error) {
	ids := m.im.index.Match(alias)
	if len(ids) == 0 {
		return 0, nil
	}
	if err := m.loader.Load(alias); err != nil && !errors.Is(err, load.ErrSkipped) {
		return len(ids), err
	}
	return len(ids), nil
}

// loadNames is machine.Modules' Load of the real machine. hasFS says whether
// the kernel has a filesystem without a module.
func (m *modules) loadNames(hasFS func(string) bool, names ...string) error {
	var errs []error
	for _, name := range names {
		err := m.loader.Load(name)
		switch {
		case err == nil:
		case errors.Is(err, kmod.ErrUnknown):
			if fstype, ok := strings.CutPrefix(name, "fs-"); !ok || !hasFS(fstype) {
				errs = append(errs, fmt.Errorf("%s: %w", name, machine.ErrNoModule))
			}
		default:
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// request is the kernel's own request_module: it calls /sbin/modprobe of the
// image. It says whether what the alias stands for is there then.
func (m *modules) request(alias string) bool {
	if m.has(alias) {
		return true
	}
	if m.im.Has("/sbin/modprobe") {
		m.loader.Load(alias)
	}
	return m.has(alias)
}

// has says whether any of the modules that an alias stands for is there.
func (m *modules) has(alias string) bool {
	return len(m.im.index.MatchBuiltin(alias)) > 0 || slices.ContainsFunc(m.im.index.Match(alias), func(id kmod.ModuleID) bool {
		return m.im.index.Builtin(id) || m.loaded[m.im.index.Name(id)]
	})
}
