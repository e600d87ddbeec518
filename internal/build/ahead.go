package build

import (
	"slices"
	"strings"

	"firstlight/internal/kmod"
	"firstlight/internal/kmodtree"
)

// ahead has the boot load what its root surely needs while it still looks for the
// disks: a kernel takes longer to load a filesystem than most disks to answer, and
// waits for these without anything else to do. Only where it is known what the root
// lies on; modules that are not in the image, since they are built in or left out,
// are not named.
func (b *builder) ahead(mods []*kmodtree.Module) error {
	if b.report.Mode != ModeHost && b.report.Mode != ModeTarget {
		return nil
	}
	var names, last []string
	for _, f := range b.report.Features {
		// "layer:md" brings the drivers of all levels, of which one is needed.
		if f.Found == "" || f.Found == "layer:md" {
			continue
		}
		for _, name := range f.AheadModules {
			name = kmod.NormalizeName(name)
			if !slices.ContainsFunc(mods, func(m *kmodtree.Module) bool { return m.Name == name }) {
				continue
			}
			// What a filesystem lies on is needed before it.
			if strings.HasPrefix(f.Found, "fstype:") {
				last = append(last, name)
			} else {
				names = append(names, name)
			}
		}
	}
	if names = append(names, last...); len(names) == 0 {
		return nil
	}
	return b.cmdline("ahead", []string{"rd.driver.post=" + strings.Join(names, ",")}, "loaded while the disks are looked for")
}
