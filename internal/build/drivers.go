package build

import (
	"cmp"
	"slices"
	"strings"

	"firstlight/internal/boot"
	"firstlight/internal/kmodtree"
)

// enumerable are the buses whose devices say what they are: of a device on
// another bus nobody can say that it lacks a driver.
var enumerable = [...]string{"pci:", "usb:", "virtio:", "vmbus:", "xen:"}

// otherDrivers writes the list of drivers that an image for any machine would
// have and this one has not, so that a boot which finds no disk can name what
// it lacks. mods are the modules of the image.
func (c *chosen) otherDrivers(mods []*kmodtree.Module) error {
	in := map[string]bool{}
	for _, m := range mods {
		in[m.Name] = true
	}
	brings := map[string]string{} // by module: the feature that brings it when asked for
	for _, f := range c.b.o.Features.All() {
		if !slices.Contains(f.When, "generic") {
			continue
		}
		for i, word := range slices.Concat(f.Modules, f.TryModules, f.GenericModules) {
			names, err := c.names(word)
			if err != nil {
				return err
			}
			for _, n := range names {
				if in[n] || c.omitted(n, f.OmitModules) || brings[n] != "" && brings[n] != noFeature {
					continue
				}
				brings[n] = noFeature
				if i < len(f.Modules)+len(f.TryModules) {
					brings[n] = f.Name
				}
			}
		}
	}
	var lines []string
	for n, name := range brings {
		m, err := c.b.mods.Lookup(n)
		if err != nil || m.Builtin {
			continue
		}
		aliases, err := c.b.mods.Aliases(m)
		if err != nil {
			return err
		}
		if patterns := compact(aliases); len(patterns) > 0 {
			lines = append(lines, n+" "+name+" "+strings.Join(patterns, " ")+"\n")
		}
	}
	if len(lines) == 0 {
		return nil
	}
	slices.Sort(lines)
	return c.b.tree.File(strings.TrimPrefix(boot.OtherDrivers, "/"), 0o644, []byte(strings.Join(lines, "")),
		"drivers that a boot can name when it finds no disk")
}

// noFeature stands where no feature brings a module by itself.
const noFeature = "-"

// compact returns the aliases of enumerable buses, sorted, without what stands
// for anything at their end.
func compact(aliases []string) []string {
	var out []string
	for _, a := range aliases {
		if !slices.ContainsFunc(enumerable[:], func(p string) bool { return strings.HasPrefix(a, p) }) {
			continue
		}
		for _, any := range [...]string{"i*", "sc*", "bc*", "sd*", "sv*", "in*", "ip*", "isc*", "ic*", "dp*", "dsc*", "dc*", "d*"} {
			if rest, ok := strings.CutSuffix(a, any); ok && rest != "" && !strings.HasSuffix(rest, ":") {
				a = strings.TrimSuffix(rest, "*") + "*"
			}
		}
		out = append(out, a)
	}
	slices.SortFunc(out, cmp.Compare)
	return slices.Compact(out)
}
