package images

import (
	"context"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	closure "firstlight/internal/image/elf"
	"firstlight/internal/sysroot"
	"firstlight/internal/testtool"
	"firstlight/test/debian"
)

// What a program needs is what ldd says inside the target, for every program of a
// Debian root that this machine has nothing to do with.
func TestEveryProgramAsLddInTheTarget(t *testing.T) {
	if os.Getenv("FIRSTLIGHT_IMAGES") == "" {
		t.Skip("makes a Debian root: make images")
	}
	testtool.Root(t)
	testtool.Need(t, "mmdebstrap", "chroot")
	k, err := debian.GetKernel(t.Context(), "trixie")
	if err != nil {
		t.Fatal(err)
	}
	c, err := Chroot(t.Context(), k, "images-ldd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(c.Dir); err != nil {
			t.Error(err)
		}
	})
	names := programs(t, c.Dir)
	if len(names) < 300 {
		t.Fatalf("%d programs", len(names))
	}
	r := closure.NewResolver(sysroot.Root(c.Dir))
	for batch := range slices.Chunk(names, 50) {
		want := ldd(t.Context(), t, c.Dir, batch)
		for _, name := range batch {
			files, err := r.Closure(name)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			asLdd(t, name, files, want[name])
		}
	}
	t.Logf("%d programs", len(names))
}

// programs are the ELF programs of a root that have an interpreter, by their paths
// there.
func programs(t *testing.T, root string) []string {
	t.Helper()
	var out []string
	for _, dir := range []string{"usr/bin", "usr/sbin", "usr/lib/systemd", "usr/lib/udev"} {
		list, err := os.ReadDir(filepath.Join(root, dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range list {
			if !d.Type().IsRegular() {
				continue
			}
			f, err := elf.Open(filepath.Join(root, dir, d.Name()))
			if err != nil {
				continue // a script
			}
			if slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
				out = append(out, "/"+filepath.Join(dir, d.Name()))
			}
			f.Close()
		}
	}
	return out
}

// ldd is what it says inside a root of several programs: the libraries by program,
// as paths without links.
func ldd(ctx context.Context, t *testing.T, root string, names []string) map[string]map[string]bool {
	t.Helper()
	// With one name alone it prints no heading.
	cmd := exec.CommandContext(ctx, "chroot", slices.Concat([]string{root, "/usr/bin/ldd", "/usr/bin/true"}, names)...)
	cmd.Env = []string{"PATH=/usr/bin:/usr/sbin", "LC_ALL=C"}
	text, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	out, name := map[string]map[string]bool{}, ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if !strings.HasPrefix(line, "\t") {
			name = strings.TrimSuffix(line, ":")
			out[name] = map[string]bool{}
			continue
		}
		f := strings.Fields(line)
		i := slices.Index(f, "=>") + 1
		if i >= len(f) || !strings.HasPrefix(f[i], "/") {
			continue // the vDSO
		}
		p, _, err := sysroot.Root(root).Resolve(f[i])
		if err != nil {
			t.Fatal(err)
		}
		out[name][p] = true
	}
	for _, n := range names {
		if len(out[n]) == 0 {
			t.Fatalf("ldd says nothing of %s", n)
		}
	}
	return out
}

func asLdd(t *testing.T, name string, files []closure.File, want map[string]bool) {
	t.Helper()
	missing := map[string]bool{}
	for p := range want {
		missing[p] = true
	}
	for _, f := range files {
		if delete(missing, f.Path); f.Target != "" || f.Path == name || want[f.Path] {
			continue
		}
		if !atRunTime(files, f) {
			t.Errorf("%s: %s (%s) is not in ldd's list", name, f.Path, f.Why)
		}
	}
	for p := range missing {
		t.Errorf("%s: %s is missing", name, p)
	}
}

// atRunTime says whether f is needed only by what is opened at run time, which ldd
// does not know.
func atRunTime(files []closure.File, f closure.File) bool {
	if strings.Contains(f.Why, "opened at run time") {
		return true
	}
	_, by, _ := strings.Cut(f.Why, ": needed by ")
	i := slices.IndexFunc(files, func(g closure.File) bool { return g.Path == by })
	return i >= 0 && by != f.Path && atRunTime(files, files[i])
}
