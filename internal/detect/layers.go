package detect

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// below returns where the filesystem is mounted that an overlay lies over, the
// lowest of several; "" if the mount is no overlay, or its layers cannot be seen
// any more.
func (d *detector) below(m mount) string {
	if m.fstype != "overlay" {
		return ""
	}
	for o := range strings.SplitSeq(m.super, ",") {
		dirs, ok := strings.CutPrefix(o, "lowerdir=")
		if !ok {
			continue
		}
		lowest := dirs[strings.LastIndexByte(dirs, ':')+1:]
		if slices.ContainsFunc(d.all, func(x mount) bool { return x.point == lowest && x.point != m.point }) {
			return lowest
		}
	}
	return ""
}

// backing takes the filesystem that a loop device's file is in.
func (d *detector) backing(file, what string) error {
	best := ""
	for _, m := range d.all {
		if m.point != "/" && strings.HasPrefix(file, m.point+"/") && len(m.point) > len(best) {
			best = m.point
		}
	}
	if best == "" {
		d.note("%s is on a loop device of the file %s; what that file lies on cannot be seen", what, file)
		return nil
	}
	d.fact("layer:loop", fmt.Sprintf("%s is in the file %s", what, file))
	return d.fileSystem(d.all, best)
}

// parameters takes what the running system's command line asks to be done with
// the root.
func (d *detector) parameters() {
	text, err := d.s.Root.ReadFile("/proc/cmdline")
	if err != nil {
		return
	}
	root, persist, live := "", "", false
	for _, p := range strings.Fields(string(text)) {
		name, value, _ := strings.Cut(p, "=")
		why := "the kernel's command line has " + p
		switch strings.ReplaceAll(name, "_", "-") {
		case "root":
			root = strings.Trim(value, `"`)
		case "boot":
			if value == "live" || value == "casper" {
				d.fact("layer:live", why)
				live = true
			}
		case "persistence", "persistent":
			if value != "0" && value != "no" {
				persist = why
			}
		case "rd.live.image", "liveimg":
			if value != "0" && value != "no" {
				d.fact("layer:live", why)
			}
		case "loop":
			if path.IsAbs(value) {
				d.fact("layer:loop", why)
			}
		case "rd.overlay", "rd.overlayfs", "rd.live.overlay", "rd.live.overlay.overlayfs", "overlayroot", "systemd.volatile":
			if value != "0" && value != "no" && value != "disabled" && value != "state" {
				d.fact("layer:overlay", why)
			}
		}
	}
	if live && persist != "" {
		d.fact("layer:live-persistence", persist)
	}
	switch {
	case strings.HasPrefix(root, "live:"):
		d.fact("layer:live", "the kernel's command line has root="+root)
	case strings.HasPrefix(root, "/dev/ram"), strings.HasPrefix(root, "/dev/zram"):
		d.fact("layer:ramdisk", "the kernel's command line has root="+root)
	case strings.HasPrefix(root, "gpt-auto"):
		d.fact("need:gpt-auto", "the kernel's command line has root="+root)
	case root == "" && d.s.Sys.Exists("/firmware/efi"):
		d.fact("need:gpt-auto", "the kernel's command line has no root=")
	}
}
