package snapshot

import (
	"path"
	"slices"
	"strings"
)

// BootEntry is what a boot loader would start.
type BootEntry struct {
	From    string   `json:"from"`    // the file that says so
	Kernel  string   `json:"kernel"`  // path of the kernel, as the loader has it
	Initrds []string `json:"initrds"` // likewise
	Cmdline string   `json:"cmdline"`
}

// loaderDirs hold entries of the Boot Loader Specification, grubFiles the
// menus of GRUB.
var (
	loaderDirs = [...]string{"/boot/loader/entries", "/efi/loader/entries", "/boot/efi/loader/entries"}
	grubFiles  = [...]string{"/boot/grub/grub.cfg", "/boot/grub2/grub.cfg"}
)

// maxEntries bounds how many entries are kept.
const maxEntries = 256

// bootEntries reads the boot loaders' configurations.
func (t *taker) bootEntries() {
	var out []BootEntry
	for _, dir := range loaderDirs {
		names, err := t.o.Root.List(t.o.Prefix + dir)
		if err != nil {
			continue
		}
		for _, n := range names {
			if p := path.Join(dir, n); strings.HasSuffix(n, ".conf") {
				if b, err := t.o.Root.ReadFile(t.o.Prefix + p); err == nil {
					out = append(out, parseLoaderEntry(p, string(b))...)
				}
			}
		}
	}
	for _, p := range grubFiles {
		if b, err := t.o.Root.ReadFile(t.o.Prefix + p); err == nil {
			out = append(out, parseGrub(p, string(b))...)
		}
	}
	if len(out) > maxEntries {
		t.note("of %d boot entries the first %d are kept", len(out), maxEntries)
		out = out[:maxEntries]
	}
	for i := range out {
		out[i].Cmdline = withoutSecrets(out[i].Cmdline)
	}
	t.s.Boot = out
}

// parseLoaderEntry reads one entry of the Boot Loader Specification (type 1).
func parseLoaderEntry(from, text string) []BootEntry {
	e := BootEntry{From: from}
	var options []string
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(strings.ReplaceAll(line, "\t", " ")), " ")
		value = strings.TrimSpace(value)
		switch key {
		case "linux":
			e.Kernel = value
		case "initrd":
			e.Initrds = append(e.Initrds, strings.Fields(value)...)
		case "options":
			options = append(options, value)
		}
	}
	if e.Kernel == "" {
		return nil
	}
	e.Cmdline = literal(strings.Join(options, " "))
	return []BootEntry{e}
}

// parseGrub takes the linux and initrd lines of a menu of GRUB. The menu is a
// script; what is not literal in these lines is left out.
func parseGrub(from, text string) []BootEntry {
	var out []BootEntry
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		switch f[0] {
		case "linux", "linuxefi", "linux16":
			out = append(out, BootEntry{From: from, Kernel: f[1], Cmdline: literal(strings.Join(f[2:], " "))})
		case "initrd", "initrdefi", "initrd16":
			if n := len(out); n > 0 {
				out[n-1].Initrds = append(out[n-1].Initrds, f[1:]...)
			}
		}
	}
	return out
}

// literal leaves out words that a loader would replace.
func literal(line string) string {
	var out []string
	for _, w := range strings.Fields(line) {
		if !strings.HasPrefix(w, "$") {
			out = append(out, w)
		}
	}
	return strings.Join(out, " ")
}

// Entry returns the boot entry that starts an image: that with its path, or with
// its name and its kernel's release, or with its name, or else one that starts a
// kernel of that release; nil if there is none. Of several it is the first, as a
// loader shows them.
func (s *Snapshot) Entry(image, release string) *BootEntry {
	kernel := func(e BootEntry) bool {
		return release != "" && (strings.HasSuffix(e.Kernel, "-"+release) || path.Base(path.Dir(e.Kernel)) == release)
	}
	// A loader's paths begin at the top of its own filesystem.
	in := func(e BootEntry) bool {
		return slices.ContainsFunc(e.Initrds, func(p string) bool { return strings.HasPrefix(p, "/") && strings.HasSuffix(image, p) })
	}
	named := func(e BootEntry) bool {
		return image != "" && slices.ContainsFunc(e.Initrds, func(p string) bool { return path.Base(p) == path.Base(image) })
	}
	for _, fits := range [...]func(BootEntry) bool{in, func(e BootEntry) bool { return named(e) && kernel(e) }, named, kernel} {
		if i := slices.IndexFunc(s.Boot, fits); i >= 0 {
			return &s.Boot[i]
		}
	}
	return nil
}
