package build

import (
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"firstlight/internal/udevd/rules/compile"
)

// rulesDirs are where udev looks for rules, the most important first.
var rulesDirs = [...]string{"/etc/udev/rules.d", "/run/udev/rules.d", "/usr/local/lib/udev/rules.d", "/usr/lib/udev/rules.d", "/lib/udev/rules.d"}

// builtins are those that /init has an answer for: udev's, and the ones of
// ours that package rules describes.
var builtins = [...]string{
	"blkid", "btrfs", "hwdb", "input_id", "keyboard", "kmod", "net_driver", "net_id", "net_setup_link", "path_id", "uaccess", "usb_id",
	"ata_id", "dm_complete", "dm_flags", "dm_split", "md_export", "scsi_id",
}

// rules compiles our own rules and those of the system that were asked for.
func (b *builder) rules() error {
	wanted := slices.Clone(b.o.Config.Rules)
	for _, f := range b.report.Features {
		wanted = append(wanted, f.Rules...)
	}
	files, err := compile.Collect(b.o.Rules, nil)
	if err != nil {
		return err
	}
	if len(wanted) > 0 {
		var dirs []compile.Dir
		for _, d := range rulesDirs {
			src, err := b.o.Sysroot.Source(d)
			if err != nil {
				continue // the directory is not there
			}
			dirs = append(dirs, compile.Dir{Name: d, FS: os.DirFS(src)})
		}
		found := map[string]bool{}
		more, err := compile.Collect(dirs, func(name string) bool {
			found[name] = slices.Contains(wanted, name)
			return found[name]
		})
		if err != nil {
			return err
		}
		for _, w := range wanted {
			if !found[w] {
				return fmt.Errorf("rules file %s: not in %v: %w", w, rulesDirs, ErrConfig)
			}
		}
		files = merge(files, more)
	}
	if len(files) == 0 {
		return nil
	}
	res, err := compile.Compile(files, compile.Options{
		User:    b.ids("/etc/passwd"),
		Group:   b.ids("/etc/group"),
		Builtin: func(name string) bool { return slices.Contains(builtins[:], name) },
		Program: b.hasProgram,
	})
	if err != nil {
		return err
	}
	for _, p := range compile.Errors(res.Problems) {
		b.note("%s", p)
	}
	return b.tree.File("etc/firstlight/rules.tab", 0o644, res.Table, "the udev rules")
}

// merge orders files by their names; one of the system takes the place of
// ours of the same name.
func merge(ours, theirs []*compile.File) []*compile.File {
	byName := map[string]*compile.File{}
	for _, list := range [][]*compile.File{ours, theirs} {
		for _, f := range list {
			byName[path.Base(f.Name)] = f
		}
	}
	var out []*compile.File
	for _, n := range slices.Sorted(maps.Keys(byName)) {
		out = append(out, byName[n])
	}
	return out
}

// hasProgram says whether a program that a rule calls is in the image; one
// without a path is looked for where udev does.
func (b *builder) hasProgram(p string) bool {
	if strings.HasPrefix(p, "/") {
		return b.tree.Get(p) != nil
	}
	return b.tree.Get("/usr/lib/udev/"+p) != nil || b.tree.Get("/lib/udev/"+p) != nil
}

// ids looks names up in the system's passwd or group file. A system that has
// none, as one that holds only a kernel, leaves the question open.
func (b *builder) ids(file string) func(string) (uint32, bool) {
	text, err := b.o.Sysroot.ReadFile(file)
	if err != nil {
		return nil
	}
	return func(name string) (uint32, bool) {
		for line := range strings.Lines(string(text)) {
			if f := strings.Split(line, ":"); len(f) > 2 && f[0] == name {
				id, err := strconv.ParseUint(f[2], 10, 32)
				return uint32(id), err == nil
			}
		}
		return 0, false
	}
}
