package kmodtree

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"firstlight/internal/kmod"
	"firstlight/internal/testtool"
)

func debian(t testing.TB, config ...string) *Tree {
	t.Helper()
	return debianOf(t, "bookworm", config...)
}

func debianOf(t testing.TB, suite string, config ...string) *Tree {
	t.Helper()
	root, release := testtool.Kernel(t, suite)
	tree, err := Open(filepath.Join(root, "lib/modules", release), Options{Config: config})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// modprobe runs it on Debian's kernel with nothing but the given
// configuration.
func modprobe(t testing.TB, config []string, args ...string) string {
	t.Helper()
	return modprobeOf(t, "bookworm", config, args...)
}

func modprobeOf(t testing.TB, suite string, config []string, args ...string) string {
	t.Helper()
	testtool.Need(t, "modprobe")
	root, release := testtool.Kernel(t, suite)
	all := []string{"-d", root, "-S", release}
	if len(config) == 0 {
		config = []string{"/dev/null"}
	}
	for _, c := range config {
		all = append(all, "-C", c)
	}
	out, err := exec.Command(testtool.Path("modprobe"), append(all, args...)...).Output()
	if err != nil {
		t.Fatalf("modprobe %v: %v", args, err)
	}
	return string(out)
}

// write makes files below a new directory.
func write(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// checkClosures compares with modprobe, which prints what to load, each
// followed twice by a built-in module as a mark.
func checkClosures(t *testing.T, suite string, tree *Tree, config []string, modules []*Module) {
	t.Helper()
	const mark = "builtin 8250"
	for batch := range slices.Chunk(modules, 500) {
		args := []string{"-a", "-D", "--"}
		for _, m := range batch {
			args = append(args, m.Name, "8250", "8250")
		}
		var answer []string
		answers := 0
		for line := range strings.Lines(modprobeOf(t, suite, config, args...)) {
			answer = append(answer, strings.TrimSpace(line))
			n := len(answer) - 2
			if n < 0 || answer[n] != mark || answer[n+1] != mark {
				continue
			}
			m := batch[answers]
			var want, got []string
			for _, l := range answer[:n] {
				f := strings.Fields(l)
				if f[0] == "insmod" && !slices.Contains(want, f[1]) {
					want = append(want, f[1])
				}
			}
			closure, err := tree.Closure([]string{m.Name})
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range closure {
				got = append(got, c.Path())
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%s: got  %v\nmodprobe says %v", m.Name, got, want)
			}
			answers++
			answer = nil
		}
		if answers != len(batch) {
			t.Fatalf("modprobe gave %d answers for %d modules", answers, len(batch))
		}
	}
}

func TestClosureJoinsNamesAndAliases(t *testing.T) {
	tree := debian(t)
	mods, err := tree.Closure([]string{"dm-crypt", "fs-ext4", "dm_mod", "debugfs", "crypto-xts"})
	if err != nil {
		t.Fatal(err)
	}
	got := names(mods)
	for _, want := range []string{"dm_mod", "dm_crypt", "jbd2", "ext4", "crc32c_intel", "xts"} {
		if !slices.Contains(got, want) {
			t.Errorf("%s is missing from %v", want, got)
		}
	}
	if slices.Index(got, "dm_mod") > slices.Index(got, "dm_crypt") || len(got) != len(slices.Compact(slices.Sorted(slices.Values(got)))) {
		t.Errorf("bad order, or one twice: %v", got)
	}
	if _, err := tree.Closure([]string{"no-such"}); !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), "no-such") {
		t.Error(err)
	}
}

func TestConfigurationAsModprobe(t *testing.T) {
	dir := write(t, map[string]string{
		"etc/b.conf": "options dm-mod a=1\\\n  b=2\toption3\n# options dm_mod no=1\n\n options loop max_loop=1\n" +
			"alias my-disk dm-mod\nalias my-* loop\nalias gone off\nbogus x\nalias x[ y\noptions loop\n",
		"etc/z.conf":       "softdep dm-mod pre: no-such loop post: crypto-crc32c\n",
		"etc/a.alias":      "options loop first=1\n",
		"etc/README":       "options loop no=1\n",
		"etc/.hidden.conf": "options loop no=1\n",
		"usr/b.conf":       "options dm-mod shadowed=1\n",
		"usr/c.conf":       "options dm_mod c=3\nblacklist dm-mod\ninstall loop /bin/true\nremove loop /bin/true\n",
		"usr/n.conf":       "softdep dm_mod pre: ext4\nsoftdep ext4 pre: loop\nsoftdep dm_* post: btrfs\n",
	})
	config := []string{dir + "/etc", dir + "/usr", dir + "/absent"}
	tree := debian(t, config...)

	for _, name := range []string{"dm_mod", "loop"} {
		var want string
		for line := range strings.Lines(modprobe(t, config[:2], "-i", "-D", name)) {
			if f := strings.SplitN(strings.TrimSpace(line), " ", 3); strings.HasSuffix(f[1], "/"+strings.ReplaceAll(name, "_", "-")+".ko") && len(f) > 2 {
				want = f[2]
			}
		}
		if got := tree.Options(name); want == "" || strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(want), " ") {
			t.Errorf("options of %s: %q, modprobe says %q", name, got, want)
		}
	}
	for _, alias := range []string{"my-disk", "my_tape", "gone", "fs-ext4"} {
		want := strings.Fields(modprobe(t, config[:2], "-R", alias))
		if got, err := tree.Resolve(alias); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v (%v), modprobe says %v", alias, got, err, want)
		}
	}
	var modules []*Module
	for _, name := range []string{"dm_mod", "ext4", "dm_crypt", "btrfs", "xfs"} {
		m, err := tree.Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		modules = append(modules, m)
	}
	// Without the install command, which modprobe would print in place of loop.
	if err := os.WriteFile(dir+"/usr/c.conf", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	checkClosures(t, "bookworm", tree, config[:2], modules)

	if !tree.Blacklisted("dm-mod") || tree.Blacklisted("loop") {
		t.Error("blacklist is wrong")
	}
	var warnings []string
	for _, w := range tree.Warnings() {
		warnings = append(warnings, strings.TrimPrefix(w.String(), dir))
	}
	want := []string{
		"/etc/b.conf:9: unknown command bogus",
		"/etc/b.conf:10: alias x[: unmatched bracket",
		"/etc/b.conf:11: options loop: something is missing",
		"/usr/c.conf:3: install loop: commands are not run, the module is loaded as if the line were not there",
		"/usr/c.conf:4: remove loop: commands are not run, the module is loaded as if the line were not there",
	}
	if !slices.Equal(warnings, want) {
		t.Errorf("got  %q\nwant %q", warnings, want)
	}
}

func TestInfoAsModinfo(t *testing.T) {
	testtool.Need(t, "modinfo")
	tree := debian(t)
	for _, name := range []string{"ext4", "amdgpu", "e100", "r8169", "btrfs", "dm-crypt", "virtio_blk", "i915", "iwlwifi"} {
		m, err := tree.Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		in, err := m.Info()
		if err != nil {
			t.Fatal(err)
		}
		firmware, err := m.Firmware()
		if err != nil {
			t.Fatal(err)
		}
		for field, got := range map[string][]string{"firmware": firmware, "alias": in.Aliases, "softdep": in.Softdeps,
			"depends": {strings.Join(in.Depends, ",")}, "name": {in.Name}, "vermagic": {in.Vermagic}} {
			out, err := exec.Command(testtool.Path("modinfo"), "-F", field, m.Path()).Output()
			if err != nil {
				t.Fatal(err)
			}
			text := strings.TrimSuffix(string(out), "\n")
			if field == "depends" {
				text = kmod.NormalizeName(text)
			}
			want := strings.Split(text, "\n")
			if want[0] == "" && len(got) == 0 {
				continue
			}
			slices.Sort(want)
			got = slices.Sorted(slices.Values(got))
			if field == "firmware" {
				want = slices.Compact(want)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s of %s: %q, modinfo says %q", field, name, got, want)
			}
		}
	}
}

func TestCompressedModules(t *testing.T) {
	testtool.Need(t, "xz", "zstd", "gzip")
	m, err := debian(t).Lookup("e100")
	if err != nil {
		t.Fatal(err)
	}
	plain, err := m.Read()
	if err != nil {
		t.Fatal(err)
	}
	dir := write(t, map[string]string{
		"modules.dep":     "k/x-z.ko.xz:\nk/zs.ko.zst: k/x-z.ko.xz\nk/g.ko.gz:\nk/p.ko:\nk/cut.ko.xz:\nk/junk.ko.zst:\nk/gone.ko:\n",
		"k/p.ko":          string(plain),
		"k/junk.ko.zst":   "not zstd at all",
		"modules.weakdep": "weakdep p g no-such\n",
	})
	for file, cmd := range map[string][]string{
		"x-z.ko.xz": {"xz", "--check=crc32", "--lzma2=dict=1MiB", "-c"}, "zs.ko.zst": {"zstd", "-19", "-c"}, "g.ko.gz": {"gzip", "-9", "-c"},
	} {
		c := exec.Command(cmd[0], cmd[1:]...)
		c.Stdin = bytes.NewReader(plain)
		out, err := c.Output()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "k", file), out, 0o644); err != nil {
			t.Fatal(err)
		}
		if file == "x-z.ko.xz" {
			if err := os.WriteFile(filepath.Join(dir, "k/cut.ko.xz"), out[:len(out)/2], 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	tree, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"x_z", "zs", "g", "p"} {
		m, err := tree.Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := m.Read(); err != nil || !bytes.Equal(b, plain) {
			t.Errorf("%s: %d bytes of %d, %v", name, len(b), len(plain), err)
		}
		if fw, err := m.Firmware(); err != nil || len(fw) != 3 {
			t.Errorf("%s: firmware %v, %v", name, fw, err)
		}
	}
	for _, name := range []string{"cut", "junk", "gone"} {
		m, err := tree.Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Read(); err == nil || !strings.Contains(err.Error(), m.File) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := m.Firmware(); err == nil {
			t.Errorf("%s: damaged, and yet it has firmware", name)
		}
	}
	mods, err := tree.Closure([]string{"p", "zs"})
	if got := strings.Join(names(mods), " "); err != nil || got != "p x_z zs g" {
		t.Errorf("weak dependencies come last: %s (%v)", got, err)
	}
}

func TestTreesThatAreNotThere(t *testing.T) {
	if _, err := Open(t.TempDir(), Options{}); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "modules.dep") {
		t.Error(err)
	}
	for text, want := range map[string]string{
		"a.ko b.ko\n":               "line 1: no ':'",
		"# x\nk/a-b.ko:\na_b.ko:\n": "line 3: module a_b is there twice",
		"k/.ko:\n":                  "line 1: \"k/.ko\" is not a module",
	} {
		if _, err := Open(write(t, map[string]string{"modules.dep": text}), Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	tree, err := Open(write(t, map[string]string{"modules.dep": "a.ko: b.ko\n"}), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tree.Closure([]string{"a"}); !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), "b.ko") {
		t.Error(err)
	}
	if names, err := tree.Resolve("pci:x"); err != nil || len(names) != 0 {
		t.Error(names, err)
	}
}

func TestBuiltin(t *testing.T) {
	tree := debian(t)
	m, err := tree.Lookup("debugfs")
	if err != nil || !m.Builtin || !tree.Builtin("debugfs") || tree.Builtin("ext4") || tree.Builtin("no") {
		t.Errorf("%+v, %v", m, err)
	}
	if _, err := m.Read(); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if a, err := tree.Aliases(m); err != nil || !slices.Contains(a, "fs-debugfs") {
		t.Error(a, err)
	}
}

func TestSourceNeedsTheWholeClosure(t *testing.T) {
	tree := debian(t)
	m, err := tree.Lookup("ext4")
	if err != nil {
		t.Fatal(err)
	}
	src, err := tree.Source([]*Module{m}, (*Module).Path)
	if err != nil {
		t.Fatal(err)
	}
	if err := kmod.WriteIndex(io.Discard, src); err == nil || !strings.Contains(err.Error(), "ext4: needs") {
		t.Error(err)
	}
}

func FuzzParseInfo(f *testing.F) {
	f.Add([]byte("\x7fELF\x02\x01\x01"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := ParseInfo(bytes.NewReader(data)); err == nil && !bytes.HasPrefix(data, []byte("\x7fELF")) {
			t.Fatal("not ELF, and no error")
		}
	})
}

func FuzzConfig(f *testing.F) {
	f.Add("alias a-* b\\\n c\nsoftdep x pre: a post: b\noptions x \"a b\"\nblacklist y\ninstall z true\n")
	f.Fuzz(func(t *testing.T, text string) {
		c := config{blacklist: map[string]bool{}}
		c.parse("f", text)
		last := 0
		for _, w := range c.warnings {
			if w.Line < last || w.Line > strings.Count(text, "\n")+1 {
				t.Fatalf("line %d", w.Line)
			}
			last = w.Line
		}
	})
}

func FuzzDecompress(f *testing.F) {
	f.Add([]byte("\xfd7zXZ\x00"), byte(0))
	f.Add([]byte("\x28\xb5\x2f\xfd"), byte(1))
	f.Add([]byte("\x1f\x8b\x08"), byte(2))
	f.Fuzz(func(t *testing.T, data []byte, which byte) {
		suffix := [...]string{".xz", ".zst", ".gz"}[which%3]
		if b, err := decompress(bytes.NewReader(data), suffix, int64(len(data))); err == nil && len(b) > MaxModule {
			t.Fatal("too much")
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	for b.Loop() {
		debian(b)
	}
}

func BenchmarkResolve(b *testing.B) {
	tree := debian(b)
	for b.Loop() {
		if n, err := tree.Resolve("pci:v00001AF4d00001042sv00001AF4sd00001100bc01sc00i00"); err != nil || len(n) == 0 {
			b.Fatal(n, err)
		}
	}
}
