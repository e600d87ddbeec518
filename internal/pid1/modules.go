package pid1

import (
	"errors"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"firstlight/internal/bootcmd"
	"firstlight/internal/entry"
	"firstlight/internal/fmt"
	"firstlight/internal/kmod"
	"firstlight/internal/kmod/load"
	"firstlight/internal/machine"
)

// modules implements machine.Modules over the image's index.
type modules struct {
	index  *kmod.Index
	loader *load.Loader
}

func newModules(index *kmod.Index, cfg bootcmd.Modules, kernel load.Kernel) *modules {
	c := kmod.Config{Deny: cfg.Blacklist}
	for module, params := range cfg.Params {
		for _, p := range params {
			c.AddParam(module, p)
		}
	}
	return &modules{index: index, loader: load.New(index, c, load.Options{Kernel: kernel})}
}

// LoadAlias implements machine.Modules.
func (m *modules) LoadAlias(alias string) (int, error) {
	n := len(m.index.Match(alias))
	if n == 0 {
		return 0, nil
	}
	if err := m.loader.Load(alias); err != nil && !errors.Is(err, load.ErrSkipped) {
		return n, err
	}
	return n, nil
}

// Load implements machine.Modules.
func (m *modules) Load(names ...string) error {
	var errs []error
	for _, name := range names {
		err := m.loader.Load(name)
		switch {
		case err == nil:
			noteLoaded(name)
		case errors.Is(err, kmod.ErrUnknown):
			if !known(name) {
				errs = append(errs, fmt.Errorf("%s: %w", name, machine.ErrNoModule))
			}
		default:
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// noteLoaded tells what the kernel will ask for although it is there
// (firstlight/internal/entry). Without the note it is answered all the same.
func noteLoaded(name string) {
	if !strings.HasPrefix(name, "md-level-") {
		return
	}
	unix.Mkdir(entry.Loaded, 0o755)
	unix.Mknod(path.Join(entry.Loaded, kmod.NormalizeName(name)), unix.S_IFREG|0o444, 0)
}

// known says whether the kernel has the filesystem built in.
func known(name string) bool {
	fs, ok := strings.CutPrefix(name, "fs-")
	if !ok {
		return false
	}
	b, err := readBounded("/proc/filesystems", 64<<10)
	if err != nil {
		return false
	}
	for line := range strings.SplitSeq(string(b), "\n") {
		if _, name, ok := strings.Cut(line, "\t"); ok && name == fs {
			return true
		}
	}
	return false
}
