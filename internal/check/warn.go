package check

import (
	"fmt"
	"slices"
	"strings"

	"firstlight/internal/fstab"
	"firstlight/internal/handler"
	"firstlight/internal/snapshot"
)

// warnings are what is wrong with a boot that succeeds. Each is true of this
// machine and says what follows from it.
func (w *world) warnings() []string {
	var out []string
	add := func(text string) {
		if text != "" {
			out = addOnce(out, text)
		}
	}
	add(w.kernelWarning())
	for _, text := range w.unchecked() {
		add(text)
	}
	add(w.keymapWarning())
	add(w.resumeWarning())
	add(w.microcodeWarning())
	for _, text := range w.said {
		add(strings.ReplaceAll(text, "\n", " "))
	}
	return out
}

// kernelWarning: the kernel of the image is none of those installed.
func (w *world) kernelWarning() string {
	if w.release == w.snap.Kernel || len(w.snap.Builtin) == 0 {
		return ""
	}
	if _, installed := w.snap.Builtin[w.release]; installed {
		return ""
	}
	var have []string
	for r := range w.snap.Builtin {
		have = append(have, r)
	}
	slices.Sort(have)
	return fmt.Sprintf("the image is for kernel %s, which is not installed here; there are: %s", w.release, strings.Join(have, ", "))
}

// checkers are the types that a checker in the image would look at before the
// mount.
var checkers = []string{"ext2", "ext3", "ext4", "vfat", "f2fs", "exfat", "jfs", "reiserfs", "nilfs2"}

// unchecked: filesystems that fstab says to check and that the initramfs
// mounts for writing, so that the real system cannot check them any more,
// without a checker in the image.
func (w *world) unchecked() []string {
	cfg := w.core.World().Config
	if cfg.Root.ReadOnly {
		return nil // the real system checks what is not written to yet
	}
	var out []string
	for _, e := range w.rootFstab() {
		m := w.mountAt(handler.SysRoot + strings.TrimSuffix(e.File, "/"))
		if e.Pass == 0 || m == nil || m.from == nil || m.ro || !slices.Contains(checkers, m.from.FSType) || e.Options.Set&fstab.ReadOnly != 0 {
			continue
		}
		typ := m.from.FSType
		if w.core.World().Image.Has("fsck") && (w.im.executable("/sbin/fsck."+typ) || w.im.executable("/usr/sbin/fsck."+typ)) {
			continue
		}
		out = append(out, fmt.Sprintf("%s is mounted for writing without the check that /etc/fstab asks for: the image has no fsck.%s (firstlight build --feature fsck), and the command line no ro", e.File, typ))
	}
	return out
}

func (w *world) mountAt(point string) *mounted {
	for i := len(w.mounted) - 1; i >= 0; i-- {
		if w.mounted[i].point == point {
			return w.mounted[i]
		}
	}
	return nil
}

// keymapWarning: a passphrase is typed on a keyboard that the initramfs takes
// for another one.
func (w *world) keymapWarning() string {
	if len(w.asked) == 0 {
		return ""
	}
	layout := setting(w.snap.Config["/etc/vconsole.conf"], "KEYMAP")
	from := "KEYMAP in /etc/vconsole.conf"
	if layout == "" {
		layout, from = setting(w.snap.Config["/etc/default/keyboard"], "XKBLAYOUT"), "XKBLAYOUT in /etc/default/keyboard"
	}
	first, _, _ := strings.Cut(layout, ",")
	if first == "" || first == "us" || strings.HasPrefix(first, "us-") || w.im.Has("/etc/vconsole.conf") {
		return ""
	}
	return fmt.Sprintf("a passphrase is asked for, and the keyboard is that of the kernel (us) then, not %q (%s)", first, from)
}

// setting reads NAME=value of a shell-like file; the last one counts.
func setting(text, name string) string {
	out := ""
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), name+"="); ok {
			out = strings.Trim(strings.TrimSpace(v), `"'`)
		}
	}
	return out
}

// resumeWarning: swap is in use and the boot waits for a resume device that
// does not come.
func (w *world) resumeWarning() string {
	g := w.core.World().Goals.Get("resume")
	if g == nil || !strings.Contains(g.Reason, "has not appeared") {
		return ""
	}
	return "the boot waits in vain for " + w.core.World().Config.Resume.Device.Describe() + ", which resume= names, and a hibernated system would be lost"
}

// microcodeWarning: the system has an update for the processor, and the image
// does not hand it to the kernel.
func (w *world) microcodeWarning() string {
	file := w.snap.Config[snapshot.Microcode]
	if file == "" || w.im.Has("/kernel/x86/microcode") || w.earlier() {
		return ""
	}
	return "the image does not bring the processor's microcode update (" + file + "), and no boot entry loads it"
}

// earlier says whether a boot entry loads microcode as an image of its own.
func (w *world) earlier() bool {
	return slices.ContainsFunc(w.snap.Boot, func(e snapshot.BootEntry) bool {
		return slices.ContainsFunc(e.Initrds, func(p string) bool { return strings.Contains(p, "ucode") || strings.Contains(p, "microcode") })
	})
}
