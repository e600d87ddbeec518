package elf

import (
	"errors"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"firstlight/internal/sysroot"
	"firstlight/internal/testtool"
)

func paths(t *testing.T, files []File) []string {
	t.Helper()
	var out []string
	for _, f := range files {
		out = append(out, f.Path)
	}
	return out
}

// Every library that ldd finds is in the closure, and no other.
func TestAgainstLdd(t *testing.T) {
	testtool.Need(t, "ldd", "bash")
	r := NewResolver("")
	for _, name := range []string{"bash", "ls", "mount", "tar", "e2fsck", "git", "apt-get", "qemu-system-x86_64", "udevadm", "cryptsetup", "lvm"} {
		p := testtool.Path(name)
		if p == "" {
			continue
		}
		out, err := exec.Command("ldd", p).Output()
		if err != nil {
			continue // static
		}
		want := map[string]bool{}
		for line := range strings.Lines(string(out)) {
			f := strings.Fields(line)
			i := slices.Index(f, "=>") + 1
			if !strings.HasPrefix(f[i], "/") {
				continue // the vDSO
			}
			real, err := filepath.EvalSymlinks(f[i])
			if err != nil {
				t.Fatal(err)
			}
			want[real] = true
		}
		files, err := r.Closure(p)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		real, _ := filepath.EvalSymlinks(p)
		for _, f := range files {
			if f.Target != "" || f.Path == real || want[f.Path] {
				delete(want, f.Path)
				continue
			}
			if !unsaid(f) && !viaDlopen(files, f) {
				t.Errorf("%s: %s (%s) is not in ldd's list", name, f.Path, f.Why)
			}
		}
		for w := range want {
			t.Errorf("%s: %s is missing", name, w)
		}
	}
}

// viaDlopen says whether f is needed only by what is opened at run time.
func viaDlopen(files []File, f File) bool {
	_, by, _ := strings.Cut(f.Why, ": needed by ")
	i := slices.IndexFunc(files, func(g File) bool { return g.Path == by })
	return i >= 0 && (unsaid(files[i]) || viaDlopen(files, files[i]))
}

// unsaid says whether the C library opens a file by itself.
func unsaid(f File) bool {
	return strings.Contains(f.Why, "opened at run time") || strings.Contains(f.Why, "a character set of") || strings.Contains(f.Why, "names the converter of")
}

// install copies the closures of programs below dir.
func install(t *testing.T, dir string, programs ...string) {
	t.Helper()
	r := NewResolver("")
	for _, p := range programs {
		files, err := r.Closure(p)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			to := filepath.Join(dir, f.Path)
			if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
				t.Fatal(err)
			}
			if f.Target != "" {
				if err := os.Symlink(f.Target, to); err != nil && !errors.Is(err, os.ErrExist) {
					t.Fatal(err)
				}
				continue
			}
			b, err := os.ReadFile(f.Source)
			if err == nil {
				err = os.WriteFile(to, b, 0o755)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

// The closure, copied elsewhere, runs there.
func TestClosureRuns(t *testing.T) {
	testtool.Need(t, "bash", "ls", "chroot")
	testtool.Root(t)
	dir := t.TempDir()
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/usr/bin/env -S bash\nls / && echo ran\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	install(t, dir, script, "ls")
	out, err := exec.Command("chroot", dir, script).CombinedOutput()
	if err != nil || !strings.HasSuffix(string(out), "ran\n") {
		t.Errorf("%v: %s", err, out)
	}
}

// fake makes a system of its own around copies of a real program.
func fake(t *testing.T) (root string, put func(from, to string), link func(target, name string)) {
	t.Helper()
	root = t.TempDir()
	put = func(from, to string) {
		real, err := filepath.EvalSymlinks(from)
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(real)
		if err != nil {
			t.Fatal(err)
		}
		p := filepath.Join(root, to)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, b, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	link = func(target, name string) {
		p := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, p); err != nil {
			t.Fatal(err)
		}
	}
	return root, put, link
}

// A library known only through ld.so.conf can be found in an image without
// ld.so.cache; hwcaps variants come last; links are kept.
func TestSysroot(t *testing.T) {
	testtool.Need(t, "bash", "ldd")
	libs := map[string]string{}
	out, err := exec.Command("ldd", testtool.Path("bash")).Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) > 2 && f[1] == "=>" {
			libs[f[0]] = f[2]
		}
	}
	tinfo := ""
	for n := range libs {
		if strings.HasPrefix(n, "libtinfo") {
			tinfo = n
		}
	}
	o, err := readObject(testtool.Path("bash"))
	if err != nil || tinfo == "" {
		t.Skip("bash is not what it is in Debian:", err)
	}
	root, put, link := fake(t)
	put(testtool.Path("bash"), "/usr/bin/bash")
	put(o.interp, "/usr/lib64/ld.so.real")
	link("usr/lib64", "lib64")
	if base := path.Base(o.interp); base != "ld.so.real" {
		link("ld.so.real", "usr/lib64/"+base)
	}
	put(libs["libc.so.6"], "/usr/lib64/libc.so.6")
	put(libs[tinfo], "/opt/lib/libtinfo.real")
	link("libtinfo.real", "opt/lib/"+tinfo)
	put(libs[tinfo], "/opt/lib/glibc-hwcaps/x86-64-v2/"+tinfo)
	conf := filepath.Join(root, "etc/ld.so.conf.d/opt.conf")
	if err := os.MkdirAll(filepath.Dir(conf), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{conf: "# ours\n/opt/lib\n", filepath.Join(root, "etc/ld.so.conf"): "include ld.so.conf.d/*.conf\n"} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	files, err := NewResolver(sysroot.Root(root)).Closure("bash")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"/lib64", "/opt/lib/" + tinfo, "/opt/lib/libtinfo.real", "/usr/bin/bash",
		"/usr/lib64/ld-linux-x86-64.so.2", "/usr/lib64/ld.so.real", "/usr/lib64/libc.so.6", "/usr/lib64/" + tinfo}
	slices.Sort(want)
	if got := paths(t, files); !slices.Equal(got, want) {
		t.Errorf("%v\nwant %v", got, want)
	}
	if err := os.Remove(filepath.Join(root, "usr/lib64/libc.so.6")); err != nil {
		t.Fatal(err)
	}
	_, err = NewResolver(sysroot.Root(root)).Closure("bash")
	if !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "libc.so.6, needed by") {
		t.Errorf("a missing library: %v", err)
	}
}

func TestExpand(t *testing.T) {
	o, err := readObject(testtool.Path("true"))
	if err != nil || platform(o) != "x86_64" {
		t.Skip("not an x86-64 machine")
	}
	for s, want := range map[string]string{
		"$ORIGIN/../lib": "/opt/x/../lib", "${ORIGIN}": "/opt/x", "/usr/$LIB": "/usr/lib64 /usr/lib/x86_64-linux-gnu /usr/lib",
		"/a/${PLATFORM}": "/a/x86_64", "/plain": "/plain",
	} {
		if got := strings.Join(expand(s, "/opt/x", o), " "); got != want {
			t.Errorf("%s: %s", s, got)
		}
	}
}

func TestDlopenNote(t *testing.T) {
	got := dlopenNames([]byte(`[{"soname":["libfido2.so.1"],"priority":"required"},{"soname":["liba","libb"]},{"soname":["x"],"priority":"suggested"}]` + "\x00\x00"))
	if !slices.Equal(got, []string{"libfido2.so.1", "liba", "libb"}) {
		t.Error(got)
	}
	if got := dlopenNames([]byte("{")); got != nil {
		t.Error(got)
	}
}

func TestFindProgram(t *testing.T) {
	r := NewResolver("")
	for _, name := range []string{"no-such-program", "/no/such/program"} {
		if _, err := r.Closure(name); !errors.Is(err, ErrMissing) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzReadELF(f *testing.F) {
	b, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		f.Add(b[:min(len(b), 4096)])
	}
	f.Add([]byte("\x7fELF\x02\x01\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = readELF(strings.NewReader(string(b)))
	})
}

// A library that its user alone does not find is one that the program has loaded
// already: systemd's libraries of its own are like that. ldd agrees.
func TestLibraryThatIsLoadedAlready(t *testing.T) {
	testtool.Need(t, "gcc", "ldd")
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "own"), 0o755); err != nil {
		t.Fatal(err)
	}
	cc := func(text string, args ...string) {
		t.Helper()
		cmd := exec.Command("gcc", append([]string{"-xc", "-", "-xnone", "-fPIC", "-Wl,--no-as-needed"}, args...)...)
		cmd.Dir, cmd.Stdin = dir, strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("gcc: %v: %s", err, out)
		}
	}
	cc("int shared(void) { return 1; }", "-shared", "-Wl,-soname,libshared.so.1", "-o", "own/libshared.so.1")
	cc("int shared(void); int core(void) { return shared(); }", "-shared", "-o", "own/libcore.so", "-Wl,--allow-shlib-undefined", "own/libshared.so.1", "-Wl,-soname,libcore.so")
	cc("int core(void); int main(void) { return core(); }", "-o", "program", "own/libcore.so", "own/libshared.so.1", "-Wl,-rpath,$ORIGIN/own", "-Wl,--enable-new-dtags")
	r := NewResolver("")
	program := filepath.Join(dir, "program")
	files, err := r.Closure(program)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("ldd", program).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"own/libcore.so", "own/libshared.so.1"} {
		if p := filepath.Join(dir, name); !slices.Contains(paths(t, files), p) || !strings.Contains(string(out), p) {
			t.Errorf("%s is not among %v, or ldd does not know it:\n%s", name, paths(t, files), out)
		}
	}
	// Alone it finds nothing, as for ldd.
	if _, err := NewResolver("").Closure(filepath.Join(dir, "own/libcore.so")); !errors.Is(err, ErrMissing) {
		t.Errorf("the library alone: %v", err)
	}
}
