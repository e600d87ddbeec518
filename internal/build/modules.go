package build

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"firstlight/internal/detect"
	"firstlight/internal/entry"
	"firstlight/internal/image"
	"firstlight/internal/image/cpio"
	"firstlight/internal/kmod"
	"firstlight/internal/kmodtree"
)

// chosen collects modules with the reason for each.
type chosen struct {
	b    *builder
	why  map[string]string // by module name
	list []string

	places []placed // of the kernel's modules, once they are asked for
}

// placed is a module with its path as patterns have it.
type placed struct{ name, path string }

func (c *chosen) add(name, why string) {
	name = kmod.NormalizeName(name)
	if _, ok := c.why[name]; !ok {
		c.why[name] = why
		c.list = append(c.list, name)
	}
}

// want adds what one word of a feature's lists stands for.
func (c *chosen) want(word, why string, must bool, omit []string) error {
	names, err := c.names(word)
	if err != nil {
		return err
	}
	isPattern := strings.Contains(word, "/") || strings.HasPrefix(word, "alias:")
	if isPattern {
		names = slices.DeleteFunc(names, func(n string) bool { return c.omitted(n, omit) })
	}
	if len(names) == 0 && must {
		return fmt.Errorf("%s needs the kernel module %s, which kernel %s does not have, neither as a file nor built in",
			why, word, c.b.o.Kernel)
	}
	for _, n := range names {
		c.add(n, why)
	}
	return nil
}

// names returns the modules that a word stands for, built-in ones too.
func (c *chosen) names(word string) ([]string, error) {
	if alias, ok := strings.CutPrefix(word, "alias:"); ok {
		return c.b.mods.Resolve(alias)
	}
	if !strings.Contains(word, "/") {
		if m, err := c.b.mods.Lookup(word); err == nil {
			return []string{m.Name}, nil
		}
		names, err := c.b.mods.Resolve(word)
		if err != nil {
			return nil, err
		}
		return slices.DeleteFunc(names, func(n string) bool { _, err := c.b.mods.Lookup(n); return err != nil }), nil
	}
	if c.places == nil {
		for _, m := range c.b.mods.Modules() {
			c.places = append(c.places, placed{m.Name, placeOf(m.File)})
		}
	}
	// Few modules lie where a pattern begins.
	begin := beginning(word)
	var out []string
	for _, p := range c.places {
		if strings.HasPrefix(p.path, begin) && matchPlace(word, p.path) {
			out = append(out, p.name)
		}
	}
	return out, nil
}

// beginning is what stands in a pattern before its first special character.
func beginning(pattern string) string {
	if i := strings.IndexAny(pattern, `*?[\`); i >= 0 {
		return pattern[:i]
	}
	return strings.TrimSuffix(pattern, ".ko")
}

// matchPath matches a pattern with a module's path below the kernel
// directory, without the suffixes of its name. "**" at the end stands for
// everything below.
func matchPath(pattern, file string) bool { return matchPlace(pattern, placeOf(file)) }

// placeOf is a module's path as patterns have it.
func placeOf(file string) string {
	_, file, _ = strings.Cut(file, "/") // "kernel/", "updates/", "extra/"
	base := strings.LastIndexByte(file, '/') + 1
	if i := strings.Index(file[base:], ".ko"); i >= 0 {
		file = file[:base+i]
	}
	return file
}

func matchPlace(pattern, place string) bool {
	if dir, ok := strings.CutSuffix(pattern, "/**"); ok {
		return strings.HasPrefix(place, dir+"/")
	}
	ok, err := path.Match(strings.TrimSuffix(pattern, ".ko"), place)
	return err == nil && ok
}

func (c *chosen) omitted(name string, omit []string) bool {
	m, err := c.b.mods.Lookup(name)
	if err != nil {
		return false
	}
	for _, o := range omit {
		if strings.Contains(o, "/") {
			if matchPath(o, m.File) {
				return true
			}
			continue
		}
		if ok, err := path.Match(kmod.NormalizeName(o), name); err == nil && ok {
			return true
		}
	}
	return false
}

// modules adds modules with dependencies, their index and their firmware.
func (b *builder) modules(ctx context.Context, need *detect.Need) error {
	c := &chosen{b: b, why: map[string]string{}}
	conf := b.o.Config
	for _, f := range b.report.Features {
		why := "feature " + f.Name
		for _, m := range f.Modules {
			// In a generic image a kernel without some driver is no error.
			if err := c.want(m, why, f.Asked, f.OmitModules); err != nil {
				return err
			}
		}
		try := f.TryModules
		if b.report.Mode == ModeGeneric {
			try = slices.Concat(try, f.GenericModules)
		}
		for _, m := range try {
			if err := c.want(m, why, false, f.OmitModules); err != nil {
				return err
			}
		}
	}
	for _, r := range need.Modules {
		names, err := c.names(r.Name)
		if err != nil {
			return err
		}
		for _, n := range names {
			if _, err := b.mods.Lookup(n); err == nil && !b.mods.Blacklisted(n) {
				c.add(n, r.Why)
			}
		}
	}
	for _, m := range conf.Modules {
		if err := c.want(m, "the configuration", true, conf.OmitModules); err != nil {
			return err
		}
	}
	for _, m := range conf.TryModules {
		if err := c.want(m, "the configuration", false, conf.OmitModules); err != nil {
			return err
		}
	}
	c.list = slices.DeleteFunc(c.list, func(n string) bool { return c.omitted(n, conf.OmitModules) })
	mods, err := c.closure()
	if err != nil {
		return err
	}
	if err := b.ahead(mods); err != nil {
		return err
	}
	if err := c.otherDrivers(mods); err != nil {
		return err
	}
	return b.addModules(ctx, mods, need.Firmware)
}

// closure adds dependencies, each with who wants it.
func (c *chosen) closure() ([]*kmodtree.Module, error) {
	var mods []*kmodtree.Module
	seen := map[string]bool{}
	slices.Sort(c.list)
	for _, name := range c.list {
		if m, err := c.b.mods.Lookup(name); err != nil || m.Builtin {
			continue
		}
		list, err := c.b.mods.Closure([]string{name})
		if err != nil {
			return nil, err
		}
		for _, m := range list {
			if !seen[m.Name] {
				seen[m.Name] = true
				mods = append(mods, m)
			}
			if _, ok := c.why[m.Name]; !ok {
				c.why[m.Name] = "needed by " + name
			}
		}
	}
	slices.SortFunc(mods, func(a, b *kmodtree.Module) int { return cmp.Compare(a.File, b.File) })
	for _, m := range mods {
		c.b.report.Modules = append(c.b.report.Modules, detect.Reason{Name: m.Name, Why: c.why[m.Name]})
	}
	return mods, nil
}

// moduleGroups is how the names of the groups with modules begin.
const moduleGroups = "modules-"

// moduleGroup spreads modules over archives by what changes together: images
// for different disks share their file system's archive, and so its place in
// the cache.
func moduleGroup(file string) string {
	_, rest, _ := strings.Cut(file, "/")
	switch top, _, _ := strings.Cut(rest, "/"); top {
	case "fs", "drivers":
		return moduleGroups + top
	}
	return moduleGroups + "other"
}

// place is where a module stands in the image: never compressed.
func (b *builder) place(m *kmodtree.Module) string {
	file := m.File
	for _, ext := range []string{".xz", ".zst", ".gz"} {
		file = strings.TrimSuffix(file, ext)
	}
	if filepath.IsAbs(file) {
		return file
	}
	return path.Join("/lib/modules", b.o.Kernel, file)
}

// moduleFrom is what the manifest says of where a module lies.
func (b *builder) moduleFrom(m *kmodtree.Module) string {
	if filepath.IsAbs(m.File) {
		return m.File
	}
	return path.Join("/lib/modules", b.o.Kernel, m.File)
}

// addModules adds the modules with their index, and the firmware that they name
// besides what is named already.
func (b *builder) addModules(ctx context.Context, mods []*kmodtree.Module, named map[string]string) error {
	firmware := maps.Clone(named)
	if firmware == nil {
		firmware = map[string]string{}
	}
	for i, m := range mods {
		e := image.Entry{Path: b.place(m), Mode: cpio.TypeRegular | 0o644, Group: moduleGroup(m.File), From: b.moduleFrom(m), Why: b.report.Modules[i].Why}
		var info kmodtree.Info
		var err error
		if strings.HasSuffix(m.File, ".ko") && !b.o.Config.Strip {
			e.Source = m.Path()
			info, err = m.Info()
		} else {
			if e.Data, err = m.Read(); err == nil {
				info, err = kmodtree.ParseInfo(bytes.NewReader(e.Data))
			}
			if err == nil && b.o.Config.Strip {
				e.Data, err = strip(ctx, e.Data)
			}
		}
		if err != nil {
			return fmt.Errorf("kernel module %s: %w", m.Name, err)
		}
		// "6.1.0-56-amd64 SMP …": one of another kernel would not load.
		if release, _, _ := strings.Cut(info.Vermagic, " "); release != "" && release != b.o.Kernel {
			return fmt.Errorf("kernel module %s is for kernel %s, not %s: %s", m.Path(), release, b.o.Kernel,
				"give the release of the modules with --kernel")
		}
		if err := b.tree.Add(e); err != nil {
			return err
		}
		for _, f := range info.Firmware {
			if firmware[f] == "" {
				firmware[f] = "firmware of " + m.Name
			}
		}
	}
	src, err := b.mods.Source(mods, b.place)
	if err != nil {
		return err
	}
	if err := b.leaveToRequest(src); err != nil {
		return err
	}
	var idx bytes.Buffer
	if err := kmod.WriteIndex(&idx, src); err != nil {
		return err
	}
	if err := b.tree.File("etc/firstlight/modules.idx", 0o644, idx.Bytes(), "index of the modules"); err != nil {
		return err
	}
	if names, whole := src.CryptoNames(); whole && len(names) <= entry.MaxNames {
		if err := b.tree.File(strings.TrimPrefix(entry.Names, "/"), 0o644, []byte(names), "what the kernel may ask for of ciphers"); err != nil {
			return err
		}
	}
	return b.firmware(firmware)
}

// strip removes debug sections, and with them the signature.
func strip(ctx context.Context, data []byte) ([]byte, error) {
	f, err := os.CreateTemp("", "firstlight-*.ko")
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, err
	}
	out, err := exec.CommandContext(ctx, "strip", "--strip-debug", f.Name()).CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return nil, fmt.Errorf("strip = true needs the program strip (package binutils): %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("strip: %w: %s", err, bytes.TrimSpace(out))
	}
	return os.ReadFile(f.Name())
}
