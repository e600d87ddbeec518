package inventory

import (
	"path"
	"slices"
	"strings"

	"firstlight/internal/image/cpio"
)

// identify finds out which tool made the image, for which kernels, and what
// parameters it brings along.
func (inv *Inventory) identify() {
	for _, it := range inv.Items {
		p := strings.TrimPrefix(it.Path, "usr/")
		if rest, ok := strings.CutPrefix(p, "lib/modules/"); ok && it.Mode&cpio.TypeMask == cpio.TypeRegular {
			if release, _, ok := strings.Cut(rest, "/"); ok && !slices.Contains(inv.Kernels, release) {
				inv.Kernels = append(inv.Kernels, release)
			}
		}
		switch dir := path.Dir(p); {
		case it.Text != "" && (dir == "etc/firstlight/cmdline.d" || dir == "etc/cmdline.d" || p == "etc/cmdline"):
			for line := range strings.Lines(it.Text) {
				if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
					inv.Cmdline = append(inv.Cmdline, line)
				}
			}
		case dir == "lib/dracut" && strings.HasPrefix(base(p), "dracut-") && base(p) != "dracut-lib.sh" && inv.Maker == "":
			inv.Maker = "dracut " + strings.TrimPrefix(base(p), "dracut-")
		}
	}
	if inv.Maker == "" {
		inv.Maker = inv.maker()
	}
}

// maker goes by the files that each tool's run-time part cannot do without.
func (inv *Inventory) maker() string {
	has := func(p string) bool { return inv.Get(p) != nil }
	switch {
	case has("etc/firstlight/image"):
		for line := range strings.Lines(inv.Get("etc/firstlight/image").Text) {
			if v, ok := strings.CutPrefix(strings.TrimSpace(line), "version="); ok {
				return "firstlight " + v
			}
		}
		return "firstlight"
	case has("usr/lib/dracut-lib.sh"), has("lib/dracut-lib.sh"), has("usr/lib/dracut/modules.txt"):
		return "dracut"
	case has("conf/initramfs.conf") && has("scripts/functions"):
		return "initramfs-tools"
	case has("buildconfig"), has("init_functions"):
		if it := inv.Get("VERSION"); it != nil && len(it.Text) < 80 && it.Text != "" {
			return "mkinitcpio " + strings.TrimSpace(it.Text)
		}
		return "mkinitcpio"
	case has("etc/booster.init.yaml"):
		return "booster"
	case has(".initrd") && has("lib/initrd"), has("etc/initrd/method"):
		return "make-initrd"
	}
	return ""
}
