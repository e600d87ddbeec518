package image

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"firstlight/internal/image/compress"
	"firstlight/internal/image/cpio"
	"firstlight/internal/testtool"
)

func sampleTree(t *testing.T) *Tree {
	t.Helper()
	tree := NewTree()
	src := filepath.Join(t.TempDir(), "src")
	if err := os.WriteFile(src, []byte(strings.Repeat("from a file ", 99)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		tree.Symlink("/lib", "usr/lib", "usr-merge"),
		tree.Add(Entry{Path: "/lib/modules/6.1/ext4.ko", Mode: cpio.TypeRegular | 0o644, Source: src, Group: "modules", Why: "root"}),
		tree.Add(Entry{Path: "/init", Mode: cpio.TypeRegular | 0o755, Data: []byte("#!"), Group: "init"}),
		tree.Symlink("/sbin/modprobe", "../init", ""),
		tree.File("/etc/hostname", 0o644, []byte("light\n"), ""),
		tree.Add(Entry{Path: "dev/null", Mode: cpio.TypeChar | 0o666, Major: 1, Minor: 3}),
		tree.Dir("/run", ""),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return tree
}

func pack(t *testing.T, tree *Tree, spec string, cache *Cache) []byte {
	t.Helper()
	s, err := compress.ParseSpec(spec)
	if err != nil {
		t.Fatal(err)
	}
	c, err := compress.New(context.Background(), s)
	if err != nil {
		t.Fatal(err)
	}
	segments, err := Pack(context.Background(), tree, PackOptions{Compressor: c, Cache: cache})
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	for _, s := range segments {
		out = append(out, s.Frame...)
	}
	return out
}

func list(t *testing.T, b []byte) string {
	t.Helper()
	var names []string
	err := Walk(b, Limits{}, func(_ Part, h *cpio.Header, _ io.Reader) error {
		names = append(names, h.Name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(names, " ")
}

func TestPackAndRead(t *testing.T) {
	testtool.Need(t, "xz")
	const want = "dev dev/null etc etc/hostname lib run sbin sbin/modprobe usr usr/lib usr/lib/modules usr/lib/modules/6.1 init usr/lib/modules/6.1/ext4.ko"
	for _, spec := range []string{"none", "zstd:3", "gzip", "xz", "lz4"} {
		b := pack(t, sampleTree(t), spec, nil)
		if got := list(t, b); got != want {
			t.Errorf("%s: %s", spec, got)
		}
		for _, name := range []string{"/lib/modules/6.1/ext4.ko", "usr/lib/modules/6.1/ext4.ko"} {
			var out bytes.Buffer
			if err := Cat(&out, b, name, Limits{}); err != nil || out.Len() != 99*12 {
				t.Errorf("%s: cat %s: %d bytes, %v", spec, name, out.Len(), err)
			}
		}
		var out bytes.Buffer
		if err := Cat(&out, b, "/sbin/modprobe", Limits{}); err != nil || out.String() != "#!" {
			t.Errorf("%s: cat through a link: %q, %v", spec, &out, err)
		}
		if err := Cat(&out, b, "/nothing", Limits{}); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: cat of nothing: %v", spec, err)
		}
		if err := Cat(&out, b, "/run", Limits{}); err == nil {
			t.Errorf("%s: cat of a directory", spec)
		}
	}
}

// An image of several generators: plain microcode first, zeros, then frames
// compressed in different ways.
func TestMixedImage(t *testing.T) {
	early := NewTree()
	if err := early.File("kernel/x86/microcode/GenuineIntel.bin", 0o644, []byte("micro"), ""); err != nil {
		t.Fatal(err)
	}
	second := NewTree()
	if err := second.File("etc/hostname", 0o644, []byte("later\n"), ""); err != nil {
		t.Fatal(err)
	}
	b := pack(t, early, "none", nil)
	b = append(b, make([]byte, 512)...)
	b = append(b, pack(t, sampleTree(t), "zstd:3", nil)...)
	b = append(b, 0, 0, 0)
	b = append(b, pack(t, second, "gzip", nil)...)
	var out bytes.Buffer
	if err := Cat(&out, b, "/etc/hostname", Limits{}); err != nil || out.String() != "later\n" {
		t.Errorf("the last one counts: %q %v", &out, err)
	}
	if got := list(t, b); !strings.HasPrefix(got, "kernel kernel/x86 ") || !strings.HasSuffix(got, "etc etc/hostname") {
		t.Error(got)
	}
	for _, cut := range []int{len(b) - 1, len(b) - 100, 150} {
		if err := Walk(b[:cut], Limits{}, func(Part, *cpio.Header, io.Reader) error { return nil }); !errors.Is(err, ErrImage) {
			t.Errorf("cut at %d: %v", cut, err)
		}
	}
	for _, bad := range []string{"", "hello, this is text", "\x00\x00\x00\x00?"} {
		if err := Walk([]byte(bad), Limits{}, nil); !errors.Is(err, ErrImage) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if err := Walk(b, Limits{Entries: 3}, func(Part, *cpio.Header, io.Reader) error { return nil }); err == nil {
		t.Error("the limit of entries does not hold")
	}
	if err := Walk(b, Limits{Bytes: 100}, func(Part, *cpio.Header, io.Reader) error { return nil }); !errors.Is(err, compress.ErrTooLarge) {
		t.Errorf("the limit of bytes: %v", err)
	}
}

func TestSameTreeSameBytes(t *testing.T) {
	cache, err := OpenCache(filepath.Join(t.TempDir(), "c"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	want := pack(t, sampleTree(t), "zstd", nil)
	for i, c := range []*Cache{cache, cache, nil} {
		if got := pack(t, sampleTree(t), "zstd", c); !bytes.Equal(got, want) {
			t.Errorf("build %d differs", i)
		}
	}
	files, _ := os.ReadDir(cache.dir)
	if len(files) != 3 {
		t.Errorf("%d files in the cache", len(files))
	}
	// A damaged cache is not used.
	for _, f := range files {
		name := filepath.Join(cache.dir, f.Name())
		b, _ := os.ReadFile(name)
		b[len(b)-1] ^= 1
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := pack(t, sampleTree(t), "zstd", cache); !bytes.Equal(got, want) {
		t.Error("a damaged cache changed the image")
	}
	if err := cache.trim(0); err != nil {
		t.Fatal(err)
	}
	if files, _ := os.ReadDir(cache.dir); len(files) != 0 {
		t.Errorf("%d files left", len(files))
	}
}

func TestSecretsAreNotCached(t *testing.T) {
	cache, err := OpenCache(filepath.Join(t.TempDir(), "c"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	tree := NewTree()
	if err := tree.Add(Entry{Path: "etc/key", Mode: cpio.TypeRegular | 0o600, Data: []byte("hunter2"), Secret: true}); err != nil {
		t.Fatal(err)
	}
	if !tree.HasSecrets() {
		t.Error("no secrets?")
	}
	b := pack(t, tree, "zstd", cache)
	if !strings.Contains(list(t, b), "etc/key") {
		t.Error("the key is missing")
	}
	files, _ := os.ReadDir(cache.dir)
	if len(files) != 1 { // the base alone
		t.Errorf("%d files in the cache", len(files))
	}
}

func TestCacheOfOthers(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenCache(dir, time.Now()); err == nil {
		t.Error("a directory that anybody may write to was taken")
	}
}

func TestConflicts(t *testing.T) {
	tree := sampleTree(t)
	if err := tree.File("etc/hostname", 0o644, []byte("light\n"), "again"); err != nil {
		t.Errorf("the same file twice: %v", err)
	}
	if err := tree.File("etc/hostname", 0o644, []byte("dark!\n"), "other"); !errors.Is(err, ErrConflict) {
		t.Errorf("another content: %v", err)
	}
	if err := tree.File("etc/hostname/x", 0o644, nil, ""); !errors.Is(err, ErrConflict) {
		t.Errorf("below a file: %v", err)
	}
	if err := tree.Replace(Entry{Path: "etc/hostname", Mode: cpio.TypeRegular | 0o644, Data: []byte("new")}); err != nil {
		t.Error(err)
	}
	if err := tree.Symlink("a", "b", ""); err != nil {
		t.Fatal(err)
	}
	if err := tree.Symlink("b", "a", ""); err != nil {
		t.Fatal(err)
	}
	if err := tree.File("a/x", 0o644, nil, ""); err == nil {
		t.Error("a loop of links was followed")
	}
}

// A directory that becomes a link takes its content along.
func TestLateUsrMerge(t *testing.T) {
	tree := NewTree()
	for _, err := range []error{
		tree.File("lib/firmware/a", 0o644, []byte("a"), ""),
		tree.Symlink("lib", "usr/lib", ""),
		tree.File("lib/firmware/b", 0o644, []byte("b"), ""),
		tree.Dir("lib", ""),
		tree.Symlink("lib64", "/usr/lib64", ""),
		tree.File("lib64/ld.so", 0o755, []byte("ld"), ""),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	want := "lib lib64 usr usr/lib usr/lib/firmware usr/lib/firmware/a usr/lib/firmware/b usr/lib64 usr/lib64/ld.so"
	if got := list(t, pack(t, tree, "none", nil)); got != want {
		t.Error(got)
	}
	if tree.Get("/lib/firmware/a") == nil || tree.Get("/lib/nothing") != nil {
		t.Error("Get does not follow links")
	}
}

func TestExtract(t *testing.T) {
	testtool.Root(t)
	dir := t.TempDir()
	skipped := func(name string, err error) { t.Errorf("%s: %v", name, err) }
	if err := Extract(pack(t, sampleTree(t), "zstd:1", nil), dir, Limits{}, skipped); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "lib/modules/6.1/ext4.ko")); err != nil || len(b) != 99*12 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if st, err := os.Lstat(filepath.Join(dir, "dev/null")); err != nil || st.Mode() != fs.ModeDevice|fs.ModeCharDevice|0o666 {
		t.Errorf("%v %v", st.Mode(), err)
	}
}

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "image")
	seg := []*Segment{{Frame: []byte("one")}, {Frame: []byte("two")}}
	for _, perm := range []fs.FileMode{0o644, 0o600} {
		if n, err := WriteFile(name, perm, seg); err != nil || n != 6 {
			t.Fatal(n, err)
		}
		if st, _ := os.Stat(name); st.Mode() != perm {
			t.Errorf("mode %v", st.Mode())
		}
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink("image", link); err != nil {
		t.Fatal(err)
	}
	if _, err := WriteFile(link, 0o644, seg[:1]); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(name); string(b) != "one" {
		t.Errorf("through a link: %q", b)
	}
	if st, _ := os.Lstat(link); st.Mode()&fs.ModeSymlink == 0 {
		t.Error("the link was replaced")
	}
	for _, bad := range []string{dir, "/dev/null", "", filepath.Join(dir, "no/such"), filepath.Join(name, "x")} {
		if err := CheckOutput(bad); err == nil {
			t.Errorf("%q accepted", bad)
		}
		if _, err := WriteFile(bad, 0o644, seg); err == nil {
			t.Errorf("%q written", bad)
		}
	}
	if list, _ := os.ReadDir(dir); len(list) != 2 {
		t.Errorf("left behind: %v", list)
	}
}

func TestFullDisk(t *testing.T) {
	testtool.Root(t)
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skip("no tmpfs here:", err)
	}
	defer func() { _ = unix.Unmount(dir, 0) }()
	name := filepath.Join(dir, "image")
	if err := os.WriteFile(name, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := WriteFile(name, 0o644, []*Segment{{Frame: make([]byte, 1<<20)}}); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("%v", err)
	}
	if b, _ := os.ReadFile(name); string(b) != "old" {
		t.Errorf("the old image became %q", b)
	}
}

// cpio(1) agrees about a plain image.
func TestAgainstCpio(t *testing.T) {
	testtool.Need(t, "cpio")
	tree := sampleTree(t)
	cmd := exec.Command("cpio", "-t", "--quiet")
	cmd.Stdin = bytes.NewReader(pack(t, tree, "none", nil))
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(out), "dev\ndev/null\netc\n") {
		t.Errorf("%s", out)
	}
}

func FuzzWalk(f *testing.F) {
	var b bytes.Buffer
	w, _ := cpio.NewWriter(&b, cpio.Options{})
	_ = w.Symlink("a", "b")
	_ = w.Links([]string{"c", "d"}, 0o644, []byte("text"))
	_ = w.Close()
	f.Add(b.Bytes())
	c, err := compress.New(context.Background(), compress.Spec{Method: compress.Gzip, Level: 1})
	if err != nil {
		f.Fatal(err)
	}
	z, _ := c.Compress(context.Background(), b.Bytes())
	f.Add(append(append(b.Bytes(), 0, 0), z...))
	f.Fuzz(func(t *testing.T, b []byte) {
		lim := Limits{Bytes: 1 << 20, Entries: 1000}
		if _, err := NewView(b, lim); err != nil {
			return
		}
		_ = Cat(io.Discard, b, "c", lim)
	})
}
