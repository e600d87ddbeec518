package snapshot

import (
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"firstlight/internal/overlayconf"
)

// inits are where the real system's init may be, as handler/mount tries them.
var inits = [...]string{"/sbin/init", "/etc/init", "/bin/init", "/bin/sh"}

// maxFstab bounds a file whose content is kept, in bytes.
const maxFstab = 1 << 20

// look looks at the files that a boot looks at, in the system's root and in
// every other filesystem that may be one: what is below /mnt could be.
func (t *taker) look() {
	lines := append([]string{t.s.Cmdline}, t.o.Cmdlines...)
	for _, e := range t.s.Boot {
		lines = append(lines, e.Cmdline)
	}
	roots := []string{"/"}
	for _, m := range t.s.Mounts {
		if onDisk(m) && m.Point != "/" && m.Point != "/usr" && m.Point != "/boot" && len(roots) < 64 {
			roots = append(roots, m.Point)
		}
	}
	for _, root := range roots {
		t.follow(root, "/etc/fstab", true)
		for _, p := range overlayconf.Files() {
			t.follow(root, p, true)
		}
		for _, p := range inits {
			t.follow(root, p, false)
		}
		for _, line := range lines {
			if init := initOf(line); init != "" {
				t.follow(root, init, false)
			}
		}
		t.follow(root, "/usr", false)
	}
	// Mount points of further filesystems, for the entries of fstab.
	for _, m := range t.s.Mounts {
		if m.Point != "/" {
			t.follow("/", m.Point, false)
		}
	}
}

// initOf is init= of a command line; the last one counts.
func initOf(cmdline string) string {
	out := ""
	for _, w := range strings.Fields(cmdline) {
		if w == "--" {
			break
		}
		if v, ok := strings.CutPrefix(w, "init="); ok && strings.HasPrefix(v, "/") {
			out = path.Clean(strings.Trim(v, `"`))
		}
	}
	return out
}

// follow walks p as a process with the root directory root would, and notes
// every file on the way in the filesystem that it belongs to.
func (t *taker) follow(root, p string, content bool) {
	rest := strings.Split(strings.Trim(path.Clean(p), "/"), "/")
	at := "/"
	for links := 0; len(rest) > 0 && links <= 40; {
		at, rest = path.Join(at, rest[0]), rest[1:]
		e, ok := t.entry(path.Join(root, at), content && len(rest) == 0)
		switch {
		case !ok:
			return
		case e.Link != "":
			links++
			target := e.Link
			if path.IsAbs(target) {
				at = "/"
			} else {
				at = path.Dir(at)
			}
			for i, part := range strings.Split(path.Clean(target), "/") {
				if part == ".." {
					at = path.Dir(at)
				} else if part != "" && part != "." {
					rest = append(strings.Split(path.Clean(target), "/")[i:], rest...)
					break
				}
			}
		}
		rest = trimEmpty(rest)
	}
}

func trimEmpty(list []string) []string {
	for len(list) > 0 && (list[0] == "" || list[0] == ".") {
		list = list[1:]
	}
	return list
}

// entry notes one file by its path in the system, links on the way to it
// having been followed. ok is false where there is nothing.
func (t *taker) entry(p string, content bool) (e Entry, ok bool) {
	m := t.owner(p)
	if m == nil {
		return Entry{}, false
	}
	rel := path.Clean("/" + strings.TrimPrefix(p, m.Point))
	host := t.o.Root.Host(t.o.Prefix + p)
	st, err := os.Lstat(host)
	if err != nil {
		if _, there := m.Entries[rel]; !there {
			m.Entries[rel] = Entry{}
		}
		return Entry{}, false
	}
	e = Entry{Mode: modeOf(st.Mode()), Size: st.Size()}
	switch {
	case st.Mode()&fs.ModeSymlink != 0:
		if e.Link, err = os.Readlink(host); err != nil {
			t.note("%v", err)
			return Entry{}, false
		}
	case !content || !st.Mode().IsRegular():
	case slices.Contains(overlayFiles(), rel):
		if st.Size() > maxFstab {
			break
		}
		if e.Data, err = os.ReadFile(host); err != nil {
			t.note("%v", err)
		}
		e.Data = []byte(overlayconf.WithoutPassword(string(e.Data)))
		e.Size = int64(len(e.Data))
	case rel == "/etc/fstab":
		if st.Size() > maxFstab {
			break
		}
		if e.Data, err = os.ReadFile(host); err != nil {
			t.note("%v", err)
		}
		e.Data = fstabWithoutSecrets(e.Data)
		e.Size = int64(len(e.Data))
	case t.o.Keys && st.Size() <= maxKept:
		b, err := os.ReadFile(host)
		if err != nil {
			t.note("%v", err)
			break
		}
		e.Data, e.Secret = withoutZeros(withoutRest(b)), true
	}
	if old := m.Entries[rel]; old.Data == nil {
		m.Entries[rel] = e
	}
	return e, true
}

func overlayFiles() []string {
	files := overlayconf.Files()
	return files[:]
}

// fstabWithoutSecrets leaves out the passwords that options of network
// filesystems may hold.
func fstabWithoutSecrets(b []byte) []byte {
	lines := strings.SplitAfter(string(b), "\n")
	for i, line := range lines {
		lower := strings.ToLower(line)
		for _, key := range []string{"password=", "pass=", "password2="} {
			if at := strings.Index(lower, key); at >= 0 {
				end := at + len(key)
				stop := strings.IndexAny(line[end:], ", \t\n")
				if stop < 0 {
					stop = len(line) - end
				}
				line = line[:end] + strings.Repeat("x", min(stop, 1)) + line[end+stop:]
				lower = strings.ToLower(line)
			}
		}
		lines[i] = line
	}
	return []byte(strings.Join(lines, ""))
}

// owner is the filesystem that a path of the system is in.
func (t *taker) owner(p string) *Mount {
	var best *Mount
	for _, m := range t.s.Mounts {
		if (m.Point == "/" || p == m.Point || strings.HasPrefix(p, m.Point+"/")) && (best == nil || len(m.Point) >= len(best.Point)) {
			best = m
		}
	}
	return best
}

// modeOf turns a fs.FileMode into the bits of stat(2).
func modeOf(m fs.FileMode) uint32 {
	out := uint32(m.Perm())
	switch m.Type() {
	case 0:
		out |= 0o100000
	case fs.ModeDir:
		out |= 0o040000
	case fs.ModeSymlink:
		out |= 0o120000
	case fs.ModeNamedPipe:
		out |= 0o010000
	case fs.ModeSocket:
		out |= 0o140000
	case fs.ModeDevice:
		out |= 0o060000
	default:
		out |= 0o020000
	}
	return out
}
