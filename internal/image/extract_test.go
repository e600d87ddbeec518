package image

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"firstlight/internal/image/cpio"
)

// archive is an archive with the entries of a test; names may be anything.
func archive(t testing.TB, entries ...raw) []byte {
	t.Helper()
	var b bytes.Buffer
	for i, e := range append(entries, raw{name: "TRAILER!!!"}) {
		if e.ino == 0 {
			e.ino = 100 + i
		}
		b.WriteString("070701")
		for _, v := range []int{e.ino, e.mode, 0, 0, max(e.links, 1), 0, len(e.data), 0, 0, e.major, e.minor, len(e.name) + 1, 0} {
			const hex = "0123456789abcdef"
			for shift := 28; shift >= 0; shift -= 4 {
				b.WriteByte(hex[v>>shift&15])
			}
		}
		b.WriteString(e.name + "\x00")
		b.Write(make([]byte, (4-b.Len()%4)%4))
		b.WriteString(e.data)
		b.Write(make([]byte, (4-b.Len()%4)%4))
	}
	return b.Bytes()
}

type raw struct {
	name, data        string
	mode, links       int
	ino, major, minor int
}

const (
	file    = cpio.TypeRegular | 0o644
	dirMode = cpio.TypeDir | 0o755
	symlink = cpio.TypeSymlink | 0o777
)

// outside is everything around the directory that an image is unpacked to.
func outside(t *testing.T, top string) string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(top, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if p == filepath.Join(top, "out") {
			return fs.SkipDir
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		text := ""
		if st.Mode().IsRegular() {
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			text = string(b)
		}
		list = append(list, strings.TrimPrefix(p, top)+" "+st.Mode().String()+" "+text)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(list, "\n")
}

// Nothing of a hostile image lands outside of the directory, and nothing there
// is changed, whatever is tried.
func TestExtractStaysInside(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "out")
	victim := filepath.Join(top, "victim")
	if err := os.WriteFile(victim, []byte("untouched"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(top, "house"), 0o700); err != nil {
		t.Fatal(err)
	}
	before := outside(t, top)
	evil := raw{name: "l/evil", mode: file, data: "x"}
	for name, entries := range map[string][]raw{
		"dots":                       {{name: "../evil", mode: file}},
		"dots within":                {{name: "a/../../../evil", mode: file}},
		"absolute":                   {{name: top + "/evil", mode: file}},
		"dots as a directory":        {{name: "../house", mode: cpio.TypeDir | 0o777}},
		"link up":                    {{name: "l", mode: symlink, data: ".."}, evil},
		"absolute link":              {{name: "l", mode: symlink, data: top}, evil},
		"link to a link":             {{name: "m", mode: symlink, data: top}, {name: "l", mode: symlink, data: "m"}, evil},
		"link up through a link":     {{name: "d", mode: dirMode}, {name: "d/l", mode: symlink, data: "../.."}, {name: "d/l/evil", mode: file}},
		"a file through its link":    {{name: "l", mode: symlink, data: "../victim"}, {name: "l", mode: file, data: "gone"}},
		"a directory over a link":    {{name: "l", mode: symlink, data: "../house"}, {name: "l", mode: cpio.TypeDir | 0o777}},
		"a directory becomes a link": {{name: "d", mode: cpio.TypeDir | 0o777}, {name: "d", mode: symlink, data: "../house"}, {name: "d/evil", mode: file}},
		"a hard link to a link": {{name: "l", mode: file, links: 2, ino: 7}, {name: "l", mode: symlink, data: "../victim"},
			{name: "m", mode: file, links: 2, ino: 7, data: "gone"}},
		"a hard link through a link": {{name: "d", mode: dirMode}, {name: "d/victim", mode: file, links: 2, ino: 7},
			{name: "d/victim", mode: file}, {name: "m", mode: file, links: 2, ino: 7, data: "gone"}},
		"a hard link to dots":   {{name: "../victim", mode: file, links: 2, ino: 7}, {name: "m", mode: file, links: 2, ino: 7, data: "gone"}},
		"a device below a link": {{name: "l", mode: symlink, data: ".."}, {name: "l/null", mode: cpio.TypeChar | 0o666, major: 1, minor: 3}},
		"a device over a link":  {{name: "l", mode: symlink, data: "../victim"}, {name: "l", mode: cpio.TypeBlock | 0o666, major: 8}},
		"links without an end":  {{name: "a", mode: symlink, data: "b"}, {name: "b", mode: symlink, data: "a"}, {name: "a/evil", mode: file}},
		"a name with a NUL":     {{name: "a\x00/../../evil", mode: file}},
		"a fifo as hard link": {{name: "f", mode: file, links: 2, ino: 7}, {name: "f", mode: cpio.TypeFIFO | 0o600},
			{name: "m", mode: file, links: 2, ino: 7, data: "does not wait for a reader"}},
	} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		err := Extract(archive(t, entries...), dir, Limits{}, func(string, error) {})
		if got := outside(t, top); got != before {
			t.Fatalf("%s: outside is now\n%s\nand was\n%s", name, got, before)
		}
		t.Logf("%s: %v", name, err)
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
}

// A directory that somebody prepared with links in it leads nowhere either.
func TestExtractIntoLinks(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "out")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("..", filepath.Join(dir, "etc")); err != nil {
		t.Fatal(err)
	}
	err := Extract(archive(t, raw{name: "etc/evil", mode: file}), dir, Limits{}, func(string, error) {})
	if err == nil {
		t.Error("no error")
	}
	if _, err := os.Lstat(filepath.Join(top, "evil")); err == nil {
		t.Error("written outside")
	}
}

// What is unpacked is what the kernel would have: later entries win, but a
// directory with something in it stays.
func TestExtractAsTheKernel(t *testing.T) {
	dir := t.TempDir()
	umask := unix.Umask(0o077)
	defer unix.Umask(umask)
	var passed []string
	b := archive(t,
		raw{name: "./d", mode: cpio.TypeDir | 0o555}, raw{name: "d/f", mode: cpio.TypeRegular | 0o4711, data: "first"},
		raw{name: "d/f", mode: file, data: "2nd"},
		raw{name: "d", mode: symlink, data: "e"}, // stays a directory
		raw{name: "l", mode: symlink, data: "d"}, raw{name: "l", mode: dirMode}, raw{name: "l/x", mode: file},
		raw{name: "m", mode: file, links: 2, ino: 9}, raw{name: "n", mode: file, links: 2, ino: 9, data: "both"},
		raw{name: "lib", mode: symlink, data: "/usr/lib"}, raw{name: "usr/lib", mode: dirMode}, raw{name: "lib/y", mode: file},
	)
	if err := Extract(b, dir, Limits{}, func(name string, _ error) { passed = append(passed, name) }); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(passed, []string{"d"}) {
		t.Errorf("passed over: %v", passed)
	}
	for name, want := range map[string]string{"d/f": "-rw-r--r-- 2nd", "l/x": "-rw-r--r-- ", "m": "-rw-r--r-- both", "n": "-rw-r--r-- both",
		"usr/lib/y": "-rw-r--r-- ", "d": "dr-xr-xr-x ", "l": "drwxr-xr-x "} {
		st, err := os.Lstat(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
			continue
		}
		text := ""
		if st.Mode().IsRegular() {
			b, _ := os.ReadFile(filepath.Join(dir, name))
			text = string(b)
		}
		if got := st.Mode().String() + " " + text; got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	v, err := NewView(b, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if n := v.nodes["l"]; n == nil || n.h.Type() != cpio.TypeDir || v.nodes["usr/lib/y"] == nil || v.nodes["d"].h.Type() != cpio.TypeDir {
		t.Errorf("the view of it: %+v", v.nodes)
	}
}

func FuzzExtract(f *testing.F) {
	f.Add(archive(f, raw{name: "l", mode: symlink, data: ".."}, raw{name: "l/x", mode: file, data: "x"}, raw{name: "d", mode: dirMode},
		raw{name: "d/n", mode: cpio.TypeChar, major: 1, minor: 3}))
	f.Add(archive(f, raw{name: "a", mode: file, links: 2, ino: 1}, raw{name: "../b", mode: file, links: 2, ino: 1, data: "x"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		top := t.TempDir()
		dir := filepath.Join(top, "out")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		_ = Extract(b, dir, Limits{Bytes: 1 << 16, Entries: 100}, func(string, error) {})
		list, err := os.ReadDir(top)
		if err != nil || len(list) != 1 {
			t.Fatalf("beside it: %v, %v", list, err)
		}
		// What is unpacked without permissions must not hinder removing it.
		_ = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				_ = os.Chmod(p, 0o700)
			}
			return nil
		})
	})
}
