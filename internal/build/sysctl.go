package build

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"firstlight/internal/feature"
	handlersysctl "firstlight/internal/handler/sysctl"
	"firstlight/internal/sysctl"
)

// sysctlDirs are where sysctl.d(5) has its files, the most important first: of files
// with one name only the first counts.
var sysctlDirs = [...]string{"/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d"}

// sysctlConf is the file that sysctl(8) reads last.
const sysctlConf = "/etc/sysctl.conf"

// sysctl adds the kernel's parameters that the boot sets: those of the configuration,
// or else those of the system.
func (b *builder) sysctl() error {
	if !slices.ContainsFunc(b.report.Features, func(f feature.Chosen) bool { return f.Name == handlersysctl.Feature }) {
		return nil
	}
	var list []sysctl.Setting
	file := func(name string) error {
		text, err := b.o.Sysroot.ReadFile(name)
		if err != nil {
			return fmt.Errorf("sysctl %s: %w", name, err)
		}
		more, errs := sysctl.Parse(name, text)
		for _, err := range errs {
			b.note("sysctl: %v; the line is left out", err)
		}
		list = append(list, more...)
		return nil
	}
	for _, s := range b.o.Config.Sysctl {
		if path.IsAbs(s) {
			if err := file(s); err != nil {
				return err
			}
			continue
		}
		one, err := sysctl.ParseLine(s)
		if err != nil {
			return fmt.Errorf("%w: sysctl: %w", ErrConfig, err)
		}
		list = append(list, one)
	}
	if len(b.o.Config.Sysctl) == 0 {
		for _, name := range b.sysctlFiles() {
			if err := file(name); err != nil {
				return err
			}
		}
	}
	return b.tree.File(strings.TrimPrefix(handlersysctl.File, "/"), 0o644, sysctl.Table(sysctl.Order(list)), "parameters of the kernel that the boot sets")
}

// sysctlFiles are the system's files, in the order in which they are read.
func (b *builder) sysctlFiles() []string {
	from := map[string]string{} // by the file's name
	conf := b.o.Sysroot.Exists(sysctlConf)
	for _, dir := range sysctlDirs {
		names, err := b.o.Sysroot.List(dir)
		if err != nil {
			continue // it need not be there
		}
		for _, n := range names {
			if strings.HasSuffix(n, ".conf") && from[n] == "" {
				from[n] = dir + "/" + n
			}
		}
	}
	var names, files []string
	for n := range from {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		real, _, err := b.o.Sysroot.Resolve(from[n])
		if err != nil || real == "/dev/null" { // which hides one of the name
			continue
		}
		if real == sysctlConf {
			conf = false // Debian 12 has it in /etc/sysctl.d by a link
		}
		files = append(files, from[n])
	}
	if conf {
		files = append(files, sysctlConf)
	}
	return files
}
