package detect

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"firstlight/internal/fstab"
	"firstlight/internal/overlayconf"
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
	d.files()
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
		case "rd.overlay.crypt":
			if value != "" && value != "0" {
				d.fact("layer:overlay-crypt", why)
			}
		case "root.journaldev":
			d.fact("layer:external-journal", why)
		case "rootfallback":
			d.fact("need:root-fallback", why)
		case "overlayroot":
			d.overlayroot(value, why)
		case "rd.overlay", "rd.overlayfs", "rd.live.overlay", "rd.live.overlay.overlayfs", "systemd.volatile":
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
	case strings.HasPrefix(root, "gpt-auto"), strings.HasPrefix(root, "dissect"):
		d.fact("need:gpt-auto", "the kernel's command line has root="+root)
	case root == "" && d.s.Sys.Exists("/firmware/efi"):
		d.fact("need:gpt-auto", "the kernel's command line has no root=")
	}
}

// overlayroot takes a value of overlayroot=, and says whether it asks for an
// overlay.
func (d *detector) overlayroot(value, why string) bool {
	overlay, crypt := overlayconf.Asks(value)
	if overlay {
		d.fact("layer:overlay", why)
	}
	if crypt {
		d.fact("layer:overlay-crypt", why)
	}
	return overlay
}

// kindOf is a value without its options, which may hold a password.
func kindOf(value string) string {
	kind, _, _ := strings.Cut(value, ":")
	return kind
}

// files takes what files of the system ask to be done with the root.
func (d *detector) files() {
	for _, p := range overlayconf.Files() {
		text, err := d.s.Root.ReadFile(p)
		if value, ok := overlayconf.Parse(string(text)); err == nil && ok && d.overlayroot(value, p+" has overlayroot="+kindOf(value)) {
			d.fact("layer:overlayroot-conf", p+" asks for an overlay")
		}
	}
	text, err := d.s.Root.ReadFile(fstabSys)
	if err != nil {
		return
	}
	entries, _ := fstab.Parse(fstabSys, string(text))
	for _, e := range entries {
		why := e.File + " is in " + fstabSys
		d.fact("need:fstab-sys", why)
		for _, t := range e.FSTypes {
			d.fact("fstype:"+t, why)
		}
	}
}

// fstabSys is dracut's table of what is mounted before the system starts.
const fstabSys = "/etc/fstab.sys"
