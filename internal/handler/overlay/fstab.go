package overlay

import (
	"strings"

	"firstlight/internal/bootcmd"
	"firstlight/internal/fstab"
)

// kept begins a line that does not count while the root is covered.
const kept = "# covered: "

// Fstab is the fstab of a root that is covered: without the line of the root,
// whose options are not the overlay's. For overlayroot= it is also without
// swap, unless that is to be used, and with an overlay over each filesystem
// that would be written to.
func Fstab(text string, o bootcmd.Overlay) string {
	entries, _ := fstab.Parse("", text)
	at := map[int]*fstab.Entry{}
	for i := range entries {
		at[entries[i].Line] = &entries[i]
	}
	var b strings.Builder
	number := 0
	for line := range strings.SplitSeq(text, "\n") {
		if number++; number > 1 {
			b.WriteByte('\n')
		}
		e := at[number]
		media := o.Kind == bootcmd.OverlayMedia
		switch {
		case e == nil:
			b.WriteString(line)
		case e.File == "/" && !e.IsSwap(), media && !o.Swap && e.IsSwap():
			b.WriteString(kept + line)
		case media && o.Recurse && isDisk(e):
			b.WriteString(cover(line, e, o))
		default:
			b.WriteString(line)
		}
	}
	return b.String()
}

// isDisk says whether an entry is a filesystem of a disk, which writes go to.
func isDisk(e *fstab.Entry) bool {
	d, err := e.Device()
	return !e.IsSwap() && strings.HasPrefix(e.File, "/") && err == nil && d.IsDevice()
}

// early says whether an entry is mounted before the real system starts, or
// cannot be below an overlay: it is mounted read-only where it belongs.
func early(e *fstab.Entry) bool {
	if strings.ContainsAny(e.File, ",:\\\n\"") || e.File == "/usr" || e.Options.Has("x-initrd.mount") || e.Options.NoAuto() || len(e.FSTypes) != 1 {
		return true
	}
	switch e.FSTypes[0] {
	case "vfat", "msdos", "exfat", "ntfs", "ntfs3": // have their own rules for names
		return true
	}
	return false
}

// cover is the line of an entry as two: read-only below /media/root-ro, and an
// overlay over that.
func cover(line string, e *fstab.Entry, o bootcmd.Overlay) string {
	p := at(o)
	base := p.lower + e.File
	if early(e) {
		base = e.File
	}
	f := strings.Fields(line)
	options := "ro"
	if len(f) > 3 {
		options = f[3] + ",ro" // the last one counts
	}
	below := f[0] + " " + escape(base) + " " + f[2] + " " + options + " 0 0"
	if base == e.File {
		return below
	}
	dirs := p.inner(p.disk, e.File)
	over := []string{"lowerdir=" + base, "upperdir=" + dirs[0], "workdir=" + dirs[1],
		"x-systemd.requires-mounts-for=" + base}
	for _, x := range [...]struct {
		is   bool
		name string
	}{{e.Options.NoFail(), "nofail"}, {e.Options.Set&fstab.NoSuid != 0, "nosuid"}, {e.Options.Set&fstab.NoDev != 0, "nodev"},
		{e.Options.Set&fstab.NoExec != 0, "noexec"}} {
		if x.is {
			over = append(over, x.name)
		}
	}
	return below + "\n" + escape(base) + " " + escape(e.File) + " overlay " + escape(strings.Join(over, ",")) + " 0 0"
}

// covered are the mount points that get an overlay of their own.
func covered(text string, o bootcmd.Overlay) []string {
	if o.Kind != bootcmd.OverlayMedia || !o.Recurse {
		return nil
	}
	entries, _ := fstab.Parse("", text)
	var dirs []string
	for i := range entries {
		if e := &entries[i]; e.File != "/" && isDisk(e) && !early(e) {
			dirs = append(dirs, e.File)
		}
	}
	return dirs
}

// inner are the directories for the changes of a filesystem besides the root,
// with disk in the place of where changes are mounted. Each has its own, beside
// those of the root: in them they would show twice.
func (p places) inner(disk, dir string) []string {
	root := disk + strings.TrimSuffix(p.upper[len(p.disk):], "/overlay")
	name := strings.ReplaceAll(strings.Trim(dir, "/"), "/", "-")
	return []string{root + "/overlay-other/" + name, root + "/overlay-workdir/" + name}
}

// escape writes a field as fstab(5) has it.
func escape(s string) string {
	return strings.NewReplacer(`\`, `\134`, " ", `\040`, "\t", `\011`, "\n", `\012`).Replace(s)
}
