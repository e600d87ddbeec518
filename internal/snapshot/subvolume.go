package snapshot

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// SubvolumeKey names the subvolume of a btrfs that mount options ask for: its
// path from the top of the filesystem, "/@root"; "subvolid=256"; "" where they
// ask for none, and the filesystem's default is mounted.
func SubvolumeKey(options string) string {
	key := ""
	for o := range strings.SplitSeq(options, ",") {
		if v, ok := strings.CutPrefix(o, "subvol="); ok {
			key = path.Clean("/" + v)
		} else if strings.HasPrefix(o, "subvolid=") {
			key = o
		}
	}
	return key
}

// subvolumeOption is the mount option that a key stands for.
func subvolumeOption(key string) string {
	if strings.HasPrefix(key, "/") {
		return "subvol=" + key
	}
	return key
}

// maxSubvolumes bounds the subvolumes that are looked at.
const maxSubvolumes = 32

// aside looks at the subvolumes that the command lines name and that are not
// mounted, and at the default one.
func (t *taker) aside() {
	if t.o.Aside == nil {
		return
	}
	keys := []string{""}
	for _, line := range slices.Concat([]string{t.s.Cmdline}, t.o.Cmdlines, bootLines(t.s.Boot)) {
		for w := range strings.FieldsSeq(line) {
			if v, ok := strings.CutPrefix(w, "rootflags="); ok {
				keys = append(keys, SubvolumeKey(strings.Trim(v, `"`)))
			}
		}
	}
	keys = sorted(keys)
	seen := map[string]bool{}
	for _, m := range t.s.Mounts {
		if m.FSType != "btrfs" || seen[m.Devnum] {
			continue
		}
		seen[m.Devnum] = true
		for _, key := range keys {
			mounted := slices.ContainsFunc(t.s.Mounts, func(o *Mount) bool { return o.Devnum == m.Devnum && o.Root == key })
			if !mounted && len(t.s.Aside) < maxSubvolumes {
				t.subvolume(m, key)
			}
		}
	}
}

func bootLines(entries []BootEntry) []string {
	var out []string
	for _, e := range entries {
		out = append(out, e.Cmdline)
	}
	return out
}

// within looks with a taker of its own into a filesystem that is opened at dir.
func (t *taker) within(m *Mount, dir string, look func(*taker)) {
	point := m.Point
	m.Point = "/"
	sub := &taker{o: Options{Root: t.o.Root, Prefix: dir, Cmdlines: t.o.Cmdlines, Keys: t.o.Keys},
		s: &Snapshot{Cmdline: t.s.Cmdline, Boot: t.s.Boot, Mounts: []*Mount{m}}}
	look(sub)
	m.Point = point
	t.s.Notes = append(t.s.Notes, sub.s.Notes...)
}

// readOnly says whether a filesystem is mounted for reading: the options of the
// mount come first, and those of the filesystem last.
func readOnly(options string) bool {
	only := false
	for o := range strings.SplitSeq(options, ",") {
		if o == "ro" || o == "rw" {
			only = o == "ro"
		}
	}
	return only
}

// subvolume looks at one that is not mounted, as look does at those that are.
func (t *taker) subvolume(m *Mount, key string) {
	out := &Mount{Devnum: m.Devnum, Root: key, FSType: m.FSType, Source: m.Source}
	options := []string{subvolumeOption(key)}
	if readOnly(m.Options) {
		options = append(options, "ro")
	}
	dir, done, err := t.o.Aside(m.FSType, m.Source, options...)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		t.note("%v", err)
		return
	default:
		defer done()
		out.Entries = map[string]Entry{}
		t.within(out, dir, (*taker).look)
	}
	t.s.Aside = append(t.s.Aside, out)
}
